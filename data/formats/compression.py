"""Compressed files as streams, told by the ending of their name: .gz, .bz2, .xz, .zst."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import IO, Any, Final, cast

ENDINGS: Final = (".gz", ".bz2", ".xz", ".zst")
MAGIC: Final[Mapping[bytes, str]] = {
    b"\x1f\x8b": ".gz",
    b"BZh9": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}
"""What a compressed file begins with, and the ending it should have."""


def split_ending(name: str) -> tuple[str, str]:
    """The ending of what is inside, and that of the compression; both in small letters, "" where there is none."""
    path = PurePath(name.lower())
    return (PurePath(path.stem).suffix, path.suffix) if path.suffix in ENDINGS else (path.suffix, "")


def decompressing(raw: io.RawIOBase, name: str) -> io.BufferedReader:
    """The bytes inside an opened file, which may be several compressed streams one after another."""
    kind = split_ending(name)[1]
    if not kind:
        return io.BufferedReader(raw)
    if kind == ".zst":
        import pyarrow as pa

        return io.BufferedReader(cast("io.RawIOBase", pa.CompressedInputStream(raw, "zstd")))
    opened: Mapping[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return io.BufferedReader(opened[kind](raw))


@contextlib.contextmanager
def compressing(stream: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Write into an opened file, compressed as its name's ending says: the same bytes give the same file at any hour.

    `stream` stays open.
    """
    kind = split_ending(name)[1]
    if not kind:
        yield stream
    elif kind == ".gz":
        with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as inner:
            yield cast("IO[bytes]", inner)
    elif kind == ".zst":
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(stream), "w"), "zstd") as inner:
            yield inner
    else:
        with {".bz2": bz2.open, ".xz": lzma.open}[kind](stream, "wb") as inner:  # type: ignore[operator]
            yield inner


def is_damage(error: Exception) -> bool:
    """Whether a stream could not be decompressed, and not the disk read: those errors have a number."""
    if isinstance(error, OSError):  # of gzip, bz2 and pyarrow
        return error.errno is None
    return isinstance(error, EOFError | zlib.error | lzma.LZMAError)


class _KeptOpen(io.RawIOBase):
    """A file that its user may close, and that is open still."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._stream.write(data)
