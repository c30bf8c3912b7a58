"""Text to features: the one road that training and use both take. Needs tokenizers and numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.records import Record, Target

Arrays = dict[str, npt.NDArray[Any]]
Place = Literal["mention", "end"]
ANONYMOUS_NAME = "somebody"
"""What a target-blind slot reads in place of a name: the same for every actor."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Somebody that a sentence is asked about."""

    id: str
    name: str
    span: tuple[int, int] | None = None
    """Characters of its first mention in the text."""
    core: bool = True
    """A core slot may hold the stances of all others; one asked about in passing holds only its own, so that asking
    changes nobody else's answer."""


@dataclass(frozen=True, slots=True)
class Item:
    """One sentence and the slots it is asked about."""

    text: str
    slots: tuple[Slot, ...]


def actor_item(text: str, actors: Actors, passing: Actors | None = None) -> Item:
    """The sentence with a slot for every actor, then one for every actor asked in passing."""
    slots = []
    for group, core in ((actors, True), (passing, False)):
        mentions = group.mentions(text) if group else {}
        slots += [Slot(actor.id, actor.name, next(iter(mentions[actor.id]), None), core) for actor in group or ()]
    return Item(text, tuple(slots))


def record_item(record: Record, actors: Actors) -> Item:
    """A record's sentence with the actors as slots; one with targets has those, and the actors it is labelled for."""
    item = actor_item(record.text, actors)
    if not record.targets:
        return item
    labelled = tuple(slot for slot in item.slots if slot.id in record.stance)
    return Item(record.text, labelled + tuple(Slot(target.id, target.name, _span(target)) for target in record.targets))


def _span(target: Target) -> tuple[int, int] | None:
    return None if target.start is None or target.end is None else (target.start, target.end)


