"""Does a probability of 0.8 mean right four times in five? Temperature, calibration error, and abstaining."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.data.statistics import Floats, equal_mass_bins
from tristance.models.abstention import risk_curve
from tristance.models.predictions import Scores
from tristance.train.evaluation.answers import Answers, answer_sheet

TEMPERATURES: Final = (0.1, 10.0)
"""Range searched for a temperature. A small validation set that is all right would ask for zero."""
COVERAGES: Final = tuple(percent / 100 for percent in range(100, 45, -5))
"""Shares of the predictions that the coverage-risk table keeps."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Rows with a gold label and a prediction, sorted by confidence into bins of equal mass."""

    gaps: Floats
    """`[N, B + 1]`: sum of confidence - right of each sentence in each bin, and its rows in all."""
    table: list[dict[str, float | int]]
    """A row a bin that holds any: `n`, mean `confidence`, `accuracy`, and the bin's `low` and `high` confidence."""


def reliability(answers: Answers, bins: int = 15) -> Reliability | None:
    """Bin the answers by confidence.

    Returns:
        None where there is nothing to calibrate: no rows, or labels without probabilities (every confidence is 1).
    """
    known = answers.annotated & ~answers.missing
    confidence, right = answers.confidence[known], answers.right[known]
    if not known.any() or (confidence == 1).all():
        return None
    number = equal_mass_bins(confidence, bins)
    gaps = np.zeros((len(answers.gold), bins + 1))
    sentence = np.nonzero(known)[0]
    np.add.at(gaps, (sentence, number), confidence - right)
    np.add.at(gaps[:, bins], sentence, 1.0)
    table: list[dict[str, float | int]] = []
    for index in np.unique(number):
        chosen = number == index
        table.append(
            {
                "n": int(chosen.sum()),
                "confidence": round(float(confidence[chosen].mean()), 6),
                "accuracy": round(float(right[chosen].mean()), 6),
                "low": round(float(confidence[chosen].min()), 6),
                "high": round(float(confidence[chosen].max()), 6),
            }
        )
    return Reliability(gaps, table)


@dataclass(frozen=True, slots=True)
class CoverageRisk:
    """What is left, and how much of it is wrong, when a model abstains below a threshold."""

    thresholds: tuple[float, ...]
    """Lowest confidence kept for each of `COVERAGES`; equal confidences are kept or left together."""
    sums: Floats
    """`[N, C, 2]`: wrong and kept rows of each sentence at each threshold."""


def coverage_risk(answers: Answers) -> CoverageRisk | None:
    """Keep the most confident share of the annotated rows; a missing prediction is the first to be left out.

    Source: Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017.

    Returns:
        None without annotated rows.
    """
    annotated = answers.annotated
    if not annotated.any():
        return None
    confidence = np.nan_to_num(answers.confidence, nan=0.0)
    descending = np.sort(confidence[annotated])[::-1]
    thresholds = tuple(float(descending[math.ceil(share * len(descending)) - 1]) for share in COVERAGES)
    sums = np.zeros((len(answers.gold), len(COVERAGES), 2))
    for index, threshold in enumerate(thresholds):
        kept = annotated & (confidence >= threshold)
        pair = np.stack([kept & ~answers.right, kept], -1)
        sums[:, index] = pair.reshape(len(pair), -1, 2).sum(1)
    return CoverageRisk(thresholds, sums)


def fit_temperature(
    records: Sequence[Record], scores: Scores, *, stance_labels: Sequence[str] = STANCES
) -> dict[str, float]:
    """The temperature of each task that makes gold most likely; for `Scores.tempered`.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Args:
        records: Validation sentences, never the test set.
        scores: Their predictions, untempered.
        stance_labels: The set's labels.

    Returns:
        `stance`, `holder` and `sentiment`, within `TEMPERATURES`; 1 where a task has no probabilities to temper.
    """
    sheet = answer_sheet(records, scores, stance_labels)
    return {task: _fit(answers) for task, answers in sheet.tasks.items()}


def _fit(answers: Answers) -> float:
    known = answers.annotated & ~answers.missing
    tiny = np.finfo(np.float32).tiny  # a gold label given no chance at all costs much, not everything
    with np.errstate(divide="ignore"):
        logs = np.log(answers.probabilities[known])
    gold = np.log(np.maximum(np.take_along_axis(answers.probabilities[known], answers.gold[known][:, None], 1), tiny))

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(logs * scale).sum(-1)) - gold[:, 0] * scale))

    low, high = (math.log(bound) for bound in TEMPERATURES)
    if not known.any() or (answers.confidence[known] == 1).all():
        return 1.0
    return round(math.exp(_golden_section(loss, low, high)), 4)


def _golden_section(function: Callable[[float], float], low: float, high: float, tolerance: float = 1e-5) -> float:
    """Where a function with one valley is lowest: the loss is convex in 1 / T, so it has one valley in log T."""
    shrink = (math.sqrt(5) - 1) / 2
    left, right = high - shrink * (high - low), low + shrink * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > tolerance:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - shrink * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + shrink * (high - low)
            at_right = function(right)
    return (low + high) / 2


def risk_curves(
    records: Sequence[Record], scores: Scores, actors: Sequence[str], *, stance_labels: Sequence[str] = STANCES
) -> dict[str, Any]:
    """What abstaining buys for each actor, for the manifest (`abstention.risk_curve`).

    Args:
        records: Validation sentences, never the test set.
        scores: Their predictions, tempered as they will be in use.
        actors: Ids of the actors; one that no record is labelled for has no curve.
        stance_labels: The set's labels.
    """
    stance = answer_sheet(records, scores, stance_labels).stance
    curves = {}
    for index, slot in enumerate(scores.slots):
        answers = stance.slot(index)
        known = answers.annotated & ~answers.missing
        if slot in actors and known.any():
            curves[slot] = risk_curve(answers.confidence[known], answers.right[known])
    return curves


def before_and_after(
    before: Mapping[str, Any], after: Mapping[str, Any], temperature: Mapping[str, float]
) -> dict[str, Any]:
    """The `calibration` block of metrics.json.

    Args:
        before: Metrics of the scores as the network gave them.
        after: Metrics of `scores.tempered(temperature)`.
        temperature: Fitted on validation.

    Returns:
        The temperatures, and the calibration errors of each slot, of the mean over slots, holder and sentiment.
    """
    return {
        "temperature": dict(temperature),
        "before": _errors(before),
        "after": _errors(after),
    }


def _errors(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{slot: block["ece"] for slot, block in metrics["slots"].items()},
        "mean": metrics["overall"]["mean.ece"],
        "holder": metrics["pooled"]["holder"]["ece"],
        "sentiment": metrics["sentiment"]["ece"],
    }
