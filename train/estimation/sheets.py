"""Estimates as tables, a picture and files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tristance.data.agreement import SENTENCE
from tristance.data.annotation_sheet import Labels
from tristance.data.errors import UserError
from tristance.data.files import writing
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.data.statistics import Floats
from tristance.train.comparison.sheets import Sheet, as_html, as_markdown, without_nan
from tristance.train.estimation.estimates import FEW, Estimate
from tristance.train.estimation.predicted import Predicted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS: Final = (".csv", ".html", ".json", ".md", ".svg")
BY_GROUP: Final = ("favor", "against", "positive", "negative", "net")
"""Figures shown for groups; the files hold all."""
DRAWN: Final = ("favor", "against", "positive", "negative")
MAX_LISTED: Final = 6
"""Figures with few labels that are named."""


def about(predicted: Predicted, labels: Labels, estimates: Sequence[Estimate]) -> list[str]:
    """What must be known to read the estimates, in sentences; what should worry begins with `careful:`."""
    rows, labelled = len(predicted.sentences), len(labels.records)
    said = [f"{rows:,} sentences of {predicted.file}, {labelled:,} of them labelled in {labels.file}"]
    clusters = int(predicted.clusters.max()) + 1
    if predicted.clustered_by:
        said.append(f"intervals allow for {clusters:,} clusters, told by {predicted.clustered_by!r}")
    else:
        said.append("intervals take sentences for independent of each other: name what tells documents by --cluster")
    if labels.empty:
        said.append(f"{labels.empty:,} rows of {labels.file} are not labelled yet")
    if labels.passed_over:
        said.append(
            f"careful: {labels.passed_over:,} rows were passed over; the sample is random only if that had nothing to "
            f"do with what they say"
        )
    few = [each for each in estimates if each.seen < FEW and each.kind == "share" and not each.group]
    if few:
        names = ", ".join(
            f"{each.actor} {each.figure} ({each.seen})" for each in few[:MAX_LISTED] if each.kind == "share"
        )
        more = " …" if len(few) > MAX_LISTED else ""
        said.append(f"careful: fewer than {FEW} labelled sentences tell {names}{more}; label more to publish these")
    return said


def sheets(estimates: Sequence[Estimate], predicted: Predicted, level: float) -> list[Sheet]:
    """All tables: every share, shares by group, the difference of two groups, and trends."""
    found = [_shares(estimates, level)]
    if predicted.by:
        found += [_groups(estimates, actor, predicted.by) for actor in _actors(estimates)]
    period = (predicted.by or "").partition(":")[2]
    changes = (
        ("difference", next((each.group for each in estimates if each.kind == "difference"), "")),
        ("trend", f"Change in points a {period}"),
    )
    found += [_changes(estimates, kind, title) for kind, title in changes if any(e.kind == kind for e in estimates)]
    return found


def write_estimates(
    path: str | Path,
    estimates: Sequence[Estimate],
    found: Sequence[Sheet],
    notes: Sequence[str],
    *,
    by: str | None = None,
    level: float = 0.95,
) -> None:
    """Write the estimates in the form that the ending asks for.

    Args:
        path: `.csv` (a row a figure), `.json`, `.md`, `.html` or `.svg`.
        estimates: All of them.
        found: Their tables.
        notes: What `about` says.
        by: What tells groups apart, for the picture.
        level: Coverage of the intervals.

    Raises:
        UserError: If the ending is another one.
        OSError: If it cannot be written.
    """
    require_place(path)
    ending = Path(path).suffix.lower()
    if ending == ".svg":
        import matplotlib as mpl

        # A fixed salt and no date: else no two files would be alike.
        with writing(path, "wb") as stream, mpl.rc_context({"svg.hashsalt": "tristance", "svg.fonttype": "none"}):
            figure(estimates, by, level).savefig(stream, format="svg", metadata={"Date": None})
        return
    if ending == ".csv":
        text = _csv(estimates)
    elif ending == ".json":
        content = {"level": level, "notes": list(notes), "estimates": [dataclasses.asdict(each) for each in estimates]}
        text = json.dumps(without_nan(content), indent=1, ensure_ascii=False) + "\n"
    elif ending == ".md":
        text = as_markdown(found) + "\n" + "".join(f"- {note}\n" for note in notes)
    else:
        text = as_html(found)
    with writing(path) as stream:
        stream.write(text)


def require_place(path: str | Path, *sources: str) -> None:
    """Refuse a file that `write_estimates` could not or must not write.

    Raises:
        UserError: If its ending is none of `ENDINGS`, or it is one of the files that are read.
    """
    if any(Path(path).resolve() == Path(source).resolve() for source in sources):
        raise UserError(f"{path}: is a file that is read; allowed: another file")
    if Path(path).suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: found the ending {Path(path).suffix!r}; allowed: {', '.join(ENDINGS)}")


def figure(estimates: Sequence[Estimate], by: str | None, level: float) -> Figure:
    """Shares of every actor: over all sentences, or by group where there are any; the predictions' count beside."""
    from matplotlib.figure import Figure

    actors = _actors(estimates)
    result = Figure(figsize=(8, 2.6 * len(actors) if by else 0.8 + 1.5 * len(actors)), layout="constrained")
    axes = result.subplots(len(actors), 1, squeeze=False, sharex=True)[:, 0]
    for axis, actor in zip(axes, actors, strict=True):
        shares = [each for each in estimates if each.kind == "share" and each.actor == actor]
        _draw_groups(axis, shares, dated=":" in by) if by else _draw_shares(axis, shares)
        axis.set_title(actor, loc="left", fontsize=10, fontweight="bold", parse_math=False)
        axis.grid(axis="y" if by else "x", alpha=0.25)
        if axis is axes[0] or (by and actor == SENTENCE):
            axis.legend(fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False)
    label = f"% of sentences; lines: {level:.0%} interval"
    result.supylabel(label, fontsize="small") if by else axes[-1].set_xlabel(label)
    return result