class Encoding:
    """Tokenizes items and pads them into arrays; `SlotEncoding` and `PairEncoding` say how.

    Args:
        tokenizer: Of the model. Padding and truncation baked into it are switched off.
        max_tokens: Longest sequence, special tokens included; longer sentences lose their end.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        self.max_tokens = max_tokens
        self.cut = 0
        """Items so far that were longer than `max_tokens` and lost their end."""
        self.pad_id = next(
            (found for found in map(self.tokenizer.token_to_id, ("[PAD]", "<pad>")) if found is not None), 0
        )

    axes: ClassVar[Mapping[str, tuple[str, ...]]]
    """Names of the axes of every array that `pad` gives."""

    def tokenize(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        """Features of each item before padding; `length` is the number of tokens that the network reads for it."""
        raise NotImplementedError

    def pad(self, features: Sequence[Mapping[str, Any]]) -> Arrays:
        """Features padded into arrays of one batch."""
        raise NotImplementedError

    def __call__(self, items: Sequence[Item]) -> Arrays:
        """Tokenize and pad."""
        return self.pad(self.tokenize(items))


class SlotEncoding(Encoding):
    """The sentence once, and a slot for everybody it is asked about.

    `pad` gives, for B sentences of at most T tokens and S slots whose names have at most M tokens:
    `input_ids`, `attention_mask` [B, T]; `slot_names`, `slot_name_mask` [B, S, M]; `slot_positions` [B, S], the token
    that the slot stands at; `slot_mask`, `slot_core` [B, S].
    """

    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "input_ids": ("batch", "tokens"),
        "attention_mask": ("batch", "tokens"),
        "slot_names": ("batch", "slots", "name"),
        "slot_name_mask": ("batch", "slots", "name"),
        "slot_positions": ("batch", "slots"),
        "slot_mask": ("batch", "slots"),
        "slot_core": ("batch", "slots"),
    }

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, *, place: Place, anonymous: bool) -> None:
        super().__init__(tokenizer, max_tokens)
        self.place, self.anonymous = place, anonymous
        self._name_ids = lru_cache(maxsize=4096)(self._encode_name)

    def _encode_name(self, name: str) -> list[int]:
        return list(self.tokenizer.encode(name, add_special_tokens=False).ids)

    def tokenize(self, items: Sequence[Item]) -> list[dict[str, Any]]:  # noqa: D102 - inherited
        encoded = self.tokenizer.encode_batch([item.text for item in items])
        features = []
        for item, tokens in zip(items, encoded, strict=True):
            self.cut += bool(tokens.overflowing)
            end = len(tokens.ids)
            positions = []
            for slot in item.slots:
                known = self.place == "mention" and not self.anonymous and slot.span is not None
                token = tokens.char_to_token(slot.span[0]) if known and slot.span else None
                positions.append(end if token is None else token)
            names = [self._name_ids(ANONYMOUS_NAME if self.anonymous else slot.name) for slot in item.slots]
            features.append(
                {
                    "input_ids": list(tokens.ids),
                    "slot_names": names,
                    "slot_positions": positions,
                    "slot_core": [slot.core for slot in item.slots],
                    "length": end + len(names),
                }
            )
        return features

    def pad(self, features: Sequence[Mapping[str, Any]]) -> Arrays:  # noqa: D102 - inherited
        rows = len(features)
        tokens = max(len(row["input_ids"]) for row in features)
        slots = max(len(row["slot_names"]) for row in features)
        width = max(max(map(len, row["slot_names"]), default=1) for row in features)
        arrays: Arrays = {
            "input_ids": np.full((rows, tokens), self.pad_id, np.int64),
            "attention_mask": np.zeros((rows, tokens), np.int64),
            "slot_names": np.full((rows, slots, width), self.pad_id, np.int64),
            "slot_name_mask": np.zeros((rows, slots, width), np.int64),
            "slot_positions": np.zeros((rows, slots), np.int64),
            "slot_mask": np.zeros((rows, slots), bool),
            "slot_core": np.zeros((rows, slots), bool),
        }
        for number, row in enumerate(features):
            ids, names = row["input_ids"], row["slot_names"]
            arrays["input_ids"][number, : len(ids)] = ids
            arrays["attention_mask"][number, : len(ids)] = 1
            arrays["slot_positions"][number, : len(names)] = row["slot_positions"]
            arrays["slot_mask"][number, : len(names)] = True
            arrays["slot_core"][number, : len(names)] = row["slot_core"]
            for index, name in enumerate(names):
                arrays["slot_names"][number, index, : len(name)] = name
                arrays["slot_name_mask"][number, index, : len(name)] = 1
        return arrays


class PairEncoding(Encoding):
    """The sentence again for everybody it is asked about: `[CLS] sentence [SEP] name [SEP]`, the usual cross-encoder.

    `pad` gives, for B sentences, S slots and at most L tokens: `input_ids`, `attention_mask`, `token_type_ids`
    [B, S, L]; `slot_mask`, `slot_core` [B, S].
    """

    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "input_ids": ("batch", "slots", "tokens"),
        "attention_mask": ("batch", "slots", "tokens"),
        "token_type_ids": ("batch", "slots", "tokens"),
        "slot_mask": ("batch", "slots"),
        "slot_core": ("batch", "slots"),
    }

    def tokenize(self, items: Sequence[Item]) -> list[dict[str, Any]]:  # noqa: D102 - inherited
        encoded = iter(self.tokenizer.encode_batch([(item.text, slot.name) for item in items for slot in item.slots]))
        features = []
        for item in items:
            rows = [next(encoded) for _ in item.slots]
            self.cut += any(row.overflowing for row in rows)
            features.append(
                {
                    "input_ids": [list(row.ids) for row in rows],
                    "token_type_ids": [list(row.type_ids) for row in rows],
                    "slot_core": [slot.core for slot in item.slots],
                    "length": sum(len(row.ids) for row in rows),
                }
            )
        return features

    def pad(self, features: Sequence[Mapping[str, Any]]) -> Arrays:  # noqa: D102 - inherited
        slots = max(len(row["input_ids"]) for row in features)
        shape = (len(features), slots, max(len(ids) for row in features for ids in row["input_ids"]))
        arrays: Arrays = {
            "input_ids": np.full(shape, self.pad_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
            "slot_mask": np.zeros(shape[:2], bool),
            "slot_core": np.zeros(shape[:2], bool),
        }
        for number, row in enumerate(features):
            arrays["slot_mask"][number, : len(row["input_ids"])] = True
            arrays["slot_core"][number, : len(row["input_ids"])] = row["slot_core"]
            for index, (ids, types) in enumerate(zip(row["input_ids"], row["token_type_ids"], strict=True)):
                arrays["input_ids"][number, index, : len(ids)] = ids
                arrays["attention_mask"][number, index, : len(ids)] = 1
                arrays["token_type_ids"][number, index, : len(ids)] = types
        # a padded slot must see something, or its softmax is undefined
        arrays["attention_mask"][~arrays["slot_mask"], 0] = 1
        return arrays


def read_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`.

    Raises:
        UserError: If the file is missing or broken.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise UserError(f"{path}: not a readable tokenizer: {error}") from error


def build(architecture: str, tokenizer: Tokenizer, options: Mapping[str, Any]) -> Encoding:
    """The encoding of a network, from the options that travel in its manifest."""
    return PairEncoding(tokenizer, **options) if architecture == "pair" else SlotEncoding(tokenizer, **options)


def rows_by_slots(items: Iterable[Item]) -> dict[tuple[str, ...], list[int]]:
    """Row numbers of the items by the slot ids that they ask about, in order of appearance."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for number, item in enumerate(items):
        rows.setdefault(tuple(slot.id for slot in item.slots), []).append(number)
    return rows


def slot_ids(items: Iterable[Item]) -> tuple[str, ...]:
    """The slot ids that all items share.

    Raises:
        UserError: If they do not share them.
    """
    found = rows_by_slots(items)
    if len(found) > 1:
        raise UserError(f"sentences ask about different slots: {sorted(found)[:3]}; allowed: the same for all")
    return next(iter(found), ())
