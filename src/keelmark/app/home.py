"""The data folder, the policy and the keys of one installation."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keelmark.core.errors import UsageError
from keelmark.core.policy import Policy
from keelmark.core.yamlfile import line_of
from keelmark.guard import Guard
from keelmark.guard.guard import read_policy
from keelmark.passport.keys import (
    LEDGER_KEY,
    PASSPORT_KEY,
    TRUST_FOLDER,
    SigningKey,
    load_or_create,
    load_trusted,
)
from keelmark.store import Store

_DEFAULT_POLICY = "policies/default.yaml"
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
    """Return the YAML of a policy file, of $KEELMARK_CONFIG, or of the built-in policy.

    Raises:
        UsageError: The file cannot be read.
    """
    chosen = path or (Path(p) if (p := os.environ.get("KEELMARK_CONFIG")) else None)
    if chosen is None:
        return files("keelmark.guard").joinpath(_DEFAULT_POLICY).read_text(encoding="utf-8")
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
    """Return the policy in force.

    Raises:
        UsageError: It cannot be read or is no policy.
    """
    chosen = path or os.environ.get("KEELMARK_CONFIG")
    return read_policy(policy_text(path), source=str(chosen or "the built-in policy"))


def make_guard(policy: Policy, path: Path | None = None) -> Guard:
    """Return the guard of a policy.

    Args:
        policy: The policy.
        path: The file it was loaded from, as for `load_policy`; messages name its line.

    Raises:
        UsageError: A rule names an unknown detector or a setting it does not have.
    """
    try:
        return Guard(policy)
    except UsageError as error:
        raise UsageError(f"{_place(policy, path)}{error.message}") from None


def _place(policy: Policy, path: Path | None) -> str:
    """Where the first rule stands that no guard can be made of; "" for the built-in policy."""
    chosen = path or os.environ.get("KEELMARK_CONFIG")
    if not chosen:
        return ""
    for number, rule in enumerate(policy.guard.rules):
        alone = msgspec.structs.replace(policy.guard, rules=(rule,))
        try:
            Guard(msgspec.structs.replace(policy, guard=alone))
        except UsageError:
            return f"{chosen}, line {line_of(policy_text(path), f'$.guard.rules[{number}]')}: "
    return f"{chosen}: "


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
            store=Store.open(folder, signer=ledger_key.private),
        )

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """Return the keys whose passports count: ours, and those in the trust folder."""
        return load_trusted(self.data / TRUST_FOLDER, self.signer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
