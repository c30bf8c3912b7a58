"""The roll-up: shares that know the classifier errs, by tables counted by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tristance.data.actors import Actor, Actors
from tristance.models.manifest import Manifest
from tristance.models.predictions import Prediction, SentimentPrediction, StancePrediction
from tristance.models.rollup import CORRECTED, UNCORRECTED, roll_up, shares, tally

FLAWED = np.array([[160, 20, 20, 0], [30, 150, 20, 0], [20, 20, 150, 10], [0, 0, 10, 690]], float)
"""Validation counts of a classifier that errs; rows favor, against, neutral, unrelated."""
PERFECT = np.diag([1e6] * 4)


def counts(*row):
    return np.array([row], np.int64)


def test_predictions_without_error_are_the_shares():
    for confusion in (None, PERFECT):
        found = shares(counts(20, 10, 10, 60), confusion)
        np.testing.assert_allclose(found[0, :3], [0.5, 0.25, 0.25], atol=1e-5)
        assert np.isnan(found[:, 3]).all()
        assert (found[1, :3] < found[0, :3]).all()
        assert (found[0, :3] < found[2, :3]).all()


def test_the_mix_that_gave_the_predictions_is_found_again():
    rates = (FLAWED + 0.5) / (FLAWED + 0.5).sum(-1, keepdims=True)
    mix = np.array([0.05, 0.3, 0.15, 0.5])
    told = np.round(100_000 * mix @ rates).astype(int)
    naive = told[:3] / told[:3].sum()
    assert abs(naive[0] - 0.1) > 0.05
    np.testing.assert_allclose(shares(told[None], FLAWED)[0, :3], [0.1, 0.6, 0.3], atol=1e-3)


def test_what_errors_alone_explain_has_no_share():
    found = shares(counts(30, 150, 20, 0), FLAWED)[:, 0]
    assert found[0] < 0.02
    assert found[1] == pytest.approx(0, abs=1e-3)
    assert found[2] > 0.05


def test_few_sentences_give_wide_intervals_and_more_give_narrower_ones():
    one, few, many = (shares(counts(0, size, 0, 0), FLAWED)[:, 1] for size in (1, 5, 5000))
    assert one[0] == pytest.approx(1)
    assert one[1] < 0.3
    assert one[1] < few[1] < many[1]
    assert many[1] > 0.9


def test_nobody_mentioned_has_no_shares():
    assert shares(counts(0, 0, 0, 9), FLAWED) is None


def test_a_small_validation_split_widens_the_interval():
    wide, narrow = (shares(counts(200, 100, 100, 600), FLAWED * size) for size in (0.1, 10))
    assert ((wide[2] - wide[1])[:3] > 1.5 * (narrow[2] - narrow[1])[:3]).all()


def test_articles_that_differ_widen_the_interval():
    alike = np.tile([5, 5, 0, 10], (20, 1))
    apart = np.array([[10, 0, 0, 10], [0, 10, 0, 10]] * 10)
    assert alike.sum(0).tolist() == apart.sum(0).tolist()
    of_alike, of_apart = (shares(each, PERFECT)[:, 0] for each in (alike, apart))
    assert of_apart[0] == pytest.approx(of_alike[0])
    assert of_apart[2] - of_apart[1] > 2.5 * (of_alike[2] - of_alike[1])


def test_a_set_without_a_label_has_shares_of_the_others():
    found = shares(np.array([[30, 10, 60]]), None, ("favor", "against", "neutral"))
    np.testing.assert_allclose(found[0], [0.3, 0.1, 0.6])


def predicted(**stances):
    made = {}
    for actor, (label, holder) in stances.items():
        made[actor] = StancePrediction(label, 0.9, holder, {label: 0.9}, {})
    return Prediction("…", made, SentimentPrediction("neutral", 1.0, {"neutral": 1.0}))


def test_who_towards_whom_is_counted():
    actors = Actors((Actor("a", "A", "", ()), Actor("b", "B", "", ())))
    read = [
        predicted(a=("favor", "b"), b=("against", "author")),
        predicted(a=("against", "b"), b=("unrelated", "none")),
        predicted(a=("favor", "b"), b=("neutral", "none")),
    ]
    tallies = [tally(read, actors.ids), tally(read[:1], actors.ids)]
    found = roll_up(tallies, Manifest("lexicon", actors.as_list()))
    assert found.sentences == 4
    assert found.towards["b"] == {"a": (3, 1), "b": (0, 0)}
    assert found.towards["author"] == {"a": (0, 0), "b": (0, 2)}
    assert found.actors["b"].predicted == {"favor": 0, "against": 2, "neutral": 1, "unrelated": 1}
    assert found.actors["b"].related == 3
    assert (found.corrected, found.note) == (False, UNCORRECTED)
    assert found.as_dict()["towards"]["b"]["a"] == {"favor": 3, "against": 1, "net": 2}
    confusion = {actor: FLAWED.astype(int).tolist() for actor in actors.ids}
    corrected = roll_up(tallies, Manifest("lexicon", actors.as_list(), confusion=confusion))
    assert (corrected.corrected, corrected.note) == (True, CORRECTED)
    assert corrected.actors["a"].shares["favor"] != found.actors["a"].shares["favor"]


@pytest.mark.slow
@pytest.mark.parametrize("articles", [1, 30])
@pytest.mark.parametrize(
    ("mix", "missed"), [((0.05, 0.25, 0.2, 0.5), 0.3), ((0.3, 0.02, 0.08, 0.6), 0.3), ((0.3, 0.3, 0.3, 0.1), 0.0)]
)
def test_the_interval_covers_where_the_confusion_holds_and_the_naive_one_does_not(mix, missed, articles):
    """240 worlds: validation and 600 sentences are drawn, in one article or in 30 whose mixes vary about `mix`.

    Errors that even out, as in a balanced mix, leave the naive share where it was: it misses in the others.
    """
    generator = np.random.default_rng(0)
    rates = FLAWED / FLAWED.sum(-1, keepdims=True)
    truth = np.array(mix[:3]) / sum(mix[:3])
    covered, naive = np.zeros(3), np.zeros(3)
    worlds = 240
    for _ in range(worlds):
        validation = np.array(
            [generator.multinomial(int(row.sum()), rate) for row, rate in zip(FLAWED, rates, strict=True)]
        )
        rows = []
        for _ in range(articles):
            here = generator.dirichlet(np.array(mix) * 20) if articles > 1 else np.array(mix)
            gold = generator.multinomial(600 // articles, here)
            rows.append(sum(generator.multinomial(size, rate) for size, rate in zip(gold, rates, strict=True)))
        told = np.array(rows)
        for hits, confusion in ((covered, validation), (naive, None)):
            _, low, high = shares(told, confusion, draws=400)
            hits += (low[:3] <= truth) & (truth <= high[:3])
    assert (covered / worlds > 0.9).all(), covered / worlds
    assert (covered / worlds).mean() == pytest.approx(0.95, abs=0.03)
    assert (naive / worlds).min() < 1 - missed
