"""What a declared use may do, and what it owes, with the clause behind every line."""

import jsonschema
import pytest

from corpus.families.licences import MIT
from keelmark.core.errors import UsageError
from keelmark.vet.licence.conflicts import conflicts, name_must_begin
from keelmark.vet.licence.decide import NOT_ADVICE, Answer, Decision, applies, decide
from keelmark.vet.licence.expressions import Both, Either, Name, joined, names_in, parse, shown
from keelmark.vet.licence.identify import identify
from keelmark.vet.licence.records import When, all_records
from keelmark.vet.licence.use import QUESTIONS, Use, read_use, use_from, use_schema


def ask(licence: str, **use: object) -> Decision:
    return decide(use_from(use), parse(licence))


def terms(decision: Decision) -> set[str]:
    return {clause.term for clause in (*decision.lines, *decision.duties)}


def test_every_line_has_its_clause() -> None:
    decision = ask("llama3.1", commercial=True, monthly_users=5, serve=True, domains=["software"])
    assert decision.answer is Answer.ALLOWED_IF
    assert decision.unanswered == ()
    assert NOT_ADVICE in decision.summary
    for clause in (*decision.lines, *decision.duties, *decision.notes):
        term = next(t for t in all_records()[clause.record].terms if t.id == clause.term)
        assert (clause.quote, clause.offset) == (term.quote, term.offset)
    assert {"built-with", "copy", "use-policy"} <= terms(decision)
    assert "name" not in terms(decision)


@pytest.mark.parametrize(
    ("licence", "use", "answer"),
    [
        ("mit", {"commercial": True, "serve": True}, "allowed"),
        ("mit", {"commercial": True, "publish_weights": True}, "allowed if"),
        ("apache-2.0", {"fine_tune": True, "publish_derivatives": True}, "allowed if"),
        ("cc-by-nc-4.0", {"commercial": True}, "not allowed"),
        ("cc-by-nc-4.0", {"commercial": False}, "allowed"),
        ("cc-by-nc-4.0", {"serve": True}, "could not tell"),
        ("qwen", {"monthly_users": 200_000_000}, "could not tell"),
        ("cc-by-nd-4.0", {"publish_derivatives": True}, "not allowed"),
        ("llama3.1", {"commercial": True, "monthly_users": 800_000_000}, "not allowed"),
        ("llama3.1", {"commercial": True}, "could not tell"),
        ("llama3.1", {"monthly_users": 9, "domains": ["military"]}, "not allowed"),
        ("llama3", {"monthly_users": 9, "train_on_outputs": True}, "not allowed"),
        ("llama3.1", {"monthly_users": 9, "train_on_outputs": True}, "allowed if"),
        ("llama4", {"monthly_users": 9, "regions": ["DE"], "modality": ["image"]}, "not allowed"),
        ("llama4", {"monthly_users": 9, "regions": ["US"], "modality": ["image"]}, "allowed if"),
        ("llama4", {"monthly_users": 9, "regions": ["FR"], "modality": ["text"]}, "allowed if"),
        ("llama4", {"monthly_users": 9}, "could not tell"),
        ("qwen", {"commercial": True, "monthly_users": 200_000_000}, "not allowed"),
        ("tongyi-qianwen", {"distil": True, "commercial": False}, "not allowed"),
        ("stability-community", {"commercial": True, "annual_revenue": 2_000_000}, "not allowed"),
        ("stability-community", {"commercial": True, "annual_revenue": 20_000}, "allowed if"),
        ("stability-nc", {"serve": True, "commercial": False}, "not allowed"),
        ("gemma", {"commercial": True, "serve": True, "domains": ["software"]}, "allowed if"),
        ("gemma", {"domains": ["automated_decisions"]}, "not allowed"),
        ("deepseek", {"domains": ["military"]}, "not allowed"),
        ("bigscience-openrail-m", {"domains": ["medical"]}, "not allowed"),
        ("exaone", {"commercial": True}, "not allowed"),
        ("flux-1-dev", {"commercial": False, "train_on_outputs": True}, "not allowed"),
        ("nvidia-open-model", {"commercial": True, "fine_tune": True}, "allowed if"),
        ("modified-mit", {"commercial": True, "monthly_users": 200_000_000}, "allowed if"),
        ("yi-license", {"commercial": True}, "not allowed"),
        ("llama", {"commercial": False, "domains": ["surveillance"]}, "not allowed"),
        ("agpl-3.0", {"serve": True}, "allowed if"),
        ("openmdw", {"commercial": True, "train_on_outputs": True}, "allowed"),
        ("mrl", {}, "could not tell"),
        ("afl-3.0", {}, "could not tell"),
        ("nobody-knows", {}, "could not tell"),
    ],
)
def test_decision(licence: str, use: dict[str, object], answer: str) -> None:
    decision = ask(licence, **use)
    assert decision.answer == answer, decision
    if answer == "could not tell":
        assert decision.unanswered


