"""Prediction-powered inference: figures from many predictions and a few labels, with intervals that hold.

A figure θ (a share, a ratio, a trend) is measured three times: on the labels of a random sample, θ(Y); on the
predictions for the same rows, θ(f); and on the predictions for all other rows, θ'(f). The estimate

    θ(Y) + λ (θ'(f) - θ(f))

is right on average however wrong the predictions are, since what they get wrong cancels in the brackets; and where they
are good, the brackets take away most of the sample's noise. λ is chosen for the least variance (*power tuning*), so
that useless predictions get λ = 0 and leave the sample's own estimate. Variances are sums over clusters of squared
influences, so that sentences of one document may depend on each other.

The normal interval is too short where a label, or an error of the predictions, was seen a handful of times. So the
variance counts two sentences more than were seen in which the two differ, one each way.

Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Prediction-powered inference, Science 2023; Angelopoulos,
Duchi and Zrnic, PPI++: Efficient prediction-powered inference, 2023, for λ (for a mean this is its estimate exactly);
Bonett and Price, Adjusted Wald confidence interval for a difference of binomial proportions based on paired data,
JEBS 2012, for the two sentences. ppi-python does the same for a mean, but knows no clusters, no ratios and no
differences, brings numba, statsmodels, scikit-learn and gdown, and had its last release in 2024; the tests hold this
file against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from tristance.data.statistics import Floats, Ints

UNSEEN: Final = 2
"""Sentences that the variance counts beside those seen."""


class Figure(NamedTuple):
    """A figure of some rows."""

    value: float
    influence: Floats
    """How far each row moves the figure, `[n]`; sums to 0."""
    unit: float
    """How far one more label moves it, in a typical row."""


def ratio(values: Floats) -> Figure:
    """Sum of the first column over sum of the second, `[n, 2]`; a mean where the second is 1. NaN without a sum."""
    part, whole = values.T
    total = float(whole.sum())
    if total <= 0:
        return Figure(math.nan, np.zeros(len(values)), math.nan)
    value = float(part.sum()) / total
    return Figure(value, (part - value * whole) / total, 1 / total)


def slope(values: Floats) -> Figure:
    """Least-squares change of first / second column by the third, weighted by the second, `[n, 3]`.

    NaN where the third column has no two values.
    """
    part, whole, time = values.T
    total = float(whole.sum())
    away = time - float(whole @ time) / total if total > 0 else time * 0
    spread = float(whole @ away**2)
    if spread <= 0:
        return Figure(math.nan, np.zeros(len(values)), math.nan)
    value = float(away @ part) / spread
    residual = part - whole * (float(part.sum()) / total + value * away)
    return Figure(value, away * residual / spread, 1 / math.sqrt(total * spread))


@dataclass(frozen=True)
class Measured:
    """A figure measured on labels and on predictions; the difference of two is one, too."""

    sample: float
    """θ(Y)."""
    shift: float
    """θ'(f) - θ(f); 0 where either is undefined."""
    noise: Floats
    """Influence of each cluster on `sample`, `[G]`."""
    moved: Floats
    """Influence of each cluster on `shift`, `[G]`."""
    unit: float
    labelled: int
    """Clusters with a labelled row."""

    def __sub__(self, other: Measured) -> Measured:
        return Measured(
            self.sample - other.sample,
            self.shift - other.shift,
            self.noise - other.noise,
            self.moved - other.moved,
            math.hypot(self.unit, other.unit),
            min(self.labelled, other.labelled),
        )


class Interval(NamedTuple):
    """An estimate with its interval; low and high are NaN where the sample says nothing about its own noise."""

    value: float
    low: float
    high: float
    variance: float


def measure(
    figure: Callable[[Floats], Figure],
    gold: Floats,
    predicted: Floats,
    labelled: Ints,
    clusters: Ints,
    count: int,
) -> Measured:
    """Measure a figure on the sample and on all rows.

    Args:
        figure: `ratio` or `slope`.
        gold: What `figure` takes, of the n labelled rows, `[n, k]`.
        predicted: The same of the predictions for all M rows, `[M, k]`.
        labelled: Numbers of the labelled rows, `[n]`, without repeats.
        clusters: Cluster of every row, `[M]`, below `count`.
        count: Number of clusters, G.
    """
    rest = np.ones(len(predicted), np.bool_)
    rest[labelled] = False
    said, known, unknown = figure(gold), figure(predicted[labelled]), figure(predicted[rest])
    shift = unknown.value - known.value
    moved = np.zeros(count)
    if math.isnan(shift):
        shift = 0.0
    else:
        moved += np.bincount(clusters[rest], unknown.influence, count)
        moved -= np.bincount(clusters[labelled], known.influence, count)
    noise = np.zeros(count) + np.bincount(clusters[labelled], said.influence, count)
    return Measured(said.value, shift, noise, moved, said.unit, len(np.unique(clusters[labelled])))


def tuned(measured: Measured) -> float:
    """The λ of least variance; 0 where the predictions say nothing."""
    power = float(measured.moved @ measured.moved)
    return -float(measured.noise @ measured.moved) / power if power > 0 else 0.0


def interval(measured: Measured, tuning: float, level: float = 0.95) -> Interval:
    """The estimate at a λ, with its interval; at λ = 0 what the sample alone says."""
    value = measured.sample + tuning * measured.shift
    if measured.labelled < 2:
        return Interval(value, math.nan, math.nan, math.nan)
    influence = measured.noise + tuning * measured.moved
    seen = float(influence @ influence) * measured.labelled / (measured.labelled - 1)
    variance = seen + UNSEEN * measured.unit**2
    reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return Interval(value, value - reach, value + reach, variance)
