"""The tests of differences: against scipy and statsmodels, by hand, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_effectsize

from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.data.statistics import cluster_ids, cluster_sums
from tristance.models.predictions import Scores
from tristance.train.comparison.paired import (
    Difference,
    Scored,
    bootstrap_p,
    compared,
    holm,
    joint_test,
    verdict,
)
from tristance.train.evaluation.answers import answer_sheet
from tristance.train.evaluation.metrics import tally_of
from tristance.train.evaluation.options import EvaluationConfig

SLOTS = ("west", "russia")


def drawn(generator, gold, accuracy, shared=None):
    """Predictions right with a probability; `shared` makes two models' mistakes alike."""
    sure = generator.random(gold.shape) if shared is None else shared
    wrong = generator.integers(1, 4, gold.shape)
    return np.where(sure < accuracy, gold, (gold + wrong) % 4)


def records_of(gold, groups):
    return [
        Record(
            str(row),
            f"sentence {row}",
            {slot: STANCES[label] for slot, label in zip(SLOTS, labels, strict=True)},
            dict.fromkeys(SLOTS),
            "neutral",
            (),
            {} if group is None else {"group": group},
        )
        for row, (labels, group) in enumerate(zip(gold.tolist(), groups, strict=True))
    ]


def sheet_of(records, predicted):
    rows = len(records)
    stance = np.full((rows, 2, 4), 0.1, np.float32)
    np.put_along_axis(stance, predicted[..., None], 0.7, -1)
    return answer_sheet(
        records, Scores(SLOTS, stance, np.full((rows, 2, 4), 0.25, np.float32), np.full((rows, 3), 1 / 3, np.float32))
    )


def scored(name, records, *predicted):
    return Scored(name, tuple(sheet_of(records, each) for each in predicted))


