"""Experiments side by side: which runs belong together, what differs in their configs, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tristance.data.errors import UserError, shorten
from tristance.train.config_views import difference, flatten, is_shipped
from tristance.train.evaluation import metrics as evaluations
from tristance.train.runs import NOT_THE_EXPERIMENT, WINNER, Run, find_runs

SOURCES: Final = ("predictions", "model", "data")
"""Keys of an evaluation's config: what was scored on what."""


@dataclass(frozen=True)
class Experiment:
    """The finished runs of one experiment."""

    name: str
    runs: tuple[Run, ...]
    trained: bool
    """Whether training made it; if not, it is an evaluation of a model or of a file of predictions."""
    config: Mapping[str, Any]
    """Dotted keys, without seeds and places; of an evaluation, its `SOURCES`."""
    figures: Mapping[str, tuple[float, ...]]
    """Values of each figure over the runs."""
    seconds: tuple[float, ...]
    """Of training."""
    speed: tuple[float, ...]
    """Sentences a second when the split was scored."""
    parameters: int | None
    """Weights of the network; None of a baseline, or where nobody wrote it down."""


@dataclass(frozen=True)
class Comparison:
    """Experiments on the same rows."""

    split: str
    experiments: tuple[Experiment, ...]
    differs: tuple[str, ...]
    """Dotted config keys in which the trained ones differ, and the sources of the others."""
    slots: tuple[str, ...]
    primary: tuple[str, ...]
    """Figures that the trained ones were chosen by, else all: one, unless their configs disagree."""


def compare_experiments(paths: Sequence[str | Path], split: str = "validation") -> Comparison:
    """Read runs and put those of one experiment together.

    Args:
        paths: Run folders, experiments' folders, or patterns of them.
        split: `validation`, or `test` for shipped configs and predictions from elsewhere.

    Raises:
        UserError: If a folder holds no run, a run lacks the split, or they were scored on different rows.
    """
    runs = {run.folder.resolve(): run for path in paths for run in find_runs(path)}
    by_name: dict[tuple[Path, str], list[Run]] = {}
    for run in runs.values():
        by_name.setdefault(_named(run), []).append(run)
    experiments = tuple(_experiment(group, split) for group in by_name.values())
    _require_same_rows(list(runs.values()), split)
    trained = [each for each in experiments if each.trained]
    every = dict.fromkeys(key for each in trained for key in each.config)
    differs = [key for key in every if len({repr(each.config.get(key)) for each in trained}) > 1]
    differs += [key for key in SOURCES if any(key in each.config for each in experiments if not each.trained)]
    chosen = [run for each in trained or experiments for run in each.runs]
    primary = dict.fromkeys(run.metrics()[split]["primary"]["name"] for run in chosen)
    slots = tuple(dict.fromkeys(slot for run in runs.values() for slot in run.metrics()[split]["slots"]))
    return Comparison(split, experiments, tuple(differs), slots, tuple(primary))


def _named(run: Run) -> tuple[Path, str]:
    """Where an experiment's seeds lie, and its name; an evaluation that lies in its run belongs to the run's seeds."""
    folder, config = run.folder.resolve().parent, run.config()
    if "stages" in config:
        return folder, run.experiment
    return folder.parent.parent if folder.name == "evaluations" else folder, config.get("name", run.experiment)


def _experiment(runs: Sequence[Run], split: str) -> Experiment:
    values: dict[str, list[float]] = {}
    taken: list[Mapping[str, float]] = []
    speed: list[float] = []
    trained = "stages" in runs[0].config()
    if trained:
        _require_same_config(runs)
    for run in runs:
        content = run.metrics()
        if split not in content:
            found = ", ".join(name for name in ("validation", "test") if name in content)
            raise UserError(f"{run.folder}: has no {split} results; allowed: --split {found}")
        behind = _trained_behind(run)
        if split == "test" and behind and not _may_show_test(behind):
            raise UserError(
                f"{behind.folder}: its config is not a shipped one; "
                "allowed: --split validation (choose by validation, report test once)"
            )
        tested = {f"behaviour.{name}": each["passed"] for name, each in content.get("behaviour", {}).items()}
        for name, figure in {**evaluations.flatten(content[split]), **tested}.items():
            if figure["value"] is not None:
                values.setdefault(name, []).append(figure["value"])
        taken.append(run.provenance()["seconds"])
        if scoring := taken[-1].get(f"score {split}"):
            speed.append(content[split]["n"] / scoring)
    return Experiment(
        _named(runs[0])[1],
        tuple(runs),
        trained,
        flatten(_experiment_keys(runs[0])) if trained else _sources(runs),
        {name: tuple(found) for name, found in values.items()},
        tuple(seconds["train"] for seconds in taken if seconds.get("train") is not None),
        tuple(speed),
        runs[0].provenance().get("parameters"),
    )


def _trained_behind(run: Run) -> Run | None:
    """The trained run whose figures these are: itself or, of an evaluation, that of its model or predictions."""
    config = run.config()
    if "stages" in config:
        return run
    places = [run.folder.resolve().parent.parent]  # RUN/evaluations/x, wherever RUN has moved to
    if source := config.get("model") or config.get("predictions"):
        places += [Path(source), *Path(source).parents[:2]]  # RUN, RUN/model, RUN/predictions/test.parquet
    found = (Run(place) for place in places if Run(place).config_file.is_file())
    return next((each for each in found if "stages" in each.config()), None)


def _may_show_test(run: Run) -> bool:
    """Whether its config was settled before: it is shipped, or a sweep chose it by validation."""
    return is_shipped(run.config()) or (run.folder.parent / WINNER).is_file()


def _sources(runs: Sequence[Run]) -> dict[str, Any]:
    """What was scored on what, over all runs of an evaluation."""
    configs = [run.config() for run in runs]
    found = {key: list(dict.fromkeys(each[key] for each in configs if key in each)) for key in SOURCES}
    return {key: values for key, values in found.items() if values}


def _require_same_rows(runs: Sequence[Run], split: str) -> None:
    """Figures of different sentences do not compare."""
    hashes = {run.folder: {entry[split]["sha256"] for entry in _judged_by(run) if split in entry} for run in runs}
    shared = set.intersection(*hashes.values())
    if not shared:
        said = "; ".join(
            f"{folder}: {shorten(sorted(found)[0][:12] if found else None)}"
            for folder, found in list(hashes.items())[:4]
        )
        raise UserError(f"scored on different {split} data ({said}); allowed: runs on the same rows")


def _judged_by(run: Run) -> list[Mapping[str, Any]]:
    """The data that a run's figures are of: the first source of its last stage; without training, all there are."""
    data, stages = run.provenance()["data"], run.config().get("stages")
    return [data[stages[-1]["sources"][0]]] if stages else list(data.values())


def _require_same_config(runs: Sequence[Run]) -> None:
    """Seeds of different experiments have no mean."""
    first = _experiment_keys(runs[0])
    for run in runs[1:]:
        differs = difference(first, _experiment_keys(run))
        if differs:
            key, (old, new) = next(iter(differs.items()))
            raise UserError(
                f"{run.folder}: its {key} is {shorten(new)}, that of {runs[0].folder} is {shorten(old)}; "
                "allowed: one config for all seeds of an experiment"
            )


def _experiment_keys(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.config().items() if key not in NOT_THE_EXPERIMENT}
