"""`tristance estimate`: shares that can be published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tristance.data.actors import Actors
    from tristance.train.estimation import Predicted


@click.command()
@click.argument("predictions")
@click.option("--draw", type=click.IntRange(min=2), help="Draw so many sentences into an empty sheet, OUTPUT.")
@click.option("--labelled", help="The sheet with its labels filled in, or another file of labelled sentences.")
@click.option("--by", help="Field whose values are told apart: source; or a date by its period: date:month.")
@click.option("--contrast", nargs=2, metavar="A B", help="Two groups of --by: how much more has A than B?")
@click.option("--cluster", help="Field that tells documents apart.  [default: doc or group, where there is one]")
@click.option("--level", default=0.95, show_default=True, type=click.FloatRange(0.5, 0.999), help="Of intervals.")
@click.option("--seed", default=13, show_default=True, type=click.IntRange(min=0), help="Of the draw.")
@click.option("--actors", "actors_file", help="Actors file.  [default: the bundled one]")
@click.option("-o", "--output", help="The sheet to write (.csv); or the estimates, as .csv, .json, .md, .html, .svg.")
def estimate(
    predictions: str,
    draw: int | None,
    labelled: str | None,
    by: str | None,
    contrast: tuple[str, str] | None,
    cluster: str | None,
    level: float,
    seed: int,
    actors_file: str | None,
    output: str | None,
) -> None:
    """Say how large the shares in PREDICTIONS truly are, from a small sample that somebody labels.

    A share counted from predictions is biased by what the model gets wrong. So draw a random sample of the sentences,
    label it by hand, without seeing the predictions, and hand it back: prediction-powered inference gives shares,
    differences and trends with intervals that hold however wrong the model is, and that are shorter than the
    sample's own where it is right. A larger --draw with the same seed begins with the smaller one.

    \b
      tristance predict runs/base/13/model news.jsonl -o news-stance.jsonl
      tristance estimate news-stance.jsonl --draw 300 -o sheet.csv   # and sheet.md: how to fill it in
      tristance estimate news-stance.jsonl --labelled sheet.csv
      tristance estimate news-stance.jsonl --labelled sheet.csv --by date:month -o trend.svg
      tristance estimate news-stance.jsonl --labelled sheet.csv --by source --contrast Reuters TASS
    """
    from rich.console import Console

    from tristance.data.actors import BUNDLED, Actors
    from tristance.data.errors import UserError
    from tristance.train.estimation import read_predicted

    if (draw is None) == (labelled is None):
        raise UserError("estimate: found both or neither; allowed: --draw N to draw a sheet, or --labelled to read it")
    if draw is not None and not output:
        raise UserError("--draw: found no place for the sheet; allowed: -o sheet.csv")
    if contrast and not by:
        raise UserError("--contrast: found no groups; allowed: --by FIELD beside it")
    actors = Actors.load(actors_file or BUNDLED)
    with Console(stderr=True).status(f"reading {predictions}"):  # on a terminal alone
        predicted = read_predicted(predictions, actors, by=by, cluster=cluster)
    if draw is not None and output:
        _draw(predicted, draw, seed, output)
    elif labelled:
        _estimate(predicted, labelled, actors, contrast, level, output)


def _draw(predicted: Predicted, size: int, seed: int, output: str) -> None:
    from tristance.data.agreement import SENTENCE
    from tristance.data.annotation_sheet import draw, write_sheet

    rows = draw(len(predicted.sentences), size, seed)
    name = Path(predicted.file).name
    about = f"{size} of the {len(predicted.sentences):,} sentences of {name}, a simple random sample (seed {seed})."
    actors = [slot for slot in predicted.answers if slot != SENTENCE]
    guide = write_sheet(output, [predicted.sentences[row] for row in rows], actors, about)
    click.echo(f"{size} sentences -> {output}; how to label them -> {guide}", err=True)
    click.echo(f"then: tristance estimate {predicted.file} --labelled {output}", err=True)


def _estimate(
    predicted: Predicted,
    labelled: str,
    actors: Actors,
    contrast: tuple[str, str] | None,
    level: float,
    output: str | None,
) -> None:
    from tristance.data.annotation_sheet import read_sheet
    from tristance.train.cli import console
    from tristance.train.comparison.sheets import as_table
    from tristance.train.estimation import estimate as estimate_shares
    from tristance.train.estimation.sheets import about, require_place, sheets, write_estimates

    if output:
        require_place(output, labelled, predicted.file)
    labels = read_sheet(labelled, actors)
    estimates = estimate_shares(predicted, labels, contrast=contrast, level=level)
    notes, found = about(predicted, labels, estimates), sheets(estimates, predicted, level)
    screen = console()
    for sheet in found:
        screen.print(as_table(sheet))
    for note in notes:
        screen.print(note, style="yellow" if note.startswith("careful") else "dim", markup=False, highlight=False)
    if output:
        write_estimates(output, estimates, found, notes, by=predicted.by, level=level)
        click.echo(f"estimates -> {output}", err=True)
