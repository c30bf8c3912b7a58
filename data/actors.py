"""Who the actors are: read from `actors.yaml`, with the alias lexicon that finds them in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from tristance.data.errors import UserError, first_line, shorten
from tristance.data.labels import RESERVED

BUNDLED = Path(__file__).parent / "actors.yaml"
ID: Final = re.compile("[a-z][a-z0-9_]*")
ORDINARY: Final = frozenset({"us", "rt", "sputnik", "federation", "congress", "marshal", "north", "lazarus"})
"""Aliases that are ordinary words when written small."""
FIELDS: Final = ("id", "name", "description", "aliases", "interchangeable")


@dataclass(frozen=True)
class Actor:
    """One actor: a party that sentences take a stance on."""

    id: str
    name: str
    """Display name, which is also what the network reads in the actor's slot."""
    description: str
    aliases: tuple[str, ...]
    """Ways to refer to it, matched as whole words and by case; an alias wins over a shorter one inside it."""
    interchangeable: tuple[tuple[str, ...], ...] = ()
    """Groups of names that can stand for each other in any sentence: a model should not care which."""


@dataclass(frozen=True)
class Actors:
    """The actors of an experiment, in a fixed order."""

    items: tuple[Actor, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(actor.id for actor in self.items)

    def __iter__(self) -> Iterator[Actor]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def _patterns(self) -> dict[bool, tuple[re.Pattern[str], Mapping[str, str]]]:
        """By whether case counts: a pattern of all aliases, and who owns each."""
        owner = {alias: actor.id for actor in self.items for alias in (actor.name, *actor.aliases)}
        folded = {alias.casefold(): actor for alias, actor in owner.items() if alias.casefold() not in ORDINARY}
        found: dict[bool, tuple[re.Pattern[str], Mapping[str, str]]] = {}
        for by_case, names in ((True, owner), (False, folded)):
            alternatives = "|".join(re.escape(alias) for alias in sorted(names, key=len, reverse=True))
            found[by_case] = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)"), names
        return found

    def mentions(self, text: str) -> dict[str, list[tuple[int, int]]]:
        """Character spans `(start, end)` of every alias in `text`, by actor id, in order of appearance.

        Case counts (the North is no north), but not in a text that has no case to tell: all small letters, as in
        threads, or all capitals, as in headlines.
        """
        by_case = not (text.islower() or text.isupper())
        pattern, owner = self._patterns[by_case]
        found: dict[str, list[tuple[int, int]]] = {actor.id: [] for actor in self.items}
        for match in pattern.finditer(text if by_case else _folded(text)):
            found[owner[match.group()]].append(match.span())
        return found

    def as_list(self) -> list[dict[str, Any]]:
        """As `actors.yaml` holds them."""
        return [
            {"id": a.id, "name": a.name, "description": a.description, "aliases": list(a.aliases)}
            | ({"interchangeable": [list(group) for group in a.interchangeable]} if a.interchangeable else {})
            for a in self.items
        ]

    @classmethod
    def from_list(cls, rows: object, origin: str = "actors") -> Actors:
        """Read what `as_list` gives.

        Raises:
            UserError: If an actor lacks its id or name, has a field of another kind, or two share a word.
        """
        if not isinstance(rows, list) or not rows:
            raise UserError(f"{origin}: found {shorten(rows)}; allowed: a list of actors with id, name, aliases")
        items = [_parse_actor(row, f"{origin}: actor {number}") for number, row in enumerate(rows, 1)]
        owners: dict[str, str] = {}
        for actor in items:
            for word in {actor.id, actor.name, *actor.aliases}:
                if word in owners:
                    raise UserError(
                        f"{origin}: {word!r} is given to {owners[word]} and to {actor.id}; allowed: one owner"
                    )
                owners[word] = actor.id
        return cls(tuple(items))

    @classmethod
    def load(cls, path: str | Path = BUNDLED) -> Actors:
        """Read an actors file.

        Raises:
            UserError: If there is no such file, or it is not what `from_list` takes.
        """
        try:
            rows = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) else first_line(error)
            raise UserError(f"{path}: cannot be read as actors: {reason}") from error
        return cls.from_list(rows, str(path))


def _folded(text: str) -> str:
    """In small letters, each in its place: a letter that would become two stays as it is."""
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def _parse_actor(row: object, place: str) -> Actor:
    if not isinstance(row, Mapping) or not row.get("id") or not row.get("name"):
        raise UserError(f"{place}: found {shorten(row)}; allowed: {', '.join(FIELDS)}, of which id and name are needed")
    for field, found, allowed in (*_actor_faults(row), *_group_faults(row)):
        raise UserError(f"{place} ({row['id']}): {field}: found {shorten(found)}; allowed: {allowed}")
    groups = tuple(tuple(group) for group in row.get("interchangeable", ()))
    return Actor(row["id"], row["name"], row.get("description", ""), tuple(row.get("aliases", ())), groups)


def _actor_faults(row: Mapping[Any, Any]) -> Iterator[tuple[str, object, str]]:
    for name in row:
        if name not in FIELDS:
            yield str(name), name, ", ".join(FIELDS)
    identity, aliases = row["id"], row.get("aliases", ())
    if not isinstance(identity, str) or not ID.fullmatch(identity):
        yield "id", identity, "a small letter, then small letters, digits and underscores"
    elif identity in RESERVED:
        yield "id", identity, f"an id that is not reserved, as {', '.join(RESERVED)} are"
    for name in ("name", "description"):
        if not isinstance(row.get(name, ""), str):
            yield name, row[name], "text"
    if not isinstance(aliases, list | tuple):
        yield "aliases", aliases, "a list of words"
        return
    for alias in aliases:
        if not isinstance(alias, str) or not alias.strip():
            yield "aliases", alias, 'words, in quotes where YAML reads something else, as "NO"'


def _group_faults(row: Mapping[Any, Any]) -> Iterator[tuple[str, object, str]]:
    groups = row.get("interchangeable", ())
    if not isinstance(groups, list | tuple) or not all(_is_group(group) for group in groups):
        yield "interchangeable", groups, "a list of lists of at least two names"


def _is_group(group: object) -> bool:
    return isinstance(group, list | tuple) and len(group) > 1 and all(isinstance(name, str) and name for name in group)
