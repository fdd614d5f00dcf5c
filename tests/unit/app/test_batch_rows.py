"""Rows of a training set that a rule flags or blocks, whatever its detector."""

import json
from pathlib import Path

import msgspec
import pytest

from keelmark.app import batch
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import run
from keelmark.guard.contract import Request
from keelmark.guard.engine import discovered

KINDS = discovered()
EXAMPLES = {
    name: example
    for name, kind in KINDS.items()
    for example in reversed(kind.examples)
    if example.labels and example.request == Request() and not kind.whole
}


def policy(action: str, *names: str) -> Policy:
    rules = [
        Rule(
            id=f"no-{name}",
            detector=name,
            stage="both",
            action=action,
            threshold=0.0,
            config=dict(EXAMPLES[name].config),
        )
        for name in names
    ]
    return Policy(name="own", guard=GuardRules(rules=tuple(rules)))


def cleaned(folder: Path, made: Policy, *texts: str, **does: str) -> tuple[list, list]:
    path, out = folder / "a.jsonl", folder / "out"
    path.write_text("".join(json.dumps({"": text}) + "\n" for text in texts), "utf-8")
    plan = batch.Plan(policy=made, write="redacted", listed=True)
    cleaning = batch.Cleaning(**does)
    batch.scan([path], plan, out=out, cleaning=cleaning, pool=batch.processes(1))
    lists = [(out / name).read_text("utf-8").splitlines() for name in ("rows.jsonl", "a.jsonl")]
    return tuple([json.loads(line) for line in lines] for lines in lists)


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_detector_can_flag_a_row(tmp_path, name):
    texts = (EXAMPLES[name].text, "7 plain words stand here")
    marks, rows = cleaned(tmp_path, policy("flag", name), *texts, flagged="flag")
    first = {"row": 1, "what": "flagged", "rules": [f"no-{name}"], "done": "flag"}
    assert {key: marks[0][key] for key in first} == first
    assert [row[""] for row in rows] == list(texts), "flagging changes nothing"
    marks, rows = cleaned(tmp_path, policy("flag", name), *texts, flagged="drop")
    assert texts[0] not in [row[""] for row in rows]


def test_what_is_blocked_and_flagged(tmp_path):
    both = policy("block", "refusal").guard.rules + policy("flag", "words").guard.rules
    made = msgspec.structs.replace(policy("flag"), guard=GuardRules(rules=both))
    text = f"{EXAMPLES['refusal'].text} {EXAMPLES['words'].text}"
    for does, told in {
        ("flag", "flag"): ["blocked", "flagged"],
        ("drop", "flag"): ["blocked"],
        ("keep", "flag"): ["flagged"],
    }.items():
        marks, rows = cleaned(tmp_path, made, text, "", blocked=does[0], flagged=does[1])
        assert [mark["what"] for mark in marks] == told
        assert len(rows) == (1 if does[0] == "drop" else 2)


def test_a_machine_that_slept_is_no_slow_rule(tmp_path, monkeypatch):
    """What a rule had no time for is read again when the time was spent elsewhere."""
    clock, slept = run.perf_counter, [0]

    def woken() -> float:
        slept[0] += 1
        return clock() + 3600 * (slept[0] // 7)

    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"t": "{n}: ada@example.org"}}\n' for n in range(20)))
    plan = batch.Plan(policy=policy("redact", "personal_data"))
    monkeypatch.setattr(run, "perf_counter", woken)
    report = batch.scan([path], plan, pool=batch.processes(1))
    assert slept[0] > 40, "some were read twice"
    assert (report.found, report.unchecked) == ({"EMAIL": 20}, 0)
