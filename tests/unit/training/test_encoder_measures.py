"""Figures of the encoder's training against their definitions, counted pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripts import load

measures = load("training/encoder/measures.py", "encoder_measures")
_SCORED = st.lists(
    st.tuples(st.integers(0, 6).map(lambda n: n / 6), st.integers(0, 1)), min_size=2, max_size=30
)


def arrays(scored):
    return np.asarray([s for s, _ in scored]), np.asarray([t for _, t in scored])


@settings(max_examples=60, deadline=None)
@given(_SCORED)
def test_auroc_is_the_share_of_pairs_in_order(scored):
    scores, truth = arrays(scored)
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth == 1] for b in scores[truth == 0]]
    if pairs:
        assert measures.auroc(scores, truth) == pytest.approx(np.mean(pairs))
    else:
        assert np.isnan(measures.auroc(scores, truth))


def test_average_precision_by_hand():
    # ranks of the positives are 1 and 3: precision 1 and 2/3
    scores, truth = np.asarray([0.9, 0.8, 0.7, 0.1]), np.asarray([1, 0, 1, 0])
    assert measures.average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(measures.average_precision(scores, truth * 0))


def test_platt_finds_the_curve_that_made_the_labels():
    lot = np.random.default_rng(3)
    logits = lot.normal(0, 3, 20000)
    truth = (lot.random(20000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(int)
    a, b = measures.platt(logits, truth, np.ones(20000))
    assert a == pytest.approx(0.5, abs=0.03)
    assert b == pytest.approx(-1, abs=0.08)


def test_platt_of_perfectly_told_classes_stays_finite():
    logits = np.asarray([-5.0, -4, 4, 5])
    a, b = measures.platt(logits, np.asarray([0, 0, 1, 1]), np.ones(4))
    assert np.isfinite([a, b]).all()
    assert a > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc")), min_size=5, max_size=60),
    st.sampled_from([0.01, 0.05, 0.3]),
)
def test_false_alarms_of_the_mean_source_keep_the_rate(texts, rate):
    scores = np.asarray([s / 20 for s, _ in texts])
    groups = np.asarray([g for _, g in texts])

    def alarms(threshold):
        return np.mean([(scores[groups == g] >= threshold).mean() for g in np.unique(groups)])

    threshold = measures.at_rate(scores, groups, rate)
    assert alarms(threshold) <= rate + 1e-9
    lower = scores[scores < threshold]
    if len(lower):  # the next threshold below would be too many
        assert alarms(lower.max()) > rate - 1e-9


def test_balanced_parts_what_can_be_parted():
    scores, truth = np.asarray([0.1, 0.2, 0.6, 0.9]), np.asarray([0, 0, 1, 1])
    threshold = measures.balanced(scores, truth)
    assert ((scores >= threshold) == (truth == 1)).all()


def test_wilson_by_hand():
    # 5 of 10, z = 1.96: (0.5 + 0.19208 +- 1.96 * sqrt(0.025 + 0.0096040)) / 1.38416
    assert measures.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert measures.wilson(0, 10)[0] == 0
    assert measures.wilson(10, 10)[1] == 1


def test_f1_by_hand():
    flagged, truth = np.asarray([True, True, False, False]), np.asarray([1, 0, 1, 0])
    assert measures.f1(flagged, truth) == 0.5
    assert measures.f1(flagged & False, truth * 0) == 0


def test_intervals_hold_their_figure_and_narrow_with_more_texts():
    lot = np.random.default_rng(5)

    def of(count):
        truth = (np.arange(count) % 2).astype(int)
        return measures.told(lot.normal(truth, 1), truth, {"half": 0.5})

    few, many = of(40), of(640)
    for name in ("auroc", "ap", "recall@half", "false@half", "balanced_accuracy@half", "f1@half"):
        for entry in (few, many):
            low, high = entry[f"{name}_95"]
            assert 0 <= low < entry[name] < high <= 1
        assert np.diff(many[f"{name}_95"]) < np.diff(few[f"{name}_95"]) / 2


def test_intervals_are_the_same_again_and_one_class_has_its_rate_alone():
    truth, scores = np.asarray([0, 1, 1, 0]), np.asarray([0.1, 0.9, 0.3, 0.6])
    assert measures.told(scores, truth, {"p": 0.5}) == measures.told(scores, truth, {"p": 0.5})
    alone = measures.told(scores, truth * 0, {"p": 0.5})
    assert alone["false@p"] == 0.5
    assert set(alone) == {"n", "positive", "false@p", "false@p_95"}
