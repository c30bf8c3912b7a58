"""An evaluation as tables for the terminal. Figures are in percent; their intervals stand behind them in brackets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

SHORT = {"unrelated": "unrel."}
MAX_SLOTS = 7
"""Slots shown at most; beyond that only all of them as one (the targets of a public set are numbers, not actors)."""


def render(
    metrics: Mapping[str, Any],
    title: str = "Evaluation",
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
    behaviour: Mapping[str, Mapping[str, Any]] | None = None,
) -> RenderableType:
    """Tables of the content of metrics.json, readable at 100 columns.

    Args:
        metrics: What `evaluate` gives, with the `calibration` block where there is one.
        title: What was evaluated on what.
        baselines: Metrics of other models on the same rows, by name, to stand beside it.
        behaviour: What the behaviour tests gave.

    Returns:
        Something that a rich console prints.
    """
    interval = metrics["interval"]
    about = f"{metrics['n']} sentences, {metrics['clusters']} clusters"
    if interval["resamples"]:
        about += f"; [low, high]: {interval['level']:.0%} bootstrap interval, {interval['resamples']} resamples"
    parts: list[RenderableType] = [Text(title, style="bold"), Text(about, style="dim"), Text()]
    parts += [_slots(metrics), Text(), _overall(metrics), Text(), _classes(metrics["sentiment"], "sentiment")]
    if any(metrics["missing"].values()):
        missing = ", ".join(f"{count} {task}" for task, count in metrics["missing"].items() if count)
        parts.append(Text(f"missing predictions, counted as wrong: {missing}", style="yellow"))
    if "calibration" in metrics:
        parts += [Text(), _calibration(metrics["calibration"], _shown(metrics))]
    if baselines:
        parts += [Text(), _beside({"this model": metrics, **baselines})]
    if behaviour:
        parts += [Text(), _behaviour(behaviour)]
    return Group(*parts)


def percent(figure: Mapping[str, Any] | None) -> str:
    """A figure's value in percent; a dash where undefined."""
    return "–" if figure is None or figure["value"] is None else f"{100 * figure['value']:.1f}"


def with_interval(figure: Mapping[str, Any] | None) -> str:
    """A figure in percent with its interval."""
    if figure is None or figure["low"] is None:
        return percent(figure)
    return f"{percent(figure)} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def plain_table(title: str, *columns: str) -> Table:
    """A table as all reports have them: a title, a column of names, and columns of figures."""
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    table.box, table.padding, table.pad_edge = box.SIMPLE_HEAD, (0, 1, 0, 0), False
    table.add_column("", overflow="fold", min_width=8)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _shown(metrics: Mapping[str, Any]) -> dict[str, Any]:
    slots = dict(metrics["slots"])
    return slots if len(slots) <= MAX_SLOTS else {}


def _slots(metrics: Mapping[str, Any]) -> Table:
    labels = metrics["stance_labels"]
    heads = [SHORT.get(label, label) for label in labels]
    table = plain_table("Stance", "n", "F_avg", "macro", *heads, "detect", "holder", "ECE")
    slots = _shown(metrics)
    rows = slots if len(slots) == 1 else {**slots, "pooled": metrics["pooled"]}
    for number, (name, block) in enumerate(rows.items()):
        table.add_row(
            escape(name),
            str(block["n"]),
            with_interval(block["F_avg"]),
            percent(block["macro_F1"]),
            *(percent(block["classes"][label]["F1"]) for label in labels),
            percent(block.get("detection", {}).get("F1")),
            percent(block["holder"]["macro_F1"]),
            percent(block["ece"]),
            style="dim" if slots and number == len(slots) else None,
        )
    table.caption = "F_avg: mean F1 of favor and against. Classes, detect (related or not), holder: F1."
    return table


def _overall(metrics: Mapping[str, Any]) -> Table:
    overall = metrics["overall"]
    table = plain_table("Overall", "")
    table.show_header = False
    lines = {
        "mean F_avg over actors": "mean.F_avg",
        f"worst F_avg ({escape(overall['worst.F_avg']['slot'] or 'none')})": "worst.F_avg",
        "mean macro F1 over actors": "mean.macro_F1",
        "all stances of a sentence right": "joint_accuracy",
        "holders and sentiment right too": "joint_accuracy_all",
        "holder macro F1, actors pooled": "holder.macro_F1",
        "stance and holder right, where held": "holder.end_to_end",
        "mean calibration error": "mean.ece",
    }
    if metrics["primary"]["name"] not in lines.values():
        lines = {metrics["primary"]["name"]: metrics["primary"]["name"], **lines}
    for line, name in lines.items():
        primary = name == metrics["primary"]["name"]
        table.add_row(f"{line} *" if primary else line, with_interval(overall[name]), style="bold" if primary else None)
    table.caption = f"* {metrics['primary']['name']}: the primary figure"
    return table


def _classes(block: Mapping[str, Any], title: str) -> Table:
    labels = block["confusion"]["labels"]
    table = plain_table(title.capitalize(), "n", "macro F1", "accuracy", *labels, "ECE")
    table.add_row(
        title,
        str(block["n"]),
        with_interval(block["macro_F1"]),
        with_interval(block["accuracy"]),
        *(percent(block["classes"][label]["F1"]) for label in labels),
        percent(block["ece"]),
    )
    return table


def _calibration(calibration: Mapping[str, Any], slots: Mapping[str, Any]) -> Table:
    names = [name for name in calibration["before"] if name in (*slots, "mean", "holder", "sentiment")]
    table = plain_table("Calibration error", *map(escape, names))
    temperature = ", ".join(f"{task} {value:.2f}" for task, value in calibration["temperature"].items())
    for when in ("before", "after"):
        table.add_row(f"{when} temperature", *(percent(calibration[when][name]) for name in names))
    table.caption = f"temperature: {temperature}"
    return table


def _behaviour(tests: Mapping[str, Mapping[str, Any]]) -> Table:
    table = plain_table("Behaviour", "n", "passed")
    for name, found in tests.items():
        table.add_row(name.replace("_", " "), str(found["n"]), with_interval(found["passed"]))
    table.caption = "consistency: share of pairs; invariance: share of changed sentences. METRICS.md defines each."
    return table


def _beside(models: Mapping[str, Mapping[str, Any]]) -> Table:
    slots = list(_shown(next(iter(models.values()))))
    table = plain_table("Beside it: F_avg", *map(escape, slots), "mean", "worst", "pooled", "holder", "sentim.")
    for number, (name, metrics) in enumerate(models.items()):
        overall = metrics["overall"]
        table.add_row(
            escape(name),
            *(percent(metrics["slots"].get(slot, {}).get("F_avg")) for slot in slots),
            with_interval(overall["mean.F_avg"]),
            percent(overall["worst.F_avg"]),
            percent(overall["pooled.F_avg"]),
            percent(overall["holder.macro_F1"]),
            percent(overall["sentiment.macro_F1"]),
            style="bold" if number == 0 else None,
        )
    return table
