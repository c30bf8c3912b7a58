"""Sweeps: what they try, that nothing is lost or tried twice, and that the test split stays sealed until the end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml

from tristance.data.errors import UserError
from tristance.train.config import load_config
from tristance.train.sweep import load_sweep, open_study, shipped_sweeps


@pytest.fixture
def sweep_file(tmp_path):
    def write(**keys):
        content = {"name": "small", "config": "tfidf", "space": {"model.tfidf.C": [0.1, 1.0]}, "search": "grid"} | keys
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def trials(tmp_path, name="small"):
    return optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path}/runs/sweeps/{name}/study.db").trials


def test_a_grid_tries_every_point_once_and_tests_the_winner_alone(cli, sweep_file, overrides, tmp_path):
    path = sweep_file(space={"model.tfidf.C": [0.1, 10.0], "model.tfidf.max_ngram": [1, 2]}, winner_seeds=[1, 2])
    done = cli("sweep", path, *overrides)
    assert done.code == 0, done.err
    made = trials(tmp_path)
    assert sorted(tuple(trial.params.values()) for trial in made) == [(c, n) for c in (0.1, 10.0) for n in (1, 2)]
    assert {trial.state.name for trial in made} == {"COMPLETE"}
    for trial in made:
        metrics = json.loads((tmp_path / f"runs/sweeps/small/trial-{trial.number}/13/metrics.json").read_text())
        assert "test" not in metrics, "no trial sees it"
        assert metrics["validation"]["primary"]["value"] == trial.value
    best = max(made, key=lambda trial: trial.value)
    winner = tmp_path / "runs" / "small-winner"
    told = yaml.safe_load((winner / "winner.yaml").read_text())
    assert (told["trial"], told["trials"]) == (best.number, 4)
    for seed in ("1", "2"):
        assert "test" in json.loads((winner / seed / "metrics.json").read_text())
        assert (
            yaml.safe_load((winner / seed / "config.yaml").read_text())["model"]["tfidf"]["C"]
            == best.params["model.tfidf.C"]
        )
    assert "Comparison on test" in done.out
    page = (tmp_path / "runs/sweeps/small/report.html").read_text()
    assert page.count("<img") == 3, "history, importance, parallel coordinates"
    assert "model.tfidf.max_ngram" in page
    assert cli("compare", winner, "--split", "test").code == 0, "chosen by validation, it may be shown"
    again = cli("sweep", path, *overrides)
    assert again.code == 0
    assert "trial " not in again.err.replace("finished before", ""), "there is nothing left to try"
    assert len(trials(tmp_path)) == 4


def test_tpe_prunes_what_is_hopeless_and_survives_a_trial_that_fails(cli, sweep_file, overrides, tmp_path):
    space = {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "model.dropout": [0.0, 0.1]}
    done = cli(
        "sweep",
        sweep_file(config="base", search="tpe", trials=2, space=space),
        *overrides,
        "train.epochs=1",
        "--no-winner",
    )
    assert done.code == 0, done.err
    made = trials(tmp_path)
    assert len(made) == 2
    assert all(trial.intermediate_values for trial in made), "told after each epoch"
    assert {trial.state.name for trial in made} <= {"COMPLETE", "PRUNED"}
    assert not (tmp_path / "runs" / "small-winner").exists()
    more = cli(
        "sweep",
        sweep_file(config="base", search="tpe", trials=3, space=space),
        *overrides,
        "train.epochs=1",
        "--no-winner",
    )
    assert more.code == 0, "more trials of the same sweep are no other sweep"
    assert len(trials(tmp_path)) == 3


def test_a_trial_that_another_process_is_at_is_left_alone_and_a_dead_ones_goes_on(cli, sweep_file, overrides, tmp_path):
    path = sweep_file(search="tpe", trials=2, space={"model.tfidf.C": {"low": 0.1, "high": 10, "log": True}})
    study = open_study(load_sweep(path, overrides))
    left = study.ask()
    value = left.suggest_float("model.tfidf.C", 0.1, 10, log=True)  # and then its worker died
    done = cli("sweep", path, *overrides, "--no-winner")
    assert done.code == 0, done.err
    made = trials(tmp_path)
    assert [trial.state.name for trial in made] == ["COMPLETE", "COMPLETE"]
    assert made[0].params == {"model.tfidf.C": value}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"space": {"train.learning_rat": [1e-4]}},
            "train.learning_rat: unknown key; did you mean train.learning_rate?",
        ),
        ({"space": {}}, "space: found {}; allowed: Dictionary should have at least 1 item"),
        ({"space": {"model.dropout": {"low": 1, "high": 0}}}, "low at most high"),
        ({"space": {"model.dropout": {"low": 0, "high": 0.5}}}, "a grid needs lists, found a range for model.dropout"),
        ({"space": {"model.dropout": [2.0]}}, "model.dropout: found 2.0; allowed:"),
        ({"search": "random"}, "search: found 'random'"),
    ],
)
def test_a_faulty_sweep_is_refused_before_anything_runs(cli, sweep_file, overrides, tmp_path, keys, said):
    done = cli("sweep", sweep_file(**keys), *overrides)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not (tmp_path / "runs").exists()


def test_no_such_sweep(cli):
    done = cli("sweep", "nowhere.yaml")
    assert (done.code, "one of the shipped: baseline, rates" in done.err) == (2, True)


def test_another_sweep_of_that_name_is_refused(cli, sweep_file, overrides):
    open_study(load_sweep(sweep_file(), overrides))
    with pytest.raises(UserError, match=r"holds another sweep named 'small'; allowed: another name"):
        open_study(load_sweep(sweep_file(space={"model.tfidf.C": [0.5]}), overrides))


def test_shipped_sweeps_load():
    files = list(shipped_sweeps())
    assert {path.stem for path in files} >= {"rates", "baseline"}
    for path in files:
        sweep = load_sweep(path)
        assert sweep.config.description
        assert sweep.of_winner({}).evaluation == load_config(sweep.config.config).evaluation


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_ends_with_all_its_trials(sweep_file, overrides, tmp_path):
    """Eight trials by two workers, killed with SIGKILL, and again by one."""
    space = {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    path = sweep_file(config="base", search="tpe", trials=8, space=space, prune=False)
    command = [sys.executable, "-m", "tristance.train", "sweep", str(path), *overrides, "--no-winner"]
    process = subprocess.Popen([*command, "--workers", "2"], cwd=tmp_path, start_new_session=True)
    database = tmp_path / "runs/sweeps/small/study.db"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if database.exists() and sum(t.state.is_finished() for t in trials(tmp_path)) >= 3:
            break
        time.sleep(0.5)
    import os

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {trial.number: trial.params for trial in trials(tmp_path)}
    assert 3 <= len(before) < 8
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    made = trials(tmp_path)
    assert len(made) == 8
    assert {trial.state.name for trial in made} == {"COMPLETE"}
    for trial in made:
        if trial.number in before:
            assert trial.params == (before[trial.number] or trial.params), "the same trial went on"
    assert (
        len(re.findall(r"trial \d+ of 8", done.stderr))
        == 8
        - sum(
            Path(tmp_path / f"runs/sweeps/small/trial-{n}/13/metrics.json").exists() and n in before for n in range(3)
        )
        or len(re.findall(r"trial \d+ of 8", done.stderr)) <= 5
    )
