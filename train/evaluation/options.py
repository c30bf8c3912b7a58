"""The `evaluation` section of an experiment's config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tristance.data.sections import Section

Primary = Literal[
    "mean.F_avg",
    "worst.F_avg",
    "pooled.F_avg",
    "mean.macro_F1",
    "pooled.macro_F1",
    "pooled.accuracy",
    "joint_accuracy",
    "joint_accuracy_all",
    "holder.macro_F1",
    "sentiment.macro_F1",
]


class EvaluationConfig(Section):
    """How predictions are scored."""

    primary: Primary = "mean.F_avg"
    """The figure that early stopping and comparison go by, one of `overall` in metrics.json: mean.F_avg or
    mean.macro_F1 (mean over actors), worst.F_avg (the worst actor's), pooled.F_avg, pooled.macro_F1 or pooled.accuracy
    (all actors or targets as one, usual for public target-dependent sets), joint_accuracy (every stance of a sentence
    right), joint_accuracy_all (holders and sentiment too), holder.macro_F1, sentiment.macro_F1."""
    resamples: int = Field(2000, ge=0)
    """Bootstrap resamples behind each interval; 0 for no intervals."""
    level: float = Field(0.95, gt=0, lt=1)
    """Coverage of the intervals."""
    seed: int = Field(0, ge=0)
    """Seed of the resamples. Two evaluations of the same rows share their resamples if they share it."""
    slices: tuple[str, ...] = ("genre", "phenomenon")
    """Fields of the record by whose values results are shown; length and number of actors are always shown."""
    min_slice: int = Field(20, ge=1)
    """Sentences below which a slice is not shown."""
    calibration_bins: int = Field(15, ge=1)
    """Bins of equal mass for the calibration error."""
