"""A model over files: constant memory, every row accounted for, nothing half-written, and on again where it stopped."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from tristance.data.errors import DataError, Fault, UserError
from tristance.data.files import writing
from tristance.data.formats.rows import find
from tristance.data.records import Record
from tristance.models.answers import Answers, answer
from tristance.models.classifier import StanceClassifier
from tristance.models.output_columns import FIELDS, OutputColumns, output_columns
from tristance.models.output_files import encoded, join, output_kind, piece
from tristance.models.prediction_progress import PredictionProgress
from tristance.models.shards import Shards, Tally, open_shards

STDIN = STDOUT = "-"
WINDOW: Final = 2048
"""Rows held in memory at a time; within them batches are of like length. None reaches from one shard into the next."""
SHARD_SIZE: Final = 16_384
"""Rows of a shard: what is lost at most where a run is interrupted."""
FORMAT: Final = 1
"""Raised when this program would write other bytes than an earlier one from the same input."""
Rows = Iterable[Record | Fault]


@dataclass(frozen=True)
class Counts(Tally):
    """What became of the rows."""

    rejects: str | None = None
    earlier: int = 0
    """Rows that an earlier run had finished."""

    @classmethod
    def of(cls, total: Tally, rejects: str | None, earlier: int = 0) -> Counts:
        """What became of all rows; `rejects` is where the faults are, if there are any."""
        counted = {field.name: getattr(total, field.name) for field in fields(Tally)}
        return cls(**counted, rejects=rejects if total.rejected else None, earlier=earlier)

    def said(self, output: str) -> str:
        """In a line, and another for each thing to be known."""
        rejected = f"; {self.rejected} rejected" + (f" -> {self.rejects}" if self.rejects else "")
        lines = [f"{self.predicted} predicted -> {output}{rejected if self.rejected else ''}"]
        if self.earlier:
            lines.append(f"{self.earlier} rows were there from an earlier run")
        if self.cut:
            lines.append(f"{self.cut} sentences were longer than the model reads, and lost their end")
        if self.unread_labels:
            lines.append(f"{self.unread_labels} rows had labels that cannot be read: they keep them as `unread_labels`")
        return "\n".join(lines)


def predict_stream(
    classifier: StanceClassifier,
    rows: Rows,
    output: str | Path,
    *,
    rejects: str | Path | None = None,
    strict: bool = False,
    batch_size: int = 32,
    columns: OutputColumns | None = None,
    shard_size: int = SHARD_SIZE,
    identity: Mapping[str, Any] | None = None,
    restart: bool = False,
    progress: PredictionProgress | None = None,
) -> Counts:
    """Predict every row that can be read.

    Args:
        classifier: The model.
        rows: Records, and the faults of rows that are none.
        output: File of JSON lines, CSV, TSV (compressed or not) or Parquet, written beside and renamed; `-` for JSON
            lines on standard output.
        rejects: JSONL file for the faults; beside the output if None. Only there if there are any: one that an earlier
            run left is removed.
        strict: Raise the first faults instead.
        batch_size: Sentences a step.
        columns: Of the output; everything if None.
        shard_size: Rows that are lost at most where the work is interrupted.
        identity: JSON-ready, all that the output depends on. With it, finished shards outlast an interruption, and a
            call with the same goes on after them, to the same bytes. None if `rows` cannot be had a second time.
        restart: Throw the shards of an earlier call away.
        progress: Told what is done.

    Raises:
        DataError: The first faults, if strict; or if no row could be read. The output is as it was then.
        UserError: If there are no rows; if the output cannot be what is asked for, its disk is full, another process
            writes it, or it was begun from something else.
    """
    output = str(output)
    where = require_outputs(output, rejects)
    columns = columns or output_columns(classifier.actors.ids)
    progress = progress or PredictionProgress(shown=False)
    answered = partial(answer, classifier, batch_size=batch_size, source_file=columns.source_file)
    work = _Work(answered, columns, strict, progress)
    if output == STDOUT:
        with _Rejects(where) as told:
            total = work.through(rows, lambda found: sys.stdout.write(encoded(found, "jsonl", columns).decode()), told)
            sys.stdout.flush()
            _require_some(total, told.first)
        return Counts.of(total, where)
    with open_shards(Path(output), identity, restart=restart) as shards, _said(shards, output, where, identity):
        done = list(_shards(work, iter(rows), shards, output, shard_size))
        total = sum((tally for tally, _ in done), Tally())
        _require_some(total, shards)
        _finish(shards, len(done), total, output, str(where), columns)
    earlier = sum(tally.rows for tally, old in done if old)
    return Counts.of(total, where, earlier)


class _Work:
    """Rows on their way through a model, window by window."""

    def __init__(
        self,
        answered: Callable[[Sequence[Record | Fault]], Answers],
        columns: OutputColumns,
        strict: bool,
        progress: PredictionProgress,
    ) -> None:
        self.answered, self.columns, self.strict, self.progress = answered, columns, strict, progress
        self._first = True

    def through(self, rows: Rows, write: Callable[[list[dict[str, Any]]], object], rejects: _Rejects) -> Tally:
        """Answer all rows; gives what became of them."""
        total, rows = Tally(), iter(rows)
        self.progress.begin()
        while window := list(itertools.islice(rows, WINDOW)):
            if self.strict and (bad := [row for row in window if isinstance(row, Fault)]):
                raise DataError(bad)
            answers = self.answered(window)
            write(answers.rows)
            rejects.add(answers.faults)
            if self._first:
                self._say_what_is_lacking(answers.rows)
            self._first = False
            self.progress.answered(len(window))
            total += Tally(
                len(window), len(answers.rows), len(answers.faults), answers.cut, answers.unread_labels, answers.marks
            )
        return total

    def _say_what_is_lacking(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for name in self.columns.chosen:
            if rows and name != FIELDS and all(find(row, name) is None for row in rows):
                sys.stderr.write(f"note: none of the first {len(rows)} rows has the column {name!r}\n")


def _shards(
    work: _Work, rows: Iterator[Record | Fault], shards: Shards, output: str, size: int
) -> Iterator[tuple[Tally, bool]]:
    """What became of each shard's rows, and whether an earlier run had finished it."""
    for number in itertools.count():
        if there := shards.finished(number):
            if sum(1 for _ in itertools.islice(rows, there.rows)) < there.rows:
                raise UserError(f"{output}: the input has fewer rows than before; allowed: --restart")
            work.progress.passed_over(there.rows)
            yield there, True
            continue
        first = next(rows, None)
        if first is None:
            return
        with (
            piece(shards.answers(number), output, work.columns) as write,
            _Rejects(str(shards.rejects(number))) as rejects,
        ):
            tally = work.through(itertools.chain([first], itertools.islice(rows, size - 1)), write, rejects)
        shards.finish(number, tally)
        yield tally, False


