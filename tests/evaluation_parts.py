"""A suite of one's own and a fake service, for tests of evaluation."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent / "unit" / "serve"))
from gateway_parts import listening
from keelmark.cli.main import run
from keelmark.serve.fake import FakeEngine, Script

T = TypeVar("T")
Call = Callable[..., int]
WEIGHS = Script(weigh=True)
CHOICE = """title: Small
data: {file: rows.jsonl}
ask: {kind: choice, context: "Question: {{ question }}\\nAnswer:"}
scorer: {id: choice}
measures: [acc, acc_norm, brier]
primary: acc
minimum: 5
"""
JUDGED = """title: Small
data: {file: rows.jsonl}
ask: {kind: generate, user: "{{ question }}", max_tokens: 8}
scorer:
  id: asked
  options: {prompt: "Is <{{ answer }}> right?", rulings: {"yes": 1, "no": 0}}
measures: [judged, parsed]
primary: judged
minimum: 1
"""


def own_suite(folder: Path, count: int = 12, text: str = CHOICE) -> Path:
    """Write a suite of so many questions; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": f"q{number}",
            "question": f"Which is number {number}?",
            "choices": ["one", "two"],
            "answer": number % 2,
        }
        for number in range(count)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def served(engine: FakeEngine, act: Callable[[Call], T]) -> T:
    """Let `act` call `keelmark eval ...` against an engine as often as it likes."""

    async def scene() -> T:
        async with listening(engine) as url:
            return await asyncio.to_thread(
                act, lambda *words: run(["eval", *map(str, words), "--url", url])
            )

    return asyncio.run(scene())


def called(engine: FakeEngine, *words: object) -> int:
    """Run `keelmark eval ...` once against an engine; return the exit code."""
    return served(engine, lambda call: call(*words))


def run_folder(data: Path) -> Path:
    """The only run of a data folder."""
    (folder,) = (data / "runs").iterdir()
    return folder
