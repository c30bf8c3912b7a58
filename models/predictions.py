"""What a model answers: arrays for machines (`Scores`), objects for people (`Prediction`). No torch in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tristance.data.labels import FREE_HOLDERS, HELD, NO_HOLDER, SENTIMENTS, STANCES, holder_labels

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities for N sentences that share their S slots (actors, or the targets of a public set).

    A set that leaves labels out (three classes, say) has probability 0 for them.
    """

    slots: tuple[str, ...]
    stance: Floats
    """`[N, S, 4]` over `labels.STANCES`; NaN where a sentence has no such slot."""
    holder: Floats
    """`[N, S, 2 + S]` over author, other and the slots: who holds it, given that a stance is held."""
    sentiment: Floats
    """`[N, 3]` over `labels.SENTIMENTS`."""

    @property
    def holders(self) -> tuple[str, ...]:
        """Labels of the last axis of `holder`."""
        return holder_labels(self.slots)

    def __len__(self) -> int:
        return len(self.sentiment)

    def tempered(self, temperature: Mapping[str, float]) -> Scores:
        """The scores with their logits divided by a temperature a task (`stance`, `holder`, `sentiment`; default 1).

        Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
        """

        def temper(probabilities: Floats, task: str) -> Floats:
            value = temperature.get(task, 1.0)
            if value == 1.0:
                return probabilities
            powered = probabilities.astype(np.float64) ** (1.0 / value)
            with np.errstate(invalid="ignore"):  # a slot that a sentence lacks stays NaN
                tempered: Floats = (powered / powered.sum(-1, keepdims=True)).astype(np.float32)
            return tempered

        return Scores(
            self.slots,
            temper(self.stance, "stance"),
            temper(self.holder, "holder"),
            temper(self.sentiment, "sentiment"),
        )


@dataclass(frozen=True, slots=True)
class StancePrediction:
    """The stance towards one actor, and who holds it."""

    label: str
    score: float
    """Probability of `label`."""
    holder: str
    """`author`, `other`, an actor's id; `none` where the stance is neutral or unrelated."""
    probabilities: Mapping[str, float]
    holder_probabilities: Mapping[str, float]
    """Given that a stance is held."""


