"""One config, one experiment: `run_experiment(config)` trains and scores a run for each seed, in its own folder."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, TrainerCallback, set_seed

from tristance.data.actors import Actors
from tristance.data.checks import check
from tristance.data.errors import DataError, UserError
from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.data.sources import Corpus, actors_fingerprint, load_corpus
from tristance.models.backbone import load_config, load_tokenizer, quiet
from tristance.models.baselines import fit_baseline, save_baseline
from tristance.models.classifier import StanceClassifier
from tristance.models.encoding import record_item, rows_by_slots
from tristance.models.manifest import Manifest
from tristance.models.networks import NetworkScorer, build_encoding, build_network, save_network, use_all_cores
from tristance.models.predictions import Scores
from tristance.models.registry import BASELINES, NETWORKS, Scorer
from tristance.models.scope import languages_of
from tristance.train import features, processes, tracking, trainer
from tristance.train.card import write_card
from tristance.train.config import Config, StageConfig
from tristance.train.evaluation.answers import stance_confusion
from tristance.train.evaluation.behaviour import behaviour
from tristance.train.evaluation.calibration import before_and_after, fit_temperature, risk_curves
from tristance.train.evaluation.metrics import evaluate
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.evaluation.plots import write_plots
from tristance.train.evaluation.predictions import write_predictions
from tristance.train.progress import TrainingProgress
from tristance.train.protocols import Part, parts
from tristance.train.runs import FORMAT, Run, judged_split, locked, write_json
from tristance.train.teachers import Teachers, find_teachers, origins, read_scores, teach, write_scores

EVALUATED: Final = ("validation", "test")
QUICK_LOOK: Final = {"resamples": 0, "slices": ()}
"""What an evaluation needs that only chooses a checkpoint: no intervals, no slices."""

ENOUGH: Final = 2000
"""Sentences that tell the language of a corpus."""


Watch = Callable[[float, dict[str, float]], None]
"""Told the epoch and the validation figures after each; what it raises ends the run, which then goes on when asked."""


@dataclass(frozen=True)
class Result:
    """A finished experiment."""

    config: Config
    parts: Mapping[str, tuple[Run, ...]]
    """By part of the protocol (one with an empty name for the splits as they are), a run a seed."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """All of them, in order."""
        return tuple(run for runs in self.parts.values() for run in runs)


@dataclass(frozen=True)
class Setting:
    """What all runs of an experiment share."""

    config: Config
    actors: Actors
    corpora: Mapping[str, Corpus]
    console: Console
    baselines: dict[str, StanceClassifier] = field(default_factory=dict)
    """Filled by the first run that is evaluated."""
    watch: Watch | None = None
    teachers: Teachers = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    """Hash of each trained model that the experiment draws on."""

    def final(self) -> Corpus:
        """The source that the experiment is judged by: the first of its last stage."""
        return self.corpora[self.config.stages[-1].sources[0]]

    def of(self, part: Part) -> Setting:
        """The same for one part of the protocol."""
        name = self.config.stages[-1].sources[0]
        corpora = {**self.corpora, name: replace(self.corpora[name], splits=part.splits)}
        return replace(self, corpora=corpora, baselines={})

    def stance_labels(self) -> tuple[str, ...]:
        """The labels that the trained model may give: those of its last stage."""
        found = {label for name in self.config.stages[-1].sources for label in self.corpora[name].stance_labels}
        return tuple(label for label in STANCES if label in found)


def run_experiment(
    config: Config, *, again: bool = False, console: Console | None = None, watch: Watch | None = None
) -> Result:
    """Train and evaluate every seed of an experiment; a finished run is left alone, an interrupted one goes on.

    Under `torchrun` all processes call this alike: they train together, and the first writes.

    Args:
        config: What to do.
        again: Throw away what earlier runs left.
        console: Where progress is shown; standard error if None.
        watch: Told how training goes.

    Raises:
        UserError: For whatever the user can mend: faulty data, an occupied run folder, a loss that is no number.
    """
    setting = replace(prepare(config, console or Console(stderr=True)), watch=watch)
    processes.join()
    use_all_cores()
    made: dict[str, tuple[Run, ...]] = {}
    for part in parts(config.protocol, setting.final().splits, setting.actors.ids):
        here = setting.of(part)
        made[part.name] = tuple(Run(Path(config.output) / config.name / part.name / str(seed)) for seed in config.seeds)
        for run, seed in zip(made[part.name], config.seeds, strict=True):
            run_seed(here, run, seed, again=again)
    return Result(config, made)


def prepare(config: Config, console: Console) -> Setting:
    """Read and check everything that the experiment needs, before any model is loaded."""
    actors = config.actors.load()
    names = dict.fromkeys(name for stage in config.stages for name in stage.sources)
    corpora = {name: load_corpus(name, config.data.sources[name], actors, config.data.check) for name in names}
    for corpus in corpora.values():
        for fault in corpus.warnings[:3]:
            console.print(f"warning: {fault}", highlight=False, markup=False)
        if len(corpus.warnings) > 3:
            console.print(f"warning: and {len(corpus.warnings) - 3} more of source {corpus.name}", highlight=False)
    judged = corpora[config.stages[-1].sources[0]]
    _refuse_leaks(judged, [corpus for corpus in corpora.values() if corpus is not judged], config.data.check, console)
    teachers = find_teachers(config, actors, corpora)
    if config.model.architecture in NETWORKS:
        load_config(config.model.backbone)
    for tracker in config.tracking:
        if importlib.util.find_spec(tracker) is None:
            raise UserError(f"tracking: {tracker} is not installed; allowed: pip install 'tristance[tracking]'")
    for stage in config.stages:
        for split in ("train", "validation"):
            found = [record for name in stage.sources for record in corpora[name].splits[split]]
            features.require_learnable(found, f"{split} (stage {stage.name})")
    models = origins(config, teachers, judged, console)
    return Setting(config, actors, corpora, console, teachers=teachers, models=models)


def _refuse_leaks(judged: Corpus, others: Sequence[Corpus], checked: str, console: Console) -> None:
    """Look for sentences of what the experiment is judged by in the training splits of its other sources."""
    if checked == "ignore" or not others:
        return
    train = [record for corpus in others for record in corpus.splits["train"]]
    faults = check({"train of other sources": train, **{split: judged.splits[split] for split in EVALUATED}})
    leaks = [fault for fault in faults if fault.kind == "leak" and "train of other sources" in str(fault)]
    if leaks and checked == "refuse":
        raise DataError(leaks)
    for fault in leaks[:3]:
        console.print(f"warning: {fault}", highlight=False, markup=False)


def run_seed(setting: Setting, run: Run, seed: int, *, again: bool = False) -> None:
    """Bring one run to its end."""
    config = setting.config
    with locked(run) if processes.is_first() else contextlib.nullcontext():
        if processes.is_first():
            fingerprints = {name: corpus.fingerprint() for name, corpus in setting.corpora.items()}
            fingerprints["actors"] = {"all": actors_fingerprint(setting.actors)}
            run.begin(config, fingerprints, setting.models, again=again)
        if processes.from_first(run.finished):
            setting.console.print(f"{run.folder}: finished before (--again trains it anew)", highlight=False)
            return
        with tracking.followed(config, run) if processes.is_first() else contextlib.nullcontext():
            with quiet():
                _train(setting, run, seed)
            if processes.is_first():
                _evaluate_run(setting, run, seed)
                shutil.rmtree(run.folder / "stages", ignore_errors=True)
        processes.wait()


def _train(setting: Setting, run: Run, seed: int) -> None:
    if processes.from_first(run.model.exists()):
        return  # only the evaluation was interrupted
    set_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if setting.config.model.architecture in BASELINES:
        _train_baseline(setting, run)
    else:
        _train_network(setting, run, seed)


def _train_baseline(setting: Setting, run: Run) -> None:
    train = [record for name in setting.config.stages[-1].sources for record in setting.corpora[name].splits["train"]]
    model = setting.config.model
    with _timed(run, "train"):
        baseline = fit_baseline(model.architecture, train, setting.actors, model.tfidf)
    with _whole_folder(run.model) as folder:
        save_baseline(folder, baseline, _manifest(setting, run, baseline))


def _train_network(setting: Setting, run: Run, seed: int) -> None:
    config = setting.config
    network, tokenizer = build_network(config.model), load_tokenizer(config.model.backbone)
    encoding = build_encoding(config.model, tokenizer)
    for number, stage in enumerate(config.stages):
        finished = run.stage(number, stage.name) / "weights.safetensors"
        if not processes.from_first(finished.exists()):
            _train_stage(setting, run, seed, stage, network, encoding)
            if processes.is_first():
                save_file(network.state_dict(), finished.with_suffix(".part"))
                finished.with_suffix(".part").replace(finished)
        processes.wait()
        # the next stage starts from the file in any case, so that an interruption changes nothing
        network.load_state_dict(load_file(finished))
    if processes.is_first():
        scorer = NetworkScorer(network, encoding, setting.stance_labels(), config.train.device)
        with _whole_folder(run.model) as folder:
            save_network(folder, network, tokenizer, _manifest(setting, run, scorer))
        run.note("parameters", sum(parameter.numel() for parameter in network.parameters()))


def _train_stage(
    setting: Setting, run: Run, seed: int, stage: StageConfig, network: PreTrainedModel, encoding: Any
) -> None:
    config, training = setting.config, setting.config.training(stage)
    number = config.stages.index(stage)
    folder = run.stage(number, stage.name)
    labelled = [
        (record, setting.corpora[name].stance_labels)
        for name in stage.sources
        for record in setting.corpora[name].splits["train"]
    ]
    records, allowed = [record for record, _ in labelled], [labels for _, labels in labelled]
    judged = setting.corpora[stage.sources[0]]
    title = f"{run.name} · seed {seed}" + (f" · {stage.name}" if len(config.stages) > 1 else "")
    arguments = trainer.training_arguments(
        training,
        folder,
        seed,
        primary=config.evaluation.primary,
        tracking=config.tracking,
        name=run.name_of_seed,
        project=config.name,
    )
    trainer.freeze(network, training.freeze)
    stage_trainer = trainer.StanceTrainer(
        model=network,
        args=arguments,
        train_dataset=features.training_set(
            records, allowed, setting.actors, encoding, _taught(setting, run, stage, records)
        ),
        eval_dataset=list(judged.splits["validation"]),
        data_collator=features.Collator(encoding),
        callbacks=trainer.callbacks(
            training,
            [
                TrainingProgress(title, config.evaluation.primary, setting.console),
                Recorder(run, number, stage.name, setting.watch),
            ],
        ),
        training=training,
        class_weights=features.balanced_weights(records) if training.class_weights == "balanced" else None,
        validate=lambda trained: validate(trained, encoding, judged, setting, training.eval_batch_size),
    )
    trainer.silence(stage_trainer)
    checkpoint = processes.from_first(trainer.last_checkpoint(folder) if processes.is_first() else None)
    stage_trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    network.requires_grad_(True)


def _taught(setting: Setting, run: Run, stage: StageConfig, records: Sequence[Record]) -> Scores | None:
    """What the stage's teachers say of its training sentences; None without teachers.

    Always read from a file beside the checkpoints, so that an interruption changes nothing.
    """
    config = setting.config
    folders, training = setting.teachers[stage.name], config.training(stage)
    file = run.stage(config.stages.index(stage), stage.name) / "teacher.npz"
    if folders and processes.is_first() and not file.exists():
        with _timed(run, "teachers"):
            scores = teach(
                folders,
                records,
                batch_size=training.eval_batch_size,
                device=training.device,
                console=setting.console,
            )
        write_scores(file, scores)
    processes.wait()
    return read_scores(file) if folders else None


def validate(
    network: PreTrainedModel, encoding: Any, judged: Corpus, setting: Setting, batch_size: int
) -> dict[str, float]:
    """Validation metrics of a network in training, by the road that inference takes: `{"eval_mean.F_avg": …}`."""
    records = judged.splits["validation"]
    scorer = NetworkScorer(network, encoding, judged.stance_labels, setting.config.train.device)
    classifier = StanceClassifier(scorer, Manifest(setting.config.model.architecture, setting.actors.as_list()))
    scores = classifier.score_records(records, batch_size=batch_size)
    options = EvaluationConfig(**{**setting.config.evaluation.model_dump(), **QUICK_LOOK})
    found = evaluate(records, scores, options, stance_labels=judged.stance_labels)
    figures = {**found["overall"], **{f"{slot}.F_avg": block["F_avg"] for slot, block in found["slots"].items()}}
    if found["primary"]["value"] is None:
        raise UserError(
            f"evaluation.primary: {options.primary} is undefined on the validation split of {judged.name}; "
            "allowed: a figure that something there is labelled for"
        )
    return {f"eval_{name}": figure["value"] for name, figure in figures.items() if figure["value"] is not None}


class Recorder(TrainerCallback):
    """Keeps the run's learning curve and its seconds on disk, epoch by epoch."""

    def __init__(self, run: Run, number: int, stage: str, watch: Watch | None = None) -> None:
        self.watch = watch
        self.run, self.file = run, run.folder / "log" / f"{number}-{stage}.json"
        self.since = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002, D102 - inherited
        self.since = time.monotonic()

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002, D102 - inherited
        if state.is_world_process_zero:
            write_json(self.file, {"history": state.log_history})
            now = time.monotonic()
            self.run.note_seconds("train", now - self.since)
            self.since = now
            if self.watch:
                figures = {key.removeprefix("eval_"): value for key, value in state.log_history[-1].items()}
                self.watch(state.epoch, figures)


