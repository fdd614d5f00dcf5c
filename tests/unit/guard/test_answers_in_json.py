"""Answers in JSON are judged value by value; documents with fields are records to rest on."""

import asyncio
import json

import pytest

from keelmark.core.policy import GuardRules, Limits, Policy, Repair, Rule
from keelmark.core.ports import Segment
from keelmark.core.segments import context_segments, read_segments
from keelmark.guard import Guard

SOURCE = (
    "Acme was founded in Berlin on 12 March 1998 by Ada Long. It has 1,200 employees and sells "
    "small boats. Customers praise the friendly staff."
)
REQUEST = (Segment(role="retrieved", path="documents[0]", text=SOURCE),)


def guard(action="flag", **more):
    rule = Rule(
        id="ground",
        detector="grounding",
        action=action,
        stage="output",
        timeout_ms=600_000,
        config={"encoder": "off"},
        **more,
    )
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


def answered(text, *, judge=None, is_json=True, segments=REQUEST):
    request = (judge or guard()).open()
    asyncio.run(request.check_input(segments))
    channel = request.channel("choices[0].content", is_json=is_json)
    return channel.feed(text) + channel.finish(), request.output_verdict()


def said_of(text, **how):
    """What is said of each value that is judged, by what it says."""
    _, verdict = answered(text, **how)
    return {text[one.start : one.end]: str(one.verdict) for one in verdict.sentences}


