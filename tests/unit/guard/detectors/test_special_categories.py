"""Special categories: what is said of a person is found, and talk about the thing is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.guard._patterns import table
from keelmark.guard.contract import last_token
from keelmark.guard.detectors.special_categories import Detector
from keelmark.guard.normalise import fold

DETECTOR = Detector()
WIDE = Detector(Detector.Config(least=0.1))


def found(text, detector=DETECTOR):
    text = fold(text)
    return [(hit.label, text[hit.start : hit.end]) for hit in detector.find(text)]


@pytest.mark.parametrize(
    ("text", "label", "fact"),
    [
        ("My sister tested positive for chlamydia on Monday.", "HEALTH", "chlamydia"),
        ("Mrs Okafor suffers from sarcoidosis.", "HEALTH", "sarcoidosis"),
        ("I'm 14 weeks pregnant.", "HEALTH", "weeks pregnant"),
        ("His dementia is getting worse.", "HEALTH", "dementia"),
        ("<PERSON_1> has epilepsy.", "HEALTH", "epilepsy"),
        ("Anna's depression came back.", "HEALTH", "depression"),
        ("My mother has Lynch syndrome.", "GENETIC_DATA", "Lynch syndrome"),
        ("Haplogroup: R1b-M269", "GENETIC_DATA", "R1b-M269"),
        ("iris template = '77ab90cc12'", "BIOMETRIC_DATA", "77ab90cc12"),
        ("I was raised Catholic.", "RELIGION", "Catholic"),
        ("My neighbour converted to Islam.", "RELIGION", "Islam"),
        ("I have always voted Labour.", "POLITICAL_OPINION", "Labour"),
        ("My uncle is a member of the Communist Party.", "POLITICAL_OPINION", "Communist Party"),
        ("The applicant is a shop steward.", "UNION_MEMBERSHIP", "shop steward"),
        ("I'm of Kurdish descent.", "ETHNIC_ORIGIN", "Kurdish descent"),
        ("I think our manager is gay.", "SEX_LIFE", "gay"),
        ("My brother spent three years in prison.", "CONVICTION", "years in prison"),
        ("Bei ihr wurde Multiple Sklerose festgestellt.", "HEALTH", "Multiple Sklerose"),
        ("Herr Kaya leidet unter Depressionen.", "HEALTH", "Depressionen"),
        ("Mein Nachbar wählt die AfD.", "POLITICAL_OPINION", "AfD"),
        ("Er wurde wegen Betrugs verurteilt.", "CONVICTION", "Betrugs"),
        ("Ihr Mann ist türkischer Herkunft.", "ETHNIC_ORIGIN", "turkischer Herkunft"),
        ("Mon père a la maladie de Parkinson.", "HEALTH", "maladie de Parkinson"),
        ("Ma femme est d'origine algérienne.", "ETHNIC_ORIGIN", "origine algerienne"),
        ("Il a été condamné pour escroquerie.", "CONVICTION", "escroquerie"),
        ("Le diagnosticaron esclerosis múltiple.", "HEALTH", "esclerosis multiple"),
        ("Estoy afiliado a Comisiones Obreras.", "UNION_MEMBERSHIP", "Comisiones Obreras"),
        ("Mi novio es gitano.", "ETHNIC_ORIGIN", "gitano"),
    ],
)
def test_finds_the_telling_words(text, label, fact):
    assert (label, fact) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "How is type 2 diabetes treated in the elderly?",
        "She works as a cancer researcher in Leeds.",
        "He is a professor of Jewish history.",
        "I joined two tables with a union query.",
        "What happens if someone is convicted of theft?",
        "How many people voted for Labour in 1997?",
        "She has a black belt in karate.",
        "I am blind to the cause.",
        "One in eight women is diagnosed with breast cancer.",
        "I need a diagnosis of this Python error.",
        "class Person: religion: str = ''",
        "religion = models.CharField(max_length=20)",
        "diagnosis: none",
        "Religion: what sociologists say about it",
        "I have a Catholic friend in Rome.",
        "We are a diabetes charity.",
        "She is on the left, he is on the right.",
        "People should look after their diabetes.",
        "Wie erkennt man Depressionen bei Jugendlichen?",
        "Er hat keinen Krebs.",
        "Die Gewerkschaft ruft zum Streik auf.",
        "Elle étudie l'histoire de l'islam.",
        "Je n'ai pas le sida.",
        "Yo no soy gay.",
        "La iglesia católica de la plaza es del siglo XII.",
    ],
)
def test_keeps_silent_on_general_talk(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("diagnosis: asthma", 0.9),
        ("I have asthma.", 0.85),
        ("Mr Demir has asthma.", 0.8),
        ("My son has asthma.", 0.75),
        ("She has asthma.", 0.65),
        ("Does my son have asthma?", 0.375),
        ("If she has asthma", 0.325),
        ("a patient with asthma", 0.3),
    ],
)
def test_the_score_says_how_surely_a_person_is_meant(text, score):
    assert [hit.score for hit in WIDE.find(text)] == [score]


def test_a_hit_is_bounded():
    text = f"She suffers from {'very ' * 40}much. religion: {'x' * 80}\n"
    hits = list(DETECTOR.find(text))
    assert hits
    assert all(hit.end - hit.start <= 130 for hit in hits)


def test_categories_and_what_is_allowed():
    text = "She is gay and she has HIV."
    assert [one for one, _ in found(text)] == ["SEX_LIFE", "HEALTH"]
    only = Detector(Detector.Config(categories=("health",), allow=("epilepsy",)))
    assert found(text, only) == [("HEALTH", "HIV")]
    assert found("She has epilepsy.", only) == []


def test_redaction_takes_the_fact_away():
    rule = Rule(id="r", detector="special_categories", action="redact", threshold="precise")
    guard = Guard(Policy(guard=GuardRules(rules=(rule,))))
    assert guard.check("My wife has HIV.").text == "My wife has [HEALTH]."
    assert guard.check("She has HIV.").text == "She has HIV."


def test_every_fact_of_the_table_can_be_found():
    """A verb that no language has would leave a whole row silent."""
    given = table("special")
    for row in given["fact"]:
        known = {*given["language"][row["language"]]["verbs"], "own"}
        assert set(row["verbs"]) <= known, row["label"]
        assert row["label"] in Detector.labels


PARTS = st.sampled_from(
    [
        *("she ", "I ", "my wife ", "Mr. Demir ", "has ", "is ", "was ", "diagnosed with ", "a "),
        *("HIV ", "type ", "type 2 ", "diabetes ", "and ", "asthma ", "research ", "gay ", ". "),
        *(
            "if ",
            "not ",
            "religion",
            ": ",
            "Muslim",
            "\n",
            ", ",
            '"',
            "blood type: O+",
            "convicted ",
        ),
        *(
            "of theft ",
            "member of the ",
            "union ",
            "dass sie ",
            "Krebs ",
            "hat ",
            "ist ",
            "schwul ",
        ),
        *("je suis ", "d'", "origine ", "turque ", "soy ", "no ", "tengo ", "x" * 30 + " ", "12 "),
        *("suffers from ", "rare bone disorder ", "in ", "PERSON_1 ", "Anna's ", "depression "),
    ]
)


@given(st.lists(PARTS, max_size=14).map("".join), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_quiet_and_open_keep_the_law(text, cut):
    for end in range(len(text) + 1):
        prefix = text[:end]
        limit = WIDE.open_from(prefix)
        whole = [hit for hit in WIDE.find(text) if hit.start < limit]
        assert [hit for hit in WIDE.find(prefix) if hit.start < limit] == whole
        start = max(0, end - cut)
        if WIDE.quiet(prefix, start):
            token = last_token(prefix, start)
            assert not [h for h in WIDE.find(text, start) if h.start < token]


@given(st.lists(PARTS, max_size=30).map("".join), st.data())
@settings(max_examples=150, deadline=None)
def test_a_window_sees_what_the_whole_shows(text, data):
    whole = list(WIDE.find(text))
    start = data.draw(st.integers(0, len(text)))
    if any(hit.start < start < hit.end for hit in whole):
        return
    skip = max(0, start - 96)
    seen = WIDE.find(text[skip:], start - skip)
    moved = [replace(hit, start=hit.start + skip, end=hit.end + skip) for hit in seen]
    assert moved == [hit for hit in whole if hit.start >= start]


def test_prose_is_quiet():
    text = "The committee met on Tuesday and agreed that the bridge should be painted in spring. "
    assert all(DETECTOR.quiet(text[:end], max(0, end - 40)) for end in range(len(text) + 1))


def test_people_who_are_only_mentioned_hold_nothing():
    text = "She went home, and my wife told Mr Demir about the union of two sets in a "
    assert DETECTOR.open_from(text) == len(text)
    assert DETECTOR.quiet(text, 10)
