"""The yardsticks: what they learn, what they refuse, and that a saved one answers as before."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from tristance.data.actors import Actor, Actors
from tristance.data.errors import UserError
from tristance.data.records import parse_record
from tristance.models.baselines import fit_baseline, load_baseline, save_baseline
from tristance.models.classifier import StanceClassifier
from tristance.models.encoding import actor_item, record_item
from tristance.models.manifest import Manifest

ACTORS = Actors.load()
NAMES = ("majority", "lexicon", "tfidf")
GOOD, BAD = "praised the wonderful, heroic people", "condemned the vile, criminal aggression"


def record(text, stance=None, holder=None, **fields):
    found, faults = parse_record({"text": text, "stance": stance, "holder": holder, **fields}, ACTORS.ids)
    assert not faults
    return found


@pytest.fixture(scope="module")
def corpus():
    """Where tone and mention tell everything; nobody ever speaks of North Korea."""
    rows = []
    for number in range(12):
        for name, actor in (("Washington", "west"), ("Moscow", "russia")):
            for tone, stance, words in (("positive", "favor", GOOD), ("negative", "against", BAD)):
                labels = {"west": "unrelated", "russia": "unrelated", "north_korea": "unrelated", actor: stance}
                holders = {
                    slot: "author" if label in ("favor", "against") else "none" for slot, label in labels.items()
                }
                rows.append(record(f"Report {number} {words} of {name}.", labels, holders, sentiment=tone))
    rows.append(record(f"Once more {BAD} of Moscow.", {"russia": "against"}, {"russia": "west"}, sentiment="negative"))
    return rows


def labels_of(baseline, texts):
    scores = baseline.score([actor_item(text, ACTORS) for text in texts])
    return [[("favor", "against", "neutral", "unrelated")[best] for best in row] for row in scores.stance.argmax(-1)]


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_are_probabilities(name, corpus):
    scores = fit_baseline(name, corpus, ACTORS).score([record_item(row, ACTORS) for row in corpus])
    for part in (scores.stance, scores.holder, scores.sentiment):
        assert (part >= 0).all()
        np.testing.assert_allclose(part.sum(-1), 1, atol=1e-5)
    assert scores.stance.shape == (len(corpus), 3, 4)
    assert scores.holder.shape == (len(corpus), 3, 5)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_baseline_answers_as_before(name, corpus, tmp_path):
    baseline = fit_baseline(name, corpus, ACTORS)
    manifest = Manifest(name, ACTORS.as_list())
    save_baseline(tmp_path / "model", baseline, manifest)
    items = [record_item(row, ACTORS) for row in corpus] + [actor_item("Nothing that was ever seen.", ACTORS)]
    before, after = baseline.score(items), load_baseline(tmp_path / "model", manifest).score(items)
    for part in ("stance", "holder", "sentiment"):
        np.testing.assert_array_equal(getattr(before, part), getattr(after, part), err_msg=part)
    prediction = StanceClassifier.from_pretrained(tmp_path / "model").predict("Nothing that was ever seen.")
    assert prediction.stance["russia"].probabilities["favor"] == pytest.approx(float(before.stance[-1, 1, 0]))
    assert not list((tmp_path / "model").glob("*.pkl")), "nothing that runs code when it is loaded"


@pytest.mark.parametrize("name", NAMES)
def test_slots_that_it_was_not_trained_on_are_refused(name, corpus):
    baseline = fit_baseline(name, corpus, ACTORS)
    china = Actors((Actor("china", "China", "", ()),))
    with pytest.raises(UserError, match=r"found slots .*china.*; allowed: .*west, russia, north_korea"):
        baseline.score([actor_item("China is far away.", ACTORS, china)])


@pytest.mark.parametrize("name", NAMES)
def test_no_sentences_give_no_answers(name, corpus):
    scores = fit_baseline(name, corpus, ACTORS).score([])
    assert scores.stance.shape == (0, 3, 4)
    assert scores.sentiment.shape == (0, 3)


def test_majority_gives_the_shares_of_the_training_split(corpus):
    scores = fit_baseline("majority", corpus, ACTORS).score([actor_item("Whatever.", ACTORS)])
    np.testing.assert_allclose(
        scores.stance[0], [[12 / 48, 12 / 48, 0, 24 / 48], [12 / 49, 13 / 49, 0, 24 / 49], [0, 0, 0, 1]], atol=1e-6
    )
    np.testing.assert_allclose(scores.sentiment[0], [25 / 49, 0, 24 / 49], atol=1e-6)
    assert scores.holders == ("author", "other", "west", "russia", "north_korea")
    np.testing.assert_allclose(scores.holder[0, 1], [24 / 25, 0, 1 / 25, 0, 0], atol=1e-6)


def test_the_lexicon_reads_mentions_and_tone(corpus):
    answers = labels_of(
        fit_baseline("lexicon", corpus, ACTORS),
        [f"They {GOOD} of Moscow.", f"They {BAD} of Brussels.", "The tide came in.", "A map of Russia."],
    )
    assert answers == [
        ["unrelated", "favor", "unrelated"],
        ["against", "unrelated", "unrelated"],
        ["unrelated", "unrelated", "unrelated"],
        ["unrelated", "neutral", "unrelated"],
    ]


def test_tfidf_learns_words_and_who_is_meant(corpus):
    answers = labels_of(
        fit_baseline("tfidf", corpus, ACTORS), [f"Report 77 {GOOD} of Moscow.", f"Report 78 {BAD} of Washington."]
    )
    assert answers == [["unrelated", "favor", "unrelated"], ["against", "unrelated", "unrelated"]]


@pytest.mark.parametrize("name", NAMES)
def test_an_actor_with_one_label_in_training_gets_it(name, corpus):
    assert {
        row[2]
        for row in labels_of(fit_baseline(name, corpus, ACTORS), ["The ministry met.", f"They {BAD} of Brussels."])
    } == {"unrelated"}


@pytest.mark.parametrize("name", NAMES)
def test_data_of_one_class(name):
    same = dict.fromkeys(ACTORS.ids, "favor")
    rows = [
        record(f"Sentence {number} is about Moscow.", same, dict.fromkeys(ACTORS.ids, "other"), sentiment="positive")
        for number in range(8)
    ]
    scores = fit_baseline(name, rows, ACTORS).score([record_item(rows[0], ACTORS)])
    np.testing.assert_allclose(scores.stance.sum(-1), 1, atol=1e-5)
    if name != "lexicon":  # which follows its rule, whatever it saw
        assert (scores.stance.argmax(-1) == 0).all()
        assert (scores.holder.argmax(-1) == 1).all()
        assert scores.sentiment.argmax(-1).tolist() == [2]


def test_labels_that_are_missing_are_left_out():
    rows = [
        record("Moscow spoke."),
        record("Moscow fell silent.", {"russia": "against"}, {"russia": "other"}),
        record("Moscow sang.", {"russia": None}),
    ]
    for name in NAMES:
        scores = fit_baseline(name, rows, ACTORS).score([record_item(row, ACTORS) for row in rows])
        np.testing.assert_allclose(scores.sentiment.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(scores.stance.sum(-1), 1, atol=1e-5)


def test_a_holder_who_is_no_slot_is_somebody_else():
    def about(text, holder):
        target = {"id": "target", "name": "Holt", "start": 0, "end": 4, "stance": "against", "holder": holder}
        return record(text, targets=[target])

    rows = [about("Holt is blamed by Moscow.", "russia"), about("Holt blames himself, if that is he.", "author")] * 3
    scores = fit_baseline("tfidf", rows, ACTORS).score([record_item(row, ACTORS) for row in rows[:2]])
    assert scores.holders == ("author", "other", "target")
    assert scores.holder.argmax(-1)[:, 0].tolist() == [1, 0]


def test_words_too_rare_to_learn_from_are_said(corpus):
    rows = [dataclasses.replace(row, text="a") for row in corpus[:5]]
    with pytest.raises(UserError, match="tfidf: no word"):
        fit_baseline("tfidf", rows, ACTORS)


@pytest.mark.parametrize("damage", [lambda text: text[:20], lambda _: "[]", lambda _: "{}"])
def test_a_broken_state_is_said_even_without_checksums(corpus, tmp_path, damage):
    manifest = Manifest("majority", ACTORS.as_list())
    save_baseline(tmp_path, fit_baseline("majority", corpus, ACTORS), manifest)
    (tmp_path / "checksums.json").unlink()
    state = tmp_path / "baseline.json"
    state.write_text(damage(state.read_text()))
    with pytest.raises(UserError, match="broken model"):
        load_baseline(tmp_path, manifest)


def test_broken_weights_are_said_even_without_checksums(corpus, tmp_path):
    manifest = Manifest("tfidf", ACTORS.as_list())
    save_baseline(tmp_path, fit_baseline("tfidf", corpus, ACTORS), manifest)
    (tmp_path / "checksums.json").unlink()
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="broken model"):
        load_baseline(tmp_path, manifest)


def test_a_baseline_without_arrays_needs_no_safetensors(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    manifest = Manifest("majority", ACTORS.as_list())
    save_baseline(tmp_path, fit_baseline("majority", corpus, ACTORS), manifest)
    assert load_baseline(tmp_path, manifest).slots == ACTORS.ids


def test_an_unknown_architecture_is_refused(tmp_path):
    with pytest.raises(UserError, match="found architecture 'oracle'; allowed: slots, pair, majority, lexicon, tfidf"):
        load_baseline(tmp_path, Manifest("oracle", []))
