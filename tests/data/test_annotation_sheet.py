"""Annotation sheets: what is drawn comes back from a spreadsheet, whatever that did to it."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tristance.data.actors import Actors
from tristance.data.annotation_sheet import Keys, Sentence, draw, guarded, read_sheet, same_text, unguarded, write_sheet
from tristance.data.errors import DataError, UserError
from tristance.data.records import Record

ACTORS = Actors.load()
TEXTS = (
    "Moscow said: “no”, and left.",
    '=HYPERLINK("http://x")',
    "+7 is Russia's code",
    "@nato; again",
    "'We go', he said",
)


@pytest.fixture
def sheet(tmp_path):
    keys = Keys()
    sentences = [Sentence(keys.of(Record(str(number), text)), text) for number, text in enumerate(TEXTS)]
    path = tmp_path / "sheet.csv"
    guide = write_sheet(path, sentences, ACTORS.ids, "5 of 5 sentences.")
    return path, sentences, guide


def filled(path, changes, *, delimiter=",", newline="\r\n"):
    """The sheet as a spreadsheet saves it, with {(row, column): cell}."""
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    for (row, column), cell in changes.items():
        rows[row][column] = cell
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator=newline)
        writer.writeheader()
        writer.writerows(rows)


def test_the_coder_is_blind_and_no_formula_runs(sheet):
    path, _, guide = sheet
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "or Excel misreads what is not ASCII"
    rows = list(csv.reader(path.open(encoding="utf-8-sig", newline="")))
    assert rows[0] == ["key", "text", *(f"stance.{actor}" for actor in ACTORS.ids), "sentiment", "note"]
    assert all(set(row[2:]) == {""} for row in rows[1:])
    assert not any(cell[:1] in ("=", "+", "-", "@") for row in rows for cell in row)
    assert all(row[0][0] == "s" for row in rows[1:]), "a word, that no spreadsheet makes a number of"
    assert "`favor`, `against`, `neutral`, `unrelated`" in guide.read_text()
    assert "Conveyed, not agreed" in guide.read_text(), "the labelling scheme itself"


@pytest.mark.parametrize(("delimiter", "newline"), [(",", "\r\n"), (";", "\r\n"), ("\t", "\n")])
def test_labels_come_back(sheet, delimiter, newline):
    path, sentences, _ = sheet
    changes = {
        (0, "stance.russia"): "Against ",
        (1, "sentiment"): "neutral",
        (3, "stance.west"): "favor",
        (3, "note"): "?",
    }
    filled(path, changes, delimiter=delimiter, newline=newline)
    labels = read_sheet(path, ACTORS)
    assert set(labels.records) == {sentences[row].key for row in (0, 1, 3)}
    assert labels.records[sentences[0].key].stance == {"russia": "against"}
    assert labels.records[sentences[1].key].sentiment == "neutral"
    assert (labels.empty, labels.passed_over) == (2, 1)
    for row in (0, 1, 3):
        assert same_text(labels.records[sentences[row].key], TEXTS[row])


def test_faults_name_line_column_found_and_allowed(sheet):
    path, _, _ = sheet
    filled(path, {(0, "stance.west"): "pro", (2, "sentiment"): "good"})
    with pytest.raises(DataError) as error:
        read_sheet(path, ACTORS)
    assert str(error.value).splitlines() == [
        f"{path}:2: stance.west: found 'pro'; allowed: favor, against, neutral, unrelated",
        f"{path}:4: sentiment: found 'good'; allowed: negative, neutral, positive",
    ]


def test_a_sentence_twice_and_predictions_are_refused(sheet, tmp_path):
    path, sentences, _ = sheet
    filled(path, {(1, "key"): sentences[0].key, (0, "sentiment"): "neutral"})
    with pytest.raises(DataError, match=f"{path.name}:3: key: found '{sentences[0].key}', also of line 2"):
        read_sheet(path, ACTORS)
    predictions = tmp_path / "p.jsonl"
    predictions.write_text('{"text": "x", "sentiment": "neutral", "probabilities": {"sentiment": {"neutral": 1}}}\n')
    with pytest.raises(DataError, match="found a prediction; allowed: labels that somebody gave by hand"):
        read_sheet(predictions, ACTORS)


def test_labels_are_never_overwritten(sheet):
    path, sentences, guide = sheet
    for gone in (guide, path):
        before = path.read_bytes()
        with pytest.raises(UserError, match="is there already, and may hold labels"):
            write_sheet(path, sentences, ACTORS.ids, "")
        assert path.read_bytes() == before
        if gone is guide:
            guide.unlink()
    with pytest.raises(UserError, match=r"allowed: \.csv"):
        write_sheet(path.with_suffix(".xlsx"), sentences, ACTORS.ids, "")


def test_own_records_are_known_by_id_and_text(tmp_path):
    keys = Keys()
    known = [keys.of(Record("7", "A.")), keys.of(Record("7", "B.")), keys.of(Record("7", "B."))]
    assert len(set(known)) == 3
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"id": 7, "text": "B.", "sentiment": "neutral"}\n{"id": 7, "text": "B.", "sentiment": "positive"}\n'
    )
    assert list(read_sheet(path, ACTORS).records) == known[1:]


def test_a_larger_draw_begins_with_the_smaller_one():
    large = draw(1000, 400, 5)
    assert draw(1000, 100, 5) == large[:100]
    assert len(set(large)) == 400
    assert draw(1000, 100, 6) != large[:100]
    assert sorted(draw(10, 10, 0)) == list(range(10))
    with pytest.raises(UserError, match="found 10 sentences, asked for 11; allowed: at most 10"):
        draw(10, 11, 0)


@given(st.text(st.sampled_from("='+-@a \t"), max_size=5))
def test_guards_come_off_again(text):
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in ("=", "+", "-", "@")
