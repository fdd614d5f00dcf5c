"""Seven views of a run: what is measured, and why the rest is not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluation_parts import CHOICE, WEIGHS, called, own_suite, run_folder, served
from keelmark.app.evaluation.judges import judges
from keelmark.cli.main import run
from keelmark.evaluate.contract import Reply, Scored
from keelmark.evaluate.journal import Kept
from keelmark.evaluate.measures import gather
from keelmark.evaluate.representation import mentions, representation
from keelmark.evaluate.result import Spent
from keelmark.evaluate.suite import Answer, Data, ScoredBy, Suite
from keelmark.evaluate.views import JUDGES, View, look, shown, views
from keelmark.evaluate.worst import worst_case
from keelmark.serve.fake import FakeEngine

SUITE = Suite(
    title="Ours",
    data=Data(file="ours.jsonl"),
    ask=Answer(user="{{ question }}"),
    scorer=ScoredBy(id="exact"),
    measures=("exact",),
    primary="exact",
    vary=("question",),
)
ROBUST = ("typos", "lowercase")


def scored(name: str, score: float | None, **more: Any) -> Scored:
    return Scored(id=name, scores={"exact": score, **more})


RUN = [
    scored("1", 1.0), scored("1~typos", 0.0), scored("1~lowercase", 1.0), scored("1~names", 1.0),
    scored("2", 0.0), scored("2~typos", 1.0),
    scored("3", 1.0),
    scored("4", 1.0), scored("4~typos", None), scored("4~lowercase", 1.0),
]  # fmt: skip


def test_the_worst_case_is_the_worst_of_each_sample() -> None:
    found = worst_case(gather(RUN), SUITE, ROBUST)
    assert found is not None
    assert (found.worst.value, found.worst.n, found.worst.unscored) == (pytest.approx(1 / 3), 3, 1)
    assert found.worst.how.startswith("exact, worst of 3")
    assert found.change.value == pytest.approx(-1 / 3)
    assert found.worst.low is not None
    assert found.worst.low < 1 / 3
    changes = {name: (one.value, one.n, one.unscored) for name, one in found.by_variant.items()}
    assert changes == {"typos": (0.0, 2, 1), "lowercase": (0.0, 2, 0)}


def test_where_less_is_better_the_worst_is_the_most() -> None:
    less = msgspec.structs.replace(SUITE, higher_is_better=False)
    found = worst_case(gather(RUN), less, ROBUST)
    assert found is not None
    assert found.worst.value == pytest.approx(1.0)


def test_without_variants_there_is_no_worst_case() -> None:
    assert worst_case(gather([scored("1", 1.0)]), SUITE, ROBUST) is None
    assert worst_case(gather(RUN), SUITE, ["dialect"]) is None


def kept(*texts: str, name: str = "") -> list[Kept]:
    return [
        Kept(
            id=f"{at}{name}",
            replies=(Reply(state="answered", texts=(text,), seconds=0.5 + at, tokens_out=10),),
        )
        for at, text in enumerate(texts)
    ]


def seven(suite: Suite, run: list[Scored], replies: list[Kept], *asked: str) -> Mapping[str, View]:
    looked = look(replies, judges(JUDGES))
    spent = Spent(seconds=10.0, tokens_in=60, tokens_out=40, asks=2, more={"joules": 12.5})
    return {one.name: one for one in views(suite, gather(run), looked, spent, asked)}


def test_every_view_is_measured_or_says_why_not() -> None:
    told = seven(SUITE, RUN, kept("She is a nurse.", "You are an idiot."), *ROBUST, "names")
    assert list(told) == [
        "accuracy", "calibration", "robustness", "fairness", "bias", "toxicity", "efficiency",
    ]  # fmt: skip
    assert all(bool(one.measures) != bool(one.reason) for one in told.values())
    assert "tells no confidence" in told["calibration"].reason
    assert "Not asked" in told["robustness"].note
    assert told["toxicity"].measures["abusive"].value == 0.5
    assert "only 1 words for men and women" in told["bias"].note
    assert told["efficiency"].measures["tokens_per_second"].value == 10.0
    assert told["efficiency"].measures["joules"].value == 12.5
    assert told["efficiency"].measures["joules_per_token"].value == 0.125
    assert "Energy" not in told["efficiency"].note
    text = shown(told.values())
    assert "not measured: The scorer 'exact'" in text
    assert "joules" in text


def test_variants_that_were_not_asked_are_named_and_those_that_change_nothing_too() -> None:
    plain = [one for one in RUN if "~" not in one.id]
    assert "--variants fairness" in seven(SUITE, plain, [])["fairness"].reason
    assert "change nothing" in seven(SUITE, plain, [], "names")["fairness"].reason
    closed = msgspec.structs.replace(SUITE, vary=())
    assert "`vary`" in seven(closed, plain, [])["robustness"].reason
    assert seven(SUITE, plain, [])["efficiency"].reason == "Nothing was answered."


def test_confidence_is_what_calibration_needs() -> None:
    run = [
        scored(str(at), float(at % 2), _confidence=0.5, _right=float(at % 2)) for at in range(40)
    ]
    told = seven(SUITE, run, [])["calibration"]
    assert told.measures["auroc"].value == 0.5
    assert "ece: means nothing below 300 samples" in told.note
    assert "writes nothing" in seven(SUITE, run, [])["toxicity"].reason


def test_suites_of_bias_are_their_own_view() -> None:
    suite = msgspec.structs.replace(SUITE, tags=("helm:bias",))
    told = seven(suite, RUN, [])
    assert told["bias"].measures["exact"].value == 0.75
    assert "measures bias" in told["accuracy"].reason


def test_answers_to_variants_and_of_judges_are_not_looked_at() -> None:
    answers = [*kept("Idiot!"), *kept("Idiot!", name="~typos"), *kept("Fine.", name="~x")]
    assert look(answers, judges(JUDGES)).abusive == [1.0, 0.0], "`0~x` is no variant"
    both = [Kept(id="1", replies=(*answers[0].replies, *answers[0].replies))]
    assert len(look(both, judges(JUDGES), asks=1).spoken) == 1
    assert len(look(both, judges(JUDGES)).spoken) == 2


def test_who_is_spoken_of() -> None:
    told = mentions(
        "The nurses said that her brother and Ms. Lee's son met Darnell, Priya and Mei."
    )
    assert (told.men, told.women) == (2, 2)
    assert told.names == {"african_american": 1, "south_asian": 1, "chinese": 1}
    assert told.occupations == {"nurse"}


def test_distance_from_speaking_of_all_equally() -> None:
    one_sided = representation([mentions("He is an engineer and his wife is there.")] * 10)
    assert one_sided["gender"].value == pytest.approx(2 / 3 - 1 / 2)
    assert one_sided["gender_by_occupation"].value == pytest.approx(2 / 3 - 1 / 2)
    assert one_sided["name_groups"].value is None
    only_men = representation([mentions("He is there.")] * 30)
    assert only_men["gender"].value == 0.5
    assert "only 0 words" in only_men["gender_by_occupation"].how
    assert representation([])["gender"].value is None


def test_a_run_asks_variants_and_is_seen_from_seven_sides(tmp_path: Path, capsys: Any) -> None:
    suite = own_suite(tmp_path / "suite", count=3, text=f"{CHOICE}vary: [question]\n")
    data = tmp_path / "data"

    def act(call: Any) -> None:
        assert call("run", suite, "--data", data, "--views", "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert said["counts"]["asked"] == 3
        assert said["counts"]["variants"] == sum(
            one["acc"]["n"] for one in said["slices"]["variant"].values()
        )
        assert said["views"]["robustness"]["measures"]["worst_case"]["n"] == 3
        assert "change nothing" in said["views"]["fairness"]["reason"]
        seen = ["eval", "views", "--data", str(data)]
        assert run([*seen, run_folder(data).name]) == 0
        assert "change_lowercase" in capsys.readouterr().out
        assert run([*seen, "nothing"]) == 2
        assert call("run", suite, "--data", data, "--variants", "slang") == 2

    served(FakeEngine(WEIGHS), act)


def test_a_gate_may_demand_a_measure_of_a_view(tmp_path: Path, capsys: Any) -> None:
    suite = own_suite(tmp_path / "suite", 40, f"{CHOICE}vary: [question]\n")
    data, policy = tmp_path / "data", tmp_path / "gates.yaml"

    def gate(demand: str, *more: str) -> tuple[int, str]:
        policy.write_text(f"gates: {{require: [{{suite: small, measure: {demand}}}]}}")
        words = ["eval", "gate", run_folder(data).name, "--policy", str(policy), *more]
        code = run([*words, "--data", str(data)])
        return code, capsys.readouterr().out

    assert called(FakeEngine(WEIGHS), "run", suite, "--data", data, "--variants", "typos") == 0
    capsys.readouterr()
    assert gate("robustness.worst_case, at_least: 0")[0] == 0
    assert gate("robustness.worst_case, at_least: 0.99")[0] == 1
    assert gate("efficiency.seconds_95, at_most: 60")[0] == 0
    for demand, why in (
        ("robustness.worst, at_least: 0", "did you mean 'worst_case'"),
        ("toxicity.abusive, at_most: 0.1", "The model writes nothing in this suite"),
        ("fairness.change, at_least: 0", "run it with --variants fairness"),
        ("robustness.change, at_least: 0, slices: {variant: '*'}", "a view is of all samples"),
    ):
        code, said = gate(demand)
        assert code == 2
        assert why in said
    code, said = gate("robustness.change, drop: 0.1", "--baseline", run_folder(data).name)
    assert code == 2
    assert "Nothing could be compared" in said
