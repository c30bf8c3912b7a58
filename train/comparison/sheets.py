"""A comparison as tables, and each table as terminal text, Markdown, CSV, LaTeX, JSON or HTML."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.markup import escape
from rich.table import Table

from tristance.data.actors import Actors
from tristance.train.comparison.flips import UNMARKED, Flip, counted, flips
from tristance.train.comparison.gather import Comparison, Experiment
from tristance.train.comparison.paired import LOWER_IS_BETTER, Difference, Paired, verdict

OVERALL: Final = (
    *("mean.F_avg", "worst.F_avg", "joint_accuracy", "mean.detection_F1", "holder.macro_F1", "holder.end_to_end"),
    *("sentiment.macro_F1", "mean.ece"),
)
SHOWN_FLIPS: Final = 10
"""Flips shown a pair of experiments."""
SHOWN_PHENOMENA: Final = 8
LATEX: Final = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"} | {"±": "$\\pm$"})
WORDS: Final = ("", "part", "sentence", "figure", "experiment", "is", "actor", "phenomenon", "test")
"""Columns that hold no numbers."""


@dataclass(frozen=True)
class Sheet:
    """One table of words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) that stand out."""
    dim: int = 0
    """Rows at the top that only say what differs."""


def sheets(comparison: Comparison, paired: Paired | None = None, shown_flips: int = SHOWN_FLIPS) -> list[Sheet]:
    """All tables of a comparison: the figures, then differences, verdicts and flips where predictions were paired."""
    found = [figures_sheet(comparison)]
    if paired is not None:
        found += [differences_sheet(paired), verdicts_sheet(paired)]
        for other in paired.scored[1:]:
            turned = flips(paired.records, paired.scored[0], other)
            found += [phenomena_sheet(turned, paired.reference, other.name)]
            found += [flips_sheet(turned[:shown_flips], paired.reference, other.name)] if shown_flips else []
    return found


def figures_sheet(comparison: Comparison) -> Sheet:
    """What differs, and every figure as mean ± sd over seeds: experiments as columns."""
    experiments = comparison.experiments
    rows = [(key, *(_said(each.config.get(key, "–")) for each in experiments)) for key in comparison.differs]
    rows.append(("seeds", *(str(len(each.runs)) for each in experiments)))
    best: set[tuple[int, int]] = set()
    dim = len(rows)
    for name in _names(comparison):
        best |= {(len(rows), 1 + column) for column in _best(comparison, name)}
        starred = f"{name} *" if name in comparison.primary else name
        rows.append((starred, *(mean_sd(each.figures.get(name)) for each in experiments)))
    rows.append(("training seconds", *(mean_sd(each.seconds, 1, 0) for each in experiments)))
    rows.append(("sentences a second", *(mean_sd(each.speed, 1, 0) for each in experiments)))
    rows.append(("million weights", *(_millions(each) for each in experiments)))
    columns = ("", *(each.name for each in experiments))
    title = f"Comparison on {comparison.split}"
    return Sheet(title, columns, tuple(rows), "* the primary figure; mean ± sd over seeds", frozenset(best), dim)


def differences_sheet(paired: Paired) -> Sheet:
    """Every difference from the reference in points, with its interval, test and effect."""
    columns = ("experiment", "figure", "difference", "p", "p (Holm)", "Cohen's h", "test")
    rows = [
        (
            each.experiment,
            each.figure,
            f"{_points(each, each.difference)} [{_points(each, each.low)}, {_points(each, each.high)}]",
            _p(each.p),
            _p(each.p_holm),
            f"{each.effect:+.2f} [{each.effect_low:+.2f}, {each.effect_high:+.2f}]",
            each.test,
        )
        for each in paired.differences
    ]
    level = paired.differences[0].level if paired.differences else 0.95
    note = (
        f"{len(paired.records)} sentences in {paired.clusters} clusters; {level:.0%} intervals by paired bootstrap "
        f"over these, seeds averaged; Holm over {len(rows)} comparisons. Differences in points (ece: as a share)"
    )
    best = frozenset((row, 2) for row, each in enumerate(paired.differences) if each.better is not None)
    return Sheet(f"Differences from {paired.reference}", columns, tuple(rows), note, best)


def verdicts_sheet(paired: Paired, names: Mapping[str, str] | None = None) -> Sheet:
    """Each difference in plain words."""
    called = names if names is not None else {actor.id: actor.name for actor in Actors.load()}
    rows = tuple((each.experiment, verdict(each, called)) for each in paired.differences)
    return Sheet(f"Against {paired.reference}", ("experiment", "is"), rows)


def phenomena_sheet(turned: Sequence[Flip], reference: str, other: str) -> Sheet:
    """Where the flips are: won and lost by actor and phenomenon."""
    counts = list(counted(turned).items())[:SHOWN_PHENOMENA]
    rows = tuple(
        (slot, "(none)" if kind == UNMARKED else kind, f"+{w}", f"-{lost}") for (slot, kind), (w, lost) in counts
    )
    won = sum(flip.won for flip in turned)
    note = f"{won} stances won, {len(turned) - won} lost in all"
    return Sheet(f"Flips from {reference} to {other}", ("actor", "phenomenon", "won", "lost"), rows, note)


def flips_sheet(turned: Sequence[Flip], reference: str, other: str) -> Sheet:
    """Single flips: what was said, and who was right."""
    columns = ("sentence", "actor", "gold", reference, other, "wrong with")
    rows = tuple(
        (each.record.text, each.slot, each.gold, each.reference, each.other, f"{each.confidence:.2f}")
        for each in turned
    )
    return Sheet(f"Most confident flips from {reference} to {other}", columns, rows)


def as_table(sheet: Sheet) -> Table:
    """For the terminal."""
    shown = Table(title=sheet.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    shown.caption, shown.caption_justify = sheet.note or None, "left"
    for column in sheet.columns:
        words = column in WORDS
        whole = words and column not in ("sentence", "is")
        shown.add_column(escape(column), justify="left" if words else "right", overflow="fold", no_wrap=whole)
    for number, row in enumerate(sheet.rows):
        cells = [escape(cell) for cell in row]
        marked = [f"[bold]{cell}[/bold]" if (number, place) in sheet.best else cell for place, cell in enumerate(cells)]
        last = number == sheet.dim - 1
        shown.add_row(*marked, style="dim" if number < sheet.dim - 1 else None, end_section=last)
    return shown


def as_markdown(found: Sequence[Sheet], *_: Any) -> str:
    """GitHub's tables."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    parts = []
    for sheet in found:
        rows = [
            [f"**{cell}**" if (number, place) in sheet.best else cell for place, cell in enumerate(row)]
            for number, row in enumerate(sheet.rows)
        ]
        body = [line(sheet.columns), line("---" for _ in sheet.columns), *(line(row) for row in rows)]
        parts.append("\n".join([f"### {sheet.title}", "", *body, *(["", f"*{sheet.note}*"] if sheet.note else [])]))
    return "\n\n".join(parts) + "\n"


