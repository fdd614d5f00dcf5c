"""Calls written as text become tool calls, however the text is split over chunks."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.serve.errors import ApiError
from keelmark.serve.forced import ForcedCalls
from keelmark.serve.tool_choice import demand_call

names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.sampled_from('a"\\{}[]é🎉\n '), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
spaces = st.text(st.sampled_from(" \n\t"), max_size=4)


@st.composite
def calls(draw):
    """A text as a grammar lets it through, its name and its arguments as they stand there."""
    name = draw(names)
    arguments = draw(st.dictionaries(names, values, max_size=3))
    text = msgspec.json.format(
        msgspec.json.encode(arguments), indent=draw(st.sampled_from([-1, 2]))
    )
    s = [draw(spaces) for _ in range(9)]
    head = f'{s[0]}{{{s[1]}"name"{s[2]}:{s[3]}{msgspec.json.encode(name).decode()}{s[4]},{s[5]}'
    whole = f'{head}"arguments"{s[6]}:{s[7]}{text.decode()}{s[8]}}}'
    return whole, name, text.decode()


@st.composite
def split(draw, text):
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def stream(pieces, reason="stop"):
    """The deltas and the finish reason that a client sees of a stream."""
    forced, deltas = ForcedCalls(), []
    parts = [{"role": "assistant", "content": None}, *({"content": p} for p in pieces), {}]
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        choice = {"index": 0, "delta": dict(part), "finish_reason": reason if last else None}
        chunk = {"id": "1", "choices": [choice]}
        if forced.chunk(chunk):
            deltas += [c["delta"] for c in chunk["choices"]]
            reason_seen = chunk["choices"][-1]["finish_reason"]
    return deltas, reason_seen


def whole(text, reason="stop"):
    message = {"role": "assistant", "content": text}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    ForcedCalls().whole(answer)
    return answer["choices"][0]


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_every_split_gives_the_same_call(data):
    text, name, arguments = data.draw(calls())
    deltas, reason = stream(data.draw(split(text)))
    assert reason == "tool_calls"
    assert all(not d.get("content") for d in deltas)
    (first, *rest) = [call for d in deltas for call in d.get("tool_calls", ())]
    assert first["id"].startswith("call_")
    assert (first["index"], first["type"], first["function"]["name"]) == (0, "function", name)
    assert all(call.keys() == {"index", "function"} for call in rest)
    assert "".join(call["function"]["arguments"] for call in (first, *rest)) == arguments
    choice = whole(text)
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": name, "arguments": arguments}
    assert call.keys() == {"id", "type", "function"}
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_answer_cut_short_keeps_what_it_has(data):
    text, name, arguments = data.draw(calls())
    text = text[: data.draw(st.integers(0, len(text)))]
    deltas, reason = stream(data.draw(split(text)), "length")
    assert reason == "length"
    parts = [call["function"] for d in deltas for call in d.get("tool_calls", ())]
    got = "".join(part["arguments"] for part in parts)
    assert arguments.startswith(got)
    message = whole(text, "length")["message"]
    assert message["content"] is None
    expected = [{"name": name, "arguments": got}] if parts else []
    assert [call["function"] for call in message.get("tool_calls", ())] == expected


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_an_engine_that_talks_instead_is_found_out(data):
    text = data.draw(
        st.sampled_from(["It is sunny.", "", " ", "[]", '{"name": 3}', "{" + " " * 5000])
        | st.just('{"name": "f", "arguments": "city"}')
        | st.just('{"name": "f", "arguments": {"a": 1')
        | st.just('{"name": "\\x", "arguments": {}}')
    )
    pieces = data.draw(split(text))
    with pytest.raises(ApiError, match="did not call a tool"):
        stream(pieces)
    with pytest.raises(ApiError, match="did not call a tool"):
        whole(text)


def test_choices_do_not_mix():
    forced = ForcedCalls()
    texts = ('{"name":"a","arguments":{"x":1}}', '{"name":"b","arguments":{"y":2}}')
    got = {0: "", 1: ""}
    for pair in zip(*texts, strict=True):
        choices = [
            {"index": at, "delta": {"content": c}, "finish_reason": None}
            for at, c in enumerate(pair)
        ]
        chunk = {"choices": choices}
        if forced.chunk(chunk):
            for choice in chunk["choices"]:
                (call,) = choice["delta"]["tool_calls"]
                got[choice["index"]] += call["function"].get("name", "")
                got[choice["index"]] += call["function"]["arguments"]
    assert got == {0: 'a{"x":1}', 1: 'b{"y":2}'}


def test_a_chunk_without_text_still_tells_its_usage_and_log_probabilities_do_not_leave():
    forced = ForcedCalls()
    choice = {"index": 0, "delta": {"content": "{"}, "finish_reason": None, "logprobs": {"a": 1}}
    chunk = {"choices": [choice], "usage": {"total_tokens": 3}}
    assert forced.chunk(chunk)
    assert chunk == {"choices": [], "usage": {"total_tokens": 3}}
    assert forced.chunk({"choices": [], "usage": {"total_tokens": 4}})
    last = {"index": 0, "delta": {}, "finish_reason": "length", "logprobs": {"a": 1}}
    assert forced.chunk({"choices": [last]})
    assert last["logprobs"] is None


def test_references_lead_to_where_the_schema_of_a_tool_went():
    city = {"type": "object", "properties": {"at": {"$ref": "#/$defs/Place"}, "up": {"$ref": "#"}}}
    tools = ({"name": "now"}, {"name": "go", "parameters": {**city, "$defs": {"Place": {}}}})
    body = {"stop": ["\n"], "parallel_tool_calls": True, "tool_choice": "required"}
    demand_call(body, tools)
    assert body.keys() == {"tool_choice", "response_format"}
    schema = body["response_format"]["json_schema"]["schema"]
    assert [c["properties"]["name"]["const"] for c in schema["anyOf"]] == ["now", "go"]
    assert [list(c["properties"]) for c in schema["anyOf"]] == [["name", "arguments"]] * 2
    place, up = schema["$defs"]["1"]["properties"].values()
    assert (place, up) == ({"$ref": "#/$defs/1/$defs/Place"}, {"$ref": "#/$defs/1"})
    assert city["properties"]["up"] == {"$ref": "#"}, "the request's own tools are as they were"
    assert schema["$defs"]["0"]["properties"] == {}
