"""Shares, differences and trends of stance from predictions and a small labelled sample of the same sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from tristance.data.agreement import SENTENCE
from tristance.data.annotation_sheet import Labels, same_text
from tristance.data.errors import DataError, Fault, UserError, shorten
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.data.ppi import Figure, Measured, interval, measure, ratio, slope, tuned
from tristance.data.statistics import Bools, Floats, Ints
from tristance.train.estimation.predicted import Predicted

FEW: Final = 5
"""A label that the sample holds less often gives an interval that is wide, and rests on little."""


class Share(NamedTuple):
    """A figure of one task: labels weighted by `part`, over the rows with a label that `whole` counts."""

    name: str
    """`net` is favor minus against, positive minus negative."""
    part: tuple[int, ...]
    whole: tuple[int, ...]

    def values(self, answers: Floats) -> Floats:
        """Numerator and denominator of each row, `[n, 2]`, from labels or probabilities, `[n, K]`."""
        return answers @ np.array([self.part, self.whole], np.float64).T

    @property
    def limits(self) -> tuple[float, float]:
        """Between what the figure must lie."""
        return float(min(self.part)), float(max(self.part))


STANCE_SHARES: Final = (
    Share("favor", (1, 0, 0, 0), (1, 1, 1, 1)),
    Share("against", (0, 1, 0, 0), (1, 1, 1, 1)),
    Share("neutral", (0, 0, 1, 0), (1, 1, 1, 1)),
    Share("unrelated", (0, 0, 0, 1), (1, 1, 1, 1)),
    Share("net", (1, -1, 0, 0), (1, 1, 1, 1)),
    Share("favor of related", (1, 0, 0, 0), (1, 1, 1, 0)),
    Share("against of related", (0, 1, 0, 0), (1, 1, 1, 0)),
    Share("neutral of related", (0, 0, 1, 0), (1, 1, 1, 0)),
    Share("net of related", (1, -1, 0, 0), (1, 1, 1, 0)),
)
SENTIMENT_SHARES: Final = (
    Share("negative", (1, 0, 0), (1, 1, 1)),
    Share("neutral", (0, 1, 0), (1, 1, 1)),
    Share("positive", (0, 0, 1), (1, 1, 1)),
    Share("net", (-1, 0, 1), (1, 1, 1)),
)


@dataclass(frozen=True)
class Estimate:
    """One figure; shares, and differences and changes of shares, from 0 to 1. NaN where undefined."""

    kind: str
    """`share`, `difference` or `trend`."""
    actor: str
    figure: str
    group: str
    """Of `by`; empty for all sentences. `A - B` for a difference."""
    value: float
    low: float
    high: float
    counted: float
    """The same counted from the predicted labels: biased."""
    sample: float
    """The same from the labelled sentences alone."""
    sample_low: float
    sample_high: float
    rows: int
    labelled: int
    seen: int
    """Labelled sentences with the label, or without it, whichever are fewer."""
    worth: float
    """Labelled sentences that would give as short an interval without predictions."""
    tuning: float
    """λ: how far the predictions are used."""


def estimate(
    predicted: Predicted,
    labels: Labels,
    *,
    contrast: tuple[str, str] | None = None,
    level: float = 0.95,
) -> list[Estimate]:
    """Every share over all sentences and for each group; differences of two groups; trends where groups are periods.

    λ is tuned over all sentences for each figure, and used for its groups and differences too, since a few labels a
    group would not bear another; a trend has its own.

    Args:
        predicted: The predictions.
        labels: Labels of a random sample of the same sentences.
        contrast: Two groups: the first minus the second.
        level: Coverage of each interval.

    Raises:
        DataError: If a labelled sentence is none of the predictions', or has another text there.
        UserError: If no sentence is labelled, or there is no such group.
    """
    gold = _gold(predicted, labels)
    if not gold:
        raise UserError(f"{labels.file}: found no label of a sentence with a prediction; allowed: at least one")
    names = sorted({group for group in predicted.groups if group is not None})
    for name in contrast or ():
        if name not in names:
            raise UserError(f"--contrast: found {name!r}; allowed: {', '.join(names[:20]) or 'groups, told by --by'}")
    number = {name: place for place, name in enumerate(names)}
    groups = np.array([-1 if group is None else number[group] for group in predicted.groups], np.int64)
    found: list[Estimate] = []
    for slot, (rows, answers) in gold.items():
        task = _Task(slot, _shares_of(predicted.answers[slot]), rows, answers, predicted.clusters, level)
        known = np.asarray(np.isfinite(task.predicted).all(-1), np.bool_)
        for share in SENTIMENT_SHARES if slot == SENTENCE else STANCE_SHARES:
            every = task.measured(share, known)
            tuning = tuned(every.measured)
            found.append(task.estimate("share", share, "", every, tuning))
            parts = [task.measured(share, known & (groups == place)) for place in range(len(names))]
            found += [task.estimate("share", share, n, part, tuning) for n, part in zip(names, parts, strict=True)]
            if contrast:
                one, other = (parts[number[name]] for name in contrast)
                found.append(task.estimate("difference", share, " - ".join(contrast), one - other, tuning))
            dated = known & np.isfinite(predicted.times)
            if len(names) > 1 and dated.any():
                trend = task.measured(share, dated, predicted.times)
                found.append(task.estimate("trend", share, "", trend, tuned(trend.measured)))
    return found


class _Piece(NamedTuple):
    """A figure of some rows, measured and counted."""

    measured: Measured
    counted: float
    rows: int
    labelled: int
    seen: int

    def __sub__(self, other: _Piece) -> _Piece:
        return _Piece(
            self.measured - other.measured,
            self.counted - other.counted,
            self.rows + other.rows,
            self.labelled + other.labelled,
            min(self.seen, other.seen),
        )


@dataclass(frozen=True)
class _Task:
    """One actor's stance, or the sentiment."""

    slot: str
    predicted: Floats
    labelled: Ints
    gold: Floats
    clusters: Ints
    level: float

    def measured(self, share: Share, among: Bools, times: Floats | None = None) -> _Piece:
        """A share, or its change over `times`, among some rows."""
        rows = np.flatnonzero(among)
        chosen = among[self.labelled]
        figure: Callable[[Floats], Figure] = ratio if times is None else slope

        def columns(answers: Floats, at: Ints) -> Floats:
            values = share.values(answers)
            return values if times is None else np.column_stack([values, times[at]])

        gold = columns(self.gold[chosen], self.labelled[chosen])
        probabilities = self.predicted[rows]
        hard = np.eye(probabilities.shape[1])[probabilities.argmax(-1)]
        return _Piece(
            measure(
                figure,
                gold,
                columns(probabilities, rows),
                np.searchsorted(rows, self.labelled[chosen]),
                self.clusters[rows],
                int(self.clusters.max()) + 1,
            ),
            figure(columns(hard, rows)).value,
            len(rows),
            int(chosen.sum()),
            _seen(gold),
        )

    def estimate(self, kind: str, share: Share, group: str, piece: _Piece, tuning: float) -> Estimate:
        """The piece at a λ, kept to what a share, or a difference of two, can be."""
        low, high = share.limits
        spread = {"share": (low, high), "difference": (low - high, high - low), "trend": (-math.inf, math.inf)}[kind]
        powered, alone = (interval(piece.measured, each, self.level) for each in (tuning, 0.0))
        value, bottom, top, alone_value, alone_low, alone_high = (
            float(np.clip(number, *spread)) for number in (*powered[:3], *alone[:3])
        )
        worth = piece.labelled * alone.variance / powered.variance if powered.variance else math.nan
        return Estimate(
            kind, self.slot, share.name, group, value, bottom, top, piece.counted, alone_value, alone_low, alone_high,
            piece.rows, piece.labelled, piece.seen, worth, tuning,
        )  # fmt: skip


