"""Routes against the engines of a service, and as people read them."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway_parts import PlainEngine
from keelmark import app
from keelmark.app.routes import check_routes
from keelmark.cli.main import root
from keelmark.core.errors import UsageError
from keelmark.guard import Guard

POLICY = """extends: default
routes:
  models:
    gpt-4.1:
      when:
        - finds: [EMAIL, secrets]
          to: local
        - tags: [falcon]
          hours: 08:00-18:00
          to: {engine: local, model: big, first_byte_ms: 500}
      otherwise:
        fallback:
          - hosted
          - weights:
              - {to: local, weight: 3}
              - {to: hosted, weight: 1}
"""


HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "route-between-models.md"


def _engine(name):
    engine = PlainEngine("http://127.0.0.1:9")
    engine.id = name
    return engine


def _check(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    guard = Guard(app.load_policy(path))
    check_routes(guard, [_engine("local"), _engine("hosted")], path)


def test_routes_that_fit_pass(tmp_path):
    _check(tmp_path, POLICY)


@pytest.mark.parametrize(
    ("written", "instead", "line", "meant"),
    [
        ("          to: local\n", "          to: lokal\n", 7, "did you mean 'local'?"),
        ("          - hosted\n", "          - hostd\n", 13, "did you mean 'hosted'?"),
        ("EMAIL", "EMALE", 6, "did you mean 'EMAIL'?"),
    ],
)
def test_a_wrong_name_is_told_with_its_line_and_what_was_meant(
    tmp_path, written, instead, line, meant
):
    with pytest.raises(UsageError) as caught:
        _check(tmp_path, POLICY.replace(written, instead, 1))
    assert caught.value.message.startswith(f"{tmp_path}/own.yaml, line {line}: ")
    assert caught.value.message.endswith(meant)


@pytest.mark.parametrize(
    ("routes", "line", "said"),
    [
        ("models: {a: {fallback: [x], engine: y}}", 2, "not engine and fallback together"),
        ("models: {a: {}}", 2, "none is given"),
        ("models: {a: {when: [{to: x}]}}", 2, "a branch needs a condition"),
        ("models: {a: {weights: [{to: x, weight: 0}]}}", 2, "no share is above 0"),
        ("models: {a: {engine: x, parameters: {model: y}}}", 2, "`model` cannot be set"),
        ("models: {a: {fallback: [x], model: y}}", 2, "beside `engine` only"),
        ("models: {a: {when: [{hours: 8-9, to: x}]}}", 2, "no time of the day"),
        ("models: {a: {when: [{days: [mon], zone: Mars/X, to: x}]}}", 2, "no time zone"),
        ("hedge: {}", 2, "one of the two"),
        ("models: {a: {fastes: [x]}}", 2, "no field `fastes`"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_policy_is_read(tmp_path, routes, line, said):
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: default\nroutes: {{{routes}}}\n")
    with pytest.raises(UsageError) as caught:
        app.load_policy(path)
    assert f"line {line}: " in caught.value.message
    assert said in caught.value.message


def test_routes_are_shown_as_trees(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(POLICY)
    shown = CliRunner().invoke(root, ["routes", "--policy", str(path)]).output.splitlines()
    assert shown[:6] == [
        "gpt-4.1",
        "  when finds EMAIL/secrets:",
        "    local",
        "  when tags falcon, hours 08:00-18:00:",
        "    local as big, first byte within 500 ms",
        "  otherwise:",
    ]
    assert "      share 3, stays with the subject:" in shown


def test_who_can_go_round_a_private_route_is_said(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(POLICY)
    notes = " ".join(app.policy_notes(app.load_policy(path), tmp_path))
    assert "a route called '*'" in notes
    path.write_text(POLICY.replace("gpt-4.1:", "'*':"))
    assert "a route called" not in " ".join(app.policy_notes(app.load_policy(path), tmp_path))


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL))
def test_what_the_how_to_shows_can_be_used(tmp_path, block):
    path = tmp_path / "own.yaml"
    path.write_text(block if "extends" in block else "extends: default\n" + block)
    guard = Guard(app.load_policy(path))
    check_routes(guard, [_engine(name) for name in ("llama", "hosted", "gpu", "gpu2")], path)


def _invoke(*words):
    return CliRunner().invoke(root, [*map(str, words)])


def test_a_check_of_the_policy_looks_at_what_routes_look_for(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(POLICY.replace("EMAIL", "EMALE"))
    with pytest.raises(UsageError, match=r"line 6: .*did you mean 'EMAIL'"):
        check_routes(Guard(app.load_policy(path)), path=path)
    path.write_text(POLICY)
    assert _invoke("policy", "check", path).exit_code == 0


def test_what_changes_in_routes_is_said(tmp_path):
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(POLICY)
    changes = {
        "Route 'gpt-4.1' leads elsewhere": POLICY.replace("to: local\n", "to: hosted\n", 1),
        "Route 'gpt-4.1' is gone": POLICY.replace("gpt-4.1:", "gpt-5:"),
        "Route 'gpt-5' is new": POLICY.replace("gpt-4.1:", "gpt-5:"),
        "routes.after_first_byte is restart": POLICY + "  after_first_byte: restart\n",
        "media.images is pass": POLICY + "media: {images: pass}\n",
        "Nothing changes": POLICY,
    }
    for said, text in changes.items():
        after.write_text(text)
        assert said in _invoke("policy", "diff", before, after).output


def test_routes_are_said_in_words(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(POLICY + "media: {images: pass}\n")
    shown = _invoke("policy", "show", "--policy", path, "--words").output
    assert "routes for: gpt-4.1" in shown
    assert "images may pass" in shown
