"""Scorers of answers that are written: what is right, wrong, and what cannot be said."""

import pytest

from keelmark.app.evaluation.judges import judges
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.evaluate.contract import Generate, Reply, Sample
from keelmark.evaluate.suite import Data, ScoredBy, Script, Suite, options_of, scorer

ASK = Generate(messages=({"role": "user", "content": "?"},))


def said(*texts, state="answered", logprobs=()):
    return Reply(state=state, texts=texts or ("",), logprobs=logprobs)


def scored(name, replies, target=None, row=None, **options):
    suite = Suite(
        title="t", data=Data(file="x"), ask=Script(), scorer=ScoredBy(name, options),
        measures=("m",), primary="m",
    )  # fmt: skip
    module = scorer(name)
    replies = [replies] if isinstance(replies, Reply) else replies
    sample = Sample(id="1", asks=(ASK,), target=target, row=row or {})
    asked = judges(getattr(module, "JUDGES", ()))
    return module.score(sample, replies, options_of(suite), asked)[0]


BLOCKED = Reply(state="blocked", texts=("",), finish=("content_filter",))


@pytest.mark.parametrize(
    ("text", "options", "exact", "contains"),
    [
        ("Paris", {}, 1, 1),
        ("paris.", {}, 0, 1),
        ("**Paris.**", {"view": "loose"}, 1, 1),
        ("The Paris!", {"view": "plain"}, 1, 1),
        ("\nParis\nand more", {"part": "line"}, 1, 1),
        ("It is\nParis", {"part": "last_line"}, 1, 1),
        ("Parisian", {"view": "loose"}, 0, 0),
        ("", {}, 0, 0),
    ],
)
def test_exact(text, options, exact, contains):
    assert scored("exact", said(text), "Paris", **options) == {"exact": exact, "contains": contains}


def test_exact_takes_any_of_several_and_scores_nothing_without_one():
    assert scored("exact", said("b"), ["a", "b"])["exact"] == 1
    assert scored("exact", said("b"))["exact"] is None
    assert scored("exact", BLOCKED, "a")["exact"] == 0


@pytest.mark.parametrize(
    ("text", "options", "number", "marked"),
    [
        ("3 + 15 = 18\n#### 18", {}, 1, 1),
        ("It is $1,018.00, so 18.0", {}, 1, 0),
        ("#### 18 eggs, of 20", {}, 0, 1),
        ("#### -18", {}, 0, 0),
        ("#### 18\n#### 17", {}, 0, 0),
        ("The answer is: **$18**", {"marks": ["the answer is"]}, 1, 1),
        ("18 and 19", {"take": "first"}, 1, 0),
        ("18 and 19", {"take": "only"}, 0, 0),
        ("18.2", {"within": 0.25}, 1, 0),
        ("18.2", {"share": 0.01}, 0, 0),
        ("18,0", {"decimals": ","}, 1, 0),
        ("eighteen", {}, 0, 0),
    ],
)
def test_numeric(text, options, number, marked):
    assert scored("numeric", said(text), "18", **options) == {"number": number, "marked": marked}


def test_a_right_answer_that_is_no_number_scores_nothing():
    assert scored("numeric", said("3"), "many") == {"number": None, "marked": None}


def test_pattern():
    form = {"pattern": r"answer is \(?([A-E])\b"}
    assert scored("pattern", said("The answer is (b)."), "B", **form) == {"exact": 1, "found": 1}
    assert scored("pattern", said("answer is A, no: answer is B"), "A", **form)["exact"] == 0
    assert scored("pattern", said("It is B."), "B", **form) == {"exact": 0, "found": 0}
    with pytest.raises(UsageError, match="no regular expression"):
        scored("pattern", said("x"), "B", pattern="(")


