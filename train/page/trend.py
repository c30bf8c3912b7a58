"""Shares over groups of articles as a picture: a panel an actor, an interval a point."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from tristance.models.rollup import Share
from tristance.train.comparison.sheets import Sheet
from tristance.train.evaluation.plots import COLOURS
from tristance.train.page.charts import picture, svg
from tristance.train.page.render import render_page
from tristance.train.reading import Overview, overview_table, towards_table

DRAWN: Final = {"favor": (COLOURS[0], "^"), "against": (COLOURS[1], "v")}
"""Colour and marker of each stance."""


def overview_page(overview: Overview, names: Mapping[str, str]) -> str:
    """One self-contained page: the picture, and the table with the same figures."""
    columns, rows = overview_table(overview, names)
    told, cells = towards_table(overview.total.rollup, names)
    tables = [
        Sheet(f"Stances by {overview.unit}", tuple(columns), tuple(rows), " ".join(overview.notes)),
        Sheet("Who towards whom", tuple(told), tuple(cells), "Sentences in favor, against, and net, as predicted."),
    ]
    chart = {"address": picture(trend_figure(overview, names)), "alt": "Shares with intervals, as in the table below."}
    title = f"{overview.total.articles} articles by {overview.unit}"
    return render_page(title, charts=[{"title": "Shares in favor and against", **chart}], sheets=tables)


def trend_svg(overview: Overview, names: Mapping[str, str]) -> str:
    """The picture alone, as a file."""
    return svg(trend_figure(overview, names))


def trend_figure(overview: Overview, names: Mapping[str, str]) -> Figure:
    """Share in favor and against by group: lines over time, points side by side for sources and articles.

    Args:
        overview: The articles.
        names: Actor's id to the name shown.
    """
    actors = list(overview.total.rollup.actors)
    dated = overview.by.startswith("date:")
    wide = min(max(7.0, 0.35 * len(overview.groups) + 2), 24)
    figure = Figure(figsize=(wide, 2.3 * len(actors) + 0.8), layout="constrained")
    axes = figure.subplots(len(actors), 1, squeeze=False, sharex=True)[:, 0]
    for axis, actor in zip(axes, actors, strict=True):
        for number, (stance, (colour, marker)) in enumerate(DRAWN.items()):
            shares = [group.rollup.actors[actor].shares.get(stance) for group in overview.groups]
            places = _days(overview) if dated else np.arange(len(shares)) + 0.2 * number - 0.1
            _draw(axis, places, shares, dated=dated, label=stance, color=colour, marker=marker)
        axis.set_title(f"towards {names[actor]}", loc="left", fontsize=10, fontweight="bold", parse_math=False)
        axis.set(ylim=(-3, 103), ylabel="%")
        axis.grid(axis="y", alpha=0.25)
    axes[0].legend(fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    if dated:
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes[-1].xaxis.set_major_locator(locator)
        axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    else:
        labels = [each.name if len(each.name) < 30 else f"…{each.name[-28:]}" for each in overview.groups]
        axes[-1].set_xticks(range(len(labels)), labels, rotation=35, ha="right", parse_math=False)
    axes[-1].set_xlabel("of the sentences about the actor; lines: intervals of 95 %")
    return figure


def _draw(axis: Any, places: Any, shares: list[Share | None], *, dated: bool, **style: Any) -> None:
    known = [(place, share) for place, share in zip(places, shares, strict=True) if share is not None]
    if not known:
        return
    at = [place for place, _ in known]
    value, low, high = (
        100 * np.array([getattr(share, name) for _, share in known]) for name in ("value", "low", "high")
    )
    line = {"linestyle": "-" if dated else "none", "linewidth": 1.2, "elinewidth": 0.9, "capsize": 2, "markersize": 5}
    axis.errorbar(at, value, yerr=[value - low, high - value], **line, **style)


def _days(overview: Overview) -> list[date]:
    """When each period begins."""
    return [date.fromisoformat((group.name + "-01-01")[:10]) for group in overview.groups]
