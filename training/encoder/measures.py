"""Figures of scores: areas, rates and the points at which a head is used. Numpy is enough.

Intervals are of 95 %: Wilson's for rates, Newcombe's of these for balanced accuracy, and for areas
and F1 by drawing the texts again, positives and negatives each by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray
_Z = 1.96
_DRAWS = 1000


def auroc(scores: Array, truth: Array) -> float:
    """Return the chance that a random positive scores above a random negative; ties count half."""
    right, wrong = scores[truth == 1], scores[truth == 0]
    if not len(right) or not len(wrong):
        return float("nan")
    below = np.sort(wrong)
    under = np.searchsorted(below, right, "left") + np.searchsorted(below, right, "right")
    return float(under.mean() / (2 * len(wrong)))


def average_precision(scores: Array, truth: Array) -> float:
    """Return the area under precision and recall, in steps (as scikit-learn counts it)."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order] == 1
    if not hits.any():
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def platt(logits: Array, truth: Array, weights: Array, rounds: int = 50) -> tuple[float, float]:
    """Return (a, b) so that sigmoid(a * logit + b) is a probability (Platt 1999), by Newton steps.

    Targets are drawn in from 0 and 1 as Platt does, so that perfect separation has an answer.
    """
    many, few = (truth == 1).sum(), (truth == 0).sum()
    goal = np.where(truth == 1, (many + 1) / (many + 2), 1 / (few + 2))
    columns = np.stack([logits, np.ones_like(logits)], axis=1)
    fit = np.asarray([1.0, 0.0])
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-np.clip(columns @ fit, -30, 30)))
        slope = columns.T @ (weights * (chance - goal)) + 1e-3 * (fit - [1.0, 0.0])
        curve = (columns * (weights * chance * (1 - chance))[:, None]).T @ columns
        step = np.linalg.solve(curve + 1e-3 * np.eye(2), slope)
        fit = fit - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-7:
            break
    return float(fit[0]), float(fit[1])


def at_rate(scores: Array, groups: Array, rate: float) -> float:
    """Return the least threshold at which benign texts of the mean source are flagged so seldom.

    Args:
        scores: Of benign texts.
        groups: Their sources; every source weighs the same, however many texts it has.
        rate: Share of false alarms, 0 to 1.
    """
    names = np.unique(groups)
    weights = np.zeros(len(scores))
    for name in names:
        own = groups == name
        weights[own] = 1 / (own.sum() * len(names))
    order = np.argsort(-scores, kind="stable")
    above = np.cumsum(weights[order])
    allowed = int(np.searchsorted(above, rate, "right"))
    return float(np.nextafter(scores[order[min(allowed, len(order) - 1)]], np.inf))


def balanced(scores: Array, truth: Array) -> float:
    """Return the threshold with the best balanced accuracy."""
    order = np.argsort(-scores, kind="stable")
    hits = truth[order] == 1
    recall = np.cumsum(hits) / max(1, hits.sum())
    alarms = np.cumsum(~hits) / max(1, (~hits).sum())
    return float(scores[order[int(np.argmax(recall - alarms))]])


def f1(flagged: Array, truth: Array) -> float:
    """Return the harmonic mean of precision and recall; 0 where nothing is found."""
    both = flagged.sum() + truth.sum()
    return float(2 * (flagged & (truth == 1)).sum() / both) if both else 0.0


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the interval of a rate (Wilson 1927)."""
    rate, shrink = hits / count, 1 + _Z * _Z / count
    middle = rate + _Z * _Z / (2 * count)
    half = _Z * math.sqrt(rate * (1 - rate) / count + (_Z / (2 * count)) ** 2)
    return max(0.0, (middle - half) / shrink), min(1.0, (middle + half) / shrink)


def redrawn(
    figure: Callable[[Array, Array], float], scores: Array, truth: Array
) -> tuple[float, float]:
    """Return the interval of a figure: percentiles over texts drawn again within each class."""
    lot = np.random.default_rng(1)
    classes = [np.flatnonzero(truth == one) for one in (1, 0)]
    made = []
    for _ in range(_DRAWS):
        rows = np.concatenate([lot.choice(one, len(one)) for one in classes])
        made.append(figure(scores[rows], truth[rows]))
    low, high = np.percentile(made, (2.5, 97.5))
    return float(low), float(high)


def told(scores: Array, truth: Array, points: Mapping[str, float]) -> dict[str, Any]:
    """Return the figures of texts by name; the interval of one is called as it is, and `_95`."""
    positive, count = int(truth.sum()), len(truth)
    made: dict[str, Any] = {"n": count, "positive": positive}
    if 0 < positive < count:
        for name, area in (("auroc", auroc), ("ap", average_precision)):
            _put(made, name, area(scores, truth), redrawn(area, scores, truth))
    for point, threshold in points.items():
        flagged = scores >= threshold
        rates = {}
        for name, own in (("recall", truth == 1), ("false", truth == 0)):
            if own.any():
                hits, of = int(flagged[own].sum()), int(own.sum())
                rates[name] = hits / of, *wilson(hits, of)
                _put(made, f"{name}@{point}", hits / of, wilson(hits, of))
        if len(rates) == 2:
            _put(
                made,
                f"balanced_accuracy@{point}",
                *_balanced_accuracy(rates["recall"], rates["false"]),
            )
            _put(made, f"f1@{point}", f1(flagged, truth), redrawn(f1, flagged, truth))
    return made


def _put(made: dict[str, Any], name: str, value: float, interval: tuple[float, float]) -> None:
    made[name] = round(value, 4)
    made[f"{name}_95"] = [round(end, 4) for end in interval]


_Rate = tuple[float, float, float]


def _balanced_accuracy(recall: _Rate, false: _Rate) -> tuple[float, tuple[float, float]]:
    """Return the mean of recall and specificity, and its interval from theirs (Newcombe 1998)."""
    middle = (recall[0] + 1 - false[0]) / 2
    below = math.hypot(recall[0] - recall[1], false[2] - false[0]) / 2
    above = math.hypot(recall[2] - recall[0], false[0] - false[1]) / 2
    return middle, (middle - below, middle + above)
