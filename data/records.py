"""The record: one sentence with its labels, and the one parser that every format goes through."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tristance.data.errors import Fault, shorten
from tristance.data.labels import FREE_HOLDERS, HELD, NO_HOLDER, RESERVED, SENTIMENTS, STANCES

MAX_CHARACTERS: Final = 2000
"""Longest text taken for one sentence; what is longer is an article, or broken."""
NO_ACTORS: Final = "none: this model knows no actors, it was trained on targets alone"
OWN_FIELDS: Final = frozenset({"id", "text", "stance", "holder", "sentiment", "targets"})


@dataclass(frozen=True, slots=True)
class Target:
    """Something other than an actor that a sentence takes a stance on: an entity of a public data set, say."""

    id: str
    name: str
    start: int | None = None
    """First character of the mention in the text."""
    end: int | None = None
    """Character after the mention's last."""
    stance: str | None = None
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence. A label that is missing or None means *not annotated*: it is left out of loss and metrics."""

    id: str
    text: str
    stance: Mapping[str, str | None] = field(default_factory=dict)
    """Actor id to one of `labels.STANCES`."""
    holder: Mapping[str, str | None] = field(default_factory=dict)
    """Actor id to `author`, `other`, a slot's id, or `none`."""
    sentiment: str | None = None
    targets: tuple[Target, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Everything else the row held (`group`, `genre`, `date`, `source`, `pair`, …), carried along untouched."""
    file: str = ""
    line: int | None = None

    @property
    def group(self) -> str | None:
        """The document or pair that the sentence belongs to; None for a free-standing one."""
        group = self.fields.get("group")
        return None if group is None else str(group)

    @property
    def unit(self) -> str:
        """What the sentence must not be parted from: its document, its twin, or nothing but itself.

        The same wherever its file lies, since folds are made by it.
        """
        return self.group or str(self.fields.get("pair") or f"{Path(self.file).name}:{self.line}:{self.id}")

    @property
    def slots(self) -> tuple[str, ...]:
        """Ids of whatever carries a label here: the actors it is labelled for, and its targets."""
        return (*self.stance, *(target.id for target in self.targets))

    def labels(self, slot: str) -> tuple[str | None, str | None]:
        """Stance towards an actor or target, and its holder; None where not annotated."""
        for target in self.targets:
            if target.id == slot:
                return target.stance, target.holder
        return self.stance.get(slot), self.holder.get(slot)

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON would hold it: what `parse_record` takes."""
        row: dict[str, Any] = {"id": self.id, "text": self.text, **self.fields}
        if self.stance:
            row["stance"] = dict(self.stance)
        if self.holder:
            row["holder"] = dict(self.holder)
        if self.sentiment is not None:
            row["sentiment"] = self.sentiment
        if self.targets:
            names = ("id", "name", "start", "end", "stance", "holder")
            pairs = [[(name, getattr(target, name)) for name in names] for target in self.targets]
            row["targets"] = [{name: value for name, value in pair if value is not None} for pair in pairs]
        return row


def parse_record(
    row: object,
    actors: Sequence[str],
    *,
    file: str = "",
    line: int | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> tuple[Record | None, list[Fault]]:
    """Read one row as a record.

    Args:
        row: The decoded row; anything but a mapping is a fault.
        actors: Ids of the actors that may be labelled.
        file: File name for faults.
        line: Line number for faults and, where the row has no id, for the id.
        max_characters: Longest text allowed, in characters.

    Returns:
        The record and no faults, or None and every fault of the row.
    """
    if not isinstance(row, Mapping):
        return None, [Fault(file, line, None, shorten(row), "an object with a 'text'")]
    faults: list[Fault] = []

    def fault(name: str, found: object, allowed: str) -> None:
        faults.append(Fault(file, line, name, shorten(found), allowed))

    text = row.get("text")
    for found, allowed in _text_faults(text, max_characters):
        faults.append(Fault(file, line, "text", found, allowed))
    raw_id = row.get("id")
    if raw_id is not None and not isinstance(raw_id, str | int):
        fault("id", raw_id, "a string or a number")
    targets = _parse_targets(row.get("targets"), text if isinstance(text, str) else "", fault)
    slots = (*actors, *(target.id for target in targets))
    if len(set(slots)) < len(slots):
        fault("targets", [target.id for target in targets], "ids that differ from each other and from the actors'")
    holders = (*FREE_HOLDERS, *slots, NO_HOLDER)
    stance = _parse_labels(row.get("stance"), "stance", actors, STANCES, fault)
    holder = _parse_labels(row.get("holder"), "holder", actors, holders, fault)
    for actor, label in holder.items():
        _check_holder(f"holder.{actor}", stance.get(actor), label, fault)
    _check_target_holders(targets, holders, fault)
    sentiment = row.get("sentiment")
    if sentiment is not None and sentiment not in SENTIMENTS:
        fault("sentiment", sentiment, _choices(SENTIMENTS))
    if faults:
        return None, faults
    fields = {key: value for key, value in row.items() if key not in OWN_FIELDS}
    identity = str(raw_id) if raw_id is not None else str(line or 0)
    return Record(identity, str(text), stance, holder, sentiment, targets, fields, file, line), []


def _text_faults(text: object, max_characters: int) -> Iterator[tuple[str, str]]:
    if text is None:
        yield "no text", "a sentence"
    elif not isinstance(text, str) or not text.strip():
        yield shorten(text), "a sentence that is not empty"
    elif len(text) > max_characters:
        yield f"{len(text):,} characters", f"one sentence of at most {max_characters:,} characters"
    else:
        control = next((char for char in text if char != "\t" and unicodedata.category(char) in ("Cc", "Cs")), None)
        if control is not None:
            yield f"control character {control!r} at {text.index(control)}", "printable characters"


def _parse_labels(
    value: object, name: str, actors: Sequence[str], allowed: Sequence[str], fault: Any
) -> dict[str, str | None]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        fault(name, value, "an object from actor to label")
        return {}
    known = f"an actor: {_choices(actors)}" if actors else NO_ACTORS
    for actor, label in value.items():
        if actor not in actors:
            fault(f"{name}.{actor}", actor, known)
        elif label is not None and label not in allowed:
            fault(f"{name}.{actor}", label, _choices(allowed))
    return {actor: value[actor] for actor in actors if actor in value}


def _check_holder(name: str, stance: str | None, holder: str | None, fault: Any) -> None:
    """A held stance has a holder, any other has none; where either is not annotated there is nothing to check."""
    if stance is None or holder is None:
        return
    if stance in HELD and holder == NO_HOLDER:
        fault(name, holder, f"a holder, since the stance is {stance}")
    if stance not in HELD and holder != NO_HOLDER:
        fault(name, holder, f"{NO_HOLDER}, since the stance is {stance}")


def _check_target_holders(targets: Sequence[Target], holders: Sequence[str], fault: Any) -> None:
    for number, target in enumerate(targets):
        name = f"targets[{number}].holder"
        if target.holder is not None and target.holder not in holders:
            fault(name, target.holder, _choices(holders))
        _check_holder(name, target.stance, target.holder, fault)


def _parse_targets(value: object, text: str, fault: Any) -> tuple[Target, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        fault("targets", value, "a list of {id, name, start, end, stance, holder}")
        return ()
    targets = []
    for number, item in enumerate(value):
        place = f"targets[{number}]"
        if not isinstance(item, Mapping) or not item.get("name"):
            fault(place, item, "an object with at least a name")
            continue
        start, end, stance = item.get("start"), item.get("end"), item.get("stance")
        if (start is None) != (end is None) or (start is not None and not _is_span(start, end, len(text))):
            fault(place, f"start {start!r}, end {end!r}", f"two positions with 0 <= start < end <= {len(text)}")
        if stance is not None and stance not in STANCES:
            fault(f"{place}.stance", stance, _choices(STANCES))
        identity = str(item.get("id", f"target{number}"))
        if identity in RESERVED:
            fault(f"{place}.id", identity, f"an id that is not reserved, as {_choices(RESERVED)} are")
        targets.append(Target(identity, str(item["name"]), start, end, stance, item.get("holder")))
    return tuple(targets)


def _is_span(start: object, end: object, length: int) -> bool:
    return isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= length


def _choices(labels: Sequence[str]) -> str:
    return ", ".join(labels)
