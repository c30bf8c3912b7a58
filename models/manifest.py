"""What a model folder says of itself: read from JSON alone, before any weight is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tristance.data.actors import Actors
from tristance.data.errors import UserError, shorten
from tristance.data.files import sha256, writing
from tristance.data.labels import STANCES

FORMAT: Final = 1
"""Version of the model folder; raised when an older program could not read it."""
CONFIG_FILE: Final = "config.json"
CHECKSUMS_FILE: Final = "checksums.json"
KINDS: Final = {
    "architecture": str,
    "actors": list,
    "encoding": dict,
    "stance_labels": list,
    "temperature": dict,
    "confusion": dict,
    "languages": list,
    "risk": dict,
}
"""What JSON holds under the fields that prediction depends on."""


@dataclass(frozen=True)
class Manifest:
    """The `tristance` entry of a model's `config.json`: everything beside the weights that prediction depends on."""

    architecture: str
    actors: list[dict[str, Any]]
    """As `Actors.as_list` gives them."""
    encoding: dict[str, Any] = field(default_factory=dict)
    """Options of the encoding: `max_tokens`, and for slots `place` and `anonymous`."""
    stance_labels: list[str] = field(default_factory=lambda: list(STANCES))
    """Labels that the model was trained on; the others never come out."""
    temperature: dict[str, float] = field(default_factory=dict)
    """Divisor of the logits a task, fitted on validation."""
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    """By actor, the stances of the validation split: gold by predicted, both in the order of `labels.STANCES`."""
    languages: list[str] = field(default_factory=lambda: ["en"])
    """ISO 639 codes of the languages of its training sentences; other sentences are out of its scope."""
    risk: dict[str, Any] = field(default_factory=dict)
    """By actor, what abstaining below each confidence buys on validation, as `abstention.risk_curve` gives it."""
    experiment: dict[str, Any] = field(default_factory=dict)
    """Where it comes from: name, seed, data fingerprint."""
    format: int = FORMAT

    def known_actors(self) -> Actors:
        """The actors that the model was trained on; none for one trained on targets alone."""
        return Actors.from_list(self.actors) if self.actors else Actors(())

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, folder: str | Path) -> Manifest:
        """Read a model folder's manifest.

        Raises:
            UserError: If the folder is missing, is no tristance model, or is of another version.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such model folder")
        path = folder / CONFIG_FILE
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(
                f"{folder}: no {CONFIG_FILE} in it; allowed: a model folder that tristance wrote"
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        entry = row.get("tristance") if isinstance(row, Mapping) else None
        if not isinstance(entry, Mapping):
            raise UserError(f"{path}: found no 'tristance' entry; allowed: a model that tristance trained")
        if entry.get("format") != FORMAT:
            raise UserError(
                f"{path}: found model format {entry.get('format')!r}; allowed: {FORMAT} (another version wrote it)"
            )
        try:
            manifest = cls(**entry)
        except TypeError as error:
            raise UserError(f"{path}: the 'tristance' entry does not fit this version: {error}") from error
        manifest._require_kinds(path)
        return manifest

    def _require_kinds(self, path: Path) -> None:
        for name, kind in KINDS.items():
            if not isinstance(found := getattr(self, name), kind):
                raise UserError(
                    f"{path}: {name}: found {shorten(found)}; allowed: what tristance wrote there, a {kind.__name__}"
                )
        for actor, table in self.confusion.items():
            if not _is_table(table):
                size = len(STANCES)
                raise UserError(
                    f"{path}: confusion.{actor}: found {shorten(table)}; allowed: {size} rows of {size} counts"
                )


def _is_table(table: object) -> bool:
    """Whether it is a confusion table: counts of gold stance by predicted stance."""
    size = len(STANCES)
    if not isinstance(table, list) or len(table) != size or not all(isinstance(row, list) for row in table):
        return False
    return all(len(row) == size and all(isinstance(each, int) and each >= 0 for each in row) for row in table)


def write_checksums(folder: Path) -> None:
    """Note the SHA-256 of every weight and tokenizer file of a model folder."""
    names = sorted(
        path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".onnx", ".json", ".joblib")
    )
    with writing(folder / CHECKSUMS_FILE) as stream:
        json.dump({name: sha256(folder / name) for name in names if name != CHECKSUMS_FILE}, stream, indent=2)


def fingerprint(folder: Path) -> str:
    """What tells a model from every other: the SHA-256 of its checksums, or of its files where it has none."""
    path = folder / CHECKSUMS_FILE
    if path.exists():
        return sha256(path)
    files = sorted(each for each in folder.iterdir() if each.is_file())
    return hashlib.sha256("".join(f"{each.name} {sha256(each)}\n" for each in files).encode()).hexdigest()


def verify_checksums(folder: Path, names: Collection[str] | None = None) -> None:
    """Compare a model folder's files with its checksums, where it has some.

    Args:
        folder: Of the model.
        names: Files that are needed; None for all that are not an export, which may have been left behind.

    Raises:
        UserError: If a file is missing or differs.
    """
    path = folder / CHECKSUMS_FILE
    if not path.exists():
        return
    try:
        expected = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(expected, dict):
        raise UserError(f"{path}: found {shorten(expected)}; allowed: a SHA-256 for each file")
    for name, digest in expected.items():
        if name not in names if names is not None else name.endswith(".onnx"):
            continue
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: missing; the model folder was copied only in part")
        found = sha256(folder / name)
        if found != digest:
            raise UserError(
                f"{folder / name}: sha256 is {found[:12]}…, allowed: {digest[:12]}…; broken or tampered with"
            )


def update(folder: Path, **fields: Any) -> None:
    """Change fields of a model folder's manifest, and its checksums with them."""
    path = folder / CONFIG_FILE
    row = json.loads(path.read_text(encoding="utf-8"))
    row["tristance"] |= fields
    with writing(path) as stream:
        json.dump(row, stream, indent=2, sort_keys=True)
        stream.write("\n")
    if (folder / CHECKSUMS_FILE).exists():
        write_checksums(folder)
