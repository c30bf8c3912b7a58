"""Confident learning finds labels that were made wrong, and tells what it takes them for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tristance.data.errors import UserError
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.data.records import Record
from tristance.models.predictions import Scores
from tristance.train.evaluation.metrics import evaluate
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.evaluation.predictions import write_predictions
from tristance.train.runs import Run

SLOTS = ("west", "russia")


@pytest.fixture
def folds(tmp_path):
    """Two folds of 150 sentences; a model that is mostly right, and eight labels turned round."""
    generator = np.random.default_rng(2)
    made, wrong = [], set()
    for fold in range(2):
        truth = generator.integers(0, 4, (150, 2))
        tone = generator.integers(0, 3, 150)
        given = truth.copy()
        for row in range(4):
            given[row, 0] = (truth[row, 0] + 1) % 4
            wrong.add((f"{fold}-{row}", "west"))
        records = [
            Record(
                f"{fold}-{row}",
                f"Sentence {row} of fold {fold}.",
                {slot: STANCES[given[row, number]] for number, slot in enumerate(SLOTS)},
                {},
                SENTIMENTS[tone[row]],
            )
            for row in range(150)
        ]
        stance = generator.dirichlet(np.ones(4), (150, 2)) * 0.2
        np.put_along_axis(stance, truth[..., None], 0.85, -1)
        stance /= stance.sum(-1, keepdims=True)
        shares = generator.dirichlet(np.ones(3), 150) * 0.2
        np.put_along_axis(shares, tone[:, None], 0.85, -1)
        shares /= shares.sum(-1, keepdims=True)
        scores = Scores(
            SLOTS, stance.astype(np.float32), np.full((150, 2, 4), 0.25, np.float32), shares.astype(np.float32)
        )
        run = Run(tmp_path / f"fold-{fold}" / "13")
        run.folder.mkdir(parents=True)
        metrics = evaluate(records, scores, EvaluationConfig(resamples=0))
        run.metrics_file.write_text(json.dumps({"validation": metrics, "test": metrics}))
        write_predictions(run.predictions("test"), records, scores)
        made.append(run)
    return made, wrong


def test_turned_labels_come_first(cli, folds, tmp_path):
    pytest.importorskip("cleanlab")
    runs, wrong = folds
    done = cli("data", "errors", *(run.folder for run in runs), "--count", "20", "-o", tmp_path / "errors.jsonl")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert {(row["id"], row["slot"]) for row in rows[: len(wrong)]} == wrong
    first = rows[0]
    assert STANCES.index(first["suggested"]) == (STANCES.index(first["given"]) - 1) % 4
    assert first["score"] < -0.5
    assert "of 900 labels taken for wrong" in done.out


def test_a_sentence_judged_twice_is_refused(folds):
    pytest.importorskip("cleanlab")
    from tristance.train.label_errors import label_errors

    with pytest.raises(UserError, match="a sentence is judged twice; allowed: folds of one seed"):
        label_errors([folds[0][0], folds[0][0]])
