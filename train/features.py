"""Labelled records to training features: the encoding's, and the label ids beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.labels import FREE_HOLDERS, HELD, SENTIMENTS, STANCES, holder_labels, known_holder
from tristance.data.records import Record
from tristance.models.encoding import Arrays, Encoding, Item, record_item
from tristance.models.heads import MASKED
from tristance.models.predictions import Scores

LABELS = ("stance_labels", "holder_labels", "sentiment_labels", "stance_allowed")
SOFT_LABELS = ("teacher_stance", "teacher_holder", "teacher_sentiment")
"""Beside them where a teacher takes part: its probabilities."""


def training_set(
    records: Sequence[Record],
    stance_labels: Sequence[Sequence[str]],
    actors: Actors,
    encoding: Encoding,
    teacher: Scores | None = None,
) -> Dataset:
    """Encode records and their labels.

    Args:
        records: Labelled sentences.
        stance_labels: The label set of each record's source, in parallel.
        actors: Slots of the records that have no targets.
        encoding: The network's.
        teacher: What the teachers say of the records, in parallel.

    Returns:
        A dataset with the encoding's features, `LABELS`, `length` in tokens, and with a teacher `SOFT_LABELS`.
    """
    items = [record_item(record, actors) for record in records]
    features = encoding.tokenize(items)
    rows = zip(features, items, records, stance_labels, strict=True)
    found = [feature | _label_ids(item, record, allowed) for feature, item, record, allowed in rows]
    if teacher is not None:
        found = [
            row | _soft_labels(item, teacher, number)
            for number, (row, item) in enumerate(zip(found, items, strict=True))
        ]
    return Dataset.from_list(found)


def _label_ids(item: Item, record: Record, allowed: Sequence[str]) -> dict[str, Any]:
    slots = tuple(slot.id for slot in item.slots)
    holders = holder_labels(slots)
    gold = [record.labels(slot) for slot in slots]
    return {
        "stance_labels": [_id(stance, STANCES) for stance, _ in gold],
        "holder_labels": [
            _id(known_holder(holder, holders), holders) if stance in HELD else MASKED for stance, holder in gold
        ],
        "sentiment_labels": _id(record.sentiment, SENTIMENTS),
        "stance_allowed": [label in allowed for label in STANCES],
    }


def _soft_labels(item: Item, teacher: Scores, number: int) -> dict[str, Any]:
    """A row of the teacher's scores, cut to the slots of the item."""
    slots = tuple(slot.id for slot in item.slots)
    columns = [teacher.slots.index(slot) for slot in slots]
    holders = [teacher.holders.index(label) for label in holder_labels(slots)]
    return {
        "teacher_stance": teacher.stance[number, columns].tolist(),
        "teacher_holder": teacher.holder[number][np.ix_(columns, holders)].tolist(),
        "teacher_sentiment": teacher.sentiment[number].tolist(),
    }


def _id(label: str | None, labels: Sequence[str]) -> int:
    return labels.index(label) if label is not None and label in labels else MASKED


class Collator:
    """Pads features and labels into the tensors of one batch."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Arrays of `encoding.pad`, and the labels: `[B, S]` for stance and holder, `[B]`, `[B, 4]`.

        With a teacher also its probabilities, as `heads.distillation_loss` takes them.
        """
        arrays = self.encoding.pad(rows)
        shape = arrays["slot_mask"].shape
        for name in ("stance_labels", "holder_labels"):
            arrays[name] = np.full(shape, MASKED, np.int64)
            for number, row in enumerate(rows):
                arrays[name][number, : len(row[name])] = row[name]
        arrays["sentiment_labels"] = np.asarray([row["sentiment_labels"] for row in rows], np.int64)
        arrays["stance_allowed"] = np.asarray([row["stance_allowed"] for row in rows], bool)
        if "teacher_stance" in rows[0]:
            arrays |= self._soft_labels(rows, shape[1])
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @staticmethod
    def _soft_labels(rows: Sequence[Mapping[str, Any]], slots: int) -> Arrays:
        stance = np.zeros((len(rows), slots, len(STANCES)), np.float32)
        holder = np.zeros((len(rows), slots, len(FREE_HOLDERS) + slots), np.float32)
        for number, row in enumerate(rows):
            count = len(row["teacher_stance"])
            stance[number, :count] = row["teacher_stance"]
            holder[number, :count, : len(FREE_HOLDERS) + count] = row["teacher_holder"]
        sentiment = np.asarray([row["teacher_sentiment"] for row in rows], np.float32)
        return dict(zip(SOFT_LABELS, (stance, holder, sentiment), strict=True))


def stance_counts(records: Sequence[Record]) -> Counter[str]:
    """How often each stance is annotated, over all actors and targets."""
    annotated = (record.labels(slot)[0] for record in records for slot in record.slots)
    return Counter(stance for stance in annotated if stance is not None)


def balanced_weights(records: Sequence[Record]) -> torch.Tensor:
    """`[4]`: the inverse of each stance's frequency, 1 on average (`balanced` in scikit-learn)."""
    counts = stance_counts(records)
    total, present = sum(counts.values()), len(counts)
    return torch.tensor([total / (present * counts[label]) if counts[label] else 0.0 for label in STANCES])


def require_learnable(records: Sequence[Record], split: str) -> None:
    """Refuse a split that nothing can be learnt from.

    Raises:
        UserError: If it has no rows, or a single stance label.
    """
    if not records:
        raise UserError(f"{split} split: found 0 rows; allowed: at least one labelled sentence")
    found = stance_counts(records)
    if split.startswith("train") and len(found) < 2:
        raise UserError(
            f"{split} split: found stance labels {sorted(found)} alone; allowed: at least two of {', '.join(STANCES)}"
        )
