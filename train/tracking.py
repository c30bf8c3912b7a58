"""What trackers are told besides the Trainer's own log: figures by stable names, config, artefacts, what belongs where.

An experiment's seeds stand together: as children of one MLflow run, as runs of one trackio project, as folders of one
TensorBoard directory. Final figures are called as in metrics.json, under their split: `test/west.F_avg`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tristance.train.config import Config
from tristance.train.config_views import flatten
from tristance.train.evaluation import metrics as evaluations
from tristance.train.runs import Run

ARTEFACTS: Final = ("config.yaml", "provenance.json", "metrics.json", "model/README.md")
PARENT: Final = "tristance.experiment"
CHILD: Final = "tristance.run"
LONGEST: Final = 500
"""Characters of a value that MLflow takes."""


@contextlib.contextmanager
def followed(config: Config, run: Run) -> Iterator[None]:
    """Tell trackers where the Trainer's log of this run belongs; `report` sends the rest before this ends."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.folder / "tensorboard")
    if "mlflow" not in config.tracking:
        yield
        return
    import mlflow

    output = Path(config.output).resolve()
    local = f"sqlite:///{output / 'mlflow.db'}"
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", local))
    if mlflow.get_tracking_uri() == local and mlflow.get_experiment_by_name(config.name) is None:
        # else the artefacts of a database go to ./mlruns, wherever that is
        mlflow.create_experiment(config.name, artifact_location=(output / "mlflow").as_uri())
    mlflow.set_experiment(config.name)
    with (
        mlflow.start_run(run_id=_held(PARENT, config.name), run_name=config.name, tags={PARENT: config.name}),
        # an interrupted seed goes on in its own run; the Trainer's callback logs into whichever is active
        mlflow.start_run(
            run_id=_held(CHILD, run.name_of_seed),
            run_name=run.name_of_seed,
            nested=True,
            tags={CHILD: run.name_of_seed},
        ),
    ):
        yield


def _held(tag: str, value: str) -> str | None:
    """Id of the run of the current MLflow experiment that bears a tag; None if there is none."""
    import mlflow

    found = mlflow.search_runs(filter_string=f"tags.`{tag}` = '{value}'", output_format="list", max_results=1)
    return str(found[0].info.run_id) if found else None


def report(config: Config, run: Run, content: Mapping[str, Any]) -> None:
    """Send a finished run's figures, config and artefacts to every tracker of the config."""
    figures = {
        f"{split}/{name}": figure["value"]
        for split in ("validation", "test")
        if split in content
        for name, figure in evaluations.flatten(content[split]).items()
        if figure["value"] is not None
    }
    figures |= {f"behaviour/{name}": each["passed"]["value"] for name, each in content["behaviour"].items()}
    for tracker in config.tracking:
        _SENDERS[tracker](config, run, figures)


def _to_tensorboard(config: Config, run: Run, figures: Mapping[str, float]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.folder / "tensorboard")) as writer:
        for name, value in figures.items():
            writer.add_scalar(name, value)
        text = yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)
        writer.add_text("config", "\n".join(f"    {line}" for line in text.splitlines()))


def _to_mlflow(config: Config, run: Run, figures: Mapping[str, float]) -> None:
    import mlflow

    mlflow.log_metrics(dict(figures), synchronous=True)
    mlflow.log_params({f"config.{key}": str(value)[:LONGEST] for key, value in flatten(config.resolved()).items()})
    for name in ARTEFACTS:
        if (run.folder / name).is_file():
            mlflow.log_artifact(str(run.folder / name))
    mlflow.log_artifacts(str(run.folder / "plots"), "plots")


def _to_trackio(config: Config, run: Run, figures: Mapping[str, float]) -> None:
    import trackio

    trackio.init(
        project=config.name, name=run.name_of_seed, resume="allow", config=flatten(config.resolved()), embed=False
    )
    trackio.log(dict(figures))
    trackio.finish()


_SENDERS: Final = {"tensorboard": _to_tensorboard, "mlflow": _to_mlflow, "trackio": _to_trackio}