def _draw_shares(axis: Axes, shares: Sequence[Estimate]) -> None:
    from tristance.train.evaluation.plots import COLOURS

    shown = [each for each in shares if not each.group and each.figure in (*STANCES, *SENTIMENTS)]
    places = np.arange(len(shown))
    values, reach = _whiskers([(each.value, each.low, each.high) for each in shown])
    axis.errorbar(values, places - 0.15, xerr=reach, fmt="o", color=COLOURS[0], capsize=2, label="estimate")
    values, reach = _whiskers([(each.sample, each.sample_low, each.sample_high) for each in shown])
    axis.errorbar(values, places + 0.15, xerr=reach, fmt="s", color="#888888", capsize=2, label="sample alone")
    axis.plot([100 * each.counted for each in shown], places, "X", color=COLOURS[1], label="counted")
    axis.set_yticks(places, [each.figure for each in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)


def _draw_groups(axis: Axes, shares: Sequence[Estimate], *, dated: bool) -> None:
    """Joined by lines only where groups follow each other."""
    from tristance.train.evaluation.plots import COLOURS, MARKERS

    groups = list(dict.fromkeys(each.group for each in shares if each.group))
    for number, name in enumerate([name for name in DRAWN if any(each.figure == name for each in shares)]):
        shown = [each for each in shares if each.figure == name and each.group]
        places = np.array([groups.index(each.group) for each in shown]) + 0.15 * number
        values, reach = _whiskers([(each.value, each.low, each.high) for each in shown])
        style: dict[str, Any] = {"color": COLOURS[number], "linestyle": "-" if dated else "none"}
        axis.errorbar(places, values, yerr=reach, capsize=2, label=name, marker=MARKERS[number], markersize=4, **style)
        style |= {"linestyle": ":"} if dated else {"marker": "x"}
        axis.plot(places, [100 * each.counted for each in shown], label=f"{name}, counted", **style)
    axis.set_xticks(range(len(groups)), groups, rotation=30, ha="right", fontsize=8)


def _whiskers(found: Sequence[tuple[float, float, float]]) -> tuple[Floats, Floats]:
    """Values in percent, and how far their intervals reach down and up; none where a value has no interval."""
    value, low, high = 100 * np.array(found).T
    value = np.where(np.isnan(low), np.nan, value)
    return value, np.nan_to_num(np.stack([value - low, high - value]))


def _shares(estimates: Sequence[Estimate], level: float) -> Sheet:
    shown = [each for each in estimates if each.kind == "share" and not each.group]
    rows = tuple(
        (
            each.actor,
            each.figure,
            _with_interval(each.value, each.low, each.high),
            _percent(each.counted),
            _with_interval(each.sample, each.sample_low, each.sample_high),
            "–" if math.isnan(each.worth) else f"{each.worth:.0f}",
        )
        for each in shown
    )
    columns = ("actor", "figure", "estimate", "counted", "sample alone", "worth")
    note = (
        f"percent; {level:.0%} intervals, each by itself. counted: from predicted labels alone, bold where outside the "
        f"interval. worth: labels that would do as well without predictions. net: favor - against, positive - negative"
    )
    off = frozenset((row, 3) for row, each in enumerate(shown) if not each.low <= each.counted <= each.high)
    return Sheet("Shares", columns, rows, note, off)


def _groups(estimates: Sequence[Estimate], actor: str, by: str) -> Sheet:
    shown = [each for each in estimates if each.kind == "share" and each.actor == actor and each.group]
    names = [name for name in BY_GROUP if any(each.figure == name for each in shown)]
    cells = {(each.group, each.figure): each for each in shown}
    rows = []
    for group in dict.fromkeys(each.group for each in shown):
        found = [cells[group, name] for name in names]
        size = (f"{found[0].rows:,}", f"{found[0].labelled:,}")
        rows.append((group, *size, *(_with_interval(each.value, each.low, each.high) for each in found)))
    note = "percent of all sentences of the group; a dash where none of them, or a single one, is labelled"
    return Sheet(f"{actor} by {by}", ("", "sentences", "labelled", *names), tuple(rows), note)


def _changes(estimates: Sequence[Estimate], kind: str, title: str) -> Sheet:
    shown = [each for each in estimates if each.kind == kind]
    rows = tuple(
        (each.actor, each.figure, _with_interval(each.value, each.low, each.high, "+"), _percent(each.counted, "+"))
        for each in shown
    )
    note = "points; bold where the interval leaves out 0. counted: from predicted labels alone"
    clear = frozenset((row, 2) for row, each in enumerate(shown) if each.low > 0 or each.high < 0)
    return Sheet(title, ("actor", "figure", "estimate", "counted"), rows, note, clear)


def _actors(estimates: Iterable[Estimate]) -> list[str]:
    """In order, the sentence last."""
    return sorted(dict.fromkeys(each.actor for each in estimates), key=lambda actor: actor == SENTENCE)


def _percent(value: float, sign: str = "") -> str:
    return "–" if math.isnan(value) else f"{100 * value:{sign}.1f}"


def _with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    if math.isnan(low):
        return "–"
    return f"{_percent(value, sign)} [{_percent(low, sign)}, {_percent(high, sign)}]"


def _csv(estimates: Sequence[Estimate]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in dataclasses.fields(Estimate)], lineterminator="\n")
    writer.writeheader()
    for each in estimates:
        row = dataclasses.asdict(each)
        writer.writerow(
            {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        )
    return stream.getvalue()
