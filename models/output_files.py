"""Rows into files: JSON Lines, CSV and TSV, compressed or not, and Parquet; in pieces that are joined at the end."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from tristance.data.errors import UserError
from tristance.data.files import writing
from tristance.data.formats.compression import compressing, split_ending
from tristance.models.output_columns import OutputColumns, flat, pick, to_table

KINDS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
ALLOWED: Final = ".jsonl, .csv, .tsv (also with .gz, .bz2, .xz, .zst behind), .parquet"
Rows = Sequence[Mapping[str, Any]]


def output_kind(path: str) -> str:
    """In which format a file is written, by its ending.

    Raises:
        UserError: If there is none for it.
    """
    ending, packed = split_ending(path)
    kind = KINDS.get(ending)
    if kind is None or (kind == "parquet" and packed):
        raise UserError(f"{path}: found the ending {ending + packed!r}; allowed: {ALLOWED}")
    return kind


@contextlib.contextmanager
def piece(path: Path, name: str, columns: OutputColumns) -> Iterator[Callable[[Rows], object]]:
    """Write a piece of an output, beside and renamed; a table of text has no header yet.

    Args:
        path: Of the piece.
        name: Of the output, whose ending tells the format.
        columns: Of the output.

    Yields:
        What takes rows.
    """
    with writing(path, "wb") as stream:
        if output_kind(name) == "parquet":
            import pyarrow.parquet as pq

            with pq.ParquetWriter(stream, columns.schema, compression="zstd") as writer:
                yield lambda rows: writer.write_table(to_table(rows, columns))
        else:
            with compressing(stream, name) as inner:
                yield lambda rows: inner.write(encoded(rows, output_kind(name), columns))


def encoded(rows: Rows, kind: str, columns: OutputColumns) -> bytes:
    """Rows as lines of JSON, or of a table without header."""
    if kind == "jsonl":
        lines = (json.dumps(pick(row, columns), ensure_ascii=False, default=str) + "\n" for row in rows)
        return "".join(lines).encode()
    return _lines(kind, [list(flat(row, columns).values()) for row in rows])


def _lines(kind: str, rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def join(pieces: Sequence[Path], path: Path, name: str, columns: OutputColumns) -> None:
    """Join pieces, in constant memory: each becomes a stretch of lines, or a row group.

    Args:
        pieces: In order.
        path: Where to write, beside and renamed.
        name: Of the output, whose ending tells the format.
        columns: Of the output.
    """
    kind = output_kind(name)
    with writing(path, "wb") as stream:
        if kind == "parquet":
            _join_tables(pieces, stream, columns)
            return
        if kind != "jsonl":
            with compressing(stream, name) as inner:
                inner.write(_lines(kind, [columns.names]))
        for each in pieces:  # compressed streams may stand one behind the other
            with each.open("rb") as source:
                shutil.copyfileobj(source, stream, 1 << 20)


def _join_tables(pieces: Sequence[Path], stream: IO[bytes], columns: OutputColumns) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(stream, columns.schema, compression="zstd") as writer:
        for each in pieces:
            if (table := pq.read_table(each, memory_map=True)).num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
