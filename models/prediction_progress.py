"""What a person sees while files are predicted: sentences, rate, and the time left by the bytes that are read."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from tristance.data.formats.position import Position


class PredictionProgress:
    """A bar on standard error.

    Rate and time left are of the sentences that this process answers: those of finished shards are passed over quickly.

    Args:
        shown: Whether it is shown.
        position: Told by the reader how far it is.
        total: Bytes of all files; None where nobody knows.
    """

    def __init__(self, shown: bool, position: Position | None = None, total: int | None = None) -> None:
        self.position, self.total = position, total
        bar = (BarColumn(), TextColumn("{task.percentage:.0f} %")) if total and position else ()
        self._progress = Progress(
            SpinnerColumn(),
            *bar,
            TextColumn("{task.fields[rows]:,} sentences  {task.fields[said]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not shown,
        )
        self._task = self._progress.add_task("", total=total, rows=0, said="")
        self._rows = self._answered = 0
        self._start: tuple[float, int] | None = None

    def __enter__(self) -> PredictionProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def passed_over(self, rows: int) -> None:
        """Rows of a finished shard have been read."""
        self._rows += rows
        self._progress.update(self._task, rows=self._rows, completed=self._bytes(), said="already there")

    def begin(self) -> None:
        """From now on sentences are answered."""
        self._start = self._start or (time.monotonic(), self._bytes())

    def answered(self, rows: int) -> None:
        """Rows have been answered."""
        self._rows += rows
        self._answered += rows
        self._progress.update(self._task, rows=self._rows, completed=self._bytes(), said=self._said())

    def _bytes(self) -> int:
        return self.position.bytes if self.position else 0

    def _said(self) -> str:
        if self._start is None:
            return ""
        seconds, done = time.monotonic() - self._start[0], self._bytes() - self._start[1]
        rate = f"{self._answered / max(seconds, 1e-9):,.0f}/s"
        if not self.total or done <= 0:
            return rate
        left = max(0.0, seconds * (self.total - self._bytes()) / done)
        return f"{rate}  {timedelta(seconds=round(left))} left"
