"""Predictions of whole files: every format, every row accounted for, nothing half-written."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from transformers import AutoTokenizer

from tests.conftest import FIXTURES
from tristance.data.actors import Actors
from tristance.data.errors import DataError, Fault, UserError
from tristance.data.formats.position import Position
from tristance.data.inputs import read_files
from tristance.data.records import Record, Target
from tristance.models import StanceClassifier, prediction_files, prediction_progress
from tristance.models.answers import predict_records
from tristance.models.manifest import Manifest
from tristance.models.networks import build_network, save_network
from tristance.models.prediction_files import predict_stream
from tristance.models.prediction_progress import PredictionProgress
from tristance.models.registry import ModelConfig

TEXTS = [
    "Lavrov told the West that its era was over.",
    "Pyongyang fired a missile.",
    "Washington thanked Moscow.",
    "Nothing happened.",
]
LABELLED = {
    "stance": {"west": "against", "russia": "favor"},
    "holder": {"west": "russia", "russia": "author"},
    "sentiment": "negative",
}


@pytest.fixture(scope="module")
def classifier(trained):
    return StanceClassifier.from_pretrained(trained.model, device="cpu")


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def in_format(kind, folder):
    """The texts in a format, and the ids that they have there."""
    path = folder / f"news.{kind}"
    rows = [{"id": f"n{number}", "text": text, "genre": "wire"} for number, text in enumerate(TEXTS)]
    if kind == "txt":
        path.write_text("\n\n".join(TEXTS), encoding="utf-8")
        return path, ["1", "3", "5", "7"]
    if kind == "jsonl":
        written(path, rows)
    elif kind == "csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["id", "text", "genre"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path, [row["id"] for row in rows]


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "parquet"])
def test_every_format_gives_a_record_a_line(kind, cli, classifier, trained, tmp_path):
    file, ids = in_format(kind, tmp_path)
    done = cli("predict", trained.model, file, "-o", tmp_path / "out.jsonl")
    assert done.code == 0, done.err
    assert f"4 predicted -> {tmp_path / 'out.jsonl'}" in done.err
    assert done.out == ""
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == ids
    assert [row["text"] for row in rows] == TEXTS
    for row, expected in zip(rows, classifier.predict(TEXTS), strict=True):
        assert row["stance"] == {actor: stance.label for actor, stance in expected.stance.items()}
        assert row["holder"] == {actor: stance.holder for actor, stance in expected.stance.items()}
        assert row["sentiment"] == expected.sentiment.label
        assert row["probabilities"]["stance"]["west"] == pytest.approx(expected.stance["west"].probabilities, abs=1e-3)
        assert set(row["probabilities"]) == {"stance", "holder", "sentiment"}
        assert "gold" not in row
        assert row.get("genre") == (None if kind == "txt" else "wire")


def test_standard_input_to_standard_output(cli, trained):
    done = cli("predict", trained.model, "-", stdin="\n".join(TEXTS))
    assert done.code == 0
    assert done.err == ""
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == TEXTS
    done = cli("predict", trained.model, "-", stdin=json.dumps({"id": "x", "text": TEXTS[0]}))
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == ["x"]


def test_a_column_by_another_name(cli, trained, tmp_path):
    (tmp_path / "a.csv").write_text(f'nr,sentence\n5,"{TEXTS[0]}"\n')
    done = cli("predict", trained.model, tmp_path / "a.csv", "--column", "text=sentence", "--column", "id=nr")
    assert (json.loads(done.out)["id"], json.loads(done.out)["text"]) == ("5", TEXTS[0])
    done = cli("predict", trained.model, tmp_path / "a.csv", "--column", "sentence")
    assert done.code == 2
    assert "allowed: field=name" in done.err


def test_fields_stay_and_labels_move_to_gold(cli, trained, tmp_path):
    row = {"id": 7, "text": TEXTS[0], "group": "g", "date": "2024-02-01", "nested": {"a": [1, None]}, **LABELLED}
    file = written(tmp_path / "in.jsonl", [row])
    assert cli("predict", trained.model, file, "-o", tmp_path / "out.jsonl").code == 0
    [found] = rows_of(tmp_path / "out.jsonl")
    assert {key: found[key] for key in ("group", "date", "nested")} == {
        key: row[key] for key in ("group", "date", "nested")
    }
    assert found["id"] == "7"
    assert found["gold"] == LABELLED
    assert list(found["stance"]) == ["west", "russia", "north_korea"]


@pytest.mark.parametrize("targets", [False, True])
def test_predicting_a_prediction_file_keeps_its_gold(cli, trained, tmp_path, targets):
    file = FIXTURES / "newsmtsc" / "dev-mt.jsonl"
    if not targets:
        file = written(tmp_path / "in.jsonl", [{"id": "a", "text": TEXTS[0], **LABELLED}])
    assert cli("predict", trained.model, file, "-o", tmp_path / "once.jsonl").code == 0
    rows = rows_of(tmp_path / "once.jsonl")
    for row in rows:
        row["sentiment"] = "positive"  # another model's answer
    assert cli("predict", trained.model, written(tmp_path / "b.jsonl", rows), "-o", tmp_path / "twice.jsonl").code == 0
    assert rows_of(tmp_path / "twice.jsonl") == rows_of(tmp_path / "once.jsonl")


def test_a_run_stands_for_its_model(cli, trained):
    done = cli("predict", trained.run.folder, "-", stdin=TEXTS[0])
    assert (done.code, done.out) == (0, cli("predict", trained.model, "-", stdin=TEXTS[0]).out)


def test_what_was_predicted_can_be_evaluated_as_it_stands(cli, trained, small_corpus, tmp_path):
    assert cli("predict", trained.model, small_corpus.test, "-o", tmp_path / "out.jsonl").code == 0
    done = cli(
        "evaluate",
        "--predictions",
        tmp_path / "out.jsonl",
        "--data",
        small_corpus.test,
        "-o",
        tmp_path / "runs" / "file" / "0",
    )
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "runs" / "file" / "0" / "metrics.json").read_text())["test"]["overall"]
    expected = trained.run.metrics()["test"]["overall"]
    for name in ("mean.F_avg", "worst.F_avg", "joint_accuracy", "sentiment.macro_F1"):
        assert found[name]["value"] == pytest.approx(expected[name]["value"], abs=1e-6), name
    assert cli("data", "check", tmp_path / "out.jsonl").code == cli("data", "check", small_corpus.test).code == 0


def test_rows_with_targets_keep_them(classifier, tmp_path):
    def about(number, *names):
        targets = tuple(Target(name, name, None, None, "favor") for name in names)
        return Record(str(number), f"{' and '.join(names) or 'Nobody'} met.", targets=targets)

    records = [about(0, "Holt"), about(1), about(2, "Pell", "Lyle"), about(3, "Abara", "Marsh"), about(4, "Holt")]
    predict_stream(classifier, records, tmp_path / "out.jsonl")
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert [[target["id"] for target in row.get("targets", ())] for row in rows] == [
        ["Holt"],
        [],
        ["Pell", "Lyle"],
        ["Abara", "Marsh"],
        ["Holt"],
    ]
    assert list(rows[1]["stance"]) == ["west", "russia", "north_korea"]
    for number in (0, 2, 3):
        assert "stance" not in rows[number]
        assert rows[number]["gold"]["targets"][0]["stance"] == "favor"
        for target in rows[number]["targets"]:
            shares = rows[number]["probabilities"]["stance"][target["id"]]
            assert target["stance"] == max(shares, key=shares.get)
            assert target["holder"] in ("none", "author", "other", *(each["id"] for each in rows[number]["targets"]))
    alone = tmp_path / "alone.jsonl"
    predict_stream(classifier, records[3:4], alone)
    assert rows_of(alone)[0] == rows[3], "a row does not depend on the others"


def test_more_rows_than_a_window_stay_in_order(classifier, monkeypatch, tmp_path):
    monkeypatch.setattr(prediction_files, "WINDOW", 3)
    held = []

    def rows():
        for number in range(8):
            held.append(number)
            yield Record(str(number), f"{TEXTS[number % 4]} {'And so on. ' * (7 - number)}".strip())

    original = StanceClassifier.score_items
    sizes = []
    monkeypatch.setattr(
        StanceClassifier,
        "score_items",
        lambda self, items, **options: (sizes.append((len(items), len(held))), original(self, items, **options))[1],
    )
    assert predict_stream(classifier, rows(), tmp_path / "out.jsonl").predicted == 8
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == [str(number) for number in range(8)]
    assert sizes == [(3, 3), (3, 6), (2, 8)], "never more than a window is read ahead"


BAD = [
    '{"id": "a", "text": "Fine."}',
    '{"id": "b", "text"',
    '{"id": "c"}',
    '{"id": "d", "text": "Good.", "targets": [{"name": "Good", "stance": "love"}]}',
    '{"id": "e", "text": "Last."}',
]


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(BAD) + "\n")
    return path


def test_bad_rows_go_into_the_rejects_file_and_the_rest_goes_on(cli, trained, mixed, tmp_path):
    done = cli("predict", trained.model, mixed, "-o", tmp_path / "out.jsonl")
    assert done.code == 0
    assert f"2 predicted -> {tmp_path / 'out.jsonl'}; 3 rejected -> {tmp_path / 'out.jsonl'}.rejects.jsonl" in done.err
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == ["a", "e"]
    rejects = rows_of(tmp_path / "out.jsonl.rejects.jsonl")
    assert [(row["line"], row["field"]) for row in rejects] == [(2, None), (3, "text"), (4, "targets[0].stance")]
    assert "broken JSON" in rejects[0]["found"]
    assert (rejects[2]["found"], rejects[2]["allowed"]) == ("'love'", "favor, against, neutral, unrelated")


def test_rejects_where_they_are_asked_for(cli, trained, mixed, tmp_path):
    done = cli("predict", trained.model, mixed, "-o", tmp_path / "out.jsonl", "--rejects", tmp_path / "bad.jsonl")
    assert done.code == 0
    assert len(rows_of(tmp_path / "bad.jsonl")) == 3
    assert not (tmp_path / "out.jsonl.rejects.jsonl").exists()
    done = cli("predict", trained.model, mixed)
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == ["a", "e"]
    assert done.err.count("rejected: ") == 3
    assert f"rejected: {mixed}:3: text: found no text; allowed: a sentence" in done.err


def test_without_bad_rows_there_is_no_rejects_file(cli, trained, tmp_path):
    file, _ = in_format("jsonl", tmp_path)
    cli("predict", trained.model, file, "-o", tmp_path / "out.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["news.jsonl", "out.jsonl"]


def test_a_rejects_file_of_an_earlier_run_goes_once_there_are_none(classifier, tmp_path):
    out, rejects = tmp_path / "out.jsonl", tmp_path / "out.jsonl.rejects.jsonl"
    record, fault = Record("1", TEXTS[0]), Fault("in.jsonl", 2, "text", "nothing", "words")
    predict_stream(classifier, [record, fault], out)
    with pytest.raises(UserError):
        predict_stream(classifier, [], out)
    assert rejects.exists(), "what failed leaves all as it was"
    predict_stream(classifier, [record], out)
    assert not rejects.exists()


def test_strict_stops_and_writes_nothing(cli, trained, mixed, tmp_path):
    done = cli("predict", trained.model, mixed, "-o", tmp_path / "out.jsonl", "--strict")
    assert done.code == 2
    assert done.err.startswith(f"error: {mixed}:2: found broken JSON")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    done = cli("predict", trained.model, mixed, "--strict")
    assert (done.code, done.out) == (2, "")


def test_an_old_output_stays_if_the_new_one_fails(cli, trained, mixed, tmp_path):
    (tmp_path / "out.jsonl").write_text("precious\n")
    assert cli("predict", trained.model, mixed, "-o", tmp_path / "out.jsonl", "--strict").code == 2
    assert (tmp_path / "out.jsonl").read_text() == "precious\n"


def test_an_error_in_mid_stream_leaves_nothing(classifier, monkeypatch, tmp_path):
    monkeypatch.setattr(prediction_files, "WINDOW", 2)

    def rows():
        yield from (Record(str(number), text) for number, text in enumerate(TEXTS[:3]))
        yield Fault("in.jsonl", 4, None, "something", "something else")
        raise UserError("the disk went away")

    with pytest.raises(UserError, match="went away"):
        predict_stream(classifier, rows(), tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_no_good_row_at_all_is_an_error(classifier, tmp_path):
    with pytest.raises(DataError, match=r"in\.jsonl:1: text: found nothing; allowed: words"):
        predict_stream(classifier, [Fault("in.jsonl", 1, "text", "nothing", "words")], tmp_path / "out.jsonl")
    with pytest.raises(UserError, match="no sentences"):
        predict_stream(classifier, [], tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "out.xls"], "out.xls: found the ending '.xls'; allowed: .jsonl, .csv, .tsv"),
        (["-o", "out.parquet.gz"], "out.parquet.gz: found the ending '.parquet.gz'; allowed: .jsonl"),
        (["-o", "out"], "out: found the ending ''; allowed: .jsonl"),
        (["-o", "folder.jsonl"], "folder.jsonl: is a folder; allowed: a .jsonl file"),
        (["-o", "out.jsonl", "--rejects", "folder.jsonl"], "folder.jsonl: is a folder"),
        (["-o", "out.jsonl", "--rejects", "bad.txt"], "bad.txt: found the ending '.txt'"),
        (
            ["-o", "out.jsonl", "--rejects", "./out.jsonl"],
            "is asked to hold predictions and rejects; allowed: two files",
        ),
        (["-o", "./in.jsonl"], "./in.jsonl: is the file that is read; allowed: another file"),
        (["-o", "out.jsonl", "--rejects", "in.jsonl"], "in.jsonl: is the file that is read; allowed: another file"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_model_is_loaded(cli, monkeypatch, tmp_path, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": TEXTS[0]}))
    done = cli("predict", "no/such/model", "in.jsonl", *options)
    assert done.code == 2
    assert said in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.jsonl", "in.jsonl"]


def test_an_input_that_is_not_there_is_told_before_the_model_is_loaded(cli):
    done = cli("predict", "no/such/model", "nowhere.txt")
    assert (done.code, done.err) == (2, "error: nowhere.txt: no such file\n")


def test_what_was_predicted_for_targets_can_be_evaluated_as_it_stands(cli, trained, tmp_path):
    file = FIXTURES / "newsmtsc" / "dev-mt.jsonl"
    assert cli("predict", trained.model, file, "-o", tmp_path / "out.jsonl").code == 0
    done = cli("evaluate", "--predictions", tmp_path / "out.jsonl", "--data", file)
    assert done.code == 0, done.err
    assert "16 sentences" in done.out


def test_targets_beside_actors_are_each_answered(trained):

    classifier = StanceClassifier.from_pretrained(trained.model, device="cpu")
    jones = (Target("t", "Jones", 0, 5),)
    records = [
        Record(str(number), "Jones thanked Moscow.", stance, targets=jones)
        for number, stance in enumerate([{"west": "neutral"}, {"russia": "favor"}, {}])
    ]
    rows = list(predict_records(classifier, records))
    assert [sorted(row.get("stance", {})) for row in rows] == [["west"], ["russia"], []]
    assert all(row["targets"][0]["stance"] in ("favor", "against", "neutral", "unrelated") for row in rows)
    assert "NaN" not in json.dumps(rows), "nobody is answered for who was not asked about"


def test_every_bad_line_is_told_and_no_other_is_lost(cli, lexicon_model, tmp_path):
    """Empty line, 1 MB, NUL, bad UTF-8, emoji, right to left, HTML, in one file."""
    good = ["Москва 🚀 пригрозила Западу.", "موسكو تشكر الغرب.", "<p>The <b>West</b> met &amp; parted.</p>"]
    file, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    bad = [b"", b"words" * 200_000, b"N\0l.", b"Orb\xe1n."]
    file.write_bytes(b"\n".join([*bad, *(text.encode() for text in good)]))
    done = cli("predict", lexicon_model, file, "-o", out, "--any-language")
    assert (done.code, done.err) == (0, f"3 predicted -> {out}; 3 rejected -> {out}.rejects.jsonl\n")
    assert [(row["id"], row["text"]) for row in rows_of(out)] == list(zip("567", good, strict=True))
    assert [(row["line"], row["found"]) for row in rows_of(tmp_path / "out.jsonl.rejects.jsonl")] == [
        (2, "1,000,000 characters"),
        (3, "control character '\\x00' at 1"),
        (4, "byte 0xe1 at offset 3 of the line, which is not UTF-8"),
    ]


def test_a_text_column_that_is_lacking_is_told_before_the_model_is_loaded(cli, tmp_path):
    (tmp_path / "a.csv").write_text("text\nGood.\n")
    (tmp_path / "b.csv").write_text("title\nGood.\n")
    done = cli("predict", "no/such/model", tmp_path, "-o", tmp_path / "out.jsonl")
    assert done.code == 2
    assert done.err.startswith(f"error: {tmp_path / 'b.csv'}: has no column 'text' for 'text'; its columns: title")


def test_labels_that_cannot_be_read_do_not_matter(cli, lexicon_model, tmp_path):
    file = written(tmp_path / "in.jsonl", [{"text": TEXTS[0], "stance": "pro", "sentiment": "positive"}])
    done = cli("predict", lexicon_model, file, "-o", tmp_path / "out.jsonl")
    [row] = rows_of(tmp_path / "out.jsonl")
    assert (row["unread_labels"], row["gold"]) == ({"stance": "pro"}, {"sentiment": "positive"})
    assert set(row["stance"]) == {"west", "russia", "north_korea"}
    assert done.err.splitlines()[1] == "1 rows had labels that cannot be read: they keep them as `unread_labels`"


def test_a_person_sees_rate_and_time_left(lexicon, monkeypatch, tmp_path):
    screen = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(prediction_progress, "Console", lambda **_: screen)
    monkeypatch.setattr(prediction_files, "WINDOW", 500)
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{TEXTS[number % 4]}\n" for number in range(1500)))
    position = Position()
    rows = read_files([str(file)], actors=lexicon.actors, position=position)
    with PredictionProgress(True, position, file.stat().st_size) as progress:
        predict_stream(lexicon, rows, tmp_path / "out.jsonl", progress=progress)
    shown = screen.file.getvalue()
    assert re.search(r"\d+ % .*\d+ sentences {2}[\d,]+/s {2}\d:\d\d:\d\d left", re.sub(r"\x1b\[[\d;?]*\w", "", shown))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_file(tiny_backbone, tmp_path):
    """A million sentences, through a real if tiny network, take no more than 100 MB above ten thousand."""
    config = ModelConfig(backbone=tiny_backbone, layers=1)
    manifest = Manifest("slots", Actors.load().as_list(), config.encoding_options())
    save_network(tmp_path / "model", build_network(config), AutoTokenizer.from_pretrained(tiny_backbone), manifest)
    peaks = []
    for count in (10_000, 1_000_000):
        with (tmp_path / "in.txt").open("w") as stream:
            stream.writelines(f"Moscow told the West {number}{' again' * (number % 7)}.\n" for number in range(count))
        command = ["predict", tmp_path / "model", tmp_path / "in.txt", "-o", tmp_path / "out.jsonl", "--device", "cpu"]
        process = subprocess.Popen([sys.executable, "-m", "tristance.train", *map(str, command), "--batch-size", "128"])
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        with (tmp_path / "out.jsonl").open() as stream:
            assert sum(1 for _ in stream) == count
        peaks.append(usage.ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 100, f"MB: {peaks}"
