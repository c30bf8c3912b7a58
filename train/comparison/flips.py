"""Sentences that one experiment gets right and another wrong: where the difference comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tristance.data.records import Record
from tristance.data.statistics import Bools, Floats, Ints
from tristance.train.comparison.paired import Scored

UNMARKED: Final = "-"
"""Phenomenon of a sentence that has none."""


@dataclass(frozen=True)
class Flip:
    """One actor of one sentence, which one of two experiments gets right."""

    record: Record
    slot: str
    gold: str
    reference: str
    """The stance that the reference gives, by the mean probability of its seeds."""
    other: str
    won: bool
    """Whether it is the other that is right."""
    confidence: float
    """Probability that the one which is wrong gives to its answer."""

    @property
    def phenomenon(self) -> str:
        """What makes the sentence hard, where it says so."""
        return str(self.record.fields.get("phenomenon") or UNMARKED)


def flips(records: Sequence[Record], reference: Scored, other: Scored) -> list[Flip]:
    """All flips, those first in which the one that is wrong is the most confident."""
    sheet = reference.sheets[0].stance
    labels, gold = sheet.labels, sheet.gold
    mine, theirs = _ensemble(reference), _ensemble(other)
    (there, sure_there), (here, sure_here) = _best(mine), _best(theirs)
    changed: Bools = (gold >= 0) & (there >= 0) & (here >= 0) & ((there == gold) != (here == gold))
    found = []
    for row, slot in zip(*np.nonzero(changed), strict=True):
        won = bool(here[row, slot] == gold[row, slot])
        found.append(
            Flip(
                records[row],
                reference.sheets[0].slots[slot],
                labels[gold[row, slot]],
                labels[there[row, slot]],
                labels[here[row, slot]],
                won,
                float((sure_there if won else sure_here)[row, slot]),
            )
        )
    return sorted(found, key=lambda flip: -flip.confidence)


def counted(found: Sequence[Flip]) -> dict[tuple[str, str], tuple[int, int]]:
    """Flips won and lost by actor and phenomenon, the most first."""
    both = Counter((flip.slot, flip.phenomenon) for flip in found)
    won = Counter((flip.slot, flip.phenomenon) for flip in found if flip.won)
    return {key: (won[key], count - won[key]) for key, count in both.most_common()}


def _ensemble(scored: Scored) -> Floats:
    return np.asarray(np.mean([sheet.stance.probabilities for sheet in scored.sheets], 0))


def _best(probabilities: Floats) -> tuple[Ints, Floats]:
    missing = np.isnan(probabilities).any(-1)
    known = np.nan_to_num(probabilities)
    return np.where(missing, -1, known.argmax(-1)), known.max(-1)
