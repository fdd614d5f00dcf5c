"""Cheap tiers first: about what they have stopped the encoder is not asked, and it is said."""

import asyncio
import threading
from typing import ClassVar

import pytest

from guard_samples import Address, Phrase, Sample
from keelmark.core.errors import UnavailableError
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard.contract import Example, Hit


class Slow(Sample):
    """Stands for the encoder: tier 3, and it tells in which thread it was asked."""

    labels = ("ODD",)
    family = "oddity"
    tier = 3
    costly = True
    examples = (Example("odd", ("ODD",), ""),)
    asked: ClassVar[list[str]] = []
    threads: ClassVar[set[int]] = set()

    def find(self, text, start=0):
        self.asked.append(text)
        self.threads.add(threading.get_ident())
        yield Hit("ODD", 0.9 if "odd" in text else 0.1, start, len(text), "is odd")

    def open_from(self, text, start=0):
        return start


class Missing(Slow):
    def find(self, text, start=0):
        raise UnavailableError("The weights are not installed; install them.")


DETECTORS = {"phrase": Phrase, "slow": Slow, "missing": Missing, "address": Address}
BLOCKS = Rule(id="cheap", detector="phrase", action="block")
FLAGS = Rule(id="dear", detector="slow", action="flag")


@pytest.fixture(autouse=True)
def _fresh():
    Slow.asked.clear()
    Slow.threads.clear()


def guard(*rules: Rule, **kwargs: bool) -> Guard:
    return Guard(Policy(guard=GuardRules(rules=rules, **kwargs)), detectors=DETECTORS)


def results(verdict):
    return {result.rule: result for result in verdict.rules}


def test_what_a_cheap_rule_stops_is_not_asked_about() -> None:
    result = guard(FLAGS, BLOCKS).check("open sesame, odd one")
    assert Slow.asked == []
    said = results(result.verdict)
    assert said["dear"].outcome == "skipped"
    assert "not asked" in said["dear"].reason
    assert result.verdict.outcome == "block"
    assert result.verdict.reason.startswith("The guard rule 'cheap' stopped")
    assert [found.tier for found in result.findings] == [1]
    assert "oddity" not in result.scores, "what nobody looked for has no score"
    assert result.verdict.coverage == 0.0, "one rule examined nothing"


def test_what_no_cheap_rule_stops_is_asked_about() -> None:
    result = guard(FLAGS, BLOCKS).check("an odd one")
    assert [(found.rule, found.tier) for found in result.findings] == [("dear", 3)]
    assert result.scores == {"injection": 0.0, "oddity": 0.9}


def test_a_rule_that_only_flags_decides_nothing() -> None:
    flags = Rule(id="cheap", detector="phrase", action="flag")
    verdict = guard(FLAGS, flags).check("open sesame, odd one").verdict
    assert [found.rule for found in verdict.findings] == ["cheap", "dear"]


def test_a_policy_can_ask_for_all_tiers() -> None:
    verdict = guard(FLAGS, BLOCKS, cascade=False).check("open sesame, odd one").verdict
    assert {found.rule for found in verdict.findings} == {"cheap", "dear"}
    assert verdict.coverage == 1.0


def test_so_can_who_asks() -> None:
    result = guard(FLAGS, BLOCKS).check("open sesame, odd one", every=True)
    assert result.scores["oddity"] == 0.9


def test_later_texts_of_a_request_are_not_asked_about_either() -> None:
    texts = ["open sesame", "an odd one"]
    segments = [
        Segment(role="user", path=f"messages[{number}].content", text=text)
        for number, text in enumerate(texts)
    ]
    verdict = asyncio.run(guard(FLAGS, BLOCKS).open().check_input(segments)).verdict
    assert Slow.asked == []
    assert results(verdict)["dear"].outcome == "skipped"


def test_the_event_loop_is_not_where_it_works() -> None:
    segment = Segment(role="user", path="messages[0].content", text="an odd one")
    result = asyncio.run(guard(FLAGS).open().check_input([segment]))
    assert result.verdict.outcome == "flag"
    assert result.needs.heavy
    assert Slow.threads
    assert threading.get_ident() not in Slow.threads


def test_a_library_needs_no_loop_for_it() -> None:
    assert guard(FLAGS).open().read("an odd one").verdict.outcome == "flag"
    assert Slow.threads == {threading.get_ident()}


def test_cheap_rules_alone_are_not_heavy() -> None:
    segment = Segment(role="user", path="messages[0].content", text="an odd one")
    assert not asyncio.run(guard(BLOCKS).open().check_input([segment])).needs.heavy


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_weights_that_are_missing_are_a_failure_that_says_how_to_mend_it(fail) -> None:
    rule = Rule(id="dear", detector="missing", action="block", on_failure=fail)
    verdict = guard(rule).check("an odd one").verdict
    said = results(verdict)["dear"]
    assert said.outcome == "failed"
    assert said.reason == "The weights are not installed; install them."
    assert verdict.stops == (fail == "closed")
    assert verdict.coverage == 0.0


def test_a_score_that_nobody_could_give_is_not_nought() -> None:
    assert "oddity" not in guard(Rule(id="m", detector="missing", action="flag")).check("x").scores
