"""Rows between their file and the record: where columns are, where labels nest, what JSON can hold."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tristance.data.errors import UserError

FLAT: Final = ("stance.", "holder.")
"""What the name of a flat column begins with that belongs into a nested field."""


class Row(NamedTuple):
    """One row of a file as it was decoded."""

    line: int
    """Line of the file, or row of a table without lines, counted from 1."""
    values: Any
    """A mapping; the cells of a table without header; or whatever else a JSON line holds."""


def arrange(values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Lay a row out as a record: fetch `columns` from where they are, nest what is flat (`stance.west`).

    Args:
        values: The row as decoded.
        columns: Record field to column, both dotted where nested. A mapped column leaves its old place, and replaces
            what the field held before.

    Returns:
        What `parse_record` takes.
    """
    mapped = {name: find(values, column) for name, column in columns.items()}
    row = {key: value for key, value in values.items() if key not in {*columns, *columns.values()}}
    flat = {key: row.pop(key) for key in list(row) if key.startswith(FLAT)}
    for name, value in {**flat, **mapped}.items():
        parent, _, child = name.partition(".")
        if value is None:
            continue
        if not child:
            row[parent] = value
        elif row.get(parent) is None or isinstance(row[parent], Mapping):
            row[parent] = {**(row.get(parent) or {}), child: value}
        # else the field is no object: it stays as it is, and the parser says what is allowed
    return row


def has_column(values: Mapping[str, Any], column: str) -> bool:
    """Whether a row holds a column, by its full name or by a dotted path."""
    return column in values or find(values, column) is not None


def require_columns(names: Sequence[str], columns: Mapping[str, str], file: str) -> None:
    """Refuse a table without its text, or without a column that is mapped by name.

    Raises:
        UserError: If one is missing; it names those that are there.
    """
    for field, column in {"text": "text", **columns}.items():
        if column not in names and column.partition(".")[0] not in names:
            there = ", ".join(name for name in names if name) or "none"
            raise UserError(
                f"{file}: has no column {column!r} for {field!r}; its columns: {there}; "
                f"say which one holds it: columns: {{{field}: NAME}}"
            )


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dates as ISO 8601, decimals and bytes as text."""
    if isinstance(value, Mapping):
        # A struct has every key in every row; the null ones are those that the row did not have.
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def find(values: Any, column: str) -> Any:
    """What a row holds in a column, by its full name or by a dotted path; None if nothing."""
    if column in values:
        return values[column]
    for step in column.split("."):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values
