"""What goes wrong while a run is on: one sentence, an incomplete run that says so, and no loss."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation_parts import JUDGED, WEIGHS, called, listening, own_suite, run_folder, served
from keelmark.app.evaluation import targets
from keelmark.cli.main import run
from keelmark.core.errors import UnavailableError
from keelmark.evaluate import client, journal
from keelmark.evaluate.journal import REPLIES
from keelmark.evaluate.result import SCORES, read_result, read_scores
from keelmark.serve.fake import FakeEngine, Script
from keelmark.serve.transport import new_transport

KEELMARK = Path(sys.executable).with_name("keelmark")


def questions(engine: FakeEngine) -> int:
    return sum("Question:" in str(body.get("prompt")) for body in engine.received)


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_killed_at_sixty_per_cent_and_resumed_is_as_unbroken(tmp_path):
    suite, data, whole = own_suite(tmp_path / "suite", 40), tmp_path / "data", tmp_path / "whole"
    child: list[subprocess.Popen] = []

    def script(_body):
        if child and questions(engine) == 24:
            child[0].send_signal(signal.SIGKILL)
        return WEIGHS

    engine = FakeEngine(script)

    def act(url):
        words = ["eval", "run", str(suite), "--parallel", "1", "--url", url, "--data"]
        assert run([*words, str(whole)]) == 0
        engine.received.clear()
        child.append(subprocess.Popen([KEELMARK, *words, str(data)]))
        assert child[0].wait(90) == -signal.SIGKILL
        child.clear()
        kept = (run_folder(data) / REPLIES).read_bytes().count(b"\n")
        assert 0 < kept < 24
        assert not (run_folder(data) / SCORES).exists()
        engine.received.clear()
        assert run([*words, str(data)]) == 0
        assert questions(engine) == 40 - kept

    async def scene():
        async with listening(engine) as url:
            await asyncio.to_thread(act, url)

    asyncio.run(scene())
    assert (run_folder(data) / SCORES).read_bytes() == (run_folder(whole) / SCORES).read_bytes()
    assert read_result(run_folder(data)).metrics == read_result(run_folder(whole)).metrics


class Leaving:
    """A way to a service that is gone after so many requests."""

    def __init__(self, left: int) -> None:
        self.left, self._real = left, new_transport()

    async def send(self, *given, **named):
        self.left -= 1
        if self.left < 0:
            raise UnavailableError("Connection refused.")
        return await self._real.send(*given, **named)

    async def close(self) -> None:
        await self._real.close()


def test_a_model_that_goes_away_leaves_what_came(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(client, "_WAIT", 0.0)
    suite, data = own_suite(tmp_path / "suite", 40), tmp_path / "data"
    engine = FakeEngine(WEIGHS)

    def act(call):
        with monkeypatch.context() as patch:
            patch.setattr(targets, "new_transport", lambda: Leaving(23))
            assert call("run", suite, "--data", data, "--parallel", 1) == 2
        result = read_result(run_folder(data))
        assert result.state == "incomplete"
        assert f"INCOMPLETE: {result.reason}" in capsys.readouterr().out
        assert 16 <= result.counts["asked"] == result.counts["answered"] <= 23
        assert call("run", suite, "--data", data) == 0

    served(engine, act)
    assert questions(engine) in (40, 41)
    assert read_result(run_folder(data)).counts["answered"] == 40


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_sentence_and_costs_nothing(tmp_path, capsys, monkeypatch):
    suite, data = own_suite(tmp_path / "suite"), tmp_path / "data"

    def act(call):
        with monkeypatch.context() as patch:
            patch.setattr(journal, "_open", lambda _path: Path("/dev/full").open("ab"))  # noqa: SIM115
            assert call("run", suite, "--data", data) == 2
        said = "".join(capsys.readouterr())
        assert "No space left on device" in said
        assert "the same command goes on where it ended" in said
        assert read_result(run_folder(data)).state == "incomplete"
        assert call("run", suite, "--data", data) == 0

    served(FakeEngine(WEIGHS), act)
    assert read_result(run_folder(data)).state == "complete"


def test_an_answer_without_end_is_a_failed_one(tmp_path, monkeypatch):
    """It is not read on, not asked for again, and the run says what it was."""
    monkeypatch.setattr(client, "_LONGEST_ANSWER", 4096)
    suite, data = own_suite(tmp_path / "suite"), tmp_path / "data"
    endless = Script(raw=b'{"choices": [{"text": "' + b"x" * 100_000 + b'"}]}')
    engine = FakeEngine(lambda body: endless if "number 3?" in str(body) else WEIGHS)
    assert called(engine, "run", suite, "--data", data) == 2
    assert sum("number 3?" in str(body) for body in engine.received) == 1
    failed = [one for one in read_scores(run_folder(data)) if one.state == "failed"]
    assert [one.id for one in failed] == ["q3"]
    assert "sent an answer of more than" in failed[0].note


def test_a_judge_that_talks_nonsense_leaves_nothing_scored(tmp_path, capsys):
    suite, data = own_suite(tmp_path / "suite", text=JUDGED), tmp_path / "data"
    assert called(FakeEngine(Script(pieces=("Colourless green ideas.",))), "run", suite,
                  "--data", data) == 2  # fmt: skip
    result = read_result(run_folder(data))
    assert result.metrics["judged"].value is None
    assert result.metrics["judged"].unscored == 12
    assert result.state == "incomplete"
    assert "12 of 12 answers could not be scored" in capsys.readouterr().out
