"""What is measured of a running service, for `/metrics`.

The names of the OpenTelemetry GenAI conventions (`keelmark.core.semconv`) in Prometheus form:
dots become underscores, the unit is appended (`s` becomes `seconds`, `{token}` nothing). Bucket
bounds are those the conventions advise. One process counts for itself: Prometheus scrapes every
worker and adds up.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from keelmark.core import semconv
from keelmark.core.metering import UNIT
from keelmark.core.outcome import gravest
from keelmark.core.trace import Trace
from keelmark.core.verdict import Verdict
from keelmark.observe.exposition import Bounded, Family, Histogram, text_format


def prometheus_name(name: str, unit: str = "") -> str:
    """Return the Prometheus form of an OpenTelemetry metric name.

    Args:
        name: Dotted name.
        unit: Unit spelled out (`seconds`), or "" for units in braces.
    """
    return "_".join(filter(None, (name.replace(".", "_"), unit)))


_SECONDS = tuple(0.01 * 2**n for n in range(14))
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(4**n for n in range(14))
_GUARD = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], Sequence[float]]] = {
    prometheus_name(semconv.METRIC_REQUEST_DURATION, "seconds"): (
        "Time from the request to the last byte of the answer.",
        (*_CALL, "error_type"),
        _SECONDS,
    ),
    prometheus_name(semconv.METRIC_FIRST_TOKEN, "seconds"): (
        "Time to the first token of streamed answers.",
        _CALL,
        _FIRST_TOKEN,
    ),
    prometheus_name(semconv.METRIC_PER_TOKEN, "seconds"): (
        "Time per token after the first, of streamed answers.",
        _CALL,
        _PER_TOKEN,
    ),
    prometheus_name(semconv.METRIC_TOKENS): (
        "Tokens read (input) and written (output) per request.",
        (*_CALL, "gen_ai_token_type"),
        _TOKENS,
    ),
    "keelmark_queue_wait_seconds": (
        "Time that requests waited for an engine, of those that had to wait.",
        ("engine",),
        _SECONDS,
    ),
    "keelmark_guard_duration_seconds": ("Time of the guard.", ("stage",), _GUARD),
}
_COUNTED = (
    (
        "keelmark_requests_total",
        "Requests answered; outcome is the gravest verdict of the guard, none if not judged.",
        ("operation", "model", "status", "outcome"),
    ),
    (
        "keelmark_queue_refused_total",
        "Requests that got no slot: too many wait of their key, or in all, or not in time.",
        ("engine", "reason"),
    ),
    (
        "keelmark_cache_total",
        "Requests that the cache knew (hit), did not know (miss), or was not asked for (bypass).",
        ("result",),
    ),
    (
        "keelmark_guard_rule_outcomes_total",
        "What became of each guard rule, per stage.",
        ("rule", "stage", "outcome"),
    ),
)
_GAUGES = {
    "keelmark_engine_up": ("Whether the engine can take a request now.", ("engine",)),
    "keelmark_engine_limit": ("Requests that the engine may get at once.", ("engine",)),
    "keelmark_engine_active": ("Requests at the engine now.", ("engine",)),
    "keelmark_queue_depth": ("Requests that wait for the engine.", ("engine",)),
    "keelmark_engine_left_alone": ("Whether routes leave the engine alone now.", ("engine",)),
    "keelmark_engine_error_ratio": ("Share of what routes sent there that failed.", ("engine",)),
    "keelmark_budget_used": ("Used of a budget in its window, by all.", ("budget", "unit")),
    "keelmark_budget_held": ("Held of a budget for requests at work.", ("budget", "unit")),
    "keelmark_ledger_records": ("Records in the ledger.", ()),
    "keelmark_model_memory_bytes": (
        "Memory that a local model takes now, as reckoned; 0 while it is not loaded.",
        ("model",),
    ),
    "keelmark_policy_stale": (
        "Whether a changed policy file was refused, so that the one before is in force.",
        (),
    ),
    "keelmark_requests_in_flight": ("Requests at work now.", ()),
    "keelmark_build_info": ("Always 1; the label says which version runs.", ("version",)),
}
_COUNTERS = {
    "keelmark_quota_refused_total": (
        "Requests that a limit or a budget has refused.",
        ("quota", "reason"),
    ),
    "keelmark_spend_total": ("Money of recorded requests.", ("currency", "model")),
    "keelmark_holds_lost_total": ("Holds of ended processes that were charged.", ()),
    "keelmark_engine_restarts_total": ("Restarts of the engine.", ("engine",)),
    "keelmark_model_loads_total": ("How often a local model was loaded.", ("model",)),
}


class Metrics:
    """Everything measured of one process. Safe to use from several threads.

    Args:
        models: Model names that the service knows; they always get a label of their own.
        max_models: Most other model names that get one, because an engine answered to them.
    """

    def __init__(self, models: Sequence[str] = (), *, max_models: int = 50) -> None:
        self._lock = threading.Lock()
        self._models = Bounded(max_models, models)
        self._operations = Bounded(20)
        self._errors = Bounded(50)
        self._engines = Bounded(50)
        made = {name: Histogram(name, *rest) for name, rest in _HISTOGRAMS.items()}
        self._duration, self._first, self._per_token, self._tokens, *rest = made.values()
        self._queue, self._guard = rest
        counted = (Family("counter", *row) for row in _COUNTED)
        self._requests, self._refused, self._cache, self._outcomes = counted
        self._settable = {
            **{name: Family("gauge", name, *rest) for name, rest in _GAUGES.items()},
            **{name: Family("counter", name, *rest) for name, rest in _COUNTERS.items()},
        }

    def observe(self, trace: Trace) -> None:
        """Count one finished request. Takes a few microseconds."""
        with self._lock:
            self._observe_call(trace)
            self._observe_money(trace)
            for verdict in (trace.input, trace.output):
                if verdict is not None:
                    self._observe_verdict(verdict)

    def know_model(self, name: str) -> None:
        """Give a model name a label of its own."""
        with self._lock:
            self._models.know(name)

    def set_gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge: keelmark_engine_up{engine}, keelmark_ledger_records, ...

        Raises:
            KeyError: No gauge of this name, or not its labels.
        """
        self._set("gauge", name, value, labels)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter: keelmark_engine_restarts_total{engine}.

        Raises:
            KeyError: No counter of this name, or not its labels.
        """
        self._set("counter", name, amount, labels)

    def render(self) -> str:
        """Return everything in the Prometheus text format 0.0.4."""
        with self._lock:
            return text_format(
                (
                    self._requests,
                    self._duration,
                    self._first,
                    self._per_token,
                    self._tokens,
                    self._queue,
                    self._refused,
                    self._cache,
                    self._outcomes,
                    self._guard,
                    *self._settable.values(),
                )
            )

    def _observe_call(self, trace: Trace) -> None:
        attributes, timings = trace.attributes, trace.timings
        answered = trace.status < 400
        model = self._models.label(trace.model, learn=answered)
        operation = self._operations.label(trace.operation)
        provider = self._engines.label(str(attributes.get(semconv.PROVIDER, trace.engine)))
        call = (operation, provider, model)
        outcome = _outcome(trace.input, trace.output)
        self._requests.add((operation, model, str(trace.status), outcome))
        total = timings.get("total")
        if total is not None:
            error = self._errors.label(trace.error)
            self._duration.observe((*call, error), total / 1000)
        read = attributes.get(semconv.USAGE_INPUT)
        if read is not None:
            self._tokens.observe((*call, "input"), read)
        written = attributes.get(semconv.USAGE_OUTPUT)
        if written is not None:
            self._tokens.observe((*call, "output"), written)
        if cached := attributes.get(semconv.CACHE):
            self._cache.add((str(cached),))
        if "queue" in timings:
            name = self._engines.label(trace.engine)
            self._queue.observe((name,), timings["queue"] / 1000)
            if why := attributes.get(semconv.QUEUE_REFUSED):
                self._refused.add((name, str(why)))
        first = timings.get("first_token")
        if first is None or not answered or not trace.stream or cached == "hit":
            return
        self._first.observe(call, first / 1000)
        engine = timings.get("engine")
        if engine is not None and written is not None and written > 1 and engine >= first:
            self._per_token.observe(call, (engine - first) / 1000 / (written - 1))

    def _observe_money(self, trace: Trace) -> None:
        attributes = trace.attributes
        quota = attributes.get(semconv.QUOTA)
        if quota and trace.error:  # an id of the policy, and the code of a refusal
            self._settable["keelmark_quota_refused_total"].add((quota, trace.error), 1)
        if cost := attributes.get(semconv.COST):
            labels = attributes[semconv.CURRENCY], self._models.label(trace.model)
            self._settable["keelmark_spend_total"].add(labels, cost / UNIT)

    def _observe_verdict(self, verdict: Verdict) -> None:
        stage, values = verdict.stage, self._outcomes.values
        self._guard.observe((stage,), verdict.ms / 1000)
        for rule in verdict.rules:  # ids come from the policy, so they are few
            labels = (rule.rule, stage, rule.outcome)
            values[labels] = values.get(labels, 0) + 1

    def _set(self, kind: str, name: str, value: float, labels: dict[str, str]) -> None:
        family = self._settable[name]
        if family.kind != kind or set(labels) != set(family.names):
            raise KeyError(f"{name} is a {family.kind} with the labels {list(family.names)}.")
        values = tuple(labels[n] for n in family.names)
        with self._lock:
            if kind == "counter":
                family.add(values, value)
            else:
                family.values[values] = value


def _outcome(first: Verdict | None, second: Verdict | None) -> str:
    if first is None:
        return "none" if second is None else second.outcome
    if second is None or first.outcome is second.outcome:
        return first.outcome
    return gravest(first.outcome, second.outcome)
