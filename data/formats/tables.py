"""Tables: CSV and TSV by the csv module, Parquet by record batches."""

from __future__ import annotations

import csv
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tristance.data.errors import Fault, UserError, first_line
from tristance.data.formats.lines import Line
from tristance.data.formats.position import Position
from tristance.data.formats.rows import Row, plain, require_columns

BATCH_ROWS: Final = 1024
BUFFER_BYTES: Final = 1 << 18
"""Read ahead of each column: without it a row group is held whole, which may be the file."""
NESTED: Final = ("stance", "holder", "targets")
"""Fields that a cell can only hold as JSON."""


def cells(lines: Iterable[Line], file: str, delimiter: str) -> Iterator[Row | Fault]:
    """Rows of a delimited file as lists of cells, the header being one of them.

    A row that breaks the quoting is a fault of its first line, and reading goes on with the second: a quote that is
    never closed must not swallow the rest of the file.
    """
    source = _Source(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.taken.clear()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            first = source.taken[0]
            yield first.fault or _broken(error, file, first.number)
            source.put_back()
            continue
        faults = [line.fault for line in source.taken if line.fault]
        yield from faults
        if row and not faults:
            yield Row(source.taken[0].number, row)


def _broken(error: csv.Error, file: str, number: int) -> Fault:
    if "field larger" in str(error):  # an open quote that swallows what follows, or one endless cell
        return Fault(
            file, number, None, f"a cell of over {csv.field_size_limit():,} characters", "short cells, quotes closed"
        )
    return Fault(file, number, None, f"broken quoting ({error})", "quotes that are closed")


def table(rows: Iterator[Row | Fault], file: str, columns: Mapping[str, str]) -> Iterator[Row | Fault]:
    """Rows of cells as mappings, the first row being the header; an empty cell means that the value is missing.

    Raises:
        UserError: If the header lacks a column that is needed, or has one twice.
    """
    header = next(rows, None)
    if not isinstance(header, Row):
        yield from () if header is None else (header,)  # without names for its columns the rest says nothing
        return
    names: list[str] = [name.strip() for name in header.values]
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise UserError(f"{file}: has the column {twice[0]!r} twice")
    require_columns(names, columns, file)
    for row in rows:
        if isinstance(row, Fault):
            yield row
        elif len(row.values) != len(names):
            yield Fault(file, row.line, None, f"{len(row.values)} cells", f"{len(names)} cells, as the header has")
        else:
            named = zip(names, row.values, strict=True)
            yield Row(row.line, {name: _cell(name, cell) for name, cell in named if name and cell})


def parquet(path: str, columns: Mapping[str, str], position: Position | None = None) -> Iterator[Row | Fault]:
    """Rows of a Parquet file, batch by batch, however large its row groups are; a row is numbered from 1.

    Args:
        path: The file.
        columns: Record field to column; those named must be there.
        position: Told how far reading has come: the rows' share of the file's bytes.

    Raises:
        UserError: If the file cannot be opened, or lacks a column that is needed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = Path(path).stat().st_size
    if size == 0:
        return
    number = 0
    try:
        with (
            pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file,
            (position or Position()).within(lambda: size * number // max(1, file.metadata.num_rows)),
        ):
            require_columns(file.schema_arrow.names, columns, path)
            for batch in file.iter_batches(BATCH_ROWS):
                for row in batch_rows(batch, path, number + 1):
                    number += 1
                    yield row
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (pa.ArrowException, OSError) as error:
        found = f"unreadable Parquet ({first_line(error)})"
        yield Fault(path, number + 1 if number else None, None, found, "a whole Parquet file")


def batch_rows(batch: Any, file: str, first: int) -> Iterator[Row | Fault]:
    """Rows of an Arrow table or record batch, numbered from `first`; one with a bad string is a fault."""
    try:
        items = batch.to_pylist()
    except UnicodeDecodeError:  # one bad string fails the batch: find it
        items = [_lone_row(batch.slice(index, 1)) for index in range(len(batch))]
    for number, item in enumerate(items, first):
        bad = Fault(file, number, None, "a string that is not UTF-8", "UTF-8 text")
        yield bad if item is None else Row(number, plain(item))


def _lone_row(batch: Any) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = batch.to_pylist()[0]
    except UnicodeDecodeError:
        return None
    return row


def _cell(name: str, cell: str) -> Any:
    if name in NESTED and cell.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(cell)
        except ValueError:
            return cell  # not JSON after all: the parser says what is allowed
    return cell


class _Source:
    """Lines for the csv module, remembering those that the present row took."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._waiting: deque[Line] = deque()
        self.taken: list[Line] = []

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.taken.append(line)
        return line.text

    def put_back(self) -> None:
        """Give back all but the first of the lines taken."""
        self._waiting.extendleft(reversed(self.taken[1:]))
