"""The input of a cluster: Parquet files, wherever they lie, cut into ranges of rows that any worker can read alone.

A piece is named by file and rows, so the sentences themselves never travel through Ray: a worker reads its rows where
they are, and numbers them as the local engine does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from tristance.data.errors import Fault, UserError, first_line
from tristance.data.formats.rows import require_columns
from tristance.data.formats.tables import BATCH_ROWS, BUFFER_BYTES
from tristance.data.inputs import find_files
from tristance.models.prediction_files import WINDOW

THREADS: Final = 32
"""Files that are asked at a time: an object store answers late, but many at once."""
PLACES: Final = "a path, or a URI as in s3://bucket/folder, gs://…, abfss://…, hdfs://…"


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one file."""

    number: int
    """Of all pieces of the input, from 0."""
    file: str
    """As the user named it."""
    place: str
    """Where any worker finds it: an absolute path or a URI."""
    first: int
    """Its first row, counted from 1."""
    rows: int
    bytes: int
    """Their share of the file's."""


@dataclass(frozen=True)
class Plan:
    """What there is to do; made by `plan`."""

    files: Sequence[str]
    """As the user named them."""
    pieces: Sequence[Piece]
    faults: Sequence[Fault]
    """Of files that cannot be read, or have no rows."""
    names: Collection[str]
    """Columns of the files."""
    input: Mapping[str, Sequence[int]]
    """By file, its rows, its bytes, and when it was changed: what tells it from another."""


def is_uri(name: str) -> bool:
    """Whether a name is a URI, and no path."""
    return "://" in name


