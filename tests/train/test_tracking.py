"""Trackers get figures, config and artefacts under stable names, seeds below their experiment: in real stores."""

from __future__ import annotations

import pytest
import yaml

from tristance.train.config import load_config
from tristance.train.experiment import run_experiment

SHORT = ["train.epochs=1", "seeds=[1,2]", "evaluation.resamples=0"]
NAMES = ("test/west.F_avg", "test/north_korea.F_avg", "validation/mean.F_avg", "test/sentiment.macro_F1")


def run(overrides, *more):
    return run_experiment(load_config("base", [*overrides, *SHORT, *more]))


def test_mlflow(overrides, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    result = run(overrides, "tracking=[mlflow]", "name=tracked")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    mlflow.set_experiment("tracked")
    runs = {each.info.run_name: each for each in mlflow.search_runs(output_format="list")}
    assert set(runs) == {"tracked", "tracked-1", "tracked-2"}
    for seed, made in zip((1, 2), result.runs, strict=True):
        child = runs[f"tracked-{seed}"]
        assert child.data.tags["mlflow.parentRunId"] == runs["tracked"].info.run_id
        assert child.info.status == "FINISHED"
        overall = made.metrics()["test"]["overall"]
        assert child.data.metrics["test/mean.F_avg"] == pytest.approx(overall["mean.F_avg"]["value"])
        assert set(NAMES) <= set(child.data.metrics)
        assert "eval_mean.F_avg" in child.data.metrics, "the Trainer's own log stands in the same run"
        assert child.data.params["config.train.epochs"] == "1.0"
        files = {each.path for each in mlflow.MlflowClient().list_artifacts(child.info.run_id)}
        assert {"config.yaml", "metrics.json", "provenance.json", "README.md", "plots"} <= files
    assert [path.name for path in tmp_path.iterdir()] == ["runs"], "nothing beside the output"
    again = run(overrides, "tracking=[mlflow]", "name=tracked")
    assert again.runs == result.runs
    assert len(mlflow.search_runs(output_format="list")) == 3, "nothing twice"


def test_trackio(overrides, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio")
    result = run(overrides, "tracking=[trackio]", "name=tracked")
    from trackio.sqlite_storage import SQLiteStorage

    project = trackio.Api().runs("tracked")
    assert sorted(each.name for each in project) == ["tracked-1", "tracked-2"]
    for each in project:
        rows = SQLiteStorage.get_logs("tracked", each.name)
        assert set(NAMES) <= {name for row in rows for name in row}
        assert any("eval" in name for row in rows for name in row), "the Trainer's own log stands in the same run"
    assert len(result.runs) == 2


def test_tensorboard(overrides):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for made in run(overrides, "tracking=[tensorboard]", "name=tracked").runs:
        events = EventAccumulator(str(made.folder / "tensorboard")).Reload()
        assert set(NAMES) <= set(events.Tags()["scalars"])
        assert any("eval" in tag for tag in events.Tags()["scalars"])
        [written] = events.Tensors("config/text_summary")
        assert yaml.safe_load(written.tensor_proto.string_val[0].decode())["name"] == "tracked"