def _seen(gold: Floats) -> int:
    part, whole = gold[:, 0], gold[:, 1]
    return int(min((part != 0).sum(), ((part == 0) & (whole > 0)).sum()))


def _shares_of(answers: Floats) -> Floats:
    """Probabilities that sum to 1 again, after their rounding in the file."""
    exact = answers.astype(np.float64)
    return np.asarray(exact / exact.sum(-1, keepdims=True))


def _gold(predicted: Predicted, labels: Labels) -> dict[str, tuple[Ints, Floats]]:
    """Rows of the labelled sentences that have a prediction, and their labels as one-hot, for each slot."""
    place = {sentence.key: row for row, sentence in enumerate(predicted.sentences) if sentence.key in labels.records}
    faults = []
    for key, record in labels.records.items():
        if key not in place:
            found = f"{shorten(record.text)}, which is no sentence of {predicted.file} (key {key})"
            faults.append(Fault(labels.file, record.line, None, found, "the predictions it was drawn from"))
        elif not same_text(record, predicted.sentences[place[key]].text):
            allowed = f"{shorten(predicted.sentences[place[key]].text)}, as in {predicted.file}"
            faults.append(Fault(labels.file, record.line, "text", shorten(record.text), allowed))
    if faults:
        raise DataError(faults)
    gold = {}
    for slot, answers in predicted.answers.items():
        names = SENTIMENTS if slot == SENTENCE else STANCES
        said = {place[key]: label for key, label in _labels_of(slot, labels) if np.isfinite(answers[place[key]]).all()}
        if said:
            rows = np.array(sorted(said), np.int64)
            gold[slot] = rows, np.eye(len(names))[[names.index(said[row]) for row in rows]]
    return gold


def _labels_of(slot: str, labels: Labels) -> Iterator[tuple[str, str]]:
    for key, record in labels.records.items():
        label = record.sentiment if slot == SENTENCE else record.stance.get(slot)
        if label is not None:
            yield key, label
