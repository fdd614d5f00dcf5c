"""Prompts that come back, through the gateway: what the guard lets pass and what it holds."""

import asyncio
import threading
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway_parts import MemoryGuard, run, stack
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.serve.echo import Echo, cut, glue
from keelmark.serve.fake import Script
from tiny_model import TinyModel, scorer_of

RULE = Rule(id="pii", detector="pii", action="mask")
FULL = Policy(guard=GuardRules(rules=(RULE,), logprobs="full"))
SECRET = "4111"


@asynccontextmanager
async def scoring(model=None, **parts):
    """A gateway whose engine has a scorer: the real one, around a model that is a hash."""
    with scorer_of(model or TinyModel()) as scorer:
        async with stack(**parts) as s:
            s.engine.scorer, s.engine.reranks = scorer, False
            s.engine.context, s.engine.chat_template = 64, ""
            yield s


async def complete(s, prompt, **more):
    body = {"model": "fake", "prompt": prompt, "echo": True, "logprobs": 2, "max_tokens": 0}
    return await s.post("/v1/completions", {**body, **more})


def test_scores_leave_and_other_tokens_do_not():
    async def scene():
        async with scoring() as s:
            status, answer, headers = await complete(s, ["Hé", "so"], max_tokens=1, temperature=0)
            assert status == 200
            assert headers["x-keelmark-verdict"] == "allow"
            first, second = answer["choices"]
            assert (first["text"][:2], second["text"][:2]) == ("Hé", "so")
            told = first["logprobs"]
            assert told["tokens"][:3] == ["H", "bytes:\\xc3", "bytes:\\xa9"]
            assert all(len(told[name]) == 4 for name in told)
            assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
            top = told["top_logprobs"][1]
            assert list(top)[:2] == ["<alternative 1>", "<alternative 2>"]
            assert top["bytes:\\xc3"] == told["token_logprobs"][1]
            ((trace, content),) = s.recorder.records
            assert trace.attributes["gen_ai.usage.input_tokens"] == 5
            assert trace.attributes["gen_ai.usage.output_tokens"] == 2
            assert b"so" in content.prompt
            assert s.fake.received == [], "the scorer answers, not the server"

    run(scene)


def test_full_and_unguarded_show_all():
    async def scene(policy, guard):
        async with scoring(policy=policy, guard=guard) as s:
            _, answer, _ = await complete(s, "abc")
            tops = answer["choices"][0]["logprobs"]["top_logprobs"]
            assert not any("alternative" in name for top in tops[1:] for name in top)

    run(lambda: scene(FULL, MemoryGuard()))
    run(lambda: scene(Policy(), MemoryGuard(open_door=True)))


def test_a_masked_prompt_has_no_scores():
    async def scene():
        async with scoring() as s:
            status, answer, _ = await complete(s, ["fine", "to ann@example.org"])
            assert status == 400
            assert answer["error"]["code"] == "masked_prompt"
            assert "prompt 1" in answer["error"]["message"]
            assert "ann" not in answer["error"]["message"]
            status, answer, _ = await complete(s, "to ann@example.org", logprobs=None)
            assert status == 200
            assert answer["choices"][0]["text"] == "to ann@example.org"
            ids = list(b"to ann@example.org")
            for more in ({}, {"logprobs": None}, {"echo": False}):
                status, answer, _ = await complete(s, ids, **more)
                assert (status, answer["error"]["code"]) == (400, "masked_prompt")
                assert "tokens" in answer["error"]["message"] or not more

    run(scene)


def test_under_full_scores_are_those_of_what_was_read():
    async def scene():
        async with scoring(policy=FULL) as s:
            status, answer, _ = await complete(s, "to ann@example.org")
            assert status == 200
            (choice,) = answer["choices"]
            assert choice["text"] == "to ann@example.org"
            assert "".join(choice["logprobs"]["tokens"]) == "to <EMAIL_1>"

    run(scene)


