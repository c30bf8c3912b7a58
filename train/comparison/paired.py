"""Experiments on the same sentences: every difference with its interval, its test, and what it comes to in words.

Both experiments are scored on the same resamples of whole groups (Bootstrap), their seeds averaged within each. A
figure's test asks how many standard errors, taken from those resamples, its difference lies from none; that of
`joint_accuracy` flips signs over groups, or is McNemar's where there are neither groups nor further seeds. All p-values
of one comparison are Holm's. Simulated: false positives in 5 % of null pairs, intervals that hold the truth in 95 %
(tests/train/comparison/test_paired.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tristance.data import statistics
from tristance.data.errors import UserError
from tristance.data.records import Record
from tristance.data.statistics import Floats, Ints
from tristance.train.comparison.gather import Comparison
from tristance.train.evaluation.answers import AnswerSheet, answer_sheet
from tristance.train.evaluation.metrics import Tally, all_right, resampled, tally_of
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.evaluation.predictions import align, read_predictions, read_scored
from tristance.train.runs import Run

FLIPS: Final = 9_999
"""Random sign flips, where there are too many to try each."""
JOINT: Final = "joint_accuracy"
LOWER_IS_BETTER: Final = "ece"


@dataclass(frozen=True)
class Scored:
    """An experiment's predictions for the sentences that all share, a sheet a seed."""

    name: str
    sheets: tuple[AnswerSheet, ...]

    @property
    def right(self) -> Floats:
        """Share of the seeds with every stance of the sentence right, `[N]`; NaN where none is annotated."""
        found = np.stack([all_right([sheet.stance]) for sheet in self.sheets]).astype(float)
        return statistics.ratio(found[..., 0].sum(0), found[..., 1].sum(0))


