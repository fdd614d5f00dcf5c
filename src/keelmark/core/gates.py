"""What evaluations must show: a section of the policy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from keelmark.core.yamlfile import Strict

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Gate(Strict, frozen=True):
    """One demand on one measure of one suite.

    Attributes:
        suite: Id of the suite; "*" for every one that is run.
        measure: Which measure; "" for the one that decides in the suite; `VIEW.MEASURE` for one of
            the seven views (`robustness.worst_case`).
        slices: Only samples with this value of a field (`category: violence`); "*" for each value
            by itself. All samples when left out.
        at_least: Lowest value that is enough.
        at_most: Highest value that is allowed.
        drop: How much worse than the baseline it may be, in units of the measure; asked only where
            there is a baseline.
        by: `interval` demands that the whole 95 % interval keeps the limit, so few samples are no
            excuse; `value` looks at the figure alone.
        reason: Why it is demanded, for whoever reads that it failed.
    """

    suite: str
    measure: str = ""
    slices: dict[str, str] = msgspec.field(default_factory=dict)
    at_least: float | None = None
    at_most: float | None = None
    drop: Annotated[float, msgspec.Meta(ge=0)] | None = None
    by: Literal["interval", "value"] = "interval"
    reason: str = ""

    @property
    def limits(self) -> str:
        """What it demands: `at least 0.45`."""
        limits = {"at least": self.at_least, "at most": self.at_most, "drop at most": self.drop}
        said = " and ".join(f"{name} {it:g}" for name, it in limits.items() if it is not None)
        return (said or "measured") + (" (the figure alone)" if self.by == "value" else "")

    @property
    def words(self) -> str:
        """The same with where it is demanded: `arc_easy, acc: at least 0.45`."""
        where = "".join(f", {field} {value}" for field, value in self.slices.items())
        suite = "every suite" if self.suite == "*" else self.suite
        return f"{suite}, {self.measure or 'what decides'}{where}: {self.limits}"


class Gates(Strict, frozen=True):
    """What evaluations must show before a model may serve, or take the place of another.

    Attributes:
        require: The demands.
        drop: How much worse than its baseline the deciding measure of a suite may be, where no
            demand says otherwise.
        unscored: Largest share of samples that could not be scored.
    """

    require: tuple[Gate, ...] = ()
    drop: Annotated[float, msgspec.Meta(ge=0)] = 0.02
    unscored: Share = 0.02
