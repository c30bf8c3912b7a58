"""Readers: any file of sentences as records, one row at a time."""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path
from typing import Any, Final

from tristance.data.actors import Actors
from tristance.data.errors import DataError, Fault, UserError, shorten
from tristance.data.formats import dse, newsmtsc
from tristance.data.formats.compression import split_ending
from tristance.data.formats.hub import hub
from tristance.data.formats.lines import STDIN, jsonl, read_lines, stdin_is_json, text
from tristance.data.formats.position import Position
from tristance.data.formats.rows import Row, arrange, has_column
from tristance.data.formats.tables import cells, parquet, table
from tristance.data.records import MAX_CHARACTERS, Record, Target, parse_record

__all__ = ["FORMATS", "MAX_CHARACTERS", "UNREAD_LABELS", "find_format", "has_format", "load", "parse_rows", "read"]

FORMATS: Final = ("jsonl", "text", "csv", "tsv", "parquet", "huggingface", "newsmtsc", "dse")
AUTO: Final = "auto"
_BY_SUFFIX: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_DELIMITERS: Final = {"csv": ",", "tsv": "\t", "dse": "\t"}
_OWN_COLUMNS: Final = ("text", "newsmtsc", "dse")
LABELS: Final = frozenset({"stance", "holder", "sentiment"})
UNREAD_LABELS: Final = "unread_labels"
"""Field under which a row keeps, as they stand, labels that could not be read and were not needed."""


def read(
    path: str | Path,
    *,
    actors: Actors,
    format: str = AUTO,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    targets_as_actors: bool = False,
    max_characters: int = MAX_CHARACTERS,
    need_labels: bool = True,
    position: Position | None = None,
) -> Iterator[Record | Fault]:
    """Read a file of sentences in constant memory. A bad row gives its faults, and reading goes on.

    Args:
        path: A file (but for Parquet also as .gz, .bz2, .xz, .zst), `-` for standard input, or with
            `format="huggingface"` a data set's name or folder, optionally with `#split` or `#config/split`.
        actors: Who may be labelled.
        format: One of `FORMATS`, or `auto`: by the name's ending, and for JSON Lines by the first row.
        columns: Record field to column, both dotted where nested (`text: sentence`, `stance.west: w_stance`). Flat
            columns named `stance.west` or `holder.west` nest by themselves.
        targets_as_actors: Whether a target whose name mentions exactly one actor becomes that actor's label.
        max_characters: Longest text allowed, in characters.
        need_labels: Whether a row whose labels cannot be read is faulty; else they stand under `unread_labels`.
        position: Told how far reading has come.

    Returns:
        An iterator over records and faults, in the order of the rows; for an empty file, one fault.

    Raises:
        UserError: At once, if there is no such file, it is a folder, or its format is not known; at the first step,
            if it cannot be read or lacks a column.
    """
    file = str(path)
    kind = find_format(file, format)
    columns = columns or {}
    if columns and kind in _OWN_COLUMNS:
        raise UserError(f"{file}: format {kind} has no columns to map, but columns were given: {', '.join(columns)}")
    return parse_rows(
        _rows(file, kind, columns, position),
        file,
        actors=actors,
        kind=kind,
        columns=columns,
        targets_as_actors=targets_as_actors,
        max_characters=max_characters,
        need_labels=need_labels,
        sniff=format == AUTO and kind == "jsonl" and not columns,
    )


def load(
    path: str | Path,
    *,
    actors: Actors,
    format: str = AUTO,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    targets_as_actors: bool = False,
    max_characters: int = MAX_CHARACTERS,
) -> list[Record]:
    """All records of a file; the arguments are those of `read`.

    Raises:
        DataError: If any row is faulty; it carries all faults of the file.
        UserError: As `read` does.
    """
    rows = read(
        path,
        actors=actors,
        format=format,
        columns=columns,
        targets_as_actors=targets_as_actors,
        max_characters=max_characters,
    )
    records: list[Record] = []
    faults: list[Fault] = []
    for row in rows:
        if isinstance(row, Fault):
            faults.append(row)
        else:
            records.append(row)
    if faults:
        raise DataError(faults)
    return records


def find_format(file: str, format: str = AUTO) -> str:  # noqa: A002
    """The format a file is read in.

    Args:
        file: As the user named it; `-` is standard input, of which `auto` looks at the first character.
        format: One of `FORMATS`, or `auto`.

    Raises:
        UserError: If the file isn't there or is a folder, or the format isn't known or cannot be told.
    """
    if format not in (AUTO, *FORMATS):
        near = difflib.get_close_matches(format, FORMATS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"{file}: format {shorten(format)} is not known{hint}; allowed: {AUTO}, {', '.join(FORMATS)}")
    if format == "huggingface":
        return format
    if file == STDIN:
        return _stdin_format(format)
    if Path(file).is_dir():
        raise UserError(f"{file}: is a folder; name a file in it, or say format: huggingface for a data set's folder")
    if not Path(file).exists():
        hint = "; say format: huggingface if it is a data set of the hub" if not Path(file).suffix else ""
        raise UserError(f"{file}: no such file{hint}")
    if format != AUTO:
        return format
    kind = _by_ending(file)
    if kind is None:
        raise UserError(
            f"{file}: its format cannot be told from its name; allowed: {', '.join(_BY_SUFFIX)}, "
            f"or say format: {', '.join(FORMATS)}"
        )
    return kind


