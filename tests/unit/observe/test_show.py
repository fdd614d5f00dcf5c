import json

import pytest

from keelmark.core.findings import TextFinding
from keelmark.core.outcome import Outcome
from keelmark.core.trace import Trace
from keelmark.core.verdict import RuleResult, Verdict
from keelmark.observe.show import clean, duration, short, trace_json, trace_list, trace_text

DIGEST = "sha256:" + "ab" * 32


def judged() -> Trace:
    rules = (
        RuleResult(
            rule="secrets",
            detector="secrets",
            version="1",
            outcome=Outcome.REDACT,
            threshold=0.5,
            ms=0.12,
            reason="A key was masked.",
        ),
        RuleResult(
            rule="injection",
            detector="injection",
            version="1",
            outcome=Outcome.TIMEOUT,
            threshold=0.5,
            ms=2000,
            reason="The detector took too long.",
        ),
    )
    found = TextFinding(
        rule="secrets", detector="secrets", label="AWS_KEY", score=1, start=3, end=23, reason="form"
    )
    return Trace(
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        started=1795000000.123,
        operation="chat",
        model="smol",
        engine="llama",
        status=200,
        stream=True,
        model_digest=DIGEST,
        policy_digest=DIGEST,
        key_id="key_abc",
        attributes={
            "gen_ai.provider.name": "llama_cpp",
            "gen_ai.request.model": "smol-q4",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 40,
        },
        timings={"guard_input": 20.0, "first_token": 100.0, "engine": 880.0, "total": 905.0},
        input=Verdict(
            stage="input",
            outcome=Outcome.TIMEOUT,
            rules=rules,
            findings=(found,),
            coverage=0.5,
            ms=2000.4,
            stops=True,
            reason="The rule injection could not be applied.",
        ),
    )


def unknown() -> Trace:
    return Trace(
        trace_id="5" * 32,
        started=1795000010.0,
        model="模型\x1b[31mred\n",
        status=404,
        error="model_not_found\x07",
        timings={"total": 0.4},
    )


def test_list_is_aligned_and_complete() -> None:
    head, first, second = trace_list([judged(), unknown()]).splitlines()
    assert head.startswith("TRACE")
    assert first.index("chat") == head.index("OPERATION")
    assert first.endswith("timeout")
    assert "2026-11-18 11:06:40" in first
    assert "905 ms" in first
    assert second.endswith("not judged")
    # Wide characters take two columns, so the line is two characters shorter.
    assert first.index("905 ms") + 6 - (second.index("0.40 ms") + 7) == 2


def test_one_trace_says_who_what_why_and_how_long() -> None:
    text = trace_text(judged())
    for words in (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "2026-11-18T11:06:40.123Z",
        "sha256:abababababab…",
        "12 read, 40 written",
        "stopped, 50% examined",
        "The rule injection could not be applied.",
        "The detector took too long.",
        "AWS_KEY, at 3-23, score 1.00, form",
        "answer  not judged",
        "880 ms",
    ):
        assert words in text


def test_waterfall_is_to_scale() -> None:
    lines = {
        line.split()[0]: line.split("|")[1]
        for line in trace_text(judged()).splitlines()
        if "|" in line
    }
    assert lines["engine"].count("█") == 31
    assert lines["first_token"].count("╌") == 4
    assert lines["engine"].index("█") == lines["first_token"].index("╌") == 1


def test_nothing_a_client_sent_reaches_the_terminal_as_control() -> None:
    for text in (trace_list([unknown()]), trace_text(unknown())):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert clean("a\x1b[0m\u202eb") == "a\ufffd[0m\ufffdb"


def test_colour_only_when_asked() -> None:
    assert "\033[" not in trace_text(judged()) + trace_list([judged()])
    coloured = trace_text(judged(), color=True)
    assert "\033[33mredact\033[0m" in coloured
    assert "\033[31mtimeout\033[0m" in coloured
    assert "\033[" in trace_list([judged(), unknown()], color=True)


def test_json_merges_attributes_under_conventional_names() -> None:
    plain = json.loads(json.dumps(trace_json(judged())))
    attributes = plain["attributes"]
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == "smol-q4"  # what the gateway set wins
    assert attributes["http.response.status_code"] == 200
    assert attributes["keelmark.model.digest"] == DIGEST
    assert attributes["keelmark.model.attested"] is True
    assert "error.type" not in attributes
    assert plain["input"]["rules"][1]["outcome"] == "timeout"
    assert plain["output"] is None


def test_unattested_is_said_only_of_an_engine() -> None:
    trace = unknown()
    assert "unattested" not in trace_text(trace)
    assert "keelmark.model.attested" not in trace_json(trace)["attributes"]
    trace.engine = "vllm"
    assert "unattested" in trace_text(trace)
    assert trace_json(trace)["attributes"]["keelmark.model.attested"] is False


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.421, "0.42 ms"),
        (85.4, "85 ms"),
        (1204, "1.20 s"),
        (125_000, "2 min 05 s"),
        (119_999, "2 min 00 s"),
    ],
)
def test_duration(ms: float, text: str) -> None:
    assert duration(ms) == text


def test_short_and_empty() -> None:
    assert short("") == ""
    assert short("sha256:abc") == "sha256:abc"
    assert "No traces yet" in trace_list([])
