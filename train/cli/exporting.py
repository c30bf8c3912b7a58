"""`tristance export`: a trained network for use without torch."""

from __future__ import annotations

import click


@click.command()
@click.argument("model")
@click.option(
    "--onnx", is_flag=True, default=True, help="Write model.onnx, in fp32. (The only format, so it may be left out.)"
)
@click.option("--int8", is_flag=True, help="Write model.int8.onnx too: about twice as fast on a CPU.")
@click.option("--data", metavar="FILE", help="Labelled sentences to compare on.  [default: the run's validation split]")
def export(model: str, onnx: bool, int8: bool, data: str | None) -> None:  # noqa: ARG001 - there is but one format
    """Write MODEL as ONNX beside its weights, for fast use without torch.

    MODEL is a run (runs/base/13) or a model folder. What is written must answer as the weights do, on validation: fp32
    may change no label, int8 must keep 98% of the stances and may cost no actor more than half a point of F_avg. What
    fails is refused and not left there. Loading the folder then takes model.onnx by itself; int8 is asked for.

    \b
      tristance export runs/base/13 --onnx --int8
      tristance predict runs/base/13/model news.txt --precision int8
    """
    from tristance.train.export import export_model

    for precision, gate in export_model(model, int8=int8, data=data).items():
        click.echo(f"{precision}: {gate.said()}")
