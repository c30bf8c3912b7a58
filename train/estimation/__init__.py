"""Figures that can be published: from predictions, and a small random sample that somebody labelled."""

from tristance.train.estimation.estimates import Estimate, estimate
from tristance.train.estimation.predicted import Predicted, read_predicted

__all__ = ["Estimate", "Predicted", "estimate", "read_predicted"]
