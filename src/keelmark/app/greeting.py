"""What a person reads when a service is ready."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from keelmark.app.home import policy_notes
from keelmark.core.policy import Policy
from keelmark.serve.engine import Engine

_EXAMPLE = '{"model": "MODEL", "messages": [{"role": "user", "content": "Name three harbours."}]}'


def greeting(
    bind: str, policy: Policy, engines: Sequence[Engine], secret: str | None, kept: str = ""
) -> list[str]:
    """Return the lines that say where the service is, under what policy, and how to try it.

    Args:
        bind: Address and port.
        policy: In force.
        engines: Who answers.
        secret: The admin key when it was made just now.
        kept: Where records are kept, if not in the data folder.
    """
    url = f"http://{bind}"
    lines = ["", f"Keelmark is ready at {url}/v1"]
    for engine in engines:
        what = f"{engine.digest[:19]}..., {engine.load_mode}" if engine.digest else "unattested"
        lines.append(f"  {', '.join(engine.models) or 'any model'}: {engine.id} ({what})")
    rules = len(policy.guard.enforced)
    lines.append(f"  policy {policy.name}: {rules} guard rules, content {policy.retention.content}")
    lines += (f"  WARNING: policy {policy.name}: {note}" for note in policy_notes(policy))
    if kept:
        lines.append(f"  records are kept in {kept}")
    if _is_loopback(bind):
        lines.append("  listening on loopback only; --host ADDRESS lets other machines in")
    else:
        lines.append("  WARNING: this address can be reached by other machines, without TLS.")
    model = next((name for engine in engines for name in engine.models), "MODEL")
    shown = secret or "$KEY"
    if secret:
        lines += ["", "Admin key, shown this once:", "", f"  {secret}"]
    lines += [
        "",
        "Try it:",
        "",
        f"  curl {url}/v1/chat/completions -H 'Authorization: Bearer {shown}' \\",
        "    -H 'Content-Type: application/json' \\",
        f"    -d '{_EXAMPLE.replace('MODEL', model)}'",
        "",
    ]
    return lines


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0]
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
