"""`StanceMetric`: the figures of `metrics.py` as a Hugging Face `evaluate.Metric`. Works without the hub.

The import takes seconds, for `evaluate`; nothing else of tristance imports this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np
from datasets import Features, Value
from datasets import Sequence as ListOf

from tristance.data import statistics
from tristance.data.labels import STANCES
from tristance.train.evaluation.metrics import UNRELATED, f_avg

_CITATION = """\
@inproceedings{mohammad-etal-2016-semeval,
  title = {{SemEval-2016 Task 6}: Detecting Stance in Tweets},
  author = {Mohammad, Saif and Kiritchenko, Svetlana and Sobhani, Parinaz and Zhu, Xiaodan and Cherry, Colin},
  booktitle = {Proceedings of SemEval-2016},
  year = {2016}
}"""
_INPUTS = """
Args:
    predictions: label numbers, as `labels` orders them; negative for no answer, which is wrong.
        With actors: a list a sentence, with a number an actor. Without: a number a sentence.
    references: the gold label numbers in the same shape; negative (-1, -100) where not annotated, which is left out.
Returns:
    F_avg, macro_F1, accuracy, F1_<label> of each label, detection_F1 (where `unrelated` is a label); with actors each
    of them as <actor>.<figure>, and mean.<figure> over actors, worst.F_avg and joint_accuracy. NaN where undefined.
"""


class StanceMetric(evaluate.Metric):  # type: ignore[misc]
    """Stance figures of one target, or of several actors at once.

        StanceMetric().compute(predictions=[0, 1, 3], references=[0, 2, 3])["F_avg"]
        StanceMetric(actors=("west", "russia")).compute(predictions=[[0, 3]], references=[[0, 1]])["west.F_avg"]

    It gives points without intervals; `tristance.train.evaluation.evaluate` gives both, and holders and sentiment.

    Args:
        actors: Ids of the actors, in the order of the columns; empty for a single target.
        labels: Stance labels in the order of their numbers.
        kwargs: What `evaluate.Metric` takes.
    """

    def __init__(self, *, actors: Sequence[str] = (), labels: Sequence[str] = STANCES, **kwargs: Any) -> None:
        self.actors = tuple(actors)
        self.labels = tuple(labels)
        super().__init__(**kwargs)

    def _info(self) -> evaluate.MetricInfo:
        label = ListOf(Value("int64"), length=len(self.actors)) if self.actors else Value("int64")
        return evaluate.MetricInfo(
            description="Stance detection: F_avg, macro F1, accuracy and detection for one target or for each actor.",
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=Features({"predictions": label, "references": label}),
            reference_urls=["https://aclanthology.org/S16-1003/"],
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        shape = (-1, max(len(self.actors), 1))
        gold, predicted = np.asarray(references).reshape(shape), np.asarray(predictions).reshape(shape)
        size = len(self.labels)
        if max(gold.max(initial=-1), predicted.max(initial=-1)) >= size:
            raise ValueError(f"found a label number above {size - 1}; allowed: those of {', '.join(self.labels)}")
        counts = statistics.confusion_cells(gold, predicted, size).astype(np.int64).sum(0)
        figures = self._figures(counts)
        if not self.actors:
            return {name: float(values[0]) for name, values in figures.items()}
        result = {f"{actor}.{name}": float(x[i]) for i, actor in enumerate(self.actors) for name, x in figures.items()}
        result.update({f"mean.{name}": _over(np.mean, values) for name, values in figures.items()})
        result["worst.F_avg"] = _over(np.min, figures["F_avg"])
        annotated = (gold >= 0).any(1)
        right = ((gold < 0) | (gold == predicted)).all(1) & annotated
        result["joint_accuracy"] = float(statistics.ratio(right.sum(), annotated.sum()))
        return result

    def _figures(self, counts: Any) -> dict[str, statistics.Floats]:
        figures = {
            "F_avg": f_avg(counts, self.labels),
            "macro_F1": statistics.mean_f1(counts),
            "accuracy": statistics.accuracy(counts),
        }
        by_class = statistics.f1(counts)
        figures.update({f"F1_{label}": by_class[:, number] for number, label in enumerate(self.labels)})
        if UNRELATED in self.labels:
            related = statistics.detection(counts, self.labels.index(UNRELATED))
            figures["detection_F1"] = statistics.f1(related)[:, 0]
        return figures


def _over(function: Any, values: statistics.Floats) -> float:
    """A mean or minimum of what is defined."""
    defined = values[~np.isnan(values)]
    return float(function(defined)) if len(defined) else float("nan")
