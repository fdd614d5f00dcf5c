"""Answers that are kept: for whom, for how long, how much of them, and gone with their subject."""

import asyncio
import time

import msgspec
import pytest

from keelmark.core.caching import KeptAnswer
from keelmark.core.trace import Content, Trace
from keelmark.store.kept import StoredAnswers, find_kept, make_room

ROOM = 1024 * 1024


def answer(name="a", subject="anna", body=b"Ahoy.", seconds=60.0):
    now = time.time()
    return KeptAnswer(
        name=name, subject=subject, created=now, expires=now + seconds, streamed=False, body=body
    )


def keep(store, *answers, room=ROOM):
    kept = StoredAnswers(store)

    async def scene():
        for one in answers:
            await kept.keep(one, room)

    asyncio.run(scene())
    return kept


def find(store, name):
    return asyncio.run(StoredAnswers(store).find(name))


def test_given_again_as_it_was_kept(store):
    first = answer()
    keep(store, first)
    assert find(store, "a") == first
    assert find(store, "b") is None
    second = answer(body=b"Ahoy again.")
    keep(store, second)
    assert find(store, "a") == second


def test_gone_when_its_time_is_over(store):
    keep(store, answer(seconds=-1))
    assert find(store, "a") is None
    store.expire(1)
    assert store.read(lambda db: db.execute("SELECT count(*) FROM kept").fetchone()[0]) == 0


def test_gone_with_its_subject_and_only_then(store):
    async def spoken():
        trace = Trace(trace_id="0" * 32, started=1.0, subject="anna", key_id="k")
        await store.record(trace, Content(prompt=b"{}", answer=b"[]"))

    asyncio.run(spoken())
    keep(store, answer("a", "anna"), answer("b", "bert"))
    store.erase("anna")
    assert find(store, "a") is None
    assert find(store, "b") is not None
    keep(store, answer("c", "anna"))  # what she says afterwards is under another key
    assert find(store, "c") is not None


def test_nothing_of_it_can_be_read_in_the_database(store, tamper):
    keep(store, answer("a very secret question", "anna", b"a very secret answer"))
    ((name, subject, sealed),) = tamper("SELECT name, subject, sealed FROM kept")
    assert "secret" not in name
    assert "anna" not in subject
    assert b"secret" not in bytes(sealed)


@pytest.mark.parametrize("column", ["sealed", "name", "subject"])
def test_what_was_changed_is_not_given(store, tamper, column):
    keep(store, answer("a", "anna"), answer("b", "bert"))
    row, other = store.vault().kept_name("a"), store.vault().kept_name("b")
    if column == "name":  # one answer in the place of the other
        tamper("DELETE FROM kept WHERE name = ?", (row,))
        tamper("UPDATE kept SET name = ? WHERE name = ?", (row, other))
    elif column == "subject":
        tamper("UPDATE kept SET subject = ? WHERE name = ?", (store.vault().pseudonym("bert"), row))
    else:
        tamper("UPDATE kept SET sealed = ? WHERE name = ?", (b"x" * 40, row))
    assert find(store, "a") is None


def test_what_was_not_used_for_longest_goes_first(store):
    keep(store, *(answer(str(number), body=bytes(10_000)) for number in range(20)))

    def rows(db):
        return [name for (name,) in db.execute("SELECT name FROM kept").fetchall()]

    used = store.vault().kept_name("3")
    store.submit(lambda step: step.db.execute("UPDATE kept SET used = 9e9 WHERE name = ?", (used,)))
    store.submit(lambda step: make_room(step.db, 100_000, step.now))
    left = store.read(rows)
    assert used in left
    assert 7 <= len(left) <= 9
    assert store.vault().kept_name("19") in left
    store.submit(lambda step: make_room(step.db, 100_000, step.now))
    assert len(store.read(rows)) == len(left)


def test_there_is_never_much_more_than_there_is_room_for(store):
    keep(store, *(answer(str(number), body=bytes(4000)) for number in range(60)), room=100_000)
    size = store.read(lambda db: db.execute("SELECT sum(size) FROM kept").fetchone()[0])
    assert size <= 100_000 * 17 / 16 + 5000


def test_a_use_is_noted_when_the_last_one_was_long_ago(store):
    first = msgspec.structs.replace(answer(), created=time.time() - 3600)
    keep(store, first)

    async def scene():
        kept = StoredAnswers(store)
        assert await kept.find("a")
        while kept._noting:
            await asyncio.gather(*kept._noting)

    asyncio.run(scene())
    vault = store.vault()
    _, worth = store.read(lambda db: find_kept(db, vault, "a", time.time()))
    assert not worth
