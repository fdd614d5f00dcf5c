import math
import re
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.outcome import Outcome
from keelmark.core.trace import Trace
from keelmark.core.verdict import RuleResult, Verdict
from keelmark.observe.exposition import Bounded, Family, Histogram, text_format
from keelmark.observe.metrics import Metrics, prometheus_name

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
_LINE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")


def parse(text: str) -> tuple[dict[str, str], Samples]:
    """A strict reader of the text format: refuses whatever the specification does not allow."""
    assert text.endswith("\n")
    kinds: dict[str, str] = {}
    samples: Samples = defaultdict(dict)
    helped: set[str] = set()
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            assert current not in helped
            helped.add(current)
            assert re.fullmatch(r"(?:[^\\]|\\\\|\\n)*", line)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current
            assert name not in kinds
            kinds[name] = kind
        else:
            match = _LINE.fullmatch(line)
            assert match, line
            name, body, value = match[1], match[2] or "", match[3]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert (base if kinds[current] == "histogram" else name) == current
            labels, rest = {}, body
            while rest:
                pair = _PAIR.match(rest)
                assert pair, rest
                assert pair[1] not in labels
                labels[pair[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), pair[2])
                rest = rest[pair.end() :]
            key = frozenset(labels.items())
            assert key not in samples[name]
            samples[name][key] = float(value)
    _check_histograms(kinds, samples)
    return kinds, samples


def _check_histograms(kinds: dict[str, str], samples: Samples) -> None:
    for name in (n for n, k in kinds.items() if k == "histogram"):
        series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = defaultdict(list)
        for labels, value in samples[f"{name}_bucket"].items():
            bound = float(dict(labels)["le"])
            series[frozenset(p for p in labels if p[0] != "le")].append((bound, value))
        assert series.keys() == samples[f"{name}_count"].keys() == samples[f"{name}_sum"].keys()
        for labels, buckets in series.items():
            buckets.sort()
            counts = [c for _, c in buckets]
            assert counts == sorted(counts)
            assert buckets[-1] == (math.inf, samples[f"{name}_count"][labels])


def verdict(stage: str, outcome: Outcome, *rules: str) -> Verdict:
    results = tuple(
        RuleResult(rule=r, detector=r, version="1", outcome=outcome, threshold=0.5, ms=0.1)
        for r in rules
    )
    return Verdict(stage=stage, outcome=outcome, rules=results, ms=0.4)


def trace(**changes: object) -> Trace:
    fields: dict[str, object] = {
        "trace_id": "0" * 32,
        "started": 1.0,
        "operation": "chat",
        "model": "smol",
        "engine": "llama",
        "status": 200,
        "stream": True,
        "attributes": {
            "gen_ai.provider.name": "llama_cpp",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 41,
        },
        "timings": {"total": 900.0, "engine": 880.0, "first_token": 80.0},
        "input": verdict("input", Outcome.ALLOW, "secrets", "injection"),
        "output": verdict("output", Outcome.REDACT, "secrets"),
    }
    return Trace(**{**fields, **changes})  # type: ignore[arg-type]


def value(samples: Samples, name: str, **labels: str) -> float:
    found = [v for k, v in samples[name].items() if set(labels.items()) <= k]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_one_request_is_counted_everywhere() -> None:
    metrics = Metrics(["smol"])
    metrics.observe(trace())
    kinds, samples = parse(metrics.render())
    assert value(samples, "keelmark_requests_total", model="smol", outcome="redact") == 1
    duration = "gen_ai_server_request_duration_seconds"
    assert kinds[duration] == "histogram"
    assert value(samples, f"{duration}_sum") == pytest.approx(0.9)
    assert value(samples, f"{duration}_bucket", le="0.64") == 0
    assert value(samples, f"{duration}_bucket", le="1.28") == 1
    assert value(samples, "gen_ai_server_time_to_first_token_seconds_sum") == pytest.approx(0.08)
    per_token = "gen_ai_server_time_per_output_token_seconds"
    assert value(samples, f"{per_token}_sum") == pytest.approx(0.8 / 40)
    tokens = "gen_ai_client_token_usage_sum"
    assert value(samples, tokens, gen_ai_token_type="input") == 12
    assert value(samples, tokens, gen_ai_token_type="output") == 41
    rules = "keelmark_guard_rule_outcomes_total"
    assert value(samples, rules, rule="secrets", stage="output", outcome="redact") == 1
    assert value(samples, rules, rule="injection", stage="input", outcome="allow") == 1
    assert value(samples, "keelmark_guard_duration_seconds_count", stage="input") == 1


