"""NewsMTSC and DSE: targets, offsets and directions, and when a target is an actor."""

from __future__ import annotations

import csv

import pytest

from tests.data.test_formats import ACTORS, both, only_fault, write_rows
from tristance.data.formats import load
from tristance.data.records import Target

MTSC = {"mention": "Holt", "polarity": -1, "from": 8, "to": 12, "sentence": "Senator Holt stormed out.", "id": "n1"}


def test_newsmtsc_row(tmp_path):
    (record,) = load(write_rows(tmp_path / "x.jsonl", MTSC | {"genre": "wire"}), actors=ACTORS)  # told by its first row
    assert (record.id, record.text, record.stance) == ("n1", MTSC["sentence"], {})
    assert record.targets == (Target("target", "Holt", 8, 12, "against"),)
    assert record.fields["genre"] == "wire"
    assert not {"mention", "polarity", "sentence", "from", "to"} & record.fields.keys()


def test_newsmtsc_only_where_auto_or_asked(tmp_path):
    path = write_rows(tmp_path / "x.jsonl", MTSC)
    assert only_fault(path, format="jsonl").field == "text"
    assert load(path, actors=ACTORS, columns={"text": "sentence"})[0].targets == ()
    assert load(path, actors=ACTORS, format="newsmtsc")[0].targets[0].name == "Holt"


def test_newsmtsc_offsets_are_checked_and_mended(tmp_path):
    sentence = "Holt met Holt, and Holt left."
    rows = [
        MTSC | {"sentence": sentence, "from": 10, "to": 14},
        MTSC | {"sentence": sentence, "from": None},
        MTSC | {"sentence": "Nobody came."},
        MTSC | {"mention": ""},
        MTSC | {"polarity": 2},
        MTSC | {"polarity": True},
        MTSC | {"sentence": None},
    ]
    found, faults = both(write_rows(tmp_path / "x.jsonl", *rows))
    assert [record.targets[0].start for record in found] == [9, 0]
    assert [(fault.line, fault.field) for fault in faults] == [
        (3, "mention"),
        (4, "mention"),
        (5, "polarity"),
        (6, "polarity"),
        (7, "sentence"),
    ]


def test_newsmtsc_line_breaks_and_very_long_sentences_keep_the_mention(tmp_path):
    sentence = "word " * 1000 + "read\nby Holt today " + "word " * 1000
    row = MTSC | {"sentence": sentence, "from": sentence.index("Holt"), "to": sentence.index("Holt") + 4}
    (record,) = load(write_rows(tmp_path / "x.jsonl", row), actors=ACTORS, max_characters=200)
    (target,) = record.targets
    assert len(record.text) == 200
    assert record.text[target.start : target.end] == "Holt"
    assert "read by Holt today" in record.text


def test_newsmtsc_rows_of_one_sentence_share_a_group(tmp_path):
    rows = [MTSC, MTSC | {"mention": "Senator", "from": 0, "to": 7}, MTSC | {"sentence": "To Holt it was news."}]
    a, b, c = load(write_rows(tmp_path / "x.jsonl", *rows), actors=ACTORS)
    assert a.group == b.group != c.group


def dse(tmp_path, *rows):
    path = tmp_path / "dse-part.txt"
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t", lineterminator="\n").writerows(rows)
    return path


@pytest.mark.parametrize(
    ("label", "p", "q"),
    [
        (0, ("neutral", "none"), ("neutral", "none")),
        (1, ("neutral", "none"), ("favor", "p")),
        (2, ("favor", "q"), ("neutral", "none")),
        (3, ("neutral", "none"), ("against", "p")),
        (4, ("against", "q"), ("neutral", "none")),
    ],
)
def test_dse_directions(tmp_path, label, p, q):
    path = dse(tmp_path, ["[Ames] spoke of [Bell].", "Ames", "Bell", label])
    (record,) = load(path, actors=ACTORS, format="dse")
    assert (record.id, record.text) == ("dse-dse-part-000001", "Ames spoke of Bell.")
    assert [(t.id, t.name, t.start, t.end) for t in record.targets] == [("p", "Ames", 0, 4), ("q", "Bell", 14, 18)]
    assert [(t.stance, t.holder) for t in record.targets] == [p, q]


