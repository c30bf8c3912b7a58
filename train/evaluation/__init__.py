"""How good is it, for whom, and how sure is that: metrics, calibration, predictions on disk, reports."""

from tristance.train.evaluation.calibration import before_and_after, fit_temperature
from tristance.train.evaluation.metrics import Figure, Metrics, evaluate, flatten
from tristance.train.evaluation.options import EvaluationConfig

__all__ = ["EvaluationConfig", "Figure", "Metrics", "before_and_after", "evaluate", "fit_temperature", "flatten"]
