"""Trained models as teachers: which they are, whether they fit the experiment, what they say of its sentences."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.files import sha256, writing
from tristance.data.records import Record
from tristance.data.sources import Corpus
from tristance.models.backbone import locate, manifest_of
from tristance.models.classifier import StanceClassifier
from tristance.models.manifest import CHECKSUMS_FILE, CONFIG_FILE, Manifest
from tristance.models.predictions import Scores
from tristance.models.registry import NETWORKS
from tristance.train.config import Config
from tristance.train.protocols import PLAIN
from tristance.train.runs import find_runs

KEY: Final = "train.teacher.models"
PARTS: Final = ("stance", "holder", "sentiment")

Teachers = Mapping[str, tuple[Path, ...]]
"""Model folders of the teachers, by stage."""


def find_teachers(config: Config, actors: Actors, corpora: Mapping[str, Corpus]) -> Teachers:
    """The teachers of each stage, none of which is loaded yet.

    Args:
        config: The experiment.
        actors: Whom it asks about.
        corpora: Its sources by name.

    Raises:
        UserError: If there is no such model, or it does not answer what the stage's sentences ask.
    """
    found = {stage.name: _folders(config.training(stage).teacher.models) for stage in config.stages}
    for stage in config.stages:
        for folder in found[stage.name]:
            for source in stage.sources:
                _require_fit(folder, actors, corpora[source])
    return found


def _folders(models: Sequence[str]) -> tuple[Path, ...]:
    found: list[Path] = []
    for name in models:
        direct = [Path(each) for each in sorted(glob.glob(name)) if (Path(each) / CONFIG_FILE).is_file()]  # noqa: PTH207 - may be absolute
        try:
            found += direct or [run.model for run in find_runs(name)]
        except UserError as error:
            hint = "or a model folder; train it first, for example: tristance train configs/base.yaml"
            raise UserError(f"{KEY}: {error}, {hint}") from error
    return tuple(dict.fromkeys(found))


def _require_fit(folder: Path, actors: Actors, corpus: Corpus) -> None:
    try:
        manifest = Manifest.read(folder)
    except UserError as error:
        raise UserError(f"{KEY}: {error}") from error
    known = manifest.known_actors().ids
    asked = any(record.stance or not record.targets for record in corpus.splits["train"])
    if asked and known != actors.ids:
        raise UserError(
            f"{KEY}: {folder}: found actors {', '.join(known) or 'none'}; allowed: those of this experiment, in its "
            f"order: {', '.join(actors.ids)}"
        )
    if not set(corpus.stance_labels) <= set(manifest.stance_labels):
        raise UserError(
            f"{KEY}: {folder}: found stance labels {', '.join(manifest.stance_labels)}; allowed: a model that knows "
            f"all of source {corpus.name}: {', '.join(corpus.stance_labels)}"
        )


def origins(config: Config, teachers: Teachers, judged: Corpus, console: Console) -> dict[str, str]:
    """Each trained model that the experiment draws on, as teacher or backbone, with the SHA-256 of its checksums.

    Raises:
        UserError: If such a model may have learnt from what the protocol holds out, or would be overwritten.
    """
    folders = {folder for stage in teachers.values() for folder in stage}
    if config.model.architecture in NETWORKS and manifest_of(config.model.backbone) is not None:
        folders.add(Path(locate(config.model.backbone)))
    if folders and config.protocol.name != PLAIN:
        raise UserError(
            f"protocol.name: found {config.protocol.name}; allowed with trained models as teachers or backbone: "
            f"{PLAIN}, since they have learnt from what the others hold out"
        )
    own = Path(config.output) / config.name
    digests = {}
    for folder in sorted(folders):
        if folder.resolve().is_relative_to(own.resolve()):
            raise UserError(f"{folder}: lies in {own}, which this experiment writes; allowed: another name=…")
        seen = Manifest.read(folder).experiment.get("data", {}).get(judged.name, {})
        if any(seen.get(split) != found for split, found in judged.fingerprint().items() if split != "train"):
            console.print(
                f"warning: {folder}: its data were split otherwise; it may have learnt from sentences that this "
                "experiment is judged by",
                highlight=False,
                markup=False,
            )
        if not (folder / CHECKSUMS_FILE).is_file():
            raise UserError(f"{folder}: no {CHECKSUMS_FILE} in it; the model folder is not complete")
        digests[str(folder)] = sha256(folder / CHECKSUMS_FILE)
    return digests


def teach(
    folders: Sequence[Path], records: Sequence[Record], *, batch_size: int, device: str, console: Console
) -> Scores:
    """The mean of the teachers' probabilities, in the order of the records.

    They are taken before any temperature: those in the manifests were fitted on validation, of which training may know
    nothing.
    """
    answers = []
    for folder in folders:
        console.print(f"{folder}: reads {len(records):,} sentences as a teacher", highlight=False, markup=False)
        teacher = StanceClassifier.from_pretrained(folder, device=device)
        shown = console.is_terminal
        answers.append(teacher.score_records(records, batch_size=batch_size, progress=shown, tempered=False))
    stance, holder, sentiment = (
        np.asarray(np.mean([getattr(each, part) for each in answers], axis=0, dtype=np.float32)) for part in PARTS
    )
    return Scores(answers[0].slots, stance, holder, sentiment)


def write_scores(path: Path, scores: Scores) -> None:
    """Keep scores, to the last bit."""
    with writing(path, "wb") as stream:
        np.savez(stream, slots=np.array(scores.slots), **{part: getattr(scores, part) for part in PARTS})


def read_scores(path: Path) -> Scores:
    """What `write_scores` kept."""
    with np.load(path) as kept:
        return Scores(tuple(kept["slots"].tolist()), *(kept[part] for part in PARTS))
