"""What an output holds: everything, or the columns that are asked for; as lines of JSON or as a table."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import FIXTURES
from tristance.data.actors import Actors
from tristance.data.formats import load
from tristance.models.answers import answer, answer_table
from tristance.models.output_columns import output_columns

ROWS = [
    {
        "id": "a",
        "text": "Lavrov praised the West.",
        "date": "2024-02-01",
        "place": {"city": "Riga"},
        "sentiment": "positive",
    },
    {"id": "b", "text": 'Nothing, "really", happened.', "tags": ["x", "y"]},
    {"id": "c", "text": "Kim’s 🚀 struck at the West.", "sentiment": 0.3},
]
ACTORS = ("west", "russia", "north_korea")


def opened(path):
    data = path.read_bytes()
    unpack = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
    if path.suffix == ".zst":
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read().decode()
    return unpack.get(path.suffix, lambda same: same)(data).decode()


def read_output(path):
    """The rows of an output in any format, as a reader of its own sees them."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = opened(path)
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if ".tsv" in path.name else ","))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def columns_of(names, **options):
    return output_columns(ACTORS, names, **options).names


def test_the_schema_is_what_the_documentation_says():
    schema = output_columns(("west", "mars")).schema
    assert [(field.name, str(field.type)) for field in schema] == [
        *((name, "string") for name in ("id", "text", "stance.west", "stance.mars", "holder.west", "holder.mars")),
        ("sentiment", "string"),
        *(
            (f"probabilities.stance.{actor}.{label}", "float")
            for actor in ("west", "mars")
            for label in ("favor", "against", "neutral", "unrelated")
        ),
        *(
            (f"probabilities.holder.{actor}.{label}", "float")
            for actor in ("west", "mars")
            for label in ("author", "other", "west", "mars")
        ),
        *((f"probabilities.sentiment.{label}", "float") for label in ("negative", "neutral", "positive")),
        *((name, "string") for name in ("out_of_scope", "abstained", "fields")),
    ]
    assert output_columns(("west",), source_file=True).names[0] == "source_file"


@pytest.mark.parametrize("name", ["o.parquet", "o.csv", "o.tsv", "o.csv.gz", "o.tsv.bz2", "o.csv.xz", "o.tsv.zst"])
def test_a_table_holds_what_json_lines_hold(cli, lexicon_model, file, tmp_path, name):
    assert cli("predict", lexicon_model, file, "-o", tmp_path / "o.jsonl").code == 0
    assert cli("predict", lexicon_model, file, "-o", tmp_path / name).code == 0
    rows, lines = read_output(tmp_path / name), read_output(tmp_path / "o.jsonl")
    assert list(rows[0]) == list(columns_of(()))
    for row, line in zip(rows, lines, strict=True):
        assert (row["id"], row["text"], row["sentiment"]) == (line["id"], line["text"], line["sentiment"])
        for actor in ACTORS:
            assert row[f"stance.{actor}"] == line["stance"][actor]
            assert row[f"holder.{actor}"] == line["holder"][actor]
            shares = line["probabilities"]["stance"][actor]
            assert [float(row[f"probabilities.stance.{actor}.{label}"]) for label in shares] == pytest.approx(
                list(shares.values())
            )
    assert json.loads(rows[0]["fields"]) == {
        "date": "2024-02-01", "place": {"city": "Riga"}, "gold": {"sentiment": "positive"}
    }  # fmt: skip
    assert json.loads(rows[1]["fields"]) == {"tags": ["x", "y"]}
    assert json.loads(rows[2]["fields"]) == {"unread_labels": {"sentiment": 0.3}}


def test_a_table_is_read_again_as_labels(cli, lexicon_model, file, tmp_path):
    for name in ("o.parquet", "o.csv"):
        cli("predict", lexicon_model, file, "-o", tmp_path / name)
        cli("predict", lexicon_model, file, "-o", tmp_path / "o.jsonl")
        again = load(tmp_path / name, actors=Actors.load())
        assert [record.stance for record in again] == [row["stance"] for row in read_output(tmp_path / "o.jsonl")]