@dataclass(frozen=True)
class Difference:
    """One figure of one experiment, less that of the reference; all as shares."""

    experiment: str
    figure: str
    reference_value: float
    """Mean over the reference's seeds."""
    value: float
    """Mean over the experiment's seeds."""
    difference: float
    low: float
    high: float
    seed_sd: tuple[float | None, float | None]
    """Standard deviation over seeds, of the reference and of the experiment; None with one seed."""
    test: str
    """How `p` was found: `bootstrap`, `sign-flip` or `McNemar`."""
    p: float
    p_holm: float
    effect: float
    """Effect size: Cohen's h, of which 0.2 is called small, 0.5 medium, 0.8 large. (A figure is taken for a share.)"""
    effect_low: float
    effect_high: float
    level: float

    @property
    def better(self) -> bool | None:
        """Whether the experiment is better than the reference; None without evidence either way."""
        if math.isnan(self.p_holm) or self.p_holm > 1 - self.level or self.difference == 0:
            return None
        return (self.difference > 0) != self.figure.endswith(LOWER_IS_BETTER)

    @property
    def by_itself(self) -> bool:
        """Whether the interval leaves zero out, whatever else is compared."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Paired:
    """Experiments against a reference on the same sentences."""

    reference: str
    records: Sequence[Record]
    scored: tuple[Scored, ...]
    """The reference first."""
    differences: tuple[Difference, ...]
    clusters: int


def differences(comparison: Comparison, against: str | None = None, options: EvaluationConfig | None = None) -> Paired:
    """Test every experiment of a comparison against one of them.

    Args:
        comparison: Experiments on the same rows.
        against: Name of the reference; the first if None.
        options: Resamples, level, seed and bins; the defaults if None.

    Raises:
        UserError: If there is nothing to compare, no experiment of that name, or a run lacks its predictions.
    """
    options = options or EvaluationConfig()
    names = [experiment.name for experiment in comparison.experiments]
    if len(names) < 2:
        raise UserError(f"found one experiment, {names[0]}; allowed: at least two, to tell them apart")
    if against is not None and against not in names:
        raise UserError(f"no experiment {against!r} to compare with; allowed: {', '.join(names)}")
    first = names.index(against) if against else 0
    order = [first, *(number for number in range(len(names)) if number != first)]
    chosen = [comparison.experiments[number] for number in order]
    records, sheets = read_sheets([run for experiment in chosen for run in experiment.runs], comparison.split)
    rest = iter(sheets)
    scored = [Scored(experiment.name, tuple(next(rest) for _ in experiment.runs)) for experiment in chosen]
    tally = tally_of(records, options)
    return Paired(scored[0].name, records, tuple(scored), compared(scored, tally, options), tally.bootstrap.clusters)


def read_sheets(runs: Sequence[Run], split: str) -> tuple[list[Record], list[AnswerSheet]]:
    """Predictions of runs beside gold, the sentences in one order.

    Raises:
        UserError: If a run lacks its predictions, or other labels or slots were asked about.
    """
    records: list[Record] | None = None
    asked: tuple[Any, Any] | None = None
    sheets = []
    for run in runs:
        path = run.predictions(split)
        if not path.is_file():
            raise UserError(f"{path}: no predictions are kept of this run; allowed: runs with theirs")
        if records is None:
            records, scores = read_scored(path)
        else:
            scores = align(records, read_predictions(path))
        labels = run.metrics()[split]["stance_labels"]
        asked = asked or (scores.slots, labels)
        if asked != (scores.slots, labels):
            raise UserError(
                f"{run.folder}: is about {', '.join(scores.slots)} with {', '.join(labels)}, the first run about "
                f"{', '.join(asked[0])} with {', '.join(asked[1])}; allowed: the same slots and stance labels"
            )
        sheets.append(answer_sheet(records, scores, labels))
    assert records is not None
    return records, sheets


def compared(scored: Sequence[Scored], tally: Tally, options: EvaluationConfig) -> tuple[Difference, ...]:
    """Each experiment's differences from the first, with Holm's correction over all of them."""
    reference, *others = scored
    base = by_seed(reference.sheets, tally, options)
    rows: list[dict[str, Any]] = []
    for other in others:
        mine = by_seed(other.sheets, tally, options)
        for figure in [name for name in base if name in mine]:
            rows.append(_difference(other, figure, base[figure], mine[figure], tally, options))
            if figure == JOINT:
                rows[-1] |= joint_test(reference, other, tally.clusters, options.seed)
    corrected = holm([row["p"] for row in rows])
    return tuple(Difference(**row, p_holm=p, level=options.level) for row, p in zip(rows, corrected, strict=True))


def by_seed(sheets: Sequence[AnswerSheet], tally: Tally, options: EvaluationConfig) -> dict[str, Floats]:
    """Every figure of every seed, in the sample and in the resamples: `[seeds, 1 + R]`."""
    found = [resampled(tally, sheet, options.calibration_bins) for sheet in sheets]
    return {name: np.stack([each[name] for each in found]) for name in found[0] if all(name in each for each in found)}


def _difference(
    other: Scored, figure: str, base: Floats, mine: Floats, tally: Tally, options: EvaluationConfig
) -> dict[str, Any]:
    there, here = base.mean(0), mine.mean(0)
    value, low, high = _interval(figure, here - there, tally)
    effect = _interval(figure, cohens_h(here) - cohens_h(there), tally)
    return {
        "experiment": other.name,
        "figure": figure,
        "reference_value": float(there[0]),
        "value": float(here[0]),
        "difference": value,
        "low": low,
        "high": high,
        "seed_sd": (deviation(base[:, 0]), deviation(mine[:, 0])),
        "test": "bootstrap",
        "p": bootstrap_p(here - there) if options.resamples else math.nan,
        **dict(zip(("effect", "effect_low", "effect_high"), effect, strict=True)),
    }


def cohens_h(shares: Floats) -> Floats:
    """The scale on which differences of shares are alike everywhere between 0 and 1.

    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, ch. 6.
    """
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(shares, 0, 1))))


def _interval(figure: str, values: Floats, tally: Tally) -> tuple[float, float, float]:
    """Value, low and high of a difference.

    Noise only adds to a calibration error, to the better model's most of all: its resamples lie off by as much as the
    sample does. The basic interval (Efron and Tibshirani 1993, ch. 13) turns that round; all others are percentiles.
    """
    value, low, high = (float(bound) for bound in tally.bootstrap.interval(values))
    return (value, 2 * value - high, 2 * value - low) if figure.endswith(LOWER_IS_BETTER) else (value, low, high)


def deviation(values: Floats) -> float | None:
    """Standard deviation over seeds; None with one."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def bootstrap_p(values: Floats) -> float:
    """Two-sided p of a difference by the normal approximation, with the resamples' standard error.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 12 and 16.

    Args:
        values: The difference in the sample and in every resample, `[1 + R]`; undefined ones (NaN) are left out.

    Returns:
        1 where nothing ever differs; NaN where the sample's difference or its error is undefined.
    """
    from scipy.stats import norm

    known = values[1:][~np.isnan(values[1:])]
    if math.isnan(values[0]) or len(known) < 2:
        return math.nan
    error = float(known.std(ddof=1))
    if error == 0:
        return 1.0 if values[0] == 0 else 0.0
    return float(2 * norm.sf(abs(float(values[0])) / error))


