"""Gold and predictions as arrays of label numbers: where unannotated, missing and illegal labels are settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tristance.data.errors import UserError
from tristance.data.labels import HELD, OTHER, SENTIMENTS, STANCES
from tristance.data.records import Record
from tristance.data.statistics import Bools, Floats, Ints, confusion_cells
from tristance.models.predictions import Scores


@dataclass(frozen=True, slots=True)
class Answers:
    """One task's gold and predicted labels; `[N]`, or `[N, S]` over the slots of each sentence."""

    labels: tuple[str, ...]
    gold: Ints
    """Number of the gold label; -1 where not annotated."""
    predicted: Ints
    """Number of the most probable label; -1 where there is no prediction."""
    probabilities: Floats
    """`[..., K]` over `labels`, summing to 1; NaN where there is no prediction."""

    @property
    def annotated(self) -> Bools:
        """Where there is a gold label."""
        return np.asarray(self.gold >= 0)

    @property
    def right(self) -> Bools:
        """Where gold is predicted; a missing prediction is wrong."""
        return np.asarray(self.annotated & (self.gold == self.predicted), np.bool_)

    @property
    def missing(self) -> Bools:
        """Where there is a gold label and no prediction."""
        return self.annotated & (self.predicted < 0)

    @property
    def confidence(self) -> Floats:
        """Probability of the predicted label; NaN where there is no prediction."""
        return np.asarray(self.probabilities.max(-1))

    @property
    def cells(self) -> npt.NDArray[np.uint8]:
        """Confusion table of every answer, `[..., K, K + 1]`."""
        return confusion_cells(self.gold, self.predicted, len(self.labels))

    def slot(self, index: int) -> Answers:
        """The answers for one slot."""
        return Answers(self.labels, self.gold[:, index], self.predicted[:, index], self.probabilities[:, index])


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """All tasks of N sentences with S slots."""

    slots: tuple[str, ...]
    stance: Answers
    """`[N, S]`"""
    holder: Answers
    """`[N, S]`; annotated only where the gold stance is one that somebody holds."""
    sentiment: Answers
    """`[N]`"""

    @property
    def tasks(self) -> dict[str, Answers]:
        """The tasks by name, as `Scores.tempered` names them."""
        return {"stance": self.stance, "holder": self.holder, "sentiment": self.sentiment}


def joined(sheets: Sequence[AnswerSheet]) -> AnswerSheet:
    """The sheets of different sentences as one, in order; all with the same slots and labels."""

    def join(parts: Sequence[Answers]) -> Answers:
        fields = ([getattr(part, name) for part in parts] for name in ("gold", "predicted", "probabilities"))
        return Answers(parts[0].labels, *(np.concatenate(values) for values in fields))

    stance, holder, sentiment = (join([sheet.tasks[task] for sheet in sheets]) for task in sheets[0].tasks)
    return AnswerSheet(sheets[0].slots, stance, holder, sentiment)


def answer_sheet(records: Sequence[Record], scores: Scores, stance_labels: Sequence[str] = STANCES) -> AnswerSheet:
    """Put gold and predictions side by side.

    Args:
        records: N sentences with gold labels.
        scores: Their predictions, in the same order.
        stance_labels: The labels of the set. Others are struck from the predictions and the rest renormalised.

    Raises:
        ValueError: If the lengths differ.
        UserError: If there are no records, or a gold stance is not one of `stance_labels`.
    """
    if len(records) != len(scores):
        raise ValueError(f"{len(records)} records, {len(scores)} predictions")
    if not records:
        raise UserError("nothing to evaluate: found 0 sentences; allowed: at least one")
    labels, holders = tuple(label for label in STANCES if label in stance_labels), scores.holders
    gold = [[record.labels(slot) for slot in scores.slots] for record in records]
    stance = _numbers([[stance for stance, _ in row] for row in gold], labels)
    if (unknown := np.argwhere(stance < -1)).size:
        row, slot = unknown[0]
        raise UserError(
            f"{records[row].file or 'record'}:{records[row].line or records[row].id}: stance of {scores.slots[slot]}: "
            f"found {gold[row][slot][0]!r}; allowed: {', '.join(labels)}"
        )
    # A holder who is no slot of this model is somebody else to it; where nobody holds a stance there is none to find.
    held_by = [[holder if holder in (None, *holders) else OTHER for _, holder in row] for row in gold]
    held = np.isin(stance, [index for index, label in enumerate(labels) if label in HELD])
    holder = np.where(held, _numbers(held_by, holders), -1)
    sentiment = _numbers([[record.sentiment] for record in records], SENTIMENTS)[:, 0]
    columns = [STANCES.index(label) for label in labels]
    return AnswerSheet(
        scores.slots,
        _answers(labels, stance, scores.stance[..., columns]),
        _answers(holders, holder, scores.holder),
        _answers(SENTIMENTS, sentiment, scores.sentiment),
    )


def stance_confusion(records: Sequence[Record], scores: Scores) -> dict[str, list[list[int]]]:
    """Counts of gold stance by predicted stance for every slot, both in the order of `STANCES`.

    An answer without gold or without a prediction is in none of them.
    """
    sheet = answer_sheet(records, scores)
    tables = sheet.stance.cells[..., : len(STANCES)].sum(0, dtype=np.int64)
    return dict(zip(sheet.slots, tables.tolist(), strict=True))


def normalised(probabilities: npt.NDArray[Any]) -> Floats:
    """Probabilities made to sum to 1 over the last axis; all NaN where any is, or all are 0."""
    values = np.asarray(probabilities, np.float64)
    total = values.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, values / total, np.nan)


def best(probabilities: Floats) -> Ints:
    """Number of the most probable label, the first of equals; -1 where it is NaN."""
    return np.where(np.isnan(probabilities).any(-1), -1, np.nan_to_num(probabilities).argmax(-1))


def _answers(labels: tuple[str, ...], gold: Ints, probabilities: npt.NDArray[Any]) -> Answers:
    known = normalised(probabilities)
    return Answers(labels, gold, best(known), known)


def _numbers(names: Sequence[Sequence[str | None]], labels: Sequence[str]) -> Ints:
    """Label numbers; -1 for None, -2 for what is no label."""
    number: dict[str | None, int] = {None: -1, **{label: index for index, label in enumerate(labels)}}
    rows = [[number.get(name, -2) for name in row] for row in names]
    return np.array(rows, np.int64).reshape(len(names), -1)
