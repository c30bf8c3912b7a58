"""Answers that are not to be taken: marked in Python, in frames and in files, and nothing else changed."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from tristance.data.errors import UserError
from tristance.data.records import Record
from tristance.models import StanceClassifier
from tristance.models.answers import predict_records
from tristance.models.caution import Marks
from tristance.models.manifest import Manifest, update
from tristance.models.prediction_files import predict_stream

GERMAN = "Der Kreml warf dem Westen vor, die Ukraine zu einem Stellvertreterkrieg zu drängen."
ENGLISH = "Lavrov told the West that its era of domination was over."


@pytest.fixture(scope="module")
def classifier(trained):
    return StanceClassifier.from_pretrained(trained.model, device="cpu")


def test_a_foreign_sentence_has_no_labels_to_count_but_can_be_read(classifier):
    found = classifier.predict(GERMAN)
    assert found.scope == "language: de"
    assert found.stance["west"].label in found.stance["west"].probabilities
    nobody = dict.fromkeys(("west", "russia", "north_korea"))
    assert found.as_dict() == {
        "stance": nobody,
        "holder": nobody,
        "sentiment": None,
        "out_of_scope": "language: de",
    }
    judged = classifier.cautious(check_language=False).predict(GERMAN)
    assert judged.scope is None
    assert judged.stance == found.stance
    assert "out_of_scope" not in judged.as_dict()


def test_the_models_own_language_is_in_its_manifest(classifier):
    assert classifier.manifest.languages == ["en"]
    assert classifier.predict(ENGLISH).scope is None


def test_below_the_threshold_an_actor_is_abstained_on_and_its_label_stays(classifier):
    plain = classifier.predict(ENGLISH)
    score = plain.stance["west"].score
    just, above = (classifier.cautious(min_confidence={"west": score + step}) for step in (-1e-4, 1e-4))
    assert just.predict(ENGLISH).abstained == ()
    found = above.predict(ENGLISH)
    assert found.abstained == ("west",)
    assert found.as_dict() == plain.as_dict() | {"abstained": ["west"]}
    assert classifier.cautious(min_confidence=1.0).predict(ENGLISH).abstained == tuple(plain.stance)
    assert classifier.predict(ENGLISH) == plain  # the first one is as it was


def test_a_frame_shows_the_marks(classifier):
    column = pd.Series([ENGLISH, GERMAN, "12 %"])
    found = classifier.cautious(min_confidence=1.0).predict(column)
    assert pd.isna(found["out_of_scope"][0])
    assert found["out_of_scope"].tolist()[1:] == ["language: de", "no sentence: no word"]
    assert found["west"].notna().tolist() == [True, False, False]
    assert found["sentiment_score"].notna().tolist() == [True, False, False]
    assert found["west_abstained"].tolist() == [True, None, None]
    assert "out_of_scope" not in classifier.cautious(check_language=False).predict(column)


def test_rows_carry_the_marks_and_lose_an_earlier_models(classifier):
    old = {"out_of_scope": "language: fr", "abstained": ["russia"], "genre": "wire"}
    records = [Record("1", ENGLISH, fields=old), Record("2", GERMAN, {"west": "against"}, {"west": "russia"})]
    english, german = predict_records(classifier, records)
    assert (english["genre"], "out_of_scope" in english, "abstained" in english) == ("wire", False, False)
    assert german["out_of_scope"] == "language: de"
    assert german["gold"]["stance"] == {"west": "against"}
    assert german["stance"]["west"] is None
    assert "probabilities" not in german
    (kept,) = predict_records(classifier.cautious(min_confidence=1.0), records[:1])
    assert kept["abstained"] == ["west", "russia", "north_korea"]


def test_scores_for_evaluation_know_no_caution(classifier):
    strict = classifier.cautious(min_confidence=1.0)
    records = [Record("1", GERMAN), Record("2", ENGLISH)]
    assert (strict.score_records(records).stance == classifier.score_records(records).stance).all()


def test_a_stream_counts_what_stands(classifier, tmp_path):
    records = [Record(str(number), text) for number, text in enumerate([ENGLISH, GERMAN, GERMAN, "12 %"])]
    cautious = classifier.cautious(min_confidence={"west": 1.0})
    counts = predict_stream(cautious, records, tmp_path / "out.jsonl")
    assert counts.marks.said(counts.rows, abstaining=True) == [
        "out of scope: 3 of 4: language: de (2), no sentence: no word (1)",
        "coverage: west 0.0%, russia 100.0%, north_korea 100.0%",
    ]
    assert Marks().said(0, abstaining=True) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"min_confidence": 7}, "min_confidence: found 7; allowed: a probability"),
        ({"min_confidence": {"mars": 0.5}}, "min_confidence: found 'mars'; allowed: west, russia, north_korea"),
        ({"min_confidence": {"west": -1}}, "min_confidence: found -1; allowed: a probability"),
        ({"max_error": 3}, "max_error: found 3; allowed: a share between 0 and 1"),
    ],
)
def test_thresholds_that_are_none_are_refused(classifier, asked, said):
    with pytest.raises(UserError, match=re.escape(said)):
        classifier.cautious(**asked)


def test_a_risk_sets_the_thresholds_of_known_actors_and_never_answers_others(classifier, monkeypatch):
    curve = {"threshold": [0.5, 0.4, 0.0], "kept": [200, 300, 400], "wrong": [2, 12, 200]}
    risk = dict.fromkeys(("west", "russia", "north_korea"), curve)
    monkeypatch.setattr(classifier, "manifest", Manifest(**{**classifier.manifest.as_dict(), "risk": risk}))
    cautious = classifier.cautious(max_error=0.1, min_confidence={"russia": 0.9})
    assert cautious.caution.min_confidence == {"west": 0.4, "russia": 0.9, "north_korea": 0.4}
    assert cautious.caution.otherwise > 1


def test_training_leaves_a_curve_for_each_actor(classifier, small_corpus):
    risk = classifier.manifest.risk
    assert set(risk) == {"west", "russia", "north_korea"}
    assert risk["west"]["kept"][-1] == sum(
        row["stance"].get("west") is not None for row in small_corpus.rows["validation"]
    )


def test_a_folder_of_before_loads_and_says_what_it_lacks(trained, tmp_path, cli):
    import shutil

    model = shutil.copytree(trained.model, tmp_path / "model")
    content = json.loads((model / "config.json").read_text())
    del content["tristance"]["risk"], content["tristance"]["languages"]
    (model / "config.json").write_text(json.dumps(content))
    update(model)  # with checksums that fit
    assert StanceClassifier.from_pretrained(model, device="cpu").predict(GERMAN).scope == "language: de"
    (tmp_path / "news.txt").write_text(ENGLISH)
    done = cli("predict", model, tmp_path / "news.txt", "--max-error", 0.1)
    assert done.code == 2
    assert "carries no risk curve for west, russia, north_korea; allowed: one from `tristance calibrate" in done.err
