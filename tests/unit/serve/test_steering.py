"""Models that are stopped, and models that another one takes the place of."""

import asyncio

import msgspec
import pytest

from gateway_parts import GUARDED, run, stack
from keelmark.core import semconv
from keelmark.core.errors import UsageError
from keelmark.core.rollouts import Plan, Rollout
from keelmark.core.routing import Node, Routes
from keelmark.serve.fake import Script
from keelmark.serve.steering import Steering, Switch

OFF = Switch(name="fake", reason="it lies", who="key_1", at=0.0)
SLOW = Script(pieces=("one ", "two ", "three "), fault="hang", after=2)


def rollout(share, state="running"):
    plan = Plan(steps=(share, 100)) if share < 100 else Plan(steps=(100,))
    return Rollout(id="r", name="fake", to="other", plan=plan, since=0, seq=0, state=state)


def test_a_model_that_is_stopped_refuses_at_once_and_says_so():
    async def scene():
        async with stack() as s:
            s.app.config.steering.use({"fake": OFF}, {})
            status, body, headers = await s.chat()
            assert (status, body["error"]["code"]) == (503, "model_stopped")
            assert "it lies" not in body["error"]["message"], "the reason is for the ledger"
            assert "retry-after" not in headers, "nobody knows when"
            (record,) = s.recorder.records
            assert (record[0].status, record[0].error) == (503, "model_stopped")
            assert s.fake.received == []
            (listed,) = (await s.get("/v1/models"))[1]["data"]
            assert listed["keelmark"]["state"] == "stopped"
            assert listed["keelmark"]["ready"] is False
            assert (await s.get("/readyz"))[1]["stopped"] == ["fake"]
            s.app.config.steering.use({}, {})
            assert (await s.chat())[0] == 200

    run(scene)


@pytest.mark.parametrize("streams", [True, False])
def test_what_a_model_works_at_is_ended_when_it_is_stopped(streams):
    async def scene():
        async with stack(SLOW) as s:
            asking = asyncio.create_task(s.chat(stream=streams))
            while not s.fake.running:  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0.001)
            s.app.config.steering.use({"fake": OFF}, {})
            status, body, _ = await asyncio.wait_for(asking, 30)
            if streams and status == 200:
                *_, last = [p for p in body.split(b"\n\n") if p]
                body = msgspec.json.decode(last.removeprefix(b"data: "))
            assert body["error"]["code"] == "model_stopped"
            (record,) = s.recorder.records
            assert record[0].error == "model_stopped"
            while s.fake.running:  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0.001)
            assert s.fake.cancelled == 1
            assert not s.app.config.steering.leashes

    run(scene)


def test_other_models_go_on_when_one_is_stopped():
    async def scene():
        async with stack(SLOW) as s:
            asking = asyncio.create_task(s.chat(stream=True))
            while not s.fake.running:  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0.001)
            other = msgspec.structs.replace(OFF, name="other")
            s.app.config.steering.use({"other": other}, {})
            await asyncio.sleep(0)
            assert s.fake.running == 1
            s.app.config.steering.use({"fake": OFF, "other": other}, {})
            await asyncio.wait_for(asking, 30)

    run(scene)


def test_a_request_that_is_being_recorded_is_not_interrupted():
    async def scene():
        async with stack() as s:
            begun, go_on = asyncio.Event(), asyncio.Event()
            record = s.recorder.record

            async def slowly(trace, content, *more):
                begun.set()
                await go_on.wait()
                await record(trace, content, *more)

            s.recorder.record = slowly
            asking = asyncio.create_task(s.chat())
            await begun.wait()
            s.app.config.steering.use({"fake": OFF}, {})
            go_on.set()
            assert (await asking)[0] == 200
            assert s.recorder.records[0][0].status == 200

    run(scene)


def test_the_new_model_answers_under_the_name_that_was_asked_for():
    async def scene():
        async with stack(models=("fake", "other")) as s:
            s.app.config.steering.use({}, {"fake": rollout(100, "done")})
            status, body, _ = await s.chat()
            assert (status, body["model"]) == (200, "fake")
            assert s.fake.received[0]["model"] == "other"
            trace = s.recorder.records[0][0]
            assert trace.model == "fake"
            assert trace.attributes[semconv.ROLLOUT_ARM] == "other"
            assert semconv.ROLLOUT not in trace.attributes, "it is over, so it counts for nothing"

    run(scene)


def test_a_running_rollout_is_in_the_trace_and_a_subject_stays_in_its_arm():
    async def scene():
        async with stack(models=("fake", "other")) as s:
            s.app.config.steering.use({}, {"fake": rollout(50)})
            for number in range(80):  # which arm is by chance: the key is a new one each time
                await s.chat(user=f"s{number % 40}")
            arms = {}
            for sent, (trace, _) in zip(s.fake.received, s.recorder.records, strict=True):
                assert trace.attributes[semconv.ROLLOUT] == "r"
                assert trace.attributes[semconv.ROLLOUT_STEP] == 0
                assert trace.attributes[semconv.ROLLOUT_ARM] == sent["model"]
                arms.setdefault(trace.subject, set()).add(sent["model"])
            assert all(len(models) == 1 for models in arms.values())
            assert set.union(*arms.values()) == {"fake", "other"}

    run(scene)


