"""What the processes of one service say to each other, and what is taken back from a dead one."""

import asyncio
import os
import socket

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.app.workers.channel import Channel
from keelmark.app.workers.crew import Crew, _Hand
from keelmark.app.workers.messages import (
    Answer,
    EngineState,
    Enter,
    Exposition,
    Gauges,
    GiveBack,
    Leave,
    Reserve,
    Seen,
    Take,
    Write,
)
from keelmark.app.workers.office import Office, Shared
from keelmark.app.workers.remote import (
    RemoteEngine,
    RemoteLeases,
    RemoteRates,
    RemoteRecorder,
    RemoteScoring,
    describe,
    stand_ins,
)
from keelmark.app.workers.tally import Connections, SharedTally, make_words
from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.core.gcra import MemoryRates
from keelmark.core.metering import Amounts, Ceiling, Hold, Rate
from keelmark.core.trace import Content, Trace
from keelmark.observe.metrics import Metrics
from keelmark.serve.engine import Endpoint, Quirks, Scoring
from keelmark.serve.errors import ApiError

PLACE = Endpoint("http://127.0.0.1:1/v1", {"authorization": "Bearer x"})
BUSY = Rate("busy", "concurrent", 1, 2, 0.0, 2)
TRACE = Trace(trace_id="a" * 32, started=1.0, operation="chat", status=200, attributes={"a": [1]})
HOLD = Hold(
    id="h", admitted=1.0, amounts=Amounts(5, 3, 2), accounts=(("a", Ceiling(money=9)),), about={}
)


class Desk:
    """Everything that workers share, in memory; remembers what became of it."""

    def __init__(self):
        self.written, self.lent, self.held, self.abandoned = [], [], [], []
        self.granting = asyncio.Event()
        self.granting.set()
        self.rates = MemoryRates()

    async def record(self, trace, content, usage=()):
        await self.granting.wait()
        self.written.append((trace, content, tuple(usage)))

    async def take(self, base, *, scores):
        await self.granting.wait()
        self.lent.append(base)
        return PLACE

    def give_back(self, base):
        self.lent.remove(base)

    async def reserve(self, hold):
        self.held.append(hold.id)

    def end(self, hold, charged):
        self.held.remove(hold.id)

    def abandon(self, hold):
        self.abandoned.append(hold.id)

    def shared(self):
        return Shared(self, Metrics(), self, self.rates, self)


async def no_answer(_):
    raise UsageError("Nobody asks a worker this.")


class Pair:
    """A worker's end and the office at the other one."""

    def __init__(self, office):
        self.office, self.gone = office, asyncio.Event()
        self.theirs = Channel(office.answer, office.hear, self._lost)
        self.ours = Channel(no_answer, lambda _: None, lambda: None)

    def _lost(self):
        self.office.close()
        self.gone.set()

    async def __aenter__(self):
        ends = socket.socketpair()
        for end, channel in zip(ends, (self.ours, self.theirs), strict=True):
            end.setblocking(False)
            await channel.join(end)
        return self.ours

    async def __aexit__(self, *_):
        self.ours.close()
        await self.gone.wait()


def run(scenario):
    async def main():
        desk = Desk()
        await scenario(desk, desk.shared())

    asyncio.run(main())


async def until(true):
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (what is waited for is at the other end)
            await asyncio.sleep(0)


def test_what_is_written_is_what_was_sent():
    async def scenario(desk, shared):
        async with Pair(Office(shared)) as channel:
            recorder, content = RemoteRecorder(channel), Content(prompt=b"{}", answer=b"\xff")
            await recorder.record(TRACE, content)
            recorder.seen(TRACE)  # written down, so counted there and then
            recorder.seen(Trace(trace_id="b" * 32, started=1.0, operation="chat", status=503))
            text = await channel.ask(Exposition(), str)
        assert desk.written == [(TRACE, content, ())]
        assert 'status="200",outcome="none"} 1' in text
        assert 'status="503",outcome="none"} 1' in text

    run(scenario)


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("It is away.", retryable=False),
        UnavailableError("It is away for a moment."),
        UsageError("That is wrong."),
        ApiError(503, "model_loading", "Wait.", retry_after=7),
    ],
    ids=lambda error: error.message,
)
def test_errors_come_back_as_they_were(error):
    async def scenario(desk, shared):
        async def fail(*_, **__):
            raise error

        desk.take = fail
        async with Pair(Office(shared)) as channel:
            with pytest.raises(KeelmarkError) as said:
                await RemoteLeases(channel).take("local+a", scores=False)
        assert type(said.value) is type(error)
        assert vars(said.value) == vars(error)

    run(scenario)