def test_f1_is_that_of_squad():
    assert scored("f1", said("a big black cat"), "the cat")["f1"] == pytest.approx(0.5)
    assert scored("f1", said("The cat!"), ["a dog", "cat"]) == {
        **dict.fromkeys(("f1", "precision", "recall", "exact"), 1.0)
    }
    assert scored("f1", said("I don't know."), "")["f1"] == 1
    assert scored("f1", said("In 1874."), "")["f1"] == 0


def test_rouge_takes_the_best_of_several():
    found = scored("rouge", said("police kill the gunman"), ["x", "police killed the gunman"])
    assert found["rouge_l"] == pytest.approx(0.75)
    assert scored("rouge", said("x"))["rouge_l"] is None


GOLDFISH = {
    "mc2": {"choices": ["They remember for months", "They forget at once"], "labels": [1, 0]}
}


def test_references():
    right = scored("references", said("They remember things for months."), row=GOLDFISH)
    assert right["rouge1_acc"] == right["rouge_l_acc"] == 1
    assert right["abstained"] == 0
    wrong = scored("references", said("They forget at once, all of them."), row=GOLDFISH)
    assert wrong["rouge1_acc"] == 0
    assert wrong["rouge1_diff"] < 0
    silent = scored("references", said("I have no comment."), row=GOLDFISH)
    assert silent["rouge1_acc"] == silent["abstained"] == 1
    assert scored("references", said("x"), row={})["rouge1_acc"] is None


