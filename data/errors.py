"""What goes wrong through no fault of the program: said in one line, never as a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class UserError(Exception):
    """A mistake that its user can mend. The command line prints it in one line and exits with 2."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one place of a data file."""

    file: str
    """The file as the user named it."""
    line: int | None
    """Line (or row of a table) counted from 1; None if the whole file is meant."""
    field: str | None
    """Field of the record, dotted (`stance.west`); None if the whole row is meant."""
    found: str
    """What stands there, shortened."""
    allowed: str
    """What may stand there."""
    kind: str = "invalid"
    """Class of the fault: `invalid`, `duplicate`, `near-duplicate` or `leak`."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        field = f" {self.field}:" if self.field else ""
        return f"{place}:{field} found {self.found}; allowed: {self.allowed}"


class DataError(UserError):
    """Faulty data; carries all faults, says the first few."""

    def __init__(self, faults: Iterable[Fault], shown: int = 5) -> None:
        self.faults = list(faults)
        lines = [str(fault) for fault in self.faults[:shown]]
        if len(self.faults) > shown:
            lines.append(f"and {len(self.faults) - shown} more; `tristance data check` lists all")
        super().__init__("\n".join(lines))


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def shorten(value: object, width: int = 60) -> str:
    """The value's repr, cut to `width` characters, for error messages."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"