def test_a_defect_is_told_without_its_words(caplog):
    async def scenario(desk, shared):
        async def fail(*_, **__):
            raise ValueError("a secret")

        desk.take = fail
        async with Pair(Office(shared)) as channel:
            with pytest.raises(KeelmarkError, match=r"failed inside \(ValueError\)"):
                await RemoteLeases(channel).take("local+a", scores=False)

    run(scenario)


def test_who_asks_hears_when_the_other_end_goes():
    async def scenario(desk, shared):
        desk.granting.clear()
        pair = Pair(Office(shared))
        async with pair as channel:
            asked = asyncio.create_task(RemoteRecorder(channel).record(TRACE, None))
            await asyncio.sleep(0)
            pair.theirs.close()
            with pytest.raises(UnavailableError, match="is gone"):
                await asked
            with pytest.raises(UnavailableError, match="is gone"):
                await channel.ask(Exposition())

    run(scenario)


def test_a_request_that_was_sent_is_written_though_its_worker_died():
    async def scenario(desk, shared):
        desk.granting.clear()
        async with Pair(Office(shared)) as channel:
            asked = asyncio.create_task(RemoteRecorder(channel).record(TRACE, None))
            await until(lambda: channel._open)
        with pytest.raises(UnavailableError):
            await asked
        desk.granting.set()
        await until(lambda: desk.written)
        assert "keelmark_requests_total{" in shared.metrics.render()

    run(scenario)


def test_what_a_dead_worker_had_is_taken_back():
    async def scenario(desk, shared):
        async with Pair(Office(shared)) as channel:
            rates = RemoteRates(channel)
            for call in ("a", "b"):
                assert not (await rates.enter(call, [BUSY]))[0].wait
            assert (await rates.enter("c", [BUSY]))[0].wait
            rates.leave("c", [BUSY], None)  # which never came in
            await channel.ask(Take("local+a", scores=False))
            await channel.ask(Take("local+a", scores=True))
            channel.tell(GiveBack("local+a"))
            await channel.ask(Reserve(HOLD))
            assert desk.lent == ["local+a"]
        assert desk.lent == []
        assert desk.abandoned == ["h"]
        levels = [(await desk.rates.enter(call, [BUSY]))[0] for call in "de"]
        assert not any(one.wait for one in levels)

    run(scenario)


def test_what_is_granted_too_late_is_taken_back():
    async def scenario(desk, shared):
        office = Office(shared)
        desk.granting.clear()
        late = asyncio.create_task(office.answer(Take("local+a", scores=False)))
        await asyncio.sleep(0)
        office.close()
        desk.granting.set()
        await late
        assert desk.lent == []
        await office.answer(Enter("a", (BUSY,)))
        await office.answer(Enter("b", (BUSY,)))
        assert not (await desk.rates.enter("c", [BUSY]))[0].wait

    run(scenario)


def test_who_stops_waiting_keeps_nothing():
    async def scenario(desk, shared):
        desk.granting.clear()
        async with Pair(Office(shared)) as channel:
            asked = asyncio.create_task(RemoteLeases(channel).take("local+a", scores=False))
            await until(lambda: channel._open)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            desk.granting.set()
            await until(lambda: not channel._open)  # it was granted, and the answer has come
            await channel.ask(Exposition())  # what was told before is heard before
            assert desk.lent == []

    run(scenario)


@given(cuts=st.lists(st.integers(1, 300), max_size=20))
@settings(max_examples=50, deadline=None)
def test_frames_do_not_depend_on_how_they_arrive(cuts):
    async def scenario():
        heard = []
        sender, receiver = (Channel(no_answer, heard.append, lambda: None) for _ in range(2))
        sent = bytearray()
        sender._transport = type("Wire", (), {"write": staticmethod(sent.extend)})()
        said = [Seen(TRACE), GiveBack("x" * 200), Leave("call", (BUSY,), 3)]
        for one in said:
            sender.tell(one)
        rest = bytes(sent)
        for cut in cuts:
            receiver.data_received(rest[:cut])
            rest = rest[cut:]
        receiver.data_received(rest)
        assert heard == said

    asyncio.run(scenario())


