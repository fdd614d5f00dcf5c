"""Holds on budgets and shared limits, on both databases: exact under races, and after a crash."""

import asyncio
import functools
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import racing
from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.core.metering import NOTHING, Amounts, Ceiling, Rate
from keelmark.store import Store, shelves
from keelmark.store.meter import SharedMeter
from keelmark.store.reconcile import open_meter, reconcile
from keelmark.store.shelves import FileShelf
from keelmark.store.usage import list_spent, sum_usage
from racing import EACH, hold_of, record

TWO = Ceiling(tokens=20)


@pytest.fixture
def meter(store):
    opened = open_meter(store)
    yield opened
    opened.close()


def spent(store):
    return store.read(list_spent)


def run(scene):
    return asyncio.run(scene())


def test_what_is_held_is_not_given_twice_and_comes_back(meter):
    async def scene():
        first, second, third = (hold_of(name, TWO) for name in "xyz")
        assert await meter.reserve(first) is None
        assert await meter.reserve(second) is None
        short = await meter.reserve(third)
        assert (short.what, short.waits, short.used) == ("tokens", True, NOTHING)
        assert short.held == Amounts(2000, 12, 8)
        meter.end(first, None)
        await meter.freed(5)
        assert await meter.reserve(third) is None

    run(scene)


def test_recorded_usage_counts_and_is_no_wait(store, meter):
    async def scene():
        hold = hold_of("x", TWO)
        assert await meter.reserve(hold) is None
        await record(store, hold, Amounts(7, 10, 5))
        meter.end(hold, Amounts(7, 10, 5))
        short = await meter.reserve(hold_of("y", TWO))
        assert (short.waits, short.used, short.held) == (False, Amounts(7, 10, 5), NOTHING)
        assert await meter.reserve(hold_of("z", TWO, amounts=Amounts(0, 5, 0))) is None

    run(scene)


@pytest.mark.parametrize(
    ("ceiling", "what"),
    [
        (Ceiling(money=999), "money"),
        (Ceiling(input=5), "input"),
        (Ceiling(output=3), "output"),
        (Ceiling(tokens=9), "tokens"),
    ],
)
def test_every_ceiling_is_one(meter, ceiling, what):
    short = run(lambda: meter.reserve(hold_of("x", ceiling)))
    assert (short.what, short.waits) == (what, False)
    assert run(meter.held) == {}


def test_a_hold_on_several_accounts_is_on_all_or_none(meter):
    async def scene():
        wide, narrow = Ceiling(tokens=1000), Ceiling(tokens=10)
        hold = racing.Hold(
            id="x",
            admitted=1.0,
            amounts=EACH,
            accounts=(("wide", wide), ("narrow", narrow)),
            about={**racing.ABOUT, "trace_id": "x"},
        )
        assert await meter.reserve(hold) is None
        again = await meter.reserve(msgspec.structs.replace(hold, id="y"))
        assert again.account == "narrow"
        assert await meter.held() == {"wide": EACH, "narrow": EACH}

    run(scene)


def test_who_stops_waiting_keeps_no_hold(meter):
    async def scene():
        for number in range(20):
            task = asyncio.create_task(meter.reserve(hold_of(f"x{number}", Ceiling())))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await meter.held() == {}

    run(scene)


