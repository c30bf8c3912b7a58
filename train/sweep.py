"""Sweeps: many variants of one config, the best chosen by validation, then trained on all seeds and tested once.

The trials are an Optuna study in a database. A worker that dies leaves its trial running: the next worker on that
machine goes on with it, with the same number and values, from the checkpoint in its run folder.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import yaml
from filelock import FileLock, Timeout
from pydantic import Field, ValidationError, model_validator
from rich.console import Console

from tristance.data.errors import UserError, shorten
from tristance.data.files import writing
from tristance.data.sections import Section
from tristance.train.config import SHIPPED, Config, load_config
from tristance.train.protocols import PLAIN
from tristance.train.runs import WINNER, Run

if TYPE_CHECKING:
    import optuna

FOLDER: Final = SHIPPED / "sweeps"
DEFINITION: Final = "sweep"
"""Attribute of the study that holds what was swept, so that no other sweep goes on with it."""
HOST: Final = "host"
STARTUP: Final = 5
"""Trials before TPE and pruning begin to judge."""


class Range(Section):
    """Numbers from `low` to `high`."""

    low: float
    high: float
    log: bool = False
    """Whether they are drawn evenly on a logarithmic scale."""
    step: float | None = None
    """Distance of the numbers; null for any in between. Whole numbers stay whole if `low`, `high`, `step` are."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high or (self.log and (self.low <= 0 or self.step is not None)):
            raise ValueError("low at most high; with log both above 0, and no step")
        return self


class SweepConfig(Section):
    """A sweep file."""

    name: str = Field(pattern=r"^[\w.=+-]+$")
    """Names the study, and its folder OUTPUT/sweeps/NAME."""
    description: str = ""
    config: str = "base.yaml"
    """The config that is varied."""
    overrides: tuple[str, ...] = ()
    """What holds for all trials: `train.epochs=2`."""
    space: dict[str, Range | list[Any]] = Field(min_length=1)
    """By dotted key: a list of values, or a range `{low, high, log, step}`."""
    search: Literal["grid", "tpe"] = "tpe"
    """`grid`: every combination of lists. `tpe`: tree-structured Parzen estimator (Bergstra et al. 2011)."""
    trials: int = Field(20, ge=1)
    """Trials of `tpe`."""
    prune: bool = True
    """Stop a trial that is below the median of the earlier ones after the same epoch."""
    seed: int = 0
    """Seed of the search."""
    winner_seeds: tuple[int, ...] = (13, 42, 87)
    """Seeds on which the winner is trained in the end."""

    @model_validator(mode="after")
    def _fits_together(self) -> SweepConfig:
        ranges = [key for key, values in self.space.items() if isinstance(values, Range)]
        if self.search == "grid" and ranges:
            raise ValueError(f"a grid needs lists, found a range for {', '.join(ranges)}")
        if any(isinstance(values, list) and not values for values in self.space.values()):
            raise ValueError("a list of values may not be empty")
        return self

    def points(self) -> list[dict[str, Any]]:
        """Every combination of a grid."""
        lists = [values for values in self.space.values() if isinstance(values, list)]
        return [dict(zip(self.space, values, strict=True)) for values in itertools.product(*lists)]

    @property
    def limit(self) -> int:
        """How many trials there are to be."""
        return len(self.points()) if self.search == "grid" else self.trials


@dataclass(frozen=True)
class Sweep:
    """A sweep and where it lies."""

    config: SweepConfig
    overrides: tuple[str, ...]
    folder: Path
    storage: str

    def of_trial(self, number: int, values: dict[str, Any]) -> Config:
        """The config of a trial: one seed, and no test split."""
        base = load_config(self.config.config, [*self.config.overrides, *self.overrides])
        sealed = [f"data.sources.{name}.test=[]" for name in base.data.sources]
        own = [f"name=trial-{number}", f"output={self.folder}", f"seeds=[{base.seeds[0]}]"]
        return self._load([*own, *sealed], values)

    def of_winner(self, values: dict[str, Any]) -> Config:
        """The config of the best trial, on all seeds, with its test split."""
        seeds = ",".join(map(str, self.config.winner_seeds))
        return self._load([f"name={self.config.name}-winner", f"seeds=[{seeds}]"], values)

    def _load(self, own: Sequence[str], values: dict[str, Any]) -> Config:
        swept = [
            f"{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}" for key, value in values.items()
        ]
        return load_config(self.config.config, [*self.config.overrides, *self.overrides, *swept, *own])