@pytest.mark.parametrize("is_json", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_each_value_is_judged_with_the_name_of_its_field(indent, is_json):
    answer = {
        "company": "Acme",
        "founded": {"year": 1997, "city": "Berlin", "date": "1998-03-12"},
        "founder": "Bob Stone",
        "employees": 1200,
        "sells": ["small boats", "It was founded in 1997. It has 1,200 employees."],
    }
    assert said_of(json.dumps(answer, indent=indent), is_json=is_json) == {
        "Acme": "supported",
        "1997": "contradicted",
        "Berlin": "supported",
        "1998-03-12": "supported",
        "Bob Stone": "unsupported",
        "1200": "supported",
        "small boats": "supported",
        "It was founded in 1997.": "contradicted",
        "It has 1,200 employees.": "supported",
    }


def test_scores_and_classes_of_the_writers_own_are_no_claims():
    answer = {
        "sentiment": "positive",
        "confidence": 0.93,
        "currency": "EUR",
        "id": 17,
        "needs_review": True,
        "notes": None,
        "comment": "",
    }
    assert set(said_of(json.dumps(answer)).values()) == {"no_claim"}


def test_a_number_in_a_field_that_the_sources_speak_of_is_a_claim():
    assert said_of('{"employees": 1300}') == {"1300": "contradicted"}
    assert said_of('{"employees": "1300"}') == {"1300": "contradicted"}


@pytest.mark.parametrize("name", ["answer", "final_answer", "result", "value", "year"])
@pytest.mark.parametrize("value", ["1997", '"1997"', "1300"])
def test_a_bare_answer_is_a_claim(name, value):
    (said,) = said_of(f'{{"{name}": {value}}}').values()
    assert said in {"contradicted", "unsupported"}
    assert set(said_of(f'{{"{name}": 1998}}').values()) == {"supported"}


def test_items_without_a_field_are_claims():
    assert set(said_of('["1997", "1300"]').values()) <= {"contradicted", "unsupported"}


def test_a_stream_about_a_request_is_held_to_it():
    stream = guard().about(REQUEST).stream("output")
    stream.feed("Acme was founded in 1997. ")
    stream.finish()
    assert [str(one.verdict) for one in stream.verdict.sentences] == ["contradicted"]


def test_a_record_in_a_fence_is_judged_and_what_follows_it():
    text = '```json\n{"founder": "Bob Stone"}\n```\nAcme has 1,300 employees.'
    assert said_of(text, is_json=False) == {
        "Bob Stone": "unsupported",
        "Acme has 1,300 employees.": "contradicted",
    }


def test_code_behind_words_is_code():
    text = 'Here is a file:\n```json\n{"founder": "Bob Stone"}\n```\n'
    assert "Bob Stone" not in said_of(text, is_json=False)


@pytest.mark.parametrize("note", ["[1] ", "[Acme] ", "[] ", "{A} ", "[12][3] "])
def test_a_note_in_brackets_is_no_record(note):
    for employees, verdict in (("1,200", "supported"), ("1,300", "contradicted")):
        text = f"{note}Acme has {employees} employees."
        assert said_of(text, is_json=False) == {text: verdict}


@pytest.mark.parametrize(
    "before",
    ['{"a": ', '{"": "", ', '[["', '{"a": [', '[{"a": 1}, ', '{"a": 1} ', '{"a": "b" ', '["a", '],
)
def test_a_bracket_hides_no_sentence(before):
    for is_json in (True, False):
        said = said_of(f"{before}Acme has 1,300 employees.", is_json=is_json)
        assert "contradicted" in said.values(), said


@pytest.mark.parametrize("is_json", [True, False])
def test_quotes_within_a_value_do_not_end_it(is_json):
    text = json.dumps(
        {"said": 'They say "no", and left. It has 1,300 employees.', "by": "Ada Long"}
    )
    assert said_of(text, is_json=is_json)["It has 1,300 employees."] == "contradicted"
    assert said_of(text, is_json=is_json)["Ada Long"] == "supported"


@pytest.mark.parametrize("is_json", [True, False])
def test_what_is_taken_out_leaves_json(is_json):
    text = '{"founder": "Bob Stone", "employees": 1300, "sells": "small boats"}'
    out, _ = answered(text, judge=guard("redact", marker="removed"), is_json=is_json)
    assert json.loads(out) == {"founder": "removed", "employees": "removed", "sells": "small boats"}


def test_a_marker_stands_within_a_text_or_nowhere():
    text = '{"founder": "Bob Stone", "employees": 1300}'
    judge = guard("annotate", marker=" (?)")
    assert answered(text, judge=judge, is_json=True)[0] == text
    out, _ = answered(text, judge=judge, is_json=False)
    assert json.loads(out) == {"founder": "Bob Stone (?)", "employees": 1300}


def test_a_marker_with_quotes_is_escaped():
    text = '{"founder": "Bob Stone", "employees": 1300}'
    judge = guard("redact", marker='"?"')
    for is_json in (True, False):
        out, _ = answered(text, judge=judge, is_json=is_json)
        assert json.loads(out) == {"founder": '"?"', "employees": '"?"'}


def test_a_value_is_not_asked_for_again():
    judge = guard(repair=Repair(attempts=1))
    request = judge.open()
    request.again = lambda sentence, reason: pytest.fail(f"asked for {sentence!r}: {reason}")
    asyncio.run(request.check_input(REQUEST))
    channel = request.channel("choices[0].content")
    text = '{"founder": "Bob Stone"}'
    assert channel.feed(text) + channel.finish() == text


def test_the_map_points_behind_escapes():
    text = json.dumps({"a": "Grüße\n😀", "founder": "Bob Stone"})
    assert "\\u" in text
    assert said_of(text)["Bob Stone"] == "unsupported"


def test_deep_nesting_and_endless_names_are_read_in_time():
    for text in ('[{"a": ' * 5000, '{"' + "a" * 50_000, '{"a": "' + '",' * 20_000, '{"a" ' * 9000):
        out, verdict = answered(text, is_json=False)
        assert out == text
        assert verdict.outcome.examined


DOCUMENT = {
    "name": "Harbour Grill",
    "stars": 4.5,
    "attributes": {"wifi": True, "hours": {"Monday": "11:0-21:0"}},
    "reviews": [0.1, 0.2],
    "text": "A friendly place by the water. The fish soup is famous.",
}


def documents(document):
    body = {"documents": [document], "messages": [{"role": "user", "content": "What is it?"}]}
    return tuple(read_segments(body, Limits()).segments)


def test_numbers_and_yes_and_no_of_documents_are_read():
    texts = {one.path: one.text for one in documents(DOCUMENT)}
    assert texts["documents[0].stars"] == "4.5"
    assert texts["documents[0].attributes.wifi"] == "true"
    assert "documents[0].reviews[0]" not in texts  # vectors are no claims


def test_fields_of_a_document_are_one_record():
    answer = (
        "The Harbour Grill has 4.5 stars. The Harbour Grill has 3.5 stars. Its hours on Monday "
        "are 11 AM to 9 PM. The fish soup is famous."
    )
    _, verdict = answered(answer, is_json=False, segments=documents(DOCUMENT))
    right, wrong, hours, soup = verdict.sentences
    assert [str(one.verdict) for one in (right, wrong, hours, soup)] == [
        "supported",
        "contradicted",
        "supported",
        "supported",
    ]
    assert right.source.path == "documents[0].name"
    assert soup.source.path == "documents[0].text"
    assert DOCUMENT["text"][soup.source.start : soup.source.end] == "The fish soup is famous."


def test_a_context_may_be_a_record():
    (segment,) = context_segments({"name": "Harbour Grill", "stars": 4.5})
    assert json.loads(segment.text) == {"name": "Harbour Grill", "stars": 4.5}


@pytest.mark.parametrize("is_json", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_what_two_rules_take_out_of_a_bare_value_leaves_json(is_json, order):
    ground = guard("redact").policy.guard.rules[0]
    secret = Rule(id="cards", detector="personal_data", action="redact", stage="output")
    both = Guard(Policy(guard=GuardRules(rules=(ground, secret)[::order])))
    text = '{"founded": 1998, "employees": 4111111111111111, "city": "Berlin"}'
    left, verdict = answered(text, judge=both, is_json=is_json)
    assert {one.rule for one in verdict.findings} == {"ground", "cards"}
    assert json.loads(left)["city"] == "Berlin"
    assert "4111" not in left


HOTEL = {
    "name": "Lux",
    "isRefundable": False,
    "free_wifi": True,
    "noSmoking": True,
    "parking": {"garage": True, "street": False},
}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"refundable": True}, "contradicted"),
        ({"refundable": "yes"}, "contradicted"),
        ({"hotel": {"is_refundable": False}}, "supported"),
        ({"answer": {"nonRefundable": True}}, "supported"),
        ({"freeWifi": "no"}, "contradicted"),
        ({"smoking": True}, "contradicted"),
        ({"smoking": False}, "supported"),
        ({"parking": {"street": True}}, "contradicted"),
        ({"garden": {"street": True}}, "no_claim"),
        ({"pets": True}, "no_claim"),
    ],
)
def test_yes_and_no_are_held_to_the_same_field_of_a_record(answer, verdict):
    assert list(said_of(json.dumps(answer), segments=documents(HOTEL)).values()) == [verdict]


def test_records_that_say_both_are_against_neither():
    rows = "| dish | vegan |\n|---|---|\n| Soup | yes |\n| Pie | no |"
    given = (Segment(role="tool", path="messages[1].content", text=rows),)
    for said in (True, False):
        assert set(said_of(json.dumps({"vegan": said}), segments=given).values()) == {"supported"}


def test_yes_and_no_are_not_held_to_prose():
    assert set(said_of('{"boats": false, "friendly_staff": true}').values()) == {"no_claim"}


@pytest.mark.parametrize("said", [True, "yes", False])
def test_a_wrong_yes_is_taken_out_and_leaves_json(said):
    text = json.dumps({"refundable": said, "name": "Lux"})
    out, _ = answered(text, judge=guard("redact"), segments=documents(HOTEL))
    kept = json.loads("".join(piece.text for piece in out) if isinstance(out, list) else out)
    assert kept["name"] == "Lux"
    assert (kept["refundable"] == said) == (said is False)