def _finish(shards: Shards, count: int, total: Tally, output: str, rejects: str, columns: OutputColumns) -> None:
    """Make files of the shards, the output last."""
    whole = shards.folder / "whole"
    join([shards.answers(number) for number in range(count)], whole, output, columns)
    if total.rejected:
        with writing(rejects, "wb") as stream:
            for number in range(count):
                if shards.rejects(number).exists():
                    with shards.rejects(number).open("rb") as source:
                        shutil.copyfileobj(source, stream)
    else:
        Path(rejects).unlink(missing_ok=True)
    os.replace(whole, output)


def _require_some(total: Tally, faults: Sequence[Fault] | Shards) -> None:
    """Refuse an input without a sentence.

    Raises:
        DataError: Its first faults.
        UserError: If it has none.
    """
    if total.predicted:
        return
    if isinstance(faults, Shards):
        first = faults.first_rejects(5) if total.rejected else []
        faults.clear()  # they are of no use to anybody
        faults = [Fault(**json.loads(line)) for line in first]
    raise DataError(faults) if faults else UserError("no sentences; allowed: at least one")


@contextlib.contextmanager
def _said(shards: Shards, output: str, rejects: str | None, identity: object) -> Iterator[None]:
    """Say of what stops the work which file it is about, and that the same command goes on."""
    try:
        yield
    except (UserError, OSError, KeyboardInterrupt) as error:
        kept = len(shards) if identity is not None else 0
        note = f"{kept} finished shards are kept in {shards.folder}: the same command goes on after them" * bool(kept)
        if isinstance(error, OSError) and error.errno is not None:
            place = rejects if error.filename == rejects else output
            said = f"{place}: {os.strerror(error.errno).lower()}; allowed: a place with room, that may be written"
            raise UserError("; ".join(filter(None, (said, note)))) from error
        error.args = ("; ".join(filter(None, (str(error), note))),)
        raise


def identity_of(model: str, files: Sequence[str], **options: Any) -> dict[str, Any] | None:
    """What an output is made of, as `predict_stream` takes it; None if a file can be read only once.

    Args:
        model: The model's fingerprint.
        files: Names of the input, which is told from another by size and time of the last change.
        options: JSON-ready, whatever else the output depends on.
    """
    if not all(Path(file).is_file() for file in files):
        return None
    changed = {file: (found.st_size, found.st_mtime_ns) for file in files for found in [Path(file).stat()]}
    return {"format": FORMAT, "model": model, "input": changed, "options": options}


def require_outputs(output: str | Path, rejects: str | Path | None, sources: Collection[str] = ()) -> str | None:
    """Refuse places that cannot be written, before there is anything to write; gives the place of the rejects.

    Raises:
        UserError: If one is a folder, of no known ending, or a file that is read; or both are one file.
    """
    output = str(output)
    where = str(rejects) if rejects else f"{output}.rejects.jsonl" if output != STDOUT else None
    read = {os.path.realpath(source) for source in sources if source != STDIN}
    for place in (output, where):
        if place is None or place == STDOUT == output:
            continue
        if Path(place).is_dir():
            raise UserError(f"{place}: is a folder; allowed: a .jsonl file")
        if place == output:
            output_kind(place)
        elif Path(place).suffix not in (".jsonl", ".ndjson"):
            raise UserError(f"{place}: found the ending {Path(place).suffix!r}; allowed: .jsonl")
        if os.path.realpath(place) in read:
            raise UserError(f"{place}: is the file that is read; allowed: another file")
    if where is not None and os.path.realpath(where) == os.path.realpath(output):
        raise UserError(f"{where}: is asked to hold predictions and rejects; allowed: two files")
    return where


class _Rejects:
    """Faults on their way into a file, or onto standard error where there is none."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.first: list[Fault] = []
        self._stack = contextlib.ExitStack()
        self._stream: IO[Any] | None = None

    def __enter__(self) -> _Rejects:
        return self

    def __exit__(self, *details: Any) -> None:
        self._stack.__exit__(*details)

    def add(self, faults: Sequence[Fault]) -> None:
        self.first = (self.first + list(faults))[:5]
        for fault in faults:
            if self.path is None:
                sys.stderr.write(f"rejected: {fault}\n")
                continue
            if self._stream is None:
                self._stream = self._stack.enter_context(writing(self.path))
            self._stream.write(json.dumps(asdict(fault), ensure_ascii=False) + "\n")