def as_latex(found: Sequence[Sheet], *_: Any) -> str:
    """Booktabs tables, every character escaped."""
    import pandas as pd

    parts = []
    for sheet in found:
        frame = pd.DataFrame([list(row) for row in sheet.rows], columns=list(sheet.columns))
        layout = "l" + ("r" if sheet.columns[0] == "" else "l") * (len(sheet.columns) - 1)
        caption = f"{sheet.title}. {sheet.note}".translate(LATEX)
        parts.append(frame.to_latex(index=False, escape=True, column_format=layout, caption=caption, position="t"))
    return "\n".join(parts)


def as_csv(_: Sequence[Sheet], comparison: Comparison, paired: Paired | None) -> str:
    """A row an experiment and figure, as shares: means, deviations, and differences from the reference."""
    tested = {(each.experiment, each.figure): each for each in paired.differences} if paired else {}
    stream = io.StringIO()
    columns = ("experiment", "figure", "seeds", "mean", "sd", "reference", *TESTED)
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for experiment in comparison.experiments:
        for figure, values in experiment.figures.items():
            row: dict[str, Any] = {"experiment": experiment.name, "figure": figure, "seeds": len(values)}
            row |= {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else ""}
            if found := tested.get((experiment.name, figure)):
                row |= {"reference": paired.reference if paired else ""} | {key: getattr(found, key) for key in TESTED}
            writer.writerow(row)
    return stream.getvalue()


