"""Policies by name and by path, with what they extend."""

from __future__ import annotations

import contextlib
import stat
from functools import cache
from pathlib import Path

from keelmark.core.errors import UsageError
from keelmark.core.policy import Policy, parse_policy

_POLICIES = Path(__file__).parent / "policies"
LONGEST = 4 * 1024 * 1024
"""Bytes of the longest file that may be a policy."""


def shipped_policies() -> tuple[str, ...]:
    """Return the names of the policies that come with Keelmark."""
    return tuple(sorted(path.stem for path in _POLICIES.glob("*.yaml")))


@cache
def shipped_policy(name: str = "default") -> Policy:
    """Return a policy that comes with Keelmark.

    Raises:
        UsageError: There is none of that name.
    """
    return parse_policy(shipped_text(name), source=_source(name), fetch=_fetch)


def shipped_text(name: str = "default") -> str:
    """Return the YAML of a policy that comes with Keelmark.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in shipped_policies():
        known = ", ".join(shipped_policies())
        raise UsageError(f"No policy called {name!r} comes with Keelmark; there are: {known}.")
    return (_POLICIES / f"{name}.yaml").read_text(encoding="utf-8")


def read_policy(text: str, *, source: str) -> Policy:
    """Read a policy; where it says nothing of guard rules, those of `default` are in force.

    Args:
        text: The YAML document.
        source: Its path, or another name for error messages; what it extends by path is found
            from its folder.

    Raises:
        UsageError: Not a policy, or one that it extends is none; the message names the line.
    """
    return parse_policy(text, source=source, rules=shipped_policy().guard.rules, fetch=_fetch)


def policy_at(given: Policy | str | Path | None) -> Policy:
    """Return a policy by its name or path; the default one for None.

    Raises:
        UsageError: It cannot be read or is no policy.
    """
    if isinstance(given, Policy):
        return given
    if given is None or given in shipped_policies():
        return shipped_policy(str(given or "default"))
    return read_policy(policy_file(Path(given)), source=str(given))


def policy_file(path: Path) -> str:
    """Return the text of a policy file.

    Raises:
        UsageError: It cannot be read, or is too long to be one.
    """
    try:
        about = path.stat()
        if stat.S_ISFIFO(about.st_mode):
            raise UsageError(f"{path} is a pipe, which can be read only once; name a file.")
        if about.st_size > LONGEST:
            raise UsageError(f"{path} is too long to be a policy; name the right file.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"The policy {path} cannot be read: it is not UTF-8 text.") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        why = error.strerror if isinstance(error, OSError) else "it is no path"
        raise UsageError(f"The policy {path} cannot be read: {why}; check the path.") from None


def ancestors(path: Path) -> tuple[Path, ...]:
    """Return a policy file and the files that it extends, also one that cannot be read."""
    found: list[Path] = []

    def fetch(name: str, source: str) -> tuple[str, str]:
        if _is_path(name) and name not in shipped_policies():
            found.append(Path(source).parent / name)
        return _fetch(name, source)

    with contextlib.suppress(UsageError):  # said where the policy is read
        parse_policy(policy_file(path), source=str(path), fetch=fetch)
    return (path, *found)


def _source(name: str) -> str:
    return f"policy {name}"


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _fetch(name: str, source: str) -> tuple[str, str]:
    """Find a policy that the one at `source` extends."""
    if name in shipped_policies():
        return _source(name), shipped_text(name)
    if not _is_path(name):
        known = ", ".join(shipped_policies())
        raise UsageError(
            f"no policy called {name!r} comes with Keelmark; there are: {known}, or write the "
            "path of a file."
        )
    path = Path(source).parent / name
    return str(path), policy_file(path)