@dataclass(frozen=True, slots=True)
class SentimentPrediction:
    """The tone of the sentence as a whole."""

    label: str
    score: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Everything a model says about one sentence."""

    text: str
    stance: Mapping[str, StancePrediction]
    sentiment: SentimentPrediction
    scope: str | None = None
    """Why the text cannot be judged (`language: de`, `no sentence: …`); None if it can. What the model says of such a
    text stands above all the same, and is a guess."""
    abstained: tuple[str, ...] = ()
    """Actors whose stance is less sure than was asked for; their labels can be read all the same."""

    def as_dict(self, digits: int = 4) -> dict[str, Any]:
        """The labels as a record's fields, with all probabilities beside them, rounded to `digits` decimals.

        Out of scope every label is None and there are no probabilities, so that nobody counts a guess; `out_of_scope`
        says why. Otherwise `abstained` lists the actors that the model abstains on, if any.
        """
        if self.scope is not None:
            nothing = dict.fromkeys(self.stance)
            return {"stance": nothing, "holder": dict(nothing), "sentiment": None, "out_of_scope": self.scope}

        def rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
            return {label: round(value, digits) for label, value in probabilities.items()}

        return {
            "stance": {actor: stance.label for actor, stance in self.stance.items()},
            "holder": {actor: stance.holder for actor, stance in self.stance.items()},
            "sentiment": self.sentiment.label,
            "probabilities": {
                "stance": {actor: rounded(stance.probabilities) for actor, stance in self.stance.items()},
                "holder": {actor: rounded(stance.holder_probabilities) for actor, stance in self.stance.items()},
                "sentiment": rounded(self.sentiment.probabilities),
            },
            **({"abstained": list(self.abstained)} if self.abstained else {}),
        }


def to_predictions(texts: Sequence[str], scores: Scores) -> list[Prediction]:
    """One `Prediction` a sentence, in order."""
    holders = scores.holders
    stance_best, holder_best = scores.stance.argmax(-1), scores.holder.argmax(-1)
    sentiment_best = scores.sentiment.argmax(-1)
    stance, holder, sentiment = scores.stance.tolist(), scores.holder.tolist(), scores.sentiment.tolist()

    def stance_of(row: int, slot: int) -> StancePrediction:
        best = int(stance_best[row, slot])
        label = STANCES[best]
        return StancePrediction(
            label,
            stance[row][slot][best],
            holders[holder_best[row, slot]] if label in HELD else NO_HOLDER,
            dict(zip(STANCES, stance[row][slot], strict=True)),
            dict(zip(holders, holder[row][slot], strict=True)),
        )

    predictions = []
    for row, text in enumerate(texts):
        best = int(sentiment_best[row])
        tone = SentimentPrediction(
            SENTIMENTS[best], sentiment[row][best], dict(zip(SENTIMENTS, sentiment[row], strict=True))
        )
        by_slot = {name: stance_of(row, slot) for slot, name in enumerate(scores.slots)}
        predictions.append(Prediction(text, by_slot, tone))
    return predictions


def scattered(parts: Sequence[tuple[Sequence[int], Scores]], count: int) -> Scores:
    """One table of N sentences from parts with different slots: NaN where a sentence has no such slot.

    Args:
        parts: Row numbers, and the scores of those rows.
        count: N.
    """
    slots = tuple(dict.fromkeys(slot for _, scores in parts for slot in scores.slots))
    stance = np.full((count, len(slots), len(STANCES)), np.nan, np.float32)
    holder = np.full((count, len(slots), len(FREE_HOLDERS) + len(slots)), np.nan, np.float32)
    sentiment = np.empty((count, len(SENTIMENTS)), np.float32)
    for rows, scores in parts:
        columns = [slots.index(slot) for slot in scores.slots]
        labels = [*range(len(FREE_HOLDERS)), *(len(FREE_HOLDERS) + column for column in columns)]
        stance[np.ix_(rows, columns)] = scores.stance
        holder[np.ix_(rows, columns)] = 0.0  # whoever is no slot of the sentence holds nothing in it
        holder[np.ix_(rows, columns, labels)] = scores.holder
        sentiment[rows] = scores.sentiment
    return Scores(slots, stance, holder, sentiment)


def from_labels(rows: Sequence[Mapping[str, Any]], slots: tuple[str, ...]) -> Scores:
    """Scores from rows with labels and, where they have them, `probabilities` as `Prediction.as_dict` writes them.

    A row without probabilities becomes one-hot; a label that is missing becomes NaN.
    """
    holders = holder_labels(slots)
    stance = np.full((len(rows), len(slots), len(STANCES)), np.nan, np.float32)
    holder = np.full((len(rows), len(slots), len(FREE_HOLDERS) + len(slots)), np.nan, np.float32)
    sentiment = np.full((len(rows), len(SENTIMENTS)), np.nan, np.float32)
    for number, row in enumerate(rows):
        known = row.get("probabilities") or {}
        for index, slot in enumerate(slots):
            _fill(
                stance[number, index],
                STANCES,
                (known.get("stance") or {}).get(slot),
                (row.get("stance") or {}).get(slot),
            )
            held_by = (row.get("holder") or {}).get(slot)
            _fill(holder[number, index], holders, (known.get("holder") or {}).get(slot), held_by)
        _fill(sentiment[number], SENTIMENTS, known.get("sentiment"), row.get("sentiment"))
    return Scores(slots, stance, holder, sentiment)


def _fill(into: Floats, labels: Sequence[str], probabilities: Mapping[str, float] | None, label: str | None) -> None:
    if probabilities:
        into[:] = [probabilities.get(name, 0.0) for name in labels]
    elif label in labels:
        into[:] = [float(name == label) for name in labels]
