"""Tables, as an append-only list of migrations: add one at the end, never change one."""

from __future__ import annotations

from collections.abc import Callable

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.store.port import Db


def _001_ledger(db: Db) -> None:
    db.execute(
        "CREATE TABLE records (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, record BLOB NOT NULL,"
        " leaf BLOB NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX records_kind ON records (kind, seq)")
    db.execute(
        "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, frontier BLOB NOT NULL,"
        " note TEXT NOT NULL) STRICT"
    )
    db.execute("CREATE TABLE signers (key TEXT PRIMARY KEY) STRICT")


def _002_traces(db: Db) -> None:
    # `seq` is the ledger record of the request: one trace id may carry several requests.
    db.execute(
        "CREATE TABLE traces (seq INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, started REAL NOT"
        " NULL, key_id TEXT NOT NULL, subject TEXT NOT NULL, model TEXT NOT NULL, trace BLOB NOT"
        " NULL) STRICT"
    )
    for column in ("trace_id", "started", "key_id", "subject", "model"):
        db.execute(f"CREATE INDEX traces_{column} ON traces ({column})")
    db.execute(
        "CREATE TABLE content (seq INTEGER PRIMARY KEY, created REAL NOT NULL, sealed BLOB NOT"
        " NULL) STRICT"
    )
    # Rows are never deleted or moved, and a key is overwritten in place: moving rows could leave
    # copies of keys in unused parts of pages.
    db.execute(
        "CREATE TABLE subjects (id INTEGER PRIMARY KEY, subject TEXT NOT NULL UNIQUE,"
        " wrapped BLOB NOT NULL) STRICT"
    )
    db.execute("CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT")


def _003_keys_passports_models(db: Db) -> None:
    db.execute(
        "CREATE TABLE api_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
        " scopes TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL) STRICT"
    )
    db.execute(
        "CREATE TABLE passports (id INTEGER PRIMARY KEY, digest TEXT NOT NULL, envelope BLOB NOT"
        " NULL, created REAL NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX passports_digest ON passports (digest, id)")
    db.execute(
        "CREATE TABLE models (name TEXT PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL)"
        " STRICT"
    )


def _004_teams(db: Db) -> None:
    db.execute("ALTER TABLE api_keys ADD COLUMN team TEXT NOT NULL DEFAULT ''")


def _005_usage(db: Db) -> None:
    db.execute(
        "CREATE TABLE usage (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, trace_id TEXT NOT NULL,"
        " admitted REAL NOT NULL, day TEXT NOT NULL, key_id TEXT NOT NULL, subject TEXT NOT NULL,"
        " team TEXT NOT NULL, model TEXT NOT NULL, engine TEXT NOT NULL, money INTEGER NOT NULL,"
        " input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL, priced INTEGER"
        " NOT NULL, currency TEXT NOT NULL, how TEXT NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX usage_admitted ON usage (admitted)")
    db.execute(
        "CREATE TABLE spent (account TEXT PRIMARY KEY, money INTEGER NOT NULL, input INTEGER NOT"
        " NULL, output INTEGER NOT NULL, calls INTEGER NOT NULL, lost INTEGER NOT NULL) STRICT"
    )


def _006_signers_in_order(db: Db) -> None:
    # Of the keys that signed, the newest has to be known; the old table had an order only by
    # chance, and was never filled where a database is made anew.
    db.execute("ALTER TABLE signers RENAME TO signers_before")
    db.execute("CREATE TABLE signers (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT")
    if db.execute("SELECT count(*) FROM signers_before").fetchone()[0]:
        db.execute("INSERT INTO signers (key) SELECT key FROM signers_before ORDER BY rowid")
    db.execute("DROP TABLE signers_before")


def _007_board(db: Db) -> None:
    db.execute(
        "CREATE TABLE board (topic TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,"
        " changed REAL NOT NULL, PRIMARY KEY (topic, name)) STRICT"
    )


def _008_kept(db: Db) -> None:
    db.execute(
        "CREATE TABLE kept (name TEXT PRIMARY KEY, subject TEXT NOT NULL, used REAL NOT NULL,"
        " expires REAL NOT NULL, size INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX kept_subject ON kept (subject)")
    db.execute("CREATE INDEX kept_expires ON kept (expires)")


MIGRATIONS: tuple[Callable[[Db], None], ...] = (
    _001_ledger,
    _002_traces,
    _003_keys_passports_models,
    _004_teams,
    _005_usage,
    _006_signers_in_order,
    _007_board,
    _008_kept,
)


def check(db: Db, tables: set[str], place: str) -> int:
    """Return how many migrations are applied.

    Args:
        db: Any connection.
        tables: Names of the tables that there are.
        place: How messages name the database.

    Raises:
        UsageError: A newer Keelmark made it, or it is no Keelmark store.
        IntegrityError: Its migrations are not ours.
    """
    if not tables:
        return 0
    if "migrations" not in tables:
        raise UsageError(f"{place} is a database of something else; choose another.")
    names = [name for (name,) in db.execute("SELECT name FROM migrations ORDER BY id")]
    ours = [step.__name__ for step in MIGRATIONS]
    if names[: len(ours)] != ours[: len(names)]:
        raise IntegrityError(f"{place} was made by another line of Keelmark; restore a backup.")
    if len(names) > len(ours):
        raise UsageError(f"{place} was made by a newer Keelmark; install that version or newer.")
    return len(names)


def is_current(db: Db, tables: set[str], place: str) -> bool:
    """Return whether nothing has to be migrated.

    Raises:
        KeelmarkError: As `check`.
    """
    return check(db, tables, place) == len(MIGRATIONS)


def require_current(db: Db, tables: set[str], place: str) -> None:
    """Refuse a store that has to be migrated first.

    Raises:
        KeelmarkError: As `check`, or it was made by an older Keelmark.
    """
    if not tables:
        raise UsageError(f"There is no store in {place} yet; open it for writing once.")
    if not is_current(db, tables, place):
        raise UsageError(f"{place} was made by an older Keelmark; open it for writing once.")


def migrate(db: Db, tables: set[str], place: str) -> None:
    """Apply what is missing, within a transaction that the caller began and ends.

    Raises:
        KeelmarkError: As `check`.
    """
    applied = check(db, tables, place)
    if not tables:
        db.execute("CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT)")
    for step in MIGRATIONS[applied:]:
        step(db)
        db.execute("INSERT INTO migrations (name) VALUES (?)", (step.__name__,))
