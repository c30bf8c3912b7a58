"""Prediction-powered figures by hand, against ppi-python and statsmodels; intervals against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from tristance.data import ppi
from tristance.data.statistics import cluster_ids

CONFUSED = np.array(
    [[0.62, 0.05, 0.25, 0.08], [0.04, 0.8, 0.12, 0.04], [0.05, 0.15, 0.72, 0.08], [0.02, 0.03, 0.05, 0.9]]
)
"""A biased classifier: gold by predicted label."""


def as_mean(values):
    return np.stack([values, np.ones(len(values))], 1)


def some_rows(rows=400, labelled=60, seed=3):
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < 0.3).astype(float)
    predicted = np.clip(0.15 + 0.6 * truth + rng.normal(0, 0.15, rows), 0, 1)
    return truth, predicted, rng.permutation(rows)[:labelled], rng


def test_mean_by_hand():
    gold, predicted = np.array([1.0, 0.0]), np.array([0.8, 0.2, 0.6, 0.6, 0.4, 0.4])
    found = ppi.measure(ppi.ratio, as_mean(gold), as_mean(predicted), np.array([0, 1]), np.arange(6), 6)
    assert (found.sample, found.shift) == (0.5, 0.0)
    # influences: labels ±1/4, their predictions -+0.3/2, the rest ±0.1/4: (0.25 * 0.15 * 2) / (2 * 0.15² + 4 * 0.025²)
    assert ppi.tuned(found) == pytest.approx(0.075 / (2 * 0.0225 + 4 * 0.000625))
    alone = ppi.interval(found, 0.0)
    assert alone.variance == pytest.approx(2 * (2 * 0.25**2) + 2 * 0.5**2)
    assert alone.high - alone.value == pytest.approx(1.959964 * math.sqrt(alone.variance))


def test_the_shift_corrects_a_bias():
    """Predictions that are too high by the same everywhere change nothing."""
    truth, predicted, labelled, _ = some_rows()
    values = [
        ppi.measure(ppi.ratio, as_mean(truth[labelled]), as_mean(f), labelled, np.arange(400), 400)
        for f in (predicted, predicted + 0.3)
    ]
    one, other = (ppi.interval(each, ppi.tuned(each)) for each in values)
    assert one == pytest.approx(other)
    assert one.variance < 0.6 * ppi.interval(values[0], 0.0).variance


@pytest.mark.parametrize("tuning", [0.0, 0.4, 1.0])
def test_mean_against_ppi_python(tuning):
    theirs = pytest.importorskip("ppi_py")
    truth, predicted, labelled, _ = some_rows()
    rest = np.setdiff1d(np.arange(400), labelled)
    found = ppi.measure(ppi.ratio, as_mean(truth[labelled]), as_mean(predicted), labelled, np.arange(400), 400)
    arguments = (truth[labelled], predicted[labelled], predicted[rest])
    interval = ppi.interval(found, tuning)
    assert interval.value == pytest.approx(float(theirs.ppi_mean_pointestimate(*arguments, lam=tuning)[0]))
    low, high = theirs.ppi_mean_ci(*arguments, alpha=0.05, lam=tuning)
    seen = (interval.variance - ppi.UNSEEN * found.unit**2) * 59 / 60  # they count no unseen ones and divide by n
    assert math.sqrt(seen) == pytest.approx(float(high[0] - low[0]) / 2 / 1.959964)
    best = float(theirs.ppi_mean_pointestimate(*arguments)[0])
    assert ppi.interval(found, ppi.tuned(found)).value == pytest.approx(best, abs=0.002)


def test_ratio_and_slope_against_statsmodels_with_clusters():
    rng = np.random.default_rng(5)
    clusters = rng.integers(0, 25, 200)
    time, related = rng.normal(size=200), (rng.random(200) < 0.6).astype(float)
    part = related * (rng.random(200) < 0.4 + 0.1 * np.tanh(time))
    chosen = related > 0
    for figure, values, design, term in (
        (ppi.ratio, np.stack([part, related], 1), np.ones((chosen.sum(), 1)), 0),
        (ppi.slope, np.stack([part, related, time], 1), sm.add_constant(time[chosen]), 1),
    ):
        fitted = sm.OLS(part[chosen], design).fit(
            cov_type="cluster", cov_kwds={"groups": clusters[chosen], "use_correction": False}
        )
        found = figure(values)
        assert found.value == pytest.approx(fitted.params[term])
        assert (np.bincount(clusters, found.influence, 25) ** 2).sum() == pytest.approx(fitted.bse[term] ** 2)
        moved = values.copy()
        moved[3, 0] += 1e-3
        assert figure(moved).value - found.value == pytest.approx(
            figure(moved).influence[3] - found.influence[3], rel=0.2
        ), "an influence is what a row moves"


def test_useless_predictions_leave_the_sample():
    truth, _, labelled, rng = some_rows()
    gold = as_mean(truth[labelled])
    for useless in (np.full(400, 0.7), rng.random(400)):
        found = ppi.measure(ppi.ratio, gold, as_mean(useless), labelled, np.arange(400), 400)
        powered, alone = ppi.interval(found, ppi.tuned(found)), ppi.interval(found, 0.0)
        assert powered.variance == pytest.approx(alone.variance, rel=0.03)
        assert powered.variance <= alone.variance
    everything = ppi.measure(ppi.ratio, as_mean(truth), as_mean(truth), np.arange(400), np.arange(400), 400)
    assert ppi.interval(everything, ppi.tuned(everything)).value == truth.mean()


def test_what_cannot_be_said_is_nan():
    nothing = ppi.measure(ppi.ratio, np.zeros((0, 2)), as_mean(np.ones(5)), np.zeros(0, int), np.arange(5), 5)
    assert np.isnan(ppi.interval(nothing, ppi.tuned(nothing))).all()
    single = ppi.measure(ppi.ratio, as_mean(np.ones(2)), as_mean(np.ones(5)), np.array([0, 1]), np.zeros(5, int), 1)
    assert ppi.interval(single, 0.0).value == 1
    assert math.isnan(ppi.interval(single, 0.0).low), "one cluster does not tell how clusters vary"
    unseen = ppi.measure(ppi.ratio, as_mean(np.zeros(300)), as_mean(np.zeros(900)), np.arange(300), np.arange(900), 900)
    assert ppi.interval(unseen, 0.0).high == pytest.approx(2.77 / 300, rel=0.01), "about the rule of three"
    assert math.isnan(ppi.slope(np.ones((4, 3))).value), "no change without two times"


def populations(count, shares, trend, document, seed=0):
    """News, its gold labels and what a biased classifier says: probabilities that are none, sharper than it is right.

    Yields:
        Gold as one-hot `[M, 4]`, probabilities `[M, 4]`, document, group and time of every sentence.
    """
    rng = np.random.default_rng(seed)
    rows = 2400
    for _ in range(count):
        documents = rows // document
        time, group = rng.random(documents), rng.integers(0, 2, documents)
        mean = shares[group] + np.outer(time - 0.5, trend)
        if document > 1:
            mean = np.array([rng.dirichlet(4 * each) for each in mean])
        of = np.repeat(np.arange(documents), document)
        gold = (rng.random((rows, 1)) > mean[of].cumsum(1)).sum(1).clip(max=3)
        tilt = np.exp(rng.normal(0, 0.5 * (document > 1), (documents, 4)))[of]  # a document misleads as a whole
        said = CONFUSED[gold] * tilt
        hard = (rng.random((rows, 1)) > (said / said.sum(1, keepdims=True)).cumsum(1)).sum(1).clip(max=3)
        noise = rng.gamma(0.3, size=(rows, 4)) + 2 * np.eye(4)[hard] * rng.random((rows, 1)) + np.eye(4)[hard]
        yield np.eye(4)[gold], noise / noise.sum(1, keepdims=True), of, group[of], time[of], rng


SHARES = np.array([[0.15, 0.35, 0.3, 0.2], [0.25, 0.2, 0.25, 0.3]])
TREND = np.array([0.1, -0.1, 0.0, 0.0])
RELATED = 1 - SHARES.mean(0)[3]
TRUTH = {
    "favor": 0.2,
    "net": 0.2 - 0.275,
    "favor of related": 0.2 / RELATED,
    "net of related": (0.2 - 0.275) / RELATED,
    "favor, difference": -0.1,
    "favor, trend": 0.1,
}


def figures_of(answers, group, time):
    favor, net, related = answers[:, 0], answers[:, 0] - answers[:, 1], 1 - answers[:, 3]
    one = np.ones(len(answers))
    return {
        "favor": (ppi.ratio, np.stack([favor, one], 1)),
        "net": (ppi.ratio, np.stack([net, one], 1)),
        "favor of related": (ppi.ratio, np.stack([favor, related], 1)),
        "net of related": (ppi.ratio, np.stack([net, related], 1)),
        "favor, trend": (ppi.slope, np.stack([favor, one, time], 1)),
    }


def simulate(document, labelled, count=1000):
    """Share of the populations whose truth each interval holds: powered, the sample's own, and the plain count's."""
    held = {name: [] for name in TRUTH}
    for gold, predicted, of, group, time, rng in populations(count, SHARES, TREND, document):
        clusters = cluster_ids([str(each) for each in of])
        size = int(clusters.max()) + 1
        sample = np.sort(rng.permutation(len(gold))[:labelled])
        hard = np.eye(4)[predicted.argmax(1)]
        three = [figures_of(each, group, time) for each in (gold, predicted, hard)]
        for name, truth in TRUTH.items():
            (figure, y), (_, f), (_, h) = (each[name.replace(", difference", "")] for each in three)
            parts = []
            for part in [0, 1] if "difference" in name else [None]:
                among = np.ones(len(y), bool) if part is None else group == part
                chosen, rows = sample[among[sample]], np.flatnonzero(among)
                found = ppi.measure(figure, y[chosen], f[rows], np.searchsorted(rows, chosen), clusters[rows], size)
                count_of = figure(h[rows])
                parts.append((found, count_of.value, np.bincount(clusters[rows], count_of.influence, size)))
            found = parts[0][0] if len(parts) == 1 else parts[0][0] - parts[1][0]
            whole = parts[0][0] if len(parts) == 1 else ppi.measure(figure, y[sample], f, sample, clusters, size)
            counted = parts[0][1] - sum(each[1] for each in parts[1:])
            spread = math.sqrt(((parts[0][2] - sum(each[2] for each in parts[1:])) ** 2).sum())
            powered, alone = ppi.interval(found, ppi.tuned(whole)), ppi.interval(found, 0.0)
            held[name].append(
                (
                    powered.low <= truth <= powered.high,
                    alone.low <= truth <= alone.high,
                    abs(counted - truth) <= 1.96 * spread,
                    alone.variance / powered.variance,
                )
            )
    return {name: np.mean(values, 0) for name, values in held.items()}


@pytest.mark.slow
@pytest.mark.parametrize("document", [1, 12])
def test_intervals_hold_where_counting_does_not(document):
    """Over 1,000 populations; `-s` shows the shares: powered, sample alone, counted; and what is gained in variance."""
    for name, (powered, alone, counted, gain) in simulate(document, 300).items():
        print(f"document of {document:2}  {name:18} {powered:.3f} {alone:.3f} {counted:.3f} {gain:.2f}")
        assert 0.93 <= powered <= 0.97, name
        assert 0.93 <= alone <= 0.97, name
        assert gain > 1.05, name
        if name in ("favor", "favor of related"):
            assert counted < 0.6, name
