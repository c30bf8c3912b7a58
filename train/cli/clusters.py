"""`tristance predict --engine ray`: its options, and what it asks of FILES and OUTPUT."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tristance.data.errors import UserError

if TYPE_CHECKING:
    from tristance.models.classifier import StanceClassifier
    from tristance.models.cluster.pieces import Plan
    from tristance.models.output_columns import OutputColumns
    from tristance.models.prediction_files import Counts

OTHER_ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".gz", ".bz2", ".xz", ".zst")


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `engine`, `workers` and `address`."""
    for option in (
        click.option("--address", metavar="WHERE", help="Of a Ray cluster: auto, HOST:6379.  [default: RAY_ADDRESS]"),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="Processes that score, with --engine ray.  [default: one a core, on cuda one a GPU]",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="This process, or Ray: many processes, on this machine or on a cluster.",
        ),
    ):
        command = option(command)
    return command


def require_engine(engine: str, workers: int | None, address: str | None) -> bool:
    """Whether Ray is asked for, and there.

    Raises:
        UserError: If it is asked for and not installed, or there are options that only it takes.
    """
    if engine == "ray":
        from tristance.models.cluster.engine import require_ray

        require_ray()
        return True
    if workers is not None or address is not None:
        name = "--workers" if workers is not None else "--address"
        raise click.UsageError(f"{name}: found with --engine local; allowed: --engine ray")
    return False


def plan_cluster(
    files: tuple[str, ...], format_: str, columns: Mapping[str, str], output: str, rejects: str | None, size: int
) -> Plan:
    """What there is to do; a mistake in it is told before the model is loaded.

    Raises:
        UserError: If an input is no Parquet or cannot be read, or the output is no new folder.
    """
    from tristance.models.cluster.folder import require_new
    from tristance.models.cluster.pieces import find_tables, plan, reaching

    if format_ not in ("auto", "parquet"):
        raise UserError(f"--format: found {format_}; allowed with --engine ray: parquet")
    if output == "-":
        raise UserError("--output: missing; allowed with --engine ray: the name of a folder that is not there yet")
    if output.endswith(OTHER_ENDINGS):
        raise UserError(f"{output}: --engine ray writes a folder of Parquet files; allowed: the name of a folder")
    if rejects and not rejects.partition("?")[0].endswith((".jsonl", ".ndjson")):
        raise UserError(f"{rejects}: found the ending {Path(rejects).suffix!r}; allowed: .jsonl")
    with reaching(output):
        require_new(output)
    return plan(find_tables(files, passed_over=[output, f"{output}.parts"]), columns, size)


def predict_on_cluster(
    classifier: StanceClassifier,
    model: Path,
    plan: Plan,
    output: str,
    columns: OutputColumns,
    *,
    identity: Mapping[str, Any],
    workers: int | None,
    address: str | None,
    **options: Any,
) -> Counts:
    """`predict_tables` on Ray, with a bar where there is a terminal."""
    from tristance.data.formats.position import Position
    from tristance.models.cluster.engine import run_pieces
    from tristance.models.cluster.scoring import lacking, predict_tables
    from tristance.models.prediction_progress import PredictionProgress

    for name in lacking(columns, plan.names):
        click.echo(f"note: no file has the column {name!r}", err=True)
    position = Position()
    with PredictionProgress(sys.stderr.isatty(), position, sum(piece.bytes for piece in plan.pieces)) as progress:
        return predict_tables(
            classifier,
            model,
            plan,
            output,
            columns,
            identity=identity,
            progress=progress,
            position=position,
            run=partial(run_pieces, workers=workers, address=address),
            **options,
        )
