"""Records and tables among the sources, as they would be told."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.grounding import Ground
from keelmark.core.ports import Segment
from keelmark.guard._grounds import judge
from keelmark.guard._records import read
from keelmark.guard._sources import Index, Source
from keelmark.guard._sources import given as sources_in

SHOP = {
    "name": "Marsh Tools",
    "address": {"street": "4 Mill Lane", "city": "Leeds", "state": "TX"},
    "opening_hours": {"Monday": "9:0-18:0", "Friday": "9:0-20:30"},
    "attributes": {"OutdoorSeating": False, "WiFi": None, "TakesCards": True},
    "tags": ["saws", "paint"],
    "reviews": [{"stars": 4.5, "text": "Good saws. The owner was kind, and there was no queue."}],
}
TOLD = (
    "name: Marsh Tools; tags: saws, paint",
    "address - street: 4 Mill Lane; city: Leeds; state: TX (Texas)",
    "opening hours - Monday: 9 AM to 6 PM; Friday: 9 AM to 8:30 PM",
    "Outdoor Seating: no; WiFi: not given; Takes Cards: yes",
    "reviews - stars: 4.5; text: Good saws. The owner was kind, and there was no queue.",
)


def lines(text):
    return tuple(line for line in read(text).text.splitlines() if line.strip())


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(SHOP),
        json.dumps(SHOP, indent=2),
        repr(SHOP),
        json.dumps(SHOP)[:-1],
        json.dumps({"response": SHOP}),
        json.dumps({"results": [SHOP]}).replace("Marsh Tools", r"M\u0061rsh Tools"),
    ],
)
def test_a_record_is_told(written):
    told = [re.sub("^Marsh Tools(, | - )", "", line) for line in lines(written)]
    assert tuple(told) == TOLD


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('Before {"a": 1, "b": 2} behind.', ("Before ", "a: 1; b: 2", " behind.")),
        ('{"a": 1}', ("a: 1",)),
        ('{"d": "{\\"e\\": 1, \\"f\\": [2, 3]}"}', ("d - e: 1; f: 2, 3",)),
        ('{"say": "[\'a\'] and more", "n": 2}', ("say: [\'a\'] and more; n: 2",)),
        (r'["\ud83d\ude00", {"half": "\ud83d"}]', ("😀", "half: \ufffd")),
        ("{u'a': u'b', 'c': \"u'free'\"}", ("a: b; c: free",)),
        ("{'a': None, 'b': 'none', 'c': 'True'}", ("a: not given; b: none; c: yes",)),
        ('{"page": "<h1>Hours<\\/h1><p>We open at <b>9<\\/b>.<\\/p>", "id": 4}',
         ("id: 4", "page: Hours", "We open at 9.")),
        ('[{"name": "A", "w": {"t": 1}}, {"name": "B", "w": {"t": 2}}]',
         ("name: A", "A, w - t: 1", "name: B", "B, w - t: 2")),
        ('{"a": 1, "b": {"c": [4, 5], "d": "cut o', ("a: 1", "b - c: 4, 5", ', "d": "cut o')),
        ("|City|Open air|\n|--|:-:|\n|Paris|true|\n| A\\|B | |\n\nEnd.",
         ("City: Paris; Open air: yes", "City: A|B", "End.")),
        ("City | Pop\n--- | ---\nRome | 3", ("City: Rome; Pop: 3",)),
        ('id,city,openHours\n1,"Rome, Italy",9:0-12:0\n2,Bern,8:30-17:15\n',
         ("id: 1; city: Rome, Italy; open hours: 9 AM to 12 PM",
          "id: 2; city: Bern; open hours: 8:30 AM to 5:15 PM")),
        ('{"state": "OK", "city": "Tulsa"}', ("state: OK (Oklahoma); city: Tulsa",)),
        ('{"state": "OK", "checks": 4}', ("state: OK; checks: 4",)),
        ("|a|b|\n|-|-|\n|1|2|3|", ("a: 1; b: 2; 3",)),
        ("a\tb\n1\t2\n3\t4", ("a: 1; b: 2", "a: 3; b: 4")),
    ],
)  # fmt: skip
def test_forms_in_which_they_are_written(written, told):
    assert lines(written) == told


PAGE = """<html><head><title>Harbour Museum</title><style>p {color: red}</style>
<script>var hidden = {"a": 1, "b": 2};</script></head><body><h1>Visit us</h1>
<p>It <b>opened</b> in 1987
and has 312 ships &amp; boats.</p><!-- closed on Sunday -->
<table><thead><tr><th>Day</th><th>Opens</th></tr></thead>
<tr><td>Monday</td><td>9:0-17:30</td></tr><tr><td>Friday</td><td>not at all</td></tr></table>
<table><tr><th>Director</th><td>Ada <i>Long</i></td></tr><tr><th>Free<td>true</table>
<ul><li>Parking</li><li>Cafe<br>with a view</ul></body></html>"""


def test_a_page_reads_without_tags_and_its_tables_as_records():
    told = [" ".join(line.split()) for line in lines(PAGE)]
    assert told == [
        "Harbour Museum",
        "Visit us",
        "It opened in 1987 and has 312 ships & boats.",
        "Day: Monday; Opens: 9 AM to 5:30 PM",
        "Day: Friday; Opens: not at all",
        "Director - Ada Long",
        "Free - yes",
        "Parking",
        "Cafe",
        "with a view",
    ]
    reading = read(PAGE)
    start = reading.text.index("1987 and")
    assert PAGE[slice(*reading.origin(start, start + 8))] == "1987\nand"
    start = reading.text.index("Ada Long")
    assert PAGE[slice(*reading.origin(start, start + 8))] == "Ada <i>Long</i>"
    assert (
        judge("On Monday it opens at 9 AM.", Index([Source("", PAGE)])).verdict is Ground.SUPPORTED
    )


def test_a_page_that_is_cut_off_keeps_what_it_says():
    for cut in ("<table><tr><th>Day<td>Fri", "<p>İİ</p><script>x</SCRIPT><p>Fri</p><td>Fri"):
        assert "Fri" in read("<p>One.</p><p>Two.</p>" + cut).text.split()[-1]


@pytest.mark.parametrize(
    "text",
    [
        "The tags <p> and </p> are for paragraphs.",
        "if a < b and c > d: <x> <y> <z>",
        "See [the page](http://a.example) and {this}.",
        "He said [\"a\" and left. {'k': 1",
        "One, two, three\nfour, five, six\nseven, eight, nine",
        "1,2,3\n4,5,6\n7,8,9",
        "A line\n----------\nof a heading | with a bar",
        "[" * 5000,
        '{"a":' * 5000,
        "",
    ],
)
def test_what_only_looks_like_one_stays_as_it_is(text):
    assert read(text).text == text


def test_places_are_those_in_what_is_written():
    text = f"Our shop: {json.dumps(SHOP)} That is all."
    reading = read(text)

    def origin(part):
        start = reading.text.index(part)
        return text[slice(*reading.origin(start, start + len(part)))]

    assert origin("The owner was kind") == "The owner was kind"
    assert origin("That is all.") == "That is all."
    assert origin("Monday: 9 AM") == '"9:0-18:0"'
    assert origin("4 Mill Lane; city: Leeds") == '4 Mill Lane", "city": "Leeds'


words = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150)
@given(values, st.booleans(), st.text(max_size=20), st.integers(0, 200))
def test_whatever_is_written_is_read_with_its_places(value, python, around, cut):
    text = around + (repr(value) if python else json.dumps(value)) + around
    for one in (text, text[:cut]):
        reading = read(one)
        assert "".join(map(str.strip, reading.text.split())) or not one.strip()
        for place in range(len(reading.text)):
            start, end = reading.origin(place, place + 1)
            assert 0 <= start <= end <= len(one)
            if not reading.told(place):
                assert one[start:end] == reading.text[place]


MARKUP = ("<p>", "</p>", "<td>", "<th>", "</tr>", "<table>", "<!--", "<script>", "a", "&lt;", "<")


@settings(max_examples=150)
@given(
    st.text(alphabet="[]{}\"':,|-\n\\ a1tu", max_size=200)
    | st.lists(st.sampled_from(MARKUP)).map(" ".join)
)
def test_anything_is_read(text):
    reading = read(text)
    assert not reading.pieces or reading.origin(0, len(reading.text))[1] <= len(text)


ASKED = json.dumps(SHOP)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("Marsh Tools is at 4 Mill Lane in Leeds, Texas.", Ground.SUPPORTED),
        ("On Mondays it opens from 9 AM to 6 PM.", Ground.SUPPORTED),
        ("On Friday the opening hours are 09:00 to 20:30.", Ground.SUPPORTED),
        ("Its tags are saws and paint.", Ground.SUPPORTED),
        ("It has a rating of 4.5 stars in its reviews.", Ground.SUPPORTED),
        ("On Mondays it opens from 9 AM to 7 PM.", Ground.CONTRADICTED),
        ("It is open on Sunday.", Ground.CONTRADICTED),
        ("You find the shop of Marsh Tools in Leeds, Ohio.", Ground.UNSUPPORTED),
        ("It has 12 branches.", Ground.UNSUPPORTED),
    ],
)
def test_answers_about_a_record_without_the_encoder(claim, verdict):
    assert judge(claim, Index([Source("d", ASKED)])).verdict is verdict


def test_what_a_tool_returns_is_read_as_it_is_written():
    written = json.dumps({"say": 'He said "no" to it.', "at": "9:0-12:0"})
    segments = [Segment(role="tool", path="messages[2].content", text=written, is_json=True)]
    index = Index(*sources_in(segments, ("tools",), ()))
    said = judge("It is from 9 AM to 12 PM.", index)
    assert said.source is not None
    assert written[said.source.start : said.source.end].endswith('"9:0-12:0"')


@pytest.mark.parametrize(
    ("state", "verdict"), [("Texas", Ground.SUPPORTED), ("Ohio", Ground.UNSUPPORTED)]
)
def test_a_state_is_known_by_its_letters_in_an_address(state, verdict):
    text = "The mill has a shop. You find it at 4 Mill Lane, Leeds, TX 75001. It opens daily."
    said = judge(f"You find the shop at 4 Mill Lane in Leeds, {state}.", Index([Source("", text)]))
    assert said.verdict is verdict
