"""A run from its config to its folder: what it leaves, that it repeats, survives a kill, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tristance.data.errors import UserError
from tristance.train.config import load_config
from tristance.train.experiment import run_experiment
from tristance.train.runs import Run, locked


def trained_with(overrides, *more):
    return run_experiment(load_config("base", [*overrides, *more])).runs[0]


def figures(run: Run) -> dict:
    """All that a run measured: everything but its name."""
    return {key: value for key, value in run.metrics().items() if key != "experiment"}


def test_the_run_folder_explains_itself(trained):
    run = trained.run
    assert run.folder.parts[-2:] == ("trained", "13")
    config = yaml.safe_load(run.config_file.read_text())
    assert config["train"]["learning_rate"] == 1e-3
    assert config["seeds"] == [13]
    provenance = run.provenance()
    assert provenance["data"]["corpus"]["train"]["rows"] == 96
    assert len(provenance["data"]["corpus"]["test"]["sha256"]) == 64
    assert provenance["versions"]["torch"].startswith("2.")
    assert provenance["hardware"]["processor"]
    assert provenance["seconds"]["train"] > 0
    metrics = run.metrics()
    assert set(metrics["test"]["slots"]) == {"west", "russia", "north_korea"}
    assert set(metrics["baselines"]["test"]) == {"majority", "lexicon", "tfidf"}
    assert metrics["validation"]["calibration"]["temperature"].keys() == {"stance", "holder", "sentiment"}
    card = (run.model / "README.md").read_text()
    assert "| north_korea |" in card
    assert "model-index" in card
    assert not (run.folder / "stages").exists(), "checkpoints go when they are of no more use"
    history = json.loads((run.folder / "log" / "0-main.json").read_text())["history"]
    assert sum("eval_mean.F_avg" in entry for entry in history) == 2


def test_predictions_are_kept_with_ids_and_probabilities(trained, small_corpus):
    from pyarrow import parquet

    table = parquet.read_table(trained.run.predictions("test")).to_pylist()
    assert len(table) == 48 * 3
    assert [row["id"] for row in table[::3]] == [row["id"] for row in small_corpus.rows["test"]]
    assert {row["slot"] for row in table} == {"west", "russia", "north_korea"}
    for row in table:
        assert sum(row[f"p_{label}"] for label in ("favor", "against", "neutral", "unrelated")) == pytest.approx(
            1, abs=1e-4
        )


def test_the_same_config_and_seed_give_the_same_figures_to_the_last_digit(trained, overrides):
    again = trained_with(overrides, "name=again", "train.learning_rate=1e-3")
    assert figures(again) == figures(trained.run)
    other = trained_with(overrides, "name=other", "train.learning_rate=1e-3", "seeds=[14]")
    assert figures(other)["validation"] != figures(trained.run)["validation"]


def test_a_finished_run_is_left_alone_unless_told(trained):
    before = trained.run.metrics_file.stat().st_mtime_ns
    run_experiment(trained.config)
    assert trained.run.metrics_file.stat().st_mtime_ns == before


def test_another_config_or_other_data_in_the_folder_is_refused_with_the_difference(overrides, small_corpus, tmp_path):
    fast = [*overrides, "model.architecture=majority"]
    trained_with(fast)
    with pytest.raises(UserError, match=r"train\.batch_size: 32 there, 8 now.*another name="):
        trained_with(fast, "train.batch_size=8")
    fewer = tmp_path / "train.jsonl"
    fewer.write_text("\n".join(small_corpus.train.read_text().splitlines()[:50]))
    with pytest.raises(UserError, match=r"corpus\.train\.rows: 96 there, 50 now"):
        trained_with(fast, f"data.sources.corpus.train={fewer}")
    run = run_experiment(load_config("base", [*fast, "train.batch_size=8"]), again=True).runs[0]
    assert run.config()["train"]["batch_size"] == 8


def test_two_processes_cannot_write_one_run_folder(overrides, tmp_path):
    with (
        locked(Run(tmp_path / "runs" / "base" / "13")),
        pytest.raises(UserError, match="another process is at this run"),
    ):
        trained_with(overrides, "model.architecture=majority")


def test_each_seed_has_a_folder(overrides, tmp_path):
    result = run_experiment(load_config("base", [*overrides, "model.architecture=tfidf", "seeds=[1,2]"]))
    assert [run.folder for run in result.runs] == [tmp_path / "runs" / "base" / "1", tmp_path / "runs" / "base" / "2"]
    assert all(run.finished for run in result.runs)


KILLED = """
import os, signal, sys
from tristance.train import experiment, trainer
from tristance.train.config import load_config
moment, *overrides = sys.argv[1:]
if moment == "after-checkpoint":
    class Killer(trainer.TrainerCallback):
        def on_step_begin(self, arguments, state, control, **_):
            if state.global_step == 4:
                os.kill(os.getpid(), signal.SIGKILL)
    plain = trainer.callbacks
    trainer.callbacks = lambda training, extra: [*plain(training, extra), Killer()]
