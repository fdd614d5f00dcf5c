"""Wherever an engine says it, and however its answer is cut, nothing uncleared leaves."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard import Guard, shipped_policy
from keelmark.serve.answers import Answer, Asked
from keelmark.serve.errors import ApiError
from keelmark.serve.sse import EventReader

MAIL = "ada@example.org"
GUARD = Guard(shipped_policy())
NAMES = (
    *("content", "text", "reasoning", "role", "tool_calls", "function", "function_call", "name"),
    *("arguments", "id", "index", "type", "logprobs", "tokens", "finish_reason", "audio", MAIL),
)
NAME = st.sampled_from(NAMES)
LEAF = st.one_of(
    st.sampled_from(
        [MAIL, f"to {MAIL}.", "fine", "", "stop", "assistant", "<EMAIL_1>", None, True]
    ),
    st.integers(-3, 3),
)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.dictionaries(NAME, VALUE, max_size=5)
PIECES = ("fine words, ", "to ada@", "exam", "ple.o", "rg and", " on", " ", "{", '"', "\\", "ok")
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12)


def opened(chat=True):
    return Answer(GUARD.open(), Asked(chat, 1, True, "", {}, "sampled"))


def encode(value):
    return msgspec.json.encode(value)


@settings(max_examples=120, deadline=None)
@given(FIELDS, FIELDS, FIELDS, st.booleans())
def test_it_is_in_no_field(envelope, choice, message, chat):
    said = {**choice, "index": 0, **({"message": message} if chat else {"text": "fine"})}
    answer = opened(chat)
    out = b""
    try:
        out = answer.whole(encode({**envelope, "choices": [said]}))
    except ApiError as error:
        out = error.body()
    assert MAIL.encode() not in out + answer.kept()


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=4))
def test_it_is_in_no_event(chunks):
    answer = opened()
    out = b""
    try:
        for envelope, choice, delta in chunks:
            said = {**choice, "index": 0, "delta": delta}
            out += answer.chunk(encode({**envelope, "choices": [said]}))
        out += answer.rest()
    except ApiError as error:
        out += error.body()
    assert MAIL.encode() not in out + answer.kept()


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.sampled_from(["content", "reasoning_content"]))
def test_whole_and_stream_say_the_same(pieces, field):
    whole, stream = opened(), opened()
    text = "".join(pieces)
    said = {"index": 0, "message": {field: text}, "finish_reason": "stop"}
    message = msgspec.json.decode(whole.whole(encode({"choices": [said]})))["choices"][0]["message"]
    out = b""
    for piece in pieces:
        part = {"index": 0, "delta": {field: piece}, "finish_reason": None}
        out += stream.chunk(encode({"choices": [part]}))
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    out += stream.chunk(encode({"choices": [last]}))
    choices = [c for e in EventReader().feed(out) for c in msgspec.json.decode(e)["choices"]]
    assert "".join(c["delta"].get(field, "") for c in choices) == message[field]
    assert whole.kept() == stream.kept()
