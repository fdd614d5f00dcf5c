"""Laws of routes: who is asked, in which order, and what never leaves the house."""

import asyncio
import random
from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keelmark.core.errors import UnavailableError
from keelmark.core.policy import Policy
from keelmark.core.routing import Breaker, Node, Routes, as_node
from keelmark.core.trace import Trace
from keelmark.guard import Guard
from keelmark.serve.calls import CHAT, Call
from keelmark.serve.health import Health
from keelmark.serve.http import Request
from keelmark.serve.routing import Router, share_of
from routing_parts import Answering, Door

ENGINES = ("local-a", "local-b", "hosted")
FAULTS = ("", "connect", "500", "503", "429", "401")


# --- trees ---


def _parts(children):
    several = st.lists(children, min_size=1, max_size=3).map(tuple)
    weights = st.lists(st.tuples(children, st.integers(0, 5)), min_size=1, max_size=3).filter(
        lambda shares: any(weight for _, weight in shares)
    )
    when = st.tuples(st.booleans(), children, children)
    return st.one_of(
        several.map(lambda parts: {"fallback": parts}),
        several.map(lambda parts: {"least_busy": parts}),
        several.map(lambda parts: {"fastest": parts}),
        several.map(lambda parts: {"cheapest": parts}),
        weights.map(lambda shares: {"weights": [{"to": to, "weight": w} for to, w in shares]}),
        when.map(lambda one: {"when": [{"stream": one[0], "to": one[1]}], "otherwise": one[2]}),
    )


TREES = st.recursive(st.sampled_from(ENGINES), _parts, max_leaves=8)


def _leaves(node):
    node = as_node(node)
    if node.engine:
        return {node.engine}
    held = [*node.fallback, *node.cheapest, *node.fastest, *node.least_busy]
    held += [one.to for one in (*node.weights, *node.when)]
    held += [node.otherwise] * bool(node.otherwise)
    return set().union(*map(_leaves, held))


def _plan(tree, subject="", *, stream=False, salt=""):
    routes = Routes(models={"m": msgspec.convert(tree, Node | str)}, salt=salt)
    policy = Policy(routes=routes)
    door = Door("", ENGINES, Answering())
    router = Router(policy, door.engines, Guard(policy), Health())
    trace = Trace(trace_id="t", started=0.0, model="m", subject=subject, key_id="k", stream=stream)
    request = Request("POST", "/", {}, 0, "", None, None)
    call = Call(request=request, kind=CHAT, trace=trace, body={"messages": []})
    return routes.models["m"], asyncio.run(router.plan(call)).targets


@settings(max_examples=100, deadline=None)
@given(TREES, st.text(max_size=5), st.booleans())
def test_a_plan_has_targets_of_its_tree_each_once_and_stays(tree, subject, stream):
    node, targets = _plan(tree, subject, stream=stream)
    names = [one.engine.id for one in targets]
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= _leaves(node)
    assert [one.engine.id for one in _plan(tree, subject, stream=stream)[1]] == names


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(ENGINES), min_size=1, max_size=5))
def test_a_fallback_keeps_its_order(names):
    _, targets = _plan({"fallback": names})
    assert [one.engine.id for one in targets] == list(dict.fromkeys(names))


# --- shares ---

WEIGHTS = st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any)


@given(WEIGHTS)
def test_shares_are_exact(weights):
    total, below = sum(weights), 0
    for share, weight in enumerate(weights):
        first = -(-(below << 64) // total)
        below += weight
        if weight:
            assert share_of(first, weights) == share
            assert share_of(-(-(below << 64) // total) - 1, weights) == share


@given(WEIGHTS, st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_who_is_in_the_first_share_stays_when_it_grows(weights, number, more):
    if share_of(number, weights) == 0:
        assert share_of(number, [weights[0] + more, *weights[1:]]) == 0


def test_subjects_fall_into_shares_by_their_weights_and_stay():
    tree = {"weights": [{"to": "hosted", "weight": 1}, {"to": "local-a", "weight": 3}]}
    routes = Routes(models={"m": msgspec.convert(tree, Node)})
    policy = Policy(routes=routes)
    router = Router(policy, Door("", ENGINES, Answering()).engines, Guard(policy), Health())

    async def engine_of(subject):
        trace = Trace(trace_id="t", started=0.0, model="m", subject=subject, key_id="k")
        call = Call(request=Request("POST", "/", {}, 0, "", None, None), kind=CHAT, trace=trace)
        return (await router.plan(call)).targets[0].engine.id

    async def scene():
        found = Counter([await engine_of(str(number)) for number in range(4000)])
        assert 900 < found["hosted"] < 1100
        assert {await engine_of("ada") for _ in range(20)} == {await engine_of("ada")}

    asyncio.run(scene())


# --- one answer ---

FALLBACK = """
routes:
  models: {m: {fallback: [hosted, local-a, local-b]}}
  retry: {attempts: 1, backoff_ms: 0}
  breaker: {failures: 1000, least: 1000}
  hedge: %s
"""


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(FAULTS), max_size=3) for name in ENGINES}
    ),
    st.booleans(),
    st.sampled_from(["null", "{after_ms: 0}"]),
)
def test_exactly_one_engine_answers_or_the_last_error_is_said(faults, stream, hedge):
    transport = Answering(faults)
    door = Door(FALLBACK % hedge, ENGINES, transport)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    status, raw = asyncio.run(door.post("/v1/chat/completions", body))
    [(trace, _)] = door.recorder.records
    assert raw.count(b'"ok"') == (status == 200)
    assert (trace.status == 200) == (status == 200)
    asked = [name for name, _ in transport.sent]
    if status == 200:
        assert trace.engine in asked
    else:
        assert status in (429, 502, 503)
        assert set(asked) == set(ENGINES)
    if hedge == "null":
        order = ["hosted", "local-a", "local-b"]
        assert list(dict.fromkeys(asked)) == order[: len(set(asked))]
        assert all(asked.count(name) <= 2 for name in ENGINES)
    reports = door.app.health.reports().values()
    assert all(one.in_flight == 0 for one in reports)


