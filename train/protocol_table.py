"""What a protocol came to: a row a part with intervals, all that was held out as one, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tristance.data.files import writing
from tristance.data.records import Record
from tristance.train.comparison.paired import by_seed, deviation, read_sheets
from tristance.train.comparison.sheets import Sheet, as_markdown
from tristance.train.config import Config
from tristance.train.evaluation.answers import AnswerSheet, joined
from tristance.train.evaluation.metrics import tally_of
from tristance.train.evaluation.plots import reach
from tristance.train.evaluation.report import with_interval
from tristance.train.runs import Run, judged_split, write_json

DISJOINT: Final = ("grouped-kfold", "leave-genre-out", "leave-voices-out")
"""Protocols whose parts hold out every sentence once at most, so that they add up."""
ALL: Final = "all held out"
SHOWN: Final = ("mean.F_avg", "worst.F_avg", "joint_accuracy", "holder.macro_F1", "sentiment.macro_F1")

Figures = dict[str, dict[str, Any]]


def summarise(config: Config, runs: Mapping[str, Sequence[Run]]) -> Sheet:
    """Put the parts of an experiment side by side, and write protocol.json, protocol.md and protocol.svg beside them.

    Args:
        config: The experiment.
        runs: By part, a finished run a seed.
    """
    held = {part: read_sheets(seeds, judged_split(seeds[0].metrics())) for part, seeds in runs.items()}
    rows = {part: _figures(config, *found) for part, found in held.items()}
    if config.protocol.name in DISJOINT and len({sheets[0].slots for _, sheets in held.values()}) == 1:
        records = [record for part_records, _ in held.values() for record in part_records]
        each_seed = zip(*(sheets for _, sheets in held.values()), strict=True)
        rows[ALL] = _figures(config, records, [joined(sheets) for sheets in each_seed])
    sheet = _sheet(config, rows)
    folder = Path(config.output) / config.name
    write_json(
        folder / "protocol.json", {"protocol": config.protocol.model_dump(), "seeds": config.seeds, "parts": rows}
    )
    with writing(folder / "protocol.md") as stream:
        stream.write(as_markdown([sheet]))
    with writing(folder / "protocol.svg", "wb") as file, mpl.rc_context({"svg.hashsalt": "tristance"}):
        _picture(config, rows).savefig(file, format="svg", metadata={"Date": None})
    return sheet


def _figures(config: Config, records: Sequence[Record], sheets: Sequence[AnswerSheet]) -> Figures:
    """Every figure with its interval (seeds averaged within each resample) and its deviation over seeds."""
    tally = tally_of(records, config.evaluation)
    return {
        name: {**tally.figure(values.mean(0)), "sd": deviation(values[:, 0]), "n": len(records)}
        for name, values in by_seed(sheets, tally, config.evaluation).items()
    }


def _sheet(config: Config, rows: Mapping[str, Figures]) -> Sheet:
    slots = [name for name in next(iter(rows.values())) if name.endswith(".F_avg") and name not in SHOWN]
    names = [SHOWN[0], *slots, *SHOWN[1:]]
    body = tuple(
        (part, str(figures[SHOWN[0]]["n"]), *(with_interval(figures.get(name)) for name in names))
        for part, figures in rows.items()
    )
    seeds = f"{len(config.seeds)} seed{'s' if len(config.seeds) > 1 else ''}"
    note = f"{config.evaluation.level:.0%} intervals by bootstrap over documents, {seeds}"
    return Sheet(f"{config.name}: {config.protocol.name}", ("part", "n", *names), body, note)


def _picture(config: Config, rows: Mapping[str, Figures]) -> Figure:
    """The primary figure of every part with its interval; of a learning curve, against sentences on a log axis."""
    name = SHOWN[0]
    known = {part: figures[name] for part, figures in rows.items() if figures[name]["value"] is not None}
    values = [figure["value"] for figure in known.values()]
    spread = np.array([reach(figure) for figure in known.values()]).T
    figure = Figure(
        figsize=(6.4, 3.6 if config.protocol.name == "learning-curve" else 1 + 0.35 * len(known)), layout="constrained"
    )
    axis = figure.subplots()
    if config.protocol.name == "learning-curve":
        sizes = [int(part.removeprefix("size-")) for part in known]
        axis.errorbar(sizes, values, yerr=spread, marker="o", capsize=3, color="#0072B2")
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set(xlabel="training sentences", ylabel=name)
    else:
        places = np.arange(len(known))
        axis.errorbar(values, places, xerr=spread, fmt="o", capsize=3, color="#0072B2")
        axis.set_yticks(places, list(known))
        axis.invert_yaxis()
        axis.set(xlabel=name)
    axis.set_title(f"{config.name}: {config.protocol.name}", parse_math=False)
    axis.grid(alpha=0.25)
    return figure
