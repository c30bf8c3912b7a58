"""When a model had better say nothing: thresholds of confidence for a risk that its user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tristance.data.errors import UserError, shorten
from tristance.data.statistics import Bools, Floats

GRID: Final = (*(round(0.975 - 0.025 * step, 3) for step in range(24)), 0.0)
"""Thresholds that are tried, from strict to lax; fixed beforehand, so that they owe nothing to the data."""
STARTS: Final = (0.95, 0.8, 0.6, 0.0)
"""Where a walk down the grid begins; the last asks whether everything may be answered."""
DOUBT: Final = 0.05
"""Chance that validation was lucky, and the error among new answers is above the risk after all."""
NEVER: Final = 1.01
"""A threshold that no confidence reaches."""


def risk_curve(confidence: Floats, right: Bools) -> dict[str, list[Any]]:
    """What is kept, and how much of that is wrong, at each threshold; travels in the manifest.

    Args:
        confidence: Probability of the predicted label of validation answers, `[N]`.
        right: Whether it is the gold label, `[N]`.

    Returns:
        `threshold`, `kept` and `wrong`, a value for each of `GRID`.
    """
    kept = [confidence >= threshold for threshold in GRID]
    return {
        "threshold": list(GRID),
        "kept": [int(rows.sum()) for rows in kept],
        "wrong": [int((rows & ~right).sum()) for rows in kept],
    }


def threshold_for(curve: Mapping[str, Sequence[Any]], max_error: float) -> float:
    """The lowest threshold at which the error among the answers kept is, with 95 % confidence, at most `max_error`.

    Each of `STARTS` walks down the grid for as long as a binomial test says so, at a fourth of the doubt, and the
    furthest one counts. This holds for new sentences like those of validation that do not hang together; where
    a checkpoint was chosen by the same sentences, it is a little hopeful.

    Source: Angelopoulos et al., Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control, 2021 (fixed
    sequences from several starts); for abstaining, Geifman and El-Yaniv, Selective Classification for Deep Neural
    Networks, NeurIPS 2017.

    Args:
        curve: As `risk_curve` gives it.
        max_error: Error rate allowed among the answers kept, between 0 and 1.

    Returns:
        A threshold of the curve; `NEVER` if none will do.
    """
    rows = list(zip(curve["threshold"], curve["kept"], curve["wrong"], strict=True))
    found = NEVER
    for start in STARTS:
        for threshold, kept, wrong in rows:
            if threshold > start:
                continue
            if binomial_tail(wrong, kept, max_error) > DOUBT / len(STARTS):
                break
            found = min(found, threshold)
    return float(found)


def binomial_tail(hits: int, trials: int, chance: float) -> float:
    """Probability of at most `hits` in `trials`, each with the same chance (0 < chance < 1)."""
    steps = np.arange(1, hits + 1)
    ratios = np.log(trials - steps + 1) - np.log(steps) + np.log(chance) - np.log1p(-chance)
    logs = trials * np.log1p(-chance) + np.concatenate([[0.0], np.cumsum(ratios)])
    return float(min(1.0, np.exp(np.logaddexp.reduce(logs))))


def thresholds_for(risk: Mapping[str, Any], slots: Sequence[str], max_error: float) -> dict[str, float]:
    """The threshold of each actor.

    Args:
        risk: A curve an actor, as the manifest holds them.
        slots: Ids of the actors.
        max_error: Error rate allowed among the answers kept.

    Raises:
        UserError: If the risk is none, or the model carries no curves or broken ones.
    """
    if not 0 < max_error < 1:
        raise UserError(f"max_error: found {max_error:g}; allowed: a share between 0 and 1, for example 0.1")
    missing = [slot for slot in slots if slot not in risk]
    if missing or not slots:
        raise UserError(
            f"max_error: this model carries no risk curve for {', '.join(missing) or 'any actor'}; "
            "allowed: one from `tristance calibrate MODEL validation.jsonl`, or from training again"
        )
    found = {}
    for slot in slots:
        try:
            found[slot] = threshold_for(risk[slot], max_error)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the manifest's risk.{slot}: found {shorten(risk[slot])}; allowed: threshold, kept and wrong"
            ) from error
    return found
