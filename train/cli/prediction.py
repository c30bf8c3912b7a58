"""`tristance predict`: a model over a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tristance.train.cli import column_option
from tristance.train.cli.trust import caution_options, tell_thresholds


@click.command()
@click.argument("model")
@click.argument("file")
@click.option("-o", "--output", default="-", help="JSONL file to write; standard output if not given.")
@click.option(
    "--rejects", help="Where rows that cannot be read go.  [default: OUTPUT.rejects.jsonl, or standard error]"
)
@click.option("--strict", is_flag=True, help="Stop at the first row that cannot be read, and write nothing.")
@click.option(
    "--format", "format_", default="auto", show_default=True, help="jsonl, text, csv, tsv, parquet, newsmtsc, dse."
)
@column_option
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(min=1), help="Sentences a step.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--any-language", is_flag=True, help="Judge every row, in whatever language, sentence or not.")
@caution_options
def predict(
    model: str,
    file: str,
    output: str,
    rejects: str | None,
    strict: bool,
    format_: str,
    columns: dict[str, str],
    batch_size: int,
    device: str,
    any_language: bool,
    min_confidence: dict[str, float] | float | None,
    max_error: float | None,
) -> None:
    """Label every sentence of FILE with MODEL.

    MODEL is a run (runs/base/13), a model folder, or a hub name. FILE is .txt (a sentence a line), .jsonl, .csv, .tsv
    or .parquet with a `text` column, or - for standard input. It is read in a stream: any size will do.

    The output is a record a line, with the input's fields, the predicted labels and all probabilities; labels that the
    input had stand under `gold`. It can be evaluated as it stands.

    A row in another language than the model's, or that is no sentence, gets no labels but `out_of_scope`, with the
    reason. With --max-error or --min-confidence the actors whose stance is not sure enough are listed under
    `abstained`, and the share that stands (coverage) is told at the end.

    \b
      tristance predict runs/base/13/model news.txt -o news.jsonl
      tristance predict runs/base/13/model news.txt -o news.jsonl --max-error 0.05
      cat news.txt | tristance predict runs/base/13/model - | jq .stance.russia
    """
    from tristance.data.formats import find_format, read
    from tristance.models.classifier import StanceClassifier
    from tristance.models.prediction_files import predict_stream, require_outputs

    require_outputs(output, rejects, file)  # before the model, so that a mistake is told at once
    find_format(file, format_)
    folder = Path(model, "model")  # of a run
    classifier = StanceClassifier.from_pretrained(folder if folder.is_dir() else model, device=device).cautious(
        check_language=not any_language, min_confidence=min_confidence, max_error=max_error
    )
    tell_thresholds(classifier, max_error)
    rows = read(file, actors=classifier.actors, format=format_, columns=columns)
    counts = predict_stream(
        classifier, rows, output, rejects=rejects, strict=strict, batch_size=batch_size, progress=sys.stderr.isatty()
    )
    if output != "-" or counts.rejected:
        click.echo(counts.said(output), err=True)
    for line in counts.tally.said(classifier.caution.abstains):
        click.echo(line, err=True)
