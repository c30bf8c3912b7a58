"""A sweep as a page: its trials, which values mattered, and how they went together."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tristance.data.files import writing
from tristance.train.comparison.sheets import Sheet
from tristance.train.page.charts import picture
from tristance.train.page.render import render_page

if TYPE_CHECKING:
    import optuna


def write_sweep_report(study: optuna.Study, path: Path) -> None:
    """Write the page, whole or not at all."""
    import matplotlib as mpl

    mpl.use("agg")
    from optuna.visualization import matplotlib as drawn

    charts = []
    for title, draw, alt in (
        ("Trials", drawn.plot_optimization_history, "The primary figure on validation, trial by trial."),
        ("Which values mattered", drawn.plot_param_importances, "Share of the variance that each key explains."),
        ("Values together", drawn.plot_parallel_coordinate, "A line a trial, across its values and its figure."),
    ):
        figure = _drawn(draw, study)
        if figure is not None:
            charts.append({"title": title, "address": picture(figure), "alt": alt})
    with writing(path) as stream:
        stream.write(render_page(f"Sweep {study.study_name}", charts=charts, sheets=[trials_sheet(study)]))


def _drawn(draw: Callable[..., Any], study: optuna.Study) -> Any:
    """Optuna's own picture; None where there are too few trials for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are called experimental; a test holds what is used of them
        try:
            figure = draw(study).figure
        except (ValueError, RuntimeError, ZeroDivisionError):
            return None
    figure.set_size_inches(8, 4)
    figure.tight_layout()
    return figure


def trials_sheet(study: optuna.Study) -> Sheet:
    """The trials, the best first."""
    keys = list(dict.fromkeys(key for trial in study.trials for key in trial.params))
    ranked = sorted(study.trials, key=lambda trial: (trial.value is None, -(trial.value or 0.0), trial.number))
    rows = tuple(
        (
            str(trial.number),
            trial.state.name.lower(),
            "–" if trial.value is None else f"{100 * trial.value:.1f}",
            *(_said(trial.params.get(key, "–")) for key in keys),
            _said(trial.user_attrs.get("seconds") or "–"),
        )
        for trial in ranked
    )
    note = "primary figure on validation; a pruned trial has that of its last epoch"
    return Sheet(f"Trials of {study.study_name}", ("trial", "state", "figure", *keys, "seconds"), rows, note)


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
