"""Word lists: forms, disguises, phrases, and what must not be taken for them."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from keelmark.core.errors import UsageError
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.guard.contract import LOOK_BEHIND, last_token
from keelmark.guard.detectors.words import Detector
from keelmark.guard.engine import RuleError
from keelmark.guard.normalise import fold


def detector(*words: str, **more: object) -> Detector:
    return Detector(msgspec.convert({"lists": [{"words": list(words), **more}]}, Detector.Config))


def found(one: Detector, text: str) -> list[str]:
    text = fold(text)
    return [text[hit.start : hit.end] for hit in one.find(text)]


@pytest.mark.parametrize(
    ("language", "word", "forms"),
    [
        ("en", "swindle", "swindles swindled swindling swindler"),
        ("en", "bully", "bullies bullied bullying"),
        ("en", "scam", "scams scammed scammers"),
        ("de", "Haus", "Häuser Hauses Häusern"),
        ("de", "wetten", "wettet wettete wettende"),
        ("nl", "brief", "brieven"),
        ("fr", "cheval", "chevaux chevals"),
        ("fr", "parier", "parions parié parient"),
        ("es", "luz", "luces"),
        ("es", "apostar", "apostando apostado"),
        ("it", "banco", "banchi banca"),
        ("pt", "eleição", "eleições"),
        ("pl", "kasyno", "kasyna kasynem kasyn"),
        ("ru", "казино", "казино"),
        ("ru", "ставка", "ставки ставку ставкой ставками"),
        ("ru", "новый", "новая нового новыми"),
    ],
)
def test_forms(language: str, word: str, forms: str) -> None:
    one = detector(word, languages=[language], disguised=False)
    assert found(one, forms) == fold(forms).split()
    assert not found(detector(word, match="word"), " ".join(forms.split()[1:]))


def test_ways_to_match() -> None:
    assert found(detector("droge", match="start"), "Drogen, Drogenhandel, Modedroge") == [
        "Drogen",
        "Drogenhandel",
    ]
    assert found(detector("droge", match="inside"), "Modedrogen") == ["Modedrogen"]
    assert found(detector("Target", cased=True, match="word"), "Target is a target") == ["Target"]


@pytest.mark.parametrize(
    "text",
    ["gr4ppl3r", "g r a p p l e r", "g.r.a.p.p.l.e.r", "GRAPPL3R", "gr*ppler", "graaaappler",
     "grappl€r".replace("€", "3"), "g-r-a-p-p-l-e-r", "gra-ppler", "grаppler", "ｇｒａｐｐｌｅｒ",
     "gr\u200bappler", "g  r  a  p  p  1  e  r", "gra##ler", "grapp|er"],
)  # fmt: skip
def test_disguises(text: str) -> None:
    assert found(detector("grappler"), f"so, {text}, then")
    if fold(text).lower() != "grappler":
        assert not found(detector("grappler", disguised=False), text)


@pytest.mark.parametrize(
    "text",
    ["he'll see a shell", "he-IL", "hello", "4311", "1 2 3 4 5 6", "a b c d e f g h", "h*l", "x**l",
     "the 11th", "hel1us", "http://h.example/l.l"],
)  # fmt: skip
def test_look_alikes(text: str) -> None:
    assert found(detector("hell"), text) == []


def test_the_longest_phrase_is_found() -> None:
    one = detector("blue", "blue moon", "blue moon bank ltd")
    assert found(one, "A blue moon bank. A blue  moon-bank Ltd.") == [
        "blue moon",
        "blue  moon-bank Ltd",
    ]


def test_the_first_list_gives_the_label() -> None:
    lists = [{"words": ["ab"], "label": "ONE"}, {"words": ["ab", "cd"], "label": "TWO"}]
    one = Detector(msgspec.convert({"lists": lists}, Detector.Config))
    assert one.labels == ("ONE", "TWO")
    assert [hit.label for hit in one.find("ab cd")] == ["ONE", "TWO"]
    assert Detector.labels == ("WORD",)


def test_a_rule_may_name_the_labels_of_its_lists_only() -> None:
    def guard(label: str) -> Guard:
        lists = [{"words": ["Grumbolt"], "label": "RIVAL"}]
        rule = Rule(
            id="r", detector="words", action="flag", labels=(label,), config={"lists": lists}
        )
        return Guard(Policy(guard=GuardRules(rules=(rule,))))

    assert guard("RIVAL").check("Grumbolt").verdict.findings
    with pytest.raises(RuleError, match="RIVAL"):
        guard("WORD")


@pytest.mark.parametrize("word", ["", "...", "a" * 65])
def test_what_cannot_be_looked_for_is_said(word: str) -> None:
    with pytest.raises(UsageError, match="cannot be looked for"):
        detector(word)


PIECES = st.sampled_from(
    [*"abehlmonu01@$*!|- .\n", "hell", "blue", "moon", "h3", "l l", "nu", "中国", "中", "xx", "  "]
)


@settings(max_examples=300, deadline=None)
@given(text=st.lists(PIECES, max_size=12).map("".join), match=st.sampled_from(["forms", "inside"]))
def test_the_law_of_streams(text: str, match: str) -> None:
    one = detector("hell", "blue moon", "moon", "nu ul", "中国", match=match)
    whole = list(one.find(text))
    for split in range(len(text) + 1):
        prefix = text[:split]
        opened = one.open_from(prefix)
        sure = [hit for hit in one.find(prefix) if hit.start < opened]
        assert sure == [hit for hit in whole if hit.start < opened], (prefix, opened)
        for start in (0, split // 2):
            if one.quiet(prefix, start):
                settled = range(start, last_token(prefix, start))
                assert not [hit for hit in whole if hit.start in settled]
        if not any(hit.start < split < hit.end for hit in whole):
            cut = max(0, split - LOOK_BEHIND)
            seen = one.find(text[cut:], split - cut)
            moved = [replace(hit, start=hit.start + cut, end=hit.end + cut) for hit in seen]
            assert moved == [hit for hit in whole if hit.start >= split]
