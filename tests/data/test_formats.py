"""Readers: what good files give, and what every kind of bad one says."""

import csv
import datetime as dt
import gzip
import io
import json
import os
import socket
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tristance.data.actors import Actors
from tristance.data.errors import DataError, Fault, UserError
from tristance.data.formats import FORMATS, find_format, lines, load, read
from tristance.data.labels import HELD, SENTIMENTS, STANCES
from tristance.data.records import Record, Target

ACTORS = Actors.load()
GOOD = {"id": "a", "text": "Moscow praised Pyongyang.", "stance": {"north_korea": "favor"}}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_rows(path, *rows):
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def both(path, **options):
    """Records and faults of a file."""
    found = list(read(path, actors=ACTORS, **options))
    return [row for row in found if isinstance(row, Record)], [row for row in found if isinstance(row, Fault)]


def only_fault(path, **options):
    records, faults = both(path, **options)
    assert records == []
    assert len(faults) == 1, faults
    return faults[0]


# --- JSON Lines and text ---------------------------------------------------------------------------------------------


def test_jsonl_keeps_labels_fields_and_line_numbers(tmp_path):
    row = GOOD | {"group": "g", "extra": {"deep": [1, None]}}
    path = write(tmp_path / "x.jsonl", "\n" + json.dumps(row) + "\r\n\n" + json.dumps({"text": "Two."}))
    first, second = load(path, actors=ACTORS)
    assert first.stance == {"north_korea": "favor"}
    assert first.fields == {"group": "g", "extra": {"deep": [1, None]}}
    assert (first.file, first.line) == (str(path), 2)
    assert (second.id, second.line, second.stance, second.sentiment) == ("4", 4, {}, None)


@pytest.mark.parametrize("name", ["x.ndjson", "x.json", "x.JSONL"])
def test_other_endings_of_json_lines(tmp_path, name):
    assert load(write_rows(tmp_path / name, GOOD), actors=ACTORS)[0].id == "a"


def test_text_is_a_sentence_a_line(tmp_path):
    path = write(tmp_path / "news.txt", "First one.\n\n  Second one.  \nthird [p]\t[q]\tp\tq\n")
    records = load(path, actors=ACTORS)
    assert [(r.id, r.text) for r in records] == [
        ("1", "First one."),
        ("3", "Second one."),
        ("4", "third [p]\t[q]\tp\tq"),  # DSE only where the format says so
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.txt.gz", "Good.\n"), ("x.jsonl.gz", '{"text": "Good."}\n'), ("x.csv.gz", "text\nGood.\n")],
)
def test_gzip(tmp_path, name, content):
    assert load(write(tmp_path / name, gzip.compress(content.encode())), actors=ACTORS)[0].text == "Good."


@pytest.mark.parametrize(
    ("name", "content"), [("x.txt", "Good."), ("x.jsonl", '{"text": "Good."}'), ("x.csv", '"text",id\nGood.,1\n')]
)
def test_byte_order_mark_is_tolerated(tmp_path, name, content):
    assert load(write(tmp_path / name, b"\xef\xbb\xbf" + content.encode()), actors=ACTORS)[0].text == "Good."


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_columns_are_mapped_and_nested(tmp_path, name):
    row = {"sentence": "Moscow spoke.", "w": "against", "stance.russia": "neutral", "holder.west": "russia", "uid": "7"}
    if name == "x.csv":
        path = write(tmp_path / name, ",".join(row) + "\n" + ",".join(row.values()) + "\n")
    else:
        path = write_rows(tmp_path / name, row)
    (record,) = load(path, actors=ACTORS, columns={"text": "sentence", "stance.west": "w", "id": "uid", "genre": "w"})
    assert (record.id, record.text) == ("7", "Moscow spoke.")
    assert record.stance == {"west": "against", "russia": "neutral"}
    assert record.holder == {"west": "russia"}
    assert record.fields == {"genre": "against"}, "a mapped column leaves its place, and may serve two fields"


def test_columns_reach_into_objects_and_replace_what_was_there(tmp_path):
    path = write_rows(tmp_path / "x.jsonl", {"text": "old", "body": {"en": "New."}, "stance": {"west": "favor"}})
    (record,) = load(path, actors=ACTORS, columns={"text": "body.en"})
    assert (record.text, record.stance) == ("New.", {"west": "favor"})


def test_flat_label_beside_a_field_that_is_no_object_is_a_fault(tmp_path):
    fault = only_fault(write_rows(tmp_path / "x.jsonl", {"text": "A.", "stance": "favor", "stance.west": "favor"}))
    assert (fault.field, fault.found) == ("stance", "'favor'")


def test_mapped_column_that_no_row_of_json_lines_has(tmp_path):
    records, faults = both(write_rows(tmp_path / "x.jsonl", GOOD, GOOD), columns={"sentiment": "tone"})
    assert len(records) == 2
    assert [(fault.line, fault.field) for fault in faults] == [(None, "tone")]


