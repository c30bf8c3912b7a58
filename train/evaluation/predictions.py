"""Predictions on disk: written as parquet, a row a sentence and slot; read from there or from anybody's JSONL.

Columns: `id`, `group`, `slot`, `text`, `fields` (what else the record held, as JSON); `gold_stance`, `stance`,
`gold_holder`, `holder`, `gold_sentiment`, `sentiment`; probabilities `p_favor` … `p_unrelated`, `holder_author`,
`holder_other`, `holder_<slot>` … (given that a stance is held), `sentiment_negative` … `sentiment_positive`. Null where
not annotated or not predicted. The labels are those of `Prediction`: the most probable stance, and its holder where
somebody holds it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tristance.data.errors import DataError, Fault, UserError, shorten
from tristance.data.files import writing
from tristance.data.labels import HELD, NO_HOLDER, SENTIMENTS, STANCES, holder_labels
from tristance.data.records import Record
from tristance.models.predictions import Scores, from_labels
from tristance.train.evaluation.answers import best, normalised

ROUNDING = 0.01
"""How far probabilities in a file may be from their sum of 1, and a label's from the highest: they were rounded."""


GOLD = ("text", "group", "fields", "gold_stance", "gold_holder", "gold_sentiment")
"""Columns that hold what was to be predicted."""


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """Predictions as a file holds them, before they are matched with gold."""

    ids: tuple[str, ...]
    """Sentence ids, in the file's order."""
    scores: Scores
    """NaN where the file has no prediction; one-hot where it has a label only."""
    file: str
    lines: tuple[int | None, ...]
    """Line (or table row) where each sentence is first named, counted from 1."""


def write_predictions(
    path: str | os.PathLike[str],
    records: Sequence[Record],
    scores: Scores,
    *,
    stance_labels: Sequence[str] = STANCES,
) -> None:
    """Write predictions beside gold as parquet.

    Args:
        path: File to write, whole or not at all.
        records: N sentences.
        scores: Their predictions in the same order.
        stance_labels: The labels of the set, as `evaluate` takes them: others are struck and the rest renormalised.

    Raises:
        ValueError: If the lengths differ.
        OSError: If it cannot be written.
    """
    if len(records) != len(scores):
        raise ValueError(f"{len(records)} records, {len(scores)} predictions")
    stance: npt.NDArray[Any] = scores.stance
    if set(stance_labels) != set(STANCES):
        stance = normalised(stance * [label in stance_labels for label in STANCES])
    known = np.isfinite(stance).all(-1)
    gold = [[record.labels(slot) for slot in scores.slots] for record in records]
    # A sentence of a public set has a few of all slots; its first row stays even without any, for its sentiment.
    rows = [
        (number, slot)
        for number in range(len(records))
        for slot in range(len(scores.slots))
        if slot == 0 or known[number, slot] or gold[number][slot][0] is not None
    ]
    sentence, slots = (np.array([row[axis] for row in rows], np.int64) for axis in (0, 1))
    of = [records[number] for number in sentence]
    stances = _names(stance[sentence, slots], STANCES)
    holders = _names(scores.holder[sentence, slots], scores.holders)
    columns: dict[str, Any] = {
        "id": [record.id for record in of],
        "group": pa.array([record.group for record in of], pa.string()),
        "slot": [scores.slots[slot] for slot in slots],
        "text": [record.text for record in of],
        "fields": [json.dumps(dict(record.fields), ensure_ascii=False, default=str) for record in of],
        "gold_stance": pa.array([gold[number][slot][0] for number, slot in rows], pa.string()),
        "stance": pa.array(stances, pa.string()),
        "gold_holder": pa.array([gold[number][slot][1] for number, slot in rows], pa.string()),
        "holder": pa.array(
            [
                holder if label in HELD else None if label is None else NO_HOLDER
                for label, holder in zip(stances, holders, strict=True)
            ],
            pa.string(),
        ),
        "gold_sentiment": pa.array([record.sentiment for record in of], pa.string()),
        "sentiment": pa.array(_names(scores.sentiment[sentence], SENTIMENTS), pa.string()),
    }
    for prefix, labels, values in (
        ("p", STANCES, stance[sentence, slots]),
        ("holder", scores.holders, scores.holder[sentence, slots]),
        ("sentiment", SENTIMENTS, scores.sentiment[sentence]),
    ):
        for index, label in enumerate(labels):
            column = np.asarray(values[:, index], np.float32)
            columns[f"{prefix}_{label}"] = pa.array(column, mask=np.isnan(column))
    table = pa.table(columns).replace_schema_metadata({"tristance.slots": json.dumps(scores.slots)})
    with writing(path, "wb") as stream:
        pq.write_table(table, stream, compression="zstd")


