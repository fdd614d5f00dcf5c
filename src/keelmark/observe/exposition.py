"""Counters, gauges and histograms, and the Prometheus text format 0.0.4 they are shown in.

Source: prometheus.io/docs/instrumenting/exposition_formats. A label value is escaped for
backslash, quote and line feed; a help text for backslash and line feed; buckets are cumulative
and end with `+Inf`, which equals the count.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
"""The label of everything that came after the bound was reached."""

Labels = tuple[str, ...]


class Family:
    """A metric with one value per combination of labels: a counter or a gauge.

    Attributes:
        name: Prometheus name, unit last, `_total` for counters.
        kind: counter or gauge (a histogram is its own class).
        help: One line for people.
        names: Label names.
        values: Label values to the value.
    """

    __slots__ = ("help", "kind", "name", "names", "values")

    def __init__(self, kind: str, name: str, help: str, names: Labels = ()) -> None:  # noqa: A002
        self.kind = kind
        self.name = name
        self.help = help
        self.names = names
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Add to the value under these labels."""
        values = self.values
        values[labels] = values.get(labels, 0) + amount

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield from _head(self.name, self.kind, self.help)
        for labels, value in sorted(self.values.items()):
            yield _sample(self.name, self.names, labels, value)


class Histogram:
    """A histogram with fixed buckets, one series per combination of labels.

    Attributes:
        name: Prometheus name, unit last.
        help: One line for people.
        names: Label names; `le` is added by the format.
        bounds: Upper bounds of the buckets, inclusive, rising; `+Inf` is implied.
        series: Label values to the counts per bucket, with the sum of all values in last place.
    """

    __slots__ = ("bounds", "help", "name", "names", "series")

    def __init__(self, name: str, help: str, names: Labels, bounds: Sequence[float]) -> None:  # noqa: A002
        self.name = name
        self.help = help
        self.names = names
        self.bounds = tuple(bounds)
        self.series: dict[Labels, list[float]] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count one value."""
        counts = self.series.get(labels)
        if counts is None:
            counts = self.series[labels] = [0] * (len(self.bounds) + 2)
        counts[bisect_left(self.bounds, value)] += 1
        counts[-1] += value

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield from _head(self.name, "histogram", self.help)
        names = (*self.names, "le")
        for labels, counts in sorted(self.series.items()):
            running = 0.0
            for bound, count in zip((*self.bounds, float("inf")), counts, strict=False):
                running += count
                yield _sample(f"{self.name}_bucket", names, (*labels, _number(bound)), running)
            yield _sample(f"{self.name}_sum", self.names, labels, counts[-1])
            yield _sample(f"{self.name}_count", self.names, labels, running)


class Bounded:
    """Keeps the number of values of a label finite, whatever clients send.

    Names that are known beforehand always keep their own label. Other names get one while there
    is room, and share `other` after that.

    Args:
        room: Most names that are not known beforehand.
        known: Names known beforehand.
    """

    __slots__ = ("_names", "_room")

    def __init__(self, room: int, known: Sequence[str] = ()) -> None:
        self._names = {name: name for name in known}
        self._room = room

    def know(self, name: str) -> None:
        """Give a name its own label for good, without using room."""
        self._names[name] = name

    def label(self, name: str, *, learn: bool = True) -> str:
        """Return the label for a name; with `learn` false an unknown name takes no room."""
        found = self._names.get(name)
        if found is not None:
            return found
        if not learn or self._room <= 0:
            return OTHER
        self._room -= 1
        self._names[name] = name
        return name


def text_format(families: Sequence[Family | Histogram]) -> str:
    """Return the families in the Prometheus text format."""
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _head(name: str, kind: str, help_text: str) -> Iterator[str]:
    escaped = help_text.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {name} {escaped}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, names: Labels, labels: Labels, value: float) -> str:
    pairs = ",".join(f'{n}="{_escaped(v)}"' for n, v in zip(names, labels, strict=True))
    return f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")) or value != value:  # noqa: PLR0124 (NaN)
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))
