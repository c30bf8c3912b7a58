"""Which experiment is better, for which actor, by how much, and whether that is luck."""

from tristance.train.comparison.gather import Comparison, Experiment, compare_experiments
from tristance.train.comparison.paired import Difference, Paired, differences

__all__ = ["Comparison", "Difference", "Experiment", "Paired", "compare_experiments", "differences"]
