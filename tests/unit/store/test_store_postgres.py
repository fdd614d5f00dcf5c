"""What is particular to PostgreSQL: connections that break, keys that are shared, erased bytes."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fixtures_servers import Postgres as Server
from keelmark.core.errors import IntegrityError, KeelmarkError, UnavailableError, UsageError
from keelmark.core.trace import Content, Trace
from keelmark.store import Store, port
from keelmark.store.ledger import Transaction
from keelmark.store.port import UnsureError

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)

OpenStore = Callable[..., Store]
MakeTrace = Callable[..., Trace]
Tamper = Callable[..., list[tuple[object, ...]]]
SAID = Content(prompt=b"the quick brown fox", answer=b"the lazy dog")


class Wire:
    """A line to the server that breaks when a COMMIT passes, before or after the server has it."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.broken = ""
        self.cut = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                if self.broken == "all":
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += (client, server)
                asked = threading.Event()
                for way in ((client, server, asked, True), (server, client, asked, False)):
                    thread = threading.Thread(target=self._carry, args=way)
                    self._threads.append(thread)
                    thread.start()

    def _carry(
        self, source: socket.socket, target: socket.socket, asked: threading.Event, asking: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                commits = asking and b"; COMMIT" in data
                if (commits and self.broken == "before") or (not asking and asked.is_set()):
                    # Where it was asked, it is done, and nobody will hear of it.
                    self.broken = "all" if self.broken == "for good" else ""
                    self.cut.set()
                    break
                if commits and self.broken:
                    asked.set()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._open:
            end.close()


@pytest.fixture
def wire(postgres: Server) -> Iterator[Wire]:
    made = Wire(f"{postgres.folder}/.s.PGSQL.5432")
    yield made
    made.close()


@pytest.fixture
def on_wire(
    wire: Wire, database: str, folder: Path, signing_key: Ed25519PrivateKey
) -> Iterator[Store]:
    name = database.partition("?")[0].rpartition("/")[2]
    address = f"postgresql://keelmark@127.0.0.1:{wire.port}/{name}"
    with Store.open(folder, signing_key, database=address) as store:
        yield store


def _count(transaction: Transaction) -> int:
    transaction.db.execute("UPDATE models SET digest = digest || '+' WHERE name = 'counted'")
    return transaction.append("service.started", {})


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_whose_answer_is_lost_is_done_once(
    wire: Wire, on_wire: Store, when: str, make_trace: MakeTrace
) -> None:
    on_wire.put_model("counted", Path("x"), "")
    wire.broken = when
    assert on_wire.submit(_count) == 0
    assert wire.cut.is_set()
    assert on_wire.model("counted").digest == "+"  # type: ignore[union-attr]
    wire.broken = when
    asyncio.run(on_wire.record(make_trace(1), SAID))
    assert wire.broken == ""
    assert on_wire.size() == 2
    assert on_wire.read_content(f"{1:032x}") == SAID
    assert on_wire.verify().ok


def test_when_nobody_can_be_asked_nothing_is_tried_again(
    wire: Wire, on_wire: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_wire.put_model("counted", Path("x"), "")
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.3)
    wire.broken = "for good"

    async def together() -> list[object]:
        jobs = (on_wire.run(_count) for _ in range(4))
        return await asyncio.gather(*jobs, return_exceptions=True)

    told = asyncio.run(together())
    assert {type(one) for one in told} <= {UnsureError, UnavailableError}
    unsure = [one for one in told if isinstance(one, UnsureError)]
    assert "nobody can tell whether that was kept" in unsure[0].message
    wire.broken = ""
    kept = on_wire.size()
    assert kept == len(unsure)  # they were kept, although nobody could be told
    assert on_wire.submit(_count) == kept
    assert on_wire.model("counted").digest == "+" * (kept + 1)  # type: ignore[union-attr]
    assert on_wire.verify().ok


def _end_others(tamper: Tamper) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    tamper(f"{query} WHERE datname = current_database() AND pid <> pg_backend_pid()")


def test_connections_that_the_server_ended_are_opened_again(store: Store, tamper: Tamper) -> None:
    store.append("service.started", {})
    for _ in range(3):
        _end_others(tamper)
        assert store.size() == store.append("service.started", {})
    assert store.verify().ok


def test_a_job_whose_connection_ends_is_done_once_more(store: Store, tamper: Tamper) -> None:
    tries = []

    def job(transaction: Transaction) -> int:
        seq = transaction.append("service.started", {"try": len(tries)})
        tries.append(seq)
        if len(tries) == 1:
            _end_others(tamper)
        return transaction.db.execute("SELECT count(*) FROM records").fetchone()[0]

    assert store.submit(job) == 1
    assert tries == [0, 0]
    assert [record.body for record in store.records()] == [{"try": 1}]


def test_a_job_that_always_ends_its_connection_is_given_up(store: Store, tamper: Tamper) -> None:
    def job(transaction: Transaction) -> None:
        _end_others(tamper)
        transaction.db.execute("SELECT 1")

    with pytest.raises(UnavailableError, match="does not answer"):
        store.submit(job)
    assert store.append("service.started", {}) == 0


def test_a_server_that_is_away_is_told_and_found_again(
    own_postgres: Server, folder: Path, signing_key: Ed25519PrivateKey, database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with Store.open(folder, signing_key, database=own_postgres.new_database("away")) as store:
        store.append("service.started", {})
        own_postgres.kill()
        monkeypatch.setattr(port, "BUSY_SECONDS", 0.2)
        for do in (store.size, lambda: store.append("service.started", {}), store.verify):
            with pytest.raises(UnavailableError, match="does not answer"):
                do()
        own_postgres.start()
        assert store.append("service.started", {}) == 1
        assert store.verify().ok


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    own_postgres: Server, folder: Path, signing_key: Ed25519PrivateKey, database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(port, "SILENT_SECONDS", 0.5)
    address = own_postgres.new_database("silent") + "&connect_timeout=2"
    with _patiently(lambda: Store.open(folder, signing_key, database=address)) as store:
        kept = _patiently(lambda: store.append("service.started", {}))
        monkeypatch.setattr(port, "BUSY_SECONDS", 0.2)
        with own_postgres.silent():
            for do in (store.size, lambda: store.append("service.started", {})):
                with pytest.raises(UnavailableError, match="does not answer"):
                    do()
        monkeypatch.setattr(port, "SILENT_SECONDS", 30.0)
        assert _patiently(store.size) == kept + 1
        assert _patiently(lambda: store.append("service.started", {})) == kept + 1
        assert store.verify().ok


def _patiently(do: Callable[[], Any]) -> Any:
    """On a busy machine, a server may be slower than a test gives it time to be."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return do()
        except UnavailableError:
            assert time.monotonic() < deadline


LOAD = """
import asyncio, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keelmark.core.trace import Content, Trace
from keelmark.store import Store

stopping = []

async def work(store, worker):
    number = 0
    while not stopping:
        trace_id = f"{worker:016x}{number:016x}"
        content = Content(prompt=b"p" * 500, answer=b"a" * 500)
        await store.record(Trace(trace_id=trace_id, started=1.0, key_id="k", subject="s"), content)
        print(trace_id, flush=True)
        number += 1

async def main(folder, first, database):
    asyncio.get_running_loop().add_reader(0, stopping.append, True)
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    with Store.open(Path(folder), key, database=database) as store:
        await asyncio.gather(*(work(store, first + n) for n in range(6)))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
"""


def test_two_machines_write_on_when_the_server_is_killed_and_nothing_is_lost(
    own_postgres: Server, folder: Path, signing_key: Ed25519PrivateKey, database: str
) -> None:
    address = own_postgres.new_database("load")
    Store.open(folder, signing_key, database=address).close()
    command = [sys.executable, "-c", LOAD, str(folder)]
    ways = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    acknowledged: list[str] = []
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(subprocess.Popen([*command, str(first), address], **ways))
            for first in (0, 100)
        ]
        stack.callback(lambda: [writer.kill() for writer in writers])
        for _ in range(3):
            for writer in writers:
                acknowledged += (writer.stdout.readline() for _ in range(60))
            own_postgres.kill()
            own_postgres.start()
        for writer in writers:
            acknowledged += (writer.stdout.readline() for _ in range(60))
            writer.stdin.close()
            acknowledged += writer.stdout.readlines()
            assert writer.wait(60) == 0
    with Store.open(folder, signing_key, database=address) as store:
        kept = [record.body["trace_id"] for record in store.records(["request"])]
        assert len(set(kept)) == len(kept)
        assert {line.strip() for line in acknowledged} == set(kept)
        report = store.verify()
        assert report.ok, report.text()
        assert report.traces == len(kept)


def _files(postgres: Server, tamper: Tamper) -> bytes:
    """All bytes of the database, as they lie on the disk."""
    tamper("CHECKPOINT")
    ((number,),) = tamper("SELECT oid FROM pg_database WHERE datname = current_database()")
    return b"".join(p.read_bytes() for p in (postgres.data / "base" / str(number)).iterdir())


def test_erase_leaves_no_byte_of_the_key_in_the_files(
    store: Store, postgres: Server, tamper: Tamper, make_trace: MakeTrace
) -> None:
    async def record() -> None:
        people = ((n, f"person-{n % 300}") for n in range(400))
        await asyncio.gather(*(store.record(make_trace(n, subject=s), SAID) for n, s in people))

    asyncio.run(record())
    tamper("ANALYZE")
    pseudonyms = {n: store.pseudonym(f"person-{n}") for n in (7, 9, 250)}
    keys = dict(tamper("SELECT subject, wrapped FROM subjects"))
    assert all(keys[name] in _files(postgres, tamper) for name in pseudonyms.values())
    assert tamper("SELECT 1 FROM pg_stats WHERE attname IN ('wrapped', 'sealed', 'value')") == []
    assert store.erase("person-7") == 2
    assert store.erase("person-250") == 1
    stored = _files(postgres, tamper)
    for gone in (7, 250):
        key = keys[pseudonyms[gone]]
        assert key[:40] not in stored
        assert key[-40:] not in stored
        assert store.read_content(f"{gone:032x}") is None
    assert keys[pseudonyms[9]] in stored
    tamper("ANALYZE")
    assert tamper("SELECT 1 FROM pg_stats WHERE attname IN ('wrapped', 'sealed', 'value')") == []
    assert store.read_content(f"{9:032x}") == SAID
    assert store.verify().ok


def test_erase_says_when_a_reader_keeps_the_old_file(
    store: Store, make_trace: MakeTrace, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(store.record(make_trace(1), SAID))
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.1)
    with psycopg.connect(database) as other:
        other.execute("SELECT count(*) FROM subjects")
        with pytest.raises(UnavailableError, match="The key is destroyed, but its bytes"):
            store.erase("ada@example.org")
    assert store.read_content(f"{1:032x}") is None
    assert store.erase("ada@example.org") == 1


def test_machines_have_to_have_the_same_keys(
    store: Store, folder: Path, tmp_path: Path, database: str, signing_key: Ed25519PrivateKey
) -> None:
    other = tmp_path / "other"
    with pytest.raises(IntegrityError, match=r"missing; .* copy it from another machine"):
        Store.open(other, signing_key, database=database)
    (other / "keys").mkdir(parents=True)
    (other / "keys" / "master.key").write_bytes(bytes(32))
    with pytest.raises(IntegrityError, match="not the key that this store was made with"):
        Store.open(other, signing_key, database=database)
    (other / "keys" / "master.key").write_bytes((folder / "keys" / "master.key").read_bytes())
    with pytest.raises(UsageError, match="give all that share the database the same keys"):
        Store.open(other, Ed25519PrivateKey.generate(), database=database)
    with Store.open(other, signing_key, database=database) as second:
        assert second.append("service.started", {}) == 0
        assert store.append("service.started", {}) == 1
    assert store.verify().ok


def test_a_lock_that_is_not_let_go_is_told(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch, tamper: Tamper
) -> None:
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.2)
    _end_others(tamper)  # the next connections wait as briefly
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (0x4B45454C4D41524B,))
        with pytest.raises(UnavailableError, match="locked by another process"):
            store.append("service.started", {})
    assert store.append("service.started", {}) == 0


def test_a_machine_that_was_cut_off_lets_go_of_the_lock(
    store: Store, folder: Path, database: str, signing_key: Ed25519PrivateKey,
    monkeypatch: pytest.MonkeyPatch, tamper: Tamper,
) -> None:  # fmt: skip
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.6)
    _end_others(tamper)  # the next connections wait as briefly
    begun, done = threading.Event(), threading.Event()

    def cut_off(transaction: Transaction) -> None:
        transaction.append("service.started", {"lost": not begun.is_set()})
        begun.set()
        done.wait(30)  # as if nothing came from it any more

    with Store.open(folder, signing_key, database=database) as other:
        waiting = threading.Thread(target=store.submit, args=(cut_off,))
        waiting.start()
        assert begun.wait(30)
        assert _patiently(lambda: other.append("service.started", {"other": True})) == 0
        done.set()
        waiting.join()
        bodies = [record.body for record in other.records()]
        assert bodies == [{"other": True}, {"lost": False}]
        assert other.verify().ok


def test_which_databases_are_refused(
    postgres: Server, folder: Path, signing_key: Ed25519PrivateKey, database: str, worker_id: str
) -> None:
    def refused(words: str, *statements: str, kind: type[KeelmarkError] = UsageError) -> None:
        with psycopg.connect(database, autocommit=True) as db:
            for statement in statements:
                db.execute(statement)
        with pytest.raises(kind, match=words) as caught:
            Store.open(folder, signing_key, database=database)
        assert caught.value.message.endswith(".")

    with pytest.raises(UsageError, match="There is no store in"):
        Store.open(folder, database=database, read_only=True)
    name = f"ascii_{worker_id}"
    address = postgres.new_database(name, "ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(UsageError, match="its encoding is SQL_ASCII; Keelmark needs a database in"):
        Store.open(folder, signing_key, database=address)
    postgres.execute(f"DROP DATABASE {name}")
    mine = database.partition("?")[0].rpartition("/")[2]
    read_only = f"ALTER DATABASE {mine} SET default_transaction_read_only = "
    refused("read-only", read_only + "on", kind=UnavailableError)
    refused(
        "a database of something else",
        "SET default_transaction_read_only = off",
        read_only + "off",
        "CREATE TABLE songs (title text)",
    )
    steps = [f"INSERT INTO migrations VALUES ({n}, '{step}')" for n, step in _steps()]
    made = "CREATE TABLE migrations (id bigint, name text)"
    refused("newer Keelmark", "DROP TABLE songs", made, *steps)


def _steps() -> list[tuple[int, str]]:
    from keelmark.store import schema  # noqa: PLC0415 (its list may be replaced by other tests)

    return list(enumerate([*(s.__name__ for s in schema.MIGRATIONS), "_999_tomorrow"]))


def test_what_is_acknowledged_is_durable_whatever_the_database_says(
    database: str, folder: Path, signing_key: Ed25519PrivateKey
) -> None:
    mine = database.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {mine} SET synchronous_commit = off")
        db.execute(f"ALTER DATABASE {mine} SET default_transaction_isolation = 'serializable'")
    with Store.open(folder, signing_key, database=database) as store:
        for setting, value in (
            ("synchronous_commit", "on"),
            ("transaction_isolation", "read committed"),
        ):
            told = store.submit(lambda tx, s=setting: tx.db.execute(f"SHOW {s}").fetchone())
            assert told == (value,)


def test_values_are_those_of_the_other_database(store: Store) -> None:
    def job(transaction: Transaction) -> list[object]:
        db = transaction.db
        db.execute("INSERT INTO models VALUES (?, ?, ?)", ("100 %", "it's ?", "é"))
        found = db.execute("SELECT path FROM models WHERE name LIKE '100 %' AND digest = ?", ("é",))
        sums = db.execute("SELECT sum(x), sum(?), count(*) FROM generate_series(1, 4) x", (True,))
        return [*found.fetchone(), *sums.fetchone()]

    assert store.submit(job) == ["it's ?", 10, 4, 4]


def test_a_model_name_with_a_zero_byte_is_recorded(store: Store, make_trace: MakeTrace) -> None:
    asyncio.run(store.record(make_trace(1, model="a\0b"), SAID))
    assert store.trace(f"{1:032x}").model == "a\0b"
    assert store.verify().ok


def test_more_rows_than_are_fetched_at_once(store: Store, tmp_path: Path) -> None:
    store.submit(lambda tx: [tx.append("service.started", {"n": n}) for n in range(2500)])
    assert [record.body["n"] for record in store.records()] == list(range(2500))
    reading = store.records()
    next(reading)
    reading.close()
    assert store.verify().size == 2500
    assert store.export(tmp_path / "out.zip") == 2500


def test_several_installations_share_a_database_by_their_schemas(
    database: str, folder: Path, tmp_path: Path, signing_key: Ed25519PrivateKey
) -> None:
    with psycopg.connect(database) as db:
        db.execute("CREATE SCHEMA one")
        db.execute("CREATE SCHEMA two")
    for name in ("one", "two"):
        address = f"{database}&options={quote(f'-csearch_path={name}')}"
        with Store.open(tmp_path / name, signing_key, database=address) as store:
            assert store.append("service.started", {}) == 0
