"""What was acknowledged stays: through kill -9, two processes, a full disk, a closed store."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keelmark.core.errors import IntegrityError, KeelmarkError, UnavailableError, UsageError
from keelmark.core.trace import Content, Trace
from keelmark.store import Store, schema
from keelmark.store.content import destroy_key
from keelmark.store.ledger import Transaction
from keelmark.store.traces import write_request

OpenStore = Callable[..., Store]
ONLY_SQLITE = pytest.mark.parametrize("database", [""])
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

WRITER = """
import asyncio, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keelmark.core.trace import Content, Trace
from keelmark.store import Store

async def work(store, worker, count):
    for number in range(count):
        trace_id = f"{worker:016x}{number:016x}"
        content = Content(prompt=b"p" * 500, answer=b"a" * 500)
        await store.record(Trace(trace_id=trace_id, started=1.0, key_id="k", subject="s"), content)
        sys.stdout.write(trace_id + "\\n")
        sys.stdout.flush()

async def main(folder, first, count, database):
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    with Store.open(Path(folder), key, database=database) as store:
        await asyncio.gather(*(work(store, first + n, count) for n in range(8)))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
"""


def _start(folder: Path, first: int, count: int, database: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(count), database]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("after", [1, 150, 700])
def test_nothing_acknowledged_is_lost_by_kill_9(
    folder: Path, database: str, open_store: OpenStore, after: int
) -> None:
    with _start(folder, 0, 100_000, database) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    assert len(whole) >= after
    with open_store() as store:
        kept = {record.body["trace_id"] for record in store.records()}
        assert whole <= kept
        report = store.verify()
        assert report.ok, report.text()
        assert report.traces == report.size == len(kept)
        assert all(store.read_content(trace_id) is not None for trace_id in list(whole)[:20])


def test_two_processes_append_to_one_ledger(
    folder: Path, database: str, open_store: OpenStore
) -> None:
    with _start(folder, 0, 40, database) as one, _start(folder, 100, 40, database) as two:
        with open_store() as store:
            for number in range(20):
                store.append("service.started", {"number": number})
        for process in (one, two):
            assert process.stdout is not None
            assert len(process.stdout.readlines()) == 320
            assert process.wait() == 0
    with open_store() as store:
        report = store.verify()
        assert report.ok, report.text()
        assert report.size == 660
        assert [record.seq for record in store.records()] == list(range(660))


def test_threads_and_tasks_share_one_store(store: Store) -> None:
    def append() -> None:
        for _ in range(20):
            store.append("service.started", {})

    async def record() -> None:
        traces = (Trace(trace_id=f"{n:032x}", started=1.0) for n in range(50))
        await asyncio.gather(*(store.record(trace, None) for trace in traces))

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(record())
    for thread in threads:
        thread.join()
    assert store.verify().size == 130
    assert store.verify().ok


def test_a_job_that_fails_leaves_nothing_and_the_others_stand(store: Store) -> None:
    def fails(transaction: object) -> None:
        transaction.append("service.started", {"lost": True})  # type: ignore[attr-defined]
        raise ZeroDivisionError

    async def together() -> list[object]:
        jobs = [lambda tx, n=n: tx.append("service.started", {"n": n}) for n in range(6)]
        jobs.insert(3, fails)
        return await asyncio.gather(*map(store.run, jobs), return_exceptions=True)

    results = asyncio.run(together())
    assert isinstance(results.pop(3), ZeroDivisionError)
    assert results == list(range(6))
    assert [record.body for record in store.records()] == [{"n": n} for n in range(6)]
    assert store.verify().ok


KINDS_OF_JOBS = (
    *("append", "record", "use", "fail", "fail in use", "unwritable", "erase"),
    *("fail by a statement", "fail by reading"),
)


def _job(number: int, kind: str) -> Callable[[Transaction], object]:
    def run(tx: Transaction) -> object:
        seen = tx.db.execute("SELECT count(*) FROM records").fetchone() if "use" in kind else 0
        assert seen in (0, (tx.size,)), "what others put aside is there to be read"
        tx.append("service.started", {"n": number})
        if kind == "unwritable":
            tx.add("traces", (tx.size, "\ud800", 1.0, "k", "s", "m", b""))
        if "statement" in kind:
            tx.db.execute("INSERT INTO nowhere VALUES (1)")
        if "reading" in kind:
            tx.reading.execute("SELECT nothing FROM nowhere")
        if "fail" in kind:
            raise ZeroDivisionError
        return number

    return run


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # emptied each time
)
@given(kinds=st.lists(st.sampled_from(KINDS_OF_JOBS), min_size=1, max_size=12))
def test_jobs_that_share_a_transaction_leave_what_they_would_leave_alone(
    store: Store, kinds: list[str]
) -> None:
    """Rows put aside are written late: nobody may lose one, see none, or keep one that failed."""

    async def together(store: Store) -> list[object]:
        trace = Trace(trace_id="a" * 32, started=1.0, subject="ada", key_id="k")
        content = Content(prompt=b"p", answer=b"a")
        work: list[Awaitable[object]] = []
        for number, kind in enumerate(kinds):
            if kind == "record":
                work.append(store.record(trace, content))
            elif kind == "erase":
                work.append(asyncio.to_thread(store.submit, lambda tx: destroy_key(tx.db, "x")))
            else:
                work.append(store.run(_job(number, kind)))
        return await asyncio.gather(*work, return_exceptions=True)

    for table in ("records", "checkpoints", "traces", "content", "subjects"):
        store.submit(lambda tx, t=table: tx.db.execute(f"DELETE FROM {t}").rowcount)
    results = asyncio.run(together(store))
    good = [n for n, kind in enumerate(kinds) if kind in ("append", "use")]
    kept = [record.body["n"] for record in store.records(["service.started"])]
    assert kept == good
    assert len(store.traces()) == kinds.count("record")
    assert [results[n] for n in good] == good
    failed = [isinstance(result, Exception) for result in results]
    assert failed == ["fail" in kind or kind == "unwritable" for kind in kinds]
    assert "record" not in kinds or store.read_content("a" * 32) == Content(
        prompt=b"p", answer=b"a"
    )
    assert store.verify().ok


def test_a_key_that_was_taken_back_encrypts_nothing(store: Store) -> None:
    """A job makes a subject's key and fails; the next job of the subject must not use that key."""
    vault = store.vault()

    def fails(transaction: Transaction) -> None:
        trace = Trace(trace_id="b" * 32, started=1.0, subject="ada", key_id="k")
        write_request(transaction, vault, trace, Content(prompt=b"lost", answer=b""))
        raise ZeroDivisionError

    async def together() -> list[object]:
        trace = Trace(trace_id="a" * 32, started=1.0, subject="ada", key_id="k")
        kept = store.record(trace, Content(prompt=b"p", answer=b"a"))
        return await asyncio.gather(store.run(fails), kept, return_exceptions=True)

    results = asyncio.run(together())
    assert isinstance(results[0], ZeroDivisionError)
    assert results[1] is None
    assert store.read_content("a" * 32) == Content(prompt=b"p", answer=b"a")
    assert store.verify().ok


