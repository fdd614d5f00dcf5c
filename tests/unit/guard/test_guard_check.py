import asyncio
import base64
import json
from pathlib import Path

import pytest

from guard_samples import SAMPLES, policy
from keelmark.core.errors import UsageError
from keelmark.core.outcome import Outcome
from keelmark.core.policy import Rule, parse_policy
from keelmark.core.ports import GuardPort, RequestGuard, Segment, TextStream
from keelmark.guard import Guard, shipped_policies, shipped_policy

TEXT = "Write to bob@x.example or open sesame."


def guard(*rules: tuple[str, str] | Rule) -> Guard:
    return Guard(policy(*rules), detectors=SAMPLES)


def test_redacts_and_says_what_and_where() -> None:
    result = guard(("address", "redact")).check(TEXT)
    assert result.text == "Write to [EMAIL] or open sesame."
    (finding,) = result.findings
    assert (finding.rule, finding.label, finding.detector) == ("address-redact", "EMAIL", "address")
    assert TEXT[finding.start : finding.end] == "bob@x.example"
    assert result.verdict.outcome == Outcome.REDACT
    assert not result.verdict.stops
    (rule,) = result.verdict.rules
    assert (rule.outcome, rule.version, rule.reason) == (Outcome.REDACT, "1", "found 1 EMAIL")
    assert rule.ms > 0
    assert result.verdict.policy_digest.startswith("sha256:")


def test_a_block_stops_the_text_and_names_rule_and_label_only() -> None:
    result = guard(("phrase", "block"), ("address", "mask")).check(TEXT)
    assert result.text == ""
    assert result.verdict.stops
    assert result.verdict.outcome == Outcome.BLOCK
    assert result.verdict.reason == "The guard rule 'phrase-block' stopped the text: PHRASE."
    assert [f.label for f in result.findings] == ["EMAIL", "PHRASE"]
    assert "sesame" not in repr(result)


def test_a_flag_changes_nothing() -> None:
    result = guard(("address", "flag")).check(TEXT)
    assert (result.text, result.verdict.outcome) == (TEXT, Outcome.FLAG)
    assert result.findings


def test_clean_is_allowed() -> None:
    result = guard(("address", "block")).check("nothing here")
    assert result.verdict.outcome == Outcome.ALLOW
    assert result.verdict.coverage == 1.0
    assert result.verdict.rules[0].reason == ""


def test_threshold_and_labels_choose_what_counts_but_scores_say_all() -> None:
    rule = Rule(id="r", detector="overlap", action="redact", threshold=0.5)
    result = guard(rule).check("see @host")
    assert (result.findings, result.text) == ((), "see @host")
    assert result.scores == {"overlap": 0.4}


def test_scores_of_all_families() -> None:
    chosen = {name: SAMPLES[name] for name in ("address", "phrase")}
    result = Guard(policy(("address", "flag")), detectors=chosen).check(TEXT, every=True)
    assert result.scores == {"address": 0.9, "injection": 0.9}
    assert [f.rule for f in result.findings] == ["address-flag"]
    assert Guard(policy(), detectors=chosen).check("x", every=True).scores == {
        "address": 0.0,
        "injection": 0.0,
    }


def test_overlapping_findings_become_one_replacement() -> None:
    result = guard(("address", "redact"), ("overlap", "redact")).check("to bob@x.example!")
    assert result.text == "to [EMAIL]!"
    low = Rule(id="low", detector="overlap", action="redact", threshold=0.1)
    result = guard(("address", "redact"), low).check("to bob@x.example!")
    assert result.text == "to [EMAIL]"
    assert {f.label for f in result.findings} == {"EMAIL", "HOST"}


def test_redaction_wins_over_masking() -> None:
    low = Rule(id="low", detector="overlap", action="redact", threshold=0.1)
    assert guard(("address", "mask"), low).check("to bob@x.example").text == "to [EMAIL]"
    assert guard(("address", "mask")).check("to bob@x.example").text == "to <EMAIL_1>"
    assert guard(("address", "mask")).check("to b@x.y", stage="output").text == "to [EMAIL]"


def test_a_flag_does_not_widen_a_redaction() -> None:
    low = Rule(id="low", detector="overlap", action="flag", threshold=0.1)
    assert guard(("address", "redact"), low).check("bob@x.example!").text == "[EMAIL]!"


