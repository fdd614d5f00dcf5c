"""Surrogates: of the same form, never in the request, and taken back however the answer comes."""

import asyncio
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keelmark.core.policy import parse_policy
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard._surrogates import surrogate
from keelmark.guard.vault import Unmasker, Vault

POLICY = parse_policy("""
guard:
  rules:
    - {id: in, detector: personal_data, stage: input, action: mask, replacement: surrogate}
    - {id: out, detector: personal_data, stage: output, action: redact}
""")
GUARD = Guard(POLICY, key=b"k" * 32)
VALUES = {
    "EMAIL": "Jane.Doe+1@acme-corp.com",
    "CARD": "4111 1111 1111 1111",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "PHONE": "+49 151 23456789",
}
PROMPT = "Write to {EMAIL}, card {CARD}, IBAN: {IBAN}, phone {PHONE}, and {EMAIL} again."


def masked(text: str, guard: Guard = GUARD):
    request = guard.open()
    result = asyncio.run(request.check_input([Segment(role="user", path="m", text=text)]))
    return request, result.texts[0]


def played(request, name: str, pieces, **options) -> str:
    channel = request.channel(name, **options)
    return "".join([channel.feed(piece) for piece in pieces]) + channel.finish()


def test_the_model_reads_values_of_the_same_form_and_the_user_gets_the_own_ones_back():
    request, text = masked(PROMPT.format(**VALUES))
    assert not any(value in text for value in VALUES.values())
    found = [finding.label for finding in GUARD.check(text).findings]
    assert found == ["EMAIL", "CARD", "IBAN", "PHONE", "EMAIL"]
    first, second = text.split()[2].rstrip(","), text.split()[-2]
    assert first == second
    assert first.endswith("@example.net")
    assert played(request, "a", [text]) == PROMPT.format(**VALUES)
    assert played(request, "b", text) == PROMPT.format(**VALUES)
    arguments = json.dumps({"said": text})
    assert json.loads(played(request, "c", arguments, is_json=True)) == {
        "said": PROMPT.format(**VALUES)
    }


def test_what_the_model_makes_up_is_redacted_all_the_same():
    request, text = masked("I am jane@acme-corp.com")
    own = text.split()[-1]
    said = played(request, "a", f"{own} or bob@other.org, 4111 1111 1111 1111")
    assert said == "jane@acme-corp.com or [EMAIL], [CARD]"
    (rule,) = request.output_verdict().rules
    assert "surrogate" in rule.reason


def test_the_same_in_every_turn_with_a_key_and_of_every_request_without():
    text = PROMPT.format(**VALUES)
    assert masked(text)[1] == masked(text)[1]
    assert masked(text, Guard(POLICY))[1] != masked(text, Guard(POLICY))[1]


@pytest.mark.parametrize("label", VALUES)
def test_a_surrogate_that_stands_in_the_request_is_not_given_out(label):
    key, value = b"k", VALUES[label]
    typed = surrogate(label, value, key)
    vault = Vault([f"{value} and {typed}"], key)
    assert vault.mask(label, value, "surrogate") == surrogate(label, value, key, 1)


def test_a_form_with_too_few_values_gets_a_placeholder():
    vault = Vault(["0123456789 is taken"], b"k")
    assert vault.mask("PIN", "7", "surrogate") == "<PIN_1>"


texts = st.text("ab1<_>9@ .", max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts.filter(bool), min_size=1, max_size=4, unique=True), st.data())
@example(["ab", "ab1"], None)
def test_any_split_gives_the_same(values, data):
    vault = Vault([" ".join(values)], b"key")
    stands = [vault.mask("X", value, "surrogate") for value in values]
    pieces = [*stands, *(one[: len(one) // 2] for one in stands), "<X_1>", "a", " "]
    order = data.draw(st.lists(st.sampled_from(pieces), max_size=12)) if data else pieces
    text = "".join(order)
    whole = Unmasker(vault).feed(text, final=True)
    single = Unmasker(vault)
    assert "".join([single.feed(char) for char in text]) + single.feed("", final=True) == whole
    cut = data.draw(st.integers(0, len(text))) if data else 3
    halves = Unmasker(vault)
    assert halves.feed(text[:cut]) + halves.feed(text[cut:]) + halves.feed("", final=True) == whole


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=1), st.integers(0, 50))
def test_the_form_stays(value, attempt):
    made = surrogate("X", value, b"key", attempt)
    assert len(made) == len(value)
    for was, now in zip(value, made, strict=True):
        if not was.isalnum():
            assert now == was or was.isdecimal()
        assert was.isdecimal() == now.isdecimal()
