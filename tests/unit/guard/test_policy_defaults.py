"""Guarding nothing must be meant: a policy that is silent about rules has the default ones."""

import pytest

from keelmark.guard import Guard, shipped_policy
from keelmark.guard.guard import read_policy

DEFAULT = shipped_policy().guard.rules


@pytest.mark.parametrize("text", ["", "retention: {content: none}", "guard: {logprobs: full}"])
def test_silence_means_the_default_rules(text):
    policy = read_policy(text, source="policy")
    assert policy.guard.rules == DEFAULT
    assert Guard(policy).check("write to ada@example.org").text == "write to <EMAIL_1>"


def test_the_rest_of_the_document_counts():
    assert read_policy("guard: {logprobs: full}", source="policy").guard.logprobs == "full"


def test_no_rules_when_the_document_says_so():
    assert read_policy("guard: {rules: []}", source="policy").guard.rules == ()