def test_dse_brackets_that_cut_words_take_blanks_or_come_in_reverse(tmp_path):
    rows = [
        ['  "Well," [Farmer]s told [ Lund ].', "Farmer", "Lund", 0],
        ["[Bell] was thanked by [Ames].", "Ames", "Bell", 1],
        ["[Ames] saw [Ames].", "Ames", "Ames", 3],
    ]
    a, b, c = load(dse(tmp_path, *rows), actors=ACTORS, format="dse")
    assert a.text == '"Well," Farmers told  Lund .'
    for record in (a, b, c):
        assert [record.text[t.start : t.end] for t in record.targets] == [t.name for t in record.targets]
    assert [t.name for t in b.targets] == ["Ames", "Bell"]
    assert b.targets[1].holder == "p"
    assert c.targets[0].start < c.targets[1].start


@pytest.mark.parametrize(
    ("row", "field", "found"),
    [
        (["[A] saw [B].", "A", "B"], None, "3 cells"),
        (["[A] saw [B].", "A", "B", "5"], "class", "'5'"),
        (["[A] saw B.", "A", "B", "1"], "text", "['A'] in brackets"),
        (["[A] saw [C].", "A", "B", "1"], "text", "['A', 'C'] in brackets"),
        (["[] saw [B].", "", "B", "1"], "text", "['', 'B'] in brackets"),
    ],
)
def test_dse_faults(tmp_path, row, field, found):
    records, (fault,) = both(dse(tmp_path, row, ["[A] saw [B].", "A", "B", "1"]), format="dse")
    assert len(records) == 1
    assert (fault.line, fault.field, fault.found) == (1, field, found)


def test_targets_become_actors_only_when_asked(tmp_path):
    path = dse(
        tmp_path,
        ["[The Kremlin] praised [Ames].", "The Kremlin", "Ames", 1],
        ["[Ames] scolded [Washington].", "Ames", "Washington", 3],
        ["[Moscow] scolded [Putin].", "Moscow", "Putin", 3],
        ["[Moscow and London] met [Ames].", "Moscow and London", "Ames", 0],
        ["[The Kremlin] blamed [NATO].", "The Kremlin", "NATO", 3],
    )
    off = load(path, actors=ACTORS, format="dse")
    assert [(record.stance, len(record.targets)) for record in off] == [({}, 2)] * 5
    a, b, two, shared, c = load(path, actors=ACTORS, format="dse", targets_as_actors=True)
    assert (a.stance, a.holder) == ({"russia": "neutral"}, {"russia": "none"})
    assert [(t.id, t.stance, t.holder) for t in a.targets] == [("q", "favor", "russia")]
    assert (b.stance, b.holder) == ({"west": "against"}, {"west": "p"})
    assert [t.id for t in b.targets] == ["p"]
    assert (two.stance, len(two.targets)) == ({}, 2), "two targets claim one actor"
    assert (shared.stance, len(shared.targets)) == ({}, 2), "one target mentions two actors"
    assert (c.stance, c.holder) == ({"russia": "neutral", "west": "against"}, {"russia": "none", "west": "russia"})
    assert c.targets == ()


def test_an_actor_with_a_label_keeps_it(tmp_path):
    row = {"text": "Moscow spoke.", "stance": {"russia": "favor"}, "targets": [{"name": "Moscow", "stance": "against"}]}
    (record,) = load(write_rows(tmp_path / "x.jsonl", row), actors=ACTORS, targets_as_actors=True)
    assert record.stance == {"russia": "favor"}
    assert len(record.targets) == 1