def test_of_a_choice_the_best_is_shown_and_of_a_union_the_strictest() -> None:
    choice = ask("CC-BY-NC-4.0 OR (MIT AND Apache-2.0)", commercial=True)
    assert (choice.answer, choice.chosen) == (Answer.ALLOWED, "MIT AND Apache-2.0")
    assert {line.record for line in choice.lines} == {"mit", "apache-2.0"}
    union = ask("MIT AND CC-BY-NC-4.0", commercial=True)
    assert union.answer is Answer.NOT_ALLOWED
    assert ask("MIT AND mrl").answer is Answer.COULD_NOT_TELL


def test_an_exception_never_makes_it_stricter() -> None:
    decision = ask("CC-BY-NC-4.0 WITH some-exception", commercial=True)
    assert decision.answer is Answer.COULD_NOT_TELL
    assert "some-exception" in decision.lines[0].why
    assert ask("MIT WITH some-exception").answer is Answer.ALLOWED


def test_no_licence_is_no_permission() -> None:
    assert decide(Use(), None).answer is Answer.COULD_NOT_TELL


def test_an_altered_clause_answers_nothing() -> None:
    match = identify(MIT.replace("without restriction", "for research"))
    texts = {part.licence: part for part in match.parts}
    decision = decide(Use(commercial=True), parse("mit"), texts)
    assert decision.answer is Answer.COULD_NOT_TELL
    assert {line.what for line in decision.lines} >= {"text", "use it commercially"}
    assert all(line.answer is Answer.COULD_NOT_TELL for line in decision.lines)


def test_a_policy_without_a_text_leaves_risky_fields_open() -> None:
    risky = ask("falcon-2-11b", domains=["military"])
    assert risky.answer is Answer.COULD_NOT_TELL
    assert ask("falcon-2-11b", domains=["software"]).answer is Answer.ALLOWED_IF


@pytest.mark.parametrize(
    ("when", "use", "held"),
    [
        (When(), {}, True),
        (When(commercial=True), {}, None),
        (When(commercial=True), {"commercial": False}, False),
        (When(monthly_users=10), {"monthly_users": 10}, False),
        (When(monthly_users=10), {"monthly_users": 11}, True),
        (When(monthly_users=10, commercial=True), {"monthly_users": 9}, False),
        (When(regions=("EU",)), {"regions": ["SE"]}, True),
        (When(regions=("EU",)), {"regions": ["world"]}, True),
        (When(regions=("EU",)), {"regions": ["US"]}, False),
        (When(regions=("EU",), modality=("image",)), {"regions": ["SE"]}, None),
        (When(domains=("military",)), {"domains": []}, False),
    ],
)
def test_conditions_have_three_answers(when: When, use: dict[str, object], held: object) -> None:
    assert applies(when, use_from(use)) is held


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("comercial: true", "use.yaml, line 1: there is no field `comercial` here; did you mean"),
        ("commercial: true\nmonthly_users: many", "use.yaml, line 2: `monthly_users` must be"),
        ("domains: [milittary]", "use.yaml, line 1: `domains[0]` cannot be 'milittary'; did you"),
        (
            "regions: [Germany]",
            "country codes such as DE, or EU, or world, not 'Germany'.",
        ),
        ("monthly_users: -1", "use.yaml, line 1: `monthly_users` must be"),
    ],
)
def test_a_wrong_use_says_how_to_mend_it(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_use(text, source="use.yaml")
    assert message in caught.value.message


def test_schema_and_questions_cover_every_field() -> None:
    fields = set(Use.__struct_fields__)
    assert [question.field for question in QUESTIONS] == list(Use.__struct_fields__)
    schema = use_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["$defs"]["Use"]["properties"]) == fields
    assert all(question.asks.endswith("?") for question in QUESTIONS)