def test_tokens_are_judged_as_what_they_say():
    async def scene():
        async with scoring() as s:
            for prompt in (list(b"plain"), [list(b"plain")]):
                status, answer, _ = await complete(s, prompt)
                assert status == 200
                assert answer["choices"][0]["text"] == "plain"
            (segment,) = s.guard.seen[-1]
            assert (segment.path, segment.text) == ("prompt[0]", "plain")
            status, answer, _ = await complete(s, list(b"do INJECT this"))
            assert (status, answer["error"]["code"]) == (400, "content_filter")
            for wrong in ([[1, "x"]], [[]], [True, False], [[-1]], [-1]):
                status, answer, _ = await complete(s, wrong)
                assert (status, answer["error"]["param"]) == (400, "prompt"), wrong
            status, answer, _ = await complete(s, [[300]])
            assert (status, answer["error"]["param"]) == (400, "prompt")

    run(scene)


def test_what_the_model_adds_is_guarded_and_keeps_its_places():
    async def scene():
        async with scoring() as s:
            asked = {"max_tokens": 12, "temperature": 0}
            _, answer, _ = await complete(s, "ab", **asked)
            (choice,) = answer["choices"]
            assert all(len(choice["logprobs"][name]) == 14 for name in choice["logprobs"])
            assert None not in choice["logprobs"]["token_logprobs"][1:2]
            assert s.recorder.records[0][1].answer.count(b"ab") == 0, "the prompt is kept once"

    run(scene)


@pytest.mark.parametrize("name", ["stream", "suffix", "logit_bias", "response_format"])
def test_what_cannot_be_had_together(name):
    value = {"stream": True, "suffix": "x", "logit_bias": {"1": 5}}.get(name, {"type": "text"})

    async def scene():
        async with scoring() as s:
            status, answer, _ = await complete(s, "ab", **{name: value})
            assert (status, answer["error"]["param"]) == (400, name)

    run(scene)


def test_limits_are_told_in_our_words():
    async def scene():
        async with scoring() as s:
            status, answer, _ = await complete(s, "a" * 70)
            assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
            assert "64 tokens" in answer["error"]["message"]
            status, answer, _ = await complete(s, "")
            assert (status, answer["error"]["param"]) == (400, "prompt")

    run(scene)


def test_many_at_once():
    async def scene():
        model = TinyModel()
        async with scoring(model) as s:
            texts = [f"text {n % 7}" for n in range(40)]
            answers = await asyncio.gather(*(complete(s, text) for text in texts))
            assert {status for status, _, _ in answers} == {200}
            seen = {}
            for text, (_, answer, _) in zip(texts, answers, strict=True):
                scores = answer["choices"][0]["logprobs"]["token_logprobs"]
                assert seen.setdefault(text, scores) == scores
            assert len(set(map(str, seen.values()))) == 7

    run(scene)


def test_work_for_a_client_that_left_ends():
    class Endless(TinyModel):
        def __init__(self):
            super().__init__(context=10**9)
            self.reading, self.stopped = threading.Event(), threading.Event()

        def read(self, tokens, start, silent=0):
            rows = next(super().read([1], len(self.held)))
            try:
                while True:
                    self.reading.set()
                    yield rows
            finally:
                self.stopped.set()

    async def scene():
        model = Endless()
        async with scoring(model) as s:
            task = asyncio.create_task(complete(s, "abc"))
            assert await asyncio.to_thread(model.reading.wait, 30)
            task.cancel()
            assert await asyncio.to_thread(model.stopped.wait, 30)

    run(scene)


def test_nobody_without_the_key_is_answered():
    async def scene():
        async with scoring() as s:
            where = (await s.engine.scorer()).base_url
            for path in ("/completions", "/texts", "/other"):
                async with s.http.post(where + path, json={"prompt": "x"}) as response:
                    assert response.status == 401
            async with s.http.get(where + "/tokenizer_info") as response:
                assert response.status == 404

    run(scene)


