"""Rows in, rows out: what every engine that reads files does with each piece of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tristance.data.errors import Fault
from tristance.data.formats import UNREAD_LABELS, parse_rows
from tristance.data.formats.tables import batch_rows
from tristance.data.inputs import SOURCE_FILE
from tristance.data.records import Record
from tristance.models.caution import Marks
from tristance.models.classifier import StanceClassifier
from tristance.models.encoding import record_item, rows_by_slots
from tristance.models.output_columns import MARKS, OutputColumns, to_table
from tristance.models.predictions import to_predictions


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of some rows."""

    rows: list[dict[str, Any]]
    """A JSON-ready row for each record, in order."""
    faults: list[Fault]
    """The rows that could not be read, in order."""
    cut: int = 0
    """Sentences that were longer than the model reads and lost their end."""
    unread_labels: int = 0
    """Records that keep labels which could not be read."""
    marks: Marks = field(default_factory=Marks)


def answer(
    classifier: StanceClassifier, rows: Sequence[Record | Fault], *, batch_size: int = 32, source_file: bool = False
) -> Answers:
    """Predict the records among some rows, and tell the faults apart.

    An answer does not depend on the other rows but for the rounding of floats, which batches change in the last digits:
    the same rows in one call give the same bytes.

    Args:
        classifier: The model.
        rows: Records, and the faults of rows that are none.
        batch_size: Sentences a step.
        source_file: Whether each row says which file it came from.
    """
    records = [row for row in rows if isinstance(row, Record)]
    encoding = getattr(classifier.scorer, "encoding", None)  # a baseline has none, and cuts nothing
    cut = encoding.cut if encoding else 0
    answers = list(predict_records(classifier, records, batch_size))
    if source_file:
        answers = [{SOURCE_FILE: record.file} | row for record, row in zip(records, answers, strict=True)]
    return Answers(
        answers,
        [row for row in rows if isinstance(row, Fault)],
        (encoding.cut if encoding else 0) - cut,
        sum(UNREAD_LABELS in record.fields for record in records),
        Marks.of(answers),
    )


def answer_table(
    classifier: StanceClassifier,
    table: pa.Table,
    output: OutputColumns,
    *,
    columns: Mapping[str, str] | None = None,
    file: str = "",
    first: int = 1,
    batch_size: int = 32,
) -> tuple[pa.Table, Answers]:
    """`answer` for a table of raw rows, as an engine that keeps its data in Arrow has them.

    Args:
        classifier: The model.
        table: At least a column `text`.
        output: The columns of the table that comes out; its schema is `output.schema`.
        columns: Record field to column, as `read` takes them.
        file: Where the rows come from, for faults and `source_file`.
        first: Number of the table's first row in that file.
        batch_size: Sentences a step.

    Returns:
        The answers as a table with a row for each that could be read; and all that is to be told of them.
    """
    parsed = parse_rows(
        batch_rows(table, file, first),
        file,
        actors=classifier.actors,
        kind="parquet",
        columns=columns,
        need_labels=False,
    )
    rows = list(parsed) if table.num_rows else []  # an empty file is a fault, an empty block of one is not
    answers = answer(classifier, rows, batch_size=batch_size, source_file=output.source_file)
    return to_table(answers.rows, output), answers


def predict_records(
    classifier: StanceClassifier, records: Sequence[Record], batch_size: int = 32
) -> Iterator[dict[str, Any]]:
    """A JSON-ready row for each record, in order: its fields, predicted labels, probabilities, and `gold`.

    What the classifier's caution holds against a row stands in it as `out_of_scope` or `abstained`.
    """
    rows: list[dict[str, Any]] = [{}] * len(records)
    items = [record_item(record, classifier.actors) for record in records]
    for numbers in rows_by_slots(items).values():
        scores = classifier.score_items([items[number] for number in numbers], batch_size=batch_size)
        predictions = classifier.caution.mark(to_predictions([records[number].text for number in numbers], scores))
        for number, prediction in zip(numbers, predictions, strict=True):
            rows[number] = _row(records[number], prediction.as_dict())
    return iter(rows)


def _row(record: Record, predicted: dict[str, Any]) -> dict[str, Any]:
    # marks that an earlier model left say nothing of this one
    given = {name: value for name, value in record.as_dict().items() if name not in MARKS}
    gold: dict[str, Any] = {name: given.pop(name) for name in ("stance", "holder", "sentiment") if name in given}
    if record.targets:
        gold["targets"] = given["targets"]
        labels = [(predicted["stance"].pop(each.id), predicted["holder"].pop(each.id)) for each in record.targets]
        given["targets"] = [
            {**target, "stance": stance, "holder": holder}
            for target, (stance, holder) in zip(given["targets"], labels, strict=True)
        ]
        if not predicted["stance"]:  # no actor was asked about
            del predicted["stance"], predicted["holder"]
    if "gold" in given:  # labels beside it are what an earlier model predicted
        gold = given["gold"]
    return given | predicted | ({"gold": gold} if gold else {})