def _manifest(setting: Setting, run: Run, scorer: Scorer) -> Manifest:
    """The trained model's manifest, with what validation tells: temperatures, confusion, risk curves, the language."""
    config, judged = setting.config, setting.final()
    plain = Manifest(
        architecture=config.model.architecture,
        actors=setting.actors.as_list() if _labels_actors(setting) else [],
        encoding=config.model.encoding_options() if config.model.architecture not in BASELINES else {},
        stance_labels=list(setting.stance_labels()),
        experiment={"name": config.name, "seed": int(run.seed), "data": run.provenance()["data"]},
    )
    records, labels = judged.splits["validation"], judged.stance_labels
    scores = StanceClassifier(scorer, plain).score_records(records)
    temperature = fit_temperature(records, scores, stance_labels=labels)
    tables, actors = stance_confusion(records, scores), plain.known_actors().ids
    learnt = {
        "temperature": temperature,
        "confusion": {actor: tables[actor] for actor in actors if actor in tables},
        "risk": risk_curves(records, scores.tempered(temperature), actors, stance_labels=labels),
        "languages": languages_of(record.text for record in records[:ENOUGH]),
    }
    return Manifest(**{**plain.as_dict(), **learnt})


def _labels_actors(setting: Setting) -> bool:
    return any(record.stance for corpus in setting.corpora.values() for record in corpus.splits["train"])


