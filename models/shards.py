"""The finished pieces of a long output, kept beside it until it is whole: `news.jsonl.parts/` for `news.jsonl`.

A shard is a fixed number of rows of the input, so that what is in it does not depend on when a run was interrupted. Its
files are written beside and renamed, its tally last: a shard without one is not finished. What the shards were made of
(model, input files, options) stands in `state.json`; only a run of the same goes on with them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from tristance.data.errors import UserError, shorten
from tristance.data.files import writing
from tristance.models.caution import Marks

STATE_FILE: Final = "state.json"
LOCK_FILE: Final = ".lock"
FINISHED: Final = "[0-9]*.json"


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rows of a shard, or of all of them."""

    rows: int = 0
    """Records and faults that were read."""
    predicted: int = 0
    rejected: int = 0
    cut: int = 0
    unread_labels: int = 0
    marks: Marks = field(default_factory=Marks)

    def __add__(self, other: Tally) -> Tally:
        names = [each.name for each in fields(Tally)]
        return Tally(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Shards:
    """A folder of finished shards; made by `open_shards`."""

    folder: Path

    def answers(self, number: int) -> Path:
        """Where a shard's predictions are."""
        return self.folder / f"{number:06}.answers"

    def rejects(self, number: int) -> Path:
        """Where a shard's faults are, if it has any."""
        return self.folder / f"{number:06}.rejects"

    def _tally(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"

    def finished(self, number: int) -> Tally | None:
        """What became of the rows of a finished shard; None if it is not finished."""
        try:
            found = json.loads(self._tally(number).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Tally(**{**found, "marks": Marks(**found["marks"])})

    def finish(self, number: int, tally: Tally) -> None:
        """Say that all files of a shard are written."""
        with writing(self._tally(number)) as stream:
            json.dump(asdict(tally), stream)

    def first_rejects(self, count: int) -> list[str]:
        """The first lines of the files of faults."""
        lines: list[str] = []
        for path in sorted(self.folder.glob("*.rejects")):
            with path.open(encoding="utf-8") as stream:
                lines += itertools.islice(stream, count - len(lines))
        return lines

    def clear(self) -> None:
        """No shard is finished any more."""
        for path in self.folder.glob(FINISHED):
            path.unlink()

    def __len__(self) -> int:
        return len(list(self.folder.glob(FINISHED)))


@contextlib.contextmanager
def open_shards(output: Path, identity: Mapping[str, Any] | None, *, restart: bool = False) -> Iterator[Shards]:
    """The shards beside an output; they go once the work on them is done.

    If it is not done, those that are finished stay, unless nobody could go on with them.

    Args:
        output: The file that they become.
        identity: JSON-ready: what they are made of; None if it cannot be read a second time.
        restart: Whether to throw earlier shards away.

    Raises:
        UserError: If another process is at this output, or the shards are of another run.
    """
    folder = Path(f"{output}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    lock, shards = FileLock(folder / LOCK_FILE), Shards(folder)
    try:
        lock.acquire(timeout=0)
    except (Timeout, FileNotFoundError) as error:
        raise UserError(f"{output}: another process writes it; allowed: wait for it, or another output") from error
    try:
        if not (folder / LOCK_FILE).exists():  # another process has finished since, and taken the folder away
            raise UserError(f"{output}: another process has just written it; allowed: start again to do it anew")
        try:
            _prepare(folder, identity, restart)
        except OSError:  # there is no room even for the state
            if all(each.name == LOCK_FILE for each in folder.iterdir()):
                shutil.rmtree(folder)
            raise
        try:
            yield shards
        except BaseException:
            if identity is None or not len(shards):
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)
    finally:
        lock.release()


def _prepare(folder: Path, identity: Mapping[str, Any] | None, restart: bool) -> None:
    """Leave in the folder what the run may go on with, and nothing else."""
    path = folder / STATE_FILE
    inside = [each for each in folder.iterdir() if each.name != LOCK_FILE]
    if path.exists() and not restart and identity is not None:
        found = json.loads(path.read_text(encoding="utf-8"))
        if differing := differences(found, json.loads(json.dumps(identity))):
            raise UserError(
                f"{folder}: holds {len(Shards(folder))} finished shards of another run: {differing}; allowed: the same "
                "command as then, or --restart to throw them away"
            )
        inside = [each for each in inside if each.suffix == ".part"]  # what a killed process was at
    elif not path.exists() and any(each.suffix != ".part" for each in inside):
        raise UserError(f"{folder}: found files of somebody else; allowed: a folder for the parts of this output")
    for each in inside:
        each.unlink()
    if identity is not None and not path.exists():
        with writing(path) as stream:
            json.dump(identity, stream, indent=1)


def differences(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> str:
    """What differs between two states, in words."""
    said = []
    for key in dict.fromkeys([*then, *now]):
        one, other = then.get(key), now.get(key)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            said.append(differences(one, other, f"{prefix}{key} "))
        else:
            said.append(f"{prefix}{key} was {shorten(one)}, is {shorten(other)}")
    return ", ".join(said)