class Pausing(Answering):
    """Engines that say their name in three pieces, with pauses, and may break off."""

    def __init__(self, pauses, breaks):
        super().__init__()
        self.pauses, self.breaks = pauses, breaks

    async def send(self, method, url, *, headers, body, timeout):
        name = url.removeprefix("http://").partition("/")[0]
        self.sent.append((name, body))
        await _wait(self.pauses[name][0])
        if self.breaks[name] == 0:
            raise UnavailableError("It is gone.")
        return _Named(name, self.pauses[name][1], self.breaks[name])


class _Named:
    status, headers = 200, {"content-type": "text/event-stream"}

    def __init__(self, name, pause, breaks):
        self.name, self.pause, self.breaks = name, pause, breaks

    async def chunks(self):
        for number in range(3):
            await _wait(self.pause)
            if number + 1 == self.breaks:
                raise UnavailableError("It is gone.")
            end = "stop" if number == 2 else None
            choice = {"index": 0, "delta": {"content": f"{self.name} "}, "finish_reason": end}
            yield b"data: " + msgspec.json.encode({"id": "x", "choices": [choice]}) + b"\n\n"
        yield b"data: [DONE]\n\n"

    async def close(self, *, over=False): ...


async def _wait(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries({name: st.tuples(*[st.integers(0, 6)] * 2) for name in ENGINES}),
    st.fixed_dictionaries({name: st.sampled_from([9, 9, 0, 1, 2, 3]) for name in ENGINES}),
    st.booleans(),
)
def test_what_leaves_is_of_one_engine_however_hedges_interleave(pauses, breaks, restarts):
    more = "\n  after_first_byte: restart" if restarts else ""
    door = Door((FALLBACK % "{after_ms: 0, most: 2}") + more, ENGINES, Pausing(pauses, breaks))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    wish = {"x-keelmark-after-first-byte": "restart"}
    status, raw = asyncio.run(door.post("/v1/chat/completions", body, **wish))
    *void, last = raw.split(b"event: keelmark.restart\n")
    assert not void or restarts
    for part in (*void, last):
        assert sum(name.encode() in part for name in ENGINES) <= 1
    [(trace, _)] = door.recorder.records
    if b"[DONE]" in last:
        assert last.count(trace.engine.encode()) == 3
        assert trace.error == ""
    else:
        assert trace.error
    if all(at == 9 for at in breaks.values()):
        assert (status, bool(void), trace.error) == (200, False, "")
    assert all(one.in_flight == 0 for one in door.app.health.reports().values())


# --- privacy ---

PRIVATE = """
routes:
  models:
    "*":
      when:
        - finds: [EMAIL, secrets]
          to: {fallback: [local-a, local-b]}
      otherwise: {fallback: [hosted, local-a]}
  retry: {attempts: 1, backoff_ms: 0}
  breaker: {failures: 1000, least: 1000}
  hedge: %s
"""
SECRETS = ("ada.lovelace@example.org", "AKIAQ3EGRIZ7LTXW4QKP")