def _evaluate_run(setting: Setting, run: Run, seed: int) -> None:
    """Score the saved model on validation and test, and write everything that a run leaves; metrics.json last."""
    config, judged = setting.config, setting.final()
    classifier = StanceClassifier.from_pretrained(run.model, device=config.train.device)
    content: dict[str, Any] = {"format": FORMAT, "experiment": config.name, "seed": seed, "baselines": {}}
    baselines = setting.baselines or _baselines(setting)
    setting.baselines.update(baselines)  # they do not depend on the seed
    for split in EVALUATED:
        records = judged.splits[split]
        if not records:
            continue
        with _timed(run, f"score {split}"):
            raw = classifier.score_records(records, batch_size=config.train.eval_batch_size, tempered=False)
        scores = raw.tempered(classifier.manifest.temperature)
        content[split] = evaluate(records, scores, config.evaluation, stance_labels=judged.stance_labels)
        before = evaluate(records, raw, config.evaluation, stance_labels=judged.stance_labels)
        content[split]["calibration"] = before_and_after(before, content[split], classifier.manifest.temperature)
        content["baselines"][split] = {name: _beside(setting, each, records) for name, each in baselines.items()}
        write_predictions(run.predictions(split), records, scores, stance_labels=judged.stance_labels)
        write_plots(content[split], run.folder / "plots" / split)
    with _timed(run, "behaviour"):
        content["behaviour"] = behaviour(
            classifier,
            judged.splits[judged_split(content)],
            judged.pairs,
            setting.actors,
            config.evaluation,
            judged.stance_labels,
            config.train.eval_batch_size,
        )
    write_card(run, config, content)
    write_json(run.metrics_file, content)
    tracking.report(config, run, content)