def load_sweep(path: str | Path, overrides: Sequence[str] = (), storage: str | None = None) -> Sweep:
    """Read a sweep file, and make sure that its trials' configs can be loaded.

    Args:
        path: The file, or the name of a shipped one.
        overrides: Keys of the experiment's config that hold for all trials.
        storage: Address of the study's database (SQLAlchemy's form); a file in the sweep's folder if None.

    Raises:
        UserError: If the file or a trial's config is faulty.
    """
    file = Path(path)
    shipped = FOLDER / f"{file.stem}.yaml"
    file = file if file.is_file() or not shipped.is_file() else shipped
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        config = SweepConfig.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        known = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
        raise UserError(
            f"{path}: cannot be read as a sweep; allowed: a YAML file, or one of the shipped: {known}"
        ) from error
    except ValidationError as error:
        faults = ((".".join(map(str, item["loc"])) or "sweep", item["input"], item["msg"]) for item in error.errors())
        said = (f"{file}: {key}: found {shorten(found)}; allowed: {allowed}" for key, found, allowed in faults)
        raise UserError("\n".join(said)) from error
    base = load_config(config.config, [*config.overrides, *overrides])
    if base.protocol.name != PLAIN:
        raise UserError(f"{file}: protocol.name: found {base.protocol.name!r}; allowed: {PLAIN}, a trial is one run")
    folder = Path(base.output) / "sweeps" / config.name
    sweep = Sweep(config, tuple(overrides), folder, storage or f"sqlite:///{folder / 'study.db'}")
    for key, values in config.space.items():
        for value in values if isinstance(values, list) else [values.low, values.high]:
            sweep.of_trial(0, {key: _whole(values, value) if isinstance(values, Range) else value})
    return sweep


