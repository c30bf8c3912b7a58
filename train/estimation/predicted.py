"""Predictions as arrays: what was said of every sentence, which of them hang together, and which group each is of."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tristance.data.actors import Actors
from tristance.data.agreement import SENTENCE
from tristance.data.annotation_sheet import Keys, Sentence
from tristance.data.errors import DataError, Fault, UserError, shorten
from tristance.data.formats import read
from tristance.data.records import Record
from tristance.data.statistics import Floats, Ints, cluster_ids
from tristance.models.predictions import Scores, from_labels
from tristance.train.evaluation.predictions import row_faults

CLUSTERS: Final = ("doc", "group")
"""Fields that say which sentences hang together, the first that is there."""
PERIODS: Final[Mapping[str, float]] = {"day": 1, "week": 7, "month": 30.436875, "quarter": 91.310625, "year": 365.2425}
"""Days of each, on average."""
BLOCK: Final = 4096
"""Rows held as they were read."""


@dataclass(frozen=True)
class Predicted:
    """What a file of predictions says of its M sentences."""

    file: str
    sentences: tuple[Sentence, ...]
    answers: Mapping[str, Floats]
    """Actor, or `SENTENCE`, to probabilities, `[M, K]`; NaN in a row without a prediction."""
    clusters: Ints
    """`[M]`."""
    clustered_by: str | None
    """Field that tells the clusters; None where every sentence is one of its own."""
    groups: tuple[str | None, ...]
    """Value or period of `by`."""
    times: Floats
    """In periods, `[M]`; NaN where `by` is no date, or the sentence has none."""
    by: str | None


def read_predicted(file: str | Path, actors: Actors, *, by: str | None = None, cluster: str | None = None) -> Predicted:
    """Read predictions as `tristance predict` writes them.

    Args:
        file: JSON Lines, or another format that holds the same fields.
        actors: Who may be predicted.
        by: Field to tell groups by, or `field:period` of a date (`day`, `week`, `month`, `quarter`, `year`).
        cluster: Field that tells which sentences hang together; None for the first of `CLUSTERS` that is there.

    Raises:
        DataError: With every row that cannot be read, and every date that is none.
        UserError: If nothing is predicted, or no row has a field that is named.
    """
    gathered = _Gathered(str(file), actors.ids, *_field_and_period(by), (cluster,) if cluster else CLUSTERS)
    for item in read(file, actors=actors):
        if isinstance(item, Fault):
            gathered.faults.append(item)
        else:
            gathered.add(item)
    if gathered.faults:
        raise DataError(gathered.faults)
    answers = gathered.answers()
    if not answers:
        raise UserError(f"{file}: found no predicted label; allowed: what `tristance predict` writes")
    hung = next((field for field, values in gathered.hung.items() if any(value is not None for value in values)), None)
    for option, field, there in (
        ("--by", gathered.field, any(group is not None for group in gathered.groups)),
        ("--cluster", cluster, hung is not None),
    ):
        if field and not there:
            raise UserError(f"{option}: found {field!r}; allowed: a field of {file}: {', '.join(gathered.named)}")
    clusters = cluster_ids(gathered.hung[hung] if hung else [None] * len(gathered.sentences))
    times = np.array(gathered.days) / PERIODS.get(gathered.period or "", 1)
    return Predicted(str(file), tuple(gathered.sentences), answers, clusters, hung, tuple(gathered.groups), times, by)


class _Gathered:
    """Columns that grow row by row."""

    def __init__(
        self, file: str, actors: tuple[str, ...], field: str | None, period: str | None, clusters: tuple[str, ...]
    ) -> None:
        self.file, self.actors, self.field, self.period = file, actors, field, period
        self.faults: list[Fault] = []
        self.sentences: list[Sentence] = []
        self.groups: list[str | None] = []
        self.days: list[float] = []
        self.hung: dict[str, list[str | None]] = {name: [] for name in clusters}
        self.named: dict[str, None] = {}
        """Names of all fields, in order."""
        self._keys = Keys()
        self._rows: list[dict[str, Any]] = []
        self._scores: list[Scores] = []

    def add(self, record: Record) -> None:
        """Take a row in, or its faults."""
        row = record.as_dict()
        self.faults += row_faults(row, self.actors, self.file, record.line)
        self.sentences.append(Sentence(self._keys.of(record), record.text))
        for name, values in self.hung.items():
            value = record.fields.get(name)
            values.append(None if value is None else str(value))
        self.named |= dict.fromkeys(name for name in record.fields if name != "probabilities")
        group, day = _grouped(record, self.field, self.period, self.faults)
        self.groups.append(group)
        self.days.append(day)
        self._rows.append(row)
        if len(self._rows) == BLOCK:
            self._settle()

    def answers(self) -> dict[str, Floats]:
        """Probabilities of every slot that has any."""
        self._settle()
        by_slot = {
            actor: np.concatenate([each.stance[:, number] for each in self._scores])
            for number, actor in enumerate(self.actors)
        }
        by_slot[SENTENCE] = np.concatenate([each.sentiment for each in self._scores])
        return {slot: values for slot, values in by_slot.items() if np.isfinite(values).all(-1).any()}

    def _settle(self) -> None:
        if not self.faults:  # rows with faults have no numbers to be made of
            self._scores.append(from_labels(self._rows, self.actors))
        self._rows = []


def _field_and_period(by: str | None) -> tuple[str | None, str | None]:
    if by is None:
        return None, None
    field, colon, period = by.partition(":")
    if colon and period not in PERIODS:
        raise UserError(f"--by: found the period {period!r}; allowed: {', '.join(PERIODS)}, for example date:month")
    return field, period or None


def _grouped(record: Record, field: str | None, period: str | None, faults: list[Fault]) -> tuple[str | None, float]:
    """Group and day of a sentence; None and NaN without the field."""
    value = record.fields.get(field) if field else None
    if value is None or value == "":
        return None, math.nan
    if not period:
        return str(value), math.nan
    try:
        date = _date(str(value).strip(), period)
    except ValueError:
        allowed = f"a date that tells the {period}, as 2024-03-17"
        faults.append(Fault(record.file, record.line, field, shorten(value), allowed))
        return None, math.nan
    return _period(date, period), float(date.toordinal())


def _date(text: str, period: str) -> dt.date:
    """A date or time of ISO 8601; a year, or a year and a month, where these tell the period."""
    lengths = {"year": (4, 7), "quarter": (7,), "month": (7,)}.get(period, ())
    if len(text) in lengths:
        text += "-01-01"[len(text) - 4 :]
    return dt.datetime.fromisoformat(text).date()


def _period(date: dt.date, period: str) -> str:
    """The period's name; names sort by time."""
    if period == "week":
        year, week, _ = date.isocalendar()
        return f"{year}-W{week:02}"
    if period == "quarter":
        return f"{date.year}-Q{(date.month + 2) // 3}"
    return date.isoformat()[: {"day": 10, "month": 7, "year": 4}[period]]