def has_format(file: str) -> bool:
    """Whether a file's name says in which format it is."""
    return _by_ending(file) is not None


def _by_ending(file: str) -> str | None:
    ending, packed = split_ending(file)
    kind = _BY_SUFFIX.get(ending)
    return None if kind == "parquet" and packed else kind


def _stdin_format(format: str) -> str:  # noqa: A002
    if format == "parquet":
        raise UserError("-: Parquet cannot be read from standard input: name a file")
    if format != AUTO:
        return format
    return "jsonl" if stdin_is_json() else "text"


def _rows(file: str, kind: str, columns: Mapping[str, str], position: Position | None) -> Iterator[Row | Fault]:
    if kind == "huggingface":
        return hub(file, columns)
    if kind == "parquet":
        return parquet(file, columns, position)
    lines = read_lines(file, position)
    if kind == "text":
        return text(lines)
    if kind in _DELIMITERS:
        rows = cells(lines, file, _DELIMITERS[kind])
        return rows if kind == "dse" else table(rows, file, columns)
    return jsonl(lines, file)


def parse_rows(
    rows: Iterable[Row | Fault],
    file: str,
    *,
    actors: Actors,
    kind: str = "jsonl",
    columns: Mapping[str, str] | None = None,
    targets_as_actors: bool = False,
    max_characters: int = MAX_CHARACTERS,
    need_labels: bool = True,
    sniff: bool = False,
) -> Iterator[Record | Fault]:
    """Decoded rows as records; what `read` does behind each format's own reader.

    Args:
        rows: Rows as they were decoded, and what could not be.
        file: Where they come from, for faults.
        actors: As for `read`, like all that is not said here.
        kind: The format.
        columns: As for `read`.
        targets_as_actors: As for `read`.
        max_characters: As for `read`.
        need_labels: As for `read`.
        sniff: Whether the first row decides if these are NewsMTSC's.
    """
    columns = columns or {}
    unseen = set(columns.values()) if kind == "jsonl" else set()
    empty = True
    for item in rows:
        empty = False
        if isinstance(item, Fault):
            yield item
            continue
        if sniff:  # only the first row is looked at
            kind, sniff = ("newsmtsc" if newsmtsc.looks_like(item.values) else kind), False
        if unseen and isinstance(item.values, Mapping):
            unseen = {column for column in unseen if not has_column(item.values, column)}
        row = _laid_out(item, file, kind, columns, max_characters)
        if isinstance(row, Fault):
            yield row
            continue
        parse = partial(parse_record, actors=actors.ids, file=file, line=item.line, max_characters=max_characters)
        record, faults = parse(row)
        if not need_labels and (unread := {_field(fault) for fault in faults} & LABELS):
            record, faults = parse(_set_aside(row, unread))
        yield from faults
        if record is not None:
            yield _adopt(record, actors) if targets_as_actors else record
    if empty:
        yield Fault(file, None, None, "no rows", "at least one sentence")
    for column in sorted(unseen):  # a table says this of its header; here only the end shows it
        yield Fault(file, None, column, "no row with this column", "the name of a column that is there")


def _laid_out(item: Row, file: str, kind: str, columns: Mapping[str, str], max_characters: int) -> Any:
    if kind == "newsmtsc":
        return newsmtsc.convert(item.values, file, item.line, max_characters)
    if kind == "dse":
        return dse.convert(item.values, file, item.line)
    return arrange(item.values, columns) if isinstance(item.values, Mapping) else item.values


def _field(fault: Fault) -> str:
    return (fault.field or "").partition(".")[0]


def _set_aside(row: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    rest = {key: value for key, value in row.items() if key not in names}
    earlier = rest.get(UNREAD_LABELS)
    labels = {name: row[name] for name in sorted(names)}
    return rest | {UNREAD_LABELS: labels | (dict(earlier) if isinstance(earlier, Mapping) else {})}


def _adopt(record: Record, actors: Actors) -> Record:
    """Make actors of the targets that mention exactly one, unless the actor has a label or two targets claim it."""
    claims = {target.id: actor for target in record.targets if (actor := _actor_of(target, actors))}
    times = Counter(claims.values())
    owned = {
        target: actor for target, actor in claims.items() if times[actor] == 1 and record.stance.get(actor) is None
    }
    if not owned:
        return record

    def renamed(holder: str | None) -> str | None:
        return None if holder is None else owned.get(holder, holder)

    stance = dict(record.stance)
    holder = {actor: renamed(label) for actor, label in record.holder.items()}
    rest = []
    for target in record.targets:
        actor = owned.get(target.id)
        if actor is None:
            rest.append(dataclasses.replace(target, holder=renamed(target.holder)))
        else:
            stance[actor] = target.stance
            holder[actor] = renamed(target.holder)
    return dataclasses.replace(record, stance=stance, holder=holder, targets=tuple(rest))


def _actor_of(target: Target, actors: Actors) -> str | None:
    found = [actor for actor, spans in actors.mentions(target.name).items() if spans]
    return found[0] if len(found) == 1 else None
