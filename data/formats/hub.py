"""Data sets of the Hugging Face hub, or of a folder, through `datasets`: always streamed, never run as code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tristance.data.errors import Fault, UserError, first_line
from tristance.data.formats.rows import Row, plain, require_columns


def hub(path: str, columns: Mapping[str, str]) -> Iterator[Row | Fault]:
    """Rows of one split; a row is numbered from 1.

    Args:
        path: `owner/name` or a folder, then optionally `#split` or `#config/split`. Without a split there must be
            only one. A folder holds data files, or what `save_to_disk` wrote.
        columns: Record field to column; those named must be there.

    Raises:
        UserError: If `datasets` is not installed, the set or split isn't there, or a needed column isn't.
    """
    try:
        import datasets
    except ImportError as error:
        raise UserError(f"{path}: needs the package 'datasets': pip install 'tristance[train]'") from error
    failures = (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError)
    try:
        rows = _open(datasets, path)
    except failures as error:
        raise UserError(f"{path}: cannot be loaded as a data set: {first_line(error)}") from error
    if rows.column_names is not None:
        require_columns(rows.column_names, columns, path)
    names = {
        column: feature for column, feature in (rows.features or {}).items() if isinstance(feature, datasets.ClassLabel)
    }
    number = 0
    try:
        for row in rows:
            number += 1
            yield Row(number, plain({key: _label(names.get(key), value) for key, value in row.items()}))
    except failures as error:
        found = f"a row that `datasets` cannot read ({first_line(error)})"
        yield Fault(path, number + 1, None, found, "a whole data set")


def _open(datasets: Any, path: str) -> Any:
    name, _, part = path.partition("#")
    config, _, split = part.rpartition("/")
    if any(Path(name, marker).exists() for marker in ("state.json", "dataset_dict.json")):
        loaded = datasets.load_from_disk(name)
    else:
        loaded = datasets.load_dataset(name, config or None, streaming=True)
    if not isinstance(loaded, dict):
        if split and split != str(loaded.split):
            raise UserError(f"{path}: has no split {split!r}: it is one table")
        return loaded
    if split in loaded or (not split and len(loaded) == 1):
        return loaded[split or next(iter(loaded))]
    found = f"has no split {split!r}" if split else "has several splits"
    raise UserError(f"{path}: {found}; name one of {', '.join(loaded)}, as in {name}#{next(iter(loaded))}")


def _label(feature: Any, value: Any) -> Any:
    if feature is None or not isinstance(value, int):
        return value
    return feature.int2str(value) if value >= 0 else None  # -1 is the hub's way to say "no label"
