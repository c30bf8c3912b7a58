"""How far reading has come."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class Position:
    """Bytes that have been read of one or several files, as they lie on the disk: compressed, if they are."""

    def __init__(self) -> None:
        self._before = 0
        self._tell: Callable[[], int] | None = None

    @property
    def bytes(self) -> int:
        """Of all files up to now; a pipe has no places, and counts for nothing."""
        with contextlib.suppress(OSError):
            return self._before + (self._tell() if self._tell else 0)
        return self._before

    @contextlib.contextmanager
    def within(self, tell: Callable[[], int]) -> Iterator[None]:
        """While a file is read: `tell` gives the place in it."""
        self._tell = tell
        try:
            yield
        finally:
            self._tell = None

    def passed(self, size: int) -> None:
        """A file of so many bytes has been read."""
        self._before += size
