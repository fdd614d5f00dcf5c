"""However an answer comes, a dialect tells what chat tells, in order, and nothing uncleared."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dialect_clients import called
from keelmark.core.trace import Trace
from keelmark.guard import Guard, shipped_policy
from keelmark.serve.answers import Answer, Asked
from keelmark.serve.dialect import dialects
from keelmark.serve.errors import ApiError
from keelmark.serve.fields import refuse_dangerous
from keelmark.serve.forms import chunks_in, gathered
from keelmark.serve.shapes import check_chat, check_common

MAIL = "ada@example.org"
GUARD = Guard(shipped_policy())
PIECES = (
    "fine words, ",
    "to ada@",
    "exam",
    "ple.o",
    "rg and",
    " on",
    " ",
    '{"a": "',
    '"}',
    "\\",
    "é",
)
PIECE = st.sampled_from(PIECES)
SPEAK = {dialect.id: dialect.voice for dialect in dialects()}
DIALECTS = st.sampled_from(sorted(SPEAK))
ASKS = {
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "go"}],
        "thinking": {"type": "adaptive"},
    },
    "responses": {"model": "m", "input": "go"},
}


@st.composite
def answers(draw):
    """Deltas of an answer: thoughts, a text, calls of tools; each in pieces."""
    deltas = [{"reasoning_content": text} for text in draw(st.lists(PIECE, max_size=5))]
    deltas += [{"content": text} for text in draw(st.lists(PIECE, max_size=8))]
    for number in range(draw(st.integers(0, 2))):
        deltas.append(called(number, f"tool_{number}", key=f"c{number}"))
        deltas += [called(number, arguments=text) for text in draw(st.lists(PIECE, max_size=4))]
    return deltas


def voice_of(dialect):
    voice = SPEAK[dialect](Trace(trace_id="t", started=0, attributes={}))
    voice.asks(ASKS[dialect])
    return voice


def opened(parts=True):
    guard = GUARD.open()
    return guard, Answer(guard, Asked(True, 1, True, "", {}, "matched", parts=parts))


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return msgspec.json.encode({"id": "x", "model": "m", "choices": [choice]})


def told(raw):
    """The events of a stream, and a check that they are well-formed."""
    events = []
    for part in raw.split(b"\n\n")[:-1]:
        name, data = part.split(b"\n")
        event = msgspec.json.decode(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    return events


def streamed(dialect, deltas, finish="stop"):
    guard, answer = opened()
    voice = voice_of(dialect)
    out = voice.tell([])
    for delta in deltas:
        out += voice.tell(chunks_in(answer.chunk(chunk(delta))))
    out += voice.tell(chunks_in(answer.chunk(chunk({}, finish))))
    return told(out + voice.end(chunks_in(answer.rest()))), guard.output_verdict()


def whole(dialect, deltas, finish="stop"):
    joined = gathered([msgspec.json.decode(chunk(d)) for d in deltas] or [{}], chat=True)["choices"]
    said = {"index": 0, "message": joined[0]["message"] if joined else {}, "finish_reason": finish}
    guard, answer = opened()
    body = msgspec.json.encode({"model": "m", "choices": [said]})
    made = msgspec.json.decode(voice_of(dialect).whole(msgspec.json.decode(answer.whole(body))))
    return parts_in(dialect, made), guard.output_verdict()


def of_chat(deltas, finish="stop"):
    guard, answer = opened(parts=False)
    out = b"".join(answer.chunk(chunk(delta)) for delta in deltas)
    out += answer.chunk(chunk({}, finish)) + answer.rest()
    choices = gathered(chunks_in(out), chat=True)["choices"]
    message = choices[0]["message"] if choices else {}
    said = [("thought", message.get("reasoning_content")), ("text", message.get("content"))]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        said.append((call["id"], function["name"], function.get("arguments") or ""))
    return [one for one in said if one[1]], guard.output_verdict()


def parts_in(dialect, answer):
    """What a whole answer says, in the words of this test."""
    said = []
    if dialect == "responses":
        for item in answer["output"]:
            if item["type"] == "function_call":
                said.append((item["call_id"], item["name"], item["arguments"]))
            else:
                kind = "thought" if item["type"] == "reasoning" else "text"
                said.append((kind, item["content"][0]["text"]))
        return said
    for block in answer["content"]:
        if block["type"] == "tool_use":
            said.append((block["id"], block["name"], block["input"]))
        else:
            kind = "thought" if block["type"] == "thinking" else "text"
            said.append((kind, block[block["type"]]))
    return said


def gathered_events(dialect, events):
    """What a stream says, put together from its events; they must come in their order."""
    if dialect == "responses":
        return _responses(events)
    return _messages(events)


def _responses(events):
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    kinds = [e["type"] for e in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    items, now, text = [], None, ""
    for event in events[2:-1]:
        kind = event["type"]
        assert now == event["output_index"] or (now is None and kind.endswith("item.added"))
        if kind.endswith("item.added"):
            now, text = event["output_index"], ""
            assert now == len(items)
        elif kind.endswith(".delta"):
            text += event["delta"]
        elif kind.endswith("item.done"):
            items.append(event["item"])
            now = None
            (said,) = parts_in(dialect="responses", answer={"output": [event["item"]]})
            assert said[-1] == text
    assert now is None
    assert events[-1]["response"]["output"] == items
    return parts_in("responses", {"output": items})


def _messages(events):
    kinds = [e["type"] for e in events]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    said, now = [], None
    for event in events[2:-2]:
        if event["type"] == "content_block_start":
            assert now is None
            now = event["content_block"]
            assert event["index"] == len(said)
            text = ""
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(said)
            text += next(v for n, v in event["delta"].items() if n != "type")
        else:
            kind = now["type"]
            name = {"thinking": ("thought",), "text": ("text",)}.get(kind) or (
                now["id"],
                now["name"],
            )
            said.append((*name, text))
            now = None
    assert now is None
    return said


@settings(max_examples=80, deadline=None)
@given(answers(), DIALECTS)
def test_a_dialect_tells_what_chat_tells(deltas, dialect):
    said, verdict = of_chat(deltas)
    events, judged = streamed(dialect, deltas)
    assert gathered_events(dialect, events) == said
    assert judged.outcome == verdict.outcome
    assert sorted(f.label for f in judged.findings) == sorted(f.label for f in verdict.findings)
    assert MAIL not in msgspec.json.encode(events).decode()


@settings(max_examples=60, deadline=None)
@given(answers(), DIALECTS, st.sampled_from(["stop", "length", "content_filter"]))
def test_a_whole_answer_says_what_its_stream_says(deltas, dialect, finish):
    said, verdict = whole(dialect, deltas, finish)
    events, judged = streamed(dialect, deltas, finish)
    if dialect == "responses":
        assert parts_in(dialect, events[-1]["response"]) == said
    else:
        streamed_said = gathered_events(dialect, events)
        assert [one[:2] for one in streamed_said] == [one[:2] for one in said]
    assert judged.outcome == verdict.outcome


@settings(max_examples=60, deadline=None)
@given(answers(), DIALECTS, st.data())
def test_it_does_not_matter_how_the_engine_cuts_its_stream(deltas, dialect, data):
    cut = []
    for delta in deltas:
        name = next(iter(delta))
        if name == "tool_calls" or len(delta[name]) < 2:
            cut.append(delta)
            continue
        at = data.draw(st.integers(1, len(delta[name]) - 1))
        cut += [{name: delta[name][:at]}, {name: delta[name][at:]}]
    one, other = (gathered_events(dialect, streamed(dialect, d)[0]) for d in (deltas, cut))
    assert one == other


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(["reasoning_content", "content", "content", "reasoning"]), DIALECTS, st.data()
)
def test_parts_may_alternate(order, dialect, data):
    """Some models think again after a word; each turn is a part of its own, cleared on its own."""
    deltas = [{name: data.draw(PIECE)} for name in order]
    events, _ = streamed(dialect, deltas)
    said = gathered_events(dialect, events)
    kinds = [("text" if "content" in d else "thought") for d in deltas]
    changes = [k for n, k in enumerate(kinds) if n == 0 or kinds[n - 1] != k]
    assert [one[0] for one in said] == changes
    assert MAIL not in msgspec.json.encode(events).decode()


NAME = st.sampled_from(
    (
        *("content", "text", "reasoning", "reasoning_content", "role", "tool_calls", "function"),
        *("name", "arguments", "id", "index", "type", "logprobs", "refusal", "usage", "model"),
        *("prompt_tokens", "prompt_tokens_details", "cached_tokens", "finish_reason", MAIL),
    )
)
LEAF = st.sampled_from(
    [MAIL, f"to {MAIL}.", "fine", "", "stop", "<EMAIL_1>", None, True, 3, -1, 0.5]
)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.dictionaries(NAME, VALUE, max_size=5)


@settings(max_examples=120, deadline=None)
@given(FIELDS, FIELDS, FIELDS, DIALECTS)
def test_whatever_an_engine_answers_is_told_or_refused(envelope, choice, said, dialect):
    for field in ("message", "delta"):
        _, answer = opened()
        voice = voice_of(dialect)
        body = msgspec.json.encode({**envelope, "choices": [{**choice, "index": 0, field: said}]})
        try:
            if field == "message":
                out = voice.whole(msgspec.json.decode(answer.whole(body)))
            else:
                out = voice.tell(chunks_in(answer.chunk(body)))
                out += voice.end(chunks_in(answer.rest()))
                told(out)
        except ApiError as error:
            out = voice.fail(error)
        assert MAIL.encode() not in out


FULL = {
    "messages": {
        **ASKS["messages"],
        "system": [{"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": ""},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["x"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    },
    "responses": {
        "model": "m",
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "t", "output": "x"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "stream": True,
    },
}
ODD = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", [], [3], ["x"], {}, {"type": "x"}, [{}], [[]]]
)


def changed(value, data):
    """A copy with one value, somewhere, in the place of another."""
    if not isinstance(value, (dict, list)) or not value or data.draw(st.integers(0, 5)) == 0:
        return data.draw(ODD)
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = data.draw(st.sampled_from(list(keys)))
    copy = value.copy()
    copy[key] = changed(value[key], data)
    return copy


@settings(max_examples=400, deadline=None)
@given(DIALECTS, st.data())
def test_whatever_is_asked_is_chat_or_one_sentence(dialect, data):
    body = changed(FULL[dialect], data)
    voice = SPEAK[dialect](Trace(trace_id="t", started=0, attributes={}))
    try:
        chat = voice.hear(body)
        check_common(chat)
        check_chat(chat, guarded=True)
        refuse_dangerous(chat, "chat")
    except ApiError as error:
        told_error = voice.in_own_words(error)
        assert (told_error.status, told_error.message[-1]) == (400, ".")
        if isinstance(body, dict) and told_error.param:
            assert told_error.param.split(".")[0].split("[")[0] in {*FULL[dialect], *body}
        voice.error(told_error)
