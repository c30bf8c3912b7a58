"""A model over Parquet files by many machines: every row accounted for, and on again where it stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tristance.data import files
from tristance.data.errors import DataError, Fault, UserError
from tristance.data.formats.position import Position
from tristance.models.classifier import StanceClassifier
from tristance.models.cluster.engine import Job, run_pieces
from tristance.models.cluster.folder import Folder, open_folder
from tristance.models.cluster.pieces import Piece, Plan, is_uri, locate, reaching
from tristance.models.output_columns import MARKS, PREDICTED, OutputColumns
from tristance.models.prediction_files import FORMAT, Counts
from tristance.models.prediction_progress import PredictionProgress
from tristance.models.shards import Tally

Run = Callable[[Sequence[Piece], Job, Path], Iterable[Mapping[str, Any]]]


def predict_tables(
    classifier: StanceClassifier,
    model: Path,
    plan: Plan,
    output: str,
    columns: OutputColumns,
    *,
    identity: Mapping[str, Any],
    rejects: str | None = None,
    strict: bool = False,
    restart: bool = False,
    mapped: Mapping[str, str] | None = None,
    batch_size: int = 32,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "fp32",
    progress: PredictionProgress | None = None,
    position: Position | None = None,
    run: Run = run_pieces,
) -> Counts:
    """Predict every row that can be read, as `predict_stream` does on one machine.

    Args:
        classifier: The model with its caution; the workers load their own.
        model: Its folder.
        plan: The input, in pieces.
        output: Path or URI of a folder that is not there yet.
        columns: Of the output.
        identity: JSON-ready, all that the output depends on beside the input.
        rejects: JSONL file for the faults, a path or URI; beside the output if None.
        strict: Raise the first faults instead.
        restart: Throw away what an interrupted call has finished; else a call with the same arguments goes on.
        mapped: Record field to column.
        batch_size: Sentences a step.
        device: For `from_pretrained`, on the workers; `cuda` gives each a GPU.
        runtime: The same.
        precision: The same.
        progress: Told what is done.
        position: Told which share of the input's bytes is done.
        run: Has pieces answered.

    Raises:
        DataError: The first faults, if strict; or if no row could be read. There is no output then.
        UserError: If there are no rows; if the output is there or cannot be written, or a worker cannot go on.
    """
    progress = progress or PredictionProgress(shown=False)
    where = rejects or f"{output.rstrip('/')}.rejects.jsonl"
    if not plan.pieces:
        raise DataError(plan.faults) if plan.faults else UserError("no sentences; allowed: at least one")
    if strict and plan.faults:
        raise DataError(plan.faults)
    with reaching(output), _kept() as begun:
        folder = open_folder(output, {"format": FORMAT, "input": dict(plan.input), **identity}, restart=restart)
        begun.append(folder)
        earlier = folder.finished()
        rows = _earlier(folder, [piece for piece in plan.pieces if piece.number in earlier], strict, progress, position)
        todo = [piece for piece in plan.pieces if piece.number not in earlier]
        job = Job(folder, columns, classifier.caution, dict(mapped or {}), batch_size, device, runtime, precision)
        progress.begin()
        for found in run(todo, job, model) if todo else ():
            if strict and found["rejected"]:
                raise DataError(next(folder.done([found["number"]])).faults)
            if position is not None:
                position.passed(found["bytes"])
            progress.answered(found["rows"])
        total = _finish(folder, plan, where)
        begun.clear()
    return Counts.of(total, where, rows)


def lacking(columns: OutputColumns, names: Iterable[str]) -> list[str]:
    """The columns that are asked for and that no file has, and no prediction."""
    known = {*names, *(name.partition(".")[0] for name in names), *columns.floats}
    known |= {"id", "text", "source_file", "gold", "fields", *PREDICTED, *MARKS}
    return [name for name in columns.chosen if name not in known and name.partition(".")[0] not in known]


def _earlier(
    folder: Folder, pieces: Sequence[Piece], strict: bool, progress: PredictionProgress, position: Position | None
) -> int:
    """The rows that an interrupted call has finished."""
    rows = 0
    for piece, done in zip(pieces, folder.done(piece.number for piece in pieces), strict=True):
        if strict and done.faults:
            raise DataError(done.faults)
        if position is not None:
            position.passed(piece.bytes)
        progress.passed_over(done.tally.rows)
        rows += done.tally.rows
    return rows


def _finish(folder: Folder, plan: Plan, rejects: str) -> Tally:
    """Count, write the rejects in the input's order, and make the output whole.

    Raises:
        DataError: If nothing could be read.
    """
    total = Tally(len(plan.faults), 0, len(plan.faults))
    first = list(plan.faults)
    with _rejects(rejects) as write:
        write(plan.faults)
        for done in folder.done(piece.number for piece in plan.pieces):
            total += done.tally
            first = (first + done.faults)[:5]
            write(done.faults)
        if not total.predicted:
            folder.clear()  # it is of no use to anybody
            raise DataError(first)
    folder.complete()
    return total


@contextlib.contextmanager
def _rejects(place: str) -> Iterator[Callable[[Iterable[Fault]], None]]:
    """Where faults go: a file that is there only if there are any."""
    system, path = locate(place)
    with contextlib.ExitStack() as stack:
        stream: Any = None

        def write(faults: Iterable[Fault]) -> None:
            nonlocal stream
            for fault in faults:
                if stream is None:
                    opened = system.open_output_stream(path) if is_uri(place) else files.writing(path, "wb")
                    stream = stack.enter_context(opened)
                stream.write((json.dumps(asdict(fault), ensure_ascii=False) + "\n").encode())

        yield write
        if stream is None and system.get_file_info(path).is_file:
            system.delete_file(path)  # of an earlier run


@contextlib.contextmanager
def _kept() -> Iterator[list[Folder]]:
    """Say of what stops the work that the same command goes on after what is finished; takes the folder once begun."""
    begun: list[Folder] = []
    try:
        yield begun
    except (UserError, KeyboardInterrupt) as error:
        count = len(begun[0].finished()) if begun else 0
        if count:
            note = f"{count} finished pieces are kept in {begun[0].place}: the same command goes on after them"
            error.args = ("; ".join(filter(None, (str(error), note))),)
        elif begun:
            begun[0].clear()
        raise
