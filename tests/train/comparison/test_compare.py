"""Experiments side by side: what the table says, and what does not compare."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from tristance.data.errors import UserError
from tristance.train.comparison import compare_experiments
from tristance.train.comparison.sheets import as_table, figures_sheet
from tristance.train.config import load_config
from tristance.train.runs import Run, locked

FIGURES = (
    *("mean.F_avg", "worst.F_avg", "joint_accuracy", "holder.macro_F1", "holder.end_to_end"),
    *("sentiment.macro_F1", "mean.ece"),
)
SLOTS = ("west", "russia", "north_korea")


def table(comparison):
    return as_table(figures_sheet(comparison))


BASE_RATE = load_config("base").train.learning_rate


@pytest.fixture
def run(tmp_path):
    """Make a finished run out of a config and the figures that it is to have."""

    def make(
        name,
        seed,
        value,
        *overrides,
        config="base",
        data="same",
        split="validation",
        source="corpus",
        seconds=10.0,
        **figures,
    ):
        made = Run(tmp_path / "runs" / name / str(seed))
        made.folder.mkdir(parents=True)
        resolved = load_config(config, [f"name={Path(name).name}", *overrides]).resolved() | {"seeds": [seed]}
        made.config_file.write_text(yaml.safe_dump(resolved))
        made.provenance_file.write_text(
            json.dumps({"data": {source: {split: {"rows": 9, "sha256": data * 8}}}, "seconds": {"train": seconds}})
        )
        made.metrics_file.write_text(
            json.dumps(
                {
                    "format": "tristance.run/1",
                    "experiment": name,
                    "seed": seed,
                    "baselines": {},
                    split: metrics(value, figures) | {"primary": {"name": resolved["evaluation"]["primary"]}},
                }
            )
        )
        return made

    return make


def metrics(value, figures):
    """As much of an evaluation as is compared."""

    def block(prefix):
        return {name: {"value": figures.get(f"{prefix}.{name}", value)} for name in ("F_avg", "macro_F1")}

    overall = {name: {"value": figures.get(name, value)} for name in FIGURES}
    return {
        "n": 9,
        "overall": overall,
        "slots": {slot: block(slot) for slot in SLOTS},
        "pooled": block("pooled"),
        "sentiment": block("sentiment"),
    }


def shown(comparison):
    """The rows of the printed table: name, without the star of the primary figure, to cells."""
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table(comparison))
    rows = [re.split(r"\s{2,}", line.strip()) for line in console.export_text().splitlines() if line.strip()]
    return {cells[0].removesuffix(" *"): cells[1:] for cells in rows}


def test_the_table_holds_what_differs_and_mean_and_sd_over_seeds(run):
    for seed, value in ((1, 0.5), (2, 0.6), (3, 0.7)):
        run("low", seed, value, seconds=10 * seed)
    run("high", 1, 0.8, "train.learning_rate=3e-5", "description=other words")
    folder = run("high", 2, 0.8, "train.learning_rate=3e-5", "description=other words").folder.parent.parent
    comparison = compare_experiments([folder / "low", folder / "high"])
    assert comparison.split == "validation"
    assert comparison.differs == ("train.learning_rate",)
    assert comparison.experiments[0].figures["mean.F_avg"] == (0.5, 0.6, 0.7)
    assert comparison.slots == SLOTS
    lines = shown(comparison)
    assert lines["Comparison on validation"] == []
    assert lines["train.learning_rate"] == [str(BASE_RATE), "3e-05"]
    assert lines["seeds"] == ["3", "2"]
    assert lines["mean.F_avg"] == ["60.0 ± 10.0", "80.0 ± 0.0"]
    assert lines["north_korea.F_avg"] == ["60.0 ± 10.0", "80.0 ± 0.0"]
    assert lines["training seconds"] == ["20 ± 10", "10 ± 0"]


def test_one_seed_has_no_deviation_and_a_missing_figure_a_dash(run):
    first = run("a", 1, 0.5)
    second = run("b", 1, 0.5, "model.dropout=0.2", **{"holder.macro_F1": None})
    lines = shown(compare_experiments([first.folder, second.folder]))
    assert lines["mean.F_avg"] == ["50.0", "50.0"]
    assert lines["holder.macro_F1"] == ["50.0", "–"]


def test_the_best_of_each_figure_stands_out(run):
    first, second = run("a", 1, 0.5), run("b", 1, 0.6, "model.dropout=0.2")
    drawn = table(compare_experiments([first.folder, second.folder]))
    rows = {
        name.removesuffix(" *"): cells
        for name, *cells in zip(*(list(column.cells) for column in drawn.columns), strict=True)
    }
    assert rows["mean.F_avg"] == ["50.0", "[bold]60.0[/bold]"]
    assert rows["mean.ece"] == ["[bold]50.0[/bold]", "60.0"], "of a calibration error, the lowest"


def test_a_run_given_twice_counts_once(run):
    first = run("a", 1, 0.5)
    comparison = compare_experiments([first.folder, first.folder.parent, first.folder])
    assert [len(experiment.runs) for experiment in comparison.experiments] == [1]


def test_different_data_do_not_compare(run):
    first, second = run("a", 1, 0.5), run("b", 1, 0.5, data="else")
    with pytest.raises(
        UserError,
        match=r"different validation data .*a/1: 'samesamesame'.*b/1: 'elseelseelse'.*; allowed: runs on the same rows",
    ):
        compare_experiments([first.folder, second.folder])


def test_data_that_a_run_was_not_judged_by_do_not_make_it_comparable(run):
    """Transfer reads NewsMTSC too, but its figures are of the corpus."""
    first = run("newsmtsc", 1, 0.5, config="newsmtsc", source="newsmtsc", data="news")
    second = run("transfer", 1, 0.5, config="transfer", source="corpus", data="corp")
    provenance = second.provenance()
    provenance["data"]["newsmtsc"] = first.provenance()["data"]["newsmtsc"]
    second.provenance_file.write_text(json.dumps(provenance))
    with pytest.raises(UserError, match="scored on different validation data"):
        compare_experiments([first.folder, second.folder])


def test_seeds_of_different_configs_have_no_mean(run):
    run("a", 1, 0.5)
    other = run("a", 2, 0.5, "train.learning_rate=3e-5")
    with pytest.raises(
        UserError, match=rf"a/2: its train.learning_rate is 3e-05, that of .*a/1 is {BASE_RATE}; allowed: one config"
    ):
        compare_experiments([other.folder.parent])


def test_the_test_split_is_shown_for_shipped_configs_alone(run):
    shipped, mine = run("base", 1, 0.5, split="test"), run("mine", 1, 0.5, split="test")
    assert shown(compare_experiments([shipped.folder], "test"))["mean.F_avg"] == ["50.0"]
    with pytest.raises(UserError, match=r"mine/1: its config is not a shipped one; allowed: --split validation"):
        compare_experiments([shipped.folder, mine.folder], "test")


def test_a_split_that_a_run_lacks(run):
    with pytest.raises(UserError, match="has no test results; allowed: --split validation"):
        compare_experiments([run("a", 1, 0.5).folder], "test")


def test_no_run_found(tmp_path, cli):
    with pytest.raises(UserError, match="nowhere: no such folder; allowed: a run"):
        compare_experiments([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="holds no finished run; allowed: a run"):
        compare_experiments([tmp_path])
    done = cli("compare", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert (
        done.err
        == f"error: {tmp_path}: holds no finished run; allowed: a run (runs/base/13) or an experiment (runs/base)\n"
    )


@pytest.mark.parametrize("damage", ["cut", "list"])
def test_broken_metrics_are_said(run, damage):
    broken = run("a", 1, 0.5)
    broken.metrics_file.write_text(broken.metrics_file.read_text()[:50] if damage == "cut" else "[]")
    with pytest.raises(UserError, match=r"metrics\.json: "):
        compare_experiments([broken.folder])


def test_predictions_from_elsewhere_compare_with_a_run(cli, trained, small_corpus, tmp_path):
    """Somebody's labels, without training or config, beside a run on the same rows."""
    rows = [
        {"id": row["id"], "stance": row["stance"], "holder": row["holder"], "sentiment": row["sentiment"]}
        for row in small_corpus.rows["validation"]
    ]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "runs" / "oracle" / "0"
    done = cli(
        "evaluate",
        "--predictions",
        tmp_path / "gold.jsonl",
        "--data",
        small_corpus.validation,
        "--as",
        "validation",
        "-o",
        out,
    )
    assert done.code == 0, done.err
    comparison = compare_experiments([trained.run.folder, out])
    lines = shown(comparison)
    assert lines["mean.F_avg"][1] == "100.0"
    assert lines["mean.F_avg"][0] != "100.0"
    assert cli("compare", trained.run.folder, out).code == 0


