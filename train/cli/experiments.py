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
      tristance train configs/base.yaml name=kfold protocol.name=grouped-kfold
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
    if list(result.parts) != [""]:
        from tristance.train.comparison.sheets import as_table
        from tristance.train.protocol_table import summarise

        screen.print(as_table(summarise(loaded, result.parts)))
        folder = result.runs[0].folder.parent.parent
        screen.print(f"{folder}: a folder a part; protocol.json, protocol.md, protocol.svg", highlight=False)
        return
    for run in result.runs:
        title, metrics, baselines, behaviour = report_of(run)
        screen.print(render(metrics, title, baselines, behaviour))
        screen.print(f"{run.folder}: model, metrics.json, predictions, plots", highlight=False)
    if len(result.runs) > 1:
        from tristance.train.comparison import compare_experiments
        from tristance.train.comparison.sheets import as_table, figures_sheet

        screen.print(as_table(figures_sheet(compare_experiments([result.runs[0].folder.parent]))))


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
@click.option("--against", help="Experiment that all others are compared with.  [default: the first]")
@click.option("--flips", default=10, show_default=True, type=click.IntRange(min=0), help="Sentences shown a pair.")
@click.option(
    "--resamples", default=2000, show_default=True, type=click.IntRange(min=0), help="Bootstrap resamples; 0: no tests."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "markdown", "csv", "latex", "json", "html"]),
    default="table",
    show_default=True,
    help="What is written.",
)
@click.option("-o", "--output", help="File to write, instead of the terminal.")
@click.option(
    "--gate", "gates", multiple=True, metavar="CONDITION", help="Exit with 1 where it fails; may be repeated."
)
def compare(
    runs: tuple[str, ...],
    split: str,
    against: str | None,
    flips: int,
    resamples: int,
    format_: str,
    output: str | None,
    gates: tuple[str, ...],
) -> int:
    """Compare RUNS: run folders (runs/base/13), experiments (runs/base), or patterns ('runs/lr*').

    First what differs in their configs, and the main figures as mean ± standard deviation over seeds. Then, on the same
    sentences, every difference from the first experiment: its interval by paired bootstrap over documents, a test,
    Holm's correction over all of them, what it comes to in words, and the sentences that flipped. Choose by
    validation; the test split is shown only for shipped configs and for predictions from elsewhere.

    \b
      tristance compare runs/base runs/pair runs/target-blind
      tristance compare 'runs/lr*' --against lr3e-5 --format markdown -o lr.md
      tristance compare runs/base runs/new --gate "west.F_avg >= base - 0.01" --gate "mean.ece <= 0.05"
    """
    from tristance.data.errors import UserError
    from tristance.data.files import writing
    from tristance.train.cli import console
    from tristance.train.comparison import compare_experiments, differences
    from tristance.train.comparison.gate import check_gates
    from tristance.train.comparison.sheets import WRITERS, as_table, sheets
    from tristance.train.evaluation.options import EvaluationConfig

    comparison = compare_experiments(runs, split)
    outcomes = check_gates(gates, comparison)
    paired = None
    if resamples and len(comparison.experiments) > 1:
        try:
            paired = differences(comparison, against, EvaluationConfig(resamples=resamples))
        except UserError as error:
            if against:
                raise
            click.echo(f"no tests: {error}", err=True)
    found = sheets(comparison, paired, flips)
    if format_ == "table" and not output:
        screen = console()
        for sheet in found:
            screen.print(as_table(sheet))
    else:
        text = WRITERS["markdown" if format_ == "table" else format_](found, comparison, paired)
        if output:
            with writing(output) as stream:
                stream.write(text)
        else:
            click.echo(text, nl=False)
    for outcome in outcomes:
        click.echo(str(outcome), err=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True)
@click.option("--against", help="Experiment that all others are compared with.  [default: the first]")
@click.option("-o", "--output", default="report.html", show_default=True, help="File to write.")
def report(runs: tuple[str, ...], split: str, against: str | None, output: str) -> None:
    """Write RUNS (as for `compare`) as one HTML page that needs no network.

    Figures of every actor with their intervals, differences, confusion, calibration and abstaining, training, slices,
    who holds what towards whom, behaviour tests, the hardest sentences, predictions to search and filter, configs and
    provenance. Of an experiment with several seeds the tables hold all, the rest of the page the first.

    \b
      tristance report runs/base -o base.html
      tristance report runs/base runs/pair --against base
    """
    from tristance.data.files import writing
    from tristance.train.page.collect import report_page

    text = report_page(runs, split, against)
    with writing(output) as stream:
        stream.write(text)
    click.echo(f"{output}: {len(text.encode()) / 1e6:.1f} MB")


@click.command()
@click.argument("sweep")
@click.argument("overrides", nargs=-1)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Processes on this machine.")
@click.option(
    "--storage", help="Database of the study, as SQLAlchemy takes it.  [default: a file in the sweep's folder]"
)
@click.option("--winner/--no-winner", default=True, show_default=True, help="Train the best on all seeds, and test it.")
@click.option("--adopt", is_flag=True, help="Go on with trials that other machines left, too.")
@click.option("--trials-only", is_flag=True, hidden=True, help="What a worker does.")
def sweep(
    sweep: str,
    overrides: tuple[str, ...],
    workers: int,
    storage: str | None,
    winner: bool,
    adopt: bool,
    trials_only: bool,
) -> None:
    """Try many variants of a config and choose by validation.

    SWEEP is a YAML file, or the name of a shipped one (configs/sweeps/): which config, which keys, a grid or a search
    by TPE with pruning. OVERRIDES hold for all trials. A killed sweep goes on where it stopped with the same command;
    workers on several machines share one study by --storage. No trial sees the test split: the best one is trained on
    all seeds in the end and tested once. OUTPUT/sweeps/NAME/report.html shows the trials and which values mattered.

    \b
      tristance sweep configs/sweeps/rates.yaml
      tristance sweep rates --workers 2 train.epochs=2 --no-winner
    """
    from tristance.train.sweep import finish, load_sweep, run_workers, work

    loaded = load_sweep(sweep, overrides, storage)

    from rich.console import Console

    from tristance.train.cli import console

    told = Console(stderr=True)
    if workers > 1:
        own = [*(["--storage", storage] if storage else []), *(["--adopt"] if adopt else [])]
        run_workers(["sweep", sweep, *overrides, *own, "--trials-only"], workers)
    else:
        work(loaded, told, adopt)
    if trials_only:
        return
    study, runs = finish(loaded, told, winner)
    screen = console()

    from tristance.train.comparison import compare_experiments
    from tristance.train.comparison.sheets import as_table, figures_sheet
    from tristance.train.runs import judged_split
    from tristance.train.sweep_report import trials_sheet

    screen.print(as_table(trials_sheet(study)))
    screen.print(f"{loaded.folder}: report.html, a folder a trial", highlight=False)
    if runs:
        split = judged_split(runs[0].metrics())
        screen.print(as_table(figures_sheet(compare_experiments([runs[0].folder.parent], split))))
