"""Rows on groundedness: twins, spans, computed truth, and splits by source."""

import gzip
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.scripts import ROOT, load

sys.path.insert(0, str(ROOT / "training/encoder"))
text = load("training/encoder/grounding_text.py", "grounding_text")
edits = load("training/encoder/grounding_edits.py", "grounding_edits")
forms = load("training/encoder/grounding_forms.py", "grounding_forms")
facts = load("training/encoder/grounding_facts.py", "grounding_facts")
compared = load("training/encoder/grounding_compared.py", "grounding_compared")
claims = load("training/encoder/grounding_claims.py", "grounding_claims")
deeds = load("training/encoder/grounding_deeds.py", "grounding_deeds")
leads = load("training/encoder/grounding_leads.py", "grounding_leads")
sets = load("training/encoder/grounding_sets.py", "grounding_sets")
records = load("training/encoder/grounding_records.py", "grounding_records")
dialogues = load("training/encoder/grounding_dialogues.py", "grounding_dialogues")
grounding = load("training/encoder/grounding.py", "grounding_rows")

DATA = ROOT.parent / "shared/data"
PARTS = (
    "The museum in Vienna was founded by Clara Weiss in 1904.",
    "It increased its collection from 1,200 to 3,400 objects before the war.",
    "Peter Holm may become the first director, and most visitors approved the plan.",
    "Rita Vance defeated Otto Brandt in May 1931 because of her higher turnout.",
)
AROUND = edits.Around(
    names=(("Rita Vance", "person2"), ("Otto Brandt", "person2"), ("Lisbon", "class2")),
    numbers=("1,200", "3,400", "1904", "1931"),
    other_names=(("Mina Sorel", "person2"), ("Norwick", "place1")),
    clauses=(", which led to a long debate",),
)


@pytest.mark.parametrize(("edit", "_weight"), edits.EDITS)
def test_an_edit_says_something_else_and_where(edit, _weight):
    made = [e for p in PARTS for n in range(20) if (e := edit(p, AROUND, random.Random(n)))]
    assert made
    for found in made:
        original = max(PARTS, key=lambda p: text.overlap(p, found.text))
        assert found.text != original
        spans = text.changed(found.text, original)
        assert spans
        assert all(0 <= a < b <= len(found.text) for a, b in spans)
        assert found.label == (2 if found.kind == "addition" else found.label)


def test_what_only_one_side_has_is_marked():
    assert text.changed("He won in 1931.", "He won in 1930.") == ((10, 14),)
    (span,) = text.changed("He won the race.", "He never won the race.")
    assert "He won the race."[slice(*span)] == "He won"
    assert text.changed("Same here.", "Same here.") == ()


@pytest.mark.parametrize(
    ("rule", "said", "again"),
    [
        (forms.passive_to_active, "The club was founded by Ann Lee in 1990.",
         "Ann Lee founded the club in 1990."),
        (forms.active_to_passive, "Ann Lee founded Norwick Hall in 1990.",
         "Norwick Hall was founded by Ann Lee in 1990."),
        (forms.front_to_end, "In 1990, the club moved to a larger hall.",
         "The club moved to a larger hall in 1990."),
        (forms.dates, "She died on July 11, 1909.", "She died on 11 July 1909."),
        (forms.big_numbers, "It cost $5 million.", "It cost 5 million dollars."),
        (forms.number_words, "They had three children.", "They had 3 children."),
    ],
)  # fmt: skip
def test_other_ways_to_say_the_same(rule, said, again):
    assert rule(said) == again


def test_a_twin_is_said_in_the_same_other_way():
    for seed in range(50):
        one, other = (forms.rephrased(f"In 1990, about {n} people moved.", seed) for n in (70, 80))
        assert one.replace("70", "80") == other


_BOUND = re.compile(r"(more than|over|at least|in excess of|no fewer than|greater than|less than"
                    r"|fewer than|under|at most|no more than|below) ([\d,]+)$")  # fmt: skip


@pytest.mark.parametrize("want", [True, False])
def test_comparisons_are_so_or_not_so(want):
    lot, checked = random.Random(4), 0
    for _ in range(2000):
        value = lot.randint(14, 900_000)
        match = _BOUND.match(facts.comparison(value, lot, want=want))
        if match:
            words, bound = match.group(1), int(match.group(2).replace(",", ""))
            if words in {"at least", "no fewer than"}:
                so = value >= bound
            elif words in {"at most", "no more than"}:
                so = value <= bound
            else:
                so = value > bound if words[0] in "moig" else value < bound
            assert so is want, (value, match.group())
            checked += 1
    assert checked > 1000