@cache  # a client of an object store takes some questions to make
def locate(name: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path in it.

    Raises:
        UserError: If it is a URI of no file system that is known.
    """
    if not is_uri(name):
        return fs.LocalFileSystem(), str(Path(name).absolute())
    try:
        system, path = fs.FileSystem.from_uri(name)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{name}: {first_line(error)}; allowed: {PLACES}") from error
    return system, path


@contextlib.contextmanager
def reaching(place: str) -> Iterator[None]:
    """Say of which place it is that a store has something against us; a local disk says so itself.

    Raises:
        UserError: Where the store refuses, or does not answer.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and not is_uri(place):
            raise
        raise UserError(f"{place}: {first_line(error)}; allowed: a place that answers and that you may use") from error


def find_tables(names: Iterable[str], *, passed_over: Collection[str] = ()) -> list[str]:
    """The Parquet files that are meant, as `find_files` finds them; of a URI that is a folder all below it.

    Names that begin with `_` or `.` are passed over in a folder.

    Raises:
        UserError: If a name means nothing, or something that is no Parquet.
    """
    found: dict[str, str] = {}
    for name in names:
        files = _below(name) if is_uri(name) else find_files([name], passed_over=passed_over)
        if other := [file for file in files if not file.partition("?")[0].endswith(".parquet")]:
            raise UserError(
                f"{other[0]}: is no Parquet; allowed with --engine ray: .parquet. Convert it, as in "
                "python -c \"import pyarrow.csv as c, pyarrow.parquet as p; p.write_table(c.read_csv('a.csv'), "
                "'a.parquet')\" (.jsonl: pyarrow.json.read_json), or use --engine local"
            )
        for file in files:
            found.setdefault(file if is_uri(file) else os.path.realpath(file), file)
    return list(found.values())


def _below(uri: str) -> list[str]:
    system, path = locate(uri)
    with reaching(uri):
        if system.get_file_info(path).type == fs.FileType.File:
            return [uri]
        infos = system.get_file_info(fs.FileSelector(path, recursive=True))
    base, mark, query = uri.partition("?")
    inside = sorted(info.path[len(path.rstrip("/")) :] for info in infos if info.type == fs.FileType.File)
    files = [each for each in inside if each.endswith(".parquet") and not _hidden(each)]
    if not files:
        raise UserError(f"{uri}: is a folder without a .parquet file; allowed: one with such files")
    return [f"{base.rstrip('/')}{each}{mark}{query}" for each in files]


def _hidden(path: str) -> bool:
    return any(part.startswith(("_", ".")) for part in path.split("/"))


def plan(files: Sequence[str], columns: Mapping[str, str], size: int) -> Plan:
    """Cut files into pieces, by their footers alone.

    Args:
        files: Parquet files, paths or URIs.
        columns: Record field to column; those named must be there.
        size: Most rows of a piece.

    Raises:
        UserError: If a file is not there or may not be read, or lacks a column that is needed.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        footers = list(pool.map(partial(_footer, columns=columns), files))
    pieces: list[Piece] = []
    faults: list[Fault] = []
    names: set[str] = set()
    identity: dict[str, Sequence[int]] = {}
    for file, footer in zip(files, footers, strict=True):
        if isinstance(footer, Fault):
            faults.append(footer)
            continue
        rows, length, _ = identity[file] = footer.identity
        names |= set(footer.names)
        place = file if is_uri(file) else locate(file)[1]
        for start in range(0, rows, size):
            count = min(size, rows - start)
            pieces.append(Piece(len(pieces), file, place, start + 1, count, length * count // rows))
    return Plan(files, pieces, faults, names, identity)


@dataclass(frozen=True, slots=True)
class _Footer:
    names: Sequence[str]
    identity: Sequence[int]


def _footer(file: str, columns: Mapping[str, str]) -> _Footer | Fault:
    system, path = locate(file)
    try:
        info = system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise UserError(f"{file}: no such file")
        with system.open_input_file(path) as stream, pq.ParquetFile(stream) as found:
            names, rows = found.schema_arrow.names, found.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        return _unreadable(error, file, None)
    require_columns(names, columns, file)
    if not rows:
        return Fault(file, None, None, "no rows", "at least one sentence")
    return _Footer(names, [rows, info.size, info.mtime_ns or 0])


def windows(piece: Piece) -> Iterator[tuple[int, pa.Table] | Fault]:
    """The rows of a piece, some at a time, each with the number of its first row; a fault where they cannot be read.

    A row group is read from its beginning; what lies before the piece is thrown away, which costs next to nothing
    beside the scoring.

    Raises:
        UserError: If the file cannot be had: a fault of the store, that must not look like one of the rows.
    """
    system, path = locate(piece.place)
    number = piece.first
    try:
        with (
            system.open_input_file(path) as stream,
            pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False) as file,
        ):
            for table in _joined(_batches(file, piece.first - 1, piece.rows)):
                yield number, table
                number += table.num_rows
    except (pa.ArrowException, OSError) as error:
        yield _unreadable(error, piece.file, number)


def _batches(file: Any, start: int, rows: int) -> Iterator[pa.RecordBatch]:
    """The batches of a range of rows, from 0."""
    groups, before, first = [], 0, None
    for number in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if before + count > start and before < start + rows:
            groups.append(number)
            first = before if first is None else first
        before += count
    at = first or 0
    for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
        low, high = max(start - at, 0), min(start + rows - at, batch.num_rows)
        if low < high:
            yield batch.slice(low, high - low)
        at += batch.num_rows
        if at >= start + rows:
            return


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of `WINDOW` rows, the last of what is left."""
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        kept.append(batch)
        while sum(each.num_rows for each in kept) >= WINDOW:
            table = pa.Table.from_batches(kept)
            yield table.slice(0, WINDOW)
            kept = table.slice(WINDOW).to_batches()
    if kept:
        yield pa.Table.from_batches(kept)


def _unreadable(error: Exception, file: str, row: int | None) -> Fault:
    """A broken file is a fault of the data; whatever else goes wrong stops the work, which can go on later."""
    if isinstance(error, OSError) and (is_uri(file) or error.errno is not None):
        raise UserError(f"{file}: cannot be read: {first_line(error)}") from error
    return Fault(file, row, None, f"unreadable Parquet ({first_line(error)})", "a whole Parquet file")
