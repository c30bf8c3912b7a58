"""`tristance predict`: a model over files."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tristance.train.cli import column_option
from tristance.train.cli.clusters import cluster_options, plan_cluster, predict_on_cluster, require_engine
from tristance.train.cli.trust import caution_options, tell_thresholds


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (value or "").split(",") if name.strip())
    if mapped := [name for name in names if "=" in name]:
        raise click.BadParameter(
            f"found {mapped[0]!r}; allowed: names of the output's columns, as in id,stance.west "
            f"(--column {mapped[0]} says where the input has a field)",
            param_hint="--columns",
        )
    if value is not None and not names:
        raise click.BadParameter("found no name; allowed: names with commas, as in id,stance.west")
    return names


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", default="-", help="File to write; JSONL on standard output if not given.")
@click.option(
    "--columns", "chosen", callback=_names, metavar="NAMES", help="Columns of the output: --columns id,stance,date."
)
@click.option(
    "--rejects", help="Where rows that cannot be read go.  [default: OUTPUT.rejects.jsonl, or standard error]"
)
@click.option("--strict", is_flag=True, help="Stop at the first row that cannot be read, and write no output.")
@click.option(
    "--format", "format_", default="auto", show_default=True, help="jsonl, text, csv, tsv, parquet, newsmtsc, dse."
)
@column_option
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(min=1), help="Sentences a step.")
@click.option(
    "--shard-size",
    default=16384,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rows after which finished work is kept.",
)
@click.option("--restart", is_flag=True, help="Throw away what an interrupted run has finished.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--runtime", default="auto", show_default=True, help="auto, torch, or onnx (after tristance export).")
@click.option("--precision", default="fp32", show_default=True, help="fp32, or int8 (after tristance export --int8).")
@click.option("--any-language", is_flag=True, help="Judge every row, in whatever language, sentence or not.")
@caution_options
@cluster_options
def predict(
    model: str,
    files: tuple[str, ...],
    output: str,
    chosen: tuple[str, ...],
    rejects: str | None,
    strict: bool,
    format_: str,
    columns: dict[str, str],
    batch_size: int,
    shard_size: int,
    restart: bool,
    device: str,
    runtime: str,
    precision: str,
    any_language: bool,
    min_confidence: dict[str, float] | float | None,
    max_error: float | None,
    engine: str,
    workers: int | None,
    address: str | None,
) -> None:
    """Label every sentence of FILES with MODEL.

    MODEL is a run (runs/base/13), a model folder, or a hub name. FILES are .txt (a sentence a line), .jsonl, .csv, .tsv
    (all also with .gz, .bz2, .xz, .zst behind) or .parquet with a `text` column; patterns ('news/**/*.csv'); folders,
    of which every such file is read; or - for standard input. They are read in a stream: any size will do.

    OUTPUT is .jsonl, .csv, .tsv (compressed like the input) or .parquet. JSONL has the input's fields, the predicted
    labels and all probabilities; labels that the input had stand under `gold`; it can be evaluated as it stands. Tables
    have the columns id, text, stance.ACTOR, holder.ACTOR, sentiment, probabilities.stance.ACTOR.LABEL,
    probabilities.holder.ACTOR.HOLDER, probabilities.sentiment.LABEL, and all else as JSON in `fields`. Where several
    files are read, `source_file` says which one a row is from.

    Interrupted, the same command goes on after the last finished shard (kept in OUTPUT.parts) to the same bytes.

    A row in another language than the model's, or that is no sentence, gets no labels but `out_of_scope`, with the
    reason. With --max-error or --min-confidence the actors whose stance is not sure enough are listed under
    `abstained`, and the share that stands (coverage) is told at the end.

    With --engine ray many processes or machines share the work: FILES are .parquet files or folders of them, OUTPUT is
    a new folder of Parquet files, and either may be a URI (s3://bucket/folder); docs/scale.md says more.

    \b
      tristance predict runs/base/13/model news.txt -o news.jsonl
      tristance predict runs/base/13/model news.txt -o news.jsonl --max-error 0.05
      tristance predict runs/base/13/model archive/ more.csv.gz -o all.parquet --columns id,date,stance
      tristance predict runs/base/13/model archive/ -o labelled --engine ray --workers 2
      cat news.txt | tristance predict runs/base/13/model - | jq .stance.russia
    """
    from tristance.data.formats.position import Position
    from tristance.data.inputs import find_files, read_files, require_readable
    from tristance.models import hub
    from tristance.models.classifier import StanceClassifier
    from tristance.models.manifest import fingerprint
    from tristance.models.output_columns import output_columns
    from tristance.models.prediction_files import identity_of, predict_stream, require_outputs
    from tristance.models.prediction_progress import PredictionProgress

    # before the model, so that a mistake is told at once
    plan = None
    if require_engine(engine, workers, address):
        plan = plan_cluster(files, format_, columns, output, rejects, shard_size)
        found = list(plan.files)
    else:
        own = [output, f"{output}.parts", rejects or f"{output}.rejects.jsonl"]
        found = find_files(files, format_, passed_over=own)
        require_outputs(output, rejects, found)
        require_readable(found, format_, columns)
    folder = hub.locate(hub.of_run(model))
    classifier = StanceClassifier.from_pretrained(
        folder, device="cpu" if plan else device, runtime=runtime, precision=precision
    ).cautious(check_language=not any_language, min_confidence=min_confidence, max_error=max_error)
    tell_thresholds(classifier, max_error)
    written = output_columns(classifier.actors.ids, chosen, source_file=len(found) > 1)
    how: dict[str, Any] = {
        "batch_size": batch_size,
        "device": device,
        "runtime": runtime,
        "precision": precision,
    }
    depends = {
        "format": format_,
        "column": columns,
        "columns": written.names,
        "shard_size": shard_size,
        "caution": asdict(classifier.caution),
        **how,
    }
    if plan:
        counts = predict_on_cluster(
            classifier,
            folder,
            plan,
            output,
            written,
            identity={"model": fingerprint(folder), "options": depends},
            rejects=rejects,
            strict=strict,
            restart=restart,
            mapped=columns,
            workers=workers,
            address=address,
            **how,
        )
    else:
        identity = identity_of(fingerprint(folder), found, **depends)
        position, total = Position(), sum(Path(file).stat().st_size for file in found) if identity else None
        rows = read_files(
            found, actors=classifier.actors, format=format_, columns=columns, need_labels=False, position=position
        )
        with PredictionProgress(sys.stderr.isatty(), position, total) as progress:
            counts = predict_stream(
                classifier,
                rows,
                output,
                rejects=rejects,
                strict=strict,
                batch_size=batch_size,
                columns=written,
                shard_size=shard_size,
                identity=identity,
                restart=restart,
                progress=progress,
            )
    if output != "-" or counts.rejected:
        click.echo(counts.said(output), err=True)
    for line in counts.marks.said(counts.rows, classifier.caution.abstains):
        click.echo(line, err=True)
