"""The output of a cluster: a folder of Parquet files, on a local disk or in an object store.

    part-00000000.parquet …   a file for each piece of the input, in its order
    _SUCCESS                  there once the work is whole, written last
    _work/                    gone by then: what the output is made of, and what became of each finished piece

On a local disk all this lies in OUTPUT.parts until it is whole, and is renamed. An object store cannot rename: there
whoever reads the folder waits for `_SUCCESS`. Names that begin with `_` are passed over by readers of Parquet.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import IO, Any, Final

from pyarrow import fs

from tristance.data import files
from tristance.data.errors import Fault, UserError
from tristance.models.caution import Marks
from tristance.models.cluster.pieces import THREADS, is_uri, locate
from tristance.models.shards import Tally, differences

SUCCESS: Final = "_SUCCESS"
WORK: Final = "_work"
BROKEN: Final = ".part-"
"""What a killed process was at begins so."""
TRIES: Final = ".tries"
STATE: Final = f"{WORK}/state.json"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a piece."""

    tally: Tally
    faults: list[Fault]


@dataclass(frozen=True)
class Folder:
    """An output on its way; made by `open_folder`. It can be sent to other machines.

    Attributes:
        output: As the user named it.
        place: Where it is written: a URI, or the absolute path of the folder beside it.
    """

    output: str
    place: str

    @property
    def _system(self) -> fs.FileSystem:
        return locate(self.place)[0]

    def _path(self, name: str = "") -> str:
        return f"{locate(self.place)[1].rstrip('/')}/{name}"

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[Any]]:
        """A file in it, for bytes; nobody sees half of one on a local disk, nor of one whose writer is killed."""
        if is_uri(self.place):
            with self._system.open_output_stream(self._path(name)) as stream:
                yield stream
        else:
            with files.writing(self._path(name), "wb") as stream:
                yield stream

    def part(self, number: int) -> str:
        """Name of a piece's answers."""
        return f"part-{number:08}.parquet"

    def begin(self, number: int) -> int:
        """Say that a piece is begun; gives how often it was, this time among them."""
        name = f"{WORK}/{number:08}{TRIES}"
        there = self._system.get_file_info(self._path(name)).type == fs.FileType.File
        count = 1 + (self._read(name) if there else 0)
        with self.writing(name) as stream:
            stream.write(b"%d" % count)
        return count

    def finish(self, number: int, done: Done) -> None:
        """Say that a piece's answers are written; what is not said so is done again."""
        with self.writing(_tally(number)) as stream:
            stream.write(json.dumps(asdict(done), ensure_ascii=False).encode())

    def finished(self) -> set[int]:
        """The numbers of the pieces that are finished."""
        selector = fs.FileSelector(self._path(WORK), allow_not_found=True)
        names = (info.base_name.partition(".") for info in self._system.get_file_info(selector))
        return {int(number) for number, _, ending in names if number.isdigit() and ending == "json"}

    def forget_tries(self) -> None:
        """Nothing was begun yet, of what is not finished."""
        for info in self._system.get_file_info(fs.FileSelector(self._path(WORK))):
            if info.base_name.endswith(TRIES):
                self._system.delete_file(info.path)

    def done(self, numbers: Iterable[int]) -> Iterator[Done]:
        """What became of finished pieces, in the order given."""
        with ThreadPoolExecutor(THREADS) as pool:
            for found in pool.map(self._read, map(_tally, numbers)):
                tally = {**found["tally"], "marks": Marks(**found["tally"]["marks"])}
                yield Done(Tally(**tally), [Fault(**fault) for fault in found["faults"]])

    def _read(self, name: str) -> Any:
        with self._system.open_input_stream(self._path(name)) as stream:
            return json.loads(stream.read())

    def clear(self) -> None:
        """Take away all that this program has written."""
        system = self._system
        for info in system.get_file_info(fs.FileSelector(self._path(), allow_not_found=True)):
            if info.base_name == WORK:
                system.delete_dir(info.path)
            elif _is_ours(info.base_name):
                system.delete_file(info.path)
        if not is_uri(self.place):
            with contextlib.suppress(OSError):
                os.rmdir(self.place)

    def complete(self) -> None:
        """Make it the output that was asked for."""
        system = self._system
        system.delete_dir(self._path(WORK))
        for info in system.get_file_info(fs.FileSelector(self._path())):
            if info.base_name.startswith(BROKEN):
                system.delete_file(info.path)
        with self.writing(SUCCESS):
            pass
        if not is_uri(self.place):
            os.replace(self.place, locate(self.output)[1])


def open_folder(output: str, identity: Mapping[str, Any], *, restart: bool = False) -> Folder:
    """Begin an output, or go on with one that was interrupted.

    Args:
        output: Path or URI of a folder that is not there, or is empty.
        identity: JSON-ready, all that the output depends on.
        restart: Whether to throw away what an interrupted run has finished.

    Raises:
        UserError: If the output is there, was begun from something else, or there are files of somebody else.
    """
    require_new(output)
    folder = Folder(output, output if is_uri(output) else f"{locate(output)[1]}.parts")
    system = folder._system
    if restart:
        folder.clear()
    if system.get_file_info(folder._path(STATE)).type == fs.FileType.File:
        if differing := differences(folder._read(STATE), json.loads(json.dumps(identity))):
            raise UserError(
                f"{folder.place}: holds {len(folder.finished())} finished pieces of another run: {differing}; allowed: "
                "the same command as then, or --restart to throw them away"
            )
        folder.forget_tries()
        return folder
    if system.get_file_info(fs.FileSelector(folder._path(), allow_not_found=True)):
        raise UserError(f"{folder.place}: found files of somebody else; allowed: a folder for this output alone")
    if system.type_name in ("local", "hdfs"):  # stores of objects have no folders
        system.create_dir(folder._path(WORK))
    with folder.writing(STATE) as stream:
        stream.write(json.dumps(identity, indent=1).encode())
    return folder


def require_new(output: str) -> None:
    """Refuse an output that is there already.

    Raises:
        UserError: If it is a file, a whole output, or on a local disk a folder with anything in it.
    """
    system, path = locate(output)
    allowed = "allowed: the name of a folder that is not there yet"
    if system.get_file_info(path).type == fs.FileType.File:
        raise UserError(f"{output}: is a file; {allowed}")
    if is_uri(output):
        if system.get_file_info(f"{path.rstrip('/')}/{SUCCESS}").type == fs.FileType.File:
            raise UserError(f"{output}: holds a whole output; {allowed}")
    elif system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        raise UserError(f"{output}: is a folder with files in it; {allowed}")


def _tally(number: int) -> str:
    return f"{WORK}/{number:08}.json"


def _is_ours(name: str) -> bool:
    return name == SUCCESS or name.startswith(("part-", BROKEN))
