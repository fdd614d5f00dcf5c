"""API keys, passports and models: small tables, each change with its ledger record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.events import KEY_CREATED, KEY_REVOKED, PASSPORT_ISSUED
from keelmark.core.keys import ApiKey
from keelmark.store.ledger import Transaction
from keelmark.store.port import Db


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was admitted here.

    Attributes:
        name: What it is called; unique.
        path: Where it lies.
        digest: `sha256:...` of its manifest.
    """

    name: str
    path: str
    digest: str


def add_key(transaction: Transaction, key: ApiKey, *, known_too: bool = False) -> None:
    """Store a new API key.

    Args:
        transaction: A transaction.
        key: The key.
        known_too: Do nothing when this secret is known already, whatever its state.

    Raises:
        UsageError: There is one with this id.
    """
    if known_too and find_key_hash(transaction.db, key.hash) is not None:
        return
    try:
        find_key(transaction.db, key.id)
    except UsageError:
        pass
    else:
        raise UsageError(f"There is already a key {key.id}; make another.")
    scopes = json.dumps(key.scopes)
    row = (key.id, key.name, key.hash, scopes, key.created, key.expires, key.revoked, key.team)
    transaction.db.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    transaction.append(KEY_CREATED, _body(key))


def revoke_key(transaction: Transaction, key_id: str) -> ApiKey:
    """Revoke an API key; one that is revoked already stays as it is.

    Raises:
        UsageError: There is none with this id.
    """
    key = find_key(transaction.db, key_id)
    if key.revoked is not None:
        return key
    revoked = msgspec.structs.replace(key, revoked=transaction.now)
    transaction.db.execute(
        "UPDATE api_keys SET revoked = ? WHERE id = ?", (revoked.revoked, key_id)
    )
    transaction.append(KEY_REVOKED, _body(revoked))
    return revoked


def list_keys(db: Db) -> list[ApiKey]:
    """Return all API keys, oldest first."""
    return [_key(row) for row in db.execute("SELECT * FROM api_keys ORDER BY created, id")]


def find_key(db: Db, key_id: str) -> ApiKey:
    """Return an API key.

    Raises:
        UsageError: There is none with this id.
    """
    row = db.execute("SELECT * FROM api_keys WHERE id = ?", (key_id,)).fetchone()
    if row is None:
        raise UsageError(f"There is no key {key_id}; list them with `keelmark keys list`.")
    return _key(row)


def find_key_hash(db: Db, key_hash: bytes) -> ApiKey | None:
    """Return the API key with this SHA-256."""
    row = db.execute("SELECT * FROM api_keys WHERE hash = ?", (key_hash,)).fetchone()
    return row and _key(row)


def _key(row: tuple[Any, ...]) -> ApiKey:
    names = ("id", "name", "hash", "scopes", "created", "expires", "revoked", "team")
    fields = dict(zip(names, row, strict=True))
    return ApiKey(**{**fields, "scopes": tuple(json.loads(fields["scopes"]))})


def _body(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "expires": key.expires,
        "team": key.team,
    }


def put_passport(
    transaction: Transaction, digest: str, envelope: bytes, issued: Mapping[str, Any] | None
) -> None:
    """Store a passport; `issued` is the body of its `passport.issued` record, if it is ours."""
    transaction.db.execute(
        "INSERT INTO passports (digest, envelope, created) VALUES (?, ?, ?)",
        (digest, envelope, transaction.now),
    )
    if issued is not None:
        transaction.append(PASSPORT_ISSUED, issued)


def newest_passport(db: Db, digest: str) -> bytes | None:
    """Return the envelope that was stored last for a digest."""
    row = db.execute(
        "SELECT envelope FROM passports WHERE digest = ? ORDER BY id DESC LIMIT 1", (digest,)
    ).fetchone()
    return row and bytes(row[0])


def list_passports(db: Db) -> list[tuple[str, bytes]]:
    """Return digest and newest envelope of everything that has a passport."""
    rows = db.execute(
        "SELECT digest, envelope FROM passports"
        " WHERE id IN (SELECT max(id) FROM passports GROUP BY digest) ORDER BY id"
    )
    return [(digest, bytes(envelope)) for digest, envelope in rows]


def put_model(transaction: Transaction, model: StoredModel) -> None:
    """Store a model, in place of another of its name."""
    transaction.db.execute(
        "INSERT INTO models VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " path = excluded.path, digest = excluded.digest",
        (model.name, model.path, model.digest),
    )


def list_models(db: Db) -> list[StoredModel]:
    """Return all models by name."""
    rows = db.execute("SELECT name, path, digest FROM models ORDER BY name")
    return [StoredModel(name=name, path=path, digest=digest) for name, path, digest in rows]
