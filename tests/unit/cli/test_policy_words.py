"""A policy in words."""

import pytest

from keelmark.cli.main import run
from keelmark.guard import shipped_policies, shipped_policy

OWN = """\
name: own
extends: default
guard:
  rules:
    - {id: personal-data-in, replacement: surrogate, scope: {teams: [support], languages: [de]}}
    - {id: secrets, mode: shadow, on_failure: open}
    - {id: cards, detector: personal_data, labels: [CARD], stage: tool_call, action: block}
  exceptions:
    - id: our-address
      rule: personal-data-out
      labels: [EMAIL]
      pattern: "*@example.org"
      scope: {keys: ["bot-*"]}
      reason: It is printed on our door.
      author: TICKET-4711
      expires: 2999-03-31
retention: {content: none}
"""


@pytest.mark.parametrize("name", shipped_policies())
def test_every_ready_policy_is_told_rule_by_rule(name, capsys):
    assert run(["policy", "show", "--policy", name, "--words"]) == 0
    said = capsys.readouterr().out
    for rule in shipped_policy(name).guard.rules:
        assert f"\n  {rule.id} looks for " in said
    assert shipped_policy(name).digest in said
    assert "{}" not in said


def test_everything_that_was_written_is_told(tmp_path, capsys):
    (tmp_path / "own.yaml").write_text(OWN)
    assert run(["policy", "show", "--policy", str(tmp_path / "own.yaml"), "--words"]) == 0
    said = capsys.readouterr().out
    for part in (
        "WARNING: in shadow, so only recorded: secrets.",
        "personal-data-in looks for personal data (addresses, numbers, dates of birth) in what",
        "What it finds is masked: the model reads a made-up value of the same form",
        "It is only for the teams support. It is only for the languages de.",
        "secrets (in shadow) looks for secrets (keys, tokens, private keys, passwords)",
        "What it finds would be taken out for good",
        "What it cannot check passes, and the record says so.",
        "of it only CARD, in what a model writes to a tool. What it finds is a reason to stop",
        "our-address: rule personal-data-out does not count EMAIL like *@example.org",
        "only for the keys bot-*, until 2999-03-31. TICKET-4711: It is printed on our door.",
        "Nothing of what is said is kept.",
    ):
        assert part in said


def test_a_policy_without_a_guard_says_so(tmp_path, capsys):
    (tmp_path / "none.yaml").write_text("guard: {rules: []}")
    assert run(["policy", "show", "--policy", str(tmp_path / "none.yaml"), "--words"]) == 0
    said = capsys.readouterr().out
    assert "WARNING: it has no guard rule at all" in said
    assert "The guard has no rule." in said


def test_words_and_json_exclude_each_other(capsys):
    assert run(["policy", "show", "--words", "--json"]) == 2
    assert "--words and --json exclude each other" in capsys.readouterr().err
