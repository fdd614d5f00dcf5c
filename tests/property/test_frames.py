"""A chunk that is read by its frame leaves as one that is read in full."""

import json

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keelmark.guard import Guard
from keelmark.serve import answers
from keelmark.serve.answers import Answer, Asked
from keelmark.serve.frame import frame_of

ASKED = Asked(True, 1, True, "served", {}, "matched")
GUARD = Guard()
TEXTS = st.one_of(
    st.sampled_from(["", " ", "a", "content", "the text", '"', "\\", 'x"}', "jane@example.org "]),
    st.text(max_size=8),
)
EXTRAS = st.fixed_dictionaries(
    {"id": TEXTS, "model": TEXTS, "created": st.integers(0, 9)},
    optional={"usage": st.sampled_from([None, {"total_tokens": 3}]), "obfuscation": TEXTS},
)
BESIDE = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1])},
    optional={
        "finish_reason": st.sampled_from([None, None, "stop"]),
        "logprobs": st.none(),
        "content": TEXTS,
    },
)


@st.composite
def streams(draw):
    around, beside = draw(EXTRAS), draw(BESIDE)
    escape = draw(st.booleans())
    texts = draw(st.lists(TEXTS, min_size=2, max_size=8))
    other = draw(st.lists(st.tuples(EXTRAS, BESIDE), min_size=len(texts), max_size=len(texts)))
    odd = draw(st.sets(st.integers(0, 7), max_size=2))
    chunks = []
    for number, text in enumerate(texts):
        outer, inner = other[number] if number in odd else (around, beside)
        delta = {"content": text} if number != 3 else draw(st.sampled_from(ODD_DELTAS))
        chunk = {**outer, "choices": [{**inner, "delta": delta}]}
        chunks.append(json.dumps(chunk, ensure_ascii=escape).encode())
    return chunks


ODD_DELTAS = [{}, {"content": "x", "role": "assistant"}, {"reasoning": "y"}, {"content": None}]


def passed(chunks, frames):
    request = GUARD.open()
    answer = Answer(request, ASKED)
    if not frames:
        answer._frames_to_try = 0
    out = []
    for chunk in chunks:
        try:
            out.append(answer.chunk(chunk))
        except answers.ApiError as error:
            out.append(error.code)
    verdict = request.output_verdict()
    told = [(f.label, f.start, f.end, f.path) for f in verdict.findings]
    return out, answer.rest(), answer.kept(), answer.finishes, answer.usage, verdict.outcome, told


@settings(max_examples=300, deadline=None)
@given(streams())
def test_frames_change_nothing(chunks):
    assert passed(chunks, frames=True) == passed(chunks, frames=False)


@settings(max_examples=200, deadline=None)
@given(streams(), TEXTS)
@example([b'{"choices":[{"delta":{"content":"a"},"x":{"content":"a"}}]}'], "b")
@example([b'{"choices":[{"delta":{"content":"a","content":"a"}}]}'], "b")
def test_a_frame_reads_what_json_says(chunks, text):
    """Whatever fits a learnt frame is, read in full, the same chunk with that text."""
    for data in chunks:
        chunk = msgspec.json.decode(data)
        frame = frame_of(data, chunk, chunk)
        if frame is None:
            continue
        other = frame.before + json.dumps(text).encode() + frame.after
        assert frame.text(other) == text
        chunk["choices"][0]["delta"]["content"] = text
        assert msgspec.json.decode(other) == chunk == msgspec.json.decode(frame.chunk(text))


def test_the_usual_stream_is_read_by_its_frame():
    line = '{"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{"content":%s}}]}'
    answer = Answer(GUARD.open(), ASKED)
    for word in ("one", " two", " thr\u00e9e"):
        answer.chunk((line % json.dumps(word)).encode())
    assert answer._framed is not None
    assert answer._framed[0].text(b"[DONE]") is None
    assert answer._framed[0].text(answer._framed[0].before + b'"a","b"' + b"}]}") is None
