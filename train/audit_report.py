"""An audit as tables for the terminal, and as files: audit.json with its figures as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tristance.data.checks import NEAR
from tristance.data.files import writing
from tristance.train.audit import LIMIT_ALONE, LIMIT_TOGETHER, TOGETHER
from tristance.train.evaluation.report import plain_table
from tristance.train.repeats import LIMIT_WITHIN
from tristance.train.runs import write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Result = Mapping[str, Any]


def render(result: Result) -> RenderableType:
    """Tables of what `audit` gives, readable at 100 columns; what misses its limit is marked.

    Args:
        result: From `audit`.

    Returns:
        Something that a rich console prints.
    """
    sizes = ", ".join(f"{name} {count}" for name, count in result["files"].items())
    parts: list[RenderableType] = [Text(f"Audit of {sizes}", style="bold")]
    parts += [Text(f"note: {note}", style="yellow") for note in result["notes"]]
    if result["shortcuts"]:
        parts += [Text(), _shortcuts(result["shortcuts"])]
    for actor, stances in result["tokens"].items():
        parts += [Text(), _tokens(actor, stances)]
    parts += [Text(), _repeats(result["repeats"])]
    parts += _examples([example for each in result["repeats"].values() for example in each["examples"]])
    for name, found in result["overlap"].items():
        said = f"Overlap with {name}: {found['exact']} the same, {found['near']} nearly the same"
        parts += [Text(), Text(said, style="" if found["passed"] else "red"), *_examples(found["examples"])]
    parts += [Text(), Text(_growth(result["growth"]))]
    if result["curve"]:
        parts += [Text(), _curve(result["curve"], result["baselines"])]
    return Group(*parts)


def write_audit(result: Result, folder: str | Path) -> list[Path]:
    """Write `audit.json` and its figures.

    Args:
        result: From `audit`.
        folder: Where `audit.json`, `shortcuts.svg`, `tokens.svg`, `growth.svg` and `curve.svg` go; a figure of what was
            not audited is left out.

    Returns:
        The files written. The same audit gives the same bytes.

    Raises:
        OSError: If they cannot be written.
    """
    import matplotlib as mpl

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "shortcuts": _draw_shortcuts(result["shortcuts"]) if result["shortcuts"] else None,
        "tokens": _draw_tokens(result["tokens"]) if result["tokens"] else None,
        "growth": _draw_growth(result["growth"]),
        "curve": _draw_curve(result["curve"], result["baselines"]) if result["curve"] else None,
    }
    written = [folder / "audit.json"]
    write_json(written[0], dict(result))
    for name, figure in figures.items():
        if figure is not None:
            path = folder / f"{name}.svg"
            # A fixed salt and no date: else no two files would be alike.
            with writing(path, "wb") as stream, mpl.rc_context({"svg.hashsalt": "tristance", "svg.fonttype": "none"}):
                figure.savefig(stream, format="svg", metadata={"Date": None})
            written.append(path)
    return written


def _shortcuts(shortcuts: Result) -> Table:
    table = plain_table(
        "Stance told without the sentence: accuracy, and points over the majority", *map(escape, shortcuts)
    )
    majority = (f"{escape(each['majority']['label'])} {each['majority']['share']:.1%}" for each in shortcuts.values())
    table.add_row("majority", *majority, style="dim")
    for name in next(iter(shortcuts.values()))["properties"]:
        cells = []
        for each in shortcuts.values():
            told = each["properties"][name]
            style = "green" if told["passed"] else "red"
            verdict = "ok" if told["passed"] else f"over {told['limit']:.0f}"
            cells.append(f"{told['accuracy']:.1%} {told['gain']:+5.1f} [{style}]{verdict:>7}[/]")
        table.add_row(name, *cells, style="bold" if name == TOGETHER else None)
    table.caption = (
        f"Over the sentences that refer to the actor; logistic regression, cross-validated by document. "
        f"Limits: {LIMIT_ALONE:.0f} points alone, {LIMIT_TOGETHER:.0f} together."
    )
    return table


def _tokens(actor: str, stances: Result) -> Table:
    table = plain_table(f"Tokens with the strongest pull: {escape(actor)}", *stances)
    for row in range(max(map(len, stances.values()))):
        cells = [_token(found[row]) if row < len(found) else "" for found in stances.values()]
        table.add_row(str(row + 1), *cells)
    table.caption = "Share with the stance of the sentences that hold the token, and how many; by z of the log-odds."
    return table


def _token(found: Result) -> str:
    return f"{escape(found['token'])} {found['share']:.0%} of {found['sentences']} (z {found['z']:.1f})"


def _repeats(repeats: Result) -> Table:
    files = list(next(iter(repeats.values()))["within"])
    table = plain_table(
        "Sentences that have one alike", *(f"in {escape(Path(name).name)}" for name in files), "across files"
    )
    for name, found in repeats.items():
        cells = []
        for file in files:
            within = found["within"][file]
            style = "green" if within["share"] <= LIMIT_WITHIN else "red"
            cells.append(f"{within['count']} ([{style}]{within['share']:.2%}[/])")
        across = f"[{'red' if found['across'] else 'green'}]{found['across']}[/]"
        table.add_row("as they stand" if name == "sentences" else name, *cells, across)
    table.caption = (
        f"Alike: Jaccard similarity of word 3-grams of {NEAR} or more; skeletons: after names and numbers are "
        f"masked. Twins of a pair aside. Limits: {LIMIT_WITHIN:.0%} within, none across."
    )
    return table


def _examples(examples: Sequence[Result]) -> list[RenderableType]:
    lines = []
    for example in examples:
        lines.append(f"  {example['score']:.2f}")
        lines += [f"    {each['file']} {each['id']}: {each['text']}" for each in example["sentences"]]
    return [Text("\n".join(lines), style="dim")] if lines else []


def _growth(growth: Result) -> str:
    last = growth["points"][-1]
    exponent = "" if growth["exponent"] is None else f"; Heaps exponent {growth['exponent']:.2f}"
    return f"Vocabulary: {last['types']:,} words in {last['tokens']:,} tokens{exponent}"


def _curve(curve: Result, baselines: Result) -> Table:
    names = list(next(iter(baselines.values())))
    table = plain_table(f"F_avg on {escape(curve['test'])}", *map(escape, names))
    rows = dict(baselines) | {f"tfidf, {point['sentences']} sentences": point["F_avg"] for point in curve["points"]}
    for name, figures in rows.items():
        table.add_row(name, *("–" if figures[each] is None else f"{100 * figures[each]:.1f}" for each in names))
    if len(curve["points"]) > 1:
        before, last = curve["points"][-2:]
        gain = 100 * ((last["F_avg"]["mean"] or 0) - (before["F_avg"]["mean"] or 0))
        table.caption = (
            f"The last step, {before['sentences']} to {last['sentences']} sentences, brings {gain:+.1f} points."
        )
    return table


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _styles() -> tuple[Sequence[str], str]:
    from tristance.train.evaluation.plots import COLOURS, MARKERS

    return COLOURS, MARKERS


def _draw_shortcuts(shortcuts: Result) -> Figure:
    colours, _ = _styles()
    figure = _figure(8, 4)
    axis = figure.subplots()
    names = list(next(iter(shortcuts.values()))["properties"])
    width = 0.8 / len(shortcuts)
    for number, (actor, each) in enumerate(shortcuts.items()):
        places = [place - 0.4 + (number + 0.5) * width for place in range(len(names))]
        gains = [each["properties"][name]["gain"] for name in names]
        axis.bar(places, gains, width, label=actor, color=colours[number % len(colours)])
    for place, name in enumerate(names):
        limit = LIMIT_TOGETHER if name == TOGETHER else LIMIT_ALONE
        label = "_" if place else "limit"  # the legend leaves out a label that begins so
        axis.hlines(limit, place - 0.45, place + 0.45, colors="black", linestyles="--", label=label)
    axis.axhline(0, color="#888888", linewidth=0.8)
    axis.set_xticks(range(len(names)), names, rotation=20)
    axis.set(ylabel="points over the majority share", title="Stance told without the sentence")
    axis.legend(fontsize="small")
    return figure


def _draw_tokens(tokens: Result) -> Figure:
    colours, _ = _styles()
    stances = list(next(iter(tokens.values())))
    figure = _figure(3.2 * len(stances), 2.8 * len(tokens))
    axes = figure.subplots(len(tokens), len(stances), squeeze=False)
    for row, (actor, found) in zip(axes, tokens.items(), strict=True):
        for number, (axis, stance) in enumerate(zip(row, stances, strict=True)):
            axis.barh(range(len(found[stance])), [each["z"] for each in found[stance]], color=colours[number])
            axis.set_yticks(range(len(found[stance])), [each["token"] for each in found[stance]], fontsize=7)
            axis.invert_yaxis()
            axis.set_title(f"{actor}: {stance}", fontsize=9, parse_math=False)
    for axis in axes[-1]:
        axis.set_xlabel("z of the log-odds")
    return figure


def _draw_growth(growth: Result) -> Figure:
    colours, markers = _styles()
    figure = _figure(5, 3.6)
    axis = figure.subplots()
    series = ([point[name] for point in growth["points"]] for name in ("tokens", "types"))
    axis.plot(*series, color=colours[0], marker=markers[0], markersize=4)
    axis.set(xlabel="tokens", ylabel="types", title="Vocabulary growth", xlim=(0, None), ylim=(0, None))
    axis.grid(alpha=0.25)
    return figure


def _draw_curve(curve: Result, baselines: Result) -> Figure:
    colours, markers = _styles()
    figure = _figure(6, 4)
    axis = figure.subplots()
    for number, name in enumerate(next(iter(baselines.values()))):
        style: dict[str, Any] = {"color": colours[number % len(colours)], "marker": markers[number % len(markers)]}
        points = [(point["sentences"], point["F_avg"][name]) for point in curve["points"]]
        _line(axis, points, f"tfidf, {name}", style)
    for name, linestyle in zip(baselines, ("-.", ":"), strict=False):
        if baselines[name]["mean"] is not None:
            axis.axhline(baselines[name]["mean"], color="#555555", linestyle=linestyle, label=f"{name}, mean")
    axis.set_xscale("log", base=2)
    sizes = [point["sentences"] for point in curve["points"]]
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.set(xlabel="training sentences", ylabel="F_avg", title=f"Learning curve on {Path(curve['test']).name}")
    axis.grid(alpha=0.25)
    axis.legend(fontsize="small")
    return figure


def _line(axis: Axes, points: Sequence[tuple[int, float | None]], label: str, style: Mapping[str, Any]) -> None:
    defined = [(size, value) for size, value in points if value is not None]
    axis.plot([size for size, _ in defined], [value for _, value in defined], label=label, markersize=4, **style)
