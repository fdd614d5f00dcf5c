"""Traces for people and for programs. Pure functions: trace in, text or plain values out.

What a client sent (model names, error codes) is shown with control characters replaced, so that a
request cannot write to the terminal of whoever looks at it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from keelmark.core import semconv
from keelmark.core.outcome import Outcome, gravest
from keelmark.core.trace import Trace
from keelmark.core.verdict import Verdict

_UNATTESTED = "unattested: whose weights answered cannot be seen"
_STAGES = ("key", "parse", "guard_input", "first_token", "engine", "guard_output")
_BAR = 32
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1", "plain": "0"}
_OUTCOME_COLOUR = {
    Outcome.ALLOW: "green",
    Outcome.FLAG: "yellow",
    Outcome.REDACT: "yellow",
}
_COLUMNS = ("TRACE", "STARTED (UTC)", "OPERATION", "MODEL", "STATUS", "IN", "OUT", "TIME", "GUARD")
_RIGHT = frozenset({"STATUS", "IN", "OUT", "TIME"})
_WIDEST = 28

Paint = Callable[[str, str], str]


def trace_list(traces: Iterable[Trace], *, color: bool = False) -> str:
    """Return one aligned line per trace, under a heading.

    Args:
        traces: In the order to show.
        color: Whether to use ANSI colours.
    """
    shown = list(traces)
    if not shown:
        return "No traces yet: send a request, then look again."
    paint = _painter(color=color)
    rows = [_row(t) for t in shown]
    widths = [max(map(_width, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    lines = [paint("bold", _aligned(_COLUMNS, widths).rstrip())]
    for trace, row in zip(shown, rows, strict=True):
        *cells, outcome = row
        start = paint("dim" if trace.status >= 400 else "plain", _aligned(cells, widths[:-1]))
        lines.append(f"{start}  {_painted_outcome(outcome, paint)}")
    return "\n".join(lines)


def trace_text(trace: Trace, *, color: bool = False) -> str:
    """Return everything known of one trace, for a person.

    Args:
        trace: The trace.
        color: Whether to use ANSI colours.
    """
    paint = _painter(color=color)
    status = f"{trace.status} {clean(trace.error)}".strip()
    lines = [
        paint("bold", f"{clean(trace.operation) or 'request'} {clean(trace.model)}".rstrip()),
        *_pairs(
            ("trace", trace.trace_id),
            ("started", rfc3339(trace.started)),
            ("status", paint(_status_colour(trace.status), status)),
            ("streamed", "yes" if trace.stream else "no"),
            ("key", clean(trace.key_id)),
            ("team", clean(trace.team)),
            ("subject", clean(trace.subject)),
            ("engine", clean(trace.engine)),
            ("weights", short(trace.model_digest) or (trace.engine and _UNATTESTED)),
            ("policy", short(trace.policy_digest)),
            ("tokens", _token_words(trace)),
        ),
    ]
    for name, verdict in (("prompt", trace.input), ("answer", trace.output)):
        lines += ["", *_verdict_lines(name, verdict, paint)]
    if trace.timings:
        lines += ["", paint("bold", "time"), *_waterfall(trace.timings)]
    rest = {k: v for k, v in trace.attributes.items() if k not in _SHOWN}
    if rest:
        lines += ["", paint("bold", "attributes"), *_pairs(*((k, _plain(rest[k])) for k in rest))]
    return "\n".join(lines)


def trace_json(trace: Trace) -> dict[str, Any]:
    """Return a trace as plain values, with OpenTelemetry names for its attributes.

    Attributes set by the gateway win over those derived from the trace's own fields.
    """
    derived = {
        semconv.OPERATION: trace.operation,
        semconv.REQUEST_MODEL: trace.model,
        semconv.REQUEST_STREAM: trace.stream,
        semconv.HTTP_STATUS: trace.status,
        semconv.ERROR_TYPE: trace.error,
        semconv.MODEL_DIGEST: trace.model_digest,
        semconv.ATTESTED: bool(trace.model_digest) if trace.engine else None,
        semconv.POLICY_DIGEST: trace.policy_digest,
        semconv.ENGINE: trace.engine,
        semconv.KEY_ID: trace.key_id,
        semconv.TEAM: trace.team,
        semconv.SUBJECT: trace.subject,
    }
    attributes = {k: v for k, v in {**derived, **trace.attributes}.items() if v not in ("", None)}
    return {
        "trace_id": trace.trace_id,
        "name": f"{trace.operation} {trace.model}".strip(),
        "started": rfc3339(trace.started),
        "attributes": dict(sorted(attributes.items())),
        "timings_ms": trace.timings,
        "input": msgspec.to_builtins(trace.input),
        "output": msgspec.to_builtins(trace.output),
    }


def rfc3339(seconds: float) -> str:
    """Return a Unix time as RFC 3339 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short(digest: str) -> str:
    """Return a digest with 12 of its hex digits: enough to tell apart, not to verify."""
    name, colon, rest = clean(digest).partition(":")
    return f"{name}:{rest[:12]}…" if colon and len(rest) > 12 else name + colon + rest