def test_names_mean_records() -> None:
    for said, record in (
        ("llama3.1", "llama-3.1"), ("Llama 3.1 Community License Agreement", "llama-3.1"),
        ("MIT License", "mit"), ("apache 2.0", "apache-2.0"), ("Apache-2.0", "apache-2.0"),
        ("creativeml-openrail-m", "creativeml-openrail-m"), ("GPL-3.0-or-later", "gpl-3.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0.html", "apache-2.0"),
        ("LicenseRef-scancode-gemma-tou-2024-04-01", "gemma-2024"),
    ):  # fmt: skip
        assert names_in(parse(said))[0].records == (record,)
    assert parse("gemma") == Name("gemma", ("gemma-2024", "gemma-2025"))
    assert parse("AFL-3.0") == Name("AFL-3.0", (), "AFL-3.0")
    assert parse("llama").records == ("llama-1",)
    assert joined(["other", ""]) is None


def test_expressions_keep_their_shape() -> None:
    tree = parse("MIT AND (Apache-2.0 OR GPL-3.0-only WITH Classpath-exception-2.0)")
    assert isinstance(tree, Both)
    assert isinstance(tree.parts[1], Either)
    assert tree.parts[1].parts[1].exception == "Classpath-exception-2.0"
    assert shown(tree) == "MIT AND (Apache-2.0 OR GPL-3.0-only WITH Classpath-exception-2.0)"
    for broken in ("MIT OR", "OR OR", "MIT AND AND MIT", "(" * 500 + " or "):
        assert isinstance(parse(broken), Name)


@pytest.mark.parametrize(
    ("child", "parent", "found"),
    [
        (["mit"], ["llama3.1"], True),
        (["llama3.1"], ["llama3.1"], None),
        (["llama3.2"], ["llama3.1"], True),
        (["mit", "llama3.1"], ["llama3.1"], None),
        (["MIT OR llama3.1"], ["llama3.1"], True),
        (["apache-2.0"], ["mit"], None),
        (["llama3.1"], ["apache-2.0"], None),
        (["mit"], ["gemma"], True),
        (["gemma"], ["gemma"], None),
        (["mit"], ["cc-by-nc-4.0"], True),
        (["mit"], ["gpl-3.0"], True),
        (["agpl-3.0"], ["gpl-3.0"], None),
        (["mit"], ["MIT OR gpl-3.0"], None),
        (["mit"], ["mrl"], False),
        (["other"], ["llama3.1"], False),
        (["my-licence"], ["llama3.1"], False),
        (["afl-3.0"], ["llama3.1"], True),
        (["mit"], ["other"], None),
        (["creativeml-openrail-m"], ["bigscience-openrail-m"], None),
    ],
)
def test_conflicts_along_the_line(child: list[str], parent: list[str], found: object) -> None:
    conflict = conflicts(child, parent)
    assert (conflict[0].certain if conflict else None) is found
    for item in conflict:
        assert item.why.endswith((".", "it."))


def test_names_of_heirs() -> None:
    assert name_must_begin(["llama3.1"]) == "Llama"
    assert name_must_begin(["mit"]) == ""
    assert name_must_begin(["other"]) == ""
