"""Runs: asked once, kept in order, gone on with after any end, never better than what was seen."""

import itertools
import json
import stat

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_parts import CHOICE, WEIGHS, called, own_suite, run_folder, served
from keelmark.app.evaluation.evidence import needed
from keelmark.app.home import Home
from keelmark.core import events
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.evaluate.contract import Reply, Score
from keelmark.evaluate.journal import REPLIES, Journal, Kept
from keelmark.evaluate.manifest import Sampling
from keelmark.evaluate.result import read_manifest, read_result, read_scores
from keelmark.evaluate.run import Plan, chosen, samples
from keelmark.evaluate.suite import load_suite
from keelmark.serve.fake import FakeEngine, Script

FAILS = Script(fault="error", status=400)


@pytest.fixture
def suite(tmp_path):
    return own_suite(tmp_path / "suite")


def asked(engine: FakeEngine) -> int:
    return sum("Question:" in str(body.get("prompt")) for body in engine.received)


def test_a_run_is_kept_and_shown_again(suite, tmp_path, capsys):
    data = tmp_path / "data"
    engine = FakeEngine(WEIGHS)
    assert called(engine, "run", suite, "--data", data, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["state"] == "complete"
    assert said["suite"] == "small"
    assert said["metrics"]["acc"].keys() >= {"value", "low", "high", "n"}
    assert said["metrics"]["acc"]["n"] == 12 == asked(engine)
    folder = run_folder(data)
    assert str(folder) == said["folder"]
    manifest = read_manifest(folder)
    assert manifest.digest == said["manifest"]
    assert manifest.suite.title == "Small"
    scores = read_scores(folder)
    assert [one.id for one in scores] == [f"q{n}" for n in range(12)]
    right = [one.scores["acc"] for one in scores]
    assert said["metrics"]["acc"]["value"] == pytest.approx(sum(right) / 12)


def test_folders_of_runs_are_for_their_owner(suite, tmp_path):
    """Prompts and answers lie there in plain text; a folder that was there stays as it is."""
    data, mine = tmp_path / "data", tmp_path / "mine"
    mine.mkdir(0o755)
    words = ["run", suite, "--data", data, "--limit", 6]
    served(FakeEngine(WEIGHS), lambda call: [call(*words), call(*words, "--out", mine)])
    (beside,) = mine.iterdir()
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (run_folder(data), beside, mine)]
    assert modes == [0o700, 0o700, 0o755]


def test_what_is_complete_is_not_asked_again(suite, tmp_path, capsys):
    data = tmp_path / "data"
    engine = FakeEngine(WEIGHS)
    words = ["run", suite, "--data", data]
    assert served(engine, lambda call: [call(*words), call(*words), call(*words, "--again")]) == [
        *(0, 0, 0)
    ]
    assert asked(engine) == 24
    assert "complete already" in capsys.readouterr().err


def test_a_run_that_was_cut_off_goes_on_at_the_sample(suite, tmp_path):
    """What an unbroken run keeps is kept by one that was killed anywhere, byte for byte."""
    data = tmp_path / "data"

    def plain(folder):
        return [json.loads(line) for line in (folder / REPLIES).read_text().splitlines()]

    def timeless(lines):
        return [[{**r, "seconds": 0} for r in one["replies"]] for one in lines]

    engine = FakeEngine(WEIGHS)

    def act(call):
        words = ["run", suite, "--data", data]
        assert call(*words) == 0
        folder = run_folder(data)
        unbroken, result = plain(folder), read_result(folder)
        lines = (folder / REPLIES).read_bytes().splitlines(keepends=True)
        for keep, torn in ((0, b""), (7, b""), (7, lines[7][:-5]), (11, b'{"id')):
            engine.received.clear()
            (folder / "result.json").unlink()
            (folder / REPLIES).write_bytes(b"".join(lines[:keep]) + torn)
            assert call(*words) == 0
            assert asked(engine) == 12 - keep
            assert timeless(plain(folder)) == timeless(unbroken)
            assert read_result(folder).metrics == result.metrics

    served(engine, act)


