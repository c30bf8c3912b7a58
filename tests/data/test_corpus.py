"""The shipped corpus keeps its promises: every quota a case of its own, which says what it found and what is asked.

Quotas run over train, validation and test together; `contrast` and `swap` are made of pairs, for evaluation alone.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product

import pytest

from tristance.data.actors import Actors
from tristance.data.checks import check
from tristance.data.formats import load
from tristance.data.labels import HELD, SENTIMENTS, holder_labels
from tristance.data.sources import FOLDER

ACTORS = Actors.load()
SPLITS = ("train", "validation", "test")
RELATED = ("favor", "against", "neutral")
CELLS = tuple(product(ACTORS.ids, RELATED))


@cache
def files():
    return {path.stem: load(path, actors=ACTORS) for path in sorted(FOLDER.glob("*.jsonl"))}


@cache
def corpus():
    return [record for split in SPLITS for record in files()[split]]


@cache
def genres():
    return sorted({str(record.fields.get("genre")) for record in corpus()})


def referring(actor, records=None):
    return [record for record in (corpus() if records is None else records) if record.stance[actor] in RELATED]


def referred(record):
    return sum(label in RELATED for label in record.stance.values())


def ask(quota, found, least, most=None, of=None):
    """Say by name which quota is missed; `found` is a number, or a count of `of`."""
    value, shown = (
        (found, f"{found}") if of is None else (found / max(of, 1), f"{found} of {of}, {found / max(of, 1):.2%}")
    )
    unit = (lambda bound: f"{bound:.0%}") if of is not None else str
    asked = f"at least {unit(least)}" if most is None else f"{unit(least)} to {unit(most)}"
    assert least <= value <= (value if most is None else most), f"{quota}: found {shown}; asked: {asked}"


# How many


@pytest.mark.parametrize(("split", "least"), [("train", 7000), ("validation", 900), ("test", 1100)])
def test_size(split, least):
    ask(f"sentences of {split}", len(files()[split]), least)


def test_size_of_all():
    ask("original sentences", len(corpus()), 9000)


@pytest.mark.parametrize(("name", "least"), [("contrast", 300), ("swap", 150), ("train", 400)])
def test_pairs(name, least):
    pairs = Counter(record.fields["pair"] for record in files()[name] if "pair" in record.fields)
    ask(f"pairs of {name}", sum(count > 1 for count in pairs.values()), least)
    assert [pair for pair, count in pairs.items() if count == 1] == [], f"pairs of {name}: a twin is missing"


@pytest.mark.parametrize(("field", "least"), [("voice", 45), ("topic", 60)])
def test_variety(field, least):
    ask(f"{field}s", len({record.fields[field] for record in corpus() if field in record.fields}), least)


@pytest.mark.parametrize(("field", "least"), [("voice", 6), ("topic", 8)])
def test_unseen(field, least):
    known = {record.fields.get(field) for record in files()["train"]}
    ask(f"{field}s of test that train has not", len({r.fields[field] for r in files()["test"]} - known), least)


def test_unseen_sentences():
    known = {(field, record.fields.get(field)) for record in files()["train"] for field in ("voice", "topic")}
    unseen = [r for r in files()["test"] if any((f, r.fields[f]) not in known for f in ("voice", "topic"))]
    ask("sentences of test of a voice or topic that train has not", len(unseen), 400)


# Balance


def test_referring_to_an_actor():
    ask("sentences that refer to an actor", sum(map(bool, map(referred, corpus()))), 0.76, 0.86, of=len(corpus()))


@pytest.mark.parametrize("actor", ACTORS.ids)
def test_referring_to_each(actor):
    ask(f"sentences that refer to {actor}", len(referring(actor)), 0.38, of=len(corpus()))


def test_referring_to_several():
    several = sum(referred(record) > 1 for record in corpus())
    ask("sentences that refer to two actors or more", several, 0.30, of=len(corpus()))


@pytest.mark.parametrize(("actor", "stance"), CELLS)
def test_stance(actor, stance):
    rows = referring(actor)
    found = sum(record.stance[actor] == stance for record in rows)
    ask(f"{stance} of the sentences that refer to {actor}", found, 0.22, of=len(rows))


@pytest.mark.parametrize(("genre", "actor"), list(product(genres(), ACTORS.ids)))
def test_stance_within_genre(genre, actor):
    rows = referring(actor, [record for record in corpus() if str(record.fields.get("genre")) == genre])
    counts = Counter(record.stance[actor] for record in rows)
    low = {stance: counts[stance] for stance in RELATED if counts[stance] < 0.10 * len(rows) or not rows}
    assert not low, f"stances on {actor} within {genre}: found {low} of {len(rows)}; asked: at least 10% each"


@pytest.mark.parametrize(("actor", "stance", "holder"), list(product(ACTORS.ids, HELD, holder_labels(ACTORS.ids))))
def test_holder(actor, stance, holder):
    found = sum(record.stance[actor] == stance and record.holder[actor] == holder for record in corpus())
    ask(f"{stance} {actor}, held by {holder}", found, 15 if (stance, holder) == ("against", actor) else 60)


def test_opposite_stances():
    opposite = sum(set(HELD) <= set(record.stance.values()) for record in corpus())
    ask("sentences of opposite stances", opposite, 0.08, of=len(corpus()))


@pytest.mark.parametrize("sentiment", SENTIMENTS)
def test_sentiment(sentiment):
    found = sum(record.sentiment == sentiment for record in corpus())
    ask(f"sentences {sentiment} in tone", found, 0.20, of=len(corpus()))


@pytest.mark.parametrize(("stance", "sentiment", "least"), [("against", "positive", 0.05), ("favor", "negative", 0.08)])
def test_tone_is_not_stance(stance, sentiment, least):
    rows = [record for record in corpus() if stance in record.stance.values()]
    found = sum(record.sentiment == sentiment for record in rows)
    ask(f"{sentiment} in tone, of the sentences that are {stance} somebody", found, least, of=len(rows))


def test_median_length():
    lengths = sorted(len(record.text.split()) for record in corpus())
    ask("median length in words", lengths[len(lengths) // 2], 20, 24)


def test_lengths():
    out = {record.id: words for record in corpus() if not 5 <= (words := len(record.text.split())) <= 60}
    shown = ", ".join(f"{name} ({words})" for name, words in list(out.items())[:10])
    assert not out, f"lengths: found {len(out)} sentences outside, {shown}; asked: 5 to 60 words"


@pytest.mark.parametrize(("actor", "least"), [("west", 70), ("russia", 50), ("north_korea", 40)])
def test_ways_to_refer(actor, least):
    """By the alias lexicon, so a way that it does not know is not counted."""
    ways = {r.text[start:end] for r in referring(actor) for start, end in ACTORS.mentions(r.text)[actor]}
    ask(f"ways to refer to {actor}", len(ways), least)


# Nothing crosses


def test_check_finds_nothing():
    assert [str(fault) for fault in check(files())] == []


@pytest.mark.parametrize("field", ["group", "pair"])
def test_never_across_splits(field):
    homes: dict[str, set[str]] = {}
    for name, records in files().items():
        for record in records:
            if field in record.fields:
                homes.setdefault(str(record.fields[field]), set()).add(name)
    assert {value: sorted(names) for value, names in homes.items() if len(names) > 1} == {}