def test_a_frame_without_end_is_none():
    async def scenario(desk, shared):
        pair = Pair(Office(shared))
        async with pair as channel:
            channel._transport.write(b"\xff\xff\xff\xff....")
            async with asyncio.timeout(30):
                await pair.gone.wait()

    run(scenario)


def test_an_answer_nobody_waits_for_is_dropped():
    channel = Channel(no_answer, lambda _: None, lambda: None)
    channel._take(7, Answer(1))


def test_calls_at_work_are_counted_together():
    words, fd = make_words(3)
    try:
        first, second = SharedTally(words, 0), SharedTally(words, 1)
        assert [one.enter(3) for one in (first, second, first, second, first)] == [
            *[True] * 3,
            *[False] * 2,
        ]
        second.leave()
        assert first.enter(3)
        words.clear(0)  # it died with its three calls
        assert [second.enter(3) for _ in range(4)] == [True, True, True, False]
        own, other = Connections(words, 0), Connections(words, 1)
        own.add("a")
        assert own.most()
        assert not other.most()
        other.add("b")
        assert not own.most()  # the third one takes none
        own.discard("a")
        assert other.most()
    finally:
        os.close(fd)


STATE = EngineState(
    id="up", provider="openai", models=("a",), digest="", load_mode="", upstream_model="",
    first_byte_seconds=9.0, quirks=Quirks(), ready=True, endpoint=PLACE,
)  # fmt: skip


def test_engines_stand_in_a_worker_as_they_stand():
    async def scenario(desk, shared):
        known = []
        stand_ins(known, [STATE])
        (engine,) = known
        assert await describe(engine, 2) == STATE
        away = EngineState(
            **{f: getattr(STATE, f) for f in STATE.__struct_fields__}
            | {"ready": False, "endpoint": None, "reason": "It is restarted."}
        )
        stand_ins(known, [away])
        assert known == [engine]
        assert not engine.ready
        with pytest.raises(UnavailableError, match="It is restarted"):
            engine.endpoint()
        stand_ins(known, [])
        assert known == []

    run(scenario)


def test_slots_are_shared_out():
    async def scenario(desk, shared):
        engine = RemoteScoring(
            EngineState(
                **{f: getattr(STATE, f) for f in STATE.__struct_fields__}
                | {"slots": 5, "scores": PLACE, "context": 512}
            )
        )
        for workers, each in ((1, 5), (2, 2), (4, 1), (8, 1)):
            assert (await describe(engine, workers)).slots == each
        state = await describe(engine, 2)
        assert (state.scores, state.context) == (PLACE, 512)
        known = []
        stand_ins(known, [state])
        assert isinstance(known[0], Scoring)
        assert not isinstance(RemoteEngine(STATE), Scoring)

    run(scenario)


def test_only_what_is_listed_is_understood():
    async def scenario(desk, shared):
        async with Pair(Office(shared)) as channel:
            with pytest.raises(TypeError):
                channel.tell(object())
            await channel.ask(Write(TRACE, None))

    run(scenario)


def test_what_cannot_be_understood_ends_the_connection(caplog):
    async def scenario(desk, shared):
        pair = Pair(Office(shared))
        async with pair as channel:
            said = msgspec.msgpack.encode((0, ["Nothing", 1]))
            channel._transport.write(len(said).to_bytes(4, "big") + said)
            async with asyncio.timeout(30):
                await pair.gone.wait()
        assert "cannot be understood" in caplog.text

    run(scenario)


def test_what_workers_measure_is_joined():
    async def scenario(desk, shared):
        offices = [Office(shared), Office(shared)]
        for office, values in zip(offices, ((3, 1, 0.5), (4, 0, 0.0)), strict=True):
            async with Pair(office) as channel:
                names = ("queue_depth", "engine_left_alone", "engine_error_ratio")
                found = zip(names, values, strict=True)
                channel.tell(Gauges(tuple((f"keelmark_{n}", "up", float(v)) for n, v in found)))
                await channel.ask(Exposition())
        crew = Crew.__new__(Crew)
        crew._hands = {n: _Hand(n, None, None, one) for n, one in enumerate(offices)}
        assert {name: value for name, _, value in crew.gauges()} == {
            "keelmark_queue_depth": 7.0,
            "keelmark_engine_left_alone": 1.0,
            "keelmark_engine_error_ratio": 0.25,
        }

    run(scenario)