@pytest.mark.parametrize("want", [True, False])
def test_periods_are_so_or_not_so(want):
    lot = random.Random(5)
    for _ in range(2000):
        year = lot.randint(1700, 2020)
        words = facts.period(year, lot, want=want)
        numbers = [int(n) for n in re.findall(r"\d{4}", words)]
        if words.startswith(("before", "prior", "earlier")):
            assert (year < numbers[0]) is want
        elif words.startswith(("after", "later")):
            assert (year > numbers[0]) is want
        elif words.startswith("between"):
            assert (numbers[0] <= year <= numbers[1]) is want
        elif words.endswith("0s"):
            assert (numbers[0] <= year < numbers[0] + 10) is want


def test_bounds_part_two_values():
    lot = random.Random(6)
    for _ in range(1000):
        one = float(lot.randint(3, 50_000))
        other = compared.other_amount(one, lot, whole=True)
        first, second = compared.amounts(one, other, "", "", lot)
        assert (first.holds(one), first.holds(other)) == (True, False), (one, other, first)
        assert (second.holds(one), second.holds(other)) == (False, True), (one, other, second)
        year = lot.randint(1200, 2020)
        later = compared.other_year(year, lot)
        first, second = compared.years(year, later, lot)
        assert (first.holds(year), first.holds(later)) == (True, False), (year, later, first)
        assert (second.holds(year), second.holds(later)) == (False, True), (year, later, second)


def test_a_main_clause_keeps_what_it_must():
    said = "In May 1990, Annabel Leeson, a painter, received 40 prizes in Oslo, which few knew."
    assert forms.core(said) == "Annabel Leeson received 40 prizes in Oslo."
    assert "1990" in forms.core(said, "1990")


def test_claims_about_a_sentence_by_rule():
    parts = ("Iron Hill is a 2011 Danish film directed by Ann Lee, written by Bo Dahl.",)
    found = {(f.kind, f.value) for f in claims.facts(parts, 0)}
    assert {("by", "Ann Lee"), ("by", "Bo Dahl"), ("people", "Danish")} <= found
    said, passages = ("It is red.", "It is blue."), ("Red.", "Blue.")
    for seed in range(20):
        for row in claims.twins(said, passages, "x", random.Random(seed), 0.5):
            so = ("red" in row.text) == (row.pair == "Red.")
            denied = "not" in row.text or "n't" in row.text
            assert (row.y["grounding"] == 0) is (so is not denied), row


def test_made_leads_are_as_often_true_as_false_and_marked():
    rows = list(leads.leads(300, 1))
    counts = Counter(row.y["grounding"] > 0 for row in rows)
    assert counts[True] == counts[False] > 250
    for row in rows:
        assert "{" not in row.text + row.pair
        assert bool(row.spans) == (row.y["grounding"] == 1), row


def test_made_facts_are_the_same_for_a_seed_and_marked_where_false():
    rows = list(facts.facts(300, 1))
    assert rows == list(facts.facts(300, 1)) != list(facts.facts(300, 2))
    for row in rows:
        assert "{" not in row.text + row.pair
        assert (row.y["grounding"] == 0) <= (row.spans == ())
        if row.y["grounding"] == 1:
            assert row.spans, row


def test_deeds_are_borne_out_or_denied_and_marked_where_false():
    made = list(deeds.deeds(400, 5))
    assert made == list(deeds.deeds(400, 5))
    assert [row.y["grounding"] for row in made] == [0, 1] * 200
    assert all(bool(row.spans) == bool(row.y["grounding"]) for row in made)
    assert all(0 <= a < b <= len(row.text) for row in made for a, b in row.spans)
    assert not any("{" in row.text + row.pair for row in made)


def test_a_claim_is_held_to_what_its_evidence_says_and_not_to_what_is_so():
    for row in deeds.deeds(400, 6):
        if match := re.fullmatch(r"(.+) (?:is|can be found|is located) in (.+)\.", row.text):
            sight, land = match[1], match[2]
            said = next(s for s in re.split(r"(?<=\.) ", row.pair) if sight.lower() in s.lower())
            assert (land in said.split("not in")[0]) == (row.y["grounding"] == 0), row


def test_a_window_has_the_evidence():
    filler = "Nothing of note was said about anything on that day by anybody at all. " * 30
    claim = "Clara Weiss founded the museum."
    window = text.best_window(claim, filler + PARTS[0] + " " + filler)
    assert PARTS[0] in window
    assert len(window.split()) + len(claim.split()) <= text.TOGETHER + 20


@pytest.fixture(scope="module")
def rows():
    if not DATA.exists():
        pytest.skip("the shared data is not here")
    documents = list(grounding.documents(DATA))[:95]
    store = grounding.bank(documents)
    made = list(grounding._from_documents(documents, store, random.Random(3)))
    assert made == list(grounding._from_documents(documents, store, random.Random(3)))
    return made


def test_twins_are_as_often_true_as_false(rows):
    counts = defaultdict(Counter)
    for row in rows:
        counts[row.source][row.y["grounding"] > 0] += 1
    assert sum(map(Counter.total, counts.values())) > 500
    for source, sides in counts.items():
        assert sides[True] == sides[False], source


