"""`tristance train`, `evaluate`, `compare`."""

from __future__ import annotations

import sys

import click

from tristance.train.cli import column_option


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--again", is_flag=True, help="Throw away what earlier runs of this name left, and train anew.")
def train(config: str, overrides: tuple[str, ...], again: bool) -> None:
    """Train and evaluate CONFIG, with OVERRIDES, a run for each seed.

    CONFIG is a YAML file or the name of a shipped one (`tristance config list`). Each run goes to
    OUTPUT/NAME/SEED/: resolved config, provenance, metrics.json, predictions, plots, and the model with its card. A
    killed run goes on where it stopped; a finished one is left alone.

    \b
      tristance train configs/base.yaml
      tristance train configs/base.yaml name=lr3e-5 train.learning_rate=3e-5 seeds=[13,42,87]
      torchrun --nproc-per-node 2 -m tristance.train train configs/base.yaml name=two
    """
    from tristance.train.config import load_config

    loaded = load_config(config, overrides)  # before torch, so that a mistake is told at once

    from tristance.train.cli import console
    from tristance.train.evaluation.report import render
    from tristance.train.experiment import run_experiment
    from tristance.train.reports import report_of

    result = run_experiment(loaded, again=again)
    screen = console()
    for run in result.runs:
        title, metrics, baselines = report_of(run)
        screen.print(render(metrics, title, baselines))
        screen.print(f"{run.folder}: model, metrics.json, predictions, plots", highlight=False)
    if len(result.runs) > 1:
        from tristance.train.compare import compare_experiments, table

        screen.print(table(compare_experiments([result.runs[0].folder.parent])))


@click.command()
@click.argument("model", required=False)
@click.option(
    "--data", "data_file", required=True, help="Labelled sentences: any file that `tristance data check` takes."
)
@click.option(
    "--format", "format_", default="auto", show_default=True, help="Format of the data, if its ending does not tell."
)
@column_option
@click.option("--predictions", help="Score these predictions (JSONL or parquet) instead of a model's.")
@click.option("--labels", help="Stance labels of the set, if not all four: favor,against,neutral.")
@click.option(
    "--as",
    "split",
    type=click.Choice(["validation", "test"]),
    default="test",
    show_default=True,
    help="What the data are.",
)
@click.option("-o", "--output", help="Run folder to write (runs/NAME/SEED), which `compare` takes.")
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1))
def evaluate(
    model: str | None,
    data_file: str,
    format_: str,
    columns: dict[str, str],
    predictions: str | None,
    labels: str | None,
    split: str,
    output: str | None,
    batch_size: int,
) -> None:
    """Score MODEL, or somebody's predictions, on labelled sentences.

    MODEL is a run (runs/base/13), a model folder, or a hub name. Prediction files have a line for each sentence, with
    the gold record's id: {"id": …, "stance": {"west": "against", …}, "holder": {…}, "sentiment": …}, and may hold
    probabilities, as `tristance predict` writes them.

    \b
      tristance evaluate runs/base/13 --data data/corpus/test.jsonl
      tristance evaluate --predictions llm.jsonl --data data/corpus/test.jsonl -o runs/llm/0
    """
    from tristance.data.errors import UserError
    from tristance.train.cli import console
    from tristance.train.evaluation.report import render
    from tristance.train.reports import evaluate_file

    if (model is None) == (predictions is None):
        raise UserError("evaluate needs a MODEL or --predictions, and not both")
    title, metrics, folder = evaluate_file(
        model=model,
        predictions=predictions,
        data=data_file,
        format_=format_,
        labels=tuple(labels.split(",")) if labels else None,
        split=split,
        output=output,
        columns=columns,
        batch_size=batch_size,
        progress=sys.stderr.isatty(),
    )
    screen = console()
    screen.print(render(metrics, title))
    if folder is not None:
        screen.print(f"{folder}: metrics.json, predictions, plots", highlight=False)


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True)
def compare(runs: tuple[str, ...], split: str) -> None:
    """Compare RUNS: run folders (runs/base/13) or experiments (runs/base).

    Shows the config keys in which they differ, and the mean ± standard deviation over seeds of the main figures. Choose
    by validation; the test split is shown only for shipped configs and for predictions from elsewhere.

    \b
      tristance compare runs/base runs/pair runs/target-blind
    """
    from tristance.train.cli import console
    from tristance.train.compare import compare_experiments, table

    console().print(table(compare_experiments(runs, split)))
