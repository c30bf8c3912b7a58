"""What is wrong between records: duplicates and near-duplicates, and whatever leaks from one split into another."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

from tristance.data.errors import Fault, shorten
from tristance.data.records import Record

NEAR: Final = 0.8
"""Jaccard similarity of word 3-grams from which two sentences count as near-duplicates."""
NGRAM: Final = 3
_PERMUTATIONS: Final = 64
_BANDS: Final = (16, 4)
"""Bands and rows of the MinHash index. A pair at `NEAR` is found with probability 0.9998, one at 0.3 with 0.12."""


class _Place(NamedTuple):
    split: str
    record: Record

    def __str__(self) -> str:
        line = self.record.line
        file = self.record.file or self.split
        return f"{file if line is None else f'{file}:{line}'} ({self.split})"


def check(splits: Mapping[str, Sequence[Record]]) -> list[Fault]:
    """Find everything that two records should not share.

    Within a split: an id (`duplicate`), a text (`duplicate`, case, accents' encoding and punctuation aside; one text
    asked about different targets is none), nearly a text (`near-duplicate`: Jaccard similarity of word 3-grams of at
    least `NEAR`, digits aside too). Across splits the same, a `group` or a `pair`: each a `leak`. Records that share a
    `pair` may be near-duplicates of each other.

    Args:
        splits: Records by the name of their split.

    Returns:
        Faults; each is placed at the later record and names the earlier one.
    """
    places = [_Place(split, record) for split, records in splits.items() for record in records]
    texts: dict[str, list[_Place]] = {}
    for place in places:
        texts.setdefault(fold(place.record.text), []).append(place)
    return [
        *_same_id(places),
        *(fault for same in texts.values() for fault in _same_text(same)),
        *_near(texts),
        *_crossing(places, "group"),
        *_crossing(places, "pair"),
    ]


def similarity(left: str, right: str) -> float:
    """Jaccard similarity of two texts' word 3-grams after folding, from 0 to 1."""
    return _jaccard(_shingles(_words(left)), _shingles(_words(right)))


def fold(text: str) -> str:
    """A text as its words: case, punctuation and accents' encoding aside; as it is where it has no word."""
    return " ".join(_words(text)) or text


def near_pairs(texts: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    """Find the texts that are nearly the same, without comparing each with each.

    Args:
        texts: Sentences; one that repeats counts once.

    Yields:
        A text, one before it, and their similarity, which is `NEAR` or more.
    """
    from datasketch import MinHash, MinHashLSH

    shingles = {text: grams for text in texts if (grams := _shingles(_words(text)))}
    index = MinHashLSH(num_perm=_PERMUTATIONS, params=_BANDS)
    hashes = MinHash.generator(
        ([shingle.encode() for shingle in grams] for grams in shingles.values()),
        num_perm=_PERMUTATIONS,
        hashfunc=zlib.crc32,
    )
    order = {text: number for number, text in enumerate(shingles)}
    for text, minhash in zip(shingles, hashes, strict=True):
        for other in sorted(index.query(minhash), key=order.__getitem__):
            score = _jaccard(shingles[text], shingles[other])
            if score >= NEAR:
                yield text, other, score
        index.insert(text, minhash, check_duplication=False)


def _same_id(places: Iterable[_Place]) -> Iterator[Fault]:
    first: dict[str, _Place] = {}
    for place in places:
        name = _own_id(place)
        if name is not None and (earlier := first.setdefault(name, place)) is not place:
            yield _fault(place, "id", f"{shorten(name)}, also of {earlier}", "an id of its own", earlier)


def _own_id(place: _Place) -> str | None:
    """The id, unless it may be just the line number that stands in for a missing one."""
    record = place.record
    return None if record.id == str(record.line or 0) else record.id


def _same_text(places: Sequence[_Place]) -> Iterator[Fault]:
    """Faults of records with one text: against the first of the same split and targets, and of another split."""
    for index, place in enumerate(places):
        earlier = places[:index]
        twin = next((each for each in earlier if each.split == place.split and _asked(each) == _asked(place)), None)
        leaked = next((each for each in earlier if each.split != place.split), None)
        for other in (twin, leaked):
            if other is not None:
                yield _fault(place, "text", f"the sentence of {other}", "a sentence that occurs once", other)


def _asked(place: _Place) -> tuple[tuple[str, int | None], ...]:
    return tuple((target.name, target.start) for target in place.record.targets)


def _near(texts: Mapping[str, Sequence[_Place]]) -> Iterator[Fault]:
    """Faults of different texts that are nearly the same: one for each pair of texts and of splits they are in."""
    for text, other, score in near_pairs(texts):
        if not _paired(texts[text], texts[other]):
            for later, earlier in product(_one_a_split(texts[text]), _one_a_split(texts[other])):
                found = f"nearly the sentence of {earlier} (similarity {score:.2f})"
                yield _fault(later, "text", found, f"a similarity below {NEAR}", earlier, "near-duplicate")


def _one_a_split(places: Sequence[_Place]) -> list[_Place]:
    return list({place.split: place for place in reversed(places)}.values())[::-1]


def _paired(left: Sequence[_Place], right: Sequence[_Place]) -> bool:
    return not _pairs(left).isdisjoint(_pairs(right))


def _pairs(places: Sequence[_Place]) -> set[str]:
    return {str(pair) for place in places if (pair := place.record.fields.get("pair")) is not None}


def _crossing(places: Sequence[_Place], field: str) -> Iterator[Fault]:
    """One fault for each split that a value of `field` strays into."""
    home: dict[str, _Place] = {}
    said: set[tuple[str, str]] = set()
    for place in places:
        raw = place.record.fields.get(field)
        if raw is None:
            continue
        earlier = home.setdefault(str(raw), place)
        if earlier.split != place.split and (str(raw), place.split) not in said:
            said.add((str(raw), place.split))
            yield _fault(place, field, f"{shorten(raw)}, also of {earlier}", f"a {field} within one split", earlier)


def _fault(later: _Place, field: str, found: str, allowed: str, earlier: _Place, kind: str = "duplicate") -> Fault:
    kind = kind if later.split == earlier.split else "leak"
    return Fault(later.record.file or later.split, later.record.line, field, found, allowed, kind)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def _shingles(words: Sequence[str]) -> frozenset[str]:
    folded = [re.sub(r"\d+", "0", word) for word in words]
    width = min(NGRAM, len(folded)) or 1
    return frozenset(" ".join(folded[start : start + width]) for start in range(len(folded) - width + 1))


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right) if left and right else 0.0
