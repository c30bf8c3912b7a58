"""The tables on the terminal, and the pictures."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from tristance.train.evaluation import EvaluationConfig, before_and_after, evaluate
from tristance.train.evaluation.options import Primary
from tristance.train.evaluation.plots import write_plots
from tristance.train.evaluation.report import render, with_interval

QUICK = EvaluationConfig(resamples=50)


def shown(renderable: Any, width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return stream.getvalue()


@pytest.fixture
def metrics(drawn: Any) -> dict[str, Any]:
    records, scores = drawn(90)
    return evaluate(records, scores, QUICK)


def test_figures_in_words() -> None:
    assert with_interval({"value": 0.6784, "low": 0.6, "high": 0.7251}) == "67.8 [60.0, 72.5]"
    assert with_interval({"value": 0.5, "low": None, "high": None}) == "50.0"
    assert with_interval({"value": None, "low": None, "high": None}) == "–"


def test_the_report_holds_what_counts_within_a_hundred_columns(metrics: dict[str, Any], drawn: Any) -> None:
    metrics["calibration"] = before_and_after(metrics, metrics, {"stance": 1.25})
    other = evaluate(*drawn(90, skill=0.0), QUICK)
    text = shown(render(metrics, "base/13 on test", {"majority [0]": other}))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for slot, block in metrics["slots"].items():
        row = next(line for line in text.splitlines() if line.strip().startswith(slot))
        assert with_interval(block["F_avg"]) in row
        assert str(block["n"]) in row
    worst = metrics["overall"]["worst.F_avg"]
    assert f"worst F_avg ({worst['slot']})" in text
    assert with_interval(other["overall"]["mean.F_avg"]) in next(x for x in text.splitlines() if "majority [0]" in x)
    assert "stance 1.25" in text
    assert "missing predictions" not in text


@pytest.mark.parametrize("primary", get_args(Primary))
def test_the_primary_figure_is_among_the_rows_with_a_star(drawn: Any, primary: Primary) -> None:
    found = evaluate(*drawn(30), EvaluationConfig(resamples=0, primary=primary))
    starred = [line for line in shown(render(found)).splitlines() if " * " in line]
    assert len(starred) == 1
    assert starred[0].rstrip().endswith(with_interval(found["primary"]))


def test_missing_predictions_are_told(written: Any) -> None:
    gold = [{"stance": {"west": "favor"}}] * 3
    assert "counted as wrong: 3 stance" in shown(render(evaluate(*written(gold, [{}] * 3), QUICK)))


def test_names_are_no_markup(written: Any) -> None:
    gold = [{"stance": {"[/bold]": "favor"}}]
    assert "[/bold]" in shown(render(evaluate(*written(gold, gold, ("[/bold]",)), QUICK), "[/title]"))


def test_many_targets_are_shown_as_one(written: Any) -> None:
    slots = tuple(f"target{number}" for number in range(12))
    gold = [
        {"stance": dict.fromkeys(slots, label), "sentiment": "neutral"} for label in ("favor", "against", "neutral")
    ]
    found = evaluate(*written(gold, gold, slots), QUICK)
    found["calibration"] = before_and_after(found, found, {})
    text = shown(render(found, "news", {"other": found}))
    assert "target3" not in text
    assert "pooled" in text
    assert max(map(len, text.splitlines())) <= 100


def test_pictures_are_written_whole_and_the_same_each_time(tmp_path: Path, metrics: dict[str, Any]) -> None:
    files = write_plots(metrics, tmp_path / "one", ("svg", "png"))
    assert [path.name for path in files] == ["confusion.svg", "confusion.png", "calibration.svg", "calibration.png"]
    for path in files:
        if path.suffix == ".svg":
            text = ET.parse(path).getroot()
            assert text.tag.endswith("svg")
            words = "".join(text.itertext())
            assert all(actor in words for actor in metrics["slots"])
        else:
            assert path.read_bytes().startswith(b"\x89PNG")
    again = write_plots(metrics, tmp_path / "two", ("svg",))
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files[::2]]


def test_pictures_of_little(tmp_path: Path, written: Any) -> None:
    gold = [{"stance": {"$x_1$": "favor"}}]
    files = write_plots(evaluate(*written(gold, [{}], ("$x_1$",)), EvaluationConfig(resamples=0)), tmp_path)
    assert all(path.stat().st_size > 1000 for path in files)
    assert "missing" in files[0].read_text()
