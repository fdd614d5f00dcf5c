"""A running service is conducted: decisions from the board, wishes, rollouts."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from keelmark import app
from keelmark.app import decisions
from keelmark.app.conduct import Conductor, is_routed
from keelmark.core import events
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.events import FIELDS
from keelmark.core.policy import Policy
from keelmark.core.rollouts import Plan
from keelmark.core.routing import Routes
from keelmark.core.trace import Trace
from keelmark.serve.berths import Turns
from keelmark.serve.engines.llama import LlamaOptions
from keelmark.serve.hosted import HostedEngine, Nature
from keelmark.serve.loader import Loader
from keelmark.serve.steering import Steering


class Inner:
    load_mode, reranks, ready = "sealed", False, True

    async def start(self): ...

    async def stop(self): ...


class Fleet:
    """Two local models of which one fits beside an upstream."""

    def __init__(self, budget=10):
        self.loader = Loader(budget, Turns(stay=0.0))
        self.unloaded = []
        self.engines = [self.make(name) for name in ("one", "two")]
        self.engines.append(SimpleNamespace(id="openai", models=("gpt", "mini"), ready=True))

    def make(self, name):
        async def open_():
            return Inner(), lambda reason: self.unloaded.append((name, reason))

        return HostedEngine(
            name,
            id=f"llama:{name}",
            nature=Nature("sha256:x", "sealed", 6),
            options=LlamaOptions(),
            open_=open_,
            loader=self.loader,
        )

    def local(self, name):
        for engine in self.engines:
            if isinstance(engine, HostedEngine) and engine.name == name:
                return engine
        raise UsageError(f"There is no local model {name!r}.")

    async def add(self, name):
        self.engines.insert(0, self.make(name))
        return self.engines[0]

    async def remove(self, name):
        engine = self.local(name)
        self.engines.remove(engine)
        await engine.stop()


@asynccontextmanager
async def service(home, budget=10):
    fleet, said = Fleet(budget), []
    made = Conductor(home.store, fleet, Steering(), said.append)
    made.said = said
    try:
        await made.look()
        yield made
    finally:
        await fleet.loader.close()


on_both = pytest.mark.parametrize("home", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def home(request, tmp_path, monkeypatch):
    if getattr(request, "param", "sqlite") == "postgres":
        monkeypatch.setenv("KEELMARK_DATABASE", request.getfixturevalue("postgres_url"))
    with app.Home.open(tmp_path) as opened:
        yield opened


def bodies(home, kind):
    found = [record.body for record in home.store.records([kind])]
    assert all(FIELDS[kind] >= body.keys() for body in found)
    return found


@on_both
def test_a_switch_is_taken_up_by_every_service_and_survives_a_restart(home):
    async def scene():
        async with service(home) as first, service(home) as second:
            await first.fleet.loader.load("one")
            decisions.stop_model(home.store, "one", "it lies", "cli:eva")
            for conductor in (first, second):
                await conductor.look()
                assert conductor.steering.stopped["one"].reason == "it lies"
            await asyncio.gather(*first._tasks)
            assert first.fleet.unloaded == [("one", "It was stopped.")]
            reports = decisions.services(home.store)
            assert [report.stopped for report in reports] == [("one",), ("one",)]
        again = Conductor(home.store, Fleet(), Steering(), print)
        assert "one" in again.steering.stopped, "before the first request is served"
        async with service(home) as restarted:
            decisions.start_model(home.store, "one", "mended", "key_1")
            await restarted.look()
            assert restarted.steering.stopped == {}
            assert any("may answer again" in line for line in restarted.said)

    asyncio.run(scene())
    assert bodies(home, events.MODEL_STOPPED) == [
        {"name": "one", "reason": "it lies", "who": "cli:eva"}
    ]
    assert bodies(home, events.MODEL_STARTED) == [
        {"name": "one", "reason": "mended", "who": "key_1"}
    ]


def test_slips_of_the_keyboard_stop_nothing(home):
    async def scene():
        async with service(home) as conductor:
            with pytest.raises(UsageError, match=r"There is no model 'gtp'.*gpt"):
                decisions.stop_model(home.store, "gtp", "", "cli")
            await conductor.act("stop", "gpt", "", "key_1")
            assert "gpt" in conductor.steering.stopped, "at once"
            with pytest.raises(UsageError, match="stopped already"):
                await conductor.act("stop", "gpt", "", "key_1")
            with pytest.raises(UsageError, match="not stopped"):
                await conductor.act("start", "mini", "", "key_1")

    asyncio.run(scene())


def test_wishes_need_a_running_service(home):
    with pytest.raises(UsageError, match="keelmark up"):
        decisions.wish(home.store, "load", "one", "", "cli")


def granted(home, conductor, verb, name):
    async def scene():
        key = decisions.wish(home.store, verb, name, "why", "cli")
        await conductor.look()
        await asyncio.gather(*conductor._tasks)
        answer = decisions.granted(home.store, key)
        assert decisions.granted(home.store, key) is None, "told once"
        return answer

    return scene()


def test_wishes_are_granted(home):
    async def scene():
        async with service(home) as conductor:
            berths = conductor.fleet.loader.berths
            assert (await granted(home, conductor, "load", "two")).done
            assert berths["two"].takes == 6
            states = {m["name"]: m["state"] for m in (await conductor.models())["models"]}
            assert states == {"one": "unloaded", "two": "loaded", "gpt": "ready", "mini": "ready"}
            assert (await granted(home, conductor, "unload", "two")).done
            assert conductor.fleet.unloaded == [("two", "Asked for by cli: why.")]
            assert (await granted(home, conductor, "add", "three")).done
            assert "three" in berths
            assert (await granted(home, conductor, "remove", "three")).done
            assert "three" not in berths
            for verb in ("load", "unload", "remove"):
                answer = await granted(home, conductor, verb, "nobody")
                assert not answer.done
                assert "no local model" in answer.message
            await conductor.act("stop", "one", "", "key_1")
            assert "models start one" in (await granted(home, conductor, "load", "one")).message

    asyncio.run(scene())


def ask(home, conductor, count, *, worse=False, first=0):
    """Requests as a gateway records them."""

    async def scene():
        for number in range(first, first + count):
            trace = Trace(
                trace_id=f"{number:032x}",
                started=0.0,
                key_id="key",
                subject=f"s{number}",
                model="one",
                status=200,
                engine="llama",
                timings={"total": 10.0 + number % 7},
                attributes={},
            )
            arm = conductor.steering.arm(trace)
            if worse and arm == "two":
                trace.status, trace.error = 502, "engine_gone"
            await home.store.record(trace, None)

    return scene()


def begin(home, **plan):
    wanted = Plan(**{"steps": (50, 80, 100), "seconds": 0.0, "least": 10, **plan})
    return decisions.roll_out(home.store, "one", "two", wanted, "smaller", "cli:eva")


@on_both
def test_a_rollout_goes_step_by_step_and_survives_a_restart(home):
    async def scene():
        begin(home)
        async with service(home, budget=12) as conductor:
            await conductor.look()
            await ask(home, conductor, 5)
            await conductor.look()
            assert conductor.steering.rollouts["one"].step == 0, "too few observations"
        async with service(home, budget=12) as conductor:
            await ask(home, conductor, 60, first=5)
            await conductor.look()
            await conductor.look()
            rollout = conductor.steering.rollouts["one"]
            assert (rollout.step, rollout.share) == (1, 80)
            (told,) = await conductor.rollouts()
            assert told["share"] == 80
            await ask(home, conductor, 60, first=100)
            await conductor.look()
            await conductor.look()
            rollout = conductor.steering.rollouts["one"]
            assert (rollout.state, rollout.share) == ("done", 100)
            assert conductor.steering.arm(Trace(trace_id="x", started=0, model="one")) == "two"

    with pytest.raises(UsageError, match="no model"):
        begin(home)
    home.store.put_model("one", home.data, "sha256:1")
    home.store.put_model("two", home.data, "sha256:2")
    asyncio.run(scene())
    (started,) = bodies(home, events.ROLLOUT_STARTED)
    assert (started["who"], started["reason"]) == ("cli:eva", "smaller")
    (step,) = bodies(home, events.ROLLOUT_STEP)
    assert step["share"] == 80
    assert step["evidence"]["counted"]["new"] >= 10
    (ended,) = bodies(home, events.ROLLOUT_ENDED)
    assert ended["outcome"] == "done"
    with pytest.raises(UsageError, match="rollout abort one"):
        begin(home)
    decisions.abort(home.store, "one", "second thoughts", "cli:eva")
    assert bodies(home, events.ROLLOUT_ENDED)[1]["outcome"] == "aborted"
    with pytest.raises(UsageError, match="no rollout"):
        decisions.abort(home.store, "one", "", "cli")


def test_what_does_worse_is_rolled_back(home):
    async def scene():
        async with service(home, budget=12) as conductor:
            begin(home)
            await conductor.look()
            await ask(home, conductor, 200, worse=True)
            await conductor.look()
            assert "one" not in conductor.steering.rollouts, "everybody is with the old one again"
            assert any("rolled back" in line for line in conductor.said)

    asyncio.run(scene())
    (ended,) = bodies(home, events.ROLLOUT_ENDED)
    assert ended["outcome"] == "rolled_back"
    assert ended["who"] == "keelmark"
    assert "failed requests" in ended["reason"]
    assert ended["evidence"]["errors"]["old"][0] == 0


@pytest.mark.parametrize("why", ["stopped", "not in the service", "do not fit", "a route"])
def test_what_cannot_go_on_is_aborted(home, why):
    async def scene():
        async with service(home, budget=10 if why == "do not fit" else 12) as conductor:
            begin(home)
            if why == "stopped":
                decisions.stop_model(home.store, "two", "", "cli")
            if why == "a route":
                policy = Policy(routes=Routes(models={"o*": "llama:one"}))
                conductor.routed = lambda name: is_routed(policy, name)
            if why == "not in the service":
                await conductor.fleet.remove("two")
            await conductor.look()

    asyncio.run(scene())
    (ended,) = bodies(home, events.ROLLOUT_ENDED)
    assert ended["outcome"] == "aborted"
    assert why in ended["reason"]


def test_models_of_a_rollout_are_not_taken_out_and_not_rolled_out_twice(home):
    async def scene():
        async with service(home, budget=12) as conductor:
            await conductor.roll_out("one", "two", Plan(), "", "key_1")
            assert "part of a rollout" in (await granted(home, conductor, "remove", "two")).message
            with pytest.raises(UsageError, match="end it first"):
                await conductor.roll_out("gpt", "two", Plan(), "", "key_1")
            await conductor.abort("one", "", "key_1")
            await conductor.act("stop", "one", "", "key_1")
            with pytest.raises(UsageError, match="is stopped"):
                await conductor.roll_out("one", "two", Plan(), "", "key_1")

    asyncio.run(scene())


@on_both
def test_two_services_make_one_step(home):
    async def scene():
        async with service(home, budget=12) as first, service(home, budget=12) as second:
            begin(home)
            await first.look()
            await ask(home, first, 60)
            stale = decisions.rollouts(home.store)[0]
            await asyncio.gather(first.look(), second.look())
            await asyncio.gather(first.look(), second.look())
            assert first.steering.rollouts["one"].step == 1
            assert not decisions.next_step(home.store, stale, {}, "late")
            assert not decisions.end(home.store, stale, "rolled_back", "late", "x", {})

    asyncio.run(scene())
    assert len(bodies(home, events.ROLLOUT_STEP)) == 1


def test_the_service_goes_on_when_the_board_cannot_be_read(home, monkeypatch, caplog):
    async def scene():
        async with service(home) as conductor:
            decisions.stop_model(home.store, "one", "", "cli")
            looks, take_up = [], decisions.take_up

            def broken(*words):
                looks.append(words)
                if len(looks) < 4:
                    raise UnavailableError("The database is away.")
                take_up(*words)

            monkeypatch.setattr(decisions, "take_up", broken)
            monkeypatch.setattr("keelmark.app.conduct.LOOK_SECONDS", 0)
            running = asyncio.create_task(conductor.run())
            while not conductor.steering.stopped:  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0.001)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scene())
    assert caplog.text.count("The database is away.") == 1, "told once"


def test_a_service_that_ended_is_not_shown(home):
    async def scene():
        async with service(home) as conductor:
            assert len(decisions.services(home.store)) == 1
            running = asyncio.create_task(conductor.run())
            await asyncio.sleep(0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scene())
    assert decisions.services(home.store) == []
