"""Figures of scores: areas, rates and the points at which a head is used. No library is needed."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


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