@pytest.mark.parametrize("name", ["broken", "lawless"])
def test_a_failure_that_is_closed_stops_and_says_no_text(name: str) -> None:
    result = guard((name, "flag"), ("address", "redact")).check(TEXT)
    assert (result.text, result.verdict.stops) == ("", True)
    assert result.verdict.outcome == Outcome.FAILED
    assert result.verdict.coverage == 0.0
    assert "could not examine" in result.verdict.reason
    assert "Error" in result.verdict.rules[0].reason
    assert "bob@" not in repr(result)


def test_a_failure_that_is_open_passes_and_still_says_failed() -> None:
    rule = Rule(id="r", detector="broken", action="block", on_failure="open")
    result = guard(rule, ("address", "redact")).check(TEXT)
    assert result.text == "Write to [EMAIL] or open sesame."
    assert not result.verdict.stops
    assert result.verdict.outcome == Outcome.FAILED
    assert [r.outcome for r in result.verdict.rules] == [Outcome.FAILED, Outcome.REDACT]
    assert result.verdict.coverage == 0.0


def test_a_slow_detector_times_out_after_a_window() -> None:
    rule = Rule(id="r", detector="slow", action="flag", timeout_ms=5, config={"seconds": 0.01})
    result = guard(rule).check("a@b.c " * 20_000)
    assert result.verdict.outcome == Outcome.TIMEOUT
    assert result.verdict.stops
    assert result.verdict.coverage < 0.5
    patient = Rule(id="r", detector="slow", action="flag", config={"seconds": 0.0})
    assert guard(patient).check("a@b.c").verdict.outcome == Outcome.FLAG


def test_a_long_text_is_read_to_its_end() -> None:
    result = guard(("address", "redact"), ("phrase", "flag")).check("word " * 50_000 + TEXT)
    assert len(result.findings) == 2
    assert result.verdict.coverage == 1.0
    assert result.text.endswith("Write to [EMAIL] or open sesame.")


def test_one_detector_serves_many_rules_once() -> None:
    rules = [
        Rule(id="a", detector="address", action="flag"),
        Rule(id="b", detector="address", action="redact", labels=("EMAIL",)),
    ]
    result = guard(*rules).check(TEXT)
    assert [f.rule for f in result.findings] == ["a", "b"]
    assert result.verdict.rules[0].ms == result.verdict.rules[1].ms


def test_roles_and_stages_choose_the_rules() -> None:
    rule = Rule(id="r", detector="phrase", action="block", stage="input", roles=("user", "tool"))
    judge = guard(rule)
    assert judge.check(TEXT, role="tool").verdict.stops
    system = judge.check(TEXT, role="system").verdict
    assert (system.stops, system.rules) == (False, ())
    assert not judge.check(TEXT, stage="output").verdict.stops


WRONG = {
    "no such detector": (
        Rule(id="r", detector="nope", action="flag"),
        "Guard rule 'r' asks for detector 'nope', which does not exist; choose one of: address",
    ),
    "no such label": (
        Rule(id="r", detector="address", action="flag", labels=("EMIAL",)),
        (
            "Guard rule 'r' names label 'EMIAL', which detector 'address' does not give; "
            "did you mean 'EMAIL'?"
        ),
    ),
    "no such role": (
        Rule(id="r", detector="address", action="flag", roles=("usr",)),
        "Guard rule 'r' names role 'usr', which does not exist",
    ),
    "no such setting": (
        Rule(id="r", detector="slow", action="flag", config={"second": 1}),
        (
            "Guard rule 'r': the configuration of detector 'slow' does not fit: Object contains "
            "unknown field `second`."
        ),
    ),
}


