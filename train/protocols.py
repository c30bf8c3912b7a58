"""How the sentences are parted into what is learnt from and what is judged by: one config, one table of results.

All parts are cut from the train and validation splits of the source that the experiment is judged by; what is held out
of them becomes the part's test split, what remains keeps its role. The test split itself stays sealed, but for
`random-seeds`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field, model_validator

from tristance.data.errors import UserError
from tristance.data.records import Record
from tristance.data.sections import Section

PLAIN: Final = "random-seeds"
Splits = Mapping[str, Sequence[Record]]


class ProtocolConfig(Section):
    """How the sentences are parted into what is learnt from and what is judged by."""

    name: Literal[
        "random-seeds",
        "grouped-kfold",
        "leave-actor-out",
        "leave-genre-out",
        "leave-voices-out",
        "after-date",
        "learning-curve",
    ] = "random-seeds"
    """`random-seeds`: the splits as they are. `grouped-kfold`: folds of whole documents. `leave-actor-out`: train
    without one actor's labels, judge by them. `leave-genre-out`: one genre at a time. `leave-voices-out`: voices in
    folds. `after-date`: judge by what was written from `date` on. `learning-curve`: train on nested shares `sizes`."""
    folds: int = Field(5, ge=2)
    """Folds of `grouped-kfold` and `leave-voices-out`."""
    date: str | None = Field(None, pattern=r"^\d{4}(-\d\d){0,2}$")
    """First date held out by `after-date`: a year, a month or a day."""
    sizes: tuple[float, ...] = (0.0625, 0.125, 0.25, 0.5, 1.0)
    """Shares of the training split for `learning-curve`; each holds the smaller ones."""
    seed: int = Field(0, ge=0)
    """Seed of folds and shares."""

    @model_validator(mode="after")
    def _fits_together(self) -> ProtocolConfig:
        if self.name == "after-date" and self.date is None:
            raise ValueError("protocol after-date needs a date")
        if not self.sizes or any(not 0 < size <= 1 for size in self.sizes):
            raise ValueError("sizes: shares above 0, at most 1")
        return self


@dataclass(frozen=True)
class Part:
    """One way of parting the sentences."""

    name: str
    """Names the part's folder; empty for the splits as they are."""
    splits: Splits


def parts(protocol: ProtocolConfig, splits: Splits, actors: Sequence[str]) -> list[Part]:
    """All parts of a protocol, in order.

    Args:
        protocol: The section of the config.
        splits: `train`, `validation`, `test` of the source that the experiment is judged by.
        actors: Ids of the labelled actors.

    Raises:
        UserError: If the sentences lack what the protocol goes by, or a part would have nothing to judge by.
    """
    if protocol.name == PLAIN:
        return [Part("", splits)]
    made = list(_MAKERS[protocol.name](protocol, splits, actors))
    for part in made:
        for split in ("train", "validation", "test"):
            if not part.splits[split] and (split != "test" or protocol.name != "learning-curve"):
                raise UserError(
                    f"protocol {protocol.name}: part {part.name} would have an empty {split} split; "
                    "allowed: a protocol that leaves sentences for all three"
                )
    if len(made) < 2 and protocol.name != "after-date":
        raise UserError(f"protocol {protocol.name}: found {len(made)} part; allowed: sentences that make at least two")
    return made


def _kfold(protocol: ProtocolConfig, splits: Splits, _: Sequence[str]) -> Iterator[Part]:
    units = [record.unit for record in _pool(splits)]
    for number, chosen in enumerate(_folds(units, protocol), 1):
        yield _held_out(f"fold-{number}", splits, lambda record: record.unit, chosen)


def _genres(_: ProtocolConfig, splits: Splits, __: Sequence[str]) -> Iterator[Part]:
    for genre in sorted(set(_values(splits, "genre"))):
        yield _held_out(genre, splits, _field("genre"), {genre})