def test_edits_are_marked_within_the_claim(rows):
    for row in rows:
        assert all(0 <= a < b <= len(row.text) for a, b in row.spans), row
        if row.source.startswith(("edits", "compared")):
            assert bool(row.spans) == (row.y["grounding"] > 0), row


def test_overlap_does_not_tell(rows):
    """The mean overlap of supported and contradicted edits differs by less than a tenth."""
    shares = defaultdict(list)
    for row in rows:
        if row.source.startswith("edits"):
            shares[row.y["grounding"]].append(text.overlap(row.text, row.pair))
    means = {label: sum(v) / len(v) for label, v in shares.items()}
    assert abs(means[0] - means[1]) < 0.1


def thinned(folder: Path) -> Path:
    """The labelled sets, of the longest documents every seventh record."""
    for name in ("train/grounding", "dev/grounding"):
        (folder / name).mkdir(parents=True)
        for path in (DATA / name).glob("*.jsonl.gz"):
            if path.name.startswith("wice"):
                lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)[::7]
                (folder / name / path.name).write_bytes(gzip.compress(b"".join(lines), 1))
            else:
                (folder / name / path.name).symlink_to(path)
    return folder


def test_labelled_sets_are_split_by_source_with_spans_inside(tmp_path):
    if not DATA.exists():
        pytest.skip("the shared data is not here")
    splits = defaultdict(set)
    pairs = defaultdict(set)
    for row in grounding.sets.labelled(thinned(tmp_path), 1):
        splits[row.source].add(row.split)
        pairs[row.split].add(row.pair)
        assert row.source.startswith("valid_") == (row.split == "valid")
        assert all(0 <= a < b <= len(row.text) for a, b in row.spans), row
        assert row.y["grounding"] in {0, 1, 2}
    assert all(len(found) == 1 for found in splits.values())
    assert len(pairs["train"] & pairs["valid"]) < 5


def test_claims_about_records_say_what_their_passage_says():
    made = list(records.records(130, 1))
    labels = Counter(row.y["grounding"] for row in made)
    assert min(labels[0], labels[1], labels[2]) > len(made) / 16
    assert abs(labels[0] / len(made) - 0.5) < 0.12
    for row in made:
        assert bool(row.spans) == bool(row.y["grounding"])
        assert all(0 <= a < b <= len(row.text) for a, b in row.spans)
        assert (row.split == "valid") == (row.source.split("/")[1] in records.HELD_OUT)


def test_what_is_claimed_of_a_field_is_so():
    phrases = {}
    for topic in records._TABLES["topics"]:
        for line in topic["bools"]:
            key, _, said = line.partition(" = ")
            for side, forms in zip(("yes", "no"), said.split(" / "), strict=True):
                words = re.sub("(?<=[A-Za-z][a-z]{2})(?=[A-Z])", " ", key.rpartition(".")[2])
                phrases |= {(topic["name"], f): (words.lower(), side) for f in forms.split(" | ")}
    seen = Counter()
    for row in records.records(400, 2):
        found = [
            one for (topic, said), one in phrases.items()
            if row.source.endswith(f"/{topic}") and re.search(rf"(?<!and) {said}\.$", row.text)
        ]  # fmt: skip
        several = " and " in row.text or ", " in row.text
        if len(found) != 1 or several or row.pair.lower().count(f"{found[0][0]}:") != 1:
            continue
        (key, side), label = found[0], row.y["grounding"]
        stands = re.search(rf"\b{key}: (yes|not given|no)\b", row.pair.lower())[1]
        assert label == (2 if stands == "not given" else int(stands != side)), row
        seen[label] += 1
    assert min(seen[0], seen[1], seen[2]) > 5, seen


def test_half_of_the_single_facts_are_held_out_by_what_hangs_together():
    claims = [
        {"answer": "A.", "source": "x"}, {"answer": "B.", "source": "x"},
        {"answer": "B.", "source": "y"}, {"answer": "C.", "source": "z"},
    ]  # fmt: skip
    first = sets.fever_held_out(claims)
    assert first[0] == first[1] == first[2]
    many = [{"answer": str(n), "source": f"s{n}"} for n in range(100)]
    assert 30 < sum(sets.fever_held_out(many)) < 70


def test_claims_about_talks_are_borne_out_by_them():
    values = {one for words in dialogues._WORDS.values() for one in words}
    made = list(dialogues.dialogues(320, 3))
    assert abs(sum(not row.y["grounding"] for row in made) / len(made) - 0.5) < 0.06
    for row in made:
        assert bool(row.spans) == bool(row.y["grounding"]), row
        assert all(0 <= a < b <= len(row.text) for a, b in row.spans)
        assert not set("{}") & set(row.text + row.pair)
        held = row.source.split("/")[1] in dialogues.HELD_OUT
        assert (row.split == "valid") == held
        if not row.y["grounding"]:
            said = {v for v in values if re.search(rf"\b{re.escape(v)}\b", row.text)}
            assert all(v.lower() in row.pair.lower() for v in said), row
