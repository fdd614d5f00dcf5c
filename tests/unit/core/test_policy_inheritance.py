"""A policy that extends others: what it changes, what it removes, and what is refused."""

import jsonschema
import pytest
import yaml

from keelmark.core.errors import UsageError
from keelmark.core.policy import parse_policy, policy_schema

BASE = """\
name: base
limits: {concurrent: 7}
admission: {fail_on: medium}
guard:
  logprobs: full
  rules:
    - {id: one, detector: a, action: mask, stage: input}
    - {id: two, detector: b, action: block, threshold: 0.7}
  exceptions:
    - {id: ours, rule: one, labels: [EMAIL], reason: r, author: ada, expires: 2030-01-01}
"""
OTHER = "extends: base\nguard: {rules: [{id: two, action: flag}]}\n"
FILES = {"base": BASE, "other": OTHER, "ring": "extends: loop", "loop": "extends: [base, ring]"}


def fetch(name, _source):
    if name not in FILES:
        raise UsageError(f"no policy called {name!r}.")
    return name, FILES[name]


def read(text):
    return parse_policy(text, source="own.yaml", fetch=fetch)


def test_what_is_not_said_is_inherited():
    policy = read("extends: base\n")
    assert policy.guard == parse_policy(BASE).guard
    assert (policy.limits.concurrent, policy.admission.fail_on) == (7, "medium")
    assert policy.extends == policy.guard.remove == ()


def test_rules_are_changed_by_id_field_by_field_and_added_behind():
    rules = "[{id: two, action: flag}, {id: three, detector: c, action: block}]"
    policy = read(f"extends: base\nguard: {{rules: {rules}}}")
    one, two, three = policy.guard.rules
    assert (one.action, two.action, three.id) == ("mask", "flag", "three")
    assert (two.detector, two.threshold) == ("b", 0.7)
    assert policy.guard.logprobs == "full"


def test_a_section_is_changed_field_by_field():
    policy = read("extends: base\nlimits: {nesting: 9}\nadmission: {load: hash}")
    assert (policy.limits.concurrent, policy.limits.nesting) == (7, 9)
    assert (policy.admission.fail_on, policy.admission.load) == ("medium", "hash")


def test_rules_and_exceptions_are_removed_by_id():
    policy = read("extends: base\nguard: {remove: [one]}")
    assert [rule.id for rule in policy.guard.rules] == ["two"]
    assert policy.guard.exceptions == (), "gone with its rule"
    assert len(read("extends: base\nguard: {remove: [ours]}").guard.rules) == 2


def test_a_removed_rule_may_be_written_anew():
    rules = "[{id: one, detector: z, action: flag}]"
    policy = read(f"extends: base\nguard: {{remove: [one, ours], rules: {rules}}}")
    assert [(rule.id, rule.stage) for rule in policy.guard.rules] == [
        ("two", "both"),
        ("one", "input"),
    ]


def test_of_several_the_later_wins_and_each_counts_once():
    assert read("extends: [other, base]").guard.rules[1].action == "flag", "base came first already"
    assert read("extends: [base, other]").guard.rules[1].action == "flag"


def test_the_digest_is_of_what_is_in_force():
    short = read("extends: base\nname: x")
    long = parse_policy(BASE.replace("name: base", "name: x"))
    assert short.digest == long.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nextends: nope\n", "own.yaml, line 2: no policy called 'nope'."),
        ("extends:\n  - base\n  - ring\n", "line 1: 'ring' extends this policy in turn"),
        ("extends: 3\n", "own.yaml, line 1: `extends` must be text or a list"),
        (
            "extends: base\nguard:\n  remove: [tow]\n",
            "line 3: there is no rule 'tow' to remove; did",
        ),
        ("guard: {remove: [x], rules: []}", "there is no rule 'x' to remove; choose from: none."),
        (
            "extends: base\nguard:\n  rules:\n    - {id: one, action: hide}\n",
            (
                "own.yaml, line 4: `guard.rules[0].action` cannot be 'hide'; choose from: "
                "annotate, block, flag"
            ),
        ),
        (
            "extends: base\nguard:\n  rules:\n    - {id: new, action: flag}\n",
            "own.yaml, line 4: the field `detector` is missing.",
        ),
    ],
)
def test_mistakes_name_line_and_mend(text, said):
    with pytest.raises(UsageError) as caught:
        read(text)
    assert said in caught.value.message


EXCEPTION = (
    "guard:\n  rules: [{id: a, detector: d, action: flag}]\n  exceptions:\n    - {id: e, rule: %s"
)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            "b, labels: [X], reason: r, author: a, expires: 2030-01-01",
            "line 4: exception 'e' is for",
        ),
        (
            "a, reason: r, author: a, expires: 2030-01-01",
            "line 4: exception 'e' excuses everything",
        ),
        ("a, labels: [X], reason: r, author: a, expires: 2030-02-31", "is no day; write YYYY"),
        ("a, labels: [X], reason: r, expires: 2030-01-01", "the field `author` is missing"),
        ("a, labels: [X], reason: '', author: a, expires: 2030-01-01", "reason"),
        ("a, value: abc, reason: r, author: a, expires: 2030-01-01", "value"),
    ],
)
def test_exceptions_need_a_rule_a_reason_an_author_a_date_and_an_object(fields, said):
    with pytest.raises(UsageError) as caught:
        parse_policy(EXCEPTION % (fields + "}"))
    assert said in caught.value.message


@pytest.mark.parametrize("text", [BASE, OTHER, "extends: [base]\nguard: {remove: [one]}", ""])
def test_the_schema_takes_what_is_a_policy(text):
    document = yaml.safe_load(text) or {}
    for one in (document.get("guard") or {}).get("exceptions", ()):
        one["expires"] = str(one["expires"])
    jsonschema.validate(document, policy_schema())


@pytest.mark.parametrize(
    "text",
    [
        "guard: {rules: [{id: one, action: flag}]}",
        "extends: base\nguard: {rules: [{action: flag}]}",
        "guard: {remove: [one], rules: []}",
        "guard: {rules: [{id: a, detector: d, action: flag, stage: nowhere}]}",
    ],
)
def test_the_schema_refuses_what_is_none(text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), policy_schema())
