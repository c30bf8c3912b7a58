"""Which columns an output has, and the schema of those that are tables.

A line of JSON is a row as it is, nested: `{"id", "text", …, "stance": {"west": "favor", …}, …}`. A table (Parquet, CSV,
TSV) has a column for each leaf, by its dotted name. For a model of the actors `west`, `russia` and `north_korea`:

| column | type | holds |
| --- | --- | --- |
| `source_file` | string | the file that the row came from; only where several are read |
| `id`, `text` | string | of the row; without an id its line |
| `stance.west`, `stance.russia`, … | string | `favor`, `against`, `neutral`, `unrelated` |
| `holder.west`, … | string | whose stance it is: `author`, `other`, an actor; `none` where it is no stance |
| `sentiment` | string | `positive`, `neutral`, `negative` |
| `probabilities.stance.west.favor`, … | float | of each label of `stance.west`; they sum to 1 |
| `probabilities.holder.west.author`, … | float | of each holder, given that a stance is held |
| `probabilities.sentiment.positive`, … | float | of each sentiment |
| `out_of_scope` | string | why the row was not judged; its labels and probabilities are null then |
| `abstained` | string | a JSON list of the actors whose stance is not sure enough; null if there are none |
| `fields` | string | all else as one JSON object: further fields of the input, its labels under `gold`, targets and \
their answers; null if nothing |

A column that is asked for by name and stands in the input alone is a string, JSON where it was nested.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from tristance.data.errors import UserError, shorten
from tristance.data.formats.rows import find
from tristance.data.inputs import SOURCE_FILE
from tristance.data.labels import SENTIMENTS, STANCES, holder_labels

FIELDS: Final = "fields"
"""Column of a table that holds, as JSON, whatever has no column of its own."""
PREDICTED: Final = ("stance", "holder", "sentiment", "probabilities")
MARKS: Final = ("out_of_scope", "abstained")
"""What a model's caution holds against a row."""


@dataclass(frozen=True)
class OutputColumns:
    """The columns of an output; made by `output_columns`."""

    names: tuple[str, ...]
    """Of a table, dotted, in order."""
    chosen: tuple[str, ...]
    """Those asked for; none means everything."""
    floats: frozenset[str]
    source_file: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Of a table: float32 for probabilities, strings for all else; any of them may be null."""
        return pa.schema([(name, pa.float32() if name in self.floats else pa.string()) for name in self.names])


def output_columns(actors: Sequence[str], chosen: Sequence[str] = (), *, source_file: bool = False) -> OutputColumns:
    """The columns of an output.

    Args:
        actors: Ids of the model's actors.
        chosen: Names: of a column, of a group (`stance`, `probabilities.stance.west`), or of a field of the input;
            none means everything.
        source_file: Whether several files are read.

    Raises:
        UserError: If a name belongs to the predictions, and they have no such column.
    """
    floats = [
        *(f"probabilities.stance.{actor}.{label}" for actor in actors for label in STANCES),
        *(f"probabilities.holder.{actor}.{label}" for actor in actors for label in holder_labels(tuple(actors))),
        *(f"probabilities.sentiment.{label}" for label in SENTIMENTS),
    ]
    labels = [f"{task}.{actor}" for task in ("stance", "holder") for actor in actors]
    every = [*[SOURCE_FILE] * source_file, "id", "text", *labels, "sentiment", *floats, *MARKS, FIELDS]
    names: list[str] = []
    for name in chosen:
        group = [column for column in every if column == name or column.startswith(f"{name}.")]
        if actors and not group and name.partition(".")[0] in PREDICTED:
            near = difflib.get_close_matches(name, every, 3) or list(PREDICTED)
            raise UserError(f"--columns: found {shorten(name)}; allowed: {', '.join(near)}, …")
        names += group or [name]
    return OutputColumns(tuple(dict.fromkeys(names)) or tuple(every), tuple(chosen), frozenset(floats), source_file)


def pick(row: Mapping[str, Any], columns: OutputColumns) -> dict[str, Any]:
    """A row with the columns that were asked for, nested as it is; one that the row lacks is left out."""
    if not columns.chosen:
        return dict(row)
    picked: dict[str, Any] = {}
    for name in columns.chosen:
        value = find(row, name)
        if value is None:
            continue
        *parents, last = [name] if name in row else name.split(".")
        place = picked
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return picked


def flat(row: Mapping[str, Any], columns: OutputColumns) -> dict[str, Any]:
    """A row of a table: a value for each column, None where the row has none."""
    values = {name: find(row, name) for name in columns.names}
    if FIELDS in values:
        rest = _rest(row, values.keys() - {FIELDS})
        values[FIELDS] = rest or None
    return {name: value if name in columns.floats else _text(value) for name, value in values.items()}


def to_table(rows: Sequence[Mapping[str, Any]], columns: OutputColumns) -> pa.Table:
    """Rows as a table of the columns' schema."""
    return pa.Table.from_pylist([flat(row, columns) for row in rows], schema=columns.schema)


def _rest(values: Mapping[str, Any], known: Collection[str], prefix: str = "") -> dict[str, Any]:
    """What of a row, or of what is nested in it, has no column of its own."""
    rest = {}
    for key, value in values.items():
        name = prefix + key
        if name in known:
            continue
        if isinstance(value, Mapping) and any(column.startswith(f"{name}.") for column in known):
            value = _rest(value, known, f"{name}.")
            if not value:
                continue
        rest[key] = value
    return rest


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