TESTED: Final = ("difference", "low", "high", "p", "p_holm", "effect", "effect_low", "effect_high", "test")


def as_json(_: Sequence[Sheet], comparison: Comparison, paired: Paired | None) -> str:
    """Everything, unrounded, shares of 1; null where undefined."""
    content: dict[str, Any] = {
        "format": "tristance.comparison/1",
        "split": comparison.split,
        "differs": list(comparison.differs),
        "experiments": {
            each.name: {
                "runs": [str(run.folder) for run in each.runs],
                "config": {key: each.config.get(key) for key in comparison.differs},
                "figures": each.figures,
                "training_seconds": each.seconds,
                "sentences_a_second": each.speed,
                "parameters": each.parameters,
            }
            for each in comparison.experiments
        },
    }
    if paired:
        content["reference"] = paired.reference
        content["differences"] = [dataclasses.asdict(each) | {"better": each.better} for each in paired.differences]
        content["flips"] = {
            other.name: [
                {"id": flip.record.id, "text": flip.record.text}
                | {key: getattr(flip, key) for key in ("slot", "gold", "reference", "other", "won", "confidence")}
                for flip in flips(paired.records, paired.scored[0], other)
            ]
            for other in paired.scored[1:]
        }
    return json.dumps(without_nan(content), indent=1, ensure_ascii=False) + "\n"


def as_html(found: Sequence[Sheet], *_: Any) -> str:
    """A page of its own."""
    from tristance.train.page.render import render_page

    return render_page(found[0].title, sheets=found)


WRITERS: Final[dict[str, Callable[..., str]]] = {
    "markdown": as_markdown,
    "csv": as_csv,
    "latex": as_latex,
    "json": as_json,
    "html": as_html,
}


def without_nan(value: Any) -> Any:
    """What JSON can hold: null for NaN."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return value


def _names(comparison: Comparison) -> list[str]:
    tested = (name for each in comparison.experiments for name in each.figures if name.startswith("behaviour."))
    names = [*OVERALL[:2], *(f"{slot}.F_avg" for slot in comparison.slots), *OVERALL[2:], *tested]
    return list(dict.fromkeys([*comparison.primary, *names]))


def _best(comparison: Comparison, name: str) -> list[int]:
    """The columns with the best mean; of a calibration error, the lowest."""
    means = [statistics.fmean(found) if (found := each.figures.get(name)) else None for each in comparison.experiments]
    known = [mean for mean in means if mean is not None]
    if len(known) < 2:
        return []
    best = min(known) if name.endswith(LOWER_IS_BETTER) else max(known)
    return [number for number, mean in enumerate(means) if mean == best]


def mean_sd(values: Sequence[float] | None, scale: float = 100, digits: int = 1) -> str:
    """`61.2 ± 0.4`; without a deviation for one seed, a dash for none."""
    if not values:
        return "–"
    mean = scale * statistics.fmean(values)
    return f"{mean:.{digits}f}" + (f" ± {scale * statistics.stdev(values):.{digits}f}" if len(values) > 1 else "")


def _millions(experiment: Experiment) -> str:
    return "–" if experiment.parameters is None else f"{experiment.parameters / 1e6:.1f}"


def _points(found: Difference, value: float) -> str:
    return f"{value:+.3f}" if found.figure.endswith(LOWER_IS_BETTER) else f"{100 * value:+.1f}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _said(value: Any) -> str:
    """A value in a cell; a place as it is called from here."""
    values = value if isinstance(value, list) else [value]
    return ", ".join(str(each).removeprefix(f"{Path.cwd()}/") for each in values)
