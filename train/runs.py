"""A run's folder: `<output>/<experiment>/<seed>/`. It explains itself, belongs to one process, and survives a kill."""

from __future__ import annotations

import contextlib
import glob
import json
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import yaml
from filelock import FileLock, Timeout

from tristance.data.errors import UserError, shorten
from tristance.data.files import writing
from tristance.train.config import Config
from tristance.train.config_views import difference

FORMAT: Final = "tristance.run/1"
"""Of a run's metrics.json: see evaluation/METRICS.md."""
NOT_THE_EXPERIMENT: Final = ("name", "description", "seeds", "output", "tracking")
"""Keys that change where a run lies and who watches it, not what comes out."""
WINNER: Final = "winner.yaml"
"""Beside the runs of a sweep's winner: how it was chosen."""
PACKAGES: Final = (
    "tristance",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "scikit-learn",
    "numpy",
)


@dataclass(frozen=True)
class Run:
    """One seed of one experiment, and where its files are."""

    folder: Path

    @property
    def experiment(self) -> str:
        """Name of the experiment, or of its part: that of the folder which holds the seeds."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """Name of the experiment and, where a protocol parts the data, of the part: `kfold/fold-1`."""
        named = str(self.config()["name"])
        return named if self.experiment == named else f"{named}/{self.experiment}"

    @property
    def seed(self) -> str:
        """The seed, which names the folder."""
        return self.folder.name

    @property
    def name_of_seed(self) -> str:
        """Name with the seed, as trackers show it: `base-13`, `kfold-fold-1-13`."""
        return f"{self.name}-{self.seed}".replace("/", "-")

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.folder / "config.yaml"

    @property
    def metrics_file(self) -> Path:
        """The figures; written last, so that a run with this file is finished."""
        return self.folder / "metrics.json"

    @property
    def provenance_file(self) -> Path:
        """Data fingerprint, versions, commit, hardware, seconds."""
        return self.folder / "provenance.json"

    @property
    def model(self) -> Path:
        """The model folder, which `StanceClassifier.from_pretrained` takes."""
        return self.folder / "model"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.metrics_file.is_file()

    def predictions(self, split: str) -> Path:
        """The predictions of a split, a row a sentence and actor."""
        return self.folder / "predictions" / f"{split}.parquet"

    def stage(self, number: int, name: str) -> Path:
        """Checkpoints of a stage, while it trains."""
        return self.folder / "stages" / f"{number}-{name}"

    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json.

        Raises:
            UserError: If the run is not finished, or the file is broken.
        """
        return read_json(self.metrics_file, "the metrics of a finished run")

    def config(self) -> dict[str, Any]:
        """The resolved config, as plain keys and values."""
        try:
            content = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{self.config_file}: cannot be read: {error}") from error
        return content if isinstance(content, dict) else {}

    def provenance(self) -> dict[str, Any]:
        """The content of provenance.json."""
        return read_json(self.provenance_file, "the provenance of a run")

    def begin(self, config: Config, fingerprints: Mapping[str, Any], models: Mapping[str, str], *, again: bool) -> None:
        """Make the folder, or make sure that what it holds is this very run.

        Args:
            config: The experiment.
            fingerprints: Rows and hash of every split of every source.
            models: Hash of every trained model that it draws on.
            again: Throw away what is there.

        Raises:
            UserError: If the folder holds another config, other data or other models.
        """
        if again:
            shutil.rmtree(self.folder, ignore_errors=True)
        content = config.resolved() | {"seeds": [int(self.seed)]}
        if self.config_file.exists() and self._holds_work():
            self._refuse_other(content, fingerprints, models)
            return
        inputs = {"data": fingerprints, "models": models}
        write_json(self.provenance_file, {**inputs, **environment(), "seconds": {}})
        with writing(self.config_file) as stream:
            yaml.safe_dump(content, stream, sort_keys=False, allow_unicode=True)

    def _holds_work(self) -> bool:
        """Whether anything would be lost: a run that failed before its first checkpoint holds nothing."""
        return self.finished or self.model.exists() or any(self.folder.glob("stages/*/*"))

    def _refuse_other(
        self, content: Mapping[str, Any], fingerprints: Mapping[str, Any], models: Mapping[str, str]
    ) -> None:
        mine = {key: value for key, value in content.items() if key not in NOT_THE_EXPERIMENT}
        theirs = {key: value for key, value in self.config().items() if key not in NOT_THE_EXPERIMENT}
        before = self.provenance()
        differs = (
            difference(theirs, mine)
            | difference(before["data"], fingerprints)
            | difference({"models": before.get("models", {})}, {"models": models})
        )
        if differs:
            said = "; ".join(
                f"{key}: {shorten(old)} there, {shorten(new)} now" for key, (old, new) in list(differs.items())[:4]
            )
            raise UserError(
                f"{self.folder}: holds another run ({said}); allowed: another name=…, or --again to throw it away"
            )

    def note(self, key: str, value: Any) -> None:
        """Keep something about the run in its provenance."""
        write_json(self.provenance_file, self.provenance() | {key: value})

    def note_seconds(self, part: str, seconds: float) -> None:
        """Add seconds to what a part of the run has taken, over all its interruptions."""
        content = self.provenance()
        content["seconds"][part] = round(content["seconds"].get(part, 0.0) + seconds, 2)
        write_json(self.provenance_file, content)


def judged_split(content: Mapping[str, Any]) -> str:
    """The split that a run is judged by, from its metrics: `test` if there is one, else `validation`."""
    return "test" if "test" in content else "validation"


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep every other process out of a run's folder; a killed process lets go by itself.

    Raises:
        UserError: If another process is at it.
    """
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.folder.parent / f".{run.seed}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{run.folder}: another process is at this run; allowed: wait for it, or another name=…"
        ) from error
    try:
        yield
    finally:
        lock.release()


def find_runs(path: str | Path) -> list[Run]:
    """The finished runs of a run folder, of an experiment's folder, or of all folders that a pattern fits.

    Raises:
        UserError: If there is none.
    """
    folder = Path(path)
    if glob.has_magic(str(path)) and not folder.exists():
        found = [Path(each) for each in sorted(glob.glob(str(path)))]  # noqa: PTH207 - Path.glob takes no absolute pattern
        runs = [run for each in found if each.is_dir() and _holds_runs(each) for run in find_runs(each)]
        if not runs:
            raise UserError(f"{path}: fits no finished run; allowed: a pattern such as 'runs/lr*'")
        return runs
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; allowed: a run (runs/base/13) or an experiment (runs/base)")
    runs = (
        [Run(folder)]
        if Run(folder).finished
        else [Run(each) for each in sorted(folder.iterdir()) if Run(each).finished]
    )
    if not runs:
        raise UserError(f"{folder}: holds no finished run; allowed: a run (runs/base/13) or an experiment (runs/base)")
    return runs


def _holds_runs(folder: Path) -> bool:
    return Run(folder).finished or any(Run(each).finished for each in folder.iterdir())


def environment() -> dict[str, Any]:
    """Versions, git commit and hardware of this process."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {"versions": versions, "commit": _commit(), "hardware": _hardware()}


def _commit() -> str | None:
    """Commit of the source tree, with `+` if it has changes; None for an installed package."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _hardware() -> dict[str, Any]:
    import torch

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {"processor": processor, "threads": torch.get_num_threads(), "gpus": gpus, "system": platform.platform()}


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON file.

    Raises:
        UserError: If it is missing or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; allowed: {what}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: found {shorten(content)}; allowed: {what}")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with writing(path) as stream:
        json.dump(content, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
