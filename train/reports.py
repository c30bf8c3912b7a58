"""From a run, a model or somebody's predictions to the report that is printed, and to the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.files import writing
from tristance.data.formats import find_format, load
from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.data.sources import fingerprint
from tristance.models.classifier import StanceClassifier
from tristance.models.predictions import Scores
from tristance.train.config_views import is_shipped
from tristance.train.evaluation.metrics import evaluate
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.evaluation.plots import write_plots
from tristance.train.evaluation.predictions import align, read_predictions, write_predictions
from tristance.train.runs import FORMAT, Run, locked, write_json


def report_of(run: Run) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Title, metrics, baselines and behaviour that a finished run is shown by.

    Of a shipped config its test results, else those on validation.
    """
    content = run.metrics()
    split = "test" if "test" in content and is_shipped(run.config()) else "validation"
    baselines = dict(content["baselines"].get(split, {}))
    blind = _target_blind(run, split)
    if blind:
        baselines["target-blind"] = blind
    title = f"{run.name}, seed {run.seed}: {split} ({content[split]['n']} sentences)"
    return title, content[split], baselines, content.get("behaviour", {})


def _target_blind(run: Run, split: str) -> dict[str, Any] | None:
    """The metrics of a target-blind run on the same rows that stands in the same output folder, if there is one."""
    data = run.provenance()["data"]
    for path in sorted(run.folder.parent.parent.glob("*/*/metrics.json")):
        other = Run(path.parent)
        if other.folder != run.folder and other.provenance_file.exists() and other.provenance()["data"] == data:
            options = other.config().get("model", {}).get("slots", {})
            if options.get("anonymous") and not run.config()["model"]["slots"]["anonymous"]:
                metrics: dict[str, Any] = other.metrics().get(split, {})
                return metrics or None
    return None


def evaluate_file(
    *,
    model: str | None,
    predictions: str | None,
    data: str,
    format_: str = "auto",
    labels: Sequence[str] | None = None,
    split: str = "test",
    output: str | None = None,
    columns: Mapping[str, str] | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> tuple[str, dict[str, Any], Path | None]:
    """Score a model, or a file of predictions, on a labelled file.

    Args:
        model: Run folder, model folder or hub name; None if `predictions` is given.
        predictions: File in the form of `Prediction.as_dict`, or parquet as runs hold it.
        data: Labelled sentences.
        format_: Of the data.
        labels: The set's stance labels; None to take them from the data.
        split: What the data are: `validation` or `test`.
        output: Run folder to write; beside the model's run, or nowhere, if None.
        columns: Record field to column of the data, as `read` takes them.
        batch_size: Sentences a step.
        progress: Show a progress bar.

    Returns:
        Title, metrics, and the folder written.

    Raises:
        UserError: For faulty files, labels that do not fit, or a folder that training or another process needs.
    """
    if not set(labels or ()) <= set(STANCES):
        raise UserError(f"--labels: found {','.join(labels or ())}; allowed: some of {','.join(STANCES)}")
    find_format(data, format_)  # before the model, so that a mistake is told at once
    run = Run(Path(model)) if model and Run(Path(model)).finished else None
    folder = Path(output) if output else run.folder / "evaluations" / Path(data).stem if run else None
    if folder:
        _refuse_training(Run(folder))
    classifier = StanceClassifier.from_pretrained(run.model if run else model) if model else None
    records = load(data, actors=classifier.actors if classifier else Actors.load(), format=format_, columns=columns)
    if all(record.sentiment is None and not any(record.labels(slot)[0] for slot in record.slots) for record in records):
        raise UserError(f"{data}: found no labels; allowed: labelled sentences")
    if classifier:
        scores = classifier.score_records(records, batch_size=batch_size, progress=progress)
    else:
        assert predictions is not None
        scores = align(records, read_predictions(predictions))
    options = EvaluationConfig(**run.config().get("evaluation", {})) if run else EvaluationConfig()
    metrics = evaluate(records, scores, options, stance_labels=labels or _labels_of(records))
    if folder:
        source = {"predictions": predictions, "model": model, "data": data}
        about = {"name": folder.parent.name, "seeds": [int(folder.name)] if folder.name.isdecimal() else []}
        if run and not output:
            about = {"name": f"{run.experiment}@{folder.name}", "seeds": [int(run.seed)]}
        about |= {key: _place(said) for key, said in source.items() if said}
        with locked(Run(folder)):
            _refuse_training(Run(folder))  # again: it may have begun meanwhile
            _write(Run(folder), split, records, scores, metrics, about)
    return f"{model or predictions} on {data} ({len(records)} sentences)", metrics, folder


def _refuse_training(run: Run) -> None:
    """Keep off a run that was trained, is in training, or was killed and is to go on."""
    begun = run.config_file.is_file() and "stages" in run.config()
    if begun or run.model.exists() or (run.folder / "stages").exists():
        raise UserError(f"{run.folder}: holds a run of training; allowed: another folder")


def _place(said: str) -> str:
    """A file or folder so that it is found from everywhere; a hub name as it is."""
    return str(Path(said).resolve()) if Path(said).exists() else said


def _labels_of(records: Sequence[Record]) -> Sequence[str]:
    """All four; the three of the public sets for targets of which none is ever unrelated."""
    targets = [target for record in records for target in record.targets]
    public = all(record.targets for record in records) and all(target.stance != "unrelated" for target in targets)
    return STANCES[:3] if public else STANCES


def _write(
    run: Run, split: str, records: Sequence[Record], scores: Scores, metrics: dict[str, Any], about: Mapping[str, Any]
) -> None:
    """A run folder without training, which `compare` takes; metrics.json last, as ever."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with writing(run.config_file) as stream:
        yaml.safe_dump(dict(about), stream, sort_keys=False, allow_unicode=True)
    write_json(
        run.provenance_file,
        {"data": {"file": {split: {"rows": len(records), "sha256": fingerprint(records)}}}, "seconds": {}},
    )
    write_predictions(run.predictions(split), records, scores, stance_labels=metrics["stance_labels"])
    write_plots(metrics, run.folder / "plots" / split)
    seed = next(iter(about["seeds"]), None)
    write_json(
        run.metrics_file,
        {"format": FORMAT, "experiment": about["name"], "seed": seed, "baselines": {}, split: metrics},
    )
