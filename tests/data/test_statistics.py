"""Counts and scores against tables counted by hand and scikit-learn; intervals against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from tristance.data import statistics as stats

FAVOR, AGAINST, NEUTRAL, UNRELATED = range(4)

# Counted by hand: gold by predicted, the last column without a prediction.
TABLE = np.array(
    [
        [3, 1, 0, 0, 1],
        [0, 2, 2, 0, 0],
        [1, 0, 4, 0, 0],
        [0, 0, 1, 5, 0],
    ]
)


def rows_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(g, p if p < 4 else -1) for (g, p), n in np.ndenumerate(table) for _ in range(n)]
    gold, predicted = np.array(pairs).T
    return gold, predicted


def test_confusion_counts_each_cluster() -> None:
    gold = np.array([0, 0, 1, 2, -1, 3])
    predicted = np.array([0, 1, -1, 2, 2, 0])
    counts = stats.confusion(gold, predicted, 4, np.array([0, 0, 1, 1, 1, 2]), 4)
    assert counts.shape == (4, 4, 5)
    assert counts[0].tolist() == [[1, 1, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5]
    assert counts[1].tolist() == [[0] * 5, [0, 0, 0, 0, 1], [0, 0, 1, 0, 0], [0] * 5]
    assert counts[2].tolist() == [[0] * 5, [0] * 5, [0] * 5, [1, 0, 0, 0, 0]]
    assert not counts[3].any()


def test_cells_sum_to_the_table() -> None:
    assert (stats.confusion_cells(*rows_of(TABLE), 4).sum(0) == TABLE).all()


def test_scores_by_hand() -> None:
    assert stats.precision(TABLE) == pytest.approx([3 / 4, 2 / 3, 4 / 7, 1])
    assert stats.recall(TABLE) == pytest.approx([3 / 5, 2 / 4, 4 / 5, 5 / 6])
    assert stats.f1(TABLE) == pytest.approx([6 / 9, 4 / 7, 8 / 12, 10 / 11])
    assert stats.mean_f1(TABLE, [FAVOR, AGAINST]) == pytest.approx((6 / 9 + 4 / 7) / 2)
    assert stats.mean_f1(TABLE) == pytest.approx((6 / 9 + 4 / 7 + 8 / 12 + 10 / 11) / 4)
    assert stats.accuracy(TABLE) == pytest.approx(14 / 20)


def test_detection_by_hand() -> None:
    related = stats.detection(TABLE, UNRELATED)
    assert related.tolist() == [[13, 0, 1], [1, 5, 0]]
    assert stats.precision(related)[0] == pytest.approx(13 / 14)
    assert stats.recall(related)[0] == pytest.approx(13 / 14)


def test_square_tables_are_taken_too() -> None:
    assert stats.f1(TABLE[:, :4])[FAVOR] == pytest.approx(6 / 8)
    assert stats.detection(TABLE[:, :4], UNRELATED).tolist() == [[13, 0, 0], [1, 5, 0]]


def test_scores_are_vectorised_over_leading_axes() -> None:
    tables = np.stack([TABLE, 2 * TABLE, TABLE[::-1]])[:, None]
    for score in (stats.f1, stats.mean_f1, stats.accuracy, lambda t: stats.detection(t, UNRELATED)):
        together = score(tables)
        assert all(np.array_equal(together[i, 0], score(tables[i, 0])) for i in range(3))


def test_an_absent_class_counts_as_zero_in_the_average() -> None:
    counts = np.diag([4, 0, 2, 2])  # perfect, and no `against` anywhere
    assert np.isnan(stats.f1(counts)[AGAINST])
    assert stats.mean_f1(counts) == pytest.approx(3 / 4)
    assert stats.mean_f1(counts, [FAVOR, AGAINST]) == pytest.approx(1 / 2)


def test_an_average_is_undefined_by_gold_alone() -> None:
    silent, loud = np.zeros((4, 4)), np.zeros((4, 4))
    silent[NEUTRAL, NEUTRAL] = loud[NEUTRAL, FAVOR] = 5
    assert np.isnan(stats.mean_f1(silent, [FAVOR, AGAINST]))
    assert np.isnan(stats.mean_f1(loud, [FAVOR, AGAINST]))
    assert np.isnan(stats.mean_f1(np.zeros((4, 5))))
    assert np.isnan(stats.accuracy(np.zeros((4, 5))))


labels_of_rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=60)


@given(labels_of_rows)
@settings(deadline=None)
def test_scores_agree_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(rows).T
    counts = stats.confusion_cells(gold, predicted, 4).sum(0)
    expected = precision_recall_fscore_support(gold, predicted, labels=range(4), zero_division=0)
    for score, reference in zip((stats.precision, stats.recall, stats.f1, stats.support), expected, strict=True):
        assert np.nan_to_num(score(counts)) == pytest.approx(reference)
    assert stats.mean_f1(counts) == pytest.approx(
        f1_score(gold, predicted, labels=range(4), average="macro", zero_division=0)
    )
    if (gold <= AGAINST).any():
        f_avg = f1_score(gold, predicted, labels=[FAVOR, AGAINST], average="macro", zero_division=0)
        assert stats.mean_f1(counts, [FAVOR, AGAINST]) == pytest.approx(f_avg)
    assert stats.accuracy(counts) == pytest.approx(accuracy_score(gold, predicted))


@given(labels_of_rows)
@settings(deadline=None)
def test_detection_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(rows).T
    related = stats.detection(stats.confusion_cells(gold, predicted, 4).sum(0), UNRELATED)
    found = (predicted >= 0) & (predicted != UNRELATED)
    expected = precision_recall_fscore_support(gold != UNRELATED, found, labels=[True], zero_division=0)
    for score, reference in zip((stats.precision, stats.recall, stats.f1), expected, strict=False):
        assert np.nan_to_num(score(related))[0] == pytest.approx(reference[0])


def test_cluster_ids() -> None:
    assert stats.cluster_ids(["a", None, "b", "a", None, "1"]).tolist() == [0, 1, 2, 0, 3, 4]


def test_equal_mass_bins_hold_as_many_and_ignore_order() -> None:
    values = np.random.default_rng(0).random(300)
    bins = stats.equal_mass_bins(values, 15)
    assert np.bincount(bins).tolist() == [20] * 15
    assert all(values[bins == b].max() <= values[bins == b + 1].min() for b in range(14))
    order = np.random.default_rng(1).permutation(300)
    assert (stats.equal_mass_bins(values[order], 15) == bins[order]).all()


def test_equal_values_share_a_bin() -> None:
    assert stats.equal_mass_bins(np.array([0.9, 0.5, 0.9, 0.9]), 2).tolist() == [0, 0, 0, 0]
    assert stats.equal_mass_bins(np.array([0.9, 0.5, 0.5, 0.9]), 2).tolist() == [1, 0, 0, 1]


def test_calibration_error_by_hand() -> None:
    confidence, right = np.array([0.9, 0.6, 0.5, 0.8]), np.array([True, True, False, False])
    # Bins (0.5, 0.6) and (0.8, 0.9): |0.55 - 0.5| and |0.85 - 0.5|, half the rows each.
    assert stats.expected_calibration_error(confidence, right, bins=2) == pytest.approx(0.5 * 0.05 + 0.5 * 0.35)
    assert np.isnan(stats.expected_calibration_error(np.array([]), np.array([])))


def test_calibration_error_of_the_calibrated_and_the_boastful() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.3, 1, 60_000)
    assert stats.expected_calibration_error(confidence, random.random(60_000) < confidence) < 0.01
    assert stats.expected_calibration_error(confidence, random.random(60_000) < confidence - 0.2) == pytest.approx(
        0.2, abs=0.01
    )


def test_totals_are_those_of_rows_drawn_by_cluster() -> None:
    boot = stats.Bootstrap(5, resamples=300, seed=3)
    weights = boot.totals(np.eye(5))
    assert (weights[0] == 1).all()
    assert (weights[1:].sum(1) == 5).all()
    assert weights[1:].mean(0) == pytest.approx(np.ones(5), abs=0.15)
    # One cluster's variance under multinomial weights is 1 - 1/G.
    assert weights[1:].var(0) == pytest.approx(np.full(5, 0.8), abs=0.25)
    sums = np.random.default_rng(0).random((5, 2, 3))
    sums[2] = 0
    assert boot.totals(sums) == pytest.approx(np.einsum("rg,gij->rij", weights, sums))


def test_same_seed_same_interval() -> None:
    counts = np.random.default_rng(0).integers(0, 3, (40, 2))

    def interval(seed: int) -> list[float]:
        boot = stats.Bootstrap(40, 500, seed)
        totals = boot.totals(counts)
        return [float(x) for x in boot.interval(stats.ratio(totals[:, 0], totals.sum(1)))]

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)
    value, low, high = interval(1)
    assert low < value < high


def test_interval_is_the_percentiles_of_the_defined_resamples() -> None:
    boot = stats.Bootstrap(10, resamples=200, level=0.9)
    values = np.random.default_rng(0).normal(size=(201, 3))
    values[50:60, 1] = np.nan
    values[1:, 2] = np.nan
    value, low, high = boot.interval(values)
    assert value.tolist() == values[0].tolist()
    assert low[:2] == pytest.approx(np.nanpercentile(values[1:, :2], 5, axis=0))
    assert high[:2] == pytest.approx(np.nanpercentile(values[1:, :2], 95, axis=0))
    assert np.isnan([low[2], high[2]]).all()


def test_no_interval_where_nothing_can_be_said() -> None:
    for boot in (stats.Bootstrap(10, resamples=0), stats.Bootstrap(1, resamples=50)):
        value, low, high = boot.interval(boot.totals(np.ones((boot.clusters, 1)))[:, 0])
        assert value == boot.clusters
        assert np.isnan([low, high]).all()


def clustered(random: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose being right depends on their cluster: gold, predicted, cluster."""
    cluster = np.repeat(np.arange(clusters), random.integers(1, 9, clusters))
    skill = random.beta(2.5, 1.5, clusters)[cluster]
    gold = random.choice(4, len(cluster), p=[0.25, 0.35, 0.2, 0.2])
    wrong = (gold + random.integers(1, 4, len(gold))) % 4
    return gold, np.where(random.random(len(gold)) < skill, gold, wrong), cluster


