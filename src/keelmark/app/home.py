"""The data folder, the policy and the keys of one installation."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keelmark.core.errors import UsageError
from keelmark.core.policy import Policy
from keelmark.core.routing import finds_of
from keelmark.core.yamlfile import read_document
from keelmark.guard import Guard, shipped_policies
from keelmark.guard.engine import RuleError
from keelmark.guard.ready import policy_at, read_policy, shipped_policy, shipped_text
from keelmark.guard.warm import lacking
from keelmark.passport.files import write_whole
from keelmark.passport.keys import (
    LEDGER_KEY,
    PASSPORT_KEY,
    TRUST_FOLDER,
    SigningKey,
    load_or_create,
    load_trusted,
)
from keelmark.store import Store

_VALUE_KEY = Path("keys") / "values.key"
_LONGEST_POLICY = 4 * 1024 * 1024


def data_folder(chosen: Path | None = None) -> Path:
    """Return the data folder: the one given, $KEELMARK_DATA, or the user's data directory."""
    if chosen is not None:
        return chosen.expanduser().absolute()
    if named := os.environ.get("KEELMARK_DATA"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "keelmark"


def policy_text(path: Path | None = None) -> str:
    """Return the YAML of a policy, by its path or name; else of $KEELMARK_CONFIG, or the default.

    Raises:
        UsageError: The file cannot be read.
    """
    chosen = path or (Path(p) if (p := os.environ.get("KEELMARK_CONFIG")) else None)
    if chosen is None or (str(chosen) in shipped_policies() and not chosen.exists()):
        return shipped_text(str(chosen or "default"))
    try:
        if chosen.stat().st_size > _LONGEST_POLICY:
            raise UsageError(f"{chosen} is too long to be a policy; name the right file.")
        return chosen.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{chosen} is not UTF-8 text; name a policy file in YAML.") from None
    except OSError as error:
        raise UsageError(
            f"The policy {chosen} cannot be read ({error.strerror}); check the path, or leave it "
            "out to use the built-in policy."
        ) from None


def load_policy(path: Path | None = None) -> Policy:
    """Return the policy in force: of a path, or the name of one that comes with Keelmark.

    Raises:
        UsageError: It cannot be read or is no policy.
    """
    chosen = path or os.environ.get("KEELMARK_CONFIG")
    if str(chosen) in shipped_policies() and not Path(str(chosen)).exists():
        return shipped_policy(str(chosen))
    return read_policy(policy_text(path), source=str(chosen or "the built-in policy"))


def make_guard(
    policy: Policy,
    path: Path | None = None,
    *,
    data: Path | None = None,
    shadow: Path | None = None,
) -> Guard:
    """Return the guard of a policy.

    Args:
        policy: The policy.
        path: The file it was loaded from, as for `load_policy`; messages name its line.
        data: Data folder, as for `data_folder`; its secret is for exceptions that name a value.
        shadow: File or name of a second policy, of which only is recorded what it would do.

    Raises:
        UsageError: A rule names an unknown detector or a setting it does not have.
    """
    key = value_key(data)
    second = None if shadow is None else policy_at(str(shadow))
    if second is not None:
        _guard(second, shadow, key)
    return _guard(policy, path, key, second)


def _guard(policy: Policy, path: Path | None, key: bytes, shadow: Policy | None = None) -> Guard:
    try:
        return Guard(policy, shadow=shadow, key=key)
    except RuleError as error:
        raise UsageError(f"{_place(error, path)}{error.message}") from None


def _place(error: RuleError, path: Path | None) -> str:
    """Where the rule stands that no guard can be made of; "" for a built-in policy."""
    chosen = path or os.environ.get("KEELMARK_CONFIG")
    if not chosen or str(chosen) in shipped_policies():
        return ""
    document = read_document(policy_text(path), source=str(chosen))
    listed = (document.plain.get("guard") or {}).get(error.kind) or ()
    places = [
        f"$.guard.{error.kind}[{number}]"
        for number, one in enumerate(listed)
        if one.get("id") == error.name
    ]
    return f"{document.at(next(iter(places), '$.extends'))}: "


def value_key(data: Path | None = None, *, make: bool = False) -> bytes:
    """Return the secret under which exceptions name values; b"" when there is none yet.

    Args:
        data: Data folder, as for `data_folder`.
        make: Make it when there is none.

    Raises:
        UsageError: It cannot be read or made.
    """
    path = data_folder(data) / _VALUE_KEY
    try:
        if make and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                write_whole(path, secrets.token_bytes(32), mode=0o600, replace=False)
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(f"{path} cannot be used ({error.strerror}); check its mode.") from None


def policy_notes(policy: Policy, data: Path | None = None) -> list[str]:
    """Return what is worth knowing of a policy that is valid: what it leaves open, what expired.

    Args:
        policy: The policy.
        data: Data folder, as for `data_folder`.
    """
    notes: list[str] = []
    guard = policy.guard
    if not guard.rules:
        notes.append("it has no guard rule at all: every prompt and answer passes unguarded.")
    elif not guard.enforced:
        notes.append("every guard rule is in shadow: nothing is stopped, masked or redacted.")
    elif guard.shadowed:
        names = ", ".join(rule.id for rule in guard.shadowed)
        notes.append(f"in shadow, so only recorded: {names}.")
    notes += filter(None, [lacking(guard.enforced)])
    notes += (
        f"exception {one.id!r} expired on {one.expires} and does nothing: remove it, or ask "
        f"{one.author} for a new date."
        for one in guard.exceptions
        if one.until <= time.time()
    )
    looking = [name for name, part in policy.routes.models.items() if finds_of(part)]
    if looking and "*" not in policy.routes.models:
        notes.append(
            f"what is found decides in the routes {', '.join(looking)} only: who asks for a model "
            "by another name takes none of them; a route called '*' is for all other names."
        )
    if policy.cache.enabled and policy.retention.content == "none":
        notes.append("its cache keeps nothing, because retention.content is none.")
    if any(one.value for one in guard.exceptions) and not value_key(data):
        notes.append(
            "exceptions name values by a keyed hash, and this data folder has no such key: they "
            "do nothing here; make them with `keelmark policy hash`."
        )
    return notes


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """One installation, opened.

    Attributes:
        data: Data folder.
        policy: Policy in force.
        signer: Key that signs passports.
        store: Storage and ledger.
    """

    data: Path
    policy: Policy
    signer: SigningKey
    store: Store

    @classmethod
    def open(cls, data: Path | None = None, policy: Path | None = None) -> Self:
        """Open the data folder, making it and its keys on first use.

        The database is the one that $KEELMARK_DATABASE names, else a file in the data folder.

        Raises:
            KeelmarkError: With the sentence that says what is in the way.
        """
        folder = data_folder(data)
        loaded = load_policy(policy)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The data folder {folder} cannot be made ({error.strerror}); choose another with "
                "--data or KEELMARK_DATA."
            ) from None
        chosen_key = os.environ.get("KEELMARK_SIGNING_KEY")
        signer = load_or_create(
            Path(chosen_key).expanduser() if chosen_key else folder / PASSPORT_KEY
        )
        ledger_key = load_or_create(folder / LEDGER_KEY)
        return cls(
            data=folder,
            policy=loaded,
            signer=signer,
            store=Store.open(
                folder, signer=ledger_key.private, database=os.environ.get("KEELMARK_DATABASE", "")
            ),
        )

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """Return the keys whose passports count: ours, and those in the trust folder."""
        return load_trusted(self.data / TRUST_FOLDER, self.signer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