def open_study(sweep: Sweep) -> optuna.Study:
    """The sweep's study; a new one is made where there is none.

    Raises:
        UserError: If the database holds another sweep of that name, or Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("a sweep needs the package 'optuna': pip install 'tristance[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    config = sweep.config
    with FileLock(sweep.folder / ".study.lock"):
        study = optuna.create_study(
            study_name=config.name,
            storage=sweep.storage,
            load_if_exists=True,
            direction="maximize",
            # constant_liar: workers that run side by side do not all try the same
            sampler=optuna.samplers.TPESampler(seed=config.seed, n_startup_trials=STARTUP, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
            if config.prune
            else optuna.pruners.NopPruner(),
        )
        now: dict[str, Any] = {"sweep": config.model_dump(mode="json"), "overrides": list(sweep.overrides)}
        held = study.user_attrs.get(DEFINITION)
        if held is None:
            study.set_user_attr(DEFINITION, now)
            if config.search == "grid":
                for point in config.points():
                    study.enqueue_trial(point)
        elif {**held["sweep"], "trials": 0} != {**now["sweep"], "trials": 0} or held["overrides"] != now["overrides"]:
            raise UserError(f"{sweep.storage}: holds another sweep named {config.name!r}; allowed: another name")
    return study


def work(sweep: Sweep, console: Console, adopt: bool = False) -> None:
    """Run trials until there are enough: first those that a dead worker left, then new ones.

    Args:
        sweep: What to try.
        console: Where progress is shown.
        adopt: Go on with trials of other machines too (only if nobody works there).
    """
    study = open_study(sweep)
    while (found := _take(study, sweep, adopt)) is not None:
        trial, lock = found
        try:
            _try(study, sweep, trial, console)
        finally:
            lock.release()


def _take(study: optuna.Study, sweep: Sweep, adopt: bool) -> tuple[optuna.Trial, FileLock] | None:
    """The next trial and the lock that says somebody is at it; None if there is nothing left to begin."""
    import optuna

    with FileLock(sweep.folder / ".take.lock"):
        for left in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
            if not adopt and left.user_attrs.get(HOST, platform.node()) != platform.node():
                continue
            lock = _lock(sweep, left.number)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            # Optuna has no public way back into a running trial; its values come from the database
            return optuna.Trial(study, left._trial_id), lock
        begun = [trial for trial in study.get_trials(deepcopy=False) if trial.state != optuna.trial.TrialState.WAITING]
        if len(begun) >= sweep.config.limit:
            return None
        trial = study.ask()
        if trial.number >= sweep.config.limit:  # another machine, which this lock does not bind, was faster
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return None
        trial.set_user_attr(HOST, platform.node())
        lock = _lock(sweep, trial.number)
        lock.acquire()
        return trial, lock


def _lock(sweep: Sweep, number: int) -> FileLock:
    return FileLock(sweep.folder / f".trial-{number}.lock")


def _try(study: optuna.Study, sweep: Sweep, trial: optuna.Trial, console: Console) -> None:
    """Train one trial and tell the study what came of it."""
    import optuna

    from tristance.train.experiment import run_experiment

    values = {key: _suggest(trial, key, space) for key, space in sweep.config.space.items()}
    config = sweep.of_trial(trial.number, values)
    said = ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )
    console.print(f"trial {trial.number + 1} of {sweep.config.limit}: {said}", highlight=False)

    def watch(epoch: float, figures: dict[str, float]) -> None:
        step = round(epoch * 100)  # epochs may be parts of one, steps are whole
        trial.report(figures[config.evaluation.primary], step)
        if sweep.config.prune and trial.should_prune():
            raise optuna.TrialPruned

    try:
        [run] = run_experiment(config, console=console, watch=watch if len(config.stages) == 1 else None).runs
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        for stages in (sweep.folder / config.name).glob("*/stages"):
            shutil.rmtree(stages, ignore_errors=True)
        console.print("  pruned: below the median of the earlier trials", highlight=False)
    except UserError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        console.print(f"  failed: {error}", highlight=False, markup=False)
    else:
        trial.set_user_attr("seconds", run.provenance()["seconds"].get("train"))
        study.tell(trial, run.metrics()["validation"]["primary"]["value"])


def _suggest(trial: optuna.Trial, key: str, space: Range | list[Any]) -> Any:
    if isinstance(space, list):
        return trial.suggest_categorical(key, space)
    if _is_whole(space):
        return trial.suggest_int(key, int(space.low), int(space.high), step=int(space.step or 1), log=space.log)
    return trial.suggest_float(key, space.low, space.high, step=space.step, log=space.log)


def _is_whole(space: Range) -> bool:
    return space.step is not None and all(number == int(number) for number in (space.low, space.high, space.step))


def _whole(space: Range, value: float) -> float | int:
    return int(value) if _is_whole(space) else value


def run_workers(command: Sequence[str], workers: int) -> None:
    """Run the same command in processes of their own, each with its share of the cores.

    Raises:
        UserError: If one of them fails.
    """
    share = max(1, (os.cpu_count() or 1) // workers)
    environment = {**os.environ, "OMP_NUM_THREADS": str(share)}
    started = []
    try:
        for _ in range(workers):
            started.append(subprocess.Popen([sys.executable, "-m", "tristance.train", *command], env=environment))
            time.sleep(0.2)
        codes = [process.wait() for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
    if any(codes):
        raise UserError(f"{sum(map(bool, codes))} of {workers} workers failed; allowed: the same command goes on")


def finish(sweep: Sweep, console: Console, train_winner: bool = True) -> tuple[optuna.Study, tuple[Run, ...]]:
    """Write the sweep's report; train the best trial's config on all seeds and test it.

    Returns:
        The study, and the winner's runs; none without `train_winner`.

    Raises:
        UserError: If no trial has come to its end.
    """
    from tristance.train.experiment import run_experiment
    from tristance.train.sweep_report import write_sweep_report

    study = open_study(sweep)
    completed = [trial for trial in study.trials if trial.value is not None and trial.state.name == "COMPLETE"]
    if not completed:
        raise UserError(f"{sweep.folder}: no trial has come to its end; allowed: a sweep of which one does")
    best = study.best_trial
    write_sweep_report(study, sweep.folder / "report.html")
    if not train_winner:
        return study, ()
    config = sweep.of_winner(best.params)
    result = run_experiment(config, console=console)
    with writing(Path(config.output) / config.name / WINNER) as stream:
        told = {"study": sweep.storage, "trial": best.number, "validation": best.value, "values": best.params}
        yaml.safe_dump(told | {"trials": len(study.trials)}, stream, sort_keys=False)
    return study, result.runs


def shipped_sweeps() -> Iterator[Path]:
    """Every sweep that ships with tristance."""
    yield from sorted(FOLDER.glob("*.yaml"))
