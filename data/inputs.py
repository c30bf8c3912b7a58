"""Many files as one stream of rows: names, globs and folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from tristance.data.actors import Actors
from tristance.data.errors import Fault, UserError
from tristance.data.formats import find_format, has_format, read
from tristance.data.formats.lines import STDIN
from tristance.data.formats.position import Position
from tristance.data.records import Record

SOURCE_FILE = "source_file"
"""Field that says which file a row came from, where there are several."""


def find_files(names: Iterable[str], format: str = "auto", *, passed_over: Collection[str] = ()) -> list[str]:  # noqa: A002
    """The files that are meant, each once, in the order of the names; within a glob or a folder sorted by path.

    Args:
        names: Files, globs (`news/**/*.txt`), folders (all files below with a known ending, but hidden ones); or `-`
            alone for standard input; or with `format="huggingface"` a data set.
        format: As `read` takes it.
        passed_over: Files and folders that a glob or a folder may hold and that are not meant: the output, say.

    Raises:
        UserError: If a name means nothing, or its format isn't known.
    """
    names = list(names)
    if STDIN in names and len(names) > 1:
        raise UserError(f"{STDIN}: found beside other files; allowed: standard input alone")
    found: dict[str, str] = {}
    for name in names:
        plain = format == "huggingface" or name == STDIN
        for file in [name] if plain else _expanded(name, {os.path.realpath(place) for place in passed_over}):
            find_format(file, format)
            found.setdefault(file if plain else os.path.realpath(file), file)
    return list(found.values())


def _expanded(name: str, passed_over: set[str]) -> list[str]:
    path = Path(name)
    if path.is_dir():
        inside = sorted(str(each) for each in path.rglob("*") if each.is_file() and not _hidden(each, path))
        files = [each for each in inside if has_format(each) and not _below(each, passed_over)]
        if not files:
            raise UserError(f"{name}: is a folder without a file of a known ending; allowed: .jsonl, .csv, .txt, …")
        return files
    if path.exists() or not glob.has_magic(name):
        return [name]
    matched = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [each for each in matched if Path(each).is_file() and not _below(each, passed_over)]
    if not files:
        raise UserError(f"{name}: fits no file; allowed: a file, a folder, or a pattern such as 'news/*.jsonl'")
    return files


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _below(file: str, places: set[str]) -> bool:
    real = Path(os.path.realpath(file))
    return any(str(place) in places for place in (real, *real.parents))


def require_readable(files: Iterable[str], format: str, columns: Mapping[str, str]) -> None:  # noqa: A002
    """Look into every file that lies on the disk, so that a lacking column is told before hours of work.

    Raises:
        UserError: If one cannot be opened, or lacks a column.
    """
    for file in files:
        if Path(file).is_file():
            next(read(file, actors=Actors(()), format=format, columns=columns), None)


def read_files(
    files: Iterable[str],
    *,
    actors: Actors,
    format: str = "auto",  # noqa: A002
    columns: Mapping[str, str] | None = None,
    need_labels: bool = True,
    position: Position | None = None,
) -> Iterator[Record | Fault]:
    """The rows of all files, one after another; the arguments are those of `read`."""
    for file in files:
        yield from read(file, actors=actors, format=format, columns=columns, need_labels=need_labels, position=position)
        if position is not None and Path(file).is_file():
            position.passed(Path(file).stat().st_size)
