"""However the bytes of a stream are split, the same events come out, and the same text."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.outcome import Outcome
from keelmark.core.verdict import Verdict
from keelmark.serve import sse
from keelmark.serve.answers import Answer, Asked
from keelmark.serve.sse import EventReader, EventTooLongError

LINES = st.lists(
    st.one_of(
        st.binary(max_size=12).map(lambda b: b"data: " + _flat(b)),
        st.binary(max_size=8).map(lambda b: b"data:" + _flat(b)),
        st.sampled_from([b"", b"", b": comment", b"event: x", b"data", b"retry: 3", b"nonsense"]),
    ),
    max_size=20,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def _flat(data: bytes) -> bytes:
    return data.replace(b"\n", b"").replace(b"\r", b"")


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _events(pieces: list[bytes]) -> list[bytes]:
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish()


def _reference(lines: list[bytes]) -> list[bytes]:
    events, data = [], []
    for line in [*lines, b""]:
        if not line and data:
            events.append(b"\n".join(data))
            data = []
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
    return events


@settings(max_examples=300, deadline=None)
@given(LINES, ENDS, st.booleans(), st.lists(st.integers(0, 200), max_size=12))
def test_events_do_not_depend_on_the_split(lines, end, mark, cuts):
    data = (b"\xef\xbb\xbf" if mark else b"") + b"".join(line + end for line in lines)
    assert _events(_split(data, cuts)) == _reference(lines)
    assert _events([data[at : at + 1] for at in range(len(data))]) == _reference(lines)


def test_a_long_event_in_many_pieces_costs_its_length():
    """Work that grew with the square of its length would take longer than a test may."""
    reader, pieces = EventReader(), 80_000
    reader.feed(b"data: ")
    assert not [event for _ in range(pieces) for event in reader.feed(b"x" * 200)]
    assert reader.feed(b"\n\n") == [b"x" * 200 * pieces]


@pytest.mark.parametrize("line", [b"x" * 100, b"data:\n" * 100])
def test_an_event_without_an_end_is_not_collected(line, monkeypatch):
    monkeypatch.setattr(sse, "LONGEST", 10_000)
    reader = EventReader()
    for _ in range(99):
        assert reader.feed(line) == []
    reader.feed(b"")
    with pytest.raises(EventTooLongError):
        reader.feed(line + line)


class _Held:
    """Holds back the last three characters, so that chunks and releases never line up."""

    blocked = False

    def __init__(self):
        self.kept = ""
        self._held = ""

    def feed(self, text):
        text = self._held + text
        out, self._held = text[:-3], text[-3:]
        self.kept += out
        return out

    def finish(self):
        self.kept += self._held
        out, self._held = self._held, ""
        return out


class _Guard:
    def __init__(self):
        self.channels = {}

    async def check_input(self, segments):
        raise NotImplementedError

    def channel(self, name, *, is_json=False):
        return self.channels.setdefault(name, _Held())

    def output_verdict(self):
        return Verdict(stage="output", outcome=Outcome.ALLOW)


FIELDS = st.sampled_from(["content", "reasoning_content", "refusal"])
PIECES = st.lists(st.tuples(FIELDS, st.text(max_size=8)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=3), st.booleans(), st.randoms())
def test_every_character_of_every_choice_leaves_once(choices, together, random):
    chunks = []
    for index, pieces in enumerate(choices):
        mine = [{"index": index, "delta": {f: t}, "finish_reason": None} for f, t in pieces]
        last = mine.pop()["delta"] if together and mine else {}
        chunks.append([*mine, {"index": index, "delta": last, "finish_reason": "stop"}])
    order = [i for i, mine in enumerate(chunks) for _ in mine]
    random.shuffle(order)
    answer = Answer(_Guard(), Asked(True, len(choices), False, "", {}, "sampled"))
    out = b"".join(
        answer.chunk(msgspec.json.encode({"id": "x", "choices": [chunks[i].pop(0)]})) for i in order
    )
    got = {}
    finished = set()
    for event in EventReader().feed(out):
        for choice in msgspec.json.decode(event)["choices"]:
            assert choice["index"] not in finished, "nothing after the finish reason"
            if choice["finish_reason"]:
                finished.add(choice["index"])
            for field, text in choice["delta"].items():
                key = (choice["index"], field)
                got[key] = got.get(key, "") + text
    wanted = {}
    for index, pieces in enumerate(choices):
        for field, text in pieces:
            wanted[index, field] = wanted.get((index, field), "") + text
    assert {k: v for k, v in got.items() if v} == {k: v for k, v in wanted.items() if v}
    assert answer.complete
    assert finished == set(range(len(choices)))