def test_columns_choose_the_output(cli, lexicon_model, file, tmp_path):
    asked = "id,stance,place.city,probabilities.stance.west.favor,date"
    assert cli("predict", lexicon_model, file, "-o", tmp_path / "o.jsonl", "--columns", asked).code == 0
    first, second, _ = read_output(tmp_path / "o.jsonl")
    assert list(first) == ["id", "stance", "place", "probabilities", "date"]
    assert first["place"] == {"city": "Riga"}
    assert list(first["probabilities"]["stance"]["west"]) == ["favor"]
    assert list(second) == ["id", "stance", "probabilities"]
    assert cli("predict", lexicon_model, file, "-o", tmp_path / "o.parquet", "--columns", asked).code == 0
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.column_names == [
        *("id", "stance.west", "stance.russia", "stance.north_korea", "place.city"),
        *("probabilities.stance.west.favor", "date"),
    ]
    assert table["place.city"].to_pylist() == ["Riga", None, None]
    done = cli("predict", lexicon_model, file, "--columns", "text,tags")
    assert json.loads(done.out.splitlines()[1]) == {"text": ROWS[1]["text"], "tags": ["x", "y"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--columns", "stance.china"], "--columns: found 'stance.china'; allowed: stance."),
        (["--columns", "probabilities.stance.west.love"], "allowed: probabilities.stance.west."),
        (["--columns", "text=sentence"], "(--column text=sentence says where the input has a field)"),
        (["--columns", " , "], "found no name"),
        (["--column", "id"], "found 'id'; allowed: field=name"),
    ],
)
def test_columns_that_cannot_be(cli, lexicon_model, file, tmp_path, options, said):
    done = cli("predict", lexicon_model, file, "-o", tmp_path / "o.jsonl", *options)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "o.jsonl").exists()


def test_a_column_that_no_row_has_is_told(cli, lexicon_model, file):
    done = cli("predict", lexicon_model, file, "--columns", "id,dtae")
    assert done.code == 0
    assert done.err == "note: none of the first 3 rows has the column 'dtae'\n"


def test_several_files_say_which_row_is_whose(cli, lexicon_model, file, tmp_path):
    (tmp_path / "more.txt").write_text("Pyongyang praised Moscow.\n")
    for name in ("o.jsonl", "o.csv"):
        done = cli("predict", lexicon_model, tmp_path / "*.txt", file, "-o", tmp_path / name)
        assert done.code == 0, done.err
        rows = read_output(tmp_path / name)
        assert next(iter(rows[0])) == "source_file"
        assert [row["source_file"] for row in rows] == [str(tmp_path / "more.txt"), *[str(file)] * 3]
    assert cli("predict", lexicon_model, file, "-o", tmp_path / "one.jsonl").code == 0
    assert "source_file" not in read_output(tmp_path / "one.jsonl")[0]


def test_a_folder_does_not_read_its_own_output(cli, lexicon_model, file, tmp_path):
    for _ in range(2):
        done = cli("predict", lexicon_model, tmp_path, "-o", tmp_path / "out.csv")
        assert (done.code, len(read_output(tmp_path / "out.csv"))) == (0, 3), done.err


def test_targets_go_into_the_fields_of_a_table(cli, trained, tmp_path):
    assert cli("predict", trained.model, FIXTURES / "newsmtsc" / "dev-mt.jsonl", "-o", tmp_path / "o.csv").code == 0
    row = read_output(tmp_path / "o.csv")[0]
    rest = json.loads(row["fields"])
    [target] = rest["targets"]
    shares = rest["probabilities"]["stance"]["target"]
    assert target["stance"] == max(shares, key=shares.get)
    assert row["stance.west"] == ""


def test_an_engine_gets_a_table_for_a_table(lexicon):
    output = output_columns(lexicon.actors.ids)
    table = pa.table({"id": ["a", "b", "c"], "sentence": ["Moscow praised the West.", None, "Nothing."]})
    found, answers = answer_table(lexicon, table, output, columns={"text": "sentence"}, file="block")
    assert found.schema == output.schema
    assert found["id"].to_pylist() == ["a", "c"]
    assert [str(fault) for fault in answers.faults] == ["block:2: text: found no text; allowed: a sentence"]
    empty, answers = answer_table(lexicon, table.slice(1, 1), output, columns={"text": "sentence"})
    assert (empty.num_rows, empty.schema, len(answers.faults)) == (0, output.schema, 1)
    empty, answers = answer_table(lexicon, table.slice(0, 0), output)
    assert (empty.num_rows, empty.schema, answers.faults) == (0, output.schema, [])


def test_sentences_that_lose_their_end_are_told(cli, trained, tmp_path):
    from tristance.models import StanceClassifier

    classifier = StanceClassifier.from_pretrained(trained.model, device="cpu")
    file = tmp_path / "in.txt"
    file.write_text(f"Short.\n{'word ' * 300}\nShort.\n{'x ' * 158}\n{'x ' * 159}\n")
    rows = load(file, actors=classifier.actors)
    assert [answer(classifier, [row]).cut for row in rows] == [0, 1, 0, 0, 1]
    done = cli("predict", trained.model, file, "-o", tmp_path / "o.jsonl")
    assert done.err.splitlines()[1] == "2 sentences were longer than the model reads, and lost their end"