def clean(text: str) -> str:
    """Return text with everything that could steer a terminal replaced by a visible mark."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def duration(ms: float) -> str:
    """Return a time for people: 0.42 ms, 85 ms, 1.20 s, 2 min 05 s."""
    if ms < 10:
        return f"{ms:.2f} ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds:02d} s"


_SHOWN = frozenset(
    {
        *(semconv.OPERATION, semconv.REQUEST_MODEL, semconv.REQUEST_STREAM, semconv.MODEL_DIGEST),
        *(semconv.POLICY_DIGEST, semconv.USAGE_INPUT, semconv.USAGE_OUTPUT, semconv.ATTESTED),
    }
)


def _row(trace: Trace) -> tuple[str, ...]:
    verdicts = [v.outcome for v in (trace.input, trace.output) if v is not None]
    tokens = (trace.attributes.get(n, "-") for n in (semconv.USAGE_INPUT, semconv.USAGE_OUTPUT))
    total = trace.timings.get("total")
    return (
        clean(trace.trace_id),
        rfc3339(trace.started)[:19].replace("T", " "),
        clean(trace.operation) or "-",
        _cut(clean(trace.model)) or "-",
        str(trace.status),
        *map(str, tokens),
        "-" if total is None else duration(total),
        (gravest(*verdicts) if verdicts else "not judged") + _in_shadow(trace),
    )


def _in_shadow(trace: Trace) -> str:
    """What would have happened under what is in shadow, if anything would."""
    verdicts = [v for v in (trace.input, trace.output) if v is not None]
    outcome = gravest(*(shadow.outcome for v in verdicts for shadow in v.shadow))
    return "" if outcome is Outcome.ALLOW else f" (shadow: {outcome})"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for name, cell, width in zip(_COLUMNS, cells, widths, strict=False):
        gap = " " * (width - _width(cell))
        padded.append(gap + cell if name in _RIGHT else cell + gap)
    return "  ".join(padded)


def _verdict_lines(name: str, verdict: Verdict | None, paint: Paint) -> list[str]:
    if verdict is None:
        return [f"{paint('bold', name)}  {paint('yellow', 'not judged')}"]
    words = [f"{verdict.coverage:.0%} examined", duration(verdict.ms)]
    if verdict.stops:
        words.insert(0, "stopped")
    head = f"{paint('bold', name)}  {_painted_outcome(verdict.outcome, paint)}"
    lines = [f"{head}  ({', '.join(words)})"]
    if verdict.reason:
        lines.append(f"  {clean(verdict.reason)}")
    lines += _result_lines(verdict, paint)
    for shadow in verdict.shadow:
        lines += _verdict_lines(f"{name} in shadow, nothing of it was done", shadow, paint)
    return lines


def _result_lines(verdict: Verdict, paint: Paint) -> list[str]:
    lines = []
    wide = max((_width(r.rule) for r in verdict.rules), default=0)
    for rule in verdict.rules:
        gap = " " * (wide - _width(rule.rule))
        outcome = _painted_outcome(rule.outcome, paint) + " " * (7 - len(rule.outcome))
        reason = f"  {clean(rule.reason)}" if rule.reason else ""
        lines.append(f"  {clean(rule.rule)}{gap}  {outcome}  {duration(rule.ms)}{reason}")
    for found in verdict.findings:
        span = f"{found.start}-{found.end}"
        words = [clean(found.label), f"at {span}", f"score {found.score:.2f}", clean(found.reason)]
        lines.append(f"    {paint('dim', ', '.join(filter(None, words)))}")
    if verdict.left_out:
        more = ", ".join(f"{clean(label)} {n:,}" for label, n in verdict.left_out.items())
        lines.append(f"    {paint('dim', f'and more, which are only counted: {more}')}")
    return lines


def _waterfall(timings: dict[str, float]) -> list[str]:
    """Stages one after the other on the scale of the whole; first_token lies within engine."""
    total = max(timings.get("total", 0.0), *timings.values()) or 1.0
    names = [n for n in _STAGES if n in timings]
    names += [n for n in timings if n not in (*_STAGES, "total")]
    wide = max(map(len, (*names, "total")))
    lines, at = [], 0.0
    for name in names:
        ms = timings[name]
        start = min(_BAR - 1, round(at / total * _BAR))
        length = min(max(1, round(ms / total * _BAR)), _BAR - start)
        mark = "╌" if name == "first_token" else "█"
        bar = (" " * start + mark * length).ljust(_BAR)
        lines.append(f"  {clean(name):<{wide}}  |{bar}|  {duration(ms)}")
        at += 0.0 if name == "first_token" else ms
    if "total" in timings:
        lines.append(f"  {'total':<{wide}}   {' ' * _BAR}   {duration(timings['total'])}")
    return lines


def _pairs(*pairs: tuple[str, str]) -> list[str]:
    filled = [(clean(name), value) for name, value in pairs if value]
    wide = max((len(name) for name, _ in filled), default=0)
    return [f"  {name:<{wide}}  {value}" for name, value in filled]


def _token_words(trace: Trace) -> str:
    read = trace.attributes.get(semconv.USAGE_INPUT)
    written = trace.attributes.get(semconv.USAGE_OUTPUT)
    if read is None and written is None:
        return ""
    return f"{'?' if read is None else read} read, {'?' if written is None else written} written"


def _plain(value: Any) -> str:
    return clean(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _width(text: str) -> int:
    """Columns a terminal gives to a text: wide characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _painter(*, color: bool) -> Paint:
    if not color:
        return lambda _, text: text
    return lambda name, text: f"\033[{_COLOURS[name]}m{text}\033[0m"


def _status_colour(status: int) -> str:
    return "green" if status < 400 else "yellow" if status < 500 else "red"


def _painted_outcome(outcome: str, paint: Paint) -> str:
    if outcome not in set(Outcome):
        return paint("yellow", outcome)
    return paint(_OUTCOME_COLOUR.get(Outcome(outcome), "red"), str(outcome))