def children(folder: Path, database: str, *runs: tuple[str, int, int, str]):
    here = Path(racing.__file__)
    path = os.pathsep.join(sys.path)
    for name, ceiling, calls, mode in runs:
        seed = bytes(range(32)).hex()
        words = [str(folder), database, seed, name, str(ceiling), str(calls), mode]
        yield subprocess.Popen(
            [sys.executable, str(here), *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )


def test_a_race_of_a_thousand_lets_exactly_so_many_through(store, folder, database):
    most = 137
    runs = [(f"p{n}", most * 10, 250, "race") for n in range(4)]
    started = list(children(folder, database, *runs))
    passed = [int(child.communicate(timeout=120)[0]) for child in started]
    assert sum(passed) == most
    assert spent(store)["a"].amounts == Amounts(1000 * most, 6 * most, 4 * most)
    (total,) = store.read(lambda db: sum_usage(db, (), 0, 1e12, {}))
    assert (total.calls, total.money) == (most, 1000 * most)


def test_holds_of_a_killed_process_are_charged_once_and_told(store, meter, folder, database):
    (child,) = children(folder, database, ("dead", 0, 6, "die"))
    assert child.stdout.readline() == "held\n"
    assert run(lambda: reconcile(store, meter)) == 0, "it lives"
    child.send_signal(signal.SIGKILL)
    child.communicate()

    async def until_found():
        async with asyncio.timeout(30):  # PostgreSQL hears of the death when the socket closes
            while not (found := await reconcile(store, meter)):  # noqa: ASYNC110 (other process)
                await asyncio.sleep(0.02)
        return found

    assert run(until_found) == 3, "the other three were recorded"
    assert run(lambda: reconcile(store, meter)) == 0
    assert run(meter.held) == {}
    assert spent(store)["a"] == (Amounts(6000, 36, 24), 6, 3000)
    lost = [r.body for r in store.records(["usage.lost"])]
    assert sorted(body["hold"] for body in lost) == ["dead-0", "dead-2", "dead-4"]
    assert lost[0]["usage"]["how"] == ["lost"]
    sums_agree(store)


def test_usage_that_comes_after_its_hold_was_given_up_is_the_difference(store, meter):
    async def scene():
        hold = hold_of("late", TWO)
        assert await meter.reserve(hold) is None
        meter.abandon(hold)
        assert await reconcile(store, meter) == 1
        await record(store, hold, Amounts(400, 6, 1))
        meter.end(hold, None)

    run(scene)
    assert spent(store)["a"].amounts == Amounts(400, 6, 1)
    (told,) = [r.body["usage"] for r in store.records(["request"])]
    assert (told["money"], told["output"], told["how"]) == (-600, -3, ["corrected"])
    sums_agree(store)


def sums_agree(store):
    """The sum of the ledger is that of the usage, and that of what is spent."""
    ledger = [r.body["usage"]["money"] for r in store.records(["request", "usage.lost"])]
    (total,) = store.read(lambda db: sum_usage(db, (), 0, 1e12, {}))
    assert sum(ledger) == total.money == sum(one.amounts.money for one in spent(store).values())


def rate(key="k", **fields):
    given = {"unit": "requests", "cost": 1, "most": 2, "seconds": 60.0, "burst": 2, **fields}
    return Rate(key=key, **given)


def test_shared_limits_pass_all_or_none(meter):
    async def scene():
        narrow, wide = rate("n"), rate("w", most=100, burst=100)
        for _ in range(2):
            assert not any(one.wait for one in await meter.enter("c", [narrow, wide]))
        levels = await meter.enter("c", [narrow, wide])
        assert 29 < levels[0].wait <= 30
        (left,) = await meter.enter("c", [wide])
        assert left.left == 97, "the refused one took nothing"

    run(scene)


def test_calls_at_work_are_counted_and_leave(meter):
    async def scene():
        two = rate(unit="concurrent", seconds=0.0)
        assert [(await meter.enter(name, [two]))[0].wait for name in "abc"] == [0, 0, 1]
        meter.leave("a", [two], None)
        assert (await meter.enter("c", [two]))[0].wait == 0

    run(scene)


def test_tokens_are_put_right_in_the_end(meter):
    async def scene():
        tokens = rate(unit="tokens", cost=50, most=100, burst=100)
        assert (await meter.enter("a", [tokens]))[0].left == 50
        meter.leave("a", [tokens], 10)
        assert (await meter.enter("b", [tokens]))[0].left == 40

    run(scene)


def test_a_closed_meter_says_so(store):
    meter = open_meter(store)
    meter.close()
    meter.close()
    with pytest.raises(UnavailableError, match="closed"):
        run(meter.held)


@pytest.mark.parametrize("jump", [-86_400, 86_400, 10**9])
def test_a_clock_that_jumps_locks_nobody_out(folder, signing_key, jump):
    now = [1_795_000_000.0]
    with Store.open(folder, signing_key):
        meter = SharedMeter(lambda: FileShelf(folder, clock=lambda: now[0]))

        async def scene():
            for _ in range(2):
                assert (await meter.enter("c", [rate()]))[0].wait == 0
            now[0] += jump
            levels = [(await meter.enter("c", [rate()]))[0] for _ in range(3)]
            assert levels[-1].wait <= 60, "as if no time had passed, or all of it"

        run(scene)
        meter.close()


def entered(folder, boot):
    """Enter once, and say how many more may."""
    meter = SharedMeter(lambda: FileShelf(folder, boot=boot))

    async def scene():
        return (await meter.enter("c", [rate(most=9, burst=9)]))[0].left

    left = run(scene)
    meter.close()
    return left


def test_limits_outlive_a_start_of_the_machine(folder, signing_key):
    with Store.open(folder, signing_key):
        assert [entered(folder, boot) for boot in ("a", "a", "b", "")] == [8, 7, 6, 5]


@pytest.mark.parametrize("boot", ["b", ""])
def test_a_file_that_was_cut_off_with_the_machine_is_begun_anew(folder, signing_key, caplog, boot):
    with Store.open(folder, signing_key):
        assert [entered(folder, "a"), entered(folder, "a")] == [8, 7]
        path = folder / "meter.db"
        path.write_bytes(path.read_bytes()[:4096] + b"\0" * 9000)
        assert entered(folder, boot) == 8
        assert "begun anew" in caplog.text
        assert entered(folder, boot) == 7


def test_a_file_that_cannot_be_read_is_not_thrown_away(folder, signing_key, monkeypatch):
    class Stuck(sqlite3.Connection):
        def execute(self, *_):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_READ"
            raise error

    with Store.open(folder, signing_key):
        assert entered(folder, "a") == 8
        connect = functools.partial(sqlite3.connect, factory=Stuck)
        with monkeypatch.context() as patch:
            patch.setattr(shelves, "_connected", connect)
            with pytest.raises(KeelmarkError):
                FileShelf(folder, boot="b")
        assert entered(folder, "b") == 7
