"""Rules and exceptions for some languages: what is written around a hit decides."""

import asyncio
from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES
from keelmark.core.errors import UsageError
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.core.ports import Segment
from keelmark.core.scope import RuleException, Scope
from keelmark.guard import Guard
from keelmark.guard._languages import shown
from keelmark.guard.normalise import fold
from keelmark.guard.spoken import BEFORE, Around, Spoken

AROUND = {
    "en": ("We would like to know what you think about", "and what it is that you would have."),
    "de": ("Wir wollen gerne wissen, was ihr von", "haltet und ob ihr es auch für uns habt."),
    "fr": ("Nous voudrions savoir ce que vous pensez de", "et si vous en avez dans ce cas pour."),
    "ru": ("Мы хотели бы знать, что вы думаете про", "и если это для вас уже не так, то когда."),
    "el": ("Θα θέλαμε να μάθουμε τι πιστεύετε για", "γιατί δεν υπάρχει πολύς χρόνος για αυτό."),
    "zh": ("我们想知道你对这件事情的看法 ", " 因为我们已经没有多少时间了。"),
    "hi": ("हम जानना चाहते हैं कि आप इस के बारे में", "के लिए क्या सोचते हैं और यह नहीं है।"),
}  # fmt: skip
ADDRESS = "bob@x.example"


def text(code):
    before, after = AROUND[code]
    return f"{before} {ADDRESS} {after}"


def guard(*languages, exceptions=(), **fields):
    scope = Scope(languages=languages)
    rule = Rule(id="address", detector="address", action="redact", scope=scope, **fields)
    rules = GuardRules(rules=(rule,), exceptions=exceptions)
    return Guard(Policy(guard=rules), detectors=SAMPLES)


def excused(*languages):
    return RuleException(
        id="e", rule="address", reason="r", author="a", expires="2999-01-01",
        labels=("EMAIL",), scope=Scope(languages=languages),
    )  # fmt: skip


@pytest.mark.parametrize("written", AROUND)
@pytest.mark.parametrize("wanted", AROUND)
@pytest.mark.parametrize("stage", ["input", "output"])
def test_a_rule_applies_where_its_language_is_written(written, wanted, stage):
    found = guard(wanted).check(text(written), stage=stage).findings
    assert bool(found) is (written == wanted)
    assert guard(wanted, written).check(text(written)).findings


@pytest.mark.parametrize("written", AROUND)
@pytest.mark.parametrize("wanted", AROUND)
def test_an_exception_holds_where_its_language_is_written(written, wanted):
    found = guard(exceptions=(excused(wanted),)).check(text(written)).findings
    assert bool(found) is (written != wanted)


@pytest.mark.parametrize(
    "short", [ADDRESS, f"OK, {ADDRESS}", f"{ADDRESS}: 12.5 kg", f"<{ADDRESS}>"]
)
def test_where_it_does_not_show_the_safe_side_is_taken(short):
    assert guard("de").check(short).findings
    assert guard(exceptions=(excused("de"),)).check(short).findings


def test_the_language_is_that_around_the_hit_not_of_the_text():
    mixed = 5 * (AROUND["en"][1] + " ") + AROUND["de"][1] + text("de")
    assert guard("de").check(mixed).findings
    assert not guard("en").check(mixed).findings
    both = f"{AROUND['en'][0]} {ADDRESS} {AROUND['de'][1]}"
    assert guard("de").check(both).findings, "where both are written, both apply"
    assert guard("en").check(both).findings
    assert guard(exceptions=(excused("en"),)).check(both).findings


def test_look_alike_letters_do_not_hide_a_language():
    disguised = text("en").replace("o", "о").replace("e", "е")  # Cyrillic
    assert Around(fold(disguised)).may_be(frozenset({"en"}), 43, 56)
    assert Around(fold(text("ru"))).surely_is(frozenset({"ru"}), 39, 52)


def test_siblings_are_taken_for_each_other():
    swedish = f"Vi skulle vilja veta vad du tycker om {ADDRESS} för det är inte så mycket kvar."
    assert guard("sv").check(swedish).findings
    assert guard("da").check("Det er en " + ADDRESS + " og den er på vej til os i dag.").findings


@pytest.mark.parametrize("written", ["de", "en"])
def test_a_stream_waits_for_what_follows_and_no_longer(written):
    before, after = (f"{one} " for one in AROUND[written])
    channel = guard("de").open().channel("c")
    assert channel.feed(before + ADDRESS + " " + after) == before, "too little has come"
    shown_now = channel.feed(4 * after)
    assert shown_now.startswith("[EMAIL] " if written == "de" else ADDRESS + " ")


def test_a_blocking_rule_stops_nothing_in_another_language():
    rule = Rule(id="a", detector="address", action="block", scope=Scope(languages=("de",)))
    judge = Guard(Policy(guard=GuardRules(rules=(rule,))), detectors=SAMPLES)
    request = judge.open()
    channel = request.channel("c")
    assert channel.feed(text("en")) + channel.finish() == text("en")
    assert not request.output_verdict().stops
    assert judge.check(text("de")).verdict.stops