def legacy(text, tokens, offsets, **more):
    told = {
        "tokens": tokens,
        "token_logprobs": [None, *[-1.0] * (len(tokens) - 1)],
        "top_logprobs": [None, *[{SECRET: -0.1, name: -1.0} for name in list(tokens)[1:]]],
        "text_offset": offsets,
    }
    return {"index": 0, "text": text, "logprobs": told, "finish_reason": "length", **more}


def upstream(*choices):
    return Script(raw=msgspec.json.encode({"object": "text_completion", "choices": choices}))


def test_upstreams_are_passed_on():
    async def scene():
        choice = legacy("Hi all now", ["Hi", " all", " now"], [0, 2, 6])
        async with stack(upstream(choice)) as s:
            status, answer, _ = await complete(s, "Hi all", max_tokens=1)
            assert status == 200
            (got,) = answer["choices"]
            assert got["text"] == "Hi all now"
            assert got["logprobs"]["tokens"] == ["Hi", " all", " now"]
            assert got["logprobs"]["token_logprobs"] == [None, -1.0, -1.0]
            tops = got["logprobs"]["top_logprobs"]
            assert tops == [None, {"<alternative 1>": -0.1, " all": -1.0}, None]
            assert s.fake.received[0]["echo"] is True
            status, answer, _ = await complete(s, [1, 2])
            assert (status, answer["error"]["code"]) == (400, "unsupported_content")

    run(scene)


def test_an_upstream_cannot_say_with_tokens_what_is_not_in_the_prompt():
    async def scene():
        choice = legacy("Hi all", ["Hi", SECRET], [0, 2])
        async with stack(upstream(choice)) as s:
            _, answer, _ = await complete(s, "Hi all")
            assert SECRET not in msgspec.json.encode(answer).decode()
            assert answer["choices"][0]["logprobs"]["tokens"] == ["Hi", ""]
        choice = legacy("Bye ann@example.org", ["Bye", " ann@example.org"], [0, 3])
        async with stack(upstream(choice)) as s:
            _, answer, _ = await complete(s, "Hi all")
            assert answer["choices"][0]["text"] == "Bye [EMAIL]"
            assert "logprobs" not in answer["choices"][0]
        choice = legacy("Hi ann@example.org", ["Hi", " ann@example.org"], [0, 2])
        async with stack(upstream(choice)) as s:
            _, answer, _ = await complete(s, "Hi", max_tokens=3)
            assert answer["choices"][0]["text"] == "Hi [EMAIL]"
            assert answer["choices"][0]["logprobs"]["tokens"] == ["Hi", ""]
            assert answer["choices"][0]["logprobs"]["token_logprobs"] == [None, None]

    run(scene)


ECHO = Echo(own=("Hi",), read=("Hi",), each=1, full=False)


@pytest.mark.parametrize(
    "told",
    [
        7,
        {},
        {"tokens": 7},
        {"tokens": ["Hi"], "token_logprobs": [1, 2]},
        {
            "tokens": ["Hi"],
            "token_logprobs": ["zebra"],
            "top_logprobs": [[1]],
            "text_offset": [None],
        },
        {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []},
    ],
)
def test_log_probabilities_of_another_shape_do_no_harm(told):
    body = msgspec.json.encode({"choices": [{"index": 0, "text": "Hi you", "logprobs": told}]})
    rest, heads = cut(body, ECHO)
    assert msgspec.json.decode(rest)["choices"][0]["text"] == " you"
    again = msgspec.json.decode(glue(rest, heads))
    assert again["choices"][0]["text"] == "Hi you"
    assert "zebra" not in msgspec.json.encode(again["choices"][0]["logprobs"]).decode()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"choices": 7}', b'{"choices": [7]}', b'{"choices": [{"text": "Hi"}]}'],
)
def test_answers_of_another_shape_are_left_to_the_guard(body):
    rest, heads = cut(body, ECHO)
    assert heads == {}
    assert "Hi" in rest.decode() or "Hi" not in body.decode()