def test_refused_and_unjudged_requests() -> None:
    metrics = Metrics(["smol"])
    metrics.observe(
        trace(status=401, error="invalid_api_key", input=None, output=None, attributes={})
    )
    _, samples = parse(metrics.render())
    assert value(samples, "keelmark_requests_total", status="401", outcome="none") == 1
    assert (
        value(
            samples,
            "gen_ai_server_request_duration_seconds_count",
            error_type="invalid_api_key",
            gen_ai_provider_name="llama",
        )
        == 1
    )
    assert not samples["gen_ai_server_time_to_first_token_seconds_count"]
    assert not samples["gen_ai_client_token_usage_count"]


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        (Outcome.BLOCK, None, "block"),
        (None, Outcome.FAILED, "failed"),
        (Outcome.REDACT, Outcome.TIMEOUT, "timeout"),
        (Outcome.ALLOW, Outcome.ALLOW, "allow"),
    ],
)
def test_outcome_is_the_gravest(first: Outcome | None, second: Outcome | None, label: str) -> None:
    metrics = Metrics()
    metrics.observe(
        trace(
            input=first and verdict("input", first, "r"),
            output=second and verdict("output", second, "r"),
        )
    )
    _, samples = parse(metrics.render())
    assert value(samples, "keelmark_requests_total", outcome=label) == 1


def test_clients_cannot_make_labels_without_bound() -> None:
    metrics = Metrics(["smol"], max_models=3)
    for n in range(500):
        metrics.observe(trace(model=f"guess-{n}", status=404, error="model_not_found"))
    _, samples = parse(metrics.render())
    assert value(samples, "keelmark_requests_total", model="other") == 500
    for n in range(500):  # an upstream that answers to any name
        metrics.observe(trace(model=f"any-{n}"))
    metrics.observe(trace(model="smol"))
    metrics.know_model("late")
    metrics.observe(trace(model="late"))
    _, samples = parse(metrics.render())
    models = {dict(k)["model"] for k in samples["keelmark_requests_total"]}
    assert models == {"smol", "late", "other", "any-0", "any-1", "any-2"}
    for n in range(500):
        metrics.observe(trace(error=f"upstream-{n}", status=502))
    _, samples = parse(metrics.render())
    errors = {dict(k)["error_type"] for k in samples["gen_ai_server_request_duration_seconds_sum"]}
    assert len(errors) <= 51
    assert "other" in errors


def test_gauges_and_counters() -> None:
    metrics = Metrics()
    metrics.set_gauge("keelmark_engine_up", 1, engine="llama")
    metrics.set_gauge("keelmark_engine_up", 0, engine="llama")
    metrics.set_gauge("keelmark_ledger_records", 1234567)
    metrics.count("keelmark_engine_restarts_total", engine="llama")
    metrics.count("keelmark_engine_restarts_total", engine="llama")
    kinds, samples = parse(metrics.render())
    assert value(samples, "keelmark_engine_up", engine="llama") == 0
    assert value(samples, "keelmark_ledger_records") == 1234567
    assert value(samples, "keelmark_engine_restarts_total", engine="llama") == 2
    assert kinds["keelmark_engine_restarts_total"] == "counter"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("keelmark_unknown", {}),
        ("keelmark_engine_up", {}),
        ("keelmark_engine_up", {"engine": "a", "model": "b"}),
        ("keelmark_engine_restarts_total", {"engine": "a"}),
    ],
)
def test_undeclared_gauges_are_refused(name: str, labels: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        Metrics().set_gauge(name, 1, **labels)


@settings(max_examples=50, deadline=None)
@given(
    label=st.text(),
    help_text=st.text(),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=20),
)
def test_any_label_and_number_survives_the_format(
    label: str, help_text: str, numbers: list[float]
) -> None:
    gauge = Family("gauge", "g", help_text, ("l",))
    gauge.values[(label,)] = 1.5
    histogram = Histogram("h", help_text, ("l",), (0.0, 1.0))
    for number in numbers:
        histogram.observe((label,), number)
    _, samples = parse(text_format([gauge, histogram]))
    assert samples["g"] == {frozenset({("l", label)}): 1.5}
    if numbers:
        key = frozenset({("l", label), ("le", "1")})
        assert samples["h_bucket"][key] == sum(n <= 1 for n in numbers)


def test_special_numbers() -> None:
    gauge = Family("gauge", "g", "", ("l",))
    gauge.values = {("a",): math.inf, ("b",): -math.inf, ("c",): math.nan, ("d",): 0.1}
    text = text_format([gauge])
    for line in ('g{l="a"} +Inf', 'g{l="b"} -Inf', 'g{l="c"} NaN', 'g{l="d"} 0.1'):
        assert line in text.splitlines()


def test_names_follow_the_conventions() -> None:
    assert prometheus_name("gen_ai.server.request.duration", "seconds") == (
        "gen_ai_server_request_duration_seconds"
    )
    assert prometheus_name("gen_ai.client.token.usage") == "gen_ai_client_token_usage"


def test_bounded_shares_one_label_beyond_its_room() -> None:
    bounded = Bounded(1, ["known"])
    assert [bounded.label(n) for n in ("a", "b", "a", "known")] == ["a", "other", "a", "known"]
    assert bounded.label("c", learn=False) == "other"