def _chat(draw, text):
    """A chat request with the text somewhere in it, a model reads all of it."""
    spot = draw(
        st.sampled_from(["user", "system", "part", "tool", "call", "describe", "history", "name"])
    )
    messages = [{"role": "user", "content": "What is new?"}]
    body = {"model": draw(st.sampled_from(["m", "hosted-model", "gpt"])), "messages": messages}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    if spot in ("user", "system"):
        messages.append({"role": spot, "content": f"So: {text} it is."})
    elif spot == "part":
        parts = [{"type": "text", "text": "Look:"}, {"type": "text", "text": f"it is {text} here"}]
        messages.append({"role": "user", "content": parts})
    elif spot == "tool":
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": msgspec.json.encode({"is": text}).decode(),
            },
        ]
    elif spot == "call":
        call["function"]["arguments"] = msgspec.json.encode({"to": text}).decode()
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": "c1", "content": "done"})
    elif spot == "describe":
        function = {
            "name": "f",
            "description": f"Ask {text} first",
            "parameters": {"type": "object"},
        }
        body["tools"] = [{"type": "function", "function": function}]
    elif spot == "history":
        messages[:0] = [
            {"role": "user", "content": f"I am {text}"},
            {"role": "assistant", "content": "Noted."},
        ]
    else:
        body["metadata"] = {"for": f"by {text} of course"}
    return "/v1/chat/completions", body


def _other(draw, text):
    """A request in another dialect, or for something else."""
    said = f"So: {text} it is."
    return draw(
        st.sampled_from(
            [
                ("/v1/completions", {"model": "m", "prompt": said}),
                ("/v1/completions", {"model": "m", "prompt": ["One.", said]}),
                ("/v1/embeddings", {"model": "m", "input": ["a", said]}),
                ("/v1/rerank", {"model": "m", "query": "what", "documents": ["a", said]}),
                ("/v1/rerank", {"model": "m", "query": said, "documents": ["a", "b"]}),
                ("/v1/responses", {"model": "m", "input": said, "instructions": "Help."}),
                ("/v1/responses", {"model": "m", "input": "Hi", "instructions": said}),
                (
                    "/v1/messages",
                    {
                        "model": "m",
                        "max_tokens": 9,
                        "messages": [{"role": "user", "content": said}],
                    },
                ),
                (
                    "/v1/messages/count_tokens",
                    {"model": "m", "messages": [{"role": "user", "content": said}]},
                ),
                ("/v1/tokenize", {"model": "m", "prompt": said}),
            ]
        )
    )


@st.composite
def planted(draw):
    text = draw(st.sampled_from(SECRETS))
    path, body = draw(st.sampled_from([_chat, _other]))(draw, text)
    if path.endswith("completions"):
        body = {**body, "stream": draw(st.booleans())}
    return text, path, body


@settings(max_examples=150, deadline=None)
@given(
    planted(),
    st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(FAULTS), max_size=3) for name in ENGINES}
    ),
    st.sampled_from(["null", "{after_ms: 0}"]),
)
def test_what_is_private_never_reaches_a_hosted_engine(request, faults, hedge):
    text, path, body = request
    transport = Answering(faults)
    door = Door(PRIVATE % hedge, ENGINES, transport, rules="guard: {rules: []}\n")
    status, raw = asyncio.run(door.post(path, body))
    assert status != 500, raw
    assert "hosted" not in {name for name, _ in transport.sent}
    if all(not faults[name] for name in ("local-a", "local-b")) and path != "/v1/tokenize":
        assert status == 200, raw
        assert any(text.encode() in sent for _, sent in transport.sent)


def test_what_is_not_private_does_reach_it():
    transport = Answering()
    door = Door(PRIVATE % "null", ENGINES, transport, rules="guard: {rules: []}\n")
    body = {"model": "m", "messages": [{"role": "user", "content": "What is new?"}]}
    assert asyncio.run(door.post("/v1/chat/completions", body))[0] == 200
    assert [name for name, _ in transport.sent] == ["hosted"]


# --- breakers ---


class Breakers(RuleBasedStateMachine):
    """An engine that fails and recovers, with a clock of its own."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        rules = Breaker(failures=3, least=4, error_ratio=0.5, window_seconds=10, rest_seconds=5)
        self.pulse = Health(rules, lambda: self.now).of("a")
        self.entries = []

    @rule()
    def enter(self):
        was = self.pulse.state, self.pulse.rest
        entry = self.pulse.enter()
        assert (entry is None) == (was[0] == "trying" or was[1] > 0)
        if entry is not None:
            self.entries.append(entry)

    @precondition(lambda self: self.entries)
    @rule(end=st.sampled_from(["answered", "failed", "neither", "client"]), which=st.randoms())
    def leave(self, end, which: random.Random):
        entry = self.entries.pop(which.randrange(len(self.entries)))
        failure = {"failed": "server_error", "client": "rate_limited"}.get(end)
        entry.leave(failure, answered=end == "answered")

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def recovers(self):
        """Whatever happened, rest and one good answer close it."""
        while self.entries:
            self.entries.pop().leave(None, answered=False)
        self.now += 5 * 2**5
        entry = self.pulse.enter()
        assert entry is not None
        entry.leave(None, answered=True)
        assert self.pulse.state == "closed"

    @invariant()
    def counts(self):
        assert self.pulse.in_flight == len(self.entries)
        assert 0 <= self.pulse.report().error_ratio <= 1
        assert self.pulse.rest <= 5 * 16


TestBreakers = Breakers.TestCase
TestBreakers.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
