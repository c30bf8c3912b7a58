"""Thresholds for a risk: counted by hand, and held to their promise by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tristance.data.errors import UserError
from tristance.models.abstention import DOUBT, GRID, NEVER, binomial_tail, risk_curve, threshold_for, thresholds_for


def sample(generator, count):
    """Answers whose confidence is honest: right as often as it says."""
    confidence = generator.uniform(0.4, 1, count)
    return confidence, generator.uniform(size=count) < confidence


def test_the_curve_counts_what_is_kept_and_wrong():
    curve = risk_curve(np.array([0.99, 0.9, 0.9, 0.5, 0.2]), np.array([True, True, False, False, True]))
    at = {row[0]: row[1:] for row in zip(*curve.values(), strict=True)}
    assert tuple(curve["threshold"]) == GRID
    assert at[0.975] == (1, 0)
    assert at[0.9] == (3, 1)
    assert at[0.5] == (4, 2)
    assert at[0.0] == (5, 2)


@pytest.mark.parametrize(("hits", "trials", "chance"), [(0, 10, 0.1), (3, 10, 0.5), (10, 10, 0.2), (150, 2000, 0.1)])
def test_the_binomial_tail_is_scipys(hits, trials, chance):
    stats = pytest.importorskip("scipy.stats")
    assert binomial_tail(hits, trials, chance) == pytest.approx(stats.binom.cdf(hits, trials, chance), rel=1e-9)


def test_a_hundred_thousand_answers_do_not_underflow():
    assert binomial_tail(9_500, 100_000, 0.1) == pytest.approx(5.5e-8, rel=0.5)
    assert binomial_tail(0, 0, 0.1) == 1.0


def test_more_error_allowed_keeps_more():
    curve = risk_curve(*sample(np.random.default_rng(0), 2000))
    found = [threshold_for(curve, risk) for risk in (0.05, 0.1, 0.2, 0.4)]
    assert found == sorted(found, reverse=True)
    assert 0.75 <= found[1] <= 0.9  # where the confidence is honest, the mean above 0.8 is 0.9
    assert found[-1] == 0.0


def test_what_validation_cannot_assure_is_never_answered():
    few = risk_curve(np.full(20, 0.99), np.ones(20, bool))
    assert threshold_for(few, 0.1) == NEVER  # 20 of 20 right is what a model with 10 % errors does every eighth time
    assert threshold_for(few, 0.3) == 0.0
    wrong = risk_curve(np.linspace(0.3, 0.99, 500), np.zeros(500, bool))
    assert threshold_for(wrong, 0.5) == NEVER


def test_the_promise_holds_as_often_as_it_says():
    generator = np.random.default_rng(7)
    broken = 0
    for _ in range(300):
        threshold = threshold_for(risk_curve(*sample(generator, 400)), 0.15)
        # the true error above a threshold, of a confidence that is uniform and honest
        broken += threshold < NEVER and 1 - (max(threshold, 0.4) + 1) / 2 > 0.15
    assert broken / 300 <= DOUBT


@pytest.mark.parametrize("risk", [0, 1, -0.1, 10])
def test_a_risk_is_a_share(risk):
    with pytest.raises(UserError, match="allowed: a share between 0 and 1"):
        thresholds_for({}, ["west"], risk)


def test_a_model_without_curves_or_with_broken_ones_is_told():
    with pytest.raises(UserError, match=r"no risk curve for west; allowed: one from `tristance calibrate"):
        thresholds_for({}, ["west"], 0.1)
    with pytest.raises(UserError, match=r"risk\.west: found \{'kept': 3\}; allowed: threshold, kept and wrong"):
        thresholds_for({"west": {"kept": 3}}, ["west"], 0.1)