@pytest.mark.slow
def test_intervals_cover_the_truth_of_clustered_data() -> None:
    random = np.random.default_rng(7)
    gold, predicted, _ = clustered(random, 200_000)
    population = stats.confusion_cells(gold, predicted, 4).sum(0, dtype=np.int64)
    scores = {"accuracy": stats.accuracy, "F_avg": lambda counts: stats.mean_f1(counts, [FAVOR, AGAINST])}
    covered = dict.fromkeys([*scores, "unclustered"], 0)
    trials = 1500
    for trial in range(trials):
        gold, predicted, cluster = clustered(random, 200)
        for name, score in scores.items():
            boot = stats.Bootstrap(200, 1000, trial)
            counts = stats.confusion(gold, predicted, 4, cluster, 200)
            _, low, high = boot.interval(score(boot.totals(counts)))
            covered[name] += bool(low <= score(population) <= high)
        boot = stats.Bootstrap(len(gold), 200, trial)
        _, low, high = boot.interval(stats.accuracy(boot.totals(stats.confusion_cells(gold, predicted, 4))))
        covered["unclustered"] += bool(low <= stats.accuracy(population) <= high)
    share = {name: count / trials for name, count in covered.items()}
    assert 0.93 <= share["accuracy"] <= 0.97, share
    assert 0.93 <= share["F_avg"] <= 0.97, share
    assert share["unclustered"] < 0.92, share  # what leaving the clusters out would cost


@pytest.mark.slow
@pytest.mark.parametrize("boast", [0.0, 0.1, 0.3])
def test_calibration_intervals_cover_the_truth(boast: float) -> None:
    random = np.random.default_rng(5)
    truth = stats.expected_calibration_error(*self_assured(random, 2_000_000, boast)) if boast else 0.0
    covered, trials, rows = 0, 300, 600
    for trial in range(trials):
        confidence, right = self_assured(random, rows, boast)
        gaps = np.zeros((rows, 15))
        gaps[np.arange(rows), stats.equal_mass_bins(confidence, 15)] = confidence - right
        boot = stats.Bootstrap(rows, 400, trial)
        totals, all_rows = boot.totals(gaps), np.full(401, rows)
        error, spread = stats.calibration_error(totals, all_rows), stats.calibration_spread(totals, all_rows)
        value, low, high = boot.calibration_interval(error, spread)
        assert low <= value <= high
        covered += bool(low <= truth <= high)
    assert covered / trials >= 0.93


def self_assured(random: np.random.Generator, rows: int, boast: float) -> tuple[np.ndarray, np.ndarray]:
    confidence = random.beta(5, 2, rows)
    return confidence, random.random(rows) < confidence * (1 - boast)