def test_a_trained_run_is_not_written_over(cli, trained, small_corpus):
    done = cli("evaluate", trained.run.folder, "--data", small_corpus.test, "-o", trained.run.folder)
    assert (done.code, "holds a run of training; allowed: another folder" in done.err) == (2, True)


@pytest.mark.parametrize("begun", ["stages", "config.yaml"])
def test_a_run_in_training_is_not_written_over(cli, trained, small_corpus, tmp_path, begun):
    """Before its model is there, it has a config, then checkpoints."""
    run = Run(tmp_path / "base" / "13")
    (run.folder / "stages" / "0-main").mkdir(parents=True) if begun == "stages" else run.folder.mkdir(parents=True)
    if begun == "config.yaml":
        run.config_file.write_text("name: base\nstages: [{name: main}]\n")
    done = cli("evaluate", trained.run.folder, "--data", small_corpus.test, "-o", run.folder)
    assert (done.code, done.err) == (2, f"error: {run.folder}: holds a run of training; allowed: another folder\n")
    assert not run.metrics_file.exists()


def test_a_folder_that_another_process_is_at_is_not_written(cli, trained, small_corpus, tmp_path):
    run = Run(tmp_path / "base" / "13")
    with locked(run):
        done = cli("evaluate", trained.run.folder, "--data", small_corpus.test, "-o", run.folder)
    assert (done.code, "another process is at this run" in done.err) == (2, True)
    assert not run.folder.exists()