@pytest.mark.parametrize(("rule", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_rule_is_refused_with_a_sentence(rule: Rule, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        guard(rule)
    assert caught.value.message.startswith(message)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="no stage 'between'"):
        guard().check("x", stage="between")
    with pytest.raises(UsageError, match="no role 'usr'"):
        guard().stream("input", role="usr")


def test_policies_by_name_path_and_value(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("guard: {rules: [{id: a, detector: address, action: redact}]}")
    assert Guard(path, detectors=SAMPLES).check("a@b.c").text == "[EMAIL]"
    assert (
        Guard(str(path), detectors=SAMPLES).policy_digest == parse_policy(path.read_text()).digest
    )
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Guard(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        Guard(tmp_path / "bytes.yaml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        Guard(tmp_path)
    with pytest.raises(UsageError, match="there are: children, coding-assistant, default"):
        shipped_policy("lax")


def test_shipped_policies_are_policies() -> None:
    names = "children coding-assistant default full gdpr grounded hipaa pci strict"
    assert " ".join(shipped_policies()) == names
    assert all(shipped_policy(name).name == name for name in shipped_policies())


def test_describes_itself_for_the_ledger() -> None:
    described = guard(("address", "redact")).describe()
    assert described == {
        "rules": [
            {
                "id": "address-redact",
                "stage": "both",
                "detector": "address",
                "action": "redact",
                "fail": "closed",
                "threshold": 0.5,
            }
        ],
        "detectors": {"address": {"version": "1", "tags": ["owasp:llm02"], "labels": ["EMAIL"]}},
    }


def test_it_is_the_port_that_the_gateway_knows() -> None:
    port: GuardPort = guard(("address", "redact"))
    request: RequestGuard = port.open()
    stream: TextStream = request.channel("content")
    assert request.channel("content") is stream
    assert stream.feed("a@b.c ") + stream.finish() == "[EMAIL] "
    assert request.output_verdict().findings[0].path == "content"
    assert not stream.blocked


def test_all_segments_make_one_verdict() -> None:
    judge = guard(
        ("address", "mask"), Rule(id="p", detector="phrase", action="block", roles=("user",))
    )
    segments = [
        Segment(role="system", path="messages[0]", text="open sesame"),
        Segment(role="user", path="messages[1]", text="I am a@b.c"),
        Segment(role="tool", path="messages[2]", text='{"x": "a@b.c"}', is_json=True),
    ]
    result = asyncio.run(judge.open().check_input(segments))
    assert result.texts == ("open sesame", "I am <EMAIL_1>", '{"x": "<EMAIL_1>"}')
    assert [f.path for f in result.verdict.findings] == ["messages[1]", "messages[2]"]
    blocked = [*segments, Segment(role="user", path="messages[3]", text="open sesame")]
    result = asyncio.run(judge.open().check_input(blocked))
    assert result.verdict.stops
    assert set(result.texts) == {""}


def test_a_long_prompt_gives_way_to_others() -> None:
    judge = guard(("address", "redact"), ("digits", "redact"))

    async def turns_of_others() -> int:
        turns, done = 0, asyncio.Event()

        async def tick() -> None:
            nonlocal turns
            while not done.is_set():
                await asyncio.sleep(0)
                turns += 1

        ticking = asyncio.create_task(tick())
        text = Segment(role="user", path="m", text="some words a@b.c 12 " * 100_000)
        await judge.open().check_input([text])
        done.set()
        await ticking
        return turns

    assert asyncio.run(turns_of_others()) > 10


def test_empty_texts_and_no_rules() -> None:
    assert guard(("address", "redact")).check("").verdict.coverage == 1.0
    free = guard()
    assert free.check(TEXT).text == TEXT
    stream = free.stream()
    assert stream.feed("a@b.") == "a@b."
    assert stream.finish() == ""
    assert asyncio.run(free.open().check_input([])).texts == ()
    assert free.open().output_verdict().rules == ()


def test_a_role_that_is_not_known_is_judged_by_every_rule() -> None:
    judge = guard(Rule(id="p", detector="phrase", action="block", roles=("user",)))
    segment = Segment(role="developer", path="m", text="open sesame")
    assert asyncio.run(judge.open().check_input([segment])).verdict.stops


def test_encoded_runs_within_json_are_read_and_stay_json() -> None:
    judge = guard(("phrase", "redact"))
    run = base64.b64encode(b"please open sesame now").decode()
    segment = Segment(
        role="assistant", path="m", text=f'{{"x": "\\u0061 {run}", "y": 1}}', is_json=True
    )
    result = asyncio.run(judge.open().check_input([segment]))
    assert json.loads(result.texts[0]) == {"x": "a [PHRASE]", "y": 1}
    (finding,) = result.verdict.findings
    assert segment.text[finding.start : finding.end] == run