def test_standard_input_is_guessed(monkeypatch):
    def feed(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
        return load("-", actors=ACTORS)

    assert [r.text for r in feed(b"One.\nTwo.\n")] == ["One.", "Two."]
    assert [r.text for r in feed(b'\xef\xbb\xbf \n{"text": "One."}\n')] == ["One."]
    with pytest.raises(DataError, match="no rows"):
        feed(b"")


def test_rows_come_before_the_file_ends(tmp_path):
    """A pipe that stays open: the first record must not wait for the second line."""
    path = tmp_path / "x.jsonl"
    os.mkfifo(path)
    got_first = threading.Event()

    def feed():
        with path.open("w") as stream:
            stream.write('{"text": "One."}\n')
            stream.flush()
            assert got_first.wait(10)
            stream.write('{"text": "Two."}\n')

    writer = threading.Thread(target=feed)
    writer.start()
    rows = read(path, actors=ACTORS)
    assert next(rows).text == "One."
    got_first.set()
    assert next(rows).text == "Two."
    writer.join()


# --- bad input -------------------------------------------------------------------------------------------------------


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        read(tmp_path / "none.jsonl", actors=ACTORS)


def test_a_folder(tmp_path):
    with pytest.raises(UserError, match="is a folder; name a file"):
        read(tmp_path, actors=ACTORS)


def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.jsonl")
        with pytest.raises(UserError, match=r"x\.jsonl: cannot be read"):
            list(read("x.jsonl", actors=ACTORS))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.parquet"])
def test_a_file_without_permission(tmp_path, name):
    path = write(tmp_path / name, "text\nGood.\n")
    path.chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        list(read(path, actors=ACTORS))


def test_unknown_ending_and_unknown_format(tmp_path):
    path = write(tmp_path / "x.docx", "Good.")
    with pytest.raises(UserError, match=r"cannot be told from its name.*\.jsonl"):
        read(path, actors=ACTORS)
    with pytest.raises(UserError, match="did you mean newsmtsc"):
        read(path, actors=ACTORS, format="newsmtcs")
    assert load(path, actors=ACTORS, format="text")[0].text == "Good."


def test_columns_for_a_format_that_has_none(tmp_path):
    with pytest.raises(UserError, match="text has no columns"):
        read(write(tmp_path / "x.txt", "Good."), actors=ACTORS, columns={"text": "sentence"})


@pytest.mark.parametrize("name", ["x.jsonl", "x.txt", "x.csv", "x.tsv", "x.parquet", "x.txt.gz"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_file(tmp_path, name, content):
    if content and name == "x.parquet":
        pytest.skip("a Parquet file has no blank lines")
    data = content.encode()
    if content and ("csv" in name or "tsv" in name):
        data = b"text,stance.west\n" if "csv" in name else b"text\tstance.west\n"  # a header and no rows
    path = write(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data)
    fault = only_fault(path)
    assert (fault.line, fault.found) == (None, "no rows")


@pytest.mark.parametrize("name", ["x.jsonl", "x.txt", "x.csv", "x.parquet"])
def test_binary_file(tmp_path, name):
    fault = only_fault(write(tmp_path / name, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 50))
    assert fault.line is None
    assert "Parquet" in fault.found if name == "x.parquet" else fault.found == "binary data"


@pytest.mark.parametrize(
    ("content", "found"),
    [("text\nGood.\n".encode("utf-16"), "UTF-16"), (gzip.compress(b"text\nGood.\n", mtime=0), "gz data without .gz")],
)
def test_text_in_another_wrapping(tmp_path, content, found):
    assert found in only_fault(write(tmp_path / "x.txt", content)).found


def test_damaged_gzip_gives_what_it_can_and_says_so(tmp_path):
    whole = gzip.compress(os.urandom(40_000).hex().encode() + b"\n" + b"Second.\n")
    fault = only_fault(write(tmp_path / "x.txt.gz", whole[: len(whole) // 2]), max_characters=10**6)
    assert "damaged gz data" in fault.found
    assert "damaged gz" in only_fault(write(tmp_path / "y.txt.gz", b"no gzip at all")).found


@pytest.mark.parametrize("name", ["x.jsonl", "x.txt", "x.csv"])
def test_wrong_encoding_is_a_fault_of_its_line(tmp_path, name):
    good, bad = '{"text": "Good."}', '{"text": "Orbán."}'
    if name != "x.jsonl":
        good, bad = "Good.", "Orbán."
    header = "text\n" if name == "x.csv" else "# a first sentence\n" if name == "x.txt" else good + "\n"
    path = write(tmp_path / name, header.encode() + f"{good}\n{bad}\n{good}\n".encode("latin-1"))
    records, faults = both(path)
    assert [record.text for record in records][-2:] == ["Good.", "Good."]
    (fault,) = faults
    assert fault.line == 3
    assert f"byte 0xe1 at offset {bad.index('á')}" in fault.found
    assert "UTF-8" in fault.allowed


def test_truncated_json_names_line_and_column(tmp_path):
    path = write(tmp_path / "x.jsonl", json.dumps(GOOD) + '\n{"id": "b", "text": "Mos\n' + json.dumps(GOOD) + "\n")
    records, (fault,) = both(path)
    assert len(records) == 2
    assert fault.line == 2
    assert "column 21" in fault.found
    assert str(fault).startswith(f"{path}:2: found broken JSON")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[1, 2]", "a JSON array"),
        ('["pretty",', "a JSON array"),
        ('"only a string"', "'only a string'"),
        ("[" * 100_000, "a JSON array"),
        ('{"a":' * 100_000, "JSON that cannot be read"),
        ('{"text": "A.", "n": ' + "9" * 5000 + "}", "JSON that cannot be read"),
        ('{"text": "A.", "note": "\\ud83d"}', "half of a surrogate pair"),
    ],
)
def test_json_that_is_no_record(tmp_path, line, found):
    assert found in only_fault(write(tmp_path / "x.jsonl", line + "\n")).found


def test_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 50)
    records, (fault,) = both(write(tmp_path / "x.txt", "a" * 49 + "\n" + "b" * 500 + "\nNext.\n"), max_characters=10**6)
    assert [(record.line, record.text[:4]) for record in records] == [(1, "aaaa"), (3, "Next")]
    assert fault.line == 2
    assert "50 bytes" in fault.found


@pytest.mark.parametrize(
    ("row", "field", "found"),
    [
        ({"text": "A.", "stance": {"west": "hostile"}}, "stance.west", "'hostile'"),
        ({"text": "A.", "stance": {"mars": "favor"}}, "stance.mars", "'mars'"),
        ({"id": "x"}, "text", "no text"),
        ({"text": "  "}, "text", "'  '"),
        ({"text": "x" * 100_000}, "text", "100,000 characters"),
        ({"text": "A\u0000B"}, "text", "control character"),
        ({"text": "A.", "stance": {"west": "neutral"}, "holder": {"west": "russia"}}, "holder.west", "'russia'"),
    ],
)
def test_faulty_rows_do_not_stop_the_reading(tmp_path, row, field, found):
    records, (fault,) = both(write_rows(tmp_path / "x.jsonl", GOOD, row, GOOD))
    assert len(records) == 2
    assert (fault.line, fault.field) == (2, field)
    assert found in fault.found


def test_load_raises_all_faults_at_once(tmp_path):
    path = write_rows(tmp_path / "x.jsonl", *[{"text": ""}] * 9, GOOD)
    with pytest.raises(DataError) as caught:
        load(path, actors=ACTORS)
    assert [fault.line for fault in caught.value.faults] == list(range(1, 10))
    assert "and 4 more" in str(caught.value)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_csv_empty_cells_are_missing_and_lines_are_those_of_the_file(tmp_path):
    content = (
        'id,text,stance.west,sentiment,note\na,"Good, then.",favor,,\n\nb,Bad.,,negative,"two\nlines"\nc,Last.,,,\n'
    )
    a, b, c = load(write(tmp_path / "x.csv", content), actors=ACTORS)
    assert (a.text, a.stance, a.sentiment, a.fields) == ("Good, then.", {"west": "favor"}, None, {})
    assert (b.line, b.sentiment, b.fields) == (4, "negative", {"note": "two\nlines"})
    assert c.line == 6


def test_csv_rows_with_too_few_or_too_many_cells(tmp_path):
    records, faults = both(write(tmp_path / "x.csv", "id,text\n1,Good.\n2\n3,Bad.,more\n4,Good.\n"))
    assert [record.id for record in records] == ["1", "4"]
    assert [(fault.line, fault.found, fault.allowed[:7]) for fault in faults] == [
        (3, "1 cells", "2 cells"),
        (4, "3 cells", "2 cells"),
    ]


@pytest.mark.parametrize("broken", ['2,"never closed', '2,"closed" early'])
def test_broken_quote_costs_one_row_only(tmp_path, broken):
    after = "".join(f"{number},Good.\n" for number in range(3, 8000))
    records, (fault,) = both(write(tmp_path / "x.csv", f"id,text\n1,Good.\n{broken}\n{after}"))
    assert [record.id for record in records] == ["1", *map(str, range(3, 8000))]
    assert fault.line == 3
    assert "quoting" in fault.found


def test_csv_without_its_text_names_the_columns(tmp_path):
    path = write(tmp_path / "x.csv", "id,sentence\n1,Good.\n")
    with pytest.raises(UserError, match=r"no column 'text'.*id, sentence.*columns: \{text: NAME\}"):
        list(read(path, actors=ACTORS))
    with pytest.raises(UserError, match=r"no column 'tone' for 'sentiment'"):
        list(read(path, actors=ACTORS, columns={"text": "sentence", "sentiment": "tone"}))


def test_csv_with_a_column_twice(tmp_path):
    with pytest.raises(UserError, match="the column 'text' twice"):
        list(read(write(tmp_path / "x.csv", "text,text\nA,B\n"), actors=ACTORS))


def test_tsv_with_labels_as_json(tmp_path):
    cell = '"{""west"": ""favor""}"'
    path = write(tmp_path / "x.tsv", f"text\tstance\nA, b.\t{cell}\nC.\t{{broken\n")
    (record,), (fault,) = both(path)
    assert record.stance == {"west": "favor"}
    assert fault.field == "stance"


LABELS = st.fixed_dictionaries({}, optional={actor: st.sampled_from(STANCES) for actor in ACTORS.ids})
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip)
NOTES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@st.composite
def records(draw):
    stance = draw(LABELS)
    holder = {
        actor: draw(st.sampled_from(["author", "other", *ACTORS.ids, "t"])) if label in HELD else "none"
        for actor, label in stance.items()
    }
    text = draw(WORDS)
    return Record(
        draw(WORDS),
        text,
        stance,
        holder,
        draw(st.none() | st.sampled_from(SENTIMENTS)),
        (Target("t", draw(WORDS), 0, len(text), "against", "author"),),
        draw(st.fixed_dictionaries({}, optional={"genre": NOTES, "note": NOTES})),
    )


@settings(deadline=None)
@given(st.lists(records(), min_size=1, max_size=4), st.sampled_from(["csv", "tsv"]))
def test_csv_round_trip(tmp_path_factory, written, kind):
    path = tmp_path_factory.mktemp("csv") / f"x.{kind}"
    names = ["id", "text", "sentiment", "targets", "genre", "note"]
    names += [f"{field}.{actor}" for field in ("stance", "holder") for actor in ACTORS.ids]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, delimiter="," if kind == "csv" else "\t")
        writer.writeheader()
        for record in written:
            row = record.as_dict()
            for field in ("stance", "holder"):
                row |= {f"{field}.{actor}": label for actor, label in row.pop(field, {}).items()}
            writer.writerow(row | {"targets": json.dumps(row["targets"])})
    assert [record.as_dict() for record in load(path, actors=ACTORS)] == [record.as_dict() for record in written]


def test_parquet_with_structs_nulls_and_types(tmp_path):
    rows = [
        {
            "id": 1,
            "text": "A.",
            "stance": {"west": "favor", "russia": None},
            "date": dt.date(2024, 5, 1),
            "targets": None,
        },
        {"id": 2, "text": "B.", "stance": None, "date": None, "targets": [{"name": "B", "start": 0, "end": None}]},
        {"id": 3, "text": "C.", "stance": None, "date": None, "targets": [{"name": "C", "start": 0, "end": 1}]},
    ]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    (a, c), (fault,) = both(path)
    assert (a.id, a.stance, a.fields) == ("1", {"west": "favor"}, {"date": "2024-05-01"})
    assert json.dumps(a.as_dict())
    assert c.targets == (Target("target0", "C", 0, 1),)
    assert (fault.line, fault.field) == (2, "targets[0]")


def test_parquet_flat_columns_and_many_batches(tmp_path):
    path = tmp_path / "x.parquet"
    count = 2500
    table = {"s": [f"Sentence {n}." for n in range(count)], "stance.west": ["favor", "against"] * (count // 2)}
    pq.write_table(pa.table(table), path)
    found = load(path, actors=ACTORS, columns={"text": "s"})
    assert [record.text for record in found] == table["s"]
    assert [record.stance["west"] for record in found] == table["stance.west"]
    assert found[-1].line == count
    with pytest.raises(UserError, match="no column 'text'"):
        list(read(path, actors=ACTORS))


def test_parquet_string_that_is_not_utf8(tmp_path):
    path = tmp_path / "x.parquet"
    text = pa.array([b"Good.", b"Orb\xe1n.", b"Good."]).view(pa.string())
    pq.write_table(pa.table({"text": text}), path)
    found, (fault,) = both(path)
    assert [record.line for record in found] == [1, 3]
    assert (fault.line, fault.allowed) == (2, "UTF-8 text")


def test_truncated_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["Good."] * 100}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "unreadable Parquet" in only_fault(path).found


def test_every_format_is_found_by_its_name(tmp_path):
    for kind in FORMATS:
        assert find_format(str(write(tmp_path / "x.dat", "")), kind) == kind
