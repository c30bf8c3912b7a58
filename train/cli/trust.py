"""`tristance explain`, `tristance calibrate`, and the options of `predict`: how far a model can be trusted."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tristance.train.cli import column_option, console

if TYPE_CHECKING:
    from tristance.models.classifier import StanceClassifier
    from tristance.models.explanation import Explanation


def _confidence(
    _context: click.Context, _parameter: click.Parameter, options: tuple[str, ...]
) -> dict[str, float] | float | None:
    chosen: dict[str, float] = {}
    for option in options:
        actor, equals, number = option.rpartition("=")
        try:
            chosen[actor] = float(number)
        except ValueError as error:
            raise click.BadParameter(f"found {option!r}; allowed: 0.7, or west=0.7") from error
        if (equals and not actor) or ("" in chosen and len(chosen) > 1):
            raise click.BadParameter(f"found {', '.join(options)}; allowed: one for all, or one for each actor")
    return chosen.get("", chosen or None)


def caution_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `min_confidence` and `max_error`, as `StanceClassifier.cautious` takes them."""
    command = click.option(
        "--max-error",
        type=float,
        metavar="SHARE",
        help="Abstain so that at most this share of the stances left is wrong, by validation (0.1: one in ten).",
    )(command)
    return click.option(
        "--min-confidence",
        multiple=True,
        metavar="[ACTOR=]P",
        callback=_confidence,
        help="Abstain below this probability: 0.7 for all actors, or west=0.7, repeated.",
    )(command)


def tell_thresholds(classifier: StanceClassifier, max_error: float | None) -> None:
    """Say on standard error what confidence a risk asks for."""
    if max_error is None:
        return
    from tristance.models.abstention import NEVER

    for actor, threshold in classifier.caution.min_confidence.items():
        if threshold == NEVER:
            click.echo(f"{actor}: abstains always: nothing in validation assures an error of {max_error:g}", err=True)
    shown = [f"{actor} {value:g}" for actor, value in classifier.caution.min_confidence.items() if value != NEVER]
    if shown:
        click.echo(f"least confidence for an error of {max_error:g}: {', '.join(shown)}", err=True)


@click.command()
@click.argument("model")
@click.argument("sentences", nargs=-1, required=True, metavar="SENTENCE...")
@click.option(
    "--actor",
    "actors",
    multiple=True,
    metavar="ID",
    help="Whose stance, or `sentiment`; may be repeated.  [default: each actor that is not unrelated, and sentiment]",
)
@click.option("-o", "--output", help="An .html page or a .jsonl file instead of the terminal.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
def explain(model: str, sentences: tuple[str, ...], actors: tuple[str, ...], output: str | None, device: str) -> None:
    """Show which words carry what MODEL says of a SENTENCE.

    Each word is left out in turn; its weight is what the predicted label then loses, in log-odds. Of two words that say
    the same each seems to matter little, since the other remains. - reads a sentence a line from standard input.

    \b
      tristance explain runs/base/13 "Lavrov told the West that its era of domination was over." --actor west
      tristance explain runs/base/13 - -o why.html < sentences.txt
    """
    from tristance.data.errors import UserError
    from tristance.models import hub
    from tristance.models.classifier import StanceClassifier

    if output is not None and Path(output).suffix not in (".html", ".jsonl"):
        raise UserError(f"{output}: found the ending {Path(output).suffix!r}; allowed: .html, .jsonl")
    classifier = StanceClassifier.from_pretrained(hub.of_run(model), device=device)
    texts = [line.strip() for line in sys.stdin if line.strip()] if sentences == ("-",) else sentences
    if not texts:
        raise UserError("-: no sentences; allowed: at least one")
    found = [classifier.explain(text, about) for text in texts for about in actors or _related(classifier, text)]
    if output is None:
        for explanation in found:
            console().print(explanation)
            console().print()
        return
    _write(found, output)
    click.echo(f"{len(found)} explained -> {output}", err=True)


def _related(classifier: StanceClassifier, text: str) -> list[str]:
    """The actors that the sentence says something of, and its sentiment."""
    prediction = classifier.predict(text)
    return [*(actor for actor, stance in prediction.stance.items() if stance.label != "unrelated"), "sentiment"]


def _write(found: list[Explanation], output: str) -> None:
    from tristance.data.files import writing

    with writing(output) as stream:
        if output.endswith(".jsonl"):
            stream.writelines(json.dumps(each.as_dict(), ensure_ascii=False) + "\n" for each in found)
            return
        title = html.escape(found[0].sentence if len(found) == 1 else "Why")
        style = files("tristance.train.page").joinpath("page.css").read_text(encoding="utf-8")
        head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        body = "\n".join(each.to_html() for each in found)
        stream.write(f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n')


@click.command()
@click.argument("model")
@click.argument("file")
@click.option("--format", "format_", default="auto", show_default=True, help="jsonl, csv, tsv, parquet, dse.")
@column_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
def calibrate(model: str, file: str, format_: str, columns: dict[str, str], device: str) -> None:
    """Measure MODEL's risk on the labelled sentences of FILE, for `tristance predict --max-error`.

    Training does this on validation. Do it again for a model that an older version trained, or for sentences that are
    not like those of training: label some hundreds of your own, which the model has not seen, and give them here. The
    risk curves are written into the model folder; its predictions do not change.

    \b
      tristance calibrate runs/base/13 my-labels.jsonl
      tristance predict runs/base/13 news.txt -o news.jsonl --max-error 0.1
    """
    from tristance.data.errors import DataError, Fault, UserError
    from tristance.data.formats import read
    from tristance.models import hub
    from tristance.models.classifier import StanceClassifier
    from tristance.models.manifest import update
    from tristance.train.evaluation.calibration import risk_curves

    folder = Path(hub.of_run(model))
    if not folder.is_dir():
        raise UserError(f"{model}: no such folder; allowed: a run or a model folder, into which the curves are written")
    classifier = StanceClassifier.from_pretrained(folder, device=device)
    rows = list(read(file, actors=classifier.actors, format=format_, columns=columns))
    if faults := [row for row in rows if isinstance(row, Fault)]:
        raise DataError(faults)
    records = [row for row in rows if not isinstance(row, Fault)]
    if not classifier.actors or not records:
        raise UserError(f"{file}: {len(records)} sentences; allowed: at least one, and a model that knows actors")
    labels = classifier.manifest.stance_labels
    scores = classifier.score_records(records)
    curves = risk_curves(records, scores, classifier.actors.ids, stance_labels=labels)
    if missing := [actor for actor in classifier.actors.ids if actor not in curves]:
        raise UserError(f"{file}: no stance towards {', '.join(missing)}; allowed: sentences labelled for every actor")
    update(folder, risk=curves)
    click.echo(f"risk of {', '.join(curves)} on {len(records)} sentences -> {folder}", err=True)
