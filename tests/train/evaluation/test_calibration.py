"""Temperature recovered from logits that were made with one; reliability and the block before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tristance.data.labels import SENTIMENTS, STANCES
from tristance.data.records import Record
from tristance.models.predictions import Scores
from tristance.train.evaluation import EvaluationConfig, before_and_after, evaluate, fit_temperature
from tristance.train.evaluation.answers import answer_sheet
from tristance.train.evaluation.calibration import TEMPERATURES, reliability

QUICK = EvaluationConfig(resamples=50)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def made_with(stance: float, holder: float, sentiment: float, rows: int = 6000) -> tuple[list[Record], Scores]:
    """Labels drawn from softmax(logits), and scores that are softmax(logits · temperature): too sure above 1."""
    random = np.random.default_rng(0)
    logits = {
        task: 1.5 * random.normal(size=(rows, size)) for task, size in (("stance", 4), ("holder", 3), ("sentiment", 3))
    }
    drawn = {
        task: (softmax(values).cumsum(-1) < random.random((rows, 1))).sum(-1).clip(max=values.shape[-1] - 1)
        for task, values in logits.items()
    }
    holders = ("author", "other", "west")
    records = [
        Record(
            str(row),
            "A sentence.",
            {"west": STANCES[drawn["stance"][row]]},
            {"west": holders[drawn["holder"][row]]},
            SENTIMENTS[drawn["sentiment"][row]],
        )
        for row in range(rows)
    ]
    sure = {
        task: softmax(logits[task] * temperature).astype(np.float32)
        for task, temperature in (("stance", stance), ("holder", holder), ("sentiment", sentiment))
    }
    return records, Scores(("west",), sure["stance"][:, None], sure["holder"][:, None], sure["sentiment"])


def test_temperatures_are_recovered() -> None:
    records, scores = made_with(2.0, 0.5, 1.0)
    found = fit_temperature(records, scores)
    assert found == pytest.approx({"stance": 2.0, "holder": 0.5, "sentiment": 1.0}, rel=0.08)


def test_the_temperature_makes_gold_most_likely() -> None:
    records, scores = made_with(2.0, 1.0, 1.0, rows=500)
    gold = [STANCES.index(record.stance["west"] or "") for record in records]

    def loss(temperature: float) -> float:
        tempered = scores.tempered({"stance": temperature}).stance[:, 0]
        return float(-np.log(tempered[np.arange(500), gold]).mean())

    expected = minimize_scalar(loss, bounds=(0.5, 5), method="bounded").x
    assert fit_temperature(records, scores)["stance"] == pytest.approx(expected, rel=0.01)


def test_tempering_lowers_the_calibration_error_and_moves_no_label() -> None:
    records, scores = made_with(2.5, 2.5, 2.5, rows=2000)
    temperature = fit_temperature(records, scores)
    before, after = evaluate(records, scores, QUICK), evaluate(records, scores.tempered(temperature), QUICK)
    block = before_and_after(before, after, temperature)
    assert block["temperature"] == temperature
    assert block["before"].keys() == {"west", "mean", "holder", "sentiment"}
    for name, figure in block["before"].items():
        assert figure["value"] > 2 * block["after"][name]["value"], name
    assert before["slots"]["west"]["confusion"] == after["slots"]["west"]["confusion"]


def test_no_temperature_without_probabilities_or_labels(written: Any) -> None:
    rows = [{"stance": {"west": "favor"}, "holder": {"west": "author"}}, {"stance": {"west": "against"}}]
    assert fit_temperature(*written(rows, rows)) == {"stance": 1.0, "holder": 1.0, "sentiment": 1.0}


def test_a_gold_label_without_any_chance_is_survived(drawn: Any) -> None:
    records, scores = drawn(50)
    stance = scores.stance.copy()
    wrong = 0 if records[0].stance["west"] != "favor" else 1
    stance[0, 0] = np.eye(4)[wrong]
    found = fit_temperature(records, Scores(scores.slots, stance, scores.holder, scores.sentiment))["stance"]
    assert TEMPERATURES[0] <= found <= TEMPERATURES[1]


def test_a_small_set_that_is_all_right_does_not_make_a_model_certain(drawn: Any) -> None:
    found = fit_temperature(*drawn(30, skill=9.0))
    assert found["stance"] == pytest.approx(TEMPERATURES[0], rel=0.01)


def test_reliability_bins_hold_all_rows_alike(drawn: Any) -> None:
    records, scores = drawn(150)
    answers = answer_sheet(records, scores).stance
    found = reliability(answers, 15)
    assert found is not None
    assert [row["n"] for row in found.table] == [30] * 15
    assert [row["confidence"] for row in found.table] == sorted(row["confidence"] for row in found.table)
    assert found.gaps[:, -1].tolist() == [3.0] * 150
    share = sum(row["n"] * row["accuracy"] for row in found.table) / 450
    assert share == pytest.approx(answers.right.mean(), abs=1e-5)
    error = sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in found.table) / 450
    assert evaluate(records, scores, QUICK)["pooled"]["ece"]["value"] == pytest.approx(error, abs=1e-5)
