"""The label sets: the only place where they are written down. What a label means: LABELING.md beside this file."""

from __future__ import annotations

from typing import Final

STANCES: Final = ("favor", "against", "neutral", "unrelated")
"""Stance of a sentence towards an actor (SemEval-2016 task 6, with `neutral` and `unrelated` told apart)."""
HELD: Final = ("favor", "against")
"""The stances that somebody holds; F_avg is the mean F1 of these two."""
SENTIMENTS: Final = ("negative", "neutral", "positive")
"""Tone of the sentence as a whole."""
AUTHOR: Final = "author"
OTHER: Final = "other"
NO_HOLDER: Final = "none"
FREE_HOLDERS: Final = (AUTHOR, OTHER)
"""Holders that are no slot: the sentence's own voice, and anybody else. Every slot may be a holder beside them."""
RESERVED: Final = (AUTHOR, OTHER, NO_HOLDER, "pooled", "sentiment")
"""Ids that no actor or target may have: labels of a holder, and what stands beside the slots in metrics."""


def known_holder(holder: str | None, holders: tuple[str, ...]) -> str | None:
    """A gold holder among `holders`: whoever is no slot of the sentence counts as `other`."""
    return holder if holder is None or holder in holders or holder == NO_HOLDER else OTHER


def holder_labels(slots: tuple[str, ...]) -> tuple[str, ...]:
    """Holders possible among `slots` (ids of actors or targets), in the order of the pointer: author, other, slots."""
    return (*FREE_HOLDERS, *slots)
