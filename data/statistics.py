"""Confusion counts, scores, calibration error and bootstrap intervals: plain numpy, so that every floor can use them.

All scores are functions of *counts*: `[..., K, K]` arrays of gold label by predicted label, or `[..., K, K + 1]` where
the last column holds the rows that got no prediction. Leading axes are free, so one call scores every actor and every
bootstrap resample at once.

Zero division. A score of a single class is NaN where it is 0 / 0: precision of a class never predicted, recall of a
class without gold rows, F1 of a class in neither. An average always runs over its whole label set, and such a class
counts as 0 in it (as scikit-learn's `zero_division=0` with `labels=` given), so that a class absent from a sample can't
change what is averaged. An average is NaN only where gold holds none of its classes; since that depends on gold alone,
it is undefined for every model alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK: Final = 256
"""Resamples multiplied at once: bounds the memory of `Bootstrap.totals`."""


def cluster_ids(groups: Sequence[str | None]) -> Ints:
    """Number the clusters 0 … G-1 in order of appearance; a row without a group is a cluster of its own. `[N]`."""
    known: dict[Hashable, int] = {}
    keys = ((group,) if group is not None else row for row, group in enumerate(groups))
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def cluster_sums(values: npt.NDArray[Any], clusters: Ints, count: int) -> Floats:
    """Sum the rows of each cluster.

    Args:
        values: `[N, ...]`.
        clusters: Cluster of each row, `[N]`, below `count`.
        count: Number of clusters, G.

    Returns:
        `[G, ...]`; zeros for a cluster without rows.
    """
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, clusters, values)
    return sums


def confusion_cells(gold: npt.NDArray[Any], predicted: npt.NDArray[Any], labels: int) -> npt.NDArray[np.uint8]:
    """The confusion table of every single row, so that any set of rows is counted by summing.

    Args:
        gold: Label numbers, `[...]`; negative where not annotated, and the row's table is then empty.
        predicted: Label numbers, `[...]`; negative where there is no prediction.
        labels: Number of labels, K.

    Returns:
        `[..., K, K + 1]` of 0 and 1, gold by predicted; the last column is "no prediction".
    """
    gold, predicted = np.asarray(gold), np.asarray(predicted)
    annotated = gold >= 0
    cell = np.where(annotated, gold * (labels + 1) + np.where(predicted < 0, labels, predicted), 0)
    table = np.zeros((*gold.shape, labels * (labels + 1)), np.uint8)
    np.put_along_axis(table, cell[..., None], annotated[..., None].astype(np.uint8), axis=-1)
    return table.reshape(*gold.shape, labels, labels + 1)


def confusion(gold: npt.NDArray[Any], predicted: npt.NDArray[Any], labels: int, clusters: Ints, count: int) -> Floats:
    """Confusion counts of each cluster, `[G, K, K + 1]`; arguments as for `confusion_cells` and `cluster_sums`."""
    return cluster_sums(confusion_cells(gold, predicted, labels), clusters, count)


def ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Floats:
    """`part / whole`, NaN where `whole` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def support(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Gold rows of each class, `[..., K]`, those without a prediction included."""
    return np.asarray(counts.sum(-1))


def predictions(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Predictions of each class, `[..., K]`."""
    return np.asarray(counts[..., : counts.shape[-2]].sum(-2))


def hits(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows of each class that are predicted right, `[..., K]`."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def precision(counts: npt.NDArray[Any]) -> Floats:
    """Precision of each class, `[..., K]`; NaN for a class never predicted."""
    return ratio(hits(counts), predictions(counts))


def recall(counts: npt.NDArray[Any]) -> Floats:
    """Recall of each class, `[..., K]`; NaN for a class without gold rows."""
    return ratio(hits(counts), support(counts))


def f1(counts: npt.NDArray[Any]) -> Floats:
    """F1 of each class, `[..., K]`: 2 TP / (2 TP + FP + FN); NaN for a class in neither gold nor predictions."""
    return ratio(2 * hits(counts), support(counts) + predictions(counts))


def mean_f1(counts: npt.NDArray[Any], classes: Sequence[int] | None = None) -> Floats:
    """Mean F1 of some classes (all: macro F1), `[...]`; zero division as said at the top of this file.

    Of `favor` and `against` it is F_avg. Source: Mohammad et al., SemEval-2016 Task 6: Detecting Stance in Tweets.
    """
    chosen = list(range(counts.shape[-2])) if classes is None else list(classes)
    scores = np.nan_to_num(f1(counts), nan=0.0)[..., chosen]
    in_gold = support(counts)[..., chosen].sum(-1) > 0
    return np.where(in_gold, scores.sum(-1) / max(len(chosen), 1), np.nan)


def accuracy(counts: npt.NDArray[Any]) -> Floats:
    """Share of rows predicted right, `[...]`; a row without a prediction is wrong; NaN without rows."""
    return ratio(hits(counts).sum(-1), support(counts).sum(-1))


def detection(counts: npt.NDArray[Any], negative: int) -> npt.NDArray[Any]:
    """Counts of "any other label" (class 0) against the label `negative` (class 1), `[..., 2, 3]`."""
    size = counts.shape[-2]
    others = [label for label in range(size) if label != negative]
    rows = np.stack([counts[..., others, :].sum(-2), counts[..., negative, :]], -2)
    missing = rows[..., size:].sum(-1)
    return np.stack([rows[..., others].sum(-1), rows[..., negative], missing], -1)


def equal_mass_bins(confidence: npt.NDArray[Any], bins: int) -> Ints:
    """Bin of each value, `[M]`, by its rank: M / `bins` values a bin; equal values share one, whatever their order."""
    rank = np.searchsorted(np.sort(confidence), confidence, side="left")
    return (rank * bins // max(len(confidence), 1)).astype(np.int64)


def expected_calibration_error(confidence: npt.NDArray[Any], right: npt.NDArray[Any], bins: int = 15) -> float:
    """Mean distance of confidence from accuracy over bins of equal mass, weighted by their rows.

    Source: Guo et al. 2017 for the error; Nixon et al., Measuring Calibration in Deep Learning, 2019, for equal mass.

    Args:
        confidence: Probability of the predicted label, `[M]`.
        right: Whether it was right, `[M]`.
        bins: Number of bins.

    Returns:
        Between 0 and 1; NaN without rows.
    """
    gaps = np.bincount(equal_mass_bins(confidence, bins), np.asarray(confidence) - np.asarray(right), bins)
    return float(calibration_error(gaps, np.asarray(len(confidence))))


def calibration_error(gaps: npt.NDArray[Any], rows: npt.NDArray[Any]) -> Floats:
    """Expected calibration error from each bin's sum of confidence - right, `[..., B]`, and all rows, `[...]`."""
    return ratio(np.abs(gaps).sum(-1), rows)


def calibration_spread(gaps: npt.NDArray[Any], rows: npt.NDArray[Any]) -> Floats:
    """How far the bins' gaps of each resample lie from the sample's (index 0), summed over bins; arguments as above."""
    shares = ratio(gaps, rows[..., None])
    return np.asarray(np.abs(shares - shares[:1]).sum(-1), np.float64)


class Bootstrap:
    """Percentile intervals by resampling whole clusters, for any function of per-cluster sums.

    The resamples are drawn once (G clusters with replacement, that is multinomial weights), so all figures of one
    evaluation, and of two models on the same rows, share them. `totals` gives what a score function takes, with
    the sample itself before the resamples; `interval` reads the result:

        low = boot.interval(accuracy(boot.totals(counts)))[1]

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13; Field and Welsh, Bootstrapping
    clustered data, JRSS B 2007, for the clusters.

    Args:
        clusters: Number of clusters, G.
        resamples: Number of resamples, R; 0 for no intervals.
        seed: Seed of the resamples.
        level: Coverage of the intervals.
    """

    def __init__(self, clusters: int, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> None:
        self.clusters = clusters
        self.resamples = resamples
        self.level = level
        generator = np.random.default_rng(seed)
        # A cluster drawn more than 255 times out of G draws is out of reach (1 in 255!), so a byte holds its weight.
        self._weights = np.empty((resamples, clusters), np.uint8)
        for row in self._weights:
            row[:] = np.bincount(generator.integers(clusters, size=clusters), minlength=clusters)

    def totals(self, sums: npt.NDArray[Any]) -> Floats:
        """The sample's total, then every resample's: `[G, ...]` to `[1 + R, ...]`."""
        flat = np.asarray(sums, np.float64).reshape(self.clusters, -1)
        used = np.flatnonzero(flat.any(axis=1))  # a slice of the data touches few of the clusters
        rows = flat[used]
        totals = np.empty((1 + self.resamples, flat.shape[1]))
        totals[0] = rows.sum(0)
        for start in range(0, self.resamples, BLOCK):
            weights = self._weights[start : start + BLOCK, used].astype(np.float64)
            totals[1 + start : 1 + start + len(weights)] = weights @ rows
        return totals.reshape(1 + self.resamples, *np.shape(sums)[1:])

    def interval(self, values: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Value, low and high of a figure.

        Args:
            values: The figure of the sample and of every resample, `[1 + R, ...]`. Resamples in which it is undefined
                (NaN) are left out.

        Returns:
            Three arrays `[...]`. Low and high are NaN where the value is, without resamples, and with a single cluster,
            which says nothing about how clusters vary.
        """
        value = np.asarray(values[0], np.float64)
        if self.resamples == 0 or self.clusters < 2:
            return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
        ordered = np.sort(values[1:], axis=0)  # NaN go last
        defined = (~np.isnan(ordered)).sum(0)
        tail = (1 - self.level) / 2
        low, high = (np.where(np.isnan(value), np.nan, _quantile(ordered, defined, q)) for q in (tail, 1 - tail))
        return value, low, high

    def calibration_interval(self, error: npt.NDArray[Any], spread: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
        """Value, low and high of a calibration error, or of a mean of several.

        A sum of distances only grows by noise, so every resample lies above the sample and the sample above the truth:
        the percentile interval of a calibrated model never holds its true error, 0. By the triangle inequality the
        truth is no further below the sample than the gaps are from their true ones; the bootstrap tells how far that
        is. High is the percentile. Simulated coverage is 95 % or more, whether calibrated or not.

        Args:
            error: `calibration_error` of the sample and the resamples, `[1 + R, ...]`.
            spread: `calibration_spread` of the same, `[1 + R, ...]`.
        """
        value, _, high = self.interval(error)
        reach = self.interval(np.concatenate([error[:1], spread[1:]]))[2]
        return value, np.clip(value - reach, 0, None), np.maximum(high, value)  # NaN stays NaN


def _quantile(ordered: Floats, defined: npt.NDArray[Any], q: float) -> Floats:
    """Linear quantile of the first `defined` of the `ordered` values on axis 0 (`np.nanquantile` loops in Python)."""
    place = q * np.maximum(defined - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(defined - 1, 0))
    at_below = np.take_along_axis(ordered, below[None], axis=0)[0]
    at_above = np.take_along_axis(ordered, above[None], axis=0)[0]
    return np.asarray(at_below + (place - below) * (at_above - at_below))
