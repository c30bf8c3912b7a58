"""Prediction files: what is written is read, and what is wrong with somebody else's is said by line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tristance.data.errors import DataError, UserError
from tristance.data.records import Record, Target
from tristance.models.predictions import Scores, to_predictions
from tristance.train.evaluation import EvaluationConfig, evaluate
from tristance.train.evaluation.predictions import align, read_predictions, write_predictions

ACTORS = ("west", "russia", "north_korea")
GOOD = {"id": "a", "stance": {"west": "against"}, "holder": {"west": "russia"}, "sentiment": "negative"}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def faults_of(path: Path, slots: tuple[str, ...] | None = ACTORS) -> list[tuple[int | None, str | None]]:
    with pytest.raises(DataError) as caught:
        read_predictions(path, slots)
    return [(fault.line, fault.field) for fault in caught.value.faults]


def test_parquet_round_trip(tmp_path: Path, drawn: Any) -> None:
    records, scores = drawn(40)
    stance = scores.stance.copy()
    stance[3, 1] = np.nan
    scores = Scores(scores.slots, stance, scores.holder, scores.sentiment)
    path = tmp_path / "test.parquet"
    write_predictions(path, records, scores)
    found = read_predictions(path)
    assert found.ids == tuple(record.id for record in records)
    assert found.scores.slots == scores.slots
    for name in ("stance", "holder", "sentiment"):
        assert np.array_equal(getattr(found.scores, name), getattr(scores, name), equal_nan=True)
    options = EvaluationConfig(resamples=20)
    assert evaluate(records, align(records, found), options) == evaluate(records, scores, options)


def test_parquet_columns(tmp_path: Path, drawn: Any) -> None:
    records, scores = drawn(10)
    path = tmp_path / "test.parquet"
    write_predictions(path, records, scores)
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 30
    row = rows[4]
    expected = to_predictions([record.text for record in records], scores)[1].stance["russia"]
    assert (row["id"], row["slot"], row["group"], row["text"]) == ("s1", "russia", "g0", records[1].text)
    assert (row["gold_stance"], row["gold_holder"]) == (records[1].stance["russia"], records[1].holder["russia"])
    assert (row["stance"], row["holder"]) == (expected.label, expected.holder)
    assert row[f"p_{expected.label}"] == pytest.approx(expected.score)
    assert row["holder_north_korea"] == pytest.approx(expected.holder_probabilities["north_korea"])
    assert row["gold_sentiment"] == records[1].sentiment
    assert {f"sentiment_{tone}" for tone in ("negative", "neutral", "positive")} <= row.keys()


def test_parquet_of_targets_holds_only_those_that_a_sentence_has(tmp_path: Path, written: Any) -> None:
    tone = {"sentiment": "neutral"}
    _, scores = written(
        [],
        [{"stance": {"t0": "favor", "t1": "against"}, **tone}, {"stance": {"t0": "favor"}, **tone}, tone],
        ("t0", "t1"),
    )
    records = [
        Record("a", "A.", targets=(Target("t0", "X", stance="favor"), Target("t1", "Y", stance="neutral"))),
        Record("b", "B.", targets=(Target("t0", "X", stance="favor"),)),
        Record("c", "C.", sentiment="neutral"),
    ]
    path = tmp_path / "p.parquet"
    write_predictions(path, records, scores)
    rows = pq.read_table(path).select(["id", "slot"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [("a", "t0"), ("a", "t1"), ("b", "t0"), ("c", "t0")]
    assert np.array_equal(read_predictions(path).scores.stance, scores.stance, equal_nan=True)


def test_a_set_s_own_labels_are_the_ones_written(tmp_path: Path, written: Any) -> None:
    sure = {"favor": 0.2, "against": 0.1, "neutral": 0.1, "unrelated": 0.6}
    records, scores = written(
        [{"stance": {"west": "favor"}}], [{"probabilities": {"stance": {"west": sure}}}], ("west",)
    )
    path = tmp_path / "p.parquet"
    write_predictions(path, records, scores, stance_labels=("favor", "against", "neutral"))
    row = pq.read_table(path).to_pylist()[0]
    assert (row["stance"], row["p_favor"], row["p_unrelated"]) == ("favor", pytest.approx(0.5), 0.0)


def test_json_lines_of_our_own_predictions(tmp_path: Path, drawn: Any) -> None:
    records, scores = drawn(30)
    predictions = to_predictions([record.text for record in records], scores)
    rows = [{"id": r.id, **p.as_dict()} for r, p in zip(records, predictions, strict=True)]
    found = align(records, read_predictions(lines(tmp_path / "p.jsonl", *reversed(rows)), ACTORS))
    assert found.stance == pytest.approx(scores.stance, abs=1e-4)
    assert found.holder == pytest.approx(scores.holder, abs=1e-4)
    assert found.sentiment == pytest.approx(scores.sentiment, abs=1e-4)


def test_labels_alone_become_certain(tmp_path: Path) -> None:
    path = lines(tmp_path / "llm.jsonl", GOOD, {"id": 7, "stance": {"russia": "neutral"}, "holder": {"russia": "none"}})
    found = read_predictions(path)
    assert found.ids == ("a", "7")
    assert found.scores.slots == ("west", "russia")
    assert found.scores.stance[0, 0].tolist() == [0, 1, 0, 0]
    assert found.scores.holder[0, 0].tolist() == [0, 0, 0, 1]
    assert np.isnan(found.scores.stance[0, 1]).all()
    assert np.isnan(found.scores.holder[1, 1]).all()
    assert np.isnan(found.scores.sentiment[1]).all()


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "p.jsonl",
        GOOD,
        {**GOOD, "id": "b", "stance": {"west": "hostile", "china": "favor"}},
        '{"id": "c", "stance": {"west":',
        [1],
        {**GOOD, "holder": {"west": "china"}},
        {"stance": {"west": "favor"}, "sentiment": "grim"},
        {"id": "d", "stance": "favor"},
    )
    assert faults_of(path) == [
        (2, "stance.china"),
        (2, "stance.west"),
        (3, None),
        (4, None),
        (5, "holder.west"),
        (5, "id"),
        (6, "id"),
        (6, "sentiment"),
        (7, "stance"),
    ]
    with pytest.raises(DataError) as caught:
        read_predictions(path, ACTORS)
    said = [str(fault) for fault in caught.value.faults]
    assert f"{path}:2: stance.west: found 'hostile'; allowed: favor, against, neutral, unrelated" in said
    assert f"{path}:5: id: found 'a'; allowed: an id once (first in line 1)" in said


@pytest.mark.parametrize(
    "shares",
    [
        {"favor": 0.7, "against": 0.7},
        {"favor": 1.5, "against": -0.5},
        {"favor": "high"},
        {"good": 1.0},
        [0.5, 0.5],
        {"favor": 0.8, "against": 0.2},  # the label says `against`
        {},
    ],
)
def test_probabilities_that_are_none(tmp_path: Path, shares: Any) -> None:
    path = lines(tmp_path / "p.jsonl", {**GOOD, "probabilities": {"stance": {"west": shares}}})
    assert faults_of(path) == [(1, "probabilities.stance.west")]


def test_ids_must_be_those_of_the_gold(tmp_path: Path) -> None:
    found = read_predictions(lines(tmp_path / "p.jsonl", GOOD, {**GOOD, "id": "z"}), ACTORS)
    with pytest.raises(DataError) as caught:
        align([Record("a", "A."), Record("b", "B.")], found)
    assert [str(fault) for fault in caught.value.faults] == [
        f"{tmp_path}/p.jsonl:2: id: found 'z'; allowed: an id of the gold data",
        f"{tmp_path}/p.jsonl: id: found none for 'b'; allowed: a prediction for every gold sentence",
    ]


def test_files_that_are_none(tmp_path: Path) -> None:
    for name in ("none.jsonl", "none.parquet"):
        with pytest.raises(UserError, match="cannot be read: No such file"):
            read_predictions(tmp_path / name)
    for name in ("folder.jsonl", "folder.parquet"):
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match="cannot be read: Is a directory"):
            read_predictions(tmp_path / name)
    for name in ("binary.jsonl", "binary.parquet"):
        (tmp_path / name).write_bytes(b"\x80\x81\x82" * 100)
        with pytest.raises(UserError, match="found"):
            read_predictions(tmp_path / name)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="found no predictions"):
        read_predictions(tmp_path / "empty.jsonl")


def test_parquet_of_something_else(tmp_path: Path, drawn: Any) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(UserError, match="found no column 'id'"):
        read_predictions(path)
    pq.write_table(pa.table({"id": ["a"], "slot": ["west"]}), path)
    with pytest.raises(UserError, match="found no column 'p_favor'"):
        read_predictions(path)
    write_predictions(path, *drawn(5))
    with pytest.raises(DataError, match=r"slot: found 'north_korea'; allowed: west, russia"):
        read_predictions(path, ("west", "russia"))
    whole = pq.read_table(path)
    pq.write_table(pa.concat_tables([whole, whole.slice(0, 1)]), path)
    with pytest.raises(DataError, match=r"p.parquet:16: id: found 's0 for west'; allowed: an id once"):
        read_predictions(path)
    column = whole.column_names.index("p_favor")
    pq.write_table(whole.set_column(column, "p_favor", pa.array(["much"] * 15)), path)
    with pytest.raises(UserError, match="p_favor: found string; allowed: probabilities"):
        read_predictions(path)


def test_nothing_is_left_half_written(tmp_path: Path, drawn: Any) -> None:
    records, scores = drawn(5)
    with pytest.raises(ValueError, match="4 records, 5 predictions"):
        write_predictions(tmp_path / "p.parquet", records[:4], scores)
    assert not list(tmp_path.iterdir())
