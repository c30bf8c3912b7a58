"""Annotation sheets: a random sample of a file's sentences as a table for a spreadsheet, and the labels back from it.

The sheet holds the sentences and empty columns, and nothing that was predicted: whoever fills it in must not be led.
Its rows stand in the order in which they were drawn, so that the first k of them are a random sample of their own:
one may stop anywhere. It is a CSV file that any of this package's commands reads.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tristance.data.actors import Actors
from tristance.data.errors import DataError, Fault, UserError, shorten
from tristance.data.files import writing
from tristance.data.formats import find_format, read
from tristance.data.formats.lines import BOM, read_lines
from tristance.data.formats.rows import arrange
from tristance.data.formats.tables import cells, table
from tristance.data.records import Record, parse_record

KEY: Final = "key"
NOTE: Final = "note"
LABELS: Final = ("stance.", "sentiment")
"""What the names of columns with labels begin with."""
FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet would run, or what already stands guarded."""


class Keys:
    """Names sentences by id and text, so that a sheet finds them again in whatever order they come.

    An id alone would not do: spreadsheets make numbers and dates of them, and files joined together share them.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, record: Record) -> str:
        """A word that no spreadsheet takes for a number; a sentence that comes again under its id is numbered."""
        key = "s" + hashlib.sha256(f"{record.id}\n{record.text}".encode()).hexdigest()[:16]
        self._seen[key] += 1
        return key if self._seen[key] == 1 else f"{key}-{self._seen[key]}"


class Sentence(NamedTuple):
    """A sentence and the key it has among all of its file."""

    key: str
    text: str


@dataclass(frozen=True)
class Labels:
    """What a sheet holds."""

    file: str
    records: Mapping[str, Record]
    """By key; those without any label are left out."""
    empty: int
    """Rows without any label."""
    passed_over: int
    """Those of them that stand before a labelled one."""


def draw(count: int, size: int, seed: int) -> list[int]:
    """Numbers of `size` rows of `count` at random, without repeats; of a smaller size, the first of these.

    Raises:
        UserError: If there are not so many rows.
    """
    if size > count:
        raise UserError(f"found {count} sentences, asked for {size}; allowed: at most {count}")
    return [int(row) for row in np.random.default_rng(seed).permutation(count)[:size]]


def write_sheet(path: str | Path, sentences: Sequence[Sentence], actors: Sequence[str], about: str) -> Path:
    """Write an empty sheet, and beside it a guide: how it was drawn, how to fill it in, what each label means.

    Args:
        path: A .csv file that is not there yet: labels made by hand must not be lost.
        sentences: In the order in which they were drawn.
        actors: Ids that get a column each.
        about: How the sentences were drawn.

    Returns:
        The guide.

    Raises:
        UserError: If there is such a file already, or it is not called .csv.
    """
    path = Path(path)
    guide = path.with_suffix(".md")
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: found the ending {path.suffix!r}; allowed: .csv, which spreadsheets open")
    for each in (path, guide):
        if each.exists():
            raise UserError(f"{each}: is there already, and may hold labels; allowed: another name")
    columns = [KEY, "text", *(f"stance.{actor}" for actor in actors), "sentiment", NOTE]
    with writing(path) as stream:
        stream.write(BOM)  # or Excel takes UTF-8 for something else
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([each.key, guarded(each.text)] + [""] * (len(columns) - 2) for each in sentences)
    meanings = resources.files("tristance.data").joinpath("LABELING.md").read_text(encoding="utf-8")
    with writing(guide) as stream:
        stream.write(f"{_guide(path.name, actors, about)}\n\n---\n\n{meanings}")
    return guide


def read_sheet(path: str | Path, actors: Actors) -> Labels:
    """Read the labels of a sheet, or of any file of labelled sentences that keep the ids and texts of their source.

    Raises:
        DataError: With every row that cannot be read, unknown label, and sentence that is there twice.
        UserError: If the file cannot be read.
    """
    file = str(path)
    records: dict[str, Record] = {}
    lines: dict[str, int | None] = {}
    keys, faults, order = Keys(), [], []
    for item in _items(file, actors):
        if isinstance(item, Fault):
            faults.append(item)
            continue
        if "probabilities" in item.fields:
            faults.append(Fault(file, item.line, "probabilities", "a prediction", "labels that somebody gave by hand"))
        key = str(item.fields.get(KEY) or keys.of(item))
        if key in lines:
            found = f"{shorten(key)}, also of line {lines[key]}"
            faults.append(Fault(file, item.line, KEY, found, "a sentence once", "duplicate"))
        lines[key] = item.line
        order.append(_is_labelled(item))
        if order[-1]:
            records[key] = item
    if faults:
        raise DataError(faults)
    last = max((place for place, labelled in enumerate(order) if labelled), default=-1)
    return Labels(file, records, order.count(False), order[: last + 1].count(False))


def guarded(text: str) -> str:
    """The text, such that no spreadsheet runs it as a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def same_text(sheet: Record, text: str) -> bool:
    """Whether a row of a sheet holds this text: spaces aside, which spreadsheets change."""
    return any(each.split() == text.split() for each in (sheet.text, unguarded(sheet.text)))


def _is_labelled(record: Record) -> bool:
    return record.sentiment is not None or any(label is not None for label in record.stance.values())


def _items(file: str, actors: Actors) -> Iterator[Record | Fault]:
    """A CSV file's own way, since half of the world's spreadsheets write semicolons into it."""
    if find_format(file) != "csv":
        yield from read(file, actors=actors)
        return
    first = next((line.text for line in read_lines(file) if not line.fault), "")
    delimiter = max(",;\t", key=first.count)
    for row in table(cells(read_lines(file), file, delimiter), file, {}):
        if isinstance(row, Fault):
            yield row
            continue
        values = {name: _label(cell) if name.startswith(LABELS) else cell for name, cell in row.values.items()}
        record, faults = parse_record(arrange(values, {}), actors.ids, file=file, line=row.line)
        yield from faults
        if record is not None:
            yield record


def _label(cell: object) -> object:
    """A label as people type it; None for one of blanks alone."""
    return (cell.strip().lower() or None) if isinstance(cell, str) else cell


def _guide(sheet: str, actors: Sequence[str], about: str) -> str:
    stances = ", ".join(f"`stance.{actor}`" for actor in actors)
    return f"""# How to fill in {sheet}

{about}

Work from the top, and stop where you like: the rows stand in random order, so those done are a random sample. Pass
none over, above all not the hard ones. Change nothing in the columns `key` and `text`, and save as CSV (UTF-8).

| column | what may stand in it |
| --- | --- |
| {stances} | `favor`, `against`, `neutral`, `unrelated` |
| `sentiment` | `negative`, `neutral`, `positive` |
| `{NOTE}` | anything; it is not read |

An empty cell means "not labelled yet". An apostrophe before `=`, `+`, `-` or `@` at the start of a sentence only keeps
the spreadsheet from taking it for a formula. What each label means, and how to decide the hard cases, follows."""
