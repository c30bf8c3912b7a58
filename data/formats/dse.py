"""DSE, "Who Blames or Endorses Whom" (Park et al., ACL 2021): directed sentiment between two entities in US news.

A row is `sentence, p, q, class`, tab-separated and quoted as CSV, without header, p and q in brackets in the sentence.
The set is to be used "by citing", which is no licence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from tristance.data.errors import Fault, shorten
from tristance.data.formats.newsmtsc import printable, sentence_group

DIRECTIONS: Final[Mapping[str, tuple[str, str, str] | None]] = {
    "0": None,
    "1": ("p", "q", "favor"),
    "2": ("q", "p", "favor"),
    "3": ("p", "q", "against"),
    "4": ("q", "p", "against"),
}
"""Class to (holder, target, stance)."""
_BRACKETED: Final = re.compile(r"\[([^\[\]]*)\]")


def convert(cells: Sequence[str], file: str, line: int) -> Mapping[str, Any] | Fault:
    """One row as `parse_record` takes it: the sentence without brackets, and two targets `p` and `q`.

    The one that the sentiment is aimed at gets the stance, held by the other, who gets `neutral`. A bracket often cuts
    a word (`[Democrat]s`) or takes a blank with it: the span is what stands in it without blanks at its ends.
    The group is the sentence, since it comes once for each pair of entities.
    """
    if len(cells) != 4:
        return Fault(file, line, None, f"{len(cells)} cells", "4 cells: sentence, p, q, class")
    sentence, label = printable(cells[0]).strip(), cells[3].strip()
    if label not in DIRECTIONS:
        return Fault(file, line, "class", shorten(label), ", ".join(DIRECTIONS))
    text, spans = _unbracket(sentence)
    names = [text[start:end] for start, end in spans]
    wanted = [printable(cell).strip() for cell in cells[1:3]]
    if names != wanted and names == wanted[::-1]:
        names, spans = names[::-1], spans[::-1]
    if names != wanted or not all(names):
        return Fault(file, line, "text", f"{shorten(names)} in brackets", f"p and q in brackets: {shorten(wanted)}")
    targets = {
        key: {"id": key, "name": name, "start": start, "end": end, "stance": "neutral", "holder": "none"}
        for key, name, (start, end) in zip(("p", "q"), names, spans, strict=True)
    }
    direction = DIRECTIONS[label]
    if direction is not None:
        holder, target, stance = direction
        targets[target] |= {"stance": stance, "holder": holder}
    return {
        "id": f"dse-{_stem(file)}-{line:06}",
        "text": text,
        "targets": list(targets.values()),
        "group": sentence_group(text),
    }


def _unbracket(sentence: str) -> tuple[str, list[tuple[int, int]]]:
    """The sentence without brackets, and the spans of what stood in them."""
    parts: list[str] = []
    spans = []
    length = position = 0
    for match in _BRACKETED.finditer(sentence):
        inner = match.group(1)
        parts += [sentence[position : match.start()], inner]
        end = length + len(parts[-2]) + len(inner)
        start = end - len(inner.lstrip())
        spans.append((start, start + len(inner.strip())))
        length, position = end, match.end()
    return "".join((*parts, sentence[position:])), spans


def _stem(file: str) -> str:
    return "stdin" if file == "-" else PurePath(file).name.partition(".")[0]
