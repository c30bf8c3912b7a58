"""How the labels of a set are spread: over actors, holders, genres and lengths; as numbers and as a picture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.files import writing
from tristance.data.labels import HELD, SENTIMENTS, STANCES, holder_labels
from tristance.data.records import Record

QUANTILES: Final = {"min": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
NO_GENRE: Final = "(none)"
COLORS: Final = {
    "favor": "#0072B2",
    "against": "#D55E00",
    "neutral": "#BBBBBB",
    "unrelated": "#EEEEEE",
    "positive": "#0072B2",
    "negative": "#D55E00",
}
"""Blue and vermilion of Okabe and Ito's palette, told apart by every kind of colour vision; greys for the rest."""


def balance(records: Iterable[Record], actors: Actors) -> dict[str, Any]:
    """Count the labels of a set. What is not annotated is not counted.

    Args:
        records: The sentences.
        actors: Whose labels are counted.

    Returns:
        What JSON can hold: `records`; `stance` {actor: {label: count}}, and `targets` {label: count} for what is no
        actor; `holder` {actor: {label: count}} where a stance is held; `sentiment` {label: count}; `genre`
        {genre: {actor: {label: count}}}; `referred` {number of actors referred to, as text: sentences}; `opposite`
        {count, of, share} of the sentences that favour one actor and are against another; `words` and `characters`,
        lengths by the names of `QUANTILES`. `referred` and `opposite` count only the sentences that have a label for
        every actor.
    """
    rows = list(records)
    complete = [row for row in rows if all(row.stance.get(actor) is not None for actor in actors.ids)]
    holders = _holders(rows, actors)
    genres = sorted({_genre(row) for row in rows})
    opposite = sum(set(HELD) <= {row.stance[actor] for actor in actors.ids} for row in complete)
    referred = Counter(sum(row.stance[actor] != "unrelated" for actor in actors.ids) for row in complete)
    return {
        "records": len(rows),
        "stance": _stances(rows, actors.ids),
        "targets": _count((target.stance for row in rows for target in row.targets), STANCES),
        "holder": {actor: _count(_held_by(rows, actor), holders) for actor in actors.ids},
        "sentiment": _count((row.sentiment for row in rows), SENTIMENTS),
        "genre": {genre: _stances([row for row in rows if _genre(row) == genre], actors.ids) for genre in genres},
        "referred": {str(number): referred[number] for number in range(len(actors) + 1)},
        "opposite": {
            "count": opposite,
            "of": len(complete),
            "share": opposite / len(complete) if complete else None,
        },
        "words": _quantiles([len(row.text.split()) for row in rows]),
        "characters": _quantiles([len(row.text) for row in rows]),
    }


def plot_balance(result: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw what `balance` gives as stacked bars: stance of each actor, over all and by genre, and sentiment.

    Args:
        result: From `balance`.
        path: An .svg or .png file; it appears whole or not at all.

    Raises:
        UserError: If the name ends otherwise, or matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise UserError(f"{path}: cannot be drawn; allowed: a name that ends in .svg or .png")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(f"{path}: needs the package 'matplotlib': pip install 'tristance[train]'") from error

    stance = dict(result["stance"])
    if any(result["targets"].values()):
        stance["targets"] = result["targets"]
    panels: list[tuple[str, Mapping[str, Mapping[str, int]], Sequence[str]]] = [("Stance", stance, STANCES)]
    if list(result["genre"]) != [NO_GENRE]:
        panels += [(f"Stance: {genre}", counts, STANCES) for genre, counts in result["genre"].items()]
    panels.append(("Sentiment", {"sentence": result["sentiment"]}, SENTIMENTS))
    heights = [len(bars) + 1.2 for _, bars, _ in panels]
    # A fixed salt and no date: the same numbers give the same file.
    with mpl.rc_context({"svg.hashsalt": "tristance", "font.size": 9}):
        figure = Figure(figsize=(8, 0.42 * sum(heights)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (title, bars, labels) in zip(axes, panels, strict=True):
            _draw_bars(axis, title, bars, labels)
        with writing(path, "wb") as stream:
            figure.savefig(stream, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)


def _stances(rows: Sequence[Record], actors: Sequence[str]) -> dict[str, dict[str, int]]:
    return {actor: _count((row.stance.get(actor) for row in rows), STANCES) for actor in actors}


def _held_by(rows: Sequence[Record], actor: str) -> list[str | None]:
    return [row.holder.get(actor) for row in rows if row.stance.get(actor) in HELD]


def _holders(rows: Sequence[Record], actors: Actors) -> tuple[str, ...]:
    """Holders that may occur: an actor's stance may be held by a target of the sentence too."""
    targets = dict.fromkeys(target.id for row in rows if row.stance for target in row.targets)
    return (*holder_labels(actors.ids), *targets)


def _count(labels: Iterable[str | None], allowed: Sequence[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {label: counts[label] for label in allowed}


def _genre(row: Record) -> str:
    genre = row.fields.get("genre")
    return NO_GENRE if genre is None else str(genre)


def _quantiles(lengths: Sequence[int]) -> dict[str, int | None]:
    """Nearest-rank quantiles: lengths that occur."""
    ranked = sorted(lengths)
    return {name: ranked[round(share * (len(ranked) - 1))] if ranked else None for name, share in QUANTILES.items()}


def _draw_bars(axis: Any, title: str, bars: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> None:
    """One horizontal bar for each row, cut into its labels' shares, with the counts written in."""
    left = [0.0] * len(bars)
    totals = [sum(counts.values()) or 1 for counts in bars.values()]
    for label in labels:
        numbers = [counts[label] for counts in bars.values()]
        shares = [number / total for number, total in zip(numbers, totals, strict=True)]
        style = {"color": COLORS[label], "edgecolor": "#555555", "linewidth": 0.5}
        drawn = axis.barh(list(bars), shares, left=left, label=label, **style)
        texts = [str(number) if share >= 0.04 else "" for number, share in zip(numbers, shares, strict=True)]
        axis.bar_label(drawn, texts, label_type="center", color="white" if label in ("favor", "positive") else "black")
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axis.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axis.set_xlim(0, 1)
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter("{x:.0%}")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