def test_a_new_model_that_is_stopped_is_refused_under_the_old_name():
    async def scene():
        async with stack(models=("fake", "other")) as s:
            switch = msgspec.structs.replace(OFF, name="other")
            s.app.config.steering.use({"other": switch}, {"fake": rollout(100, "done")})
            assert (await s.chat())[1]["error"]["code"] == "model_stopped"

    run(scene)


def test_a_model_that_is_stopped_is_stopped_by_every_route_to_it():
    """An embedded model has one name of its own, whatever a route calls it there."""

    async def scene():
        routes = Routes(models={"chat": Node(engine="fake", model="anything")})
        policy = msgspec.structs.replace(GUARDED, routes=routes)
        async with stack(policy=policy, upstream_model="fake") as s:
            assert (await s.chat(model="chat"))[0] == 200
            s.app.config.steering.use({"fake": OFF}, {})
            assert (await s.chat(model="chat"))[1]["error"]["code"] == "model_stopped"
            status, body, _ = await s.get("/v1/tokenizer_info")
            assert (status, body["error"]["code"]) == (404, "not_found")

    run(scene)


def test_an_engine_is_refused_when_all_its_models_are_stopped():
    steering = Steering()
    steering.use({"a": OFF, "b": OFF}, {})
    assert steering.refuses(("a", "b"))
    assert not steering.refuses(("a", "c"))
    assert not steering.refuses(()), "it takes any name"


class Controls:
    """Says what it was told."""

    def __init__(self):
        self.told = []

    async def models(self):
        return {"models": []}

    async def act(self, *words):
        if words[1] == "nobody":
            raise UsageError("There is no model 'nobody' here.")
        self.told.append(words)
        return "Done."

    async def rollouts(self):
        return []

    async def roll_out(self, *words):
        self.told.append(words)

    async def abort(self, *words):
        self.told.append(words)


def steered(s):
    controls = Controls()
    s.app.config = msgspec.structs.replace(s.app.config, controls=controls)
    secret, key = s.keys.add("ops", ("admin",))
    return controls, key, {"authorization": f"Bearer {secret}"}


def test_models_and_rollouts_are_steered_over_http():
    async def scene():
        async with stack() as s:
            controls, key, auth = steered(s)
            assert (await s.get("/api/v1/models", auth))[1] == {"models": []}
            assert (await s.get("/api/v1/rollouts", auth))[1] == {"data": []}
            path = "/api/v1/models/org/m%201/stop"
            status, body, _ = await s.post(path, {"reason": "why"}, **auth)
            assert (status, body) == (200, {"message": "Done."})
            await s.post("/api/v1/models", {"model": "x=./x.gguf"}, **auth)
            begin = {"model": "a", "to": "b", "plan": {"steps": [5, 100]}}
            assert (await s.post("/api/v1/rollouts", begin, **auth))[0] == 200
            assert (await s.post("/api/v1/rollouts/a/abort", {}, **auth))[0] == 200
            assert controls.told == [
                ("stop", "org/m 1", "why", key.id),
                ("add", "x=./x.gguf", "", key.id),
                ("a", "b", Plan(steps=(5, 100)), "", key.id),
                ("a", "", key.id),
            ]

    run(scene)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/models/m/explode", {}, 404),
        ("/api/v1/models//stop", {}, 404),
        ("/api/v1/rollouts/m/begin", {}, 404),
        ("/api/v1/models/nobody/stop", {}, 400),
        ("/api/v1/models/m/stop", {"why": "x"}, 400),
        ("/api/v1/models/m/stop", {"reason": "a\nb"}, 400),
        ("/api/v1/models/m/stop", {"reason": 5}, 400),
        ("/api/v1/models/m/stop", b"{", 400),
        ("/api/v1/models", {}, 400),
        ("/api/v1/rollouts", {"model": "a", "to": "b", "plan": {"alarm": 2}}, 400),
    ],
)
def test_what_cannot_be_meant_is_refused(path, body, status):
    async def scene():
        async with stack() as s:
            controls, _, auth = steered(s)
            got, said, _ = await s.post(path, body, **auth)
            assert got == status
            assert said["error"]["message"].endswith(".")
            assert controls.told == []

    run(scene)


def test_steering_is_for_admins_and_only_where_it_is_possible():
    async def scene():
        async with stack() as s:
            controls, _, auth = steered(s)
            for method, path in (
                ("get", "/api/v1/models"),
                ("get", "/api/v1/rollouts"),
                ("post", "/api/v1/models"),
                ("post", "/api/v1/rollouts"),
                ("post", "/api/v1/models/m/stop"),
                ("post", "/api/v1/rollouts/m/abort"),
            ):
                words = () if method == "get" else ({},)
                assert (await getattr(s, method)(path, *words))[0] == 403, path
                nobody = {"authorization": "Bearer sk-km-nobody-0123456789"}
                refused = s.get(path, nobody) if method == "get" else s.post(path, {}, **nobody)
                assert (await refused)[0] == 401, path
            assert controls.told == []
            s.app.config = msgspec.structs.replace(s.app.config, controls=None)
            status, body, _ = await s.get("/api/v1/models", auth)
            assert (status, body["error"]["code"]) == (501, "not_here")

    run(scene)
