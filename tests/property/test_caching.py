"""An answer that was kept says what the engine said, in either form and however it was split."""

import asyncio
import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.serve.answers import Answer, Asked
from keelmark.serve.recast import as_stream, as_whole
from keelmark.serve.sse import DONE, EventReader, event

GUARD = Guard(
    Policy(
        name="cached",
        guard=GuardRules(
            rules=(
                Rule(id="pii", detector="personal_data", action="mask"),
                Rule(id="secrets", detector="secrets", action="block", stage="output"),
            )
        ),
    )
)
ASKED = Asked(chat=True, choices=1, usage=True, model="", tools={}, logprobs="full")
WORDS = st.sampled_from(
    ["Ahoy ", "<EMAIL_1>", " and ", "bert@example.org", "<EMAIL_2>", "\n", "ä€😀", "AKIA", "</s>",
     "AKIAZ7QW4KLM2XPRT5VN", " +49 30 901820", "data: x\n\n", '"quoted"']
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=12).map("".join)


def opened():
    """The guard of a request that wrote one address."""
    guard = GUARD.open()
    segment = Segment(role="user", path="p", text="I am anna@example.org.")
    asyncio.run(guard.check_input([segment]))
    return guard


def split(text, cuts):
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


def stream_of(reasoning, pieces, calls, finish):
    around = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in reasoning]
    deltas += [{"content": piece} for piece in pieces]
    for at, piece in enumerate(calls):
        first = {"id": "c", "type": "function"} if not at else {}
        name = {"name": "post"} if not at else {}
        deltas.append(
            {"tool_calls": [{"index": 0, **first, "function": {**name, "arguments": piece}}]}
        )
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks = [{**around, "choices": [choice]} for choice in choices]
    chunks.append({**around, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    return b"".join(event(msgspec.json.encode(chunk)) for chunk in chunks) + DONE


def said_by_stream(body):
    """What a client reads of a stream: its channels, why it ended, and the token counts."""
    answer, reader = Answer(opened(), ASKED), EventReader()
    out = b""
    for data in reader.feed(body):
        out += answer.chunk(data)
        if answer.done or (answer.filtered and answer.complete):
            break
    out += answer.rest()
    said, usage = {}, None
    for data in EventReader().feed(out):
        chunk = msgspec.json.decode(data)
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            _add(said, choice["delta"])
    return said, answer.finishes, usage


def said_by_whole(body):
    answer = Answer(opened(), ASKED)
    whole = msgspec.json.decode(answer.whole(body))
    said = {}
    _add(said, whole["choices"][0]["message"])
    return said, answer.finishes, whole.get("usage")


def _add(said, message):
    for name in ("reasoning_content", "content"):
        if message.get(name):
            said[name] = said.get(name, "") + message[name]
    for call in message.get("tool_calls") or ():
        for name, value in call["function"].items():
            if value:
                said[name] = said.get(name, "") + value


@given(
    st.tuples(TEXTS, TEXTS, TEXTS),
    st.lists(st.integers(0, 200), max_size=6),
    st.sampled_from(["stop", "length", "tool_calls"]),
)
@settings(max_examples=50, deadline=None)
def test_every_form_of_a_kept_answer_says_the_same(texts, cuts, finish):
    reasoning, content, call = texts
    call = msgspec.json.encode({"to": call}).decode() if call else ""
    first = stream_of(split(reasoning, cuts), split(content, cuts), split(call, cuts), finish)
    other = stream_of([reasoning], [content], [call] if call else [], finish)
    as_it_was = said_by_stream(first)
    whole = as_whole(first, chat=True)
    again = as_stream(whole, chat=True)
    said = [said_by_stream(other), said_by_stream(again)]
    said += [said_by_whole(whole), said_by_whole(as_whole(again, chat=True))]
    if "content_filter" in as_it_was[1].values():  # none that is kept; still stopped in every form
        assert all("content_filter" in finishes.values() for _, finishes, _ in said)
    else:
        assert said == [as_it_was] * 4


@given(st.lists(TEXTS, min_size=1, max_size=3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_log_probabilities_and_several_choices(texts, legacy):
    marks = [{"content": [{"token": text, "logprob": -1.0}]} for text in texts]
    old = [{"tokens": [text], "token_logprobs": [-1.0]} for text in texts]
    choices = []
    for index, text in enumerate(texts):
        part = {"text": text} if legacy else {"message": {"role": "assistant", "content": text}}
        found = old[index] if legacy else marks[index]
        found = found if text or legacy else None
        choices.append({"index": index, **part, "finish_reason": "stop"})
        if found:
            choices[-1]["logprobs"] = found
    kind = "text_completion" if legacy else "chat.completion"
    whole = {"id": "x", "object": kind, "model": "m", "choices": choices}
    body = msgspec.json.encode(whole)
    back = msgspec.json.decode(as_whole(as_stream(body, chat=not legacy), chat=not legacy))
    assert back == whole


def test_what_is_not_known_is_left_alone():
    message = {"role": "assistant", "content": "a", "images": ["..."]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    assert as_stream(msgspec.json.encode(body), chat=True) is None
    chunk = {"choices": [{"index": 0, "delta": {"content": "a", "images": ["..."]}}]}
    assert as_whole(event(msgspec.json.encode(chunk)) + DONE, chat=True) is None
    assert as_whole(DONE, chat=True) is None
