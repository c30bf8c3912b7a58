"""From runs to the page: what is shown of each, and of all side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from tristance.data.errors import UserError
from tristance.data.labels import HELD, STANCES
from tristance.data.records import Record
from tristance.train.comparison.gather import Comparison, compare_experiments
from tristance.train.comparison.paired import differences, read_sheets
from tristance.train.comparison.sheets import Sheet, figures_sheet, sheets
from tristance.train.evaluation.answers import AnswerSheet
from tristance.train.evaluation.plots import calibration_figure, confusion_figure
from tristance.train.evaluation.report import with_interval
from tristance.train.page.charts import bars_figure, picture, slices_figure, training_figure
from tristance.train.page.render import render_page
from tristance.train.runs import Run, read_json

HARDEST: Final = 15
EXPLORED_RUNS: Final = 6
"""Runs whose predictions can be searched; more would make the page heavy."""
EXPLORED_SENTENCES: Final = 4000
MATRIX_SLOTS: Final = 7


def report_page(paths: Sequence[str | Path], split: str = "validation", against: str | None = None) -> str:
    """The HTML of a report.

    Args:
        paths: Run folders, experiments' folders, or patterns of them.
        split: `validation`, or `test` for shipped configs.
        against: Experiment that the others are compared with; the first if None.

    Raises:
        UserError: If a folder holds no run, or they were scored on different rows.
    """
    comparison = compare_experiments(paths, split)
    first = [experiment.runs[0] for experiment in comparison.experiments]
    scored = {run: _sheet(run, split) for run in first if run.predictions(split).is_file()}
    names = {run: experiment.name for run, experiment in zip(first, comparison.experiments, strict=True)}
    charts = [
        {
            "title": f"F_avg of each actor on {split}",
            "address": picture(bars_figure(comparison)),
            "alt": "Bars with intervals; the table below holds the same figures.",
        }
    ]
    return render_page(
        f"{', '.join(names.values())} on {split}",
        charts=charts,
        sheets=_tables(comparison, against),
        sections=[_section(run, names[run], split, scored.get(run)) for run in first],
        explorer=_explorer([(names[run], *scored[run]) for run in first if run in scored]),
    )


def _tables(comparison: Comparison, against: str | None) -> list[Sheet]:
    if len(comparison.experiments) < 2:
        return [figures_sheet(comparison)]
    try:
        return sheets(comparison, differences(comparison, against))
    except UserError:
        if against:
            raise
        return [figures_sheet(comparison)]


def _sheet(run: Run, split: str) -> tuple[list[Record], AnswerSheet]:
    records, [sheet] = read_sheets([run], split)
    return records, sheet


def _section(run: Run, name: str, split: str, scored: tuple[list[Record], AnswerSheet] | None) -> dict[str, Any]:
    """One run: pictures, tables, where it came from."""
    content = run.metrics()
    metrics, primary = content[split], content[split]["primary"]["name"]
    drawn = {
        "Confusion": (confusion_figure(metrics), "Confusion matrices: gold stance by predicted stance."),
        "Calibration": (calibration_figure(metrics), "Reliability, and error against coverage."),
        "Training": (training_figure(_histories(run), primary), "Loss and validation figures by epoch."),
        "Slices": (slices_figure(metrics), "Mean F_avg with intervals for each slice."),
    }
    charts = [
        {"title": title, "address": picture(figure), "alt": alt} for title, (figure, alt) in drawn.items() if figure
    ]
    tables = list(_behaviour(content.get("behaviour", {})))
    if scored is not None:
        records, sheet = scored
        tables = [*_matrices(sheet), *tables, _hardest(records, sheet)]
    details = [
        {"title": "Config", "text": yaml.safe_dump(run.config(), sort_keys=False, allow_unicode=True)},
        {"title": "Provenance", "text": json.dumps(run.provenance(), indent=1, ensure_ascii=False)},
    ]
    return {"title": f"{name}, seed {run.seed}", "charts": charts, "sheets": tables, "details": details}


def _histories(run: Run) -> dict[str, list[Mapping[str, Any]]]:
    files = sorted((run.folder / "log").glob("*.json"))
    return {path.stem.partition("-")[2]: read_json(path, "a training log")["history"] for path in files}


def _matrices(sheet: AnswerSheet) -> Iterator[Sheet]:
    """Who is for and against whom: held stances by holder, gold and predicted."""
    labels, holders = sheet.stance.labels, sheet.holder.labels
    for number, slot in enumerate(sheet.slots[:MATRIX_SLOTS]):
        stance, holder = sheet.stance.slot(number), sheet.holder.slot(number)
        rows = []
        for label in (each for each in HELD if each in labels):
            index = labels.index(label)
            cells = []
            for place in range(len(holders)):
                gold = int(((stance.gold == index) & (holder.gold == place)).sum())
                told = int(
                    ((stance.predicted == index) & (holder.probabilities.argmax(-1) == place) & stance.annotated).sum()
                )
                cells.append(f"{told} ({gold})")
            rows.append((label, *cells))
        yield Sheet(f"Who holds what towards {slot}", ("predicted (gold)", *holders), tuple(rows))


def _behaviour(tests: Mapping[str, Mapping[str, Any]]) -> Iterator[Sheet]:
    if not tests:
        return
    rows = tuple((name, str(found["n"]), with_interval(found["passed"])) for name, found in tests.items())
    yield Sheet("Behaviour tests", ("", "n", "passed, %"), rows, "METRICS.md says what each test asks")
    examples = tuple(
        (name, each["text"], each["other"], each["slot"], each["expected"], each["found"])
        for name, found in tests.items()
        for each in found["failures"][:2]
    )
    yield Sheet("Some failures", ("test", "sentence", "other sentence", "actor", "expected", "found"), examples)


def _hardest(records: Sequence[Record], sheet: AnswerSheet) -> Sheet:
    """The answers whose gold stance the model thought least of."""
    stance = sheet.stance
    gold = np.where(stance.annotated & (stance.predicted >= 0), stance.gold, 0)
    given = np.take_along_axis(stance.probabilities, gold[..., None], -1)[..., 0]
    given = np.where(stance.annotated & (stance.predicted >= 0), given, np.inf)
    order = np.argsort(given, axis=None, kind="stable")[:HARDEST]
    rows = []
    for place in order:
        row, slot = np.unravel_index(place, given.shape)
        if not np.isfinite(given[row, slot]):
            break
        shares = zip(stance.labels, stance.probabilities[row, slot], strict=True)
        said = ", ".join(f"{label} {share:.2f}" for label, share in sorted(shares, key=lambda item: -item[1]))
        rows.append((records[row].text, sheet.slots[slot], stance.labels[stance.gold[row, slot]], said))
    return Sheet("Hardest sentences", ("sentence", "actor", "gold", "probabilities"), tuple(rows))


def _explorer(runs: Sequence[tuple[str, list[Record], AnswerSheet]]) -> dict[str, Any] | None:
    """What page.js searches: texts once, and numbers for labels."""
    if not runs:
        return None
    chosen = [run for run in runs[:EXPLORED_RUNS] if run[2].slots == runs[0][2].slots]
    records = runs[0][1][:EXPLORED_SENTENCES]
    place = {record.id: number for number, record in enumerate(records)}
    left_out = len(runs) - len(chosen), len(runs[0][1]) - len(records)
    note = " and ".join(f"{count} {what}" for count, what in zip(left_out, ("runs", "sentences"), strict=True) if count)
    return {
        "texts": [record.text for record in records],
        "phenomena": [str(record.fields.get("phenomenon") or "") for record in records],
        "slots": list(runs[0][2].slots),
        "labels": list(STANCES),
        "holders": list(runs[0][2].holder.labels),
        "runs": [{"name": run[0], "rows": _answers(place, *run[1:])} for run in chosen],
        "note": f"{note} are left out of this page" if note else "",
    }


def _answers(place: Mapping[str, int], records: Sequence[Record], sheet: AnswerSheet) -> list[list[int]]:
    stance, holder = sheet.stance, sheet.holder
    numbers = [STANCES.index(label) for label in stance.labels]
    held = {number for number, label in enumerate(stance.labels) if label in HELD}
    told = np.where(np.isnan(holder.probabilities).any(-1), -1, np.nan_to_num(holder.probabilities).argmax(-1))
    percent = np.where(stance.predicted >= 0, np.nan_to_num(stance.confidence) * 100, -1).round().astype(int)
    rows = []
    for row, record in enumerate(records):
        for slot in range(len(sheet.slots)):
            gold, predicted = int(stance.gold[row, slot]), int(stance.predicted[row, slot])
            if gold >= 0 and record.id in place:
                answer = [numbers[gold], numbers[predicted] if predicted >= 0 else -1, int(percent[row, slot])]
                holders = [int(told[row, slot]) if predicted in held else -1, int(holder.gold[row, slot])]
                rows.append([place[record.id], slot, *answer, *holders])
    return rows
