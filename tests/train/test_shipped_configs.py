"""Every shipped config trains, for real but small: it builds its data and model, and ends with metrics and a model."""

from __future__ import annotations

import json

import pytest

from tests.conftest import FIXTURES
from tristance.models import StanceClassifier
from tristance.train.config import SHIPPED, load_config, shipped_configs
from tristance.train.experiment import run_experiment

CONFIGS = shipped_configs()
TARGETS = {"newsmtsc": ["target"]}
"""Experiments that are judged by targets; all others by the actors."""


def test_there_are_configs_to_test():
    """A glob that finds nothing would pass every test below."""
    assert len(CONFIGS) >= 15
    assert {path.stem for path in CONFIGS} >= {
        "base",
        "pair",
        "target-blind",
        "tfidf",
        "majority",
        "lexicon",
        "quick",
        "small",
        "newsmtsc",
        "transfer",
    }
    assert len({load_config(path).name for path in CONFIGS}) == len(CONFIGS), (
        "names differ, or runs would share a folder"
    )
    for path in CONFIGS:
        assert load_config(path).description, path
        assert path == SHIPPED / "base.yaml" or path.read_text().startswith("#"), f"{path} says why it is there"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(SHIPPED).with_suffix("")))
def test_a_shipped_config_trains(path, overrides, trained, monkeypatch, tmp_path):
    monkeypatch.setenv("TRISTANCE_EXTERNAL", str(FIXTURES))
    plain = load_config(path)
    small = ["train.epochs=1", "train.batch_size=16", "train.freeze=1", "evaluation.resamples=10"]
    if plain.train.teacher.models:  # whatever must be trained first, a finished run stands for it
        small += [f"train.teacher.models=[{trained.run.folder}]", f"model.backbone={trained.model}", "model.layers=[1]"]
    config = load_config(path, [*overrides, *small])
    [run] = run_experiment(config).runs
    assert run.folder == tmp_path / "runs" / plain.name / "13"

    metrics = json.loads(run.metrics_file.read_text())
    slots = TARGETS.get(plain.name, ["west", "russia", "north_korea"])
    for split in ("validation", "test") if plain.data.sources[plain.stages[-1].sources[0]].test else ("validation",):
        assert list(metrics[split]["slots"]) == slots
        assert metrics[split]["stance_labels"] == list(plain.data.sources[plain.stages[-1].sources[0]].stance_labels)
        assert metrics[split]["primary"]["name"] == plain.evaluation.primary
        assert 0 <= metrics[split]["overall"][plain.evaluation.primary]["value"] <= 1
        assert set(metrics["baselines"][split]) == {"majority", "lexicon", "tfidf"} - {plain.model.architecture}
        assert run.predictions(split).is_file()
    assert run.config()["stages"] == config.resolved()["stages"]
    assert set(run.provenance()["data"]) == {"actors", *(source for stage in plain.stages for source in stage.sources)}

    classifier = StanceClassifier.from_pretrained(run.model, device="cpu")
    assert classifier.manifest.architecture == plain.model.architecture
    if plain.name not in TARGETS:
        assert list(classifier.predict("Moscow thanked Brussels.").stance) == slots
    assert (run.model / "README.md").read_text().startswith("---\n")
    assert not (run.folder / "stages").exists(), "checkpoints are gone when all is done"
