"""Files of lines: plain text (a sentence a line) and JSON Lines, compressed or not, or standard input."""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import sys
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, cast

from tristance.data.errors import Fault, UserError, first_line, shorten
from tristance.data.formats import compression
from tristance.data.formats.position import Position
from tristance.data.formats.rows import Row

STDIN: Final = "-"
LONGEST_LINE: Final = 1 << 22
"""Bytes of one line, at most: what keeps memory constant when a file has no line ends."""
SNIFFED: Final = 8192
GARBLED: Final = 0.3
"""Share of a file's head that is no text, from which on a NUL byte means that the whole file is none."""
BOM: Final = "\ufeff"


class Line(NamedTuple):
    """One line of a text file with its line end; where it has a fault, its text is of no use."""

    number: int
    text: str
    fault: Fault | None = None


def read_lines(path: str, position: Position | None = None) -> Iterator[Line]:
    """Decode a UTF-8 file line by line, in constant memory; a byte order mark at its start is passed over.

    Args:
        path: A file, compressed or not as its ending says; `-` for standard input.
        position: Told how far reading has come.

    Yields:
        Lines. One that is not UTF-8 or has more than `LONGEST_LINE` bytes carries its fault; a file that is binary
        or whose compression is damaged ends with a line that carries the fault of the file.

    Raises:
        UserError: If the file cannot be opened or read.
    """
    with _opened(path, position or Position()) as stream:
        number = 0
        try:
            if found := _binary(stream.peek(SNIFFED)[:SNIFFED]):
                yield Line(0, "", Fault(path, None, None, found, "UTF-8 text"))
                return
            while raw := stream.readline(LONGEST_LINE):
                number += 1
                yield _decoded(raw, path, number, whole=_skip_rest(raw, stream))
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if not compression.is_damage(error):
                raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
            number += 1
            kind = compression.split_ending(path)[1][1:]
            found = f"damaged {kind} data ({first_line(error)})"
            yield Line(number, "", Fault(path, number, None, found, f"a whole {kind} file"))


def text(lines: Iterable[Line]) -> Iterator[Row | Fault]:
    """A sentence a line; blank lines are passed over."""
    for line in lines:
        if line.fault:
            yield line.fault
        elif sentence := line.text.strip():
            yield Row(line.number, {"text": sentence})


def jsonl(lines: Iterable[Line], file: str) -> Iterator[Row | Fault]:
    """A JSON object a line; blank lines are passed over."""
    first = True
    for line in lines:
        if line.fault:
            yield line.fault
        elif first and line.text.lstrip().startswith("["):
            # Every line of a pretty-printed array would be a fault of its own, and none would say why.
            yield Fault(file, None, None, "a JSON array", "an object a line (`jq -c '.[]'` makes it so)")
            return
        elif line.text.strip():
            yield _parse_json(line, file)
            first = False


def stdin_is_json() -> bool:
    """Whether the first character of standard input that is not blank opens a JSON object; nothing is used up."""
    head = _stdin().peek(SNIFFED)
    return head.removeprefix(BOM.encode()).lstrip().startswith(b"{")


def _stdin() -> io.BufferedReader:
    return cast("io.BufferedReader", sys.stdin.buffer)


@contextlib.contextmanager
def _opened(path: str, position: Position) -> Iterator[io.BufferedReader]:
    if path == STDIN:
        yield _stdin()
        return
    try:
        raw = cast("io.RawIOBase", open(path, "rb", buffering=0))  # noqa: SIM115 - closed below
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    with raw, compression.decompressing(raw, path) as stream, position.within(raw.tell):
        yield stream


def _binary(head: bytes) -> str | None:
    """What a file is that is no text: a line with a NUL byte is a fault of its own, many of them no text at all."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16 text"
    for magic, ending in compression.MAGIC.items():
        if head.startswith(magic):
            return f"{ending[1:]} data without {ending} in its name"
    if b"\0" not in head:
        return None
    decoded = head.decode(errors="replace")
    garbled = sum(char == "\ufffd" or (unicodedata.category(char) == "Cc" and not char.isspace()) for char in decoded)
    return "binary data" if garbled > GARBLED * len(decoded) else None


def _skip_rest(raw: bytes, stream: io.BufferedReader) -> bool:
    """Read on to the end of an over-long line; whether there was nothing to skip."""
    whole = len(raw) < LONGEST_LINE or raw.endswith(b"\n")
    while len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
        raw = stream.readline(LONGEST_LINE)
    return whole


def _decoded(raw: bytes, file: str, number: int, *, whole: bool) -> Line:
    if not whole:
        return Line(number, "", Fault(file, number, None, f"over {LONGEST_LINE:,} bytes in one line", "a row a line"))
    try:
        decoded = raw.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{raw[error.start]:02x} at offset {error.start} of the line, which is not UTF-8"
        # A replaced text still counts as one cell or several in a table.
        return Line(number, raw.decode(errors="replace"), Fault(file, number, None, found, "UTF-8 text"))
    return Line(number, decoded.removeprefix(BOM) if number == 1 else decoded)


def _parse_json(line: Line, file: str) -> Row | Fault:
    content = line.text.rstrip()  # a line end inside a string that was cut off would hide that it was
    try:
        values = json.loads(content)
        if "\\u" in content:
            json.dumps(values, ensure_ascii=False).encode()
        return Row(line.number, values)
    except json.JSONDecodeError as error:
        near = shorten(content[max(0, error.pos - 20) : error.pos + 20])
        found = f"broken JSON at column {error.colno} ({error.msg}) near {near}"
    except UnicodeEncodeError:  # it could be read, but never be written again
        found = "half of a surrogate pair"
    except (ValueError, RecursionError) as error:
        found = f"JSON that cannot be read ({error})"
    return Fault(file, line.number, None, found, "one whole JSON object a line")