def read_predictions(path: str | os.PathLike[str], slots: Sequence[str] | None = None) -> PredictionFile:
    """Read what `write_predictions` wrote (`.parquet`), or JSON lines as `Prediction.as_dict` gives them.

    A line needs an `id`; `stance` and `holder` map slots to labels, `sentiment` is a label, and `probabilities` may
    stand beside them. A label that is missing or null is a missing prediction, which `evaluate` counts as wrong.

    Args:
        path: The file.
        slots: Actor or target ids that may be predicted; None for those that the file names, in order of appearance.

    Raises:
        UserError: If the file cannot be read, or is faulty (`DataError`, with every fault's file, line, field, found
            and allowed).
    """
    name = str(path)
    if Path(path).suffix.lower() == ".parquet":
        return _read_parquet(name, slots)
    rows, faults = _json_lines(name)
    rows = [(line, _with_targets(row)) for line, row in rows]
    if not rows and not faults:
        raise UserError(f"{name}: found no predictions; allowed: a JSON object a line")
    if slots is None:
        named = (row.get(key) for _, row in rows for key in ("stance", "holder"))
        slots = tuple(dict.fromkeys(slot for labels in named if isinstance(labels, Mapping) for slot in labels))
    faults += [fault for line, row in rows for fault in row_faults(row, tuple(slots), name, line)]
    faults += _duplicates(((str(row["id"]), line) for line, row in rows if "id" in row), name)
    if faults:
        raise DataError(sorted(faults, key=lambda fault: fault.line or 0))
    scores = from_labels([row for _, row in rows], tuple(slots))
    return PredictionFile(tuple(str(row["id"]) for _, row in rows), scores, name, tuple(line for line, _ in rows))


def read_scored(path: str | os.PathLike[str]) -> tuple[list[Record], Scores]:
    """Read what `write_predictions` wrote: the sentences with their gold labels, and their predictions beside them.

    Gold labels of targets come back as those of slots, which is all that scoring needs.

    Raises:
        UserError: If the file cannot be read, or is not what a run of this version leaves.
    """
    found = read_predictions(path)
    table = pq.read_table(path)
    if missing := [name for name in GOLD if name not in table.column_names]:
        raise UserError(f"{path}: found no column {missing[0]!r}; allowed: predictions as this version writes them")
    rows: dict[str, dict[str, Any]] = {}
    for row in table.select(["id", "slot", *GOLD]).to_pylist():
        held = rows.setdefault(row["id"], row | {"stance": {}, "holders": {}})
        held["stance"][row["slot"]], held["holders"][row["slot"]] = row["gold_stance"], row["gold_holder"]
    records = []
    for identity in found.ids:
        row = rows[identity]
        fields = json.loads(row["fields"]) | ({} if row["group"] is None else {"group": row["group"]})
        records.append(
            Record(identity, row["text"], row["stance"], row["holders"], row["gold_sentiment"], (), fields, str(path))
        )
    return records, found.scores


def align(records: Sequence[Record], predictions: PredictionFile) -> Scores:
    """The scores in the order of the records.

    Raises:
        DataError: If a prediction's id is no record's, or a record has no prediction. (A sentence that a model would
            not answer belongs into the file without labels: it counts as wrong.)
    """
    place = {identity: row for row, identity in enumerate(predictions.ids)}
    wanted = {record.id for record in records}
    faults = [
        Fault(predictions.file, line, "id", shorten(identity), "an id of the gold data")
        for identity, line in zip(predictions.ids, predictions.lines, strict=True)
        if identity not in wanted
    ]
    faults += [
        Fault(predictions.file, None, "id", f"none for {shorten(record.id)}", "a prediction for every gold sentence")
        for record in records
        if record.id not in place
    ]
    if faults:
        raise DataError(faults)
    order = np.array([place[record.id] for record in records], np.int64)
    scores = predictions.scores
    return Scores(scores.slots, scores.stance[order], scores.holder[order], scores.sentiment[order])


