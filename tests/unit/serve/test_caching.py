"""Answers given again: to whom, of what, and never anything of anybody else."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway_parts import events, run, stack, text_of
from keelmark.app.quota import StoreMeter, meter_for
from keelmark.core.caching import Caching
from keelmark.core.policy import GuardRules, Policy, Repair, Retention, Rule
from keelmark.core.quota import Budget, Price, Quota
from keelmark.core.scope import Scope
from keelmark.core.trace import Content, Trace
from keelmark.guard import Guard
from keelmark.serve.caching import Wish, wish_of
from keelmark.serve.fake import Script
from keelmark.store import Store
from keelmark.store.kept import StoredAnswers

MASK = Rule(id="pii", detector="personal_data", action="mask")
SECRETS = Rule(id="secrets", detector="secrets", action="block", stage="output")


def policy_of(*rules, **section):
    guard = GuardRules(rules=rules or (MASK,))
    return Policy(name="caching", guard=guard, cache=Caching(enabled=True, **section))


@asynccontextmanager
async def caching(folder, script=None, *, policy=None, **engine):
    """The stack with a real guard and a real store behind its cache."""
    policy = policy or policy_of()
    signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    with Store.open(folder, signer) as store:
        async with stack(script, guard=Guard(policy), policy=policy, **engine) as gateway:
            answers = StoredAnswers(store)
            gateway.app.config = msgspec.structs.replace(gateway.app.config, answers=answers)
            gateway.app.use(gateway.guard, policy)
            gateway.store = store
            yield gateway


async def ask(gateway, text="Name a harbour.", *, stream=False, headers=None, **more):
    """Ask; return the text, the answer and its headers."""
    body = {"model": "fake", "temperature": 0, "stream": stream, **more}
    body.setdefault("messages", [{"role": "user", "content": text}])
    status, got, sent = await gateway.post("/v1/chat/completions", body, **(headers or {}))
    if status != 200:
        return status, got, sent
    said = text_of(events(got)) if stream else got["choices"][0]["message"]["content"]
    return said, got, sent


def state(answer):
    return answer[2].get("x-keelmark-cache")


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_is_answered_without_the_engine(tmp_path, stream):
    async def scene():
        async with caching(tmp_path) as gateway:
            first, second = [await ask(gateway, stream=stream) for _ in range(2)]
            assert (state(first), state(second)) == ("miss", "hit")
            assert first[:2] == second[:2]
            assert int(second[2]["age"]) >= 0
            assert "age" not in first[2]
            assert len(gateway.fake.received) == 1
            trace = gateway.traces[-1]
            assert trace.attributes["keelmark.cache"] == "hit"
            assert trace.attributes["gen_ai.usage.output_tokens"] == 5
            assert trace.output.outcome == "allow"
            assert len(gateway.recorder.records) == 2
            assert state(await ask(gateway, "Name another.", stream=stream)) == "miss"
            assert state(await ask(gateway, stream=stream, max_tokens=3)) == "miss"

    run(scene)


@pytest.mark.parametrize("first", [False, True])
def test_either_form_serves_the_other(tmp_path, first):
    async def scene():
        async with caching(tmp_path) as gateway:
            one, two = await ask(gateway, stream=first), await ask(gateway, stream=not first)
            assert state(two) == "hit"
            assert one[0] == two[0] == "Hello from the fake engine."
            whole = two[1] if first else one[1]
            chunks = events(one[1] if first else two[1])
            assert whole["choices"][0]["finish_reason"] == "stop"
            assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
            assert whole["usage"]["completion_tokens"] == 5
            assert whole["object"] == "chat.completion"
            assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}

    run(scene)


def test_nobody_gets_a_value_of_somebody_else(tmp_path):
    async def scene():
        policy = policy_of(shared_by="all")
        async with caching(tmp_path, Script(echo=True), policy=policy) as gateway:
            for stream in (False, True):
                said = []
                for who in ("anna", "bert"):
                    text = f"Write to {who}@example.org{'!' * stream}"
                    headers = {"x-keelmark-subject": who}
                    said.append(await ask(gateway, text, stream=stream, headers=headers))
                assert [state(one) for one in said] == ["miss", "hit"]
                assert "anna@example.org" in said[0][0]
                assert "bert@example.org" in said[1][0]
                assert "anna" not in said[1][0]
            literal = await ask(gateway, "Write to <EMAIL_1>")
            assert literal[0] == "Write to <EMAIL_1>"

    run(scene)


@pytest.mark.parametrize(
    ("shared_by", "hits"),
    [
        ("subject", [False, False, False, False]),
        ("key", [True, False, False, False]),
        ("team", [True, True, False, False]),
        ("all", [True, True, True, True]),
    ],
)
def test_who_shares_with_whom(tmp_path, shared_by, hits):
    async def scene():
        async with caching(tmp_path, policy=policy_of(shared_by=shared_by)) as gateway:
            keys = {
                name: {
                    "authorization": "Bearer " + gateway.keys.add(name, ("models",), team=team)[0]
                }
                for name, team in (("a", "one"), ("b", "one"), ("c", "two"), ("d", ""))
            }
            subject = {"x-keelmark-subject": "anna"}
            assert state(await ask(gateway, headers=keys["a"] | subject)) == "miss"
            assert state(await ask(gateway, headers=keys["a"] | subject)) == "hit"
            other = {"x-keelmark-subject": "bert"}
            found = [state(await ask(gateway, headers=keys["a"] | other)) == "hit"]
            found += [state(await ask(gateway, headers=keys[k] | subject)) == "hit" for k in "bcd"]
            assert found == hits

    run(scene)


def test_erased_with_its_subject(tmp_path):
    async def scene():
        async with caching(tmp_path) as gateway:
            anna = {"x-keelmark-subject": "anna"}
            await ask(gateway, headers=anna)
            trace = Trace(trace_id="0" * 32, started=1.0, subject="anna", key_id="k")
            await gateway.store.record(trace, Content(prompt=b"{}", answer=b"[]"))
            assert state(await ask(gateway, headers=anna)) == "hit"
            await asyncio.to_thread(gateway.store.erase, "anna")
            assert state(await ask(gateway, headers=anna)) == "miss"

    run(scene)


def test_another_policy_or_model_knows_nothing_of_it(tmp_path):
    async def scene():
        async with caching(tmp_path) as gateway:
            await ask(gateway)
            gateway.engine.digest = "sha256:others"
            assert state(await ask(gateway)) == "miss"
            gateway.engine.digest = "sha256:weights"
            assert state(await ask(gateway)) == "hit"
            stricter = policy_of(MASK, SECRETS)
            gateway.app.use(Guard(stricter), stricter)
            assert state(await ask(gateway)) == "miss"

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        Script(fault="error"),
        Script(fault="cut"),
        Script(fault="drop"),
        Script(fault="error_as_200"),
        Script(finish="content_filter"),
        Script(pieces=("The key is AKIA", "Z7QW4KLM2XPRT5VN and", " that was it.")),
    ],
    ids=["error", "cut", "drop", "error as 200", "filtered there", "filtered here"],
)
def test_only_what_is_complete_and_good_is_kept(tmp_path, script, stream):
    async def scene():
        async with caching(tmp_path, script, policy=policy_of(SECRETS)) as gateway:
            for _ in range(2):
                await gateway.chat(stream=stream, temperature=0)
                assert gateway.traces[-1].attributes["keelmark.cache"] == "miss"
            assert len(gateway.fake.received) == 2
            query = "SELECT count(*) FROM kept"
            assert gateway.store.read(lambda db: db.execute(query).fetchone()[0]) == 0

    run(scene)


def test_a_canary_is_no_part_of_the_name_and_one_that_came_out_is_not_kept(tmp_path):
    rule = Rule(
        id="leak",
        detector="prompt_leak",
        stage="output",
        action="flag",
        config={"canary": True},
    )
    leaks = []

    def script(body):
        token = body["messages"][0]["content"].rsplit(" ", 1)[-1]
        return Script(pieces=("It is ", token, ".") if leaks else ("Nothing.",))

    async def scene():
        async with caching(tmp_path, script, policy=policy_of(rule)) as gateway:
            said = {"messages": [{"role": "system", "content": "You are Ada."}]}
            for stream in (False, True):
                states = [state(await ask(gateway, stream=stream, **said)) for _ in range(2)]
                assert states == (["hit", "hit"] if stream else ["miss", "hit"])
            leaks.append(True)
            said["messages"].append({"role": "user", "content": "Your code?"})
            assert [state(await ask(gateway, **said)) for _ in range(2)] == ["miss", "miss"]

    run(scene)


def test_what_a_client_wishes(tmp_path):
    async def scene():
        async with caching(tmp_path) as gateway:
            only = {"cache-control": "only-if-cached"}
            status, answer, _ = await ask(gateway, headers=only)
            assert (status, answer["error"]["code"]) == (504, "not_cached")
            none = await ask(gateway, headers={"cache-control": "no-store"})
            assert state(none) == "bypass"
            assert state(await ask(gateway)) == "miss"
            assert state(await ask(gateway, headers=only)) == "hit"
            fresh = await ask(gateway, headers={"x-keelmark-cache": "no-cache"})
            assert state(fresh) == "bypass"
            assert gateway.traces[-1].attributes["keelmark.cache.why"].startswith("the client")
            assert state(await ask(gateway, headers={"x-keelmark-cache": "max-age=60"})) == "hit"
            status, answer, _ = await ask(gateway, headers={"x-keelmark-cache": "always"})
            assert (status, answer["error"]["code"]) == (400, "invalid_cache_directive")
            assert state(await ask(gateway, headers={"cache-control": "immutable"})) == "hit"

    run(scene)


def test_wishes_are_read():
    assert wish_of({}) == Wish()
    assert wish_of({b"cache-control": b"No-Store, max-age=5"}) == Wish(
        find=False, keep=False, age=5.0
    )
    assert wish_of({b"cache-control": b"no-cache", b"x-keelmark-cache": b"max-age=1"}).find


@pytest.mark.parametrize(
    ("section", "body", "engine", "why"),
    [
        ({}, {"temperature": 0.7}, {}, "not deterministic"),
        ({"scope": Scope(models=("other",))}, {}, {}, "out of the scope"),
        ({"unattested_seconds": 0.0}, {}, {"digest": ""}, "the weights of the engine"),
    ],
)
def test_what_has_nothing_to_do_with_it(tmp_path, section, body, engine, why):
    async def scene():
        async with caching(tmp_path, policy=policy_of(**section), **engine) as gateway:
            for _ in range(2):
                assert state(await ask(gateway, **body)) == "bypass"
            assert why in gateway.traces[-1].attributes["keelmark.cache.why"]
            if "temperature" in body:
                answers = [await ask(gateway, temperature=1, seed=7) for _ in range(2)]
                assert state(answers[1]) == "hit"

    run(scene)


def test_a_policy_that_keeps_no_content_keeps_no_answer(tmp_path):
    async def scene():
        policy = msgspec.structs.replace(policy_of(), retention=Retention(content="none"))
        async with caching(tmp_path, policy=policy) as gateway:
            assert [state(await ask(gateway)) for _ in range(2)] == ["bypass"] * 2

    run(scene)


def test_off_is_off(tmp_path):
    async def scene():
        policy = Policy(name="off", guard=GuardRules(rules=(MASK,)))
        async with caching(tmp_path, policy=policy) as gateway:
            answers = [await ask(gateway) for _ in range(2)]
            assert [state(one) for one in answers] == [None, None]
            assert "keelmark.cache" not in gateway.traces[-1].attributes

    run(scene)


def test_embeddings_and_completions(tmp_path):
    async def scene():
        async with caching(tmp_path) as gateway:
            for path, body in (
                ("/v1/embeddings", {"input": ["a", "b"]}),
                ("/v1/completions", {"prompt": "Once", "temperature": 0}),
            ):
                got = [await gateway.post(path, {"model": "fake", **body}) for _ in range(2)]
                assert [one[2]["x-keelmark-cache"] for one in got] == ["miss", "hit"]
                assert got[0][1] == got[1][1]

    run(scene)


def test_tools_in_either_form(tmp_path):
    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "post", "arguments": '{"to": "me"}'},
    }
    tools = [{"type": "function", "function": {"name": "post", "parameters": {"type": "object"}}}]
    script = Script(deltas=({"content": None, "tool_calls": [call]},), finish="tool_calls")

    async def scene():
        for first in (False, True):
            async with caching(tmp_path / str(first), script) as gateway:
                one = await ask(gateway, stream=first, tools=tools)
                two = await ask(gateway, stream=not first, tools=tools)
                assert state(two) == "hit"
                whole = two[1] if first else one[1]
                chunks = events(one[1] if first else two[1])
                (told,) = whole["choices"][0]["message"]["tool_calls"]
                assert told["function"] == call["function"]
                streamed = [
                    piece
                    for chunk in chunks
                    for choice in chunk["choices"]
                    for piece in choice["delta"].get("tool_calls") or ()
                ]
                assert (
                    "".join(p["function"].get("arguments") or "" for p in streamed)
                    == (call["function"]["arguments"])
                )

    run(scene)


def test_a_repaired_answer_is_given_again_by_the_same_steps(tmp_path):
    rule = Rule(
        id="form",
        detector="structured_output",
        stage="output",
        action="block",
        repair=Repair(attempts=1),
    )
    form = {"type": "json_object"}

    def script(body):
        asked_again = len(body["messages"]) > 1
        return Script(pieces=('{"ok": ', "true}") if asked_again else ("Sure!",))

    async def scene():
        async with caching(tmp_path, script, policy=policy_of(MASK, rule)) as gateway:
            for stream in (False, True):
                said = [await ask(gateway, stream=stream, response_format=form) for _ in range(2)]
                assert [one[0] for one in said] == ['{"ok": true}'] * 2
            assert len(gateway.fake.received) == 2
            bad = [await ask(gateway, "Hm.", response_format=form, n=2) for _ in range(2)]
            assert [one[0] for one in bad] == [422, 422]
            assert len(gateway.fake.received) == 4

    run(scene)


def test_a_dialect_shares_with_chat(tmp_path):
    async def scene():
        async with caching(tmp_path) as gateway:
            body = {
                "model": "fake",
                "max_tokens": 50,
                "temperature": 0,
                "messages": [{"role": "user", "content": "Hi"}],
            }
            got = [await gateway.post("/v1/messages", body) for _ in range(2)]
            assert [one[2]["x-keelmark-cache"] for one in got] == ["miss", "hit"]
            assert got[1][1]["content"][0]["text"] == "Hello from the fake engine."

    run(scene)


def test_a_cache_that_fails_fails_nobody(tmp_path):
    class Broken:
        async def find(self, name):
            return None

        async def keep(self, answer, room):
            raise OSError("disk full")

    async def scene():
        async with caching(tmp_path) as gateway:
            gateway.app.config = msgspec.structs.replace(gateway.app.config, answers=Broken())
            gateway.app.use(gateway.guard, gateway.app.config.policy)
            assert (await ask(gateway))[0] == "Hello from the fake engine."

    run(scene)


def test_a_long_answer_is_not_kept(tmp_path):
    async def scene():
        policy = policy_of(answer_bytes=1024)
        script = Script(pieces=("word " * 300,))
        async with caching(tmp_path, script, policy=policy) as gateway:
            assert [state(await ask(gateway)) for _ in range(2)] == ["miss", "miss"]

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_a_hit_costs_nothing_of_a_budget(tmp_path, stream):
    price = Price(input=Decimal("1.5"), output=Decimal(6))
    section = Quota(budgets=(Budget(id="all", window="total", tokens=5000),), prices=(price,))
    policy = msgspec.structs.replace(policy_of(), quota=section)

    def billed(store):
        return [one.body.get("usage") for one in store.records(["request"])]

    async def scene():
        async with caching(tmp_path, policy=policy) as gateway:
            holds = StoreMeter(gateway.store)
            try:
                meter = meter_for(gateway.store, policy, holds)
                gateway.app.config = msgspec.structs.replace(
                    gateway.app.config, meter=meter, recorder=gateway.store
                )
                gateway.app.use(gateway.guard, policy)
                assert [state(await ask(gateway, stream=stream)) for _ in range(2)] == [
                    "miss",
                    "hit",
                ]
                first, second = billed(gateway.store)
                assert first["input"] == 7
                assert (second["money"], second["input"], second["output"]) == (0, 0, 0)
                assert second["how"] == ["cache"]
                assert await holds.held() == {}
            finally:
                holds.close()

    run(scene)
