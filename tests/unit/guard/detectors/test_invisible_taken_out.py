"""Redacting invisible text takes it out: nobody saw it, and a label in its place would be seen."""

import asyncio

import pytest

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.guard import Guard, shipped_policy


def read(guard, text):
    """What a model reads of a prompt, and what was found in it."""
    result = asyncio.run(guard.open().check_input([Segment(role="user", path="m", text=text)]))
    return result.texts[0], {one.label for one in result.verdict.findings}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Ka\u200bffee, bit\u200bte", "Kaffee, bitte"),
        ("hi\U000e0068\U000e0069\U000e0021 there", "hi there"),
        ("if (x) { \u202e } // ok", "if (x) {  } // ok"),
        ("a\x1b[8mb", "a[8mb"),
    ],
)
def test_what_is_left_is_what_people_see(text, left):
    told, found = read(Guard(shipped_policy("default")), text)
    assert told == left
    assert found


def test_a_prompt_does_not_grow():
    text = "a\u200b" * 1000 + "b"
    assert read(Guard(shipped_policy("default")), text)[0] == "a" * 1000 + "b"


def test_what_is_seen_beside_it_keeps_its_label_and_a_rule_its_own_marker():
    rules = (
        Rule(id="mail", detector="personal_data", action="redact"),
        Rule(id="unseen", detector="invisible_text", action="redact"),
    )
    told, _ = read(Guard(Policy(guard=GuardRules(rules=rules))), "to ada\u200b@example.org now")
    assert told == "to [EMAIL] now"
    marked = Rule(id="unseen", detector="invisible_text", action="redact", marker="<{label}>")
    told, _ = read(Guard(Policy(guard=GuardRules(rules=(marked,)))), "a\u200bb")
    assert told == "a<zero_width>b"


@pytest.mark.parametrize("put", ["\ue000\ue001\ue002", "\x0b", "\x1f", " " * 200, "\u00adp\u00ad"])
def test_what_others_read_is_not_taken_out_from_under_them(put):
    told, _ = read(Guard(shipped_policy("default")), f"mail ada@exam{put}ple.org")
    assert "ada@example.org" not in told
    assert "ada@examle.org" not in told


@pytest.mark.parametrize("put", ["\u200b", "\x01", "\u202e", "\U000e0041", "\ufe01\ufe02"])
def test_what_is_taken_out_was_read_without_it(put):
    told, _ = read(Guard(shipped_policy("default")), f"mail ada@exam{put}ple.org")
    assert told in {"mail [EMAIL]", "mail <EMAIL_1>"}