def _names(probabilities: npt.NDArray[Any], labels: Sequence[str]) -> list[str | None]:
    return [labels[index] if index >= 0 else None for index in best(normalised(probabilities)).tolist()]


def _json_lines(path: str) -> tuple[list[tuple[int, dict[str, Any]]], list[Fault]]:
    rows: list[tuple[int, dict[str, Any]]] = []
    faults: list[Fault] = []
    try:
        with open(path, encoding="utf-8-sig") as stream:
            for line, text in enumerate(stream, 1):
                if not text.strip():
                    continue
                try:
                    row = json.loads(text)
                except json.JSONDecodeError as error:
                    faults.append(Fault(path, line, None, f"{error.msg} at {error.pos + 1}", "a JSON object"))
                    continue
                if isinstance(row, dict):
                    rows.append((line, row))
                else:
                    faults.append(Fault(path, line, None, shorten(row), "a JSON object"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: found bytes that are not UTF-8; allowed: JSON lines, or a .parquet file") from error
    return rows, faults


def _with_targets(row: dict[str, Any]) -> dict[str, Any]:
    """The labels that stand in `targets`, as `tristance predict` writes them, beside those of the actors."""
    targets = row.get("targets")
    if not isinstance(targets, list):
        return row
    known = [target for target in targets if isinstance(target, Mapping) and "id" in target]
    labels = {task: {str(each["id"]): each.get(task) for each in known} for task in ("stance", "holder")}
    return row | {task: {**(row.get(task) or {}), **by_target} for task, by_target in labels.items()}


def row_faults(row: Mapping[str, Any], slots: tuple[str, ...], file: str, line: int | None) -> Iterator[Fault]:
    """What is wrong with a prediction: its labels and probabilities, and whether they fit each other."""
    if not isinstance(row.get("id"), str | int):
        yield Fault(file, line, "id", shorten(row.get("id")), "the id of a gold sentence")
    shares = row.get("probabilities") or {}
    if not isinstance(shares, Mapping):
        yield Fault(file, line, "probabilities", shorten(shares), "an object with stance, holder, sentiment")
        shares = {}
    tasks = {"stance": (STANCES, STANCES), "holder": (holder_labels(slots), (*holder_labels(slots), NO_HOLDER))}
    for task, (scored, named) in tasks.items():
        for field, by_slot in ((task, row.get(task)), (f"probabilities.{task}", shares.get(task))):
            yield from _slot_faults(by_slot, slots, file, line, field)
        labels, known = (value if isinstance(value, Mapping) else {} for value in (row.get(task), shares.get(task)))
        for slot in slots:
            yield from _label_faults(labels.get(slot), named, file, line, f"{task}.{slot}")
            field = f"probabilities.{task}.{slot}"
            yield from _probability_faults(known.get(slot), scored, labels.get(slot), file, line, field)
    tone = row.get("sentiment")
    yield from _label_faults(tone, SENTIMENTS, file, line, "sentiment")
    yield from _probability_faults(shares.get("sentiment"), SENTIMENTS, tone, file, line, "probabilities.sentiment")


def _slot_faults(value: object, slots: Sequence[str], file: str, line: int | None, field: str) -> Iterator[Fault]:
    if value is not None and not isinstance(value, Mapping):
        yield Fault(file, line, field, shorten(value), f"an object with {', '.join(slots)}")
    elif value is not None:
        unknown = [slot for slot in value if slot not in slots]
        yield from (Fault(file, line, f"{field}.{slot}", shorten(slot), ", ".join(slots)) for slot in unknown)


def _label_faults(label: object, allowed: Sequence[str], file: str, line: int | None, field: str) -> Iterator[Fault]:
    if label is not None and label not in allowed:
        yield Fault(file, line, field, shorten(label), ", ".join(allowed))


def _probability_faults(
    shares: object, labels: Sequence[str], named: object, file: str, line: int | None, field: str
) -> Iterator[Fault]:
    if shares is None:
        return
    if not isinstance(shares, Mapping) or not set(shares) <= set(labels):
        yield Fault(file, line, field, shorten(shares), f"an object with probabilities of {', '.join(labels)}")
    elif not all(_is_probability(value) for value in shares.values()) or abs(sum(shares.values()) - 1) > ROUNDING:
        yield Fault(file, line, field, shorten(dict(shares)), "numbers from 0 to 1 that sum to 1")
    elif named in labels and shares.get(named, 0.0) < max(shares.values()) - ROUNDING:
        # Only the probabilities would be scored, in silence.
        top = max(shares, key=lambda label: shares[label])
        yield Fault(file, line, field, f"{top!r} more probable than the label {named!r}", "the label the most probable")


def _is_probability(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _duplicates(ids: Iterable[tuple[str, int]], file: str) -> list[Fault]:
    first: dict[str, int] = {}
    faults = []
    for identity, line in ids:
        if identity in first:
            allowed = f"an id once (first in line {first[identity]})"
            faults.append(Fault(file, line, "id", shorten(identity), allowed, "duplicate"))
        first.setdefault(identity, line)
    return faults


def _read_parquet(name: str, slots: Sequence[str] | None) -> PredictionFile:
    try:
        with open(name, "rb") as stream:
            table = pq.read_table(stream)
    except pa.ArrowInvalid as error:
        raise UserError(f"{name}: found something that is no parquet; allowed: what tristance writes") from error
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or 'damaged'}") from error
    if missing := [column for column in ("id", "slot") if column not in table.column_names]:
        raise UserError(f"{name}: found no column {missing[0]!r}; allowed: the columns that tristance writes")
    ids, named = ([str(value) for value in table.column(column).to_pylist()] for column in ("id", "slot"))
    if not ids:
        raise UserError(f"{name}: found no predictions; allowed: a row a sentence and slot")
    metadata = (table.schema.metadata or {}).get(b"tristance.slots")
    own_slots = tuple(json.loads(metadata)) if metadata else tuple(dict.fromkeys(named))
    known = own_slots if slots is None else tuple(slots)
    rows = list(zip(ids, named, range(1, len(ids) + 1), strict=True))
    faults = [Fault(name, row, "slot", shorten(slot), ", ".join(known)) for _, slot, row in rows if slot not in known]
    faults += _duplicates(((f"{identity} for {slot}", row) for identity, slot, row in rows), name)
    if faults:
        raise DataError(faults)
    first = {identity: row for identity, _, row in reversed(rows)}
    order = sorted(first, key=lambda identity: first[identity])
    place = {identity: number for number, identity in enumerate(order)}
    sentence = np.array([place[identity] for identity in ids], np.int64)
    slot_of = np.array([known.index(slot) for slot in named], np.int64)

    def scattered(prefix: str, labels: Sequence[str], shape: tuple[int, ...], at: Any) -> npt.NDArray[np.float32]:
        values = np.full((*shape, len(labels)), np.nan, np.float32)
        values[at] = np.stack([_column(table, f"{prefix}_{label}", name) for label in labels], -1)
        return values

    both = (len(order), len(known))
    scores = Scores(
        known,
        scattered("p", STANCES, both, (sentence, slot_of)),
        scattered("holder", holder_labels(known), both, (sentence, slot_of)),
        scattered("sentiment", SENTIMENTS, both[:1], sentence),
    )
    return PredictionFile(tuple(order), scores, name, tuple(first[identity] for identity in order))


def _column(table: pa.Table, column: str, name: str) -> npt.NDArray[np.float32]:
    if column not in table.column_names:
        raise UserError(f"{name}: found no column {column!r}; allowed: the columns that tristance writes")
    values = table.column(column)
    if not pa.types.is_floating(values.type) and not pa.types.is_null(values.type):
        raise UserError(f"{name}: {column}: found {values.type}; allowed: probabilities")
    return np.asarray(values.cast(pa.float32()).to_numpy(zero_copy_only=False), np.float32)
