"""`StanceMetric` needs no network and says what the plain functions say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tristance.data.labels import STANCES
from tristance.train.evaluation import EvaluationConfig
from tristance.train.evaluation import evaluate as evaluate_records


@pytest.fixture
def metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    stance_metric = pytest.importorskip("tristance.train.evaluation.stance_metric")
    return lambda **options: stance_metric.StanceMetric(cache_dir=str(tmp_path), **options)


def test_one_target_by_hand(metric: Any) -> None:
    found = metric().compute(predictions=[0, 0, 1, 3, -1, 2], references=[0, 1, 1, 3, 2, -1])
    assert found["F_avg"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["F1_neutral"] == 0.0
    assert found["macro_F1"] == pytest.approx((2 / 3 + 2 / 3 + 0 + 1) / 4)
    assert found["detection_F1"] == pytest.approx(2 * 3 / (4 + 3))


def test_actors_agree_with_the_plain_functions(metric: Any, drawn: Any) -> None:
    records, scores = drawn(80)
    gold = [[STANCES.index(record.stance[actor]) for actor in scores.slots] for record in records]
    found = metric(actors=scores.slots).compute(predictions=scores.stance.argmax(-1), references=gold)
    expected = evaluate_records(records, scores, EvaluationConfig(resamples=0))
    for actor, block in expected["slots"].items():
        assert found[f"{actor}.F_avg"] == pytest.approx(block["F_avg"]["value"], abs=1e-6)
        assert found[f"{actor}.detection_F1"] == pytest.approx(block["detection"]["F1"]["value"], abs=1e-6)
    for name in ("mean.F_avg", "mean.macro_F1", "worst.F_avg", "joint_accuracy"):
        assert found[name] == pytest.approx(expected["overall"][name]["value"], abs=1e-6)


def test_batches_add_up(metric: Any) -> None:
    batched = metric(actors=("west", "russia"))
    batched.add_batch(predictions=[[0, 1]], references=[[0, 1]])
    batched.add(prediction=[1, 3], reference=[0, -100])
    batched.add(prediction=[2, 3], reference=[2, -100])
    found = batched.compute()
    assert found["west.accuracy"] == pytest.approx(2 / 3)
    assert found["russia.accuracy"] == 1.0
    assert found["joint_accuracy"] == pytest.approx(2 / 3)


def test_a_set_s_own_labels(metric: Any) -> None:
    three = metric(labels=("favor", "against", "neutral"))
    found = three.compute(predictions=[0, 1, 2], references=[0, 1, 2])
    assert found["macro_F1"] == 1.0
    assert "detection_F1" not in found
    with pytest.raises(ValueError, match="found a label number above 2; allowed: those of favor, against, neutral"):
        metric(labels=("favor", "against", "neutral")).compute(predictions=[3], references=[0])


def test_undefined_is_nan(metric: Any) -> None:
    found = metric().compute(predictions=[2], references=[2])
    assert math.isnan(found["F_avg"])
    assert np.isnan(metric(actors=("west",)).compute(predictions=[[2]], references=[[-1]])["joint_accuracy"])
