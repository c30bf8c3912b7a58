"""Whole articles: what is text in a page, and where its sentences begin and end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tristance.data.errors import UserError

LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
UNPRINTABLE: Final[dict[int, Any]] = {
    **{code: None for code in (*range(0x20), *range(0x7F, 0xA0), 0xFEFF) if chr(code) not in "\n\t"},
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
"""What no reader sees and no file can hold: dropped, and half surrogates replaced."""
SPACES: Final = {code: " " for code in range(0x10000) if chr(code).isspace()}
"""Each space to the plain one, so that nothing moves: sentencex 1.0 panics at some that take several bytes."""
HTML: Final = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
BULLET: Final = re.compile(r"^- (?=\S)", re.MULTILINE)
WRAPPED: Final = range(40, 121)
"""Lengths of the longest line in a text whose lines were broken to fit a page."""


@dataclass(frozen=True, slots=True)
class Document:
    """An article before anybody reads it."""

    text: str
    """Cleaned: lines end with \\n, control characters are gone. Offsets of sentences count its characters."""
    name: str = ""
    """The file, or the id of the row, that it comes from."""
    title: str | None = None
    """Its headline, which is the text's first line too."""
    source: str | None = None
    date: str | None = None
    """ISO 8601: a year, a month, a day or a moment."""


class Span(NamedTuple):
    """One sentence of a text."""

    start: int
    end: int
    """The character after its last."""
    paragraph: int
    """Number of the paragraph, from 0."""


def make_document(
    text: str | bytes,
    *,
    html: bool | None = None,
    name: str = "",
    title: str | None = None,
    source: str | None = None,
    date: str | None = None,
) -> Document:
    """Make a document of what somebody pasted, or of a page.

    Args:
        text: Plain text; or HTML, as bytes where the page itself says its encoding.
        html: Whether it is HTML; None to see by how it begins.
        name: What faults call it.
        title: Headline; put before a text that does not begin with it. Of a page it is found, as are these:
        source: Who published it.
        date: When, as ISO 8601 has it.

    Raises:
        UserError: If there is no sentence in it, or no article in the page.
    """
    if html or (html is None and looks_like_html(text)):
        page = _main_text(text, name)
        text, title, source, date = page.text, title or page.title, source or page.source, date or page.date
    if isinstance(text, bytes):
        raise UserError(f"{name or 'article'}: found bytes; allowed: text, or HTML")
    text = clean(text)
    title = " ".join(clean(title or "").split())
    if not text.casefold().startswith(title.casefold()):
        text = f"{title}\n\n{text}"
    if not any(map(str.isalpha, text)):
        raise UserError(f"{name or 'article'}: found no sentence; allowed: an article of at least one")
    return Document(text, name, title or None, source, date)


def clean(text: str) -> str:
    """The text with plain line ends, and without control characters or space around it."""
    return LINE_ENDS.sub("\n", text).translate(UNPRINTABLE).strip()


def looks_like_html(text: str | bytes) -> bool:
    """Whether it begins as a page does; a text with a tag somewhere in it is still a text."""
    head = text[:4096]
    return bool(
        HTML.match(head.decode("latin-1").removeprefix("ï»¿") if isinstance(head, bytes) else head.lstrip("\ufeff"))
    )


def sentence_spans(text: str, language: str = "en") -> list[Span]:
    """Where the sentences are: in order, apart from each other, without space at their ends.

    Paragraphs end at a blank line, and at a line's end unless it was broken to fit a page; no sentence goes beyond its
    paragraph, so that a headline stays one. What holds no letter (a bullet, a line of stars) is none.

    Args:
        text: As `clean` leaves it.
        language: ISO 639 code; what sentencex has no rules for, it splits by those of a relative or of English.
    """
    import sentencex

    spans = []
    for number, (start, end) in enumerate(_paragraphs(text)):
        for piece in sentencex.segment(language, text[start:end].translate(SPACES)):
            words = piece.strip()
            first = start + len(piece) - len(piece.lstrip())
            start += len(piece)
            if any(map(str.isalpha, words)):
                spans.append(Span(first, first + len(words), number))
    return spans


def _main_text(page: str | bytes, name: str) -> Document:
    """The article in a page, without menus and notices; with headline, site and date where the page tells them."""
    import trafilatura

    found: Any = trafilatura.bare_extraction(page, include_comments=False, include_tables=False, with_metadata=True)
    if found is None or not (found.text or "").strip():
        raise UserError(f"{name or 'page'}: found no article in the HTML; allowed: a page with one, or plain text")
    text = BULLET.sub("", found.text).replace("\n", "\n\n")  # a line a paragraph
    return Document(text, name, found.title, found.sitename or found.hostname, found.date)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs by first character and the one after the last."""
    lines = [match.span() for match in re.finditer(r"[^\n]+", text)]
    joined = _wraps(text, lines)
    start = 0
    for number, (_, end) in enumerate(lines):
        if not joined[number]:
            yield lines[start][0], end
            start = number + 1


def _wraps(text: str, lines: list[tuple[int, int]]) -> list[bool]:
    """Whether each line goes on in the next, which begins small; or had no room for its word, in a text that wraps."""
    width = max((end - start for start, end in lines), default=0)
    small, full, breaks = [], [], 0
    for (start, end), (after, last) in pairwise(lines):
        adjacent, following = after == end + 1, text[after:last].lstrip()
        small.append(adjacent and following[:1].islower())
        full.append(adjacent and end - start + 1 + len(following.partition(" ")[0]) > width)
        breaks += adjacent
    soft = [any(pair) for pair in zip(small, full, strict=True)]
    wraps = width in WRAPPED and breaks > 1 and sum(soft) * 3 >= breaks * 2
    return [*(soft if wraps else small), False]