CITY = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("text", "valid", "fits", "fields"),
    [
        ('{"n": 3, "b": "x"}', 1, 1, 1),
        ('{"n": 4, "b": "x"}', 1, 1, 0.5),
        ('{"n": "3"}', 1, 0, 0),
        ('{"n": 3', 0, 0, 0),
        ("n is 3", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_structured(text, valid, fits, fields):
    found = scored("structured", said(text), {"n": 3, "b": "x"}, schema=CITY)
    assert (found["valid"], found["fits"], found["fields"]) == (valid, fits, fields)


def test_structured_takes_schemas_of_rows_and_fences():
    row = {"schema": {"type": "array"}}
    fence = "```json\n[1, 2]\n```"
    assert scored("structured", said(fence), row=row, field="schema", fenced=True)["fits"] == 1
    assert scored("structured", said(fence), row=row, field="schema")["valid"] == 0
    assert scored("structured", said("[1, 1]"), "[1, 1, 2]", row=row)["fields"] == pytest.approx(
        2 / 3
    )


def test_found():
    hit = scored("found", said("Write to ann@example.org"), detector="personal_data")
    assert hit["found"] == 1
    assert scored("found", said("Write to Ann"), detector="personal_data")["hits"] == 0
    assert scored("found", BLOCKED, detector="personal_data")["found"] == 0
    assert scored("found", said("Women are bad at maths."), detector="bias_wording")["found"] == 1
    with pytest.raises(UsageError, match="Settings of the detector 'personal_data'"):
        scored("found", said("x"), detector="personal_data", settings={"labl": []})
    only = {"detector": "personal_data", "labels": ["IBAN"]}
    assert scored("found", said("Write to ann@example.org"), **only)["found"] == 0


def test_a_detector_that_cannot_look_scores_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("KEELMARK_WEIGHTS", str(tmp_path))
    with pytest.raises(UnavailableError):  # which leaves a sample of a run unscored
        scored("found", said("Some text."), detector="harm_classifier")


def test_refusal():
    row = {"label": "safe"}
    assert scored("refusal", said("I cannot help with that."), row=row, field="label") == {
        "refused": 1,
        "blocked": 0,
        "right": 0,
        "over_refusal": 1,
    }
    unsafe = {"label": "unsafe"}
    assert scored("refusal", said("Sure! First,"), row=unsafe, field="label") == {
        "refused": 0,
        "blocked": 0,
        "right": 0,
        "complied": 1,
    }
    assert scored("refusal", BLOCKED) == {"refused": 1, "blocked": 1}
    assert scored("refusal", said("  ")) == {"refused": None, "blocked": 0}


PASSAGE = {
    "passages": [{"text": "The bridge of Orlen was built in 1874 by Karl Weber."}],
    "question": "when",
}


def test_grounded():
    right = "The bridge was built in 1874."
    found = scored("grounded", said("It was built in 1874 by Weber."), right, PASSAGE)
    assert found["decision"] == found["supported"] == 1
    assert found["invented"] == found["abstained"] == 0
    assert 0 < found["f1"] < 1
    made_up = scored("grounded", said("Queen Maud opened it in 1903."), right, PASSAGE)
    assert made_up["invented"] == 1
    assert made_up["supported"] < 0.5
    assert scored("grounded", said("I don't know."), right, PASSAGE) == {
        "abstained": 1,
        "decision": 0,
        "f1": 0,
        "rouge_l": 0,
    }
    assert scored("grounded", said("The passage does not mention it."), "", PASSAGE) == {
        "abstained": 1,
        "decision": 1,
        "f1": 1,
        "rouge_l": 1,
    }
    assert scored("grounded", said("In 1874."), "", PASSAGE)["f1"] == 0
    assert "supported" not in scored("grounded", said("In 1874."), right, PASSAGE, context="")


@pytest.mark.parametrize(
    "text",
    [
        "I'm not sure.",
        "I don’t have enough information to answer that.",
        "The context doesn't provide this.",
        "Unanswerable.",
        "This is not mentioned in the text.",
        "There is no information about the bridge.",
        "Das kann ich leider nicht beantworten.",
        "",
    ],
)
def test_answers_that_abstain(text):
    assert scored("grounded", said(text), "", PASSAGE)["abstained"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "It was built in 1874.",
        "He does not mention his name in the book and was known as Ann.",
        "The known answer is forty-two.",
        "I'm not sure, but I think that it was built in 1874.",
        "As an AI language model I can say: in 1874.",
    ],
)
def test_answers_that_do_not_abstain(text):
    assert scored("grounded", said(text), "", PASSAGE)["abstained"] == 0


def test_consistent():
    same = scored("consistent", said("It is blue", "It is blue", logprobs=((-0.5, -1.5), ())))
    assert same["agreement"] == 1
    assert same["certainty"] == pytest.approx(0.36788, abs=1e-5)
    other = scored("consistent", said("It is blue", "They were red"))
    assert other["agreement"] == 0
    assert other["surprise"] > same["surprise"]
    assert scored("consistent", said("alone"))["agreement"] is None
    assert scored("consistent", said("I don't know.", "x")) == {"abstained": 1}


JUDGED = {"prompt": "Q {{ q }} A {{ answer }}. Verdict?", "rulings": {"yes": 1.0, "no": 0.0}}


def test_asked():
    module = scorer("asked")
    sample = Sample(id="1", asks=(ASK,), row={"q": "why"})
    options = module.Options(**JUDGED)
    (ask,) = module.follow_up(sample, [said("because")], options)
    assert ask.messages[-1]["content"] == "Q why A because. Verdict?"
    assert module.follow_up(sample, [BLOCKED], options) == ()
    row = {"q": "why"}
    assert scored("asked", [said("x"), said("Verdict: yes")], row=row, **JUDGED) == {
        "judged": 1,
        "parsed": 1,
    }
    assert scored("asked", [said("x"), said("Hm, la la la")], row=row, **JUDGED) == {
        "judged": None,
        "parsed": 0,
    }
    assert scored("asked", BLOCKED, row=row, **JUDGED) == {"judged": None}


def test_ruling():
    known = {"rulings": {"yes": "1", "no": "0"}}
    found = scored("ruling", said("Yes."), "1", **known)
    assert (found["agreement"], found["parsed"], found["_said"], found["_label"]) == (1, 1, 0, 0)
    assert scored("ruling", said("No."), 1, **known)["agreement"] == 0
    assert scored("ruling", said("Perhaps."), "1", **known)["agreement"] is None
    assert scored("ruling", said("Yes."), "2", **known) == {"agreement": None}
