"""The record and its parser."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tristance.data.labels import HELD, SENTIMENTS, STANCES
from tristance.data.records import MAX_CHARACTERS, Record, Target, parse_record

ACTORS = ("west", "russia", "north_korea")
RESERVED = ("author", "other", "none", "pooled", "sentiment")


def faults(row, **options):
    record, found = parse_record(row, ACTORS, file="x.jsonl", line=3, **options)
    assert record is None
    return [(fault.field, fault.found) for fault in found]


def record(row):
    found, wrong = parse_record(row, ACTORS, line=3)
    assert wrong == []
    return found


def test_missing_labels_are_not_annotated_and_others_are_kept():
    row = {"id": 7, "text": "A.", "stance": {"russia": "favor", "west": None}, "holder": None, "group": "g", "x": [1]}
    found = record(row)
    assert found.id == "7"
    assert found.stance == {"west": None, "russia": "favor"}
    assert (found.holder, found.sentiment, found.targets) == ({}, None, ())
    assert (found.group, found.fields) == ("g", {"group": "g", "x": [1]})
    assert record({"text": "A."}).id == "3", "the line stands in for a missing id"


def test_all_faults_of_a_row_are_named_at_once():
    row = {
        "id": [1],
        "text": "",
        "stance": {"west": "pro", "mars": "favor"},
        "holder": {"russia": "nobody"},
        "sentiment": "glad",
    }
    assert faults(row) == [
        ("text", "''"),
        ("id", "[1]"),
        ("stance.west", "'pro'"),
        ("stance.mars", "'mars'"),
        ("holder.russia", "'nobody'"),
        ("sentiment", "'glad'"),
    ]


def test_a_fault_says_where_what_and_what_is_allowed():
    _, (fault,) = parse_record({"text": "A.", "sentiment": "glad"}, ACTORS, file="x.jsonl", line=3)
    assert str(fault) == "x.jsonl:3: sentiment: found 'glad'; allowed: negative, neutral, positive"


def test_a_label_for_an_actor_where_none_is_known():
    _, (fault,) = parse_record({"text": "A.", "stance": {"west": "favor"}}, (), file="x.jsonl", line=3)
    assert str(fault) == (
        "x.jsonl:3: stance.west: found 'west'; "
        "allowed: none: this model knows no actors, it was trained on targets alone"
    )


@pytest.mark.parametrize(
    ("stance", "holder", "sound"),
    [
        ("favor", "author", True),
        ("against", "north_korea", True),
        ("favor", "none", False),
        ("neutral", "none", True),
        ("neutral", "other", False),
        ("unrelated", "west", False),
        ("favor", None, True),
        (None, "other", True),
    ],
)
def test_only_a_held_stance_has_a_holder(stance, holder, sound):
    _, found = parse_record({"text": "A.", "stance": {"west": stance}, "holder": {"west": holder}}, ACTORS)
    assert (not found) == sound


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "no text"),
        (" \n", "' \\n'"),
        (5, "5"),
        ("a" * 100_000, "100,000 characters"),
        ("a" * (MAX_CHARACTERS + 1), "2,001 characters"),
        ("a\x07b", "control character '\\x07' at 1"),
        ("a\ud800", "control character '\\ud800' at 1"),
    ],
)
def test_text_that_is_none(text, found):
    assert faults({"text": text}) == [("text", found)]


def test_text_at_the_limit_and_with_a_tab_is_fine():
    assert record({"text": "a" * MAX_CHARACTERS})
    assert record({"text": "a\tb"}).text == "a\tb"
    assert faults({"text": "abc"}, max_characters=2) == [("text", "3 characters")]


@pytest.mark.parametrize("row", [[], "text", 3, None])
def test_rows_that_are_no_object(row):
    assert [field for field, _ in faults(row)] == [None]


@pytest.mark.parametrize(
    ("targets", "field"),
    [
        ("Ames", "targets"),
        ([{"id": "t"}], "targets[0]"),
        ([{"name": "A", "start": 0, "end": 9}], "targets[0]"),
        ([{"name": "A", "start": 1}], "targets[0]"),
        ([{"name": "A", "stance": "pro"}], "targets[0].stance"),
        ([{"name": "A", "holder": "nobody"}], "targets[0].holder"),
        ([{"name": "A", "stance": "neutral", "holder": "west"}], "targets[0].holder"),
        ([{"id": "t", "name": "A"}, {"id": "t", "name": "B"}], "targets"),
        ([{"id": "west", "name": "A"}], "targets"),
        *[([{"id": name, "name": "A"}], "targets[0].id") for name in RESERVED],
    ],
)
def test_faulty_targets(targets, field):
    assert [name for name, _ in faults({"text": "Ames", "targets": targets})] == [field]


def test_targets_may_hold_each_others_stances():
    row = {
        "text": "Ames",
        "targets": [{"id": "p", "name": "A"}, {"id": "q", "name": "B", "stance": "favor", "holder": "p"}],
    }
    assert record(row).targets[1] == Target("q", "B", None, None, "favor", "p")


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@st.composite
def records(draw):
    text = draw(TEXT)
    stance = draw(st.fixed_dictionaries({}, optional={actor: st.sampled_from(STANCES) for actor in ACTORS}))
    slots = ("author", "other", *ACTORS)
    held = {actor: draw(st.sampled_from(slots)) if label in HELD else "none" for actor, label in stance.items()}
    targets = tuple(
        Target(f"t{number}", draw(TEXT), *draw(st.sampled_from([(None, None), (0, len(text))])))
        for number in range(draw(st.integers(0, 2)))
    )
    fields = draw(st.dictionaries(st.sampled_from(["group", "genre", "date", "x"]), JSON))
    sentiment = draw(st.none() | st.sampled_from(SENTIMENTS))
    return Record(draw(TEXT), text, stance, held, sentiment, targets, fields, "x.jsonl", 3)


@settings(deadline=None)
@given(records())
def test_what_is_written_reads_back_the_same(written):
    row = json.loads(json.dumps(written.as_dict()))
    assert parse_record(row, ACTORS, file="x.jsonl", line=3) == (written, [])


def test_a_unit_is_a_document_a_pair_or_a_sentence_and_does_not_know_where_its_file_lies():
    def unit(file="train.jsonl", line=3, **fields):
        return Record("7", "Text.", fields=fields, file=file, line=line).unit

    assert unit(group="d1", pair="p1") == unit(group="d1") == "d1"
    assert unit(pair="p1") == "p1"
    assert unit("/here/train.jsonl") == unit("../there/train.jsonl") != unit("validation.jsonl")
    assert unit(line=3) != unit(line=4)