def test_what_failed_is_incomplete_and_asked_again(suite, tmp_path, capsys):
    data = tmp_path / "data"
    broken = {"q3", "q8"}

    def script(body):
        hit = any(f"number {one[1:]}?" in str(body.get("prompt")) for one in broken)
        return FAILS if hit else WEIGHS

    def act(call):
        words = ["run", suite, "--data", data]
        assert call(*words) == 2
        said = capsys.readouterr().out
        assert "INCOMPLETE: 2 of 12 samples failed" in said
        first = read_result(run_folder(data))
        assert first.metrics["acc"].n == 10
        assert first.metrics["acc"].unscored == 2
        broken.clear()
        assert call(*words) == 0
        assert read_result(run_folder(data)).metrics["acc"].n == 12

    served(FakeEngine(script), act)


def test_when_all_fails_it_is_given_up(tmp_path, capsys):
    suite = own_suite(tmp_path / "suite", 100)
    data = tmp_path / "data"

    def script(body):
        return FAILS if "Question:" in str(body.get("prompt")) else WEIGHS

    engine = FakeEngine(script)
    assert called(engine, "run", suite, "--data", data) == 2
    assert "The first 20 samples all failed" in capsys.readouterr().out
    assert asked(engine) < 60


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (Script(), "cannot weigh texts"),
        (Script(raw=b"{}"), "cannot weigh texts"),
        (Script(fault="error", status=404), "cannot weigh texts"),
    ],
)
def test_who_cannot_weigh_is_told_before(suite, tmp_path, capsys, script, why):
    assert called(FakeEngine(script), "run", suite, "--data", tmp_path / "data") == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "data" / "runs").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CHOICE.replace("id: choice", "id: choise"), "there is no scorer 'choise'"),
        (CHOICE.replace("primary: acc", "primary: ac"), "is not among `measures`"),
        (CHOICE.replace("rows.jsonl", "no.jsonl"), "is not here: put no.jsonl into"),
        (CHOICE.replace("{{ question }}", "{{ questoin }}"), "'questoin' is undefined"),
        (CHOICE.replace("{{ question }}", "{{ question"), "the template cannot be filled in"),
        (CHOICE.replace("title", "titel"), "did you mean `title`"),
        (CHOICE + "version: one\n", "version"),
        (CHOICE.replace("{id: choice}", "{id: choice, options: {sure: 1}}"), "options of 'choice'"),
        (CHOICE.replace("rows.jsonl", "rows.jsonl, sha256: " + "a" * 64), "another edition"),
    ],
)
def test_a_wrong_suite_is_one_sentence(tmp_path, capsys, text, why):
    suite = own_suite(tmp_path / "suite", 3, text)
    assert called(FakeEngine(WEIGHS), "run", suite, "--data", tmp_path / "data") in (1, 2)
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


def test_broken_data_is_told_with_its_line(tmp_path, capsys):
    suite = own_suite(tmp_path / "suite", 3)
    with (suite.parent / "rows.jsonl").open("a") as file:
        file.write('{"id": "q3", "question"\n')
    assert called(FakeEngine(WEIGHS), "run", suite, "--data", tmp_path / "data") == 2
    assert "rows.jsonl, line 4 is not JSON" in "".join(capsys.readouterr())


@pytest.mark.parametrize(("more", "why"), [((), "has no rows"), (("--limit", 5), "if it has any")])
def test_no_rows_are_no_complete_run(tmp_path, capsys, more, why):
    suite, data = own_suite(tmp_path / "suite", 0), tmp_path / "data"
    assert called(FakeEngine(WEIGHS), "run", suite, "--data", data, *more) == 2
    assert f"INCOMPLETE: {read_result(run_folder(data)).reason}" in capsys.readouterr().out
    assert why in read_result(run_folder(data)).reason


def test_the_ledger_says_on_how_many_samples_a_run_is_evidence(tmp_path):
    text = CHOICE.replace("minimum: 5", "minimum: 1") + "tags: [owasp:llm01]\n"
    data = tmp_path / "data"
    assert called(FakeEngine(WEIGHS), "run", own_suite(tmp_path, text=text), "--data", data) == 0
    with Home.open(data, None) as home:
        (record,) = home.store.records({events.EVALUATION_FINISHED})
    assert (record.body["needed"], record.body["metrics"]["acc"]["n"]) == (30, 12)
    assert record.body.keys() <= events.FIELDS[record.kind]
    shipped = load_suite("redteam_jailbreak").suite
    assert needed(shipped) == shipped.data.rows
    assert needed(msgspec.structs.replace(shipped, minimum=1)) == 30
    assert needed(msgspec.structs.replace(shipped, minimum=500)) == 500


