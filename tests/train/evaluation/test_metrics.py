"""metrics.json: counted by hand, masked, missing, sliced; and the same whatever the order."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import f1_score

from tristance.data.errors import UserError
from tristance.data.labels import STANCES
from tristance.data.records import Record, Target
from tristance.models.predictions import Scores
from tristance.train.evaluation import EvaluationConfig, evaluate, flatten
from tristance.train.evaluation.metrics import FORMAT

QUICK = EvaluationConfig(resamples=100)

GOLD = [
    {
        "stance": {"west": "against", "russia": "favor"},
        "holder": {"west": "russia", "russia": "russia"},
        "sentiment": "negative",
    },
    {
        "stance": {"west": "favor", "russia": "neutral"},
        "holder": {"west": "author", "russia": "none"},
        "sentiment": "positive",
    },
    {
        "stance": {"west": "neutral", "russia": "against"},
        "holder": {"west": "none", "russia": "west"},
        "sentiment": "neutral",
    },
    {"stance": {"west": "unrelated", "russia": None}, "sentiment": None},
]
PREDICTED = [
    {
        "stance": {"west": "against", "russia": "favor"},
        "holder": {"west": "russia", "russia": "other"},
        "sentiment": "negative",
    },
    {"stance": {"west": "against", "russia": "neutral"}, "holder": {"west": "author"}, "sentiment": "neutral"},
    {"stance": {"west": "neutral", "russia": "favor"}, "holder": {"russia": "west"}, "sentiment": "neutral"},
    {"stance": {"west": "neutral", "russia": "favor"}, "sentiment": "positive"},
]
SLOTS = ("west", "russia")


@pytest.fixture
def by_hand(written: Any) -> dict[str, Any]:
    return evaluate(*written(GOLD, PREDICTED, SLOTS), QUICK)


def test_a_slot_by_hand(by_hand: dict[str, Any]) -> None:
    west = by_hand["slots"]["west"]
    assert west["confusion"]["labels"] == list(STANCES)
    assert west["confusion"]["counts"] == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    assert west["confusion"]["missing"] == [0, 0, 0, 0]
    assert west["classes"]["against"]["precision"]["value"] == 0.5
    assert west["classes"]["against"]["F1"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert west["classes"]["favor"]["precision"]["value"] is None
    assert west["classes"]["favor"]["F1"]["value"] == 0
    assert (west["classes"]["favor"]["support"], west["classes"]["favor"]["predicted"]) == (1, 0)
    assert west["F_avg"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert west["macro_F1"]["value"] == pytest.approx((0 + 2 / 3 + 2 / 3 + 0) / 4, abs=1e-6)
    assert west["accuracy"]["value"] == 0.5
    detection = west["detection"]
    assert (detection["precision"]["value"], detection["recall"]["value"]) == (0.75, 1.0)
    assert detection["support"] == 3


def test_holders_by_hand(by_hand: dict[str, Any]) -> None:
    # Held: west in 0 (right, right), west in 1 (stance wrong, holder right), russia in 0 (right, holder wrong),
    # russia in 2 (stance wrong, holder right).
    pooled = by_hand["pooled"]["holder"]
    assert pooled["n"] == 4
    assert pooled["accuracy"]["value"] == 0.75
    assert pooled["end_to_end"]["value"] == 0.25
    # author 1, other 0, west 1, russia 2/3 over all four that could hold.
    assert pooled["macro_F1"]["value"] == pytest.approx((1 + 0 + 1 + 2 / 3) / 4, abs=1e-6)
    assert by_hand["slots"]["west"]["holder"]["accuracy"]["value"] == 1.0
    assert by_hand["overall"]["holder.end_to_end"] == pooled["end_to_end"]


def test_overall_by_hand(by_hand: dict[str, Any]) -> None:
    overall = by_hand["overall"]
    # Russia: favor F1 = 2·1 / (1 + 2), against 0 -> 1/3; West 1/3.
    assert overall["mean.F_avg"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert overall["joint_accuracy"]["value"] == 0.25  # only sentence 0
    assert overall["joint_accuracy_all"]["value"] == 0.0  # whose second holder is wrong
    assert overall["sentiment.accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert by_hand["sentiment"]["n"] == 3
    assert by_hand["pooled"]["n"] == 7
    assert by_hand["primary"] == {"name": "mean.F_avg", **overall["mean.F_avg"]}
    assert by_hand["format"] == FORMAT


def test_the_worst_actor_is_named(written: Any) -> None:
    gold = [{"stance": {"west": a, "russia": a, "north_korea": None}} for a in ("favor", "against")]
    guess = [{"stance": {"west": a, "russia": "favor"}} for a in ("favor", "against")]
    worst = evaluate(*written(gold, guess), QUICK)["overall"]["worst.F_avg"]
    assert worst["slot"] == "russia"
    assert worst["value"] == pytest.approx(1 / 3, abs=1e-6)


def test_perfect_predictions(written: Any) -> None:
    rows = [
        {"stance": dict.fromkeys(SLOTS, label), "holder": dict.fromkeys(SLOTS, holder), "sentiment": tone}
        for label in STANCES
        for tone in ("negative", "neutral", "positive")
        for holder in (("author", "other", "west", "russia") if label in ("favor", "against") else ("none",))
    ]
    metrics = evaluate(*written(rows, rows, SLOTS), QUICK)
    errors = {name for name in flatten(metrics) if name.endswith("ece")}
    for name, figure in flatten(metrics).items():
        if name not in errors:
            assert figure["value"] == 1.0, name
    assert metrics["missing"] == {"stance": 0, "holder": 0, "sentiment": 0}


def test_constant_predictions(written: Any) -> None:
    gold = [{"stance": {"west": label}} for label in STANCES * 5]
    metrics = evaluate(*written(gold, [{"stance": {"west": "against"}}] * 20, ("west",)), QUICK)
    west = metrics["slots"]["west"]
    assert west["accuracy"]["value"] == 0.25
    assert west["macro_F1"]["value"] == pytest.approx(0.4 / 4)
    assert west["F_avg"]["value"] == pytest.approx(0.4 / 2)
    assert west["classes"]["against"]["recall"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_figures_agree_with_scikit_learn(drawn: Any) -> None:
    records, scores = drawn(300)
    metrics = evaluate(records, scores, QUICK)
    for slot, actor in enumerate(scores.slots):
        gold = [record.stance[actor] for record in records]
        guess = [STANCES[index] for index in scores.stance[:, slot].argmax(-1)]
        block = metrics["slots"][actor]
        assert block["macro_F1"]["value"] == pytest.approx(f1_score(gold, guess, average="macro"), abs=1e-6)
        held = f1_score(gold, guess, average="macro", labels=["favor", "against"])
        assert block["F_avg"]["value"] == pytest.approx(held, abs=1e-6)
        related = f1_score([g != "unrelated" for g in gold], [p != "unrelated" for p in guess])
        assert block["detection"]["F1"]["value"] == pytest.approx(related, abs=1e-6)


def test_what_is_not_annotated_changes_nothing(drawn: Any) -> None:
    records, scores = drawn(60)
    blank = Record("blank", "Nobody labelled this.", {"west": None}, {}, None, (), {"group": "g0"})
    ones = Scores(
        scores.slots,
        *(np.concatenate([part, part[:1]]) for part in (scores.stance, scores.holder, scores.sentiment)),
    )
    assert flatten(evaluate([*records, blank], ones, QUICK)) == flatten(evaluate(records, scores, QUICK))


def test_an_actor_without_labels_is_undefined_and_left_out_of_the_mean(written: Any) -> None:
    gold = [{"stance": {"west": "favor"}}, {"stance": {"west": "against"}}]
    metrics = evaluate(*written(gold, gold), QUICK)
    assert metrics["slots"]["russia"]["n"] == 0
    assert metrics["slots"]["russia"]["F_avg"] == {"value": None, "low": None, "high": None}
    assert metrics["overall"]["mean.F_avg"]["value"] == 1.0
    assert metrics["sentiment"]["macro_F1"]["value"] is None
    assert metrics["overall"]["holder.macro_F1"]["value"] is None


def test_missing_predictions_are_wrong_and_counted(drawn: Any) -> None:
    records, scores = drawn(100, skill=50.0)  # all right
    stance, holder, sentiment = scores.stance.copy(), scores.holder.copy(), scores.sentiment.copy()
    stance[:10, 0], sentiment[:25] = np.nan, np.nan
    holder[:] = np.nan
    metrics = evaluate(records, Scores(scores.slots, stance, holder, sentiment), QUICK)
    held = sum(label in ("favor", "against") for record in records for label in record.stance.values())
    assert metrics["missing"] == {"stance": 10, "holder": held, "sentiment": 25}
    assert metrics["slots"]["west"]["accuracy"]["value"] == 0.9
    assert sum(metrics["slots"]["west"]["confusion"]["missing"]) == 10
    assert metrics["slots"]["russia"]["accuracy"]["value"] == 1.0
    assert metrics["sentiment"]["accuracy"]["value"] == 0.75
    assert metrics["overall"]["joint_accuracy"]["value"] == 0.9
    assert metrics["pooled"]["holder"]["accuracy"]["value"] == 0.0


def test_a_set_s_own_labels(written: Any) -> None:
    three = ("favor", "against", "neutral")
    gold = [{"stance": {"west": label}} for label in three]
    probabilities = {"stance": {"west": {"favor": 0.2, "against": 0.1, "neutral": 0.1, "unrelated": 0.6}}}
    guess = [{"probabilities": probabilities}] * 2 + [{"stance": {"west": "unrelated"}}]
    metrics = evaluate(*written(gold, guess, ("west",)), QUICK, stance_labels=three)
    west = metrics["slots"]["west"]
    assert metrics["stance_labels"] == list(three)
    assert "detection" not in west
    assert west["confusion"]["counts"] == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert west["confusion"]["missing"] == [0, 0, 1]  # a bare label outside the set is no answer
    assert west["reliability"][0]["confidence"] == pytest.approx(0.5)  # 0.2 of 0.4
    assert west["macro_F1"]["value"] == pytest.approx((2 / 3) / 3, abs=1e-6)


def test_a_gold_label_outside_the_set_is_refused(written: Any) -> None:
    gold = [{"stance": {"west": "unrelated"}}]
    with pytest.raises(UserError, match=r"west: found 'unrelated'; allowed: favor, against, neutral"):
        evaluate(*written(gold, gold), QUICK, stance_labels=("favor", "against", "neutral"))


def test_nothing_to_evaluate(written: Any) -> None:
    with pytest.raises(UserError, match="found 0 sentences"):
        evaluate(*written([], []), QUICK)
    with pytest.raises(ValueError, match="1 records, 0 predictions"):
        evaluate([Record("a", "A.")], written([], [])[1], QUICK)


def test_targets_are_slots(written: Any) -> None:
    _, scores = written([], [{"stance": {"t0": "favor"}}, {"stance": {"t0": "against", "t1": "against"}}], ("t0", "t1"))
    records = [
        Record("a", "A.", targets=(Target("t0", "Smith", stance="favor", holder="t1"),)),
        Record("b", "B.", targets=(Target("t0", "Jones", stance="favor"), Target("t1", "Li", stance="against"))),
    ]
    metrics = evaluate(records, scores, QUICK)
    assert metrics["slots"]["t0"]["accuracy"]["value"] == 0.5
    assert metrics["slots"]["t1"]["n"] == 1
    assert metrics["pooled"]["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert metrics["missing"]["stance"] == 0


def test_a_holder_the_model_does_not_know_is_somebody_else(written: Any) -> None:
    gold = [{"stance": {"west": "against"}, "holder": {"west": "china"}}]
    guess = [{"stance": {"west": "against"}, "holder": {"west": "other"}}]
    assert evaluate(*written(gold, guess, SLOTS), QUICK)["pooled"]["holder"]["accuracy"]["value"] == 1.0


def test_order_changes_nothing(drawn: Any) -> None:
    records, scores = drawn(120, group=1)
    order = np.random.default_rng(0).permutation(120)
    shuffled = Scores(scores.slots, scores.stance[order], scores.holder[order], scores.sentiment[order])
    one = flatten(evaluate(records, scores, QUICK))
    two = flatten(evaluate([records[i] for i in order], shuffled, QUICK))
    assert {name: figure["value"] for name, figure in one.items()} == {
        name: figure["value"] for name, figure in two.items()
    }


def test_same_seed_same_content_and_ready_for_json(drawn: Any) -> None:
    records, scores = drawn(120)
    once, twice = (json.dumps(evaluate(records, scores, QUICK), allow_nan=False) for _ in range(2))
    assert once == twice
    other = evaluate(records, scores, EvaluationConfig(resamples=100, seed=1))
    assert json.dumps(other["overall"]) != json.dumps(json.loads(once)["overall"])


def test_intervals_hold_their_value_and_can_be_left_out(drawn: Any) -> None:
    records, scores = drawn(200)
    for name, figure in flatten(evaluate(records, scores, QUICK)).items():
        if not name.startswith("worst"):  # a minimum over noisy actors lies low in every resample
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1, name
    for figure in flatten(evaluate(records, scores, EvaluationConfig(resamples=0))).values():
        assert figure["low"] is figure["high"] is None


def test_intervals_are_clustered_by_group(drawn: Any) -> None:
    records, scores = drawn(60, skill=0.7)
    copies = Scores(
        scores.slots, *(np.concatenate([part] * 8) for part in (scores.stance, scores.holder, scores.sentiment))
    )
    together = [
        Record(
            f"{record.id}-{copy}", record.text, record.stance, record.holder, record.sentiment, (), {"group": record.id}
        )
        for copy in range(8)
        for record in records
    ]
    apart = [Record(r.id, r.text, r.stance, r.holder, r.sentiment) for r in together]

    def width(found: dict[str, Any]) -> float:
        return found["overall"]["mean.F_avg"]["high"] - found["overall"]["mean.F_avg"]["low"]

    clustered, naive = evaluate(together, copies, QUICK), evaluate(apart, copies, QUICK)
    assert (clustered["clusters"], naive["clusters"]) == (60, 480)
    assert width(clustered) > 2 * width(naive)  # eight copies are no eight sentences


def test_slices(written: Any) -> None:
    rows = [
        {"genre": "wire", "phenomenon": ["irony", "negation"], "text": "word " * 12, "stance": {"west": "favor"}},
        {"genre": "wire", "text": "word " * 13, "stance": {"west": "against", "russia": "neutral"}},
        {"genre": "speech", "text": "word " * 37, "stance": {"west": "unrelated", "russia": "unrelated"}},
        {"genre": None, "text": "word " * 36, "stance": {"west": "favor", "russia": "against"}},
    ]
    guess = [{"stance": {"west": "favor", "russia": "neutral"}}] * 4
    metrics = evaluate(*written(rows, guess, SLOTS), EvaluationConfig(resamples=20, min_slice=1))
    slices = metrics["slices"]
    assert {name: list(values) for name, values in slices.items()} == {
        "genre": ["speech", "wire"],
        "phenomenon": ["irony", "negation"],
        "length": ["<=12", "13-24", "25-36", ">36"],
        "actors": ["0", "1", "2"],
    }
    wire = slices["genre"]["wire"]
    assert wire["n"] == 2
    assert wire["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    # West: favor 2·1 / (1 + 2), against 0. Russia holds no favor or against here: left out.
    assert wire["mean.F_avg"]["value"] == pytest.approx((2 / 3 + 0) / 2, abs=1e-6)
    assert slices["actors"]["0"]["accuracy"]["value"] == 0.0
    assert slices["actors"]["0"]["mean.F_avg"]["value"] is None
    few = evaluate(*written(rows, guess, SLOTS), EvaluationConfig(resamples=0, min_slice=2))["slices"]
    assert few["genre"].keys() == {"wire"}
    assert few["actors"].keys() == {"2"}


def test_coverage_risk(written: Any) -> None:
    def sure(label: str, probability: float) -> dict[str, Any]:
        rest = dict.fromkeys(STANCES, (1 - probability) / 3)
        return {"probabilities": {"stance": {"west": {**rest, label: probability}}}}

    gold = [{"stance": {"west": "favor"}}] * 10
    guess = (
        [sure("favor", 0.9 - 0.01 * i) for i in range(6)] + [sure("against", 0.5 - 0.01 * i) for i in range(3)] + [{}]
    )
    table = evaluate(*written(gold, guess, ("west",)), QUICK)["slots"]["west"]["coverage_risk"]
    assert [row["asked"] for row in table] == [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
    by_coverage = {row["asked"]: row for row in table}
    assert by_coverage[1.0]["error"]["value"] == 0.4  # three wrong and one missing
    assert by_coverage[0.9]["error"]["value"] == pytest.approx(3 / 9, abs=1e-6)
    assert by_coverage[0.6]["error"]["value"] == 0.0
    assert by_coverage[0.6]["threshold"] == pytest.approx(0.85, abs=1e-6)
    assert by_coverage[0.6]["coverage"] == 0.6


def test_labels_without_probabilities_have_no_calibration(by_hand: dict[str, Any]) -> None:
    assert by_hand["slots"]["west"]["ece"]["value"] is None
    assert by_hand["overall"]["mean.ece"]["value"] is None
    assert {row["coverage"] for row in by_hand["slots"]["west"]["coverage_risk"]} == {1.0}  # all equally sure


def test_flat_names(by_hand: dict[str, Any]) -> None:
    names = flatten(by_hand)
    expected = {"mean.F_avg", "west.F_avg", "west.classes.favor.F1", "russia.detection.F1", "sentiment.macro_F1"}
    assert expected <= names.keys()
    assert names["pooled.holder.accuracy"] == by_hand["pooled"]["holder"]["accuracy"]


def test_two_thousand_resamples_of_two_thousand_rows(drawn: Any) -> None:
    records, scores = drawn(2000, group=1)
    since = time.process_time()  # whatever else the machine does
    metrics = evaluate(records, scores)
    assert time.process_time() - since < 5
    assert metrics["interval"]["resamples"] == 2000


def test_options() -> None:
    assert EvaluationConfig(primary="worst.F_avg").primary == "worst.F_avg"
    for wrong in ({"primary": "F1"}, {"resamples": -1}, {"level": 1.0}, {"slice": ["genre"]}):
        with pytest.raises(ValidationError):
            EvaluationConfig(**wrong)
    described = EvaluationConfig.model_json_schema()["properties"].values()
    assert all(item.get("description") for item in described)


@pytest.mark.parametrize("primary", EvaluationConfig.model_fields["primary"].annotation.__args__)
def test_every_primary_is_there(by_hand: dict[str, Any], primary: str) -> None:
    assert by_hand["overall"][primary]["value"] is not None


def test_importing_it_is_light() -> None:
    heavy = ("torch", "transformers", "matplotlib", "evaluate", "sklearn", "scipy")
    code = f"import sys, tristance.train.evaluation; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_key_is_documented(drawn: Any) -> None:
    import tristance.train.evaluation.metrics as module

    page = Path(module.__file__).with_name("METRICS.md").read_text(encoding="utf-8")
    metrics = evaluate(*drawn(60), EvaluationConfig(resamples=0, min_slice=1))
    blocks = [metrics, metrics["overall"], metrics["pooled"], metrics["pooled"]["holder"], metrics["sentiment"]]
    keys = {key for block in blocks for key in block} | {"calibration", "temperature", "before", "after"}
    keys |= metrics["slices"].keys() | metrics["pooled"]["classes"]["favor"].keys()
    keys |= metrics["pooled"]["coverage_risk"][0].keys()
    assert [key for key in sorted(keys) if f"`{key}" not in page] == []


def test_a_set_without_any_stance(written: Any) -> None:
    gold = [{"sentiment": "neutral"}, {"sentiment": "positive"}]
    overall = evaluate(*written(gold, gold, SLOTS), QUICK)["overall"]
    assert overall["worst.F_avg"] == {"value": None, "low": None, "high": None, "slot": None}
    assert overall["joint_accuracy"]["value"] is None
    assert overall["joint_accuracy_all"]["value"] == 1.0