def test_two_choices_of_one_number_have_one_prompt():
    choice = {"index": 0, "text": "Hi a"}
    rest, heads = cut(msgspec.json.encode({"choices": [choice, choice]}), ECHO)
    assert [one["text"] for one in msgspec.json.decode(rest)["choices"]] == [" a", "Hi a"]
    assert list(heads) == [0]


TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
TEMPLATED = Script(raw=b'{"prompt": "[u]2 + 2?[/u]"}')


def test_what_goes_on_from_a_conversation_is_scored_after_it():
    async def scene():
        async with scoring(script=TEMPLATED) as s:
            status, answer, _ = await complete(s, [" 4", " five"], messages=TALK)
            assert status == 200
            assert s.fake.received == [{"messages": TALK}], "no canary, no text of a template"
            _, whole, _ = await complete(s, ["[u]2 + 2?[/u] 4", "[u]2 + 2?[/u] five"])
            for one, other, text in zip(
                answer["choices"], whole["choices"], (" 4", " five"), strict=True
            ):
                assert one["text"] == text
                told, plain = one["logprobs"], other["logprobs"]
                assert told["token_logprobs"] == plain["token_logprobs"][-len(text) :]
                assert told["text_offset"] == list(range(len(text)))
                assert "".join(told["tokens"]) == text
            ((_, content), _) = s.recorder.records
            assert b"2 + 2?" in content.prompt

    run(scene)


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        ({"max_tokens": 1}, "invalid_request_error", "nothing is written"),
        ({"prompt": [1, 2]}, "invalid_request_error", "must be text"),
        ({"echo": False}, "unsupported_parameter", "does not belong to this call"),
        ({"messages": []}, "invalid_request_error", "with a message in it"),
        ({"messages": None}, "invalid_request_error", "with a message in it"),
        ({"messages": [1]}, "invalid_request_error", "must be an object"),
        (
            {"messages": [{"role": "user", "content": "to ann@example.org"}]},
            "masked_prompt",
            "of the conversation",
        ),
    ],
)
def test_a_conversation_that_cannot_be_scored_is_told(more, code, says):
    async def scene():
        async with scoring(script=TEMPLATED) as s:
            body = {"model": "fake", "prompt": " 4", "echo": True, "logprobs": 1, "max_tokens": 0}
            status, answer, _ = await s.post("/v1/completions", {**body, "messages": TALK, **more})
            assert status == 400
            assert says in answer["error"]["message"]
            assert code in (answer["error"]["code"], answer["error"]["type"])
            assert s.fake.received == []

    run(scene)


def test_a_conversation_is_judged():
    async def scene():
        async with scoring(script=TEMPLATED) as s:
            bad = [{"role": "user", "content": "INJECT"}]
            status, answer, _ = await complete(s, " 4", messages=bad)
            assert status == 400
            assert answer["error"]["code"] == "content_filter"
            assert s.fake.received == []

    run(scene)


def test_other_engines_score_no_conversation():
    async def scene():
        async with stack(script=TEMPLATED) as s:
            status, answer, _ = await complete(s, " 4", messages=TALK)
            assert (status, answer["error"]["code"]) == (400, "unsupported_parameter")
            assert s.fake.received == []

    run(scene)


def test_a_token_over_the_end_of_a_conversation_counts():
    echo = Echo(own=("bc",), read=("bc",), begin="[a]", each=1, full=True)
    told = {
        "tokens": ["[", "a", "]b", "c"],
        "token_logprobs": [None, -1.0, -2.0, -3.0],
        "top_logprobs": [None, {}, {}, {}],
        "text_offset": [0, 1, 2, 4],
    }
    body = msgspec.json.encode({"choices": [{"index": 0, "text": "[a]bc", "logprobs": told}]})
    _, heads = cut(body, echo)
    assert heads[0].text == "bc"
    assert heads[0].logprobs["token_logprobs"] == [-2.0, -3.0]
    assert heads[0].logprobs["text_offset"] == [0, 1]