def test_few_samples_are_told_and_more_only_where_there_are_more(tmp_path):
    text = CHOICE.replace("rows.jsonl", "rows.jsonl, rows: 12")
    for number, (declared, limit, said) in enumerate(
        [(CHOICE, 0, "says little."), (text, 2, "says little (small has 12).")]
    ):
        suite, data = own_suite(tmp_path / str(number), 4, declared), tmp_path / f"data{number}"
        called(FakeEngine(WEIGHS), "run", suite, "--data", data, "--limit", limit)
        assert any(said in one for one in read_result(run_folder(data)).notes)


class TestJournal:
    ONES = tuple(
        Kept(id=f"s{n}", replies=(Reply(state="answered", texts=(f"é{n}\n",)),)) for n in range(5)
    )

    @settings(max_examples=60, deadline=None)
    @given(cut=st.integers(0, 400))
    def test_cut_anywhere_it_goes_on_with_whole_lines(self, tmp_path_factory, cut):
        folder = tmp_path_factory.mktemp("run")
        with Journal(folder) as journal:
            for one in self.ONES:
                journal.write(one)
        path = folder / REPLIES
        path.write_bytes(path.read_bytes()[:cut])
        left = list(Journal(folder).kept())
        assert left == list(self.ONES[: len(left)])
        with Journal(folder) as journal:
            for one in self.ONES[len(left) :]:
                journal.write(one)
        assert list(Journal(folder).kept()) == list(self.ONES)

    def test_a_line_that_is_not_ours_is_no_reply(self, tmp_path):
        (tmp_path / REPLIES).write_text("{}\n")
        with pytest.raises(IntegrityError, match="line 1 is not what was written"):
            list(Journal(tmp_path).kept())


class TestSamples:
    def test_the_seed_draws_the_same_rows_in_their_order(self):
        rows = [{"id": str(n)} for n in range(50)]
        some = [list(chosen(rows, Sampling(limit=9, seed=seed))) for seed in (1, 1, 2)]
        assert some[0] == some[1] != some[2]
        assert all([int(one["id"]) for one in s] == sorted(int(o["id"]) for o in s) for s in some)
        assert list(chosen(rows, Sampling())) == rows

    def test_worked_examples_are_never_the_question(self, tmp_path):
        shots = 'shots: {count: 3, text: "Q: {{ question }} A: {{ choices[answer] }}"}\n'
        loaded = load_suite(str(own_suite(tmp_path, 4, CHOICE + shots)))
        made = list(samples(Plan(loaded, tmp_path / "rows.jsonl")))
        for sample in made:
            (ask,) = sample.asks
            assert isinstance(ask, Score)
            assert ask.context.count("Q: ") == 3
            assert ask.context.count(sample.row["question"]) == 1

    def test_variants_stand_beside_their_sample(self, tmp_path):
        loaded = load_suite(str(own_suite(tmp_path, 2)))

        def louder(row):
            return {**row, "question": row["question"].upper()} if row["id"] == "q1" else None

        made = list(samples(Plan(loaded, tmp_path / "rows.jsonl", variants={"loud": louder})))
        assert [one.id for one in made] == ["q0", "q1", "q1~loud"]
        assert "WHICH IS" in made[2].asks[0].context

    def test_a_row_without_choices_is_told(self, tmp_path):
        suite = own_suite(tmp_path, 1)
        (tmp_path / "rows.jsonl").write_text('{"question": "a", "choices": "one", "answer": 0}\n')
        with pytest.raises(UsageError, match=r"row 0: the field 'choices' must be a list"):
            list(samples(Plan(load_suite(str(suite)), tmp_path / "rows.jsonl")))

    def test_templates_cannot_reach_out(self, tmp_path):
        text = CHOICE.replace("{{ question }}", "{{ ''.__class__.__mro__ }}")
        suite = own_suite(tmp_path, 1, text)
        with pytest.raises(UsageError, match="cannot be filled in"):
            list(samples(Plan(load_suite(str(suite)), tmp_path / "rows.jsonl")))


def test_ids_of_suites_come_from_their_names(tmp_path):
    names = itertools.chain(("My Suite-2.yaml", "my_suite_2"), ("é.yaml", "own"))
    for name, wanted in zip(names, names, strict=True):
        (tmp_path / name).write_text(CHOICE)
        assert load_suite(str(tmp_path / name)).suite.id == wanted
