"""A model over a stream of records: constant memory, every row accounted for, nothing half-written."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tristance.data.errors import DataError, Fault, UserError
from tristance.data.files import writing
from tristance.data.records import Record
from tristance.models.caution import Tally
from tristance.models.classifier import StanceClassifier
from tristance.models.encoding import record_item, rows_by_slots
from tristance.models.predictions import to_predictions

STDIN = STDOUT = "-"
MARKS = ("out_of_scope", "abstained")
"""Fields that an earlier model's caution left, which say nothing of this one."""
WINDOW = 2048
"""Rows held in memory at a time; within them batches are of like length."""


@dataclass(frozen=True)
class Counts:
    """What became of the rows."""

    predicted: int
    rejected: int
    rejects: str | None
    tally: Tally

    def said(self, output: str) -> str:
        """In a line."""
        rejected = (
            f"; {self.rejected} rejected" + (f" -> {self.rejects}" if self.rejects else "") if self.rejected else ""
        )
        return f"{self.predicted} predicted -> {output}{rejected}"


def predict_stream(
    classifier: StanceClassifier,
    rows: Iterable[Record | Fault],
    output: str | Path,
    *,
    rejects: str | Path | None = None,
    strict: bool = False,
    batch_size: int = 32,
    progress: bool = False,
) -> Counts:
    """Predict every row that can be read.

    Args:
        classifier: The model.
        rows: Records, and the faults of rows that are none.
        output: JSONL file, written beside and renamed; `-` for standard output.
        rejects: JSONL file for the faults; beside the output if None. Only there if there are any: one that an earlier
            run left is removed.
        strict: Raise the first fault instead.
        batch_size: Sentences a step.
        progress: Show rows and rate on standard error.

    Raises:
        DataError: The first faults, if strict; or if no row could be read. Nothing is written then.
        UserError: If there are no rows, or the output cannot be what is asked for.
    """
    output = str(output)
    where = require_outputs(output, rejects)
    predicted, faults, tally = 0, _Rejects(where), Tally()
    with faults, _opened(output) as stream:
        for window in _windows(_watched(rows, progress), WINDOW):
            bad = [row for row in window if isinstance(row, Fault)]
            if bad and strict:
                raise DataError(bad)
            faults.add(bad)
            good = [row for row in window if isinstance(row, Record)]
            for row in predict_records(classifier, good, batch_size):
                tally.add(row)
                stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            predicted += len(good)
        if not predicted:
            raise DataError(faults.first) if faults.count else UserError("no sentences; allowed: at least one")
    if where and not faults.count:
        Path(where).unlink(missing_ok=True)
    return Counts(predicted, faults.count, where if faults.count else None, tally)


def predict_records(
    classifier: StanceClassifier, records: Sequence[Record], batch_size: int = 32
) -> Iterator[dict[str, Any]]:
    """A JSON-ready row for each record, in order: its fields, predicted labels, probabilities, and `gold`.

    What the classifier's caution holds against a row stands in it as `out_of_scope` or `abstained`.
    """
    rows: list[dict[str, Any]] = [{}] * len(records)
    items = [record_item(record, classifier.actors) for record in records]
    for numbers in rows_by_slots(items).values():
        chosen = [records[number] for number in numbers]
        scores = classifier.score_records(chosen, batch_size=batch_size)
        predictions = classifier.caution.mark(to_predictions([record.text for record in chosen], scores))
        for number, prediction in zip(numbers, predictions, strict=True):
            rows[number] = _row(records[number], prediction.as_dict())
    return iter(rows)


def _row(record: Record, predicted: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in record.as_dict().items() if name not in MARKS}
    gold: dict[str, Any] = {name: given.pop(name) for name in ("stance", "holder", "sentiment") if name in given}
    if record.targets:
        gold["targets"] = given["targets"]
        labels = [(predicted["stance"].pop(each.id), predicted["holder"].pop(each.id)) for each in record.targets]
        given["targets"] = [
            {**target, "stance": stance, "holder": holder}
            for target, (stance, holder) in zip(given["targets"], labels, strict=True)
        ]
        if not predicted["stance"]:  # no actor was asked about
            del predicted["stance"], predicted["holder"]
    if "gold" in given:  # labels beside it are what an earlier model predicted
        gold = given["gold"]
    return given | predicted | ({"gold": gold} if gold else {})


def _windows(rows: Iterable[Record | Fault], size: int) -> Iterator[list[Record | Fault]]:
    iterator = iter(rows)
    while window := list(itertools.islice(iterator, size)):
        yield window


def _watched(rows: Iterable[Record | Fault], shown: bool) -> Iterator[Record | Fault]:
    if not shown:
        yield from rows
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} sentences"),
        TaskProgressColumn(show_speed=True),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        for row in rows:
            yield row
            bar.advance(task)


def require_outputs(output: str | Path, rejects: str | Path | None, source: str | Path = STDIN) -> str | None:
    """Refuse places that cannot be written, before there is anything to write; gives the place of the rejects.

    Raises:
        UserError: If one is a folder, no .jsonl file, or the file that is read; or both are one file.
    """
    output = str(output)
    where = str(rejects) if rejects else f"{output}.rejects.jsonl" if output != STDOUT else None
    for place in (output, where):
        if place is None or place == STDOUT == output:
            continue
        if Path(place).is_dir():
            raise UserError(f"{place}: is a folder; allowed: a .jsonl file")
        if Path(place).suffix not in (".jsonl", ".ndjson"):
            raise UserError(f"{place}: found the ending {Path(place).suffix!r}; allowed: .jsonl")
        if source != STDIN and Path(place).resolve() == Path(source).resolve():
            raise UserError(f"{place}: is the file that is read; allowed: another file")
    if where is not None and Path(where).resolve() == Path(output).resolve():
        raise UserError(f"{where}: is asked to hold predictions and rejects; allowed: two files")
    return where


@contextlib.contextmanager
def _opened(output: str) -> Iterator[IO[Any]]:
    if output == STDOUT:
        yield sys.stdout
        sys.stdout.flush()
        return
    with writing(output) as stream:
        yield stream


class _Rejects:
    """Faults on their way into a file, or onto standard error where there is none."""

    def __init__(self, path: str | None) -> None:
        self.path, self.count = path, 0
        self.first: list[Fault] = []
        self._stack = contextlib.ExitStack()
        self._stream: IO[Any] | None = None

    def __enter__(self) -> _Rejects:
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.__exit__(*details)

    def add(self, faults: Sequence[Fault]) -> None:
        self.count += len(faults)
        self.first = (self.first + list(faults))[:5]
        for fault in faults:
            if self.path is None:
                sys.stderr.write(f"rejected: {fault}\n")
                continue
            if self._stream is None:
                self._stream = self._stack.enter_context(writing(self.path))
            self._stream.write(json.dumps(asdict(fault), ensure_ascii=False) + "\n")