def _baselines(setting: Setting) -> dict[str, StanceClassifier]:
    """The other baselines, trained on what the experiment is judged by; none where its records have different slots."""
    config, judged = setting.config, setting.final()
    items = [record_item(record, setting.actors) for records in judged.splits.values() for record in records]
    if len(rows_by_slots(items)) > 1:
        return {}
    found = {}
    for name in BASELINES:
        if name != config.model.architecture:
            fitted = fit_baseline(name, judged.splits["train"], setting.actors, config.model.tfidf)
            found[name] = StanceClassifier(fitted, Manifest(name, setting.actors.as_list()))
    return found


def _beside(setting: Setting, baseline: StanceClassifier, records: Sequence[Record]) -> dict[str, Any]:
    """What of a baseline stands beside a result: the overall figures and each slot's F_avg."""
    labels = setting.final().stance_labels
    metrics = evaluate(records, baseline.score_records(records), setting.config.evaluation, stance_labels=labels)
    slots = {slot: {"F_avg": block["F_avg"]} for slot, block in metrics["slots"].items()}
    return {"overall": metrics["overall"], "slots": slots}


@contextlib.contextmanager
def _timed(run: Run, part: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    run.note_seconds(part, time.monotonic() - start)


@contextlib.contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the wanted one, renamed into place when it is complete."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    part.replace(folder)