else:
    experiment.write_card = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
experiment.run_experiment(load_config("base", overrides))
"""


@pytest.mark.parametrize("moment", ["after-checkpoint", "before-metrics"])
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(moment, trained, overrides, tmp_path):
    mine = [*overrides, "name=killed", "train.learning_rate=1e-3"]
    done = subprocess.run([sys.executable, "-c", KILLED, moment, *mine], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    folder = tmp_path / "runs" / "killed" / "13"
    assert not (folder / "metrics.json").exists()
    if moment == "after-checkpoint":
        checkpoint = next(folder.glob("stages/0-main/checkpoint-*"))
        broken = checkpoint.with_name("checkpoint-999")
        broken.mkdir()
        (broken / "trainer_state.json").write_text('{"epoch": ')  # a checkpoint that a kill cut short
    run = trained_with(mine)
    assert figures(run) == figures(trained.run)


@pytest.mark.slow
def test_a_run_killed_at_any_time_goes_on(trained, overrides, tmp_path):
    mine = [*overrides, "name=anytime", "train.learning_rate=1e-3"]
    command = [sys.executable, "-m", "tristance.train", "train", "base", *mine]
    kills = 0
    for patience in (6, 7, 8, 9, 10, 11):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert kills > 0
    assert figures(Run(tmp_path / "runs" / "anytime" / "13")) == figures(trained.run)


def test_stages_run_in_order_each_from_the_weights_before(overrides, tmp_path):
    still = "{name: second, sources: [corpus], train: {learning_rate: 1e-30, epochs: 1}}"
    stages = f"stages=[{{name: first, sources: [corpus], train: {{epochs: 1}}}}, {still}]"
    both = trained_with(overrides, "name=both", "train.learning_rate=1e-3", stages)
    assert {path.name for path in (both.folder / "log").iterdir()} == {"0-first.json", "1-second.json"}
    first = trained_with(
        overrides,
        "name=one",
        "train.learning_rate=1e-3",
        "stages=[{name: first, sources: [corpus], train: {epochs: 1}}]",
    )
    for slot in ("west", "russia", "north_korea"):  # the second stage hardly moves: it must stand where the first ended
        found, expected = (run.metrics()["validation"]["slots"][slot]["accuracy"]["value"] for run in (both, first))
        assert found == pytest.approx(expected, abs=0.03)


def test_partly_labelled_sets_train_too(overrides, small_corpus, tmp_path):
    rows = [json.loads(line) for line in small_corpus.train.read_text().splitlines()]
    for number, row in enumerate(rows):
        if number % 2:
            del row["stance"]["west"], row["holder"], row["sentiment"]
    partly = tmp_path / "partly.jsonl"
    partly.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = trained_with(overrides, f"data.sources.corpus.train={partly}", "train.epochs=1")
    assert run.metrics()["test"]["slots"]["west"]["n"] == 48


def test_a_fourth_actor_takes_an_entry_and_labelled_sentences(overrides, small_corpus, tmp_path):
    from tristance.data.actors import Actors
    from tristance.models import StanceClassifier

    actors = [*Actors.load().as_list(), {"id": "china", "name": "China", "aliases": ["Beijing", "Chinese"]}]
    (tmp_path / "actors.yaml").write_text(yaml.safe_dump(actors))
    paths = []
    for split in ("train", "validation", "test"):
        rows = [json.loads(line) for line in getattr(small_corpus, split).read_text().splitlines()]
        for number, row in enumerate(rows):
            row["stance"]["china"] = ("favor", "against", "unrelated")[number % 3]
            row["holder"]["china"] = ("west", "author", "none")[number % 3]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(f"data.sources.corpus.{split}={tmp_path / f'{split}.jsonl'}")
    run = trained_with(overrides, *paths, f"actors.file={tmp_path / 'actors.yaml'}", "train.epochs=1")
    assert set(run.metrics()["test"]["slots"]) == {"west", "russia", "north_korea", "china"}
    answer = StanceClassifier.from_pretrained(run.model).predict("Beijing praised Moscow.")
    assert set(answer.stance) == {"west", "russia", "north_korea", "china"}
    assert "china" in answer.stance["west"].holder_probabilities


def test_a_loss_that_is_no_number_is_told_in_a_line(overrides):
    with pytest.raises(UserError, match=r"the loss became nan at step \d+.*lower train.learning_rate"):
        trained_with(overrides, "train.learning_rate=1e30", "train.max_grad_norm=1e30", "name=nan")


@pytest.mark.parametrize(
    "more",
    [
        "train.early_stopping=1",
        "train.layer_decay=0.8",
        "train.freeze=2",
        "train.class_weights=balanced",
        "train.label_smoothing=0.1",
        "train.gradient_accumulation=2",
        "train.precision=bf16",
        "train.head_factor=5",
    ],
)
def test_options_of_training_work(more, overrides):
    run = trained_with(overrides, more, "train.epochs=1")
    assert run.metrics()["validation"]["overall"]["mean.F_avg"]["value"] is not None


def test_frozen_layers_do_not_move(overrides, tiny_backbone):
    from safetensors.torch import load_file

    run = trained_with(overrides, "train.freeze=2", "train.learning_rate=1e-2", "train.epochs=1")
    before, after = load_file(Path(tiny_backbone) / "model.safetensors"), load_file(run.model / "model.safetensors")
    moved = {
        name
        for name, value in before.items()
        if f"backbone.{name}" in after and not value.equal(after[f"backbone.{name}"])
    }
    assert any(name.startswith("encoder.layer.1.") for name in moved)
    assert not any(name.startswith(("embeddings.", "encoder.layer.0.")) for name in moved)
    with pytest.raises(UserError, match="at most 3"):
        trained_with(overrides, "train.freeze=9", "name=toofrozen")


def test_tensorboard_gets_the_metrics(overrides, tmp_path):
    pytest.importorskip("tensorboard")
    trained_with(overrides, "tracking=[tensorboard]", "train.epochs=1")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = next(tmp_path.rglob("events.out.tfevents.*")).parent
    events = EventAccumulator(str(folder)).Reload()
    assert any("mean.F_avg" in tag for tag in events.Tags()["scalars"])


@pytest.mark.slow
def test_two_processes_train_together(overrides, trained, tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29511",
        "-m",
        "tristance.train",
    ]
    done = subprocess.run(
        [*command, "train", "base", *overrides, "name=two", "train.batch_size=16", "train.learning_rate=1e-3"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "runs" / "two" / "13")
    found, alone = (each.metrics()["validation"]["overall"]["joint_accuracy"]["value"] for each in (run, trained.run))
    assert found == pytest.approx(alone, abs=0.15)
    assert len(list((tmp_path / "runs" / "two").glob("[0-9]*"))) == 1


def test_seconds_add_up_over_interruptions(tmp_path):
    run = Run(tmp_path)
    (tmp_path / "provenance.json").write_text('{"seconds": {"train": 2.0}}')
    start = time.monotonic()
    run.note_seconds("train", time.monotonic() - start + 1)
    assert run.provenance()["seconds"]["train"] == pytest.approx(3, abs=0.1)


def test_patience_goes_on_after_a_kill(overrides, tmp_path):
    mine = [*overrides, "train.learning_rate=1e-9", "train.epochs=4", "train.early_stopping=1"]
    undisturbed = trained_with(mine, "name=undisturbed")
    command = [sys.executable, "-c", KILLED, "after-checkpoint", *mine, "name=stopped"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert figures(trained_with(mine, "name=stopped")) == figures(undisturbed)
    curves = [
        json.loads((tmp_path / "runs" / name / "13/log/0-main.json").read_text()) for name in ("undisturbed", "stopped")
    ]
    epochs = [[entry["epoch"] for entry in curve["history"] if "eval_mean.F_avg" in entry] for curve in curves]
    assert epochs[0] == epochs[1] == [1, 2], "a rate that moves nothing is stopped at the second epoch"


def test_a_leak_between_sources_is_refused(overrides, small_corpus, tmp_path):
    leaked = tmp_path / "other.jsonl"
    rows = [
        json.loads(line) | {"id": f"other-{number}"}
        for number, line in enumerate(small_corpus.test.read_text().splitlines())
    ]
    leaked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = [f"data.sources.other.train={leaked}", "stages=[{name: main, sources: [corpus, other]}]"]
    with pytest.raises(UserError, match="train of other sources"):
        trained_with([word for word in overrides if not word.startswith("data.check")], *other)


def test_another_actors_file_is_another_run(overrides, tmp_path):
    from tristance.data.actors import Actors

    fast = [*overrides, "model.architecture=lexicon"]
    trained_with(fast)
    actors = Actors.load().as_list()
    actors[0]["aliases"].append("Occident")
    (tmp_path / "actors.yaml").write_text(yaml.safe_dump(actors))
    with pytest.raises(UserError, match=r"actors\.all\.sha256"):
        trained_with(fast, f"actors.file={tmp_path / 'actors.yaml'}")


def test_records_with_different_slots_train_and_are_scored_together(overrides, small_corpus, tmp_path):
    paths = []
    for split in ("train", "validation", "test"):
        rows = [json.loads(line) for line in getattr(small_corpus, split).read_text().splitlines()]
        for number, row in enumerate(rows):
            if number % 3 == 0:  # a target beside the actors that it is labelled for
                word = row["text"].split()[0]
                row["targets"] = [{"id": "target", "name": word, "start": 0, "end": len(word), "stance": "neutral"}]
                row["stance"] = {"west": row["stance"]["west"]}
                row["holder"] = {"west": row["holder"]["west"]}
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(f"data.sources.corpus.{split}={tmp_path / f'{split}.jsonl'}")
    slots = trained_with(overrides, *paths, "train.epochs=1").metrics()["test"]["slots"]
    assert {name: block["n"] for name, block in slots.items()} == {
        "west": 48,
        "russia": 32,
        "north_korea": 32,
        "target": 16,
    }
