"""Behaviour tests: what each asks of a model, with models whose behaviour is known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tristance.data.actors import Actors
from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.models.predictions import Scores
from tristance.train.evaluation.behaviour import EXAMPLES, behaviour
from tristance.train.evaluation.options import EvaluationConfig

ACTORS = Actors.load()
OPTIONS = EvaluationConfig(resamples=50)


class Reader:
    """A classifier that answers each sentence by a function of its text: a stance for each actor."""

    def __init__(self, answer):
        self.answer = answer
        self.actors = ACTORS

    def score_records(self, rows, batch_size=32):
        stance = np.zeros((len(rows), 3, 4), np.float32)
        for number, row in enumerate(rows):
            for slot, label in enumerate(self.answer(row.text)):
                stance[number, slot, STANCES.index(label)] = 1
        return Scores(
            ACTORS.ids, stance, np.full((len(rows), 3, 5), 0.2, np.float32), np.full((len(rows), 3), 1 / 3, np.float32)
        )


def sentence(text, *stances, **fields):
    return Record(text, text, dict(zip(ACTORS.ids, stances, strict=False)), {}, None, (), fields)


def run(answer, records=(), **pairs):
    return behaviour(Reader(answer), records, pairs, ACTORS, OPTIONS, STANCES)


N, A, F, U = "neutral", "against", "favor", "unrelated"
CONTRAST = [
    sentence("He praised Moscow.", U, F, U, pair="1"),
    sentence("He did not praise Moscow.", U, A, U, pair="1", phenomenon="negation"),
    sentence("Kim waved.", U, U, N, pair="2"),
    sentence("Kim raged at Rome.", A, U, N, pair="2"),
]


def test_both_twins_must_be_right():
    found = run(lambda text: (U, F if "praise" in text else U, N if "Kim" in text else U), contrast=CONTRAST)
    assert found["contrast_consistency"]["passed"]["value"] == 0
    assert found["contrast_consistency"]["n"] == 2
    assert {
        "text": "He did not praise Moscow.",
        "other": "He praised Moscow.",
        "slot": "russia",
        "expected": "against",
        "found": "favor",
    } in found["contrast_consistency"]["failures"]
    right = run(lambda text: next(tuple(r.stance.values()) for r in CONTRAST if r.text == text), contrast=CONTRAST)
    assert right["contrast_consistency"]["passed"]["value"] == 1
    assert right["contrast_consistency"]["failures"] == []


def test_negation_looks_at_its_own_pairs():
    found = run(
        lambda text: (A if "Rome" in text else U, F if "praise" in text else U, N if "Kim" in text else U),
        contrast=CONTRAST,
    )
    assert (found["negation_consistency"]["n"], found["negation_consistency"]["passed"]["value"]) == (1, 0.0)
    assert found["contrast_consistency"]["passed"]["value"] == 0.5
    assert [failure["slot"] for failure in found["negation_consistency"]["failures"]] == ["russia"]


SWAP = [
    sentence("They blamed Moscow.", U, A, U, pair="1"),
    sentence("They blamed Pyongyang.", U, U, A, pair="1"),
    sentence("They blamed London.", A, U, U, pair="2"),
    sentence("They blamed only Moscow.", U, N, U, pair="2"),
    sentence("A twin that is gone.", U, U, U, pair="3"),
]


def test_swapped_actors_are_answered_alike_right_or_wrong():
    alike = run(lambda text: (U, N if "Moscow" in text else U, N if "Pyong" in text else U), swap=SWAP)
    assert alike["swap_consistency"]["passed"]["value"] == 1, "wrong both times, but no matter who"
    assert alike["swap_consistency"]["n"] == 1, "twins labelled otherwise are left out"
    biased = run(lambda text: (U, F if "Moscow" in text else U, A if "Pyong" in text else U), swap=SWAP)
    assert biased["swap_consistency"]["passed"]["value"] == 0
    assert biased["swap_consistency"]["failures"][0]["other"] == "They blamed Pyongyang."


TEXTS = [
    "The Kremlin lied, and Moscow knew it.",
    "They met in Moscow, where the Moscow Times is printed.",
    "He thanked the EU for its wonderful patience.",
    "“Nobody,” she said, “trusts the DPRK.”",
]


def test_a_reader_of_meaning_is_unmoved():
    found = run(lambda text: (N, N, N), [sentence(text, N, N, N) for text in TEXTS])
    assert {name: each["passed"]["value"] for name, each in found.items()} == dict.fromkeys(
        [
            "alias_invariance",
            "lowercase_invariance",
            "uppercase_invariance",
            "punctuation_invariance",
            "typo_invariance",
        ],
        1,
    )


@pytest.mark.parametrize(
    ("name", "looks_at", "changed"),
    [
        ("alias", lambda text: "Kremlin" in text, "Moscow lied, and Moscow knew it."),
        ("lowercase", lambda text: "EU" in text, "he thanked the eu for its wonderful patience."),
        ("uppercase", lambda text: "EU " in text and "the" in text, "HE THANKED THE EU FOR ITS WONDERFUL PATIENCE."),
        ("punctuation", lambda text: "“" in text, '"Nobody," she said, "trusts the DPRK"'),
    ],
)
def test_a_reader_of_surfaces_is_found_out(name, looks_at, changed):
    rows = [sentence(text, N, N, N) for text in TEXTS]
    found = run(lambda text: (N, A if looks_at(text) else N, N), rows)[f"{name}_invariance"]
    assert found["passed"]["value"] < 1
    if name != "punctuation":
        assert changed in [failure["other"] for failure in found["failures"]]
    else:
        assert re.sub(r'"', "", changed) in [failure["other"].replace('"', "") for failure in found["failures"]]
    assert {failure["slot"] for failure in found["failures"]} == {"russia"}


def test_typos_leave_actors_alone_and_are_the_same_every_time():
    seen = []

    def answer(text):
        seen.append(text)
        return (N, N, N)

    rows = [
        sentence(f"Ministers in Moscow praised wonderful Russian engineering {number}.", N, N, N)
        for number in "abcdefgh"
    ]
    run(answer, rows)
    typos = [
        text for text in seen if text not in {row.text for row in rows} and "Moscow" in text and text.endswith(".")
    ]
    assert typos, "there are some"
    for text in typos:
        assert "Russian" in text
        assert sorted(text) == sorted(next(row.text for row in rows if row.text[-3:] == text[-3:])), "letters exchanged"
    first, seen = list(seen), []
    run(answer, rows)
    assert seen == first


def test_examples_are_bounded_and_intervals_given():
    rows = [sentence(f"Moscow number {number} praised nobody.", N, N, N) for number in range(60)]
    found = run(lambda text: (N, A if "Kremlin" in text else N, N), rows)["alias_invariance"]
    assert len(found["failures"]) == EXAMPLES
    assert (found["n"], found["passed"]) == (60, {"value": 0.0, "low": 0.0, "high": 0.0})


def test_without_sentences_there_is_nothing_to_say():
    assert run(lambda text: (N, N, N)) == {}


def test_a_run_holds_its_behaviour(trained):
    found = trained.run.metrics()["behaviour"]
    assert set(found) >= {"contrast_consistency", "swap_consistency", "negation_consistency", "alias_invariance"}
    assert found["contrast_consistency"]["n"] == 300
