"""`tristance compare` on real runs: tables in every format, flips, gates, and what does not compare."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time

import numpy as np
import pytest
import yaml

from tristance.data.errors import UserError
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.data.records import Record
from tristance.models.predictions import Scores
from tristance.train.comparison import compare_experiments, differences
from tristance.train.comparison.flips import counted, flips
from tristance.train.comparison.gate import check_gates
from tristance.train.comparison.sheets import LATEX, WRITERS, Sheet, as_latex, as_markdown
from tristance.train.config import load_config
from tristance.train.evaluation.metrics import evaluate
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.evaluation.predictions import write_predictions
from tristance.train.runs import Run

SLOTS = ("west", "russia", "north_korea")
ROWS = 240


@pytest.fixture(scope="module")
def gold():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, (ROWS, 3))
    records = []
    for row in range(ROWS):
        stance = {slot: STANCES[labels[row, number]] for number, slot in enumerate(SLOTS)}
        holder = {slot: "author" if label in ("favor", "against") else "none" for slot, label in stance.items()}
        fields = {"group": f"d{row // 4}", "phenomenon": ("negation", "irony")[row % 2]}
        text = f"Sentence {row} of <b>Moscow</b> & 50% | more_or less." if row == 0 else f"Sentence {row}."
        records.append(Record(str(row), text, stance, holder, SENTIMENTS[row % 3], (), fields))
    return records, labels


@pytest.fixture(scope="module")
def make(gold, tmp_path_factory):
    """A finished run whose stances are right with a probability."""
    folder = tmp_path_factory.mktemp("runs")
    records, labels = gold

    def run(name, seed, accuracy, *overrides, rows=ROWS, random=0):
        generator = np.random.default_rng([seed, random, int(accuracy * 100)])
        right = generator.random((ROWS, 3)) < accuracy
        told = np.where(right, labels, (labels + generator.integers(1, 4, (ROWS, 3))) % 4)
        stance = np.full((ROWS, 3, 4), 0.1, np.float32)
        np.put_along_axis(stance, told[..., None], generator.uniform(0.5, 0.7, (ROWS, 3, 1)), -1)
        stance /= stance.sum(-1, keepdims=True)
        holder = np.full((ROWS, 3, 5), 0.2, np.float32)
        tone = np.full((ROWS, 3), 1 / 3, np.float32)
        scores = Scores(SLOTS, stance[:rows], holder[:rows], tone[:rows])
        made = Run(folder / name / str(seed))
        made.folder.mkdir(parents=True)
        config = load_config("base", [f"name={name}", *overrides]).resolved() | {"seeds": [seed]}
        made.config_file.write_text(yaml.safe_dump(config))
        data = {"corpus": {"validation": {"rows": rows, "sha256": "same" * 8}}}
        made.provenance_file.write_text(json.dumps({"data": data, "seconds": {"train": 5.0, "score validation": 2.0}}))
        metrics = evaluate(records[:rows], scores, EvaluationConfig(resamples=20))
        behaviour = {"contrast_consistency": {"n": 3, "passed": {"value": accuracy, "low": None, "high": None}}}
        content = {
            "format": "tristance.run/1",
            "experiment": name,
            "seed": seed,
            "baselines": {},
            "behaviour": behaviour,
        }
        made.metrics_file.write_text(json.dumps(content | {"validation": metrics}))
        write_predictions(made.predictions("validation"), records[:rows], scores)
        return made

    return run


@pytest.fixture(scope="module")
def pair(make):
    """Two seeds of a weak experiment and two of a strong one."""
    for seed in (1, 2):
        weak, strong = make("weak", seed, 0.6), make("strong_one", seed, 0.85, "model.dropout=0.3")
    return weak.folder.parent, strong.folder.parent


def test_the_terminal_says_which_is_better_and_what_flipped(cli, pair):
    done = cli("compare", *pair)
    assert done.code == 0, done.err
    words = " ".join(done.out.split())
    for said in ("model.dropout", "Differences from weak", "better over all actors by", "Holm over", "60 clusters"):
        assert said in words
    assert "behaviour.contrast_consistency" in words
    assert "Flips from weak to strong_one" in words
    assert "better for the West by" in words


def test_every_format(cli, pair, tmp_path):
    found = {}
    for name in WRITERS:
        done = cli("compare", *pair, "--format", name, "-o", tmp_path / name)
        assert (done.code, done.out) == (0, ""), done.err
        found[name] = (tmp_path / name).read_text()
        assert cli("compare", *pair, "--format", name).out == found[name], "the terminal gets the same"
    rows = list(csv.DictReader(io.StringIO(found["csv"])))
    chosen = next(row for row in rows if row["experiment"] == "strong_one" and row["figure"] == "mean.F_avg")
    content = json.loads(found["json"])
    told = next(each for each in content["differences"] if each["figure"] == "mean.F_avg")
    assert float(chosen["difference"]) == pytest.approx(told["difference"])
    assert (chosen["seeds"], chosen["reference"], told["better"]) == ("2", "weak", True)
    assert content["experiments"]["weak"]["config"] == {"model.dropout": 0.1}
    assert content["flips"]["strong_one"]
    assert "| **" in found["markdown"]
    assert "\\toprule" in found["latex"]
    assert "strong\\_one" in found["latex"]
    assert found["html"].startswith("<!doctype html>")
    assert "<b>Moscow" not in found["html"]


def test_markdown_and_latex_escape():
    sheet = Sheet("50% & a_b", ("x|y",), (("a|b_c\nd",),), "#1")
    assert "a\\|b_c d" in as_markdown([sheet])
    assert "50\\% \\& a\\_b. \\#1" in as_latex([sheet])
    assert "±".translate(LATEX) == "$\\pm$"


def test_flips_are_what_one_gets_right_and_the_other_wrong(pair):
    paired = differences(compare_experiments(pair), options=EvaluationConfig(resamples=50))
    found = flips(paired.records, *paired.scored)
    assert all((flip.other == flip.gold) == flip.won and (flip.reference == flip.gold) != flip.won for flip in found)
    assert [flip.confidence for flip in found] == sorted((flip.confidence for flip in found), reverse=True)
    counts = counted(found)
    assert sum(won + lost for won, lost in counts.values()) == len(found)
    assert {kind for _, kind in counts} == {"negation", "irony"}
    assert sum(won for won, _ in counts.values()) > sum(lost for _, lost in counts.values())


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("mean.F_avg >= weak - 0.01", 0),
        ("weak:mean.F_avg >= strong_one", 1),
        ("strong_one:west.F_avg > 0.7", 0),
        ("mean.F_avg >= 0.99", 1),
        ("behaviour.contrast_consistency >= weak + .2", 0),
    ],
)
def test_gates_set_the_exit_code(cli, pair, gate, code):
    done = cli("compare", *pair, "--resamples", "0", "--gate", gate)
    assert done.code == code, done.err
    assert f"gate {'passed' if code == 0 else 'failed'}: {gate}" in done.err


def test_every_gate_must_hold(pair):
    outcomes = check_gates(["mean.F_avg >= 0.3", "mean.ece <= 0.0001"], compare_experiments(pair))
    assert [outcome.passed for outcome in outcomes] == [True, True, False, False]


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("west.F_avg", r"--gate: found 'west.F_avg'; allowed: \[EXPERIMENT:\]FIGURE"),
        ("west.F_avg >= nobody - 0.1", "no experiment 'nobody'; allowed: weak, strong_one"),
        ("mars.F_avg >= 0.1", "weak has no figure 'mars.F_avg'; allowed: mean.F_avg"),
    ],
)
def test_faulty_gates(pair, gate, said):
    with pytest.raises(UserError, match=said):
        check_gates([gate], compare_experiments(pair))


def test_another_reference(cli, pair):
    done = cli("compare", *pair, "--against", "strong_one", "--flips", "0")
    assert "Differences from strong_one" in done.out
    assert "worse over all actors by" in " ".join(done.out.split())
    assert "Most confident flips" not in done.out
    refused = cli("compare", *pair, "--against", "nobody")
    assert (refused.code, "no experiment 'nobody' to compare with; allowed: weak, strong_one" in refused.err) == (
        2,
        True,
    )


def test_a_pattern_finds_experiments(pair):
    found = compare_experiments([f"{pair[0].parent}/*"])
    assert {"weak", "strong_one"} <= {each.name for each in found.experiments}
    with pytest.raises(UserError, match="fits no finished run; allowed: a pattern such as"):
        compare_experiments([f"{pair[0].parent}/nothing*"])


def test_without_predictions_there_are_no_tests_but_figures(cli, pair, tmp_path):
    for folder in pair:
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("*.parquet"))
    done = cli("compare", tmp_path / "weak", tmp_path / "strong_one")
    assert done.code == 0
    assert "no predictions are kept of this run; allowed: runs with theirs" in done.err
    assert "Differences" not in done.out


def test_other_slots_are_refused(pair, make):
    odd = make("odd", 1, 0.5)
    content = odd.metrics()
    content["validation"]["stance_labels"] = ["favor", "against", "neutral"]
    odd.metrics_file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"odd/1: is about west, russia, north_korea with favor, against, neutral, the"):
        differences(compare_experiments([*pair, odd.folder]))


@pytest.mark.slow
def test_twenty_runs_of_3300_rows_are_compared_in_twenty_seconds(tmp_path, cli):
    """With 2,000 resamples, on two cores."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 4, (3300, 3))
    records = [
        Record(
            str(row),
            f"Sentence {row}.",
            dict(zip(SLOTS, (STANCES[label] for label in labels[row]), strict=True)),
            {},
            "neutral",
            (),
            {"group": f"d{row // 8}"},
        )
        for row in range(3300)
    ]
    for number in range(20):
        right = generator.random((3300, 3)) < 0.7 + number / 200
        told = np.where(right, labels, (labels + 1) % 4)
        stance = np.full((3300, 3, 4), 0.1, np.float32)
        np.put_along_axis(stance, told[..., None], 0.7, -1)
        scores = Scores(SLOTS, stance, np.full((3300, 3, 5), 0.2, np.float32), np.full((3300, 3), 1 / 3, np.float32))
        made = Run(tmp_path / f"e{number}" / "1")
        made.folder.mkdir(parents=True)
        made.config_file.write_text(yaml.safe_dump(load_config("base", [f"name=e{number}"]).resolved()))
        made.provenance_file.write_text(
            json.dumps({"data": {"corpus": {"validation": {"rows": 3300, "sha256": "s"}}}, "seconds": {}})
        )
        metrics = evaluate(records, scores, EvaluationConfig(resamples=0))
        content = {"format": "tristance.run/1", "experiment": f"e{number}", "seed": 1, "baselines": {}}
        made.metrics_file.write_text(json.dumps(content | {"validation": metrics}))
        write_predictions(made.predictions("validation"), records, scores)
    began = time.monotonic()
    done = cli("compare", f"{tmp_path}/e*", "--format", "json")
    seconds = time.monotonic() - began
    assert done.code == 0
    assert len(json.loads(done.out)["differences"]) == 19 * 11
    assert seconds < 20, seconds
