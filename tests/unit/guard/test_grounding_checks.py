"""Exact checks of sentences against their sources."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.cli.main import run
from keelmark.core.grounding import Ground, summary
from keelmark.core.ports import Segment
from keelmark.guard import Guard
from keelmark.guard._claims import claimed
from keelmark.guard._dates import Calendar, dated
from keelmark.guard._grounds import judge
from keelmark.guard._quantities import Known, quantities
from keelmark.guard._sentences import LONGEST, cut
from keelmark.guard._sources import Index, Source
from keelmark.guard._sources import given as sources_in
from keelmark.guard._support import Support

TEXT = (
    "Acme was founded in Berlin on 12 March 1998 by Ada Long. It sold 1,200 boats in 2020 and made "
    "$3.5 million. The trip to the yard is 10 miles, or 90 minutes by ferry; the water has 20 °C. "
    "The United Nations bought two boats. Its motto is “we build small boats”. Sales increased "
    "sharply in 2019. The yard is not open on Sundays."
)
MARKS = ("document", "context")


def said(claim: str, text: str = TEXT, rest: str = ""):
    return judge(claim, Index([Source("d", text)], rest))


@pytest.mark.parametrize(
    "claim",
    [
        "Acme sold 1200 boats.",
        "Acme sold 1.2 thousand boats.",
        "It sold twelve hundred boats.",
        "It sold about 1,150 boats.",
        "It made 3,500,000 dollars.",
        "The trip to the yard is 16.1 km.",
        "The ferry takes 1.5 hours.",
        "The water has 68 °F.",
        "Acme was founded on March 12, 1998.",
        "Acme was founded on 1998-03-12, a Thursday.",
        "Acme was founded in March 1998.",
        "Acme was founded in the 1990s.",
        "Acme was founded in the 20th century.",
        "The UN bought two boats.",
        "Ms. Long's company is Acme.",
        'Its motto is "We build small boats."',
        "Acme [1] was founded in Berlin (see passage 2).",
    ],
)
def test_what_the_sources_say_in_other_forms_is_supported(claim):
    assert said(claim).verdict is Ground.SUPPORTED, said(claim)


NAMES = (
    "The Lincoln Memorial in Washington was designed by Henry Bacon. Lawrence Tanner paid for it. "
    "The Nassau County sheriff came on foot. The American Chemical Society came by train, on the "
    "D&RGW. Zack Handlen wrote about it in the Tulsa World. Six Ph.D. students sang there."
)


@pytest.mark.parametrize(
    "claim",
    [
        "The Memorial's architect was Bacon.",
        "The Lincoln Memorial was designed by H. Bacon.",
        "Larry Tanner paid for it.",
        "The Nassau County's sheriff came on foot.",
        "Zach Handlen wrote about it.",
        "The sheriff of Tulsa County came on foot.",
        "The American Chemical Society came on the RGW's train.",
        "Six PhD students sang there.",
    ],
)
def test_a_name_in_another_form_is_the_same_name(claim):
    assert said(claim, NAMES).verdict is Ground.SUPPORTED, said(claim, NAMES)


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ("The famous architect of the Lincoln Memorial was John Bacon.", "John Bacon"),
        ("The Suffolk County sheriff came on foot.", "Suffolk County"),
        ("The American Surgical Society came by train.", "American Surgical Society"),
        ("The Nassau Chemical Society came by train.", "Nassau Chemical Society"),
        ("Zack Miller wrote about it in the Tulsa World.", "Zack Miller"),
    ],
)
def test_a_name_of_which_the_sources_have_only_a_part_is_not_theirs(claim, name):
    judged = said(claim, NAMES)
    assert judged.verdict is Ground.UNSUPPORTED, judged
    assert "name" in judged.reason
    assert [claim[start:end] for start, end in judged.spans] == [name]


def test_a_degree_with_and_without_full_stops_is_one_name():
    assert said("Six Ph.D. students sang there.", "Six PhD students sang there.").score < 0.5


@pytest.mark.parametrize(
    ("claim", "verdict", "reason"),
    [
        ("Acme sold 1,300 boats in 2020.", "contradicted", "number"),
        ("It made $3.6 million.", "unsupported", "number"),
        ("The trip to the yard is 10 km.", "contradicted", "number"),
        ("It made 3.5 million euros.", "unsupported", "number"),
        ("The United Nations bought three boats.", "contradicted", "number"),
        ("Acme was founded in Berlin on 13 March 1998.", "contradicted", "date"),
        ("Acme was founded in Berlin in May 1998.", "contradicted", "date"),
        ("Acme was founded in Berlin in the 19th century.", "contradicted", "date"),
        ("I do not know much, but Acme was founded in Berlin in 1997.", "contradicted", "number"),
        ("The text does not say it, but it was founded by Bob Stone.", "unsupported", "name"),
        ("It is Bob Stone's company, but the document does not say so.", "unsupported", "name"),
        ("Although the document does not say, it was Bob Stone.", "unsupported", "name"),
        ("Sorry, Acme was founded in Berlin in 1997.", "contradicted", "number"),
        ("Here is what I found: it is Bob Stone's company.", "unsupported", "name"),
        ("Unable to say more: Acme was founded in Berlin in 1997.", "contradicted", "number"),
        ("None of the texts says it, but it was founded by Bob Stone.", "unsupported", "name"),
        ("(Acme was founded in Berlin in 1997.)", "contradicted", "number"),
        ("Did you know that Acme was founded in Berlin in 1997?", "contradicted", "number"),
        ("Acme was founded by Bob Stone.", "unsupported", "name"),
        ("Zenith was founded in Berlin on 12 March 1998 by Ada Long.", "unsupported", "name"),
        ('Its motto is "we build the very largest ships".', "unsupported", "quotation"),
        ("Sales decreased sharply in 2019.", "contradicted", "opposite"),
        ("Sales did not increase sharply in 2019.", "contradicted", "deny"),
    ],
)
def test_what_is_wrong_is_said_with_its_reason(claim, verdict, reason):
    found = said(claim)
    assert (found.verdict, reason in found.reason) == (verdict, True), found
    assert found.tier == 1
    assert found.score >= 0.9


def test_a_wrong_number_is_never_mostly_supported():
    claim = TEXT.partition(". ")[2].partition(". The")[0].replace("1,200", "1,201")
    assert said(claim).score >= 0.9
    first, last = said(claim).spans[0]
    assert claim[first:last] == "1,201"


@pytest.mark.parametrize(
    "claim",
    [
        "Hello!",
        "What is Acme?",
        "I do not know.",
        "I'm sorry, I can't answer that.",
        "The document does not mention its size.",
        "I hope this helps!",
        "Here are the facts:",
        "Let me know if you need more.",
        "没有提到。",
        "I'm sorry, but the document does not mention who founded Acme.",
        "The text does not state the price, the size or the weight; however, I can look for it.",
        "I'm sorry, but I can't help with that.",
        "Note: Unable to answer based on given passages.",
        "(Unable to answer based on given passages).",
        "(None of the passages mention its size, its price or its weight.)",
        "Therefore, unable to determine its size from the text.",
        "I am unable to answer this question based on the given passages.",
        "None of the passages mention its size.",
        "Not enough information is given to answer.",
        "It isn't clear from the document.",
        "Unfortunately, the documents contain nothing on this.",
    ],
)
def test_what_claims_nothing_is_not_judged(claim):
    assert said(claim).verdict is Ground.NO_CLAIM


def test_numbers_and_names_of_the_question_may_be_repeated():
    asked = "Did Zenith sell 77 cars?"
    assert said("Zenith sold 77 cars.", rest=asked).score < said("Zenith sold 77 cars.").score
    assert said("Zenith sold 78 cars.", rest=asked).score >= 0.9


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        (
            "会社は1998年3月に設立され、社員は3万人です。",
            "社員は30,000人です。",
            "社員は4万人です。",
        ),
        ("تأسست الشركة عام ١٩٩٨ في القاهرة.", "تأسست الشركة عام 1998.", "تأسست الشركة عام 1997."),
        ("कंपनी की स्थापना 1998 में दिल्ली में हुई।", "स्थापना १९९८ में हुई।", "स्थापना 1997 में हुई।"),
        ("Der Turm ist 1.234,5 m hoch.", "Der Turm ist 1234,5 Meter hoch.", "Er ist 1.334,5 m."),
    ],
)
def test_numbers_are_compared_in_any_script(text, right, wrong):
    assert said(right, text).verdict is Ground.SUPPORTED, said(right, text)
    assert said(wrong, text).score >= 0.9, said(wrong, text)


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        (
            "Hourly. passage 2:9am:The town has 48 degrees.",
            "It has 48 degrees at 9am.",
            "It has 48 degrees at 8am.",
        ),
        (
            "passage 1:30 minutes are enough.",
            "Thirty minutes are enough.",
            "31 minutes are enough.",
        ),
        ("Step 3:12 rivets are set.", "12 rivets are set.", "13 rivets are set."),
        ("Out 15 Jul 19 # CWC", "CWC was out on 15 July 2019.", "CWC was out on 15 July 2018."),
        ("Paid 03-Mar-'21.", "It was paid on 3 March 2021.", "It was paid on 3 March 2020."),
        ("On 15 May 19 people died.", "On 15 May 19 people died.", "16 people died in May."),
    ],
)
def test_numbers_are_found_behind_labels_and_years_of_two_digits(text, right, wrong):
    assert said(right, text).verdict is not Ground.CONTRADICTED
    assert said(wrong, text).score >= 0.9


SALES = (
    "Sales rose from $10.1 million in 2019 to $12.4 million in 2021. Staff grew from 40 to 50. "
    "The hotel has 24 double rooms and 6 single rooms. Ada Long was born in 1944 and died in 2019. "
    "The share rose from 10 to 15 percent. The trip takes 90 minutes by ferry and 40 by bus. "
    "The bus needs 40 minutes."
)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Sales increased by $2.3 million.", "Sales increased by $2.4 million."),
        ("Sales grew by 23%.", "Sales grew by 32%."),
        ("Sales rose by $2.3 million over 2 years.", "Sales rose by $2.3 million over 3 years."),
        ("The staff grew by 10 people.", "The staff grew by 12 people."),
        ("The hotel has a total of 30 rooms.", "The hotel has a total of 31 rooms."),
        ("Ada Long died aged 75.", "Ada Long died aged 85."),
        ("Ada Long died at the age of 74.", "Ada Long died at the age of 47."),
        ("The share rose by 5 percentage points.", "The share rose by 7 percentage points."),
        ("Together ferry and bus take 130 minutes.", "Together ferry and bus take 140 minutes."),
    ],
)
def test_a_number_may_follow_from_those_of_the_sources(right, wrong):
    assert said(right, SALES).verdict is Ground.SUPPORTED, said(right, SALES)
    assert said(wrong, SALES).score >= 0.9


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("Sales grew in the first half of the year.", "Sales grew by 50 % this year."),
        ("In one quarter of 2020 sales grew.", "Sales grew by a lot, 75 %, in 2020."),
        ("Our daily work ends on Monday.", "Our work ends on Tuesday."),
        ("On May 3 a 12 man crew left.", "The crew left on May 8."),
        ("He won in the '90s.", "He won in the 2000s."),
        ("United Airlines flew there.", "America flew there with Bob."),
    ],
)
def test_what_only_sounds_like_it_bears_nothing_out(text, claim):
    assert said(claim, text).score >= 0.9, said(claim, text)


def test_two_lengths_are_not_one():
    text = "The races are over 5 km and 400 m; packs have 2 kg, 500 g and 3 lb 2 oz."
    for claim in (
        "A race is over 400 m.",
        "The races are over 5 km and 400 m.",
        "Packs have 500 g.",
    ):
        assert said(claim, text).verdict is Ground.SUPPORTED, claim


@pytest.mark.parametrize("claim", ["Sales were $2.3 million.", "The hotel has 30 rooms."])
def test_only_a_sentence_that_says_so_has_reckoned(claim):
    assert said(claim, SALES).verdict is Ground.CONTRADICTED


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("The trip takes 1 hour and 30 minutes.", "It takes 90 minutes.", "It takes 100 minutes."),
        ("The trip takes 90 minutes.", "The trip takes 1.5 hours.", "The trip takes 2 hours."),
        ("It takes 90 minutes.", "It takes one hour and thirty minutes.", "It takes 1 h 40 min."),
        ("It weighs 9 pounds, 10 ounces.", "It is a 9-pound boat.", "It is an 8-pound boat."),
        ("Ada is 5 feet 10 inches tall.", "Ada is 178 cm tall.", "Ada is 168 cm tall."),
        ("It runs two and a half years.", "It runs for 30 months.", "It runs for 24 months."),
        ("Revenue: EUR 12m.", "Revenue was 12 million euros.", "Revenue was 12 billion euros."),
        ("Costs: €9.5m.", "Costs were 9.5 million euros.", "Costs were 95 million euros."),
        ("It made $1.2bn.", "It made 1.2 billion dollars.", "It made 1.2 million dollars."),
        ("It has 3B parameters.", "It has 3 billion parameters.", "It has 3 million parameters."),
        ("The cable is 12m long.", "The cable is 12 metres long.", "The cable is 12 km long."),
        ("The fee is 3/4 of the rent.", "The fee is 75% of the rent.", "The fee is 70% of it."),
        ("One in five adults smokes.", "20% of adults smoke.", "25% of adults smoke."),
        ("Two thirds of voters agreed.", "67% of voters agreed.", "76% of voters agreed."),
        ("The fair is on 3-5 June 2024.", "The fair is on 4 June 2024.", "It is on 6 June 2024."),
        ("The fair: June 3–5, 2024.", "The fair ends on 5 June 2024.", "It ends on 5 June 2023."),
        ("Between 2 and 5 June it rained.", "It rained on 4 June.", "It rained on 6 June."),
        ("On 2 and 5 June it rained.", "It rained on 2 June.", "It rained on 4 June."),
        ("He ran for 2 min 30 s.", "He ran for 150 seconds.", "He ran for 30 seconds."),
        ("From 28 May to 2 June 2024.", "It was there on 1 June 2024.", "It was there on 3 June."),
        ("It closes at midnight.", "It closes at 12 am.", "It closes at 11 pm."),
        ("Lunch is at noon.", "Lunch is at 12:00.", "Lunch is at 1 pm."),
        ("FY2022 revenue was high.", "Revenue was high in 2022.", "Revenue was high in 2021."),
        ("He won in the '90s.", "He won in the 1990s.", "He won in the 1980s."),
        ("It boils at 100 degrees Celsius.", "It boils at 212 °F.", "It boils at 200 °F."),
        ("Il compte 1 200 objets, 9,50 euros.", "Il compte 1200 objets.", "Il compte 1300 objets."),
        ("Er hat 1'200 Dinge.", "Er hat 1200 Dinge.", "Er hat 1300 Dinge."),
        ("Il ferme à 18h30.", "Il ferme à 18:30.", "Il ferme à 19:30."),
        ("Es schließt um 18 Uhr.", "Es schließt um 18:00 Uhr.", "Es schließt um 19:00 Uhr."),
        ("Cierra los lunes.", "Los lunes cierra.", "Cierra los martes."),
        ("Open Mon-Thu.", "The shop is open on Wednesday.", "The shop is open on Friday."),
        ("Open on weekdays.", "The shop is open on Tuesday.", "The shop is open on Sunday."),
    ],
)
def test_what_is_written_in_two_parts_by_letters_or_between_days(text, right, wrong):
    assert not [one for one in (said(right, text),) if one.reason.endswith("that no source has")]
    assert said(wrong, text).score >= 0.9, said(wrong, text)


@pytest.mark.parametrize(
    "claim",
    [
        "Macron is the president of France.",
        "He met the Mueller family.",
        "He met Mr. Muller in the Netherlands.",
        "Macron met Beyonce.",
    ],
)
def test_names_are_found_in_other_spellings_and_of_countries(claim):
    text = "French president Emmanuel Macron met Beyoncé and the Müllers, a Dutch family."
    assert not said(claim, text).reason.startswith("a name")
    assert said("Macron met Miller in Spain.", text).reason.startswith("a name")


def test_what_the_encoder_reads_runs_on_where_places_meet():
    text = "The yard builds boats. They are small. Acme sells boats to the north. It is old. "
    index = Index([Source("d", text * 3)])
    places = [index.places[number] for number in (0, 1, 2)]
    assert index.passage(places, 60) in text * 3
    apart = index.passage([index.places[0], index.places[-1]], 60)
    assert [line in text * 3 for line in apart.split("\n")] == [True, True]


@pytest.mark.parametrize("claim", ["Sell was no name.", "Boats were sold.", "Fully closed is bad."])
def test_a_sentence_does_not_begin_with_a_name_for_its_capital_alone(claim):
    assert "name" not in said(claim).reason


def test_the_place_is_the_sentence_of_the_source_that_says_most():
    source = said("Sales increased in 2019.").source
    assert TEXT[source.start : source.end] == "Sales increased sharply in 2019."


def test_sources_come_from_documents_tools_and_between_marks():
    segments = [
        Segment(role="retrieved", path="documents[0]", text="One."),
        Segment(role="tool", path="messages[1].content", text='{"a": "Tw\\u006f."}', is_json=True),
        Segment(
            role="user",
            path="messages[2].content",
            text="Look: <document id=1>Three.</document> Who? <document>never closed",
        ),
        Segment(role="system", path="messages[0].content", text="Four."),
        Segment(role="assistant", path="messages[3].content", text="Five."),
    ]
    found, rest = sources_in(segments, ("documents", "tools", "marked"), MARKS)
    assert [one.text for one in found] == ["One.", segments[1].text, "Three."]
    assert [one.text.strip() for one in Index(found).readings] == ["One.", "a: Two.", "Three."]
    assert segments[2].text[found[2].offset :].startswith("Three.")
    assert "Who?" in rest
    assert "Four." in rest
    assert "Five." not in rest
    assert len(sources_in(segments, ("system",), MARKS)[0]) == 1


def test_what_stands_behind_context_up_to_the_question_is_a_source():
    prompt = "Use this.\n\nContext:\nAcme is old.\n\nQuestion: How old is Acme?"
    segment = Segment(role="user", path="m", text=prompt)
    (found,), rest = sources_in([segment], ("marked",), MARKS)
    assert found.text.strip() == "Acme is old."
    assert "How old" in rest


def test_sources_beyond_the_bound_leave_claims_unchecked(monkeypatch):
    monkeypatch.setattr("keelmark.guard._sources.MOST", 60)
    assert said("Acme was founded in Berlin.").verdict is Ground.SUPPORTED
    assert said("The zebra crossing was painted purple.").verdict is Ground.UNCHECKED


def test_the_summary_counts_claims():
    found = [said("Acme sold 1,200 boats."), said("Acme sold 9 boats."), said("Hello!")]
    assert summary(found).startswith("supported=1, contradicted=")
    assert "no_claim" not in summary(found)


sentences = st.lists(
    st.sampled_from(
        ["Hi there. ", "It is 3.5 m. ", "Dr. No left! ", "1. One\n", "```\nx = 1.\n```\n", "是。",
         "```text\n", "~~~\n", "``` a ``` b. ", "````", "«Oui.» ",
         "word " * 30, "x" * 700, "\n\n", "U.S. ", "Ok?", "[1] "]
    ),
    max_size=6,
).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(text=sentences, data=st.data())
def test_a_prefix_cuts_the_same_sentences(text, data):
    whole = cut(text).pieces
    end = data.draw(st.integers(0, len(text)))
    part = cut(text[:end])
    assert part.pieces == whole[: len(part.pieces)]
    assert all(one.start >= part.rest for one in whole[len(part.pieces) :])
    assert all(one.end - one.start <= LONGEST for one in cut(text, final=True).pieces)
    rest = cut(text[part.rest :], fence=part.fence, final=True).pieces
    moved = [one._replace(start=one.start + part.rest, end=one.end + part.rest) for one in rest]
    assert [*part.pieces, *moved] == cut(text, final=True).pieces


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("```\na = 1\n```\nIt is.", ["It is."]),
        ("```text\nIt is.\n```\nSo.", ["It is.", "So."]),
        ("~~~markdown\nIt is.\n~~~\n~~~\na = 1\n```\nb\n~~~~\nSo.", ["It is.", "So."]),
        ("```a = 1``` is code.\nIt is.", ["```a = 1``` is code.", "It is."]),
        ("So. ```\nIt is.", ["So.", "```", "It is."]),
        ("```\na\n```python\nb\n```\nIt is.", ["It is."]),
    ],
)
def test_code_is_what_stands_between_fences_of_code(text, prose):
    def pieces(found):
        return [text[one.start : one.end] for one in found if not one.code]

    assert pieces(cut(text, final=True).pieces) == prose


@settings(max_examples=100, deadline=None)
@given(value=st.integers(11, 10**9))
def test_a_number_is_itself_however_it_is_grouped(value):
    known = Known(quantities(f"There are {value:,} of them."))
    assert all(known.has(one) for one in quantities(f"{value} of them"))
    assert not any(known.has(one) for one in quantities(f"{value + 1} of them"))


def test_impossible_dates_are_none():
    assert dated("2020-13-01, 2020-02-30, 25:10") == []
    assert Calendar(dated("On 3/4/2020."), []).has(dated("April 3, 2020")[0])


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("More than 40 people were hurt.", False),
        ("Over 60 people were hurt.", True),
        ("At least 57 people were hurt.", False),
        ("Fewer than 50 people were hurt.", True),
        ("No more than 60 people were hurt.", False),
        ("Between 50 and 60 people were hurt.", False),
        ("Between 60 and 70 people were hurt.", True),
        ("60 or more people were hurt.", True),
        ("50+ people were hurt.", False),
        ("People were hurt before 1990.", False),
        ("People were hurt after 1990.", True),
        ("People were hurt no later than 1995.", False),
        ("The damage came to less than 3 million dollars.", False),
        ("The damage came to more than $3,000,000.", True),
        ("The walls are over 1 km long.", False),
        ("The walls are under 1,000 m long.", True),
        ("More than 12 boats were lost.", True),
    ],
)
def test_a_bound_is_held_to_the_numbers_of_the_sources(claim, wrong):
    text = (
        "57 people were hurt in the storm of 3 May 1987. The damage came to 2.5 million dollars. "
        "The walls are 1,200 m long. The storm cut the power of the town."
    )
    index = Index([Source("d", text)])
    said = judge(claim, index)
    exact = said.tier == 1 and said.score > 0.85
    assert exact == wrong, said


def test_a_year_keeps_no_bound_on_something_else():
    index = Index([Source("d", "The storm was in 2019. It hit the town.")])
    assert judge("More than 40 were hurt.", index).reason == "a number that no source has"


@pytest.mark.parametrize(
    ("source", "enough"),
    [
        ("The old bridge was built of steel by Lena Holm.", True),
        ("The old bridge was built of steel by him.", False),
        ("The bridge is closed.", False),
        ("The bridge is closed. The ferry is blue. It sails at noon.", True),
    ],
)
def test_a_name_that_no_source_has_weighs_more_where_the_source_would_have_it(source, enough):
    agreed = Support(0.8, 0.0, 0.2, 0, len(source), ())
    index = Index([Source("d", source)])
    claim = "The old bridge was built of steel by Erik Berg."
    said = judge(claim, index, lambda *_: [agreed])
    held = judge(claim, Index([Source("d", claim)]), lambda *_: [agreed])
    assert (said.verdict, said.tier) == ("unsupported" if enough else "supported", 3), said
    assert said.score > held.score
    assert judge(claim, index).verdict == "unsupported"  # without the encoder it decides


def test_the_library_is_told_what_a_text_answers():
    asked = [Segment(role="retrieved", path="d", text=TEXT)]
    plain = Guard("grounded")
    text = "Acme sold 1,300 boats in 2020. Acme sold 1,200 boats."
    result = plain.about(asked).check(text, stage="output")
    assert result.text == "[removed: the sources say otherwise] Acme sold 1,200 boats."
    assert result.scores["ungrounded"] == 0.97
    assert [one.verdict for one in result.verdict.sentences] == ["contradicted", "supported"]
    assert plain.check(text, stage="output").text == text


def test_the_command_takes_the_context_of_records_and_of_all(tmp_path, capsys):
    file, source = tmp_path / "answers.jsonl", tmp_path / "source.txt"
    source.write_text("The ferry is blue.")
    records = [
        {"id": 1, "text": "Acme sold 1,300 boats.", "context": TEXT},
        {"id": 2, "text": "Acme sold 1,200 boats.", "context": [{"text": TEXT}, "More."]},
        {"id": 3, "text": "The ferry is blue."},
        {"id": 4, "text": "Zenith sold 7.", "context": TEXT, "question": "Did Zenith sell 7?"},
    ]
    file.write_text("\n".join(json.dumps(one) for one in records))
    words = ["guard", str(file), "--json", "--all", "--context", str(source)]
    assert run(words) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    high = [row["scores"]["ungrounded"] >= 0.5 for row in rows]
    assert high[:3] == [True, False, False]
    assert rows[0]["sentences"][0]["verdict"] == "contradicted"
    assert "that no source has" not in rows[3]["sentences"][0]["reason"]  # the question has them
    file.write_text('{"text": "a", "context": 5}')
    assert run(words) == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("It is rated 4.5/5 stars.", [Fraction(9, 2)]),
        ("Rating: 4.5 out of 5", [Fraction(9, 2)]),
        ("It scored 87/100 and has 4/5 points.", [87, 4]),
        ("3 out of 5 patients, or 3/5, got well.", [3, 5, Fraction(3, 5)]),
    ],
)
def test_what_a_rating_is_out_of_is_no_number_of_its_own(text, values):
    assert [one.value for one in quantities(text)] == values


TABLE = "It has:\n\n| Feature | On site |\n|---|:-:|\n| Cafe | Yes |\n\n| In | 312 |\n| a | b |"


@pytest.mark.parametrize("at", range(len(TABLE)))
def test_the_head_of_a_table_is_no_claim_wherever_the_stream_is_cut(at):
    begun = cut(TABLE[:at])
    pieces = [(one, 0) for one in begun.pieces]
    rest = cut(TABLE[begun.rest :], fence=begun.fence, final=True)
    pieces += [(one, begun.rest) for one in rest.pieces]
    heads = [TABLE[off + one.start : off + one.end] for one, off in pieces if one.head]
    assert heads == ["| Feature | On site |", "|---|:-:|"]
    assert [off + one.start for one, off in pieces] == [
        one.start for one in cut(TABLE, final=True).pieces
    ]


@pytest.mark.parametrize("below", ["", "\n", "\n\n| more | of it |", "\n| Cafe | Yes |", "\n--|x"])
def test_a_row_without_a_rule_below_is_a_claim(below):
    text = f"| Lund burned | down |{below}"
    assert not cut(text, final=True).pieces[0].head
    held = cut(text[:22])
    assert held.pieces == []
    assert held.rest == 0


def test_the_encoder_reads_a_row_of_a_table_as_it_would_be_said():
    heard = []

    def voice(claims, passage):
        heard.extend(claims)
        return [Support(1.0, 0.0, 0.0, 0, 0, ())]

    judge("| **Sales** | sharply | `2019` |", Index([Source("d", TEXT)]), voice)
    assert heard == ["    Sales   : sharply ;  2019   "]


@pytest.mark.parametrize(
    "said",
    [
        "Best regards,\n[Your Name]",
        "[Company Name] | [Your Address]",
        "Kind regards,\nAnna Lee",
        "Mit freundlichen Grüßen\nJörg Müller",
        "[Insert date here]",
        "Yours sincerely",
    ],
)
def test_what_a_letter_ends_with_and_what_is_yet_to_be_filled_in_claims_nothing(said):
    assert claimed(said) is None


@pytest.mark.parametrize(
    "said",
    [
        "[1] Acme was founded in 1997.",
        "[Acme was founded by Bob]",
        "[Acme] was founded in Rome.",
        "Best wishes, the mill killed Bob",
        "[Your Name] won the war.",
        "Regards, in all 14 died",
        "[Your doctor says stop insulin]",
        "[Bob Killed Anna Lee]",
        "Cheers Bob Killed Anna",
        "The text says nothing was lost",
        "Acme was founded in Rome (wasn't it?)",
        "(Acme was founded) in Rome (was it?)",
        "Unable to pay, Bob sold the yard",
    ],
)
def test_brackets_and_greetings_hide_no_claim(said):
    assert claimed(said) == (0, len(said))