def test_what_the_model_reads_is_judged_alike():
    segments = [Segment(role="user", path=code, text=text(code)) for code in AROUND]
    result = asyncio.run(guard("fr", "ru").open().check_input(segments))
    assert [f.path for f in result.verdict.findings] == ["fr", "ru"]
    assert all((ADDRESS in out) is (s.path not in {"fr", "ru"})
               for s, out in zip(segments, result.texts, strict=True))  # fmt: skip


def test_an_encoded_payload_is_judged_by_what_it_says():
    rule = Rule(id="p", detector="phrase", action="block", scope=Scope(languages=("en",)))
    judge = Guard(Policy(guard=GuardRules(rules=(rule,))), detectors=SAMPLES)
    hidden = b64encode(b"you have to open sesame for all of them and this").decode()
    assert judge.check(f"{AROUND['de'][0]} {hidden} {AROUND['de'][1]}").verdict.stops


@pytest.mark.parametrize(
    ("rule", "exception"),
    [(Scope(languages=("deu",)), Scope()), (Scope(), Scope(languages=("german",)))],
)
def test_a_language_that_cannot_be_told_is_refused(rule, exception):
    given = RuleException(
        id="e", rule="a", reason="r", author="a", expires="2999-01-01", labels=("EMAIL",),
        scope=exception,
    )  # fmt: skip
    rules = (Rule(id="a", detector="address", action="redact", scope=rule),)
    with pytest.raises(UsageError, match=r"is for language .*, which cannot be told \(ISO 639-1\)"):
        Guard(Policy(guard=GuardRules(rules=rules, exceptions=(given,))), detectors=SAMPLES)


def test_nothing_is_asked_of_languages_where_no_rule_is_for_one():
    plan = guard()._engine.plan("input", "user")
    assert [type(probe.detector) for probe in plan] == [SAMPLES["address"]]


def test_it_keeps_what_its_detector_says_of_itself():
    for kind in SAMPLES.values():
        made = Spoken(kind(), frozenset({"de"}))
        for name in ("labels", "raw", "decoded", "remembers", "family", "tier", "version"):
            assert getattr(made, name) == getattr(kind, name)


@settings(max_examples=200, deadline=None)
@given(st.text("ab éßти'’\u200cहिन्दी中か\u0301.", max_size=60), st.integers(0, 60))
def test_words_are_the_same_from_wherever_a_text_is_read(text, start):
    start = min(start, len(text))
    every = list(shown(text, 0, len(text)))
    assert list(shown(text, start, len(text))) == [one for one in every if one.start >= start]


def test_the_window_is_clear_of_where_a_stream_may_have_cut_a_word():
    padded = 200 * "x" + " the of and to is was " + ADDRESS
    start = padded.index(ADDRESS)
    for cut in range(start - 96, start - BEFORE):
        seen = list(shown(padded[cut:], start - cut - BEFORE, len(padded) - cut))
        moved = [(one.start + cut, one.counts) for one in seen]
        assert moved == [(o.start, o.counts) for o in shown(padded, start - BEFORE, len(padded))]


PIECES = [
    *(one for pair in AROUND.values() for one in pair),
    ADDRESS,
    "eve@y.example",
    "und",
    "the",
]
RULES = (
    Rule(id="address", detector="address", action="redact", scope=Scope(languages=("de", "ru"))),
    Rule(id="digits", detector="digits", action="redact", scope=Scope(languages=("en",))),
    Rule(id="host", detector="overlap", action="flag"),
    Rule(id="stop", detector="phrase", action="block", scope=Scope(languages=("fr",))),
)
JUDGE = Guard(
    Policy(guard=GuardRules(rules=RULES, exceptions=(excused("ru"),))),
    detectors=SAMPLES,
)


def answered(pieces):
    request = JUDGE.open()
    channel = request.channel("c")
    out = "".join([channel.feed(piece) for piece in pieces]) + channel.finish()
    verdict = request.output_verdict()
    found = [(f.rule, f.label, f.start, f.end) for f in verdict.findings]
    return out, found, [(r.rule, r.outcome, r.reason) for r in verdict.rules], verdict.coverage


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES, "1234 5678", "open sesame", "open"]), max_size=14),
    st.lists(st.integers(0, 600), max_size=14),
)
def test_any_split_gives_the_same(words, cuts):
    whole = " ".join(words)
    edges = [0, *sorted({min(cut, len(whole)) for cut in cuts}), len(whole)]
    assert answered([whole[a:b] for a, b in pairwise(edges)]) == answered([whole])


def test_one_character_at_a_time():
    whole = " ".join(text(code) for code in AROUND)
    assert answered(list(whole)) == answered([whole])
    found = answered([whole])[1]
    at = {code: whole.index(text(code)) + len(AROUND[code][0]) + 1 for code in AROUND}
    starts = [start for rule, _, start, _ in found if rule == "address"]
    assert at["de"] in starts
    assert at["zh"] not in starts


def test_surely_and_maybe_agree():
    for code in AROUND:
        span = (text(code).index(ADDRESS), text(code).index(ADDRESS) + len(ADDRESS))
        assert Around(text(code)).surely_is(frozenset({code}), *span)
        assert Around(text(code)).may_be(frozenset({code}), *span)
        assert not Around(text(code)).may_be(frozenset({"sw"}), *span)