def clustered(generator, rows=300, size=6):
    """Gold labels and documents in which sentences are alike."""
    groups = [f"d{row // size}" for row in range(rows)]
    of_group = np.repeat(generator.integers(0, 4, (-(-rows // size), 2)), size, 0)[:rows]
    gold = np.where(generator.random((rows, 2)) < 0.4, of_group, generator.integers(0, 4, (rows, 2)))
    return gold, groups


def test_mcnemar_agrees_with_statsmodels():
    generator = np.random.default_rng(3)
    gold = generator.integers(0, 4, (200, 2))
    records = records_of(gold, [None] * 200)
    first, second = drawn(generator, gold, 0.7), drawn(generator, gold, 0.8)
    one, two = scored("a", records, first), scored("b", records, second)
    clusters = cluster_ids([None] * 200)
    right = (first == gold).all(1), (second == gold).all(1)
    table = [[int((a & b).sum()) for b in (right[1], ~right[1])] for a in (right[0], ~right[0])]
    found = joint_test(one, two, clusters)
    assert found["test"] == "McNemar"
    assert found["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_the_sign_flip_test_agrees_with_scipy_where_every_flip_is_tried():
    generator = np.random.default_rng(4)
    gold, groups = clustered(generator, 40, 5)
    records = records_of(gold, groups)
    first, second = drawn(generator, gold, 0.6), drawn(generator, gold, 0.8)
    clusters = cluster_ids(groups)
    gain = (second == gold).all(1).astype(float) - (first == gold).all(1)
    sums = cluster_sums(gain, clusters, 8)
    expected = permutation_test(
        (sums,), lambda values, axis: values.mean(axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    found = joint_test(scored("a", records, first), scored("b", records, second), clusters)
    assert (found["test"], found["p"]) == ("sign-flip", pytest.approx(expected.pvalue))


def test_holm_agrees_with_statsmodels_and_leaves_the_undefined_out():
    values = [0.04, 0.001, 0.3, 0.02, 0.012, 0.9]
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    with_hole = [0.04, math.nan, 0.001]
    found = holm(with_hole)
    assert found[0] == pytest.approx(0.04)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.002)


def test_alike_predictions_do_not_differ():
    generator = np.random.default_rng(5)
    gold, groups = clustered(generator)
    records = records_of(gold, groups)
    same = drawn(generator, gold, 0.7)
    options = EvaluationConfig(resamples=200)
    found = compared([scored("a", records, same), scored("b", records, same)], tally_of(records, options), options)
    assert {(each.difference, each.low, each.high, each.better) for each in found if each.figure == "mean.F_avg"} == {
        (0.0, 0.0, 0.0, None)
    }
    assert all(each.p == 1 for each in found if not math.isnan(each.p))


def test_seeds_are_averaged_within_each_resample():
    generator = np.random.default_rng(6)
    gold, groups = clustered(generator)
    records = records_of(gold, groups)
    options = EvaluationConfig(resamples=300)
    tally = tally_of(records, options)
    base = [drawn(generator, gold, 0.6) for _ in range(2)]
    better = [drawn(generator, gold, 0.85) for _ in range(3)]
    found = {
        each.figure: each
        for each in compared([scored("a", records, *base), scored("b", records, *better)], tally, options)
    }
    single = [
        compared([scored("a", records, first), scored("b", records, second)], tally, options)
        for first in base
        for second in better
    ]
    mean = np.mean([each.difference for all_of in single for each in all_of if each.figure == "mean.F_avg"])
    chosen = found["mean.F_avg"]
    assert chosen.difference == pytest.approx(mean)
    assert chosen.better
    assert all(sd is not None and sd > 0 for sd in chosen.seed_sd)
    widths = [each.high - each.low for all_of in single for each in all_of if each.figure == "mean.F_avg"]
    assert chosen.high - chosen.low < np.mean(widths), "a mean over seeds varies less"
    assert found["joint_accuracy"].test == "sign-flip"


def test_the_effect_size_is_cohens_h():
    generator = np.random.default_rng(7)
    gold, groups = clustered(generator)
    records = records_of(gold, groups)
    options = EvaluationConfig(resamples=200)
    pair = [scored("a", records, drawn(generator, gold, 0.5)), scored("b", records, drawn(generator, gold, 0.9))]
    for each in compared(pair, tally_of(records, options), options):
        if each.figure in ("mean.F_avg", "joint_accuracy", "mean.ece"):
            expected = proportion_effectsize(each.value, each.reference_value)
            assert each.effect == pytest.approx(expected)
            assert each.effect_low <= each.effect <= each.effect_high


@pytest.mark.parametrize(
    ("figure", "numbers", "p", "said"),
    [
        ("west.F_avg", (0.031, 0.012, 0.05), 0.001, "better for the West by 3.1 points [+1.2, +5.0]"),
        ("west.F_avg", (-0.031, -0.05, -0.012), 0.001, "worse for the West by 3.1 points [-5.0, -1.2]"),
        (
            "russia.F_avg",
            (0.004, -0.01, 0.02),
            0.6,
            "no evidence of a difference for Russia (+0.4 points [-1.0, +2.0])",
        ),
        (
            "mean.F_avg",
            (0.02, 0.001, 0.04),
            0.2,
            "no evidence of a difference over all actors (+2.0 points [+0.1, +4.0]; its interval leaves 0 out, but not "
            "once all comparisons count)",
        ),
        ("mean.ece", (-0.02, -0.03, -0.01), 0.001, "better in calibration error by 0.020 [-0.030, -0.010]"),
    ],
)
def test_verdicts(figure, numbers, p, said):
    found = Difference("b", figure, 0.5, 0.5, *numbers, (None, None), "bootstrap", p, p, 0.1, 0.0, 0.2, 0.95)
    assert verdict(found, {"west": "the West", "russia": "Russia"}) == said


@pytest.mark.slow
def test_false_positives_of_the_tests_stay_at_five_per_cent():
    """2,000 pairs of models that are equally good, on clustered data, with mistakes in common."""
    generator = np.random.default_rng(11)
    options = EvaluationConfig(resamples=400)
    positive = {"mean.F_avg": 0, "joint_accuracy": 0}
    pairs = 2000
    for _ in range(pairs):
        gold, groups = clustered(generator)
        records = records_of(gold, groups)
        common = generator.random(gold.shape)
        mistakes = [np.where(generator.random(gold.shape) < 0.5, common, generator.random(gold.shape)) for _ in "ab"]
        both = [
            scored(name, records, drawn(generator, gold, 0.7, own)) for name, own in zip("ab", mistakes, strict=True)
        ]
        for each in compared(both, tally_of(records, options), options):
            if each.figure in positive:
                positive[each.figure] += each.p < 0.05
    assert {name: 0.035 <= count / pairs <= 0.065 for name, count in positive.items()} == dict.fromkeys(
        positive, True
    ), positive


@pytest.mark.slow
def test_intervals_hold_the_truth_in_ninety_five_per_cent():
    """The true difference is that of a population of documents, of which samples are drawn."""
    generator = np.random.default_rng(12)
    options = EvaluationConfig(resamples=800)
    gold, groups = clustered(generator, 60_000)
    common = generator.random(gold.shape)
    predicted = [
        drawn(
            generator,
            gold,
            accuracy,
            np.where(generator.random(gold.shape) < 0.5, common, generator.random(gold.shape)),
        )
        for accuracy in (0.7, 0.74)
    ]
    population = records_of(gold, groups)
    whole = EvaluationConfig(resamples=0)
    names = ("mean.F_avg", "joint_accuracy")
    truth = {
        each.figure: each.difference
        for each in compared(
            [scored(name, population, rows) for name, rows in zip("ab", predicted, strict=True)],
            tally_of(population, whole),
            whole,
        )
        if each.figure in names
    }
    held = dict.fromkeys(names, 0)
    samples = 1000
    for _ in range(samples):
        documents = generator.choice(10_000, 150, replace=False)
        rows = (documents[:, None] * 6 + np.arange(6)).ravel()
        records = [population[row] for row in rows]
        both = [scored(name, records, each[rows]) for name, each in zip("ab", predicted, strict=True)]
        for each in compared(both, tally_of(records, options), options):
            if each.figure in names:
                held[each.figure] += each.low <= truth[each.figure] <= each.high
    assert {name: 0.93 <= count / samples <= 0.97 for name, count in held.items()} == dict.fromkeys(held, True), held


def test_p_of_nothing_but_noise_and_of_certainty():
    assert bootstrap_p(np.zeros(10)) == 1.0
    assert bootstrap_p(np.full(10, 0.3)) == 0.0
    assert math.isnan(bootstrap_p(np.full(10, np.nan)))
