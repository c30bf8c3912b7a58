"""An evaluation as pictures, drawn from metrics.json: confusion matrices, reliability and coverage-risk curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tristance.data.files import writing

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which the colour-blind can tell apart; each line has its own marker besides."""
MARKERS: Final = "osD^vPX"
MAX_SLOTS: Final = 7
"""Slots drawn at most; beyond that only all of them as one (the targets of a public set are numbers, not actors)."""


def write_plots(metrics: Mapping[str, Any], folder: str | Path, formats: Sequence[str] = ("svg",)) -> list[Path]:
    """Draw an evaluation.

    Args:
        metrics: What `evaluate` gives.
        folder: Where `confusion.<format>` and `calibration.<format>` go.
        formats: `svg`, `png`, or another that matplotlib's file backends write.

    Returns:
        The files written. The same metrics give the same bytes.
    """
    figures = {"confusion": confusion_figure(metrics), "calibration": calibration_figure(metrics)}
    written = []
    for name, figure in figures.items():
        for kind in formats:
            path = Path(folder) / f"{name}.{kind}"
            # A fixed salt and no date: else no two files would be alike.
            with writing(path, "wb") as stream, mpl.rc_context({"svg.hashsalt": "tristance", "svg.fonttype": "none"}):
                figure.savefig(stream, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    return written


def confusion_figure(metrics: Mapping[str, Any]) -> Figure:
    """The confusion matrix of every slot, and of sentiment: counts, shaded by their share of the gold class."""
    blocks = {**_drawn(metrics), "sentiment": metrics["sentiment"]}
    columns = min(len(blocks), 4)
    lines = -(-len(blocks) // columns)
    figure = Figure(figsize=(3.3 * columns, 3.5 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[len(blocks) :]:
        axis.set_axis_off()
    for axis, (name, block) in zip(axes, blocks.items(), strict=False):
        _confusion(axis, name, block["confusion"])
    return figure


def calibration_figure(metrics: Mapping[str, Any]) -> Figure:
    """Reliability (accuracy against confidence) and error against coverage, of the stances of every slot."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    reliability, risk = figure.subplots(1, 2)
    reliability.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="perfect")
    blocks = _drawn(metrics)
    for number, (name, block) in enumerate(blocks.items()):
        style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4, "linewidth": 1.3}
        bins = block["reliability"]
        if bins:
            label = f"{name} (ECE {block['ece']['value']:.3f})"
            reliability.plot(
                [row["confidence"] for row in bins], [row["accuracy"] for row in bins], label=label, **style
            )
        rows = [row for row in block["coverage_risk"] if row["error"]["value"] is not None]
        if rows:
            share = [row["coverage"] for row in rows]
            risk.plot(share, [row["error"]["value"] for row in rows], label=name, **style)
            if rows[0]["error"]["low"] is not None:
                bounds = ([row["error"][bound] for row in rows] for bound in ("low", "high"))
                risk.fill_between(share, *bounds, color=COLOURS[number], alpha=0.12, linewidth=0)
    reliability.set(xlabel="confidence", ylabel="accuracy", title="Reliability", xlim=(0, 1), ylim=(0, 1))
    risk.set(xlabel="coverage: share of stances answered", ylabel="error rate", title="Abstaining", ylim=(0, None))
    for axis in (reliability, risk):
        axis.grid(alpha=0.25)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    return figure


def reach(figure: Mapping[str, Any]) -> tuple[float, float]:
    """How far a figure's interval reaches below and above its value, as error bars take it; 0 without an interval."""
    if figure["low"] is None or figure["high"] is None:
        return 0.0, 0.0
    return max(figure["value"] - figure["low"], 0.0), max(figure["high"] - figure["value"], 0.0)


def _drawn(metrics: Mapping[str, Any]) -> dict[str, Any]:
    slots = {name: block for name, block in metrics["slots"].items() if block["n"]}
    return slots if 0 < len(slots) <= MAX_SLOTS else {"all targets": metrics["pooled"]}


def _confusion(axis: Any, name: str, confusion: Mapping[str, Any]) -> None:
    counts = np.array(confusion["counts"])
    labels = list(confusion["labels"])
    if any(confusion["missing"]):
        counts = np.concatenate([counts, np.array(confusion["missing"])[:, None]], 1)
    support = counts.sum(1, keepdims=True)
    share = counts / np.maximum(support, 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(counts.shape[1]), [*labels, "missing"][: counts.shape[1]], rotation=35, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="predicted", ylabel="gold")
    axis.set_title(name, parse_math=False)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.5 else "black"
        axis.text(column, row, str(count), ha="center", va="center", color=colour)
