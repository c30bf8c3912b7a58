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
from tristance.data.statistics import Floats
from tristance.models.predictions import Scores
from tristance.train.comparison.sheets import Sheet, as_markdown
from tristance.train.config import Config
from tristance.train.evaluation.answers import answer_sheet
from tristance.train.evaluation.metrics import resampled, tally_of
from tristance.train.evaluation.predictions import align, read_predictions, read_scored
from tristance.train.protocols import judged_split
from tristance.train.runs import Run, write_json

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
    held = {part: _read(part_runs) for part, part_runs in runs.items()}
    rows = {part: _figures(config, *found) for part, found in held.items()}
    if config.protocol.name in DISJOINT and len({found[1][0].slots for found in held.values()}) == 1:
        rows[ALL] = _figures(config, *_together(list(held.values())))
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


def _read(runs: Sequence[Run]) -> tuple[list[Record], list[Scores], tuple[str, ...]]:
    """The judged sentences of a part, each seed's scores for them, and the stance labels."""
    paths = [run.predictions(judged_split(run.metrics())) for run in runs]
    records, first = read_scored(paths[0])
    others = [align(records, read_predictions(path)) for path in paths[1:]]
    content = runs[0].metrics()
    return records, [first, *others], tuple(content[judged_split(content)]["stance_labels"])


def _together(parts: Sequence[tuple[list[Record], list[Scores], tuple[str, ...]]]) -> tuple[Any, Any, Any]:
    records = [record for rows, _, _ in parts for record in rows]
    by_seed = zip(*(scores for _, scores, _ in parts), strict=True)
    joined = [
        Scores(
            each[0].slots,
            np.concatenate([scores.stance for scores in each]),
            np.concatenate([scores.holder for scores in each]),
            np.concatenate([scores.sentiment for scores in each]),
        )
        for each in by_seed
    ]
    return records, joined, parts[0][2]


def _figures(config: Config, records: Sequence[Record], scores: Sequence[Scores], labels: Sequence[str]) -> Figures:
    """Every figure with its interval (seeds averaged within each resample) and its deviation over seeds."""
    tally = tally_of(records, config.evaluation)
    bins = config.evaluation.calibration_bins
    found = [resampled(tally, answer_sheet(records, each, labels), bins) for each in scores]
    figures: Figures = {}
    for name in found[0]:
        values: Floats = np.stack([each[name] for each in found])
        sd = float(values[:, 0].std(ddof=1)) if len(values) > 1 else None
        figures[name] = {**tally.figure(values.mean(0)), "sd": sd, "n": len(records)}
    return figures


def _sheet(config: Config, rows: Mapping[str, Figures]) -> Sheet:
    slots = [name for name in next(iter(rows.values())) if name.endswith(".F_avg") and name not in SHOWN]
    names = [SHOWN[0], *slots, *SHOWN[1:]]
    body = tuple(
        (part, str(figures[SHOWN[0]]["n"]), *(_cell(figures.get(name)) for name in names))
        for part, figures in rows.items()
    )
    seeds = f"{len(config.seeds)} seed{'s' if len(config.seeds) > 1 else ''}"
    note = f"{config.evaluation.level:.0%} intervals by bootstrap over documents, {seeds}"
    return Sheet(f"{config.name}: {config.protocol.name}", ("part", "n", *names), body, note)


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    low, high = figure["low"], figure["high"]
    return f"{100 * figure['value']:.1f}" + (f" [{100 * low:.1f}, {100 * high:.1f}]" if low is not None else "")


def _picture(config: Config, rows: Mapping[str, Figures]) -> Figure:
    """The primary figure of every part with its interval; of a learning curve, against sentences on a log axis."""
    name = SHOWN[0]
    known = {part: figures[name] for part, figures in rows.items() if figures[name]["value"] is not None}
    values = np.array([figure["value"] for figure in known.values()])
    spread = [
        np.array(
            [
                abs(figure["value"] - (figure[side] if figure[side] is not None else figure["value"]))
                for figure in known.values()
            ]
        )
        for side in ("low", "high")
    ]
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
