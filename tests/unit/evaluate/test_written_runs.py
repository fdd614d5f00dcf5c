"""Runs whose answers are written: programs that are only run when asked, another model as judge."""

import asyncio
import json

import pytest

from evaluation_parts import JUDGED, listening, own_suite, run_folder, served
from keelmark.app.evaluation import sandbox
from keelmark.cli.main import run
from keelmark.evaluate.result import read_result
from keelmark.serve.fake import FakeEngine, Script

PROGRAM = """title: Small
data: {file: rows.jsonl}
ask: {kind: generate, user: "{{ question }}", max_tokens: 8}
scorer: {id: program, options: {program: "{{ answer }}"}}
measures: [pass_1]
primary: pass_1
minimum: 1
"""


@pytest.mark.skipif(sandbox.why_not() != "", reason=sandbox.why_not() or "it can be made")
def test_programs_are_kept_and_only_scored_when_they_may_be_run(tmp_path, capsys):
    suite, data = own_suite(tmp_path, 1, PROGRAM), tmp_path / "data"
    engine = FakeEngine(Script(pieces=("assert ", "1 + 1 == 2")))
    words = ["run", suite, "--data", data]
    assert served(engine, lambda call: [call(*words), call(*words, "--run-code")]) == [2, 0]
    assert sum("number 0?" in json.dumps(body) for body in engine.received) == 1
    said = capsys.readouterr()
    assert "only run with --run-code" in said.err
    assert "1 of 1 answers could not be scored" in said.out
    assert read_result(run_folder(data)).metrics["pass_1"].value == 1


def test_another_model_judges_and_its_mistake_is_not_the_models(tmp_path, capsys):
    suite, data = own_suite(tmp_path, 4, JUDGED), tmp_path / "data"

    def ruling(body):
        asked = body["messages"][-1]["content"]
        assert asked.startswith("Is <number ")
        return Script(pieces=("Well ... " if "number 3" in asked else "Ruling: yes",))

    def answer(body):
        return Script(pieces=("number ", body["messages"][-1]["content"].split()[-1]))

    model, judge = FakeEngine(answer), FakeEngine(ruling)

    async def scene():
        async with listening(model) as url, listening(judge) as beside:
            words = [
                "eval",
                "run",
                suite,
                "--data",
                data,
                "--url",
                url,
                "--judge",
                beside,
                "--json",
            ]
            return await asyncio.to_thread(run, [str(one) for one in words])

    assert asyncio.run(scene()) == 0
    said = json.loads(capsys.readouterr().out)["metrics"]
    assert (said["judged"]["value"], said["judged"]["n"], said["judged"]["unscored"]) == (1, 3, 1)
    assert said["parsed"]["value"] == 0.75
    assert run(["eval", "run", str(suite), "--data", str(data), "--judge-model", "big"]) == 2
    assert "name that too" in capsys.readouterr().err