def _voices(protocol: ProtocolConfig, splits: Splits, _: Sequence[str]) -> Iterator[Part]:
    for number, chosen in enumerate(_folds(_values(splits, "voice"), protocol), 1):
        yield _held_out(f"voices-{number}", splits, _field("voice"), chosen)


def _after(protocol: ProtocolConfig, splits: Splits, _: Sequence[str]) -> Iterator[Part]:
    date = str(protocol.date)
    later = {value for value in _values(splits, "date") if value >= date}
    yield _held_out(f"from-{date}", splits, _field("date"), later)


def _actors(_: ProtocolConfig, splits: Splits, actors: Sequence[str]) -> Iterator[Part]:
    for actor in actors:
        train, validation = (
            [_only(record, actor, False) for record in splits[part]] for part in ("train", "validation")
        )
        judged = [_only(record, actor, True) for record in splits["validation"]]
        yield Part(actor, {"train": train, "validation": validation, "test": judged})


def _curve(protocol: ProtocolConfig, splits: Splits, _: Sequence[str]) -> Iterator[Part]:
    units = list(dict.fromkeys(record.unit for record in splits["train"]))
    order = np.random.default_rng(protocol.seed).permutation(len(units))
    rank = {units[place]: number for number, place in enumerate(order)}
    for size in sorted(set(protocol.sizes)):
        kept = [record for record in splits["train"] if rank[record.unit] < size * len(units)]
        yield Part(f"size-{len(kept)}", {"train": kept, "validation": splits["validation"], "test": []})


_MAKERS: Final[dict[str, Callable[[ProtocolConfig, Splits, Sequence[str]], Iterator[Part]]]] = {
    "grouped-kfold": _kfold,
    "leave-actor-out": _actors,
    "leave-genre-out": _genres,
    "leave-voices-out": _voices,
    "after-date": _after,
    "learning-curve": _curve,
}


def _pool(splits: Splits) -> list[Record]:
    return [*splits["train"], *splits["validation"]]


def _values(splits: Splits, name: str) -> list[str]:
    found = [str(value) for record in _pool(splits) if (value := record.fields.get(name)) is not None]
    if not found:
        raise UserError(f"protocol: found no sentence with the field {name!r}; allowed: sentences that have it")
    return found


def _folds(values: Sequence[str], protocol: ProtocolConfig) -> list[set[str]]:
    """Values in folds that hold about the same number of sentences."""
    from sklearn.model_selection import GroupKFold

    count = min(protocol.folds, len(set(values)))
    if count < 2:
        return [set(values)]
    folds = GroupKFold(count, shuffle=True, random_state=protocol.seed)
    array = np.array(values)
    return [set(array[held].tolist()) for _, held in folds.split(array, groups=array)]


def _field(name: str) -> Callable[[Record], str]:
    return lambda record: str(record.fields.get(name))


def _held_out(name: str, splits: Splits, key: Callable[[Record], str], chosen: set[str]) -> Part:
    """What is held out becomes the test split; documents of which a sentence is held out are learnt from no more."""
    test = [record for record in _pool(splits) if key(record) in chosen]
    gone = {record.unit for record in test}
    rest = {split: [record for record in splits[split] if record.unit not in gone] for split in ("train", "validation")}
    return Part(re.sub(r"[^\w.-]+", "-", name), {**rest, "test": test})


def _only(record: Record, actor: str, kept: bool) -> Record:
    """The record with labels for this actor alone, or for all but it; nobody else is held by an actor unheard of."""

    def labels(named: Mapping[str, str | None]) -> dict[str, str | None]:
        return {slot: label if (slot == actor) == kept else None for slot, label in named.items()}

    holder = labels(record.holder)
    if not kept:
        holder = {slot: None if label == actor else label for slot, label in holder.items()}
    return dataclasses.replace(
        record, stance=labels(record.stance), holder=holder, sentiment=None if kept else record.sentiment
    )
