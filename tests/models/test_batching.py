"""Batches: what is read, how often, and that answers come back in the order given."""

from __future__ import annotations

import numpy as np
import pytest

from tristance.models import batching
from tristance.models.batching import cores, probabilities, score_items
from tristance.models.encoding import Encoding, Item, Slot

LABELS = ("favor", "against", "neutral", "unrelated")
SLOTS = (Slot("west", "the West"), Slot("russia", "Russia"))


class Counting(Encoding):
    """Takes a text's letters for tokens; remembers what it was asked to read."""

    def __init__(self):
        self.read, self.batches = [], []

    def tokenize(self, items):
        self.read += [item.text for item in items]
        return [{"text": item.text, "length": len(item.text)} for item in items]

    def pad(self, features):
        self.batches.append([len(row["text"]) for row in features])
        return {"lengths": np.array([len(row["text"]) for row in features])}


def forward(arrays):
    """The longer a text, the surer its first label."""
    lengths = arrays["lengths"].astype(np.float32)[:, None]
    first = np.pad(lengths, ((0, 0), (0, 3)))
    return np.repeat(first[:, None], 2, 1) / 10, np.zeros((len(lengths), 2, 4), np.float32), first[:, :3] / 10


@pytest.fixture
def encoding():
    return Counting()


def score(texts, encoding, **options):
    return score_items([Item(text, SLOTS) for text in texts], encoding, forward, LABELS, **options)


def test_answers_come_in_the_order_given_and_equal_sentences_are_read_once(encoding):
    texts = ["aaaa", "a", "aaaaaaaa", "a", "aa", "aaaa"]
    scores = score(texts, encoding)
    assert sorted(encoding.read) == ["a", "aa", "aaaa", "aaaaaaaa"]
    expected = [np.exp(len(text) / 10) / (np.exp(len(text) / 10) + 3) for text in texts]
    np.testing.assert_allclose(scores.stance[:, 1, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(scores.stance.sum(-1), 1, rtol=1e-6)
    assert scores.slots == ("west", "russia")
    assert scores.holders == ("author", "other", "west", "russia")


def test_one_sentence_asked_about_two_mentions_is_no_equal(encoding):
    items = [Item("aa", (Slot("west", "the West", (0, 1)),)), Item("aa", (Slot("west", "the West", (1, 2)),))]
    with pytest.raises(ValueError, match="broadcast"):  # the double answers for two slots: it was read, and that is all
        score_items(items, encoding, forward, LABELS)
    assert encoding.read == ["aa", "aa"]


def test_batches_are_of_like_length_and_of_few_tokens(encoding):
    score(["a" * length for length in range(1, 200)], encoding, batch_size=4)
    lengths = [length for batch in encoding.batches for length in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert max(len(batch) for batch in encoding.batches) == 4
    assert all(len(batch) == 1 or batch[0] * len(batch) <= 4 * batching.TOKENS for batch in encoding.batches)


def test_windows_bound_what_is_held_and_change_no_answer(encoding, monkeypatch):
    texts = ["a" * (1 + number * 7 % 13) for number in range(50)]
    whole = score(texts, encoding)
    monkeypatch.setattr(batching, "WINDOW", 8)
    np.testing.assert_array_equal(score(texts, encoding).stance, whole.stance)


def test_nothing_to_read_gives_nothing(encoding):
    scores = score([], encoding)
    assert len(scores) == 0
    assert encoding.batches == []


def test_a_label_that_the_model_was_not_trained_on_gets_no_probability():
    stance, _, _ = probabilities(
        (np.array([[[1.0, 2.0, 3.0, 9.0]]]), np.zeros((1, 1, 3)), np.zeros((1, 3))), LABELS[:3]
    )
    assert stance[0, 0, 3] == 0
    np.testing.assert_allclose(stance.sum(), 1, rtol=1e-6)


@pytest.mark.parametrize(("said", "expected"), [("3", 3), ("", None), ("0", None), ("many", None)])
def test_threads_are_what_the_user_says_else_the_cores_of_this_process(monkeypatch, said, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr(batching.os, "sched_getaffinity", lambda _: {4, 5, 9}, raising=False)
    assert cores() == (expected or 3)
