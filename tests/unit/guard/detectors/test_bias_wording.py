"""Biased wording: what is found, what only looks like it, and that the tables hold together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.errors import UsageError
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.guard._bias import labels
from keelmark.guard._patterns import table
from keelmark.guard.contract import last_token
from keelmark.guard.detectors.bias_wording import Detector
from keelmark.guard.normalise import fold

DETECTOR = Detector()
TERMS = table("bias_terms")["term"]
CLAIMS = table("bias_claims")["claim"]
GROUPS = table("bias")["group"]


def found(text: str, detector: Detector = DETECTOR) -> list[str]:
    return [hit.label for hit in detector.find(fold(text))]


FOUND = {
    "GENERALISATION_GENDER": [
        "Everybody knows that women are terrible drivers.",
        "I think girls just can't do maths.",
        "Men only care about sex",
        "Women are naturally too emotional, so they make bad leaders.",
        "Frauen sind von Natur aus schlechter in Technik.",
        "Weil Frauen nun mal hysterisch sind, führt er.",
        "Les femmes ne savent pas conduire",
        "Las mujeres no saben aparcar.",
        "It's not a myth that women are worse drivers.",
    ],
    "GENERALISATION_ETHNICITY": ["Gypsies always steal.", "Every African is a thief."],
    "GENERALISATION_AGE": [
        "Older workers are slow learners and cost too much.",
        "The elderly are a burden on the state.",
        "Ältere Mitarbeiter sind einfach unbelehrbar.",
        "Les seniors sont incapables de s'adapter.",
        "Los ancianos son una carga",
    ],
    "GENERALISATION_NATIONALITY": [
        "Immigrants steal our jobs.",
        "The French are all dirty.",
        "Poles are thieves",
        "Ausländer nehmen uns die Arbeit weg",
        "Les immigrés sont des voleurs.",
        "Los inmigrantes nos quitan el trabajo.",
    ],
    "GENERALISATION_RELIGION": [
        "The Jews control the media.",
        "Muslims hate our freedom",
        "Die Juden beherrschen die Banken.",
        "Les musulmans sont tous des terroristes",
        "Los judíos son avaros.",
    ],
    "GENERALISATION_ORIENTATION": ["Gays are unnatural.", "Schwule sind pervers"],
    "GENERALISATION_CLASS": ["Homeless people are drunks", "Los pobres son vagos"],
    "GENERALISATION_DISABILITY": ["Autistic people can't feel empathy."],
    "GENERALISATION_BODY": ["Fat people are lazy and stupid"],
    "EXCLUSION_GENDER": [
        "Women belong in the kitchen.",
        "Frauen gehören in die Küche",
        "Les femmes doivent rester à la maison.",
        "Vacancy: waitress, full time",
        "Wir suchen eine Sekretärin für unser Büro",
        "Nous recherchons une secrétaire à plein temps",
        "Se busca señorita para tienda",
    ],
    "EXCLUSION_NATIONALITY": [
        "Migrants should go back to where they came from",
        "Ausländer raus!",
        "Job: English teacher. Must be a native speaker.",
        "Stelle: Deutsch als Muttersprache",
    ],
    "EXCLUSION_AGE": [
        "Wanted: waiter, aged 18 to 30",
        "Bewirb dich bei unserem jungen Team",
        "Poste à pourvoir dans une équipe jeune et dynamique",
        "Buscamos comercial joven y dinámico",
    ],
    "EXCLUSION_CLASS": ["Room to let, no DSS"],
    "OUTDATED_ETHNICITY": ["The coloured people in our street", "Die Zigeuner kommen"],
    "OUTDATED_NATIONALITY": ["All illegal aliens in town", "Asylanten im Dorf"],
    "OUTDATED_DISABILITY": ["es sordomudo", "Il est cloué dans un fauteuil roulant."],
    "EXCLUSION_RELIGION": ["You can never trust a Jew.", "I hate Muslims"],
    "SLUR_RELIGION": ["filthy Muslims", "sale juif"],
    "SLUR_NATIONALITY": ["esos sudacas", "fucking immigrants everywhere"],
}

CLEAN = [
    # criticism, quotation, reports
    "It is wrong to say that women are bad at maths.",
    "The stereotype that Jews are greedy has a long history.",
    "The claim that immigrants steal our jobs was refuted by economists.",
    "He said that gays are unnatural, and was fired for it.",
    "'Women are terrible drivers' is what sexists say.",
    "Some people think that old people can't learn new things.",
    "Das Vorurteil, Frauen könnten nicht einparken: Frauen können nicht einparken, heißt es dann.",
    "Il est faux de dire que les femmes sont nulles en maths.",
    "Es un prejuicio decir que los gitanos son ladrones.",
    "It's a lie that immigrants are criminals.",
    "Nobody should say that gay people are sick.",
    "Women are lazy, said the villain, and laughed.",
    "In the novel, men are pigs, quite literally.",
    "The advert must not ask for young and dynamic people.",
    # negation and counter-speech
    "Immigrants are not criminals.",
    "Women don't belong in the kitchen any more than men do.",
    "Women are good at maths, and so are men.",
    "Not every man is violent. Not all Muslims are terrorists.",
    "Frauen gehören nicht an den Herd.",
    "Las mujeres no son débiles.",
    "Les immigrés ne sont pas des voleurs.",
    "Frauen können Auto fahren.",
    # history and figures
    "In the 19th century women were thought to be unfit for study.",
    "In 2021, 18 % of men over 50 were unemployed.",
    "According to a study of 2,000 drivers, young men are violent in 3 % of accidents.",
    # questions, these people, some people
    "Do you think men are better at cooking?",
    "These girls are lazy, and my sons are dumb as a post.",
    "Some immigrants are criminals, and some natives are.",
    "The women are tired. The old people in the village are friendly.",
    "Women who are pregnant must not take this medicine. Deaf people can drive.",
    "The males are aggressive in spring. Males are smaller than females in this species.",
    "A woman is waiting at the door, and a man is lazy about it.",
    # everyday words
    "He is black and white with joy. Polish the table; poles are dirty after the rain.",
    "A blind test with a native speaker of Basque, and a chink in the armour.",
    "Zu verkaufen: Tisch. Der Verkäufer wohnt in Bonn.",
    "Wir suchen einen Ingenieur (m/w/d) für unser Team.",
    "Nous recherchons un développeur H/F.",
    "Se busca ingeniero/a con experiencia.",
    "The young team won its first match. We saw a young woman on the train.",
    "She worked as a waitress in Ohio.",
    "Children between 6 and 12 years old pay half.",
    "Chief Il-gook Song. Non dago katua?",
    "The United Negro College Fund; the National Association for the Advancement of Colored People",
    "the travelling salesman problem",
    "People with disabilities have the right to work. Refugees cannot work without papers.",
    "The rich history of the poor soil.",
    "Women make money. Girls run the world. Teenagers are entitled to a free ticket.",
]


@pytest.mark.parametrize(("label", "text"), [(k, v) for k, some in FOUND.items() for v in some])
def test_is_found(label, text):
    assert found(text)[:1] == [label]


@pytest.mark.parametrize("text", CLEAN)
def test_is_clean(text):
    assert found(text) == []


CONTEXTS = {
    "en_hiring": "vacancy",
    "en_hiring_strict": "vacancy",
    "en_advert": "room to let",
    "de_hiring": "wir suchen",
    "fr_hiring": "candidat",
    "es_hiring": "se busca",
    "es_hiring_strict": "se busca",
    "person": "person",
}


@pytest.mark.parametrize("row", TERMS, ids=lambda row: f"{row['language']}-{row['words'][0]}")
def test_every_phrase_of_the_table_is_found(row):
    missed = []
    label = f"{row['kind']}_{row['ground']}".upper()
    for words in row["words"]:
        phrase = words.replace("#", "30").replace("%", "dutch")
        text = f"{CONTEXTS.get(row.get('needs'), 'x')}; {phrase} yes"
        if label not in found(text):
            missed.append(words)
    assert not missed


@pytest.mark.parametrize("number", range(len(CLAIMS)))
def test_every_claim_is_found_with_each_of_its_words(number):
    row = CLAIMS[number]
    grounds = row.get("grounds") or [
        g["ground"] for g in GROUPS if g["ground"] not in row.get("not", ())
    ]
    group = next(
        g["words"][0]
        for g in GROUPS
        if g["language"] == row["language"]
        and g["ground"] in grounds
        and not g.get("article")
        and not g.get("cased")
    )
    before = {"why": "why are ", "no ": "no ", "(?:": ""}.get(row.get("before", "")[:3], "")
    if row.get("before", "").startswith("(?:"):
        before = row["before"][3:].split("|")[0] + " "
    needs = "vacancy; " if row.get("needs") else ""
    links, traits = row.get("link", [""]), row.get("trait", [""])
    pairs = [(links[0], t) for t in traits] + [(link, traits[0]) for link in links]
    kind = row["kind"].upper()
    missed = [
        pair
        for pair in pairs
        if not any(
            label.startswith(kind)
            for label in found(f"{needs}{before}{group} {' '.join(filter(None, pair))} yes")
        )
    ]
    assert not missed


def test_reasons_name_a_plainer_wording():
    [hit] = DETECTOR.find("She is wheelchair-bound.")
    assert hit.reason.endswith("plainer: wheelchair user")


def test_no_plainer_wording_is_itself_found():
    for row in TERMS:
        if instead := row.get("instead"):
            assert not found(f"vacancy; wir suchen; {instead}"), instead
            assert len(row["why"]) + len(instead) + 11 <= 96, instead


def test_tables_hold_together():
    tables = table("bias_terms")
    for row in [*TERMS, *CLAIMS]:
        assert row.get("needs", "person") in tables["context"]
        assert 0.5 <= row["score"] < 1
    phrases = [
        *(w for row in TERMS for w in row["words"]),
        *(w for row in GROUPS for w in row["words"]),
        *(w for row in CLAIMS for w in (*row.get("link", ()), *row.get("trait", ()))),
    ]
    assert all(w == w.lower().strip() for w in phrases)
    assert {row["ground"] for row in GROUPS} == {label.split("_")[1].lower() for label in labels()}


def test_kinds_and_grounds_can_be_chosen():
    text = "Women are bad at maths. He is wheelchair-bound. Gays are unnatural."
    assert len(found(text)) == 3
    only = Detector(Detector.Config(kinds=("generalisation",), grounds=("gender", "age")))
    assert found(text, only) == ["GENERALISATION_GENDER"]
    assert found(text, Detector(Detector.Config(kinds=("outdated",)))) == ["OUTDATED_DISABILITY"]


def test_least_shows_what_is_excused():
    wide = Detector(Detector.Config(least=0.25))
    for text, label in (
        ("The myth that women are bad at maths.", "GENERALISATION_GENDER"),
        ("A salesman came.", "EXCLUSION_GENDER"),
    ):
        assert found(text) == []
        assert found(text, wide) == [label]


def test_allowed_wording_is_not_reported():
    assert found("The eskimos", Detector(Detector.Config(allow=("Eskimos",)))) == []
    with pytest.raises(UsageError, match="allow_patterns"):
        Detector(Detector.Config(allow_patterns=("(",)))


def test_a_rule_redacts_and_flags():
    rule = Rule(id="r", detector="bias_wording", action="redact", threshold="precise")
    guard = Guard(Policy(guard=GuardRules(rules=(rule,))))
    assert guard.check("So women are bad at maths.").text == "So [GENERALISATION_GENDER] maths."


PARTS = st.sampled_from(
    [
        *("women ", "the poor ", "are ", "all ", "so ", "bad at ", "maths", ". ", "old people "),
        *("can't ", "learn new things ", "no ", "young and ", "dynamic ", "team ", "vacancy "),
        *("a ", "cripple ", "between ", "20 ", "and ", "30 ", "years old ", "myth ", "the ", "\n"),
        *("frauen ", "sind ", "schlecht ", "in mathe ", "x" * 30 + " ", '"', "immigrants "),
        *("fucking ", "some ", "? "),
    ]
)


@given(st.lists(PARTS, max_size=14).map("".join), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_quiet_and_open_keep_the_law(text, cut):
    for end in range(len(text) + 1):
        prefix = text[:end]
        limit = DETECTOR.open_from(prefix)
        whole = [hit for hit in DETECTOR.find(text) if hit.start < limit]
        assert [hit for hit in DETECTOR.find(prefix) if hit.start < limit] == whole
        start = max(0, end - cut)
        if DETECTOR.quiet(prefix, start):
            token = last_token(prefix, start)
            assert not [h for h in DETECTOR.find(text, start) if h.start < token]


def test_prose_is_quiet():
    text = "The committee met on Tuesday and agreed that the bridge should be painted in spring. "
    assert all(DETECTOR.quiet(text[:end], max(0, end - 40)) for end in range(len(text) + 1))


def test_people_who_are_only_mentioned_hold_nothing():
    text = "Many women, two Germans and a native speaker went home, and she was born in a town "
    assert DETECTOR.open_from(text) == len(text)
    assert DETECTOR.quiet(text, 10)
