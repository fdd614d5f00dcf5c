"""Sentences held to other answers of the same model."""

from keelmark.core.grounding import Ground
from keelmark.core.ports import Sample, Segment
from keelmark.guard._samples import Samples
from keelmark.guard.contract import Request, Token
from keelmark.guard.detectors.grounding import Detector, Settings

SAME = Sample("Bern is the capital of Switzerland. It lies on the Aare.")
OTHER = Sample("Bern is the capital of Switzerland. It was founded in 1191.")
REQUEST = Request((Segment(role="user", path="messages[0].content", text="What is Bern?"),))
WRONG = "It was founded in 1250."


def held(*samples: Sample, text: str, start: int = 60) -> tuple[Ground, float, str]:
    said = Samples(samples, "What is Bern?", None).judged(text, start)
    assert said.verdict is Ground.NO_CLAIM or said.by == "samples"
    return said.verdict, said.score, said.reason.rpartition("; ")[2]


def test_what_all_say_is_consistent_and_what_none_says_is_not() -> None:
    verdict, score, reason = held(SAME, OTHER, text="Bern is the capital of Switzerland.")
    assert (verdict, reason) == (Ground.CONSISTENT, "2 of 2 samples say so")
    assert score < 0.2
    verdict, score, reason = held(SAME, OTHER, text=WRONG)
    assert (verdict, reason) == (Ground.UNCERTAIN, "0 of 2 samples say so")
    assert score > 0.8


def test_half_of_them_are_enough_for_doubt_and_the_place_is_that_of_the_best() -> None:
    text = "It was founded in 1191."
    said = Samples([SAME, OTHER, OTHER], "", None).judged(text, 0)
    assert said.verdict is Ground.CONSISTENT
    assert 1 / 3 < said.score < 0.5
    both = Samples([SAME, OTHER], "", None).judged(text, 0)
    assert both.verdict is Ground.UNCERTAIN
    assert both.source is not None
    assert both.source.path == "samples[1]"


def test_without_samples_nothing_is_known() -> None:
    assert held(text=WRONG)[:2] == (Ground.UNCHECKED, 0.5)
    assert held(text="What is Bern?")[0] is Ground.NO_CLAIM


def test_one_that_was_cut_short_does_not_speak_of_what_it_has_not_got_to() -> None:
    text = "The Federal Palace stands on a hill there."
    assert held(SAME, text=text)[0] is Ground.UNCERTAIN
    cut = SAME._replace(whole=False)
    assert held(cut, text=text)[0] is Ground.UNCHECKED
    assert held(cut, text=text, start=0)[0] is Ground.UNCERTAIN, "it has got as far as the answer"
    assert held(cut, text="Bern is the capital of Switzerland.")[0] is Ground.CONSISTENT


def detector(request: Request, **more: object) -> Detector:
    return Detector(Settings(encoder="off", **more)).for_request(request)  # type: ignore[arg-type]


def test_they_are_wanted_only_where_there_are_no_sources() -> None:
    sources = Request((Segment(role="retrieved", path="documents[0]", text="Bern."),))
    assert detector(REQUEST, samples=3).samples() == 3
    assert detector(sources, samples=3).samples() == 0
    assert detector(REQUEST).samples() == 0


def test_labels_and_where_none_came_the_tokens_decide_if_they_are_known() -> None:
    came = detector(REQUEST._replace(samples=(SAME, OTHER)), samples=2, unsure=True)
    assert [(h.label, h.score > 0.5) for h in came.find(WRONG)] == [("UNCERTAIN", True)]
    none = detector(REQUEST, samples=2, unsure=True)
    assert [(h.label, h.score) for h in none.find(WRONG)] == [("UNCHECKED", 0.5)]
    none = detector(REQUEST, samples=2, unsure=True).for_text()
    none.weigh([Token(WRONG, -0.1)])
    assert [h.label for h in none.find(WRONG)] == ["UNCERTAIN"]
    assert [one.by for one in none.judged()] == ["tokens"]
