"""NewsMTSC (Hamborg & Donnay, EACL 2021): sentiment towards one marked target in US political news, three classes.

A row is `{"mention", "polarity", "from", "to", "sentence", "id"}`; polarity is -1, 0 or 1.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from tristance.data.errors import Fault, shorten

STANCES: Final = {1: "favor", 0: "neutral", -1: "against"}
"""Polarity to stance; the set has no `unrelated`."""
KEYS: Final = frozenset({"mention", "polarity", "from", "to", "sentence", "id"})


def looks_like(values: object) -> bool:
    """Whether a decoded row has the set's shape."""
    return isinstance(values, Mapping) and {"mention", "polarity", "sentence"} <= values.keys()


def convert(values: object, file: str, line: int, max_characters: int) -> Mapping[str, Any] | Fault:
    """One row as `parse_record` takes it, with one target of id `target`; other fields are carried along.

    The line breaks that some sentences hold become spaces. Three sentences of the set are longer than
    `max_characters`: of those, a window around the mention is kept, which is all that a network would read of them.
    The group is the sentence, since it comes once for each of its targets.
    """
    if not isinstance(values, Mapping):
        return Fault(file, line, None, shorten(values), f"an object with {', '.join(sorted(KEYS))}")
    sentence, mention, polarity = values.get("sentence"), values.get("mention"), values.get("polarity")
    if not isinstance(sentence, str) or not sentence.strip():
        return Fault(file, line, "sentence", shorten(sentence), "a sentence that is not empty")
    if not isinstance(mention, str) or not mention.strip():
        return Fault(file, line, "mention", shorten(mention), "the words of the sentence that name the target")
    if isinstance(polarity, bool) or polarity not in STANCES:
        return Fault(file, line, "polarity", shorten(polarity), "-1, 0 or 1")
    start = _locate(sentence, mention, values.get("from"))
    if start is None:
        return Fault(file, line, "mention", shorten(mention), "words that the sentence holds")
    cut = 0
    if len(sentence) > max_characters:
        cut = max(0, min(start - max_characters // 2, len(sentence) - max_characters))
    text = printable(sentence)[cut : cut + max_characters]
    target = {
        "id": "target",
        "name": printable(mention),
        "start": start - cut,
        "end": start - cut + len(mention),
        "stance": STANCES[polarity],
    }
    carried = {key: value for key, value in values.items() if key not in KEYS}
    return {"id": values.get("id"), "text": text, "targets": [target], "group": sentence_group(sentence), **carried}


def printable(text: str) -> str:
    """The text with each control character made a space, so that no offset moves."""
    return "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)


def sentence_group(text: str) -> str:
    """A short name for a sentence that comes in several rows."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _locate(sentence: str, mention: str, start: object) -> int | None:
    """Where the mention is: where the row says, or else the place nearest to that."""
    expected = start if isinstance(start, int) else 0
    if expected >= 0 and sentence.startswith(mention, expected):
        return expected
    places = [match.start() for match in re.finditer(re.escape(mention), sentence)]
    return min(places, key=lambda place: abs(place - expected), default=None)