def joint_test(reference: Scored, other: Scored, clusters: Ints, seed: int = 0) -> dict[str, Any]:
    """Test whether two experiments have the same share of sentences with every stance right.

    Source: sign flips of whole clusters after Fisher's randomisation test for matched pairs, 1935; McNemar 1947, exact.

    Returns:
        `test`, and its two-sided `p`.
    """
    from scipy.stats import binomtest, permutation_test

    gain = np.nan_to_num(other.right - reference.right)
    if len(np.unique(clusters)) == len(clusters) and len(reference.sheets) == len(other.sheets) == 1:
        won, lost = int((gain > 0).sum()), int((gain < 0).sum())
        return {"test": "McNemar", "p": float(binomtest(won, won + lost).pvalue) if won + lost else 1.0}
    sums = statistics.cluster_sums(gain, clusters, int(clusters.max()) + 1)
    sums = sums[sums != 0]  # a flip changes nothing of the others
    if not len(sums):
        return {"test": "sign-flip", "p": 1.0}

    def total(values: Floats, axis: int = -1) -> Any:
        return values.sum(axis)

    found = permutation_test(
        (sums,),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=500,
        rng=np.random.default_rng(seed),
    )
    return {"test": "sign-flip", "p": float(found.pvalue)}


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number; NaN stay and do not count.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    known = sorted((value, place) for place, value in enumerate(values) if not math.isnan(value))
    corrected, least = list(values), 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, value * (len(known) - rank)))
        corrected[place] = least
    return corrected


def verdict(found: Difference, names: Mapping[str, str]) -> str:
    """A difference in plain words.

    Args:
        found: The difference.
        names: What slots are called: `{"west": "the West"}`.
    """
    slot, _, rest = found.figure.rpartition(".")
    about = f"for {names[slot]}" if slot in names and rest == "F_avg" else FIGURES.get(found.figure, found.figure)
    scale, unit = (1.0, "") if found.figure.endswith(LOWER_IS_BETTER) else (100.0, " points")
    digits = 3 if scale == 1 else 1
    span = f"[{scale * found.low:+.{digits}f}, {scale * found.high:+.{digits}f}]"
    if found.better is None:
        luck = "; its interval leaves 0 out, but not once all comparisons count" if found.by_itself else ""
        return f"no evidence of a difference {about} ({scale * found.difference:+.{digits}f}{unit} {span}{luck})"
    word = "better" if found.better else "worse"
    return f"{word} {about} by {scale * abs(found.difference):.{digits}f}{unit} {span}"


FIGURES: Final = {
    "mean.F_avg": "over all actors",
    "worst.F_avg": "for the worst actor",
    "joint_accuracy": "in getting every stance of a sentence right",
    "mean.detection_F1": "in telling who is referred to",
    "holder.macro_F1": "in naming the holder",
    "holder.end_to_end": "in stance and holder together",
    "sentiment.macro_F1": "in sentiment",
    "mean.ece": "in calibration error",
}
