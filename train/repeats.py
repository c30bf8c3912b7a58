"""Sentences alike: as they stand, and as skeletons with names and numbers masked; within files and across them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tristance.data.actors import Actors
from tristance.data.checks import fold, near_pairs
from tristance.data.records import Record

LIMIT_WITHIN: Final = 0.01
"""Share of a file's sentences that may have one alike in the same file; across files there may be none."""
MASK: Final = "mask"
SHOWN: Final = 5

Splits = Mapping[str, Sequence[Record]]
"""Sentences by file."""
Result = dict[str, Any]


def skeleton(text: str, actors: Actors) -> str:
    """A sentence with its names and numbers masked: actors' aliases, and capitalised words inside the sentence."""
    spans = sorted(span for found in actors.mentions(text).values() for span in found)
    for start, end in reversed(spans):
        text = f"{text[:start]}{MASK}{text[end:]}"
    text = re.sub(r"(?<=[\w,;)’'] )[^\W\d_a-z][\w’'-]*\w", _mask_capitalised, text)
    return re.sub(rf"{MASK}(?:(?:['’]s)?[ -]{MASK})+", MASK, re.sub(r"\d[\d.,]*", "0", text))


def _mask_capitalised(match: re.Match[str]) -> str:
    return MASK if match.group()[0].isupper() else match.group()


class Likeness(NamedTuple):
    """Two sentences that are alike, by their places in a list."""

    later: int
    earlier: int
    score: float


def alike(texts: Sequence[str], files: Sequence[str]) -> Iterator[Likeness]:
    """Find sentences alike: one text after folding, or a similarity of at least `checks.NEAR`.

    Args:
        texts: N texts.
        files: The file of each. A text that stands in a file many times is compared with others where it stands first.

    Yields:
        A link from each sentence to at most one of each text and file that is like it, so that none is missed and
        copies by the thousand stay cheap.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        places[fold(text)].append(place)
    for same in places.values():
        first: dict[str, int] = {}
        for place in same:
            yield from (Likeness(place, other, 1.0) for other in first.values())
            first.setdefault(files[place], place)
    for text, other, score in near_pairs(places):
        left, right = ({files[place]: place for place in reversed(places[each])} for each in (text, other))
        links = {(a, b) for a in places[text] for b in right.values()}
        links |= {(a, b) for a in left.values() for b in places[other]}
        yield from (Likeness(max(link), min(link), score) for link in sorted(links))


def repeats(splits: Splits, actors: Actors) -> Result:
    """Sentences alike, as they stand and as skeletons; twins by design (one `pair`) are no repeats.

    Returns:
        {`sentences`, `skeletons`: {`within` {file: {`count` of sentences that have one alike in the file, `share`}},
        `across`: links between files, `passed`, `examples`}}.
    """
    records, files = _flat(splits)
    texts = [record.text for record in records]
    return {
        "sentences": _repeats(records, files, texts),
        "skeletons": _repeats(records, files, [skeleton(text, actors) for text in texts]),
    }


def _repeats(records: Sequence[Record], files: Sequence[str], texts: Sequence[str]) -> Result:
    links = [link for link in alike(texts, files) if not _twins(records[link.later], records[link.earlier])]
    across = [link for link in links if files[link.later] != files[link.earlier]]
    inside = {place for link in links if files[link.later] == files[link.earlier] for place in link[:2]}
    size, count = Counter(files), Counter(files[place] for place in inside)
    within = {name: {"count": count[name], "share": round(count[name] / size[name], 6)} for name in size}
    shown = sorted(links, key=lambda link: (files[link.later] == files[link.earlier], -link.score, link))[:SHOWN]
    return {
        "within": within,
        "across": len(across),
        "passed": not across and all(each["share"] <= LIMIT_WITHIN for each in within.values()),
        "examples": [_example(link, records, files) for link in shown],
    }


def _twins(left: Record, right: Record) -> bool:
    pair = left.fields.get("pair")
    return pair is not None and pair == right.fields.get("pair")


def _example(link: Likeness, records: Sequence[Record], files: Sequence[str]) -> Result:
    sides = [{"file": files[place], "id": records[place].id, "text": records[place].text} for place in link[:2]]
    return {"score": round(link.score, 2), "sentences": sides[::-1]}


def overlap(splits: Splits, against: Splits) -> Result:
    """What the corpus shares with other sentences.

    Returns:
        {file of `against`: {`exact`: links between sentences that are one text after folding, `near`: links between
        others alike, `passed`: whether there is none, `examples`}}.
    """
    found: Result = {}
    records, files = _flat(splits)
    for name, others in against.items():
        both = [*records, *others]
        sides = ["corpus"] * len(records) + [name] * len(others)
        texts = [record.text for record in both]
        links = [link for link in alike(texts, sides) if sides[link.later] != sides[link.earlier]]
        exact = sum(fold(texts[link.later]) == fold(texts[link.earlier]) for link in links)
        found[name] = {
            "exact": exact,
            "near": len(links) - exact,
            "passed": not links,
            "examples": [_example(link, both, [*files, *[name] * len(others)]) for link in links[:SHOWN]],
        }
    return found


def _flat(splits: Splits) -> tuple[list[Record], list[str]]:
    """All records, and the file of each."""
    placed = [(record, name) for name, rows in splits.items() for record in rows]
    return [record for record, _ in placed], [name for _, name in placed]
