"""Files of whole articles: one to a text or HTML file, or one to a row of a table."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tristance.data.articles import Document, looks_like_html, make_document
from tristance.data.errors import Fault, UserError, shorten
from tristance.data.formats.lines import STDIN, jsonl, read_lines
from tristance.data.formats.rows import Row, arrange
from tristance.data.formats.tables import cells, parquet, table

AUTO: Final = "auto"
TABLES: Final = ("jsonl", "csv", "tsv", "parquet")
FORMATS: Final = (AUTO, "text", "html", *TABLES)
MAX_BYTES: Final = 1 << 24
"""Longest file taken for one article."""
_BY_SUFFIX: Final = {
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


def find_article_format(file: str, format: str = AUTO) -> str:  # noqa: A002
    """The format that a file of articles is read in; `auto` is left for what its first characters must tell.

    Raises:
        UserError: If the file is missing or is a folder, or Parquet is asked of standard input.
    """
    if file == STDIN:
        if format == "parquet":
            raise UserError("-: Parquet cannot be read from standard input: name a file")
        return format
    if Path(file).is_dir():
        raise UserError(f"{file}: is a folder; allowed: files, as in {file.rstrip('/')}/*.html")
    if not Path(file).exists():
        raise UserError(f"{file}: no such file")
    return _BY_SUFFIX.get(Path(file.lower().removesuffix(".gz")).suffix, AUTO) if format == AUTO else format


def read_documents(
    path: str | Path,
    *,
    format: str = AUTO,  # noqa: A002
    columns: Mapping[str, str] | None = None,
) -> Iterator[Document | Fault]:
    """Read the articles of a file, one at a time; a bad one gives its fault, and reading goes on.

    Args:
        path: A text or HTML file, which holds one article, or a table with a column `text` and, where they are known,
            `id`, `title`, `source` and `date`; text formats also as .gz; `-` for standard input.
        format: One of `FORMATS`; `auto` goes by the name's ending, else by whether the text begins as a page does.
        columns: Field to column (`text: body`), of a table.

    Raises:
        UserError: As `find_article_format` does; if the file cannot be read, or lacks a column.
    """
    file = str(path)
    kind = find_article_format(file, format)
    if kind not in TABLES:
        yield _whole(file, kind)
        return
    columns, empty = columns or {}, True
    for row in _rows(file, kind, columns):
        empty = False
        yield row if isinstance(row, Fault) else _of_row(row, file, columns)
    if empty:
        yield Fault(file, None, None, "no rows", "at least one article")


def _rows(file: str, kind: str, columns: Mapping[str, str]) -> Iterator[Row | Fault]:
    if kind == "parquet":
        return parquet(file, columns)
    lines = read_lines(file)
    if kind == "jsonl":
        return jsonl(lines, file)
    return table(cells(lines, file, "\t" if kind == "tsv" else ","), file, columns)


def _of_row(row: Row, file: str, columns: Mapping[str, str]) -> Document | Fault:
    if not isinstance(row.values, Mapping):
        return Fault(file, row.line, None, shorten(row.values), "an object with a 'text'")
    values = arrange(row.values, columns)
    fields: dict[str, str] = {}
    for field in ("text", "id", "title", "source", "date"):
        value: Any = values.get(field)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            return Fault(file, row.line, field, shorten(value), "a string")
        if value is not None and str(value).strip():
            fields[field] = str(value)
    title, source, date = (fields.get(field, "").strip() or None for field in ("title", "source", "date"))
    name = fields.get("id", f"{file}:{row.line}")
    try:
        return make_document(fields.get("text", ""), name=name, title=title, source=source, date=date)
    except UserError:
        return Fault(file, row.line, "text", shorten(values.get("text")), "an article of at least one sentence")


def _whole(file: str, kind: str) -> Document | Fault:
    try:
        content = _bytes(file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return Fault(file, None, None, f"damaged gzip data ({error})", "a whole gzip file")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        allowed = f"an article of at most {MAX_BYTES:,}; many of them as a table: .jsonl, .csv, .tsv, .parquet"
        return Fault(file, None, None, f"more than {MAX_BYTES:,} bytes", allowed)
    html = kind == "html" or (kind == AUTO and looks_like_html(content))
    if not html and b"\0" in content:
        return Fault(file, None, None, "binary data", "UTF-8 text")
    try:
        return make_document(content if html else content.decode("utf-8-sig"), html=html, name=file)
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x} at offset {error.start}, which is not UTF-8"
        return Fault(file, None, None, found, "UTF-8 text")
    except UserError as error:
        found, _, allowed = str(error).removeprefix(f"{file}: found ").partition("; allowed: ")
        return Fault(file, None, None, found, allowed)


def _bytes(file: str) -> bytes:
    if file == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    if file.lower().endswith(".gz"):
        with gzip.open(file, "rb") as zipped:
            return zipped.read(MAX_BYTES + 1)
    with open(file, "rb") as stream:
        return stream.read(MAX_BYTES + 1)
