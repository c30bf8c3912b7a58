"""Many articles: one roll-up for each source, day, month or year; and figures as words, for every view."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from tristance.data.articles import Document
from tristance.data.errors import UserError, shorten
from tristance.models.manifest import Manifest
from tristance.models.rollup import ASIDE, RollUp, Share, Tally, roll_up

SIGNS: Final[Mapping[str, str]] = {"favor": "▲", "against": "▼", "neutral": "●"}
"""What stands for each stance of a sentence that refers to the actor, where colours cannot be told apart."""
SHARE_COLUMNS: Final = ("towards", "sentences", *(f"{sign} {label}, %" for label, sign in SIGNS.items()))
PERIODS: Final[Mapping[str, int]] = {"year": 4, "month": 7, "day": 10}
"""Characters of an ISO 8601 date that tell it."""
KEYS: Final = ("article", "source", "date", *(f"date:{period}" for period in PERIODS))
DATE: Final = re.compile(r"(\d{4})(-\d\d)?(-\d\d)?([T ].*)?")


@dataclass(frozen=True, slots=True)
class Group:
    """The articles of one source or period."""

    name: str
    articles: int
    rollup: RollUp


@dataclass(frozen=True, slots=True)
class Overview:
    """Articles side by side."""

    by: str
    """What a group is: `article`, `source`, or `date:<period>`."""
    groups: tuple[Group, ...]
    total: Group
    left_out: int
    """Articles whose source or date nobody tells; they are in the total."""

    @property
    def unit(self) -> str:
        """What a group is, in a word: `article`, `source`, `month`."""
        return self.by.rpartition(":")[2]

    @property
    def lines(self) -> tuple[Group, ...]:
        """What a table shows: the groups, then their total where there are several."""
        return (*self.groups, self.total) if len(self.groups) > 1 or self.left_out else self.groups

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        lost = f"Articles that tell no {self.unit}, and are in the total alone: {self.left_out}."
        return (self.total.rollup.note, *((lost,) if self.left_out else ()))

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        rows = [{"name": each.name, "articles": each.articles, **each.rollup.as_dict()} for each in self.groups]
        total = {"articles": self.total.articles, **self.total.rollup.as_dict()}
        for row in (*rows, total):
            del row["note"]
        return {"by": self.by, "groups": rows, "total": total, "left_out": self.left_out, "notes": list(self.notes)}

    def as_csv(self) -> str:
        """A row for each group and actor."""
        labels = [label for label in next(iter(self.total.rollup.actors.values())).predicted if label != ASIDE]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        bounds = [f"{label}{bound}" for label in labels for bound in ("", "_low", "_high")]
        writer.writerow([self.by.partition(":")[0], "articles", "sentences", "actor", "related", *bounds])
        for group in self.groups:
            for actor, found in group.rollup.actors.items():
                shares = [found.shares.get(label) for label in labels]
                cells = [cell for each in shares for cell in ((each.value, each.low, each.high) if each else ("",) * 3)]
                writer.writerow([group.name, group.articles, group.rollup.sentences, actor, found.related, *cells])
        return stream.getvalue()


def key_of(document: Document, by: str) -> str | None:
    """What an article is grouped by; None where nobody tells.

    Raises:
        UserError: If its date is none.
    """
    if by == "article":
        return document.name
    if by == "source":
        return document.source
    if document.date is None:
        return None
    found = DATE.fullmatch(document.date)
    try:
        year, month, day = found.groups()[:3] if found else ("", None, None)
        date.fromisoformat(f"{year}{month or '-01'}{day or '-01'}")
    except ValueError as error:
        allowed = "ISO 8601, as 2024, 2024-05 or 2024-05-17"
        raise UserError(f"{document.name}: date: found {shorten(document.date)}; allowed: {allowed}") from error
    return document.date[: PERIODS["day"]]


def overview(read: Iterable[tuple[str | None, Tally]], manifest: Manifest, by: str) -> Overview:
    """Put articles side by side.

    Args:
        read: What each article is grouped by, as `key_of` gives it, and its counted predictions.
        manifest: The classifier's.
        by: One of `KEYS`; `date` groups by the least precise of the dates.

    Raises:
        UserError: If no article tells what it is to be grouped by.
    """
    rows = list(read)
    field, _, period = by.partition(":")
    keys = [key for key, _ in rows if key]
    if field == "date" and keys:
        length = PERIODS[period] if period else min(map(len, keys))
        by = "date:" + next(name for name, characters in PERIODS.items() if characters == length)
        # a date that does not tell the period has no place in it
        rows = [(key[:length] if key and len(key) >= length else None, tally) for key, tally in rows]
    groups: dict[str, list[Tally]] = {}
    for key, tally in rows:
        if key:
            groups.setdefault(key, []).append(tally)
    if not groups:
        raise UserError(f"--by {by}: found none in {len(rows)} articles; allowed: articles that tell their {field}")
    names = sorted(groups) if field == "date" else list(groups)
    made = tuple(Group(name, len(groups[name]), roll_up(groups[name], manifest)) for name in names)
    total = Group("all", len(rows), roll_up([tally for _, tally in rows], manifest))
    return Overview(by, made, total, len(rows) - sum(map(len, groups.values())))


def overview_table(found: Overview, names: Mapping[str, str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Columns, and a row for each group and actor, as words; `names` gives the name of each actor's id."""
    rows = []
    for group in found.lines:
        for number, actor in enumerate(group.rollup.actors):
            head = (group.name, str(group.articles)) if number == 0 else ("", "")
            rows.append((*head, names[actor], *_share_cells(group.rollup, actor)))
    return [found.unit, "articles", *SHARE_COLUMNS], rows


def shares_table(rollup: RollUp, names: Mapping[str, str]) -> list[tuple[str, ...]]:
    """A row for each actor under `SHARE_COLUMNS`, as words."""
    return [(names[actor], *_share_cells(rollup, actor)) for actor in rollup.actors]


def towards_table(rollup: RollUp, names: Mapping[str, str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Columns and rows of who towards whom, as words: `+3 −1 = +2`, and nothing where nobody takes a side."""
    rows = [
        (names.get(holder, holder), *(_net(row[actor]) for actor in rollup.actors))
        for holder, row in rollup.towards.items()
    ]
    return ["by", *(names[actor] for actor in rollup.actors)], rows


def share_text(share: Share | None) -> str:
    """A share in percent with its interval: `67 [17, 93]`."""
    return "–" if share is None else f"{100 * share.value:.0f} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _share_cells(rollup: RollUp, actor: str) -> tuple[str, ...]:
    found = rollup.actors[actor]
    return (f"{found.related} of {rollup.sentences}", *(share_text(found.shares.get(label)) for label in SIGNS))


def _net(counts: tuple[int, int]) -> str:
    favor, against = counts
    if not favor and not against:
        return ""
    net = favor - against
    return f"+{favor} −{against} = {f'{net:+d}'.replace('-', '−') if net else 0}"
