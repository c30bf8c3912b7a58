"""Many files as one stream: names, globs, folders, compression, how far reading has come."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tristance.data.actors import Actors
from tristance.data.errors import Fault, UserError
from tristance.data.formats import load, read
from tristance.data.formats.compression import compressing
from tristance.data.formats.position import Position
from tristance.data.formats.tables import parquet
from tristance.data.inputs import find_files, read_files, require_readable
from tristance.data.records import Record

ACTORS = Actors.load()
PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}
CONTENT = {"txt": "{}\n", "jsonl": '{{"text": "{}"}}\n', "csv": "text\n{}\n", "tsv": "text\tid\n{}\tx\n"}


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\nGood.\n")
    return folder


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("kind", CONTENT)
def test_every_compression_of_every_format(tmp_path, kind, packed):
    path = tmp_path / f"x.{kind}{packed}"
    path.write_bytes(PACK[packed](CONTENT[kind].format("Good.").encode()))
    assert [record.text for record in load(path, actors=ACTORS)] == ["Good."]


@pytest.mark.parametrize("packed", PACK)
def test_compressed_streams_one_behind_another(tmp_path, packed):
    path = tmp_path / f"x.txt{packed}"
    path.write_bytes(PACK[packed](b"One.\n") + PACK[packed](b"Two.\n"))
    assert [record.text for record in load(path, actors=ACTORS)] == ["One.", "Two."]


@pytest.mark.parametrize("packed", PACK)
def test_what_is_written_compressed_can_be_read_and_is_the_same_each_time(tmp_path, packed):
    for name in ("a", "b"):
        with (tmp_path / f"{name}.txt{packed}").open("wb") as stream:
            for _ in range(2):
                with compressing(stream, f"x.txt{packed}") as inner:
                    inner.write(b"Good.\n" * 1000)
    assert (tmp_path / f"a.txt{packed}").read_bytes() == (tmp_path / f"b.txt{packed}").read_bytes()
    assert (tmp_path / f"a.txt{packed}").stat().st_size < 1000
    assert len(load(tmp_path / f"a.txt{packed}", actors=ACTORS)) == 2000


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_compression_gives_what_it_can_and_says_so(tmp_path, packed, damage):
    path = tmp_path / f"x.txt{packed}"
    path.write_bytes(
        PACK[packed](os.urandom(200_000).hex().encode())[:100_000] if damage == "cut" else b"no such thing"
    )
    faults = [row for row in read(path, actors=ACTORS) if isinstance(row, Fault)]
    assert f"damaged {packed[1:]} data" in faults[-1].found
    assert faults[-1].allowed == f"a whole {packed[1:]} file"


@pytest.mark.parametrize("packed", PACK)
def test_compressed_data_without_its_ending(tmp_path, packed):
    path = tmp_path / "x.txt"
    path.write_bytes(PACK[packed](b"Good.\n" * 100))
    [fault] = read(path, actors=ACTORS)
    assert fault.found == f"{packed[1:]} data without {packed} in its name"


def test_one_nul_byte_costs_its_line_alone(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"Good.\nB\0d.\n\xff\xfe.\nGood again.\n")
    good, nul, broken, again = read(path, actors=ACTORS)
    assert (good.text, again.text, again.line) == ("Good.", "Good again.", 4)
    assert (nul.line, nul.found) == (2, "control character '\\x00' at 1")
    assert (broken.line, broken.allowed) == (3, "UTF-8 text")


def test_an_endless_cell_is_a_fault_of_its_row(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"id,text\n1,{'word ' * 200_000}\n2,Good.\n")
    fault, good = read(path, actors=ACTORS)
    assert (fault.line, fault.found) == (2, "a cell of over 131,072 characters")
    assert good.text == "Good."


def test_a_parquet_file_of_one_row_group_is_read_in_pieces(tmp_path):
    """A column chunk of 40 MB must not be held whole."""
    texts = [f"{os.urandom(950).hex()} {number}" for number in range(20_000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "x.parquet", row_group_size=len(texts), compression="none")
    before, most = pa.total_allocated_bytes(), 0
    for number, _ in enumerate(parquet(str(tmp_path / "x.parquet"), {})):
        if number % 1000 == 0:
            most = max(most, pa.total_allocated_bytes() - before)
    assert number == 19_999
    assert most < 10e6


def test_labels_that_are_not_needed_are_kept_as_they_stand(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"text": "A.", "sentiment": 0.8, "stance": {"west": "favor"}}\n'
        '{"text": "B.", "stance": "pro", "holder": {"mars": "x"}, "unread_labels": {"sentiment": 1}}\n'
        '{"sentiment": 0.8}\n'
    )
    first, second, third = read(path, actors=ACTORS, need_labels=False)
    assert (first.sentiment, first.stance) == (None, {"west": "favor"})
    assert first.fields == {"unread_labels": {"sentiment": 0.8}}
    assert second.fields == {"unread_labels": {"stance": "pro", "holder": {"mars": "x"}, "sentiment": 1}}
    assert (third.field, third.found) == ("text", "no text"), "a text is needed"
    assert all(isinstance(row, Fault) for row in read(path, actors=ACTORS)), "by default labels are needed"


def test_a_folder_is_all_its_known_files_sorted(tmp_path):
    names = ["b.txt", "a/z.csv", "a/y.jsonl.gz", "a.txt", "c.pdf", ".hidden.txt", ".git/x.txt", "out.jsonl.parts/1.txt"]
    touch(tmp_path, *names, "out.jsonl")
    own = [tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"]
    assert find_files([str(tmp_path)], passed_over=own) == [
        str(tmp_path / name) for name in ("a.txt", "a/y.jsonl.gz", "a/z.csv", "b.txt")
    ]


def test_globs_and_names_keep_their_order_and_come_once(tmp_path, monkeypatch):
    monkeypatch.chdir(touch(tmp_path, "b.txt", "a.txt", "d/c.txt", "[x].txt"))
    assert find_files(["b.txt", "*.txt", "./a.txt"]) == ["b.txt", "[x].txt", "a.txt"]
    assert find_files(["**/c.txt"]) == ["d/c.txt"]
    assert find_files(["[x].txt"]) == ["[x].txt"], "a name that is there is no pattern"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["*.csv"], r"\*\.csv: fits no file"),
        (["nowhere.txt"], r"nowhere\.txt: no such file"),
        (["empty"], "empty: is a folder without a file of a known ending"),
        (["a.txt", "-"], "-: found beside other files"),
        (["a.docx"], "its format cannot be told from its name"),
    ],
)
def test_names_that_mean_nothing(tmp_path, monkeypatch, names, said):
    monkeypatch.chdir(touch(tmp_path, "a.txt", "a.docx"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=said):
        find_files(names)


def test_a_lacking_column_is_told_of_any_file(tmp_path):
    touch(tmp_path, "a.csv")
    (tmp_path / "b.csv").write_text("title\nGood.\n")
    with pytest.raises(UserError, match=r"b\.csv: has no column 'text'"):
        require_readable([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], "auto", {})


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz", "x.csv", "x.parquet"])
def test_position_goes_from_nothing_to_all_bytes(tmp_path, name):
    texts = [f"{os.urandom(20).hex()} said it." for _ in range(5000)]
    for path in (tmp_path / name, tmp_path / f"2{name}"):
        if name == "x.parquet":
            pq.write_table(pa.table({"text": texts}), path)
        else:
            data = "\n".join(["text", *texts]).encode()
            path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    files = [str(tmp_path / name), str(tmp_path / f"2{name}")]
    position, total = Position(), sum(Path(file).stat().st_size for file in files)
    seen = []
    for row in read_files(files, actors=ACTORS, position=position):
        assert isinstance(row, Record)
        seen.append(position.bytes)
    assert seen == sorted(seen)
    assert seen[0] < total / 5
    assert 0.3 * total < seen[5000] < 0.7 * total
    assert position.bytes == total
