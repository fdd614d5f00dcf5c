"""Content is encrypted, bound to its trace, and can be forgotten for good."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keelmark.core.errors import IntegrityError, UnavailableError, UsageError
from keelmark.core.trace import Content, Trace
from keelmark.store import Store, port

SAID = Content(prompt=b'{"messages":["the quick brown fox"]}', answer=b"the lazy dog")
MakeTrace = Callable[..., Trace]
OpenStore = Callable[..., Store]
Tamper = Callable[..., list[tuple[Any, ...]]]
ONLY_SQLITE = pytest.mark.parametrize("database", [""])


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("keelmark.db*")))


def _record(store: Store, *traces: Trace, content: Content | None = SAID) -> None:
    async def work() -> None:
        for trace in traces:
            await store.record(trace, content)

    asyncio.run(work())


@ONLY_SQLITE
def test_content_comes_back_and_nothing_is_stored_in_the_clear(
    store: Store, folder: Path, make_trace: MakeTrace
) -> None:
    attributes = {"enduser.id": "ada@example.org", "n": 1, "list": ["x"]}
    _record(store, make_trace(1, attributes=attributes))
    assert store.read_content(f"{1:032x}") == SAID
    stored = _all_bytes(folder)
    for secret in (b"quick brown", b"lazy dog", b"ada@example.org"):
        assert secret not in stored
    trace = store.trace(f"{1:032x}")
    assert trace.subject == trace.attributes["enduser.id"] != "ada@example.org"
    assert store.traces(subject="ada@example.org") == [trace]
    assert store.traces(subject="bob") == []


def test_retention_none_keeps_no_content(store: Store, make_trace: MakeTrace) -> None:
    _record(store, make_trace(1), content=None)
    assert store.read_content(f"{1:032x}") is None
    (record,) = store.records()
    assert record.body["content"] == ""


def test_the_same_words_have_different_hashes_for_different_subjects(
    store: Store, make_trace: MakeTrace
) -> None:
    _record(store, make_trace(1), make_trace(2, subject="bob"), make_trace(3))
    one, two, three = (record.body for record in store.records())
    assert one["content"] == three["content"] != two["content"]
    assert one["content"].startswith("hmac-sha256:")
    assert one["subject"] == three["subject"] != two["subject"]


def test_content_moved_to_another_trace_does_not_open(
    store: Store, tamper: Tamper, make_trace: MakeTrace
) -> None:
    _record(store, make_trace(1), make_trace(2))
    tamper("DELETE FROM content WHERE seq = 0")
    tamper("UPDATE content SET seq = 0")
    with pytest.raises(IntegrityError, match=f"content of trace {1:032x}"):
        store.read_content(f"{1:032x}")


@ONLY_SQLITE
def test_erase_destroys_the_key_bytes_and_the_ledger_still_verifies(
    store: Store, folder: Path, make_trace: MakeTrace
) -> None:
    people = [f"person-{n}" for n in range(400)]
    _record(store, *(make_trace(n, subject=who) for n, who in enumerate(people)))
    _record(store, make_trace(1000, subject=people[7]))
    with store._readers.read() as db:
        keys = dict(db.execute("SELECT id - 1, wrapped FROM subjects"))
        sealed = dict(db.execute("SELECT seq, sealed FROM content"))
    gone = (7, 8, 200, 399)
    assert all(keys[n] in _all_bytes(folder) for n in gone)
    for n in gone:
        assert store.erase(people[n]) == (2 if n == 7 else 1)
        assert (folder / "keelmark.db-wal").stat().st_size == 0
    stored = _all_bytes(folder)
    for n in gone:
        # Not the whole of it nor any half: not even in unused parts of pages.
        assert keys[n][:40] not in stored
        assert keys[n][-40:] not in stored
        assert sealed[n][:40] not in stored
        assert store.read_content(f"{n:032x}") is None
        assert store.trace(f"{n:032x}").trace_id == f"{n:032x}"
    assert store.read_content(f"{9:032x}") == SAID
    assert keys[9] in stored
    report = store.verify()
    assert report.ok, report.text()
    erased = [record.body for record in store.records(kinds=["subject.erased"])]
    assert [set(body) for body in erased] == [{"subject"}] * 4


def test_a_subject_that_comes_back_gets_a_new_key(store: Store, make_trace: MakeTrace) -> None:
    _record(store, make_trace(1))
    store.erase("ada@example.org")
    _record(store, make_trace(2))
    assert store.read_content(f"{1:032x}") is None
    assert store.read_content(f"{2:032x}") == SAID
    before, after = (record.body["content"] for record in store.records(kinds=["request"]))
    assert before != after


def test_an_unknown_subject_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(UsageError, match="Nothing is stored of 'nobody'"):
        store.erase("nobody")
    assert list(store.records()) == []


@ONLY_SQLITE
def test_erase_says_when_a_reader_keeps_the_old_bytes(
    store: Store, folder: Path, make_trace: MakeTrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _record(store, make_trace(1))
    monkeypatch.setattr(port, "BUSY_SECONDS", 0.05)
    reading = store.records()
    next(reading)
    with pytest.raises(UnavailableError, match="key is destroyed"):
        store.erase("ada@example.org")
    reading.close()
    assert store.read_content(f"{1:032x}") is None
    assert store.erase("ada@example.org") == 1


def test_expire_deletes_old_content_only(open_store: OpenStore, make_trace: MakeTrace) -> None:
    now = [1_000_000.0]
    with open_store(clock=lambda: now[0]) as store:
        _record(store, make_trace(1))
        now[0] += 5 * 86400
        _record(store, make_trace(2))
        now[0] += 86400
        assert store.expire(3) == 1
        assert store.read_content(f"{1:032x}") is None
        assert store.read_content(f"{2:032x}") == SAID
        assert store.verify().ok


def test_another_or_a_missing_master_key_is_refused(
    folder: Path, open_store: OpenStore, make_trace: MakeTrace
) -> None:
    with open_store() as store:
        _record(store, make_trace(1))
    path = folder / "keys" / "master.key"
    master = path.read_bytes()
    assert len(master) == 32
    for change, words in (
        (lambda: path.write_bytes(bytes(32)), "not the key that this store was made with"),
        (lambda: path.write_bytes(b"short"), "not the key that this store was made with"),
        (path.unlink, "is missing"),
    ):
        change()
        with pytest.raises(IntegrityError, match=words):
            open_store()
    assert not path.exists()
    path.write_bytes(master)
    with open_store(None, read_only=True) as store:
        assert store.read_content(f"{1:032x}") == SAID
