"""`tristance data`: check, describe and fetch labelled sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tristance.train.cli import column_option

if TYPE_CHECKING:
    from tristance.data.actors import Actors
    from tristance.data.errors import Fault
    from tristance.data.records import Record


@click.group()
def data() -> None:
    """Check, describe and fetch labelled sentences."""


@data.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--format", "format_", default="auto", show_default=True, help="Format of the files, if their endings do not tell."
)
@column_option
@click.option("--actors", "actors_file", help="Actors file.  [default: the bundled one]")
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON lines.")
def check(
    files: tuple[str, ...], format_: str, columns: dict[str, str], actors_file: str | None, as_json: bool
) -> None:
    """Report every fault of FILES at once; each file is a split.

    Malformed rows, unknown labels, holders where there is none to hold, empty or over-long text, control characters,
    duplicate ids, exact and near-duplicate sentences within and across files, groups that cross files. Exit code 2 if
    there are any. For example: tristance data check data/corpus/*.jsonl
    """
    from dataclasses import asdict

    from tristance.data.checks import check as check_splits

    splits, faults = _read(files, format_, _actors(actors_file), columns)
    faults += check_splits(splits)
    for fault in faults:
        click.echo(json.dumps(asdict(fault), ensure_ascii=False) if as_json else str(fault))
    total = sum(map(len, splits.values()))
    click.echo(f"{total} sentences in {len(files)} files, {len(faults)} faults", err=True)
    if faults:
        raise click.exceptions.Exit(2)


@data.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--format", "format_", default="auto", show_default=True, help="Format of the files, if their endings do not tell."
)
@column_option
@click.option("--actors", "actors_file", help="Actors file.  [default: the bundled one]")
@click.option("--plot", help="Draw it into this .svg or .png file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def stats(
    files: tuple[str, ...],
    format_: str,
    columns: dict[str, str],
    actors_file: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Show the label balance of FILES, taken together, per actor, holder, genre and length."""
    from tristance.data.balance import balance, plot_balance
    from tristance.data.errors import DataError

    actors = _actors(actors_file)
    splits, faults = _read(files, format_, actors, columns)
    if faults:
        raise DataError(faults)
    result = balance([record for records in splits.values() for record in records], actors)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print(result)
    if plot:
        plot_balance(result, plot)
        click.echo(f"drawn -> {plot}", err=True)


@data.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--corpus", multiple=True, help="Keep to the sentences of this file; may be given again.")
@click.option("--actors", "actors_file", help="Actors file.  [default: the bundled one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def agreement(folder: Path | None, corpus: tuple[str, ...], actors_file: str | None, as_json: bool) -> None:
    """Show how far the raters agree whose annotations lie in FOLDER, a JSONL file each.

    Krippendorff's alpha and pairwise Cohen's kappa of stance, holder and sentiment, with bootstrap intervals over
    sentences. FOLDER is data/annotations of the source tree if left out; its adjudicator.jsonl, the settled answers, is
    no rater. For example: tristance data agreement --corpus data/corpus/test.jsonl
    """
    from tristance.data import agreement as agreements
    from tristance.data.errors import DataError

    actors = _actors(actors_file)
    splits, faults = _read(corpus, "auto", actors)
    if faults:
        raise DataError(faults)
    ids = {record.id for records in splits.values() for record in records} if corpus else None
    annotations = agreements.read_annotations(folder or agreements.FOLDER, actors)
    result = agreements.agreement(annotations, actors, ids=ids)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print_agreement(result)


@data.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--count", default=300, show_default=True, type=click.IntRange(min=1), help="Errors written.")
@click.option("-o", "--output", default="label-errors.jsonl", show_default=True, help="File to write.")
def errors(runs: tuple[str, ...], count: int, output: str) -> None:
    """Find the likeliest label errors, by RUNS that were judged by sentences they had not learnt from.

    Confident learning (Northcutt et al. 2021, by cleanlab) over the folds of one seed. Read them again before you
    change a label: a hard sentence looks like an error too.

    \b
      tristance train configs/base.yaml name=oof protocol.name=grouped-kfold
      tristance data errors 'runs/oof/fold-*'
    """
    from dataclasses import asdict

    from tristance.data.files import writing
    from tristance.train.label_errors import label_errors
    from tristance.train.runs import find_runs

    found, taken, total = label_errors([run for path in runs for run in find_runs(path)], count)
    with writing(output) as stream:
        stream.writelines(json.dumps(asdict(error), ensure_ascii=False) + "\n" for error in found)
    click.echo(
        f"{taken} of {total} labels taken for wrong ({taken / max(total, 1):.1%}); the likeliest {len(found)}: {output}"
    )


@data.command()
@click.argument("name", type=click.Choice(["newsmtsc", "dse"]))
@click.option("--from", "source", type=click.Path(path_type=Path), help="A local copy, instead of the set's own home.")
@click.option("--into", type=click.Path(path_type=Path), help="Folder to write.  [default: external/NAME]")
def fetch(name: str, source: Path | None, into: Path | None) -> None:
    """Fetch a public set from its own home, by pinned commit and sha256.

    newsmtsc: Hamborg & Donnay, EACL 2021; sentiment towards a target in US political news; MIT. dse: Park et al., ACL
    2021; who blames or endorses whom; no licence, its authors ask to be cited: say so where a model was trained on it.
    """
    from tristance.data.fetch import SETS
    from tristance.data.fetch import fetch as fetch_set

    for path in fetch_set(name, into or Path("external") / name, source):
        click.echo(path)
    click.echo(SETS[name].licence, err=True)


def _actors(path: str | None) -> Actors:
    from tristance.data.actors import BUNDLED, Actors

    return Actors.load(path or BUNDLED)


def _read(
    files: tuple[str, ...], format_: str, actors: Actors, columns: dict[str, str] | None = None
) -> tuple[dict[str, list[Record]], list[Fault]]:
    """Records by file, and the faults of all."""
    from tristance.data.errors import Fault
    from tristance.data.formats import read

    splits: dict[str, list[Record]] = {}
    faults: list[Fault] = []
    for file in files:
        splits[file] = []
        for row in read(file, actors=actors, format=format_, columns=columns):
            if isinstance(row, Fault):
                faults.append(row)
            else:
                splits[file].append(row)
    return splits, faults


def _print(result: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from tristance.train.cli import console

    screen = console()
    for title, rows in (("Stance", result["stance"]), ("Holder, where a stance is held", result["holder"])):
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.add_column("")
        labels = list(dict.fromkeys(label for counts in rows.values() for label in counts))
        for label in labels:
            table.add_column(label, justify="right")
        for actor, counts in rows.items():
            total = sum(counts.values()) or 1
            table.add_row(actor, *(f"{counts.get(label, 0)} ({counts.get(label, 0) / total:.0%})" for label in labels))
        screen.print(table)
    for title, counts in (("Sentiment", result["sentiment"]), ("Actors referred to", result["referred"])):
        total = sum(counts.values()) or 1
        screen.print(
            f"{title}: " + ", ".join(f"{label} {count} ({count / total:.0%})" for label, count in counts.items())
        )
    opposite = result["opposite"]
    screen.print(f"Opposite stances: {opposite['count']} of {opposite['of']}")
    screen.print("Words: " + ", ".join(f"{name} {value}" for name, value in result["words"].items()))
    table = Table(title="Stance by genre", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("")
    for actor in result["stance"]:
        table.add_column(f"{actor}: favor/against/neutral", justify="right")
    for genre, actors in result["genre"].items():
        cells = [
            "/".join(str(counts.get(label, 0)) for label in ("favor", "against", "neutral"))
            for counts in actors.values()
        ]
        table.add_row(genre, *cells)
    screen.print(table)


def _print_agreement(result: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from tristance.train.cli import console

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", title_style="bold", caption_justify="left", box=box.SIMPLE_HEAD)
        made.add_column("")
        for column in columns:
            made.add_column(column, justify="right", no_wrap=True)
        return made

    screen = console()
    raters = ", ".join(f"{name} {count}" for name, count in result["raters"].items())
    screen.print(
        f"{result['sentences']} sentences with two raters or more. Sentences of each: {raters}", highlight=False
    )
    alphas = table("Krippendorff's alpha", "all rows", "related rows", "held")
    for task, places in result["alpha"].items():
        for place, scopes in places.items():
            cells = (_interval(scopes.get(scope)) for scope in ("all", "related", "held"))
            alphas.add_row(task if place == "sentence" else f"{task} {place}", *cells)
    interval = result["interval"]
    alphas.caption = (
        f"[low, high]: {interval['level']:.0%} bootstrap interval over sentences. Related: some rater sees the actor "
        "referred to. Held: holders alone, where a rater sees a stance that is held."
    ).replace("[", r"\[")
    screen.print(alphas)
    kappas = table("Cohen's kappa", "sentences", "stance", "holder, held", "sentiment")
    for pair in result["kappa"]:
        figures = (pair["stance"]["pooled"], pair["holder"]["pooled"], pair["sentiment"]["sentence"])
        kappas.add_row(" – ".join(pair["raters"]), str(pair["sentences"]), *map(_interval, figures))
    kappas.caption = "Actors pooled; --json has each."
    screen.print(kappas)


def _interval(figure: dict[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    bounds = "" if figure["low"] is None else rf" \[{figure['low']:.3f}, {figure['high']:.3f}]"
    return f"{figure['value']:.3f}{bounds}"
