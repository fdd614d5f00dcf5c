"""What takes long is done beside the event loop; kinds of harm are told as OpenAI names them."""

import re
import threading
from typing import ClassVar

import pytest

from gateway_parts import events, run, stack, text_of
from guard_samples import Phrase, Sample
from keelmark.core.errors import UnavailableError
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Rated
from keelmark.core.verdict import Verdict
from keelmark.guard import Guard
from keelmark.guard.contract import Example
from keelmark.serve.fake import Script
from keelmark.serve.moderation import CATEGORIES, result_of


class Weighs(Sample):
    """Stands for the encoder: gives words a score, and all its labels one."""

    labels = ("HATE", "SELF_HARM")
    family = "harm"
    tier = 3
    pattern = re.compile("hateful")
    examples = (Example("hateful", ("HATE",), ""),)
    threads: ClassVar[set[int]] = set()

    def find(self, text, start=0):
        self.threads.add(threading.get_ident())
        return super().find(text, start)

    def rates(self, text):
        return {"HATE": 0.9 if "hateful" in text else 0.2, "SELF_HARM": 0.1}


class Missing(Weighs):
    def find(self, text, start=0):
        raise UnavailableError("Not installed.")

    def rates(self, text):
        raise UnavailableError("Not installed.")


def guard(detector="weighs", **fields):
    rule = Rule(id="harm", detector=detector, action="redact", **fields)
    rules = (rule, Rule(id="order", detector="phrase", action="block"))
    kinds = {"weighs": Weighs, "missing": Missing, "phrase": Phrase}
    return Guard(Policy(guard=GuardRules(rules=rules)), detectors=kinds)


@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_guarded_in_a_thread_and_come_in_order(stream):
    Weighs.threads.clear()
    said = "one two hateful three " * 20
    pieces = tuple(f"{word} " for word in said.split())
    loops = []

    async def scene():
        async with stack(Script(pieces=pieces), guard=guard()) as s:
            body = {"model": "fake", "messages": [{"role": "user", "content": "Say it."}]}
            status, answer, _ = await s.post("/v1/chat/completions", body | {"stream": stream})
            assert status == 200
            text = text_of(events(answer)) if stream else answer["choices"][0]["message"]["content"]
            assert text.split() == said.replace("hateful", "[HATE]").split()
            loops.append(threading.get_ident())

    run(scene)
    assert Weighs.threads
    assert Weighs.threads.isdisjoint(loops)


def moderated(judge, *texts):
    told = []

    async def scene():
        async with stack(guard=judge) as s:
            status, answer, _ = await s.post("/v1/moderations", {"input": list(texts)})
            assert status == 200
            told.extend(answer["results"])

    run(scene)
    return told


def test_a_category_is_true_where_it_counts_false_where_not_and_null_where_nobody_looks():
    bad, fine = moderated(guard(), "a hateful text", "a text")
    assert (bad["categories"]["hate"], fine["categories"]["hate"]) == (True, False)
    assert bad["category_scores"]["hate"] == 0.9
    assert fine["category_scores"]["hate"] == 0.2
    assert fine["categories"]["self-harm"] is False
    assert fine["category_scores"]["self-harm"] == 0.1
    for name in ("sexual", "violence/graphic", "hate/threatening"):
        assert bad["categories"][name] is None
        assert name in bad["keelmark"]["not_checked"]
    assert "hate" not in fine["keelmark"]["not_checked"]
    assert (bad["flagged"], fine["flagged"]) == (True, False)


def test_what_a_cheap_rule_has_stopped_is_weighed_nevertheless():
    (bad,) = moderated(guard(), "open sesame, hateful one")
    assert bad["categories"]["hate"] is True
    assert bad["keelmark"]["verdict"] == "block"


def test_a_rule_for_some_labels_leaves_the_others_null():
    (bad,) = moderated(guard(labels=("SELF_HARM",)), "a hateful text")
    assert bad["categories"]["hate"] is None
    assert bad["categories"]["self-harm"] is False


def test_without_weights_no_category_is_clean():
    (one,) = moderated(guard("missing"), "a text")
    assert set(one["categories"].values()) == {None}
    assert "harm" in one["keelmark"]["not_checked"]


def test_every_category_of_openai_is_there():
    assert len(CATEGORIES) == 13
    told = result_of(Verdict(stage="input", outcome="allow"), {"HATE": Rated(0.6, counts=True)})
    assert told["categories"]["hate"] is True
    assert told["categories"]["harassment"] is True
