"""`tristance audit`: has a labelled corpus shortcuts?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tristance.data.actors import Actors
    from tristance.data.records import Record


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--against", multiple=True, help="Sentences that the corpus must not share; may be given again.")
@click.option("--test", help="Where the learning curve is tested.  [default: the last of FILES named validation]")
@click.option("--actors", "actors_file", help="Actors file.  [default: the bundled one]")
@click.option("-o", "--output", help="Folder to write: audit.json, and its figures as SVG.")
def audit(
    files: tuple[str, ...], against: tuple[str, ...], test: str | None, actors_file: str | None, output: str | None
) -> None:
    """Look for shortcuts in the labelled sentences of FILES, the training file first.

    How well an actor's stance is told from genre, voice, topic, length, first word and actors alone; the tokens with
    the strongest pull on a stance; sentences alike, also with names and numbers masked, within and across files;
    vocabulary growth; a learning curve of TF-IDF with logistic regression; the baselines that learn nothing. For
    example: tristance audit data/corpus/train.jsonl data/corpus/validation.jsonl -o runs/audit
    """
    from rich.console import Console
    from rich.progress import Progress

    from tristance.data.actors import BUNDLED, Actors
    from tristance.train.audit import audit as audit_splits
    from tristance.train.audit_report import render, write_audit
    from tristance.train.cli import console

    actors = Actors.load(actors_file or BUNDLED)
    splits, others = _load(files, actors), _load(against, actors)
    tested = (test, _load((test,), actors)[test]) if test else None
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("")

        def tell(name: str, done: int, parts: int) -> None:
            bar.update(task, description=name, completed=done, total=parts)

        result = audit_splits(splits, actors, against=others, test=tested, progress=tell)
    screen = console()
    screen.print(render(result))
    if output:
        write_audit(result, output)
        screen.print(f"{output}: audit.json, figures", highlight=False)


def _load(files: tuple[str, ...], actors: Actors) -> dict[str, list[Record]]:
    from tristance.data.errors import DataError
    from tristance.data.formats import load

    splits, faults = {}, []
    for file in files:
        try:
            splits[file] = load(file, actors=actors)
        except DataError as error:
            faults += error.faults
    if faults:
        raise DataError(faults)
    return splits