def test_a_cancelled_wait_does_not_disturb_the_writer(store: Store) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(store.record(Trace(trace_id="a" * 32, started=1.0), None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    store.append("service.started", {})
    assert store.verify().ok


@ONLY_SQLITE
def test_modes_of_what_is_made(store: Store, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_is_wrong_with_the_file_is_one_sentence(
    tmp_path: Path, signing_key: Ed25519PrivateKey
) -> None:
    def garbage(path: Path) -> None:
        path.write_bytes(b"not a database at all" * 500)

    def foreign(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE songs (title)")

    def newer(path: Path) -> None:
        Store.open(path.parent, signing_key).close()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("INSERT INTO migrations (name) VALUES ('_999_tomorrow')")

    def folder(path: Path) -> None:
        path.mkdir()

    def torn(path: Path) -> None:
        with Store.open(path.parent, signing_key) as store:
            for _ in range(300):
                store.append("service.started", {"text": "x" * 100})
        data = bytearray(path.read_bytes())
        data[4096:8192] = b"\xaa" * 4096
        path.write_bytes(data)

    cases: dict[str, tuple[Callable[[Path], None], type[KeelmarkError]]] = {
        "is not a Keelmark store": (garbage, IntegrityError),
        "is a database of something else": (foreign, UsageError),
        "newer Keelmark": (newer, UsageError),
        "cannot be used": (folder, UsageError),
        "": (torn, IntegrityError),
    }
    for number, (words, (spoil, kind)) in enumerate(cases.items()):
        data = tmp_path / str(number)
        data.mkdir()
        spoil(data / "keelmark.db")
        with pytest.raises(kind) as caught, Store.open(data, signing_key) as store:
            store.verify()
        assert words in caught.value.message
        assert caught.value.message.count("\n") == 0
        assert caught.value.message.endswith(".")


@ONLY_SQLITE
def test_a_locked_store_says_so(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._writer._writing._db.execute("PRAGMA busy_timeout = 50")  # type: ignore[union-attr]
    with closing(sqlite3.connect(folder / "keelmark.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked by another process"):
            store.append("service.started", {})
        other.execute("ROLLBACK")
    assert store.append("service.started", {}) == 0


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keelmark.core.errors import KeelmarkError
from keelmark.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
with Store.open(Path(sys.argv[1]), key) as store:
    for number in range(1000):
        try:
            store.append("service.started", {"number": number, "text": "x" * 2000})
        except KeelmarkError as error:
            print(number, error.message)
            break
"""


def test_no_room_for_the_file_is_one_sentence_and_nothing_half_written(
    folder: Path, signing_key: Ed25519PrivateKey
) -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    command = [sys.executable, "-c", FULL_DISK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    number, _, message = done.stdout.strip().partition(" ")
    assert "full" in message or "free space" in message
    assert not done.stderr
    with Store.open(folder, signing_key) as store:
        assert store.verify().ok
        assert store.verify().size == int(number)


def test_closed_and_read_only(folder: Path, signing_key: Ed25519PrivateKey) -> None:
    with pytest.raises(UsageError, match="no store"):
        Store.open(folder, read_only=True)
    with pytest.raises(UsageError, match="signing key"):
        Store.open(folder)
    assert not folder.exists()
    with Store.open(folder, signing_key) as store:
        store.append("service.started", {})
    with pytest.raises(UnavailableError, match="closed"):
        store.append("service.started", {})
    with pytest.raises(UnavailableError, match="closed"):
        list(store.records())
    store.close()
    with Store.open(folder, read_only=True) as store:
        assert store.verify().ok
        assert not store.verify().key_given
        with pytest.raises(UsageError, match="read-only"):
            store.append("service.started", {})


def test_migrations_have_distinct_ordered_names_and_older_stores_are_brought_up(
    folder: Path, signing_key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [step.__name__ for step in schema.MIGRATIONS]
    assert names == sorted(set(names))
    Store.open(folder, signing_key).close()

    def _004_broken(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        db.execute("CREATE TABLE half (x)")

    def _004_more(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE more (x)")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, _004_broken))
    with pytest.raises(UsageError, match="older Keelmark"):
        Store.open(folder, read_only=True)
    with pytest.raises(KeelmarkError):
        Store.open(folder, signing_key)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], _004_more))
    with Store.open(folder, signing_key) as store, store._readers.read() as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert "more" in tables
    assert "half" not in tables


def test_content_is_part_of_the_same_transaction(store: Store) -> None:
    trace = Trace(trace_id="b" * 32, started=1.0, key_id="k", timings={"total": float("nan")})
    with pytest.raises(UsageError, match="not JSON"):
        asyncio.run(store.record(trace, Content(prompt=b"p", answer=b"a")))
    with store._readers.read() as db:
        for table in ("records", "traces", "content", "subjects", "checkpoints"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
