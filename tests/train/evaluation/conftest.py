"""Sentences with gold labels and predictions: drawn at random, or written out as labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tristance.data.labels import HELD, SENTIMENTS, STANCES, holder_labels
from tristance.data.records import Record
from tristance.models.predictions import Scores, from_labels

ACTORS = ("west", "russia", "north_korea")
Evaluated = tuple[list[Record], Scores]


@pytest.fixture
def drawn() -> Callable[..., Evaluated]:
    """`drawn(rows, seed, skill)`: random labels, and a model that gets some of them right."""

    def draw(rows: int = 200, seed: int = 0, skill: float = 2.0, group: int = 3) -> Evaluated:
        random = np.random.default_rng(seed)
        holders = holder_labels(ACTORS)
        stance = random.choice(4, (rows, 3), p=[0.2, 0.35, 0.2, 0.25])
        holder, sentiment = random.integers(5, size=(rows, 3)), random.integers(3, size=rows)

        def guess(gold: np.ndarray, labels: int) -> np.ndarray:
            logits = random.normal(size=(*gold.shape, labels)) * 1.5 + skill * np.eye(labels)[gold]
            powers = np.exp(logits)
            return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)

        def record(row: int) -> Record:
            labels = {actor: STANCES[stance[row, slot]] for slot, actor in enumerate(ACTORS)}
            held = {a: holders[holder[row, i]] if labels[a] in HELD else "none" for i, a in enumerate(ACTORS)}
            fields = {"group": f"g{row // group}", "genre": ("wire", "speech")[row % 2]}
            text = " ".join(["word"] * int(random.integers(4, 45)))
            return Record(f"s{row}", text, labels, held, SENTIMENTS[sentiment[row]], (), fields)

        records = [record(row) for row in range(rows)]
        return records, Scores(ACTORS, guess(stance, 4), guess(holder, 5), guess(sentiment, 3))

    return draw


@pytest.fixture
def written() -> Callable[..., Evaluated]:
    """`written(gold, predicted)`: the same from rows of labels, as a record has them."""

    def write(
        gold: list[dict[str, Any]], predicted: list[dict[str, Any]], slots: tuple[str, ...] = ACTORS
    ) -> Evaluated:
        own = {"text", "stance", "holder", "sentiment"}
        records = [
            Record(
                f"s{number}",
                row.get("text", "A sentence."),
                row.get("stance", {}),
                row.get("holder", {}),
                row.get("sentiment"),
                (),
                {key: value for key, value in row.items() if key not in own},
            )
            for number, row in enumerate(gold)
        ]
        return records, from_labels(predicted, slots)

    return write
