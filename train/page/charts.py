"""The report's pictures that no other room draws: figures beside each other, slices, and how training went."""

from __future__ import annotations

import base64
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tristance.train.comparison.gather import Comparison
from tristance.train.evaluation.plots import COLOURS, MARKERS, reach

MAX_SLOTS: Final = 7
SLICES: Final = 14
"""Values shown of one field, the most frequent."""


def picture(figure: Figure) -> str:
    """A figure as an address that carries its own SVG."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg(figure).encode()).decode()}"


def svg(figure: Figure) -> str:
    """A figure as SVG; the same figure gives the same text."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "tristance", "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue().decode()


def bars_figure(comparison: Comparison) -> Figure:
    """F_avg of every actor and experiment: mean over seeds, and the first seed's interval."""
    slots = [*comparison.slots][:MAX_SLOTS]
    rows = [*(f"{slot}.F_avg" for slot in slots), "mean.F_avg", "worst.F_avg", "holder.macro_F1", "sentiment.macro_F1"]
    experiments = comparison.experiments
    height = 0.8 / len(experiments)
    figure = Figure(figsize=(8, 0.6 + len(rows) * (0.22 + 0.2 * len(experiments))), layout="constrained")
    axis = figure.subplots()
    for number, experiment in enumerate(experiments):
        places = np.arange(len(rows)) - 0.4 + height * (number + 0.5)
        metrics = experiment.runs[0].metrics()[comparison.split]
        means = [100 * statistics.fmean(experiment.figures.get(row) or (np.nan,)) for row in rows]
        spread = 100 * np.array([reach(_figure(metrics, row)) for row in rows]).T
        colour = COLOURS[number % len(COLOURS)]
        axis.barh(
            places, means, height * 0.9, color=colour, label=experiment.name, hatch="/" * (number // len(COLOURS))
        )
        axis.errorbar(means, places, xerr=spread, fmt="none", ecolor="#333333", capsize=2, linewidth=0.9)
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.set(xlim=(0, 100), xlabel="points; lines: interval of the first seed")
    axis.grid(axis="x", alpha=0.25)
    axis.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    return figure


def _figure(metrics: Mapping[str, Any], row: str) -> Mapping[str, Any]:
    slot, _, name = row.rpartition(".")
    found = metrics["overall"].get(row) or metrics["slots"].get(slot, {}).get(name)
    return found or {"value": None, "low": None, "high": None}


def slices_figure(metrics: Mapping[str, Any]) -> Figure | None:
    """Mean F_avg with its interval for the values of every sliced field; None where nothing is sliced."""
    shown = {
        name: sorted(values.items(), key=lambda item: -item[1]["n"])[:SLICES]
        for name, values in metrics["slices"].items()
        if values
    }
    if not shown:
        return None
    heights = [len(values) + 1 for values in shown.values()]
    figure = Figure(figsize=(8, 0.5 + 0.26 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights, sharex=True)[:, 0]
    overall = metrics["overall"]["mean.F_avg"]["value"]
    for axis, (name, values) in zip(axes, shown.items(), strict=True):
        for place, (_, found) in enumerate(values):
            figures = found["mean.F_avg"]
            if figures["value"] is None:
                continue
            spread = [[100 * side] for side in reach(figures)]
            axis.errorbar(100 * figures["value"], place, xerr=spread, fmt="o", color=COLOURS[0], capsize=2)
        axis.set_yticks(range(len(values)), [f"{value} ({found['n']})" for value, found in values])
        axis.invert_yaxis()
        axis.set_title(name, loc="left", fontsize=10, fontweight="bold", parse_math=False)
        if overall is not None:
            axis.axvline(100 * overall, color="#888888", linestyle=":")
        axis.grid(axis="x", alpha=0.25)
    axes[-1].set_xlabel("mean F_avg, points; dotted: all sentences")
    return figure


def training_figure(stages: Mapping[str, Sequence[Mapping[str, Any]]], primary: str) -> Figure | None:
    """Loss and validation figures by epoch, of every stage; None where nothing was written down.

    Args:
        stages: The Trainer's log history by stage.
        primary: The figure that chose the checkpoint.
    """
    known = {name: history for name, history in stages.items() if history}
    if not known:
        return None
    figure = Figure(figsize=(5.6 * len(known) + 1, 3.4), layout="constrained")
    for axis, (name, history) in zip(figure.subplots(1, len(known), squeeze=False)[0], known.items(), strict=True):
        losses = [(row["epoch"], row["loss"]) for row in history if "loss" in row]
        axis.plot(*zip(*losses, strict=True), color="#888888", label="training loss") if losses else None
        axis.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
        axis.set_title(name, loc="left", parse_math=False)
        beside = axis.twinx()
        shown = [f"eval_{primary}", *sorted({key for row in history for key in row if _is_slot_figure(key)})][
            :MAX_SLOTS
        ]
        for number, key in enumerate(shown):
            points = [(row["epoch"], 100 * row[key]) for row in history if key in row]
            if points:
                style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 5}
                beside.plot(*zip(*points, strict=True), label=key.removeprefix("eval_"), **style)
        beside.set_ylabel("validation, points")
        beside.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.16, 1))
    return figure


def _is_slot_figure(key: str) -> bool:
    name = key.removeprefix("eval_")
    return key.startswith("eval_") and name.endswith(".F_avg") and not name.startswith(("mean.", "worst.", "pooled."))
