"""Where sentences come from: the splits of a source as records, checked, with a fingerprint; and as `datasets`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, field_validator

from tristance.data.actors import BUNDLED, Actors
from tristance.data.checks import check
from tristance.data.errors import DataError, Fault
from tristance.data.formats import FORMATS, load
from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.data.sections import Section

if TYPE_CHECKING:
    import datasets

SPLITS: Final = ("train", "validation", "test")
PAIRS: Final = ("contrast", "swap")
FOLDER: Final = Path(__file__).parent / "corpus"
PREFIX: Final = "bundled:"


class ActorsConfig(Section):
    """Who is asked about."""

    file: str = "bundled"
    """Actors file: `bundled` (data/actors.yaml) or a path."""

    def load(self) -> Actors:
        """The actors, in the file's order.

        Raises:
            UserError: If the file is missing or broken.
        """
        return Actors.load(BUNDLED if self.file == "bundled" else self.file)


class SourceConfig(Section):
    """Where labelled sentences come from, and how to read them."""

    format: str = "auto"
    """`auto` (by the file's ending), `jsonl`, `csv`, `tsv`, `parquet`, `huggingface` (a dataset's name or folder, and
    `#split`), `newsmtsc`, `dse`."""
    train: tuple[str, ...] = ()
    """Files of the training split; `bundled:` means the corpus that ships with tristance."""
    validation: tuple[str, ...] = ()
    """Files of the validation split, by which everything is chosen."""
    test: tuple[str, ...] = ()
    """Files of the test split, scored once at the end."""
    contrast: tuple[str, ...] = ()
    """Files of minimal pairs (field `pair`): two sentences nearly alike whose labels differ. For behaviour tests."""
    swap: tuple[str, ...] = ()
    """Files of pairs (field `pair`) in which one actor stands for another, labelled anew. For behaviour tests."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column names of a table by record field: `text: sentence`, `stance.west: west_stance`."""
    stance_labels: tuple[str, ...] = STANCES
    """The set's own stance labels; logits and metrics keep to them."""
    targets_as_actors: bool = False
    """Take a target that the alias lexicon knows for its actor. Off, since a politician's quarrels are not the West's
    stance."""

    @field_validator("train", "validation", "test", "contrast", "swap", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value or ()

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in ("auto", *FORMATS):
            raise ValueError(f"one of auto, {', '.join(FORMATS)}")
        return value

    @field_validator("stance_labels")
    @classmethod
    def _known_labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) < 2 or not set(value) <= set(STANCES):
            raise ValueError(f"at least two of {', '.join(STANCES)}")
        return tuple(label for label in STANCES if label in value)


class DataConfig(Section):
    """The labelled sentences."""

    sources: dict[str, SourceConfig]
    """Named sets of sentences, each with its files a split."""
    check: Literal["refuse", "warn", "ignore"] = "refuse"
    """What to do about duplicates, and about sentences or groups that leak from one split into another."""


@dataclass(frozen=True)
class Corpus:
    """One source, read and checked."""

    name: str
    splits: Mapping[str, Sequence[Record]]
    """By `train`, `validation`, `test`; a split that the source lacks is empty."""
    stance_labels: tuple[str, ...]
    warnings: Sequence[Fault] = ()
    pairs: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    """Sentences of behaviour tests, by `PAIRS`: never learnt from."""

    def fingerprint(self) -> dict[str, dict[str, Any]]:
        """Rows and SHA-256 of each split's content, whatever file or format it came from."""
        return {
            name: {"rows": len(records), "sha256": fingerprint(records)}
            for name, records in self.splits.items()
            if records
        }

    def to_datasets(self) -> datasets.DatasetDict:
        """The splits as a Hugging Face `DatasetDict`; labels and further fields as columns."""
        import datasets

        rows = {name: [record.as_dict() for record in records] for name, records in self.splits.items() if records}
        return datasets.DatasetDict({name: datasets.Dataset.from_list(split) for name, split in rows.items()})


def actors_fingerprint(actors: Actors) -> dict[str, Any]:
    """Number and SHA-256 of the actors: names and aliases are what a network reads, as much as sentences are."""
    content = json.dumps(actors.as_list(), sort_keys=True, ensure_ascii=False)
    return {"rows": len(actors), "sha256": hashlib.sha256(content.encode()).hexdigest()}


def fingerprint(records: Sequence[Record]) -> str:
    """SHA-256 over the records' content, in order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record.as_dict(), sort_keys=True, ensure_ascii=False, default=str).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def load_corpus(name: str, source: SourceConfig, actors: Actors, checked: str = "refuse") -> Corpus:
    """Read all splits of a source.

    Args:
        name: The source's name, for messages.
        source: Its section of the config.
        actors: Who may be labelled.
        checked: `refuse`, `warn` or `ignore`: what to do about duplicates and leaks.

    Raises:
        DataError: With all faults of all files; with duplicates and leaks, if they are to be refused.
    """
    found: dict[str, list[Record]] = {}
    faults: list[Fault] = []
    about_bundled = set(Actors.load().ids) <= set(actors.ids)
    for part in (*SPLITS, *PAIRS):
        found[part] = []
        for path in getattr(source, part):
            if part in PAIRS and path.startswith(PREFIX) and not about_bundled:
                continue  # these pairs are about the bundled actors, and nobody asked for them
            try:
                found[part] += load(
                    resolve(path),
                    actors=actors,
                    format=source.format,
                    columns=source.columns,
                    targets_as_actors=source.targets_as_actors,
                )
            except DataError as error:
                faults += error.faults
    if faults:
        raise DataError(faults)
    suspects = [] if checked == "ignore" else check(found)
    if suspects and checked == "refuse":
        raise DataError(suspects)
    splits, pairs = ({part: found[part] for part in names} for names in (SPLITS, PAIRS))
    return Corpus(name, splits, source.stance_labels, suspects, pairs)


def resolve(path: str) -> str:
    """A path of the config, with `bundled:` replaced by the folder of the bundled corpus."""
    return str(FOLDER / path.removeprefix(PREFIX)) if path.startswith(PREFIX) else path