@pytest.mark.parametrize("source", ["", "model", "predictions/test.parquet"])
def test_an_evaluation_of_an_unshipped_run_shows_no_test_either(
    cli, trained, small_corpus, tmp_path, monkeypatch, source
):
    monkeypatch.chdir(trained.run.folder)
    out = tmp_path / "runs" / "sly" / "0"
    model = ["--predictions", source] if source.startswith("predictions") else [Path(source)]
    done = cli("evaluate", *model, "--data", small_corpus.test, "-o", out)
    assert done.code == 0, done.err
    monkeypatch.chdir(tmp_path)  # the source is found from elsewhere too
    with pytest.raises(UserError, match=r"trained/13: its config is not a shipped one; allowed: --split validation"):
        compare_experiments([out], "test")


def test_default_evaluations_are_called_by_run_and_data(cli, trained, small_corpus):
    for split in ("test", "validation"):
        assert cli("evaluate", trained.run.folder, "--data", getattr(small_corpus, split), "--as", split).code == 0
        found = json.loads((trained.run.folder / "evaluations" / split / "metrics.json").read_text())
        assert (found["experiment"], found["seed"]) == (f"trained@{split}", 13)
    folder = trained.run.folder / "evaluations" / "validation"
    comparison = compare_experiments([trained.run.folder, folder])
    assert [each.name for each in comparison.experiments] == ["trained", "trained@validation"]
    assert comparison.differs == ("model", "data")
    with pytest.raises(UserError, match="trained/13: its config is not a shipped one"):
        compare_experiments([trained.run.folder / "evaluations" / "test"], "test")


def test_evaluations_of_one_run_are_not_averaged_and_those_of_its_seeds_are(run, tmp_path):
    made = {}
    for seed, stem, value in ((1, "a", 0.5), (2, "a", 0.7), (1, "b", 0.9)):
        made[seed, stem] = run(f"mine/{seed}/evaluations", stem, value)
        made[seed, stem].config_file.write_text(yaml.safe_dump({"name": f"mine@{stem}", "model": f"m{seed}"}))
    comparison = compare_experiments([each.folder for each in made.values()])
    assert {each.name: each.figures["mean.F_avg"] for each in comparison.experiments} == {
        "mine@a": (0.5, 0.7),
        "mine@b": (0.9,),
    }
    assert shown(comparison)["model"] == ["m1, m2", "m1"]


def test_a_trained_run_beside_predictions_alone_shows_no_key_of_its_config(run, tmp_path):
    first, other = run("a", 1, 0.5), run("llm", 0, 0.6)
    other.config_file.write_text(yaml.safe_dump({"name": "llm", "predictions": f"{Path.cwd()}/p.jsonl", "data": "[g]"}))
    comparison = compare_experiments([first.folder, other.folder])
    assert comparison.differs == ("predictions", "data")
    assert shown(comparison)["predictions"] == ["–", "p.jsonl"]
    assert shown(comparison)["data"] == ["–", "[g]"]
    second = run("b", 1, 0.5, "train.epochs=7")
    comparison = compare_experiments([first.folder, second.folder, other.folder])
    assert comparison.differs == ("train.epochs", "predictions", "data")
    assert shown(comparison)["train.epochs"][-1] == "–"


def test_the_primary_figure_has_a_row_and_a_star(run):
    first = run("a", 1, 0.5, "evaluation.primary=pooled.macro_F1")
    names = list(table(compare_experiments([first.folder])).columns[0].cells)
    assert "pooled.macro_F1 *" in names
    assert "mean.F_avg" in names
    assert names.index("holder.end_to_end") == names.index("holder.macro_F1") + 1
    names = list(table(compare_experiments([run("b", 1, 0.5).folder])).columns[0].cells)
    assert [name for name in names if name.endswith("*")] == ["mean.F_avg *"]


def test_a_model_evaluated_on_its_own_test_split_gives_its_own_figures(cli, trained, small_corpus):
    done = cli("evaluate", trained.run.folder, "--data", small_corpus.test)
    assert done.code == 0, done.err
    found = json.loads((trained.run.folder / "evaluations" / "test" / "metrics.json").read_text())
    expected = trained.run.metrics()["test"]
    assert found["test"]["overall"] == expected["overall"], "intervals too: it goes by the run's own options"
