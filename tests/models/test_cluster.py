"""Pieces of Parquet files and the folder that they become, without Ray: every row once, and never half an output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tristance.data.errors import DataError, UserError
from tristance.data.inputs import read_files
from tristance.models.cluster import engine, pieces
from tristance.models.cluster.engine import answer_piece, pack, unpack
from tristance.models.cluster.folder import SUCCESS, WORK
from tristance.models.cluster.pieces import find_tables, plan, windows
from tristance.models.cluster.scoring import lacking, predict_tables
from tristance.models.output_columns import output_columns
from tristance.models.prediction_files import predict_stream

SENTENCES = ["Russia condemned the West.", "Pyongyang thanked Moscow.", "Nothing happened.", "Die Sonne scheint heute."]


def table(count, **columns):
    texts = [f"{SENTENCES[number % 4]} No {number}." for number in range(count)]
    return pa.table({"text": texts, "date": [f"2024-{number}" for number in range(count)], **columns})


@pytest.fixture
def archive(tmp_path):
    """Two files with rows that cannot be read, in row groups of all sizes."""
    folder = tmp_path / "archive"
    folder.mkdir()
    broken = table(101).to_pylist()
    broken[0]["text"] = None
    broken[40]["text"] = "x" * 3000
    pq.write_table(pa.Table.from_pylist(broken), folder / "a.parquet", row_group_size=17)
    pq.write_table(table(30, id=[f"b{number}" for number in range(30)]), folder / "b.parquet")
    return folder


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def here(classifier):
    """Answers pieces in this process, the last first."""

    def run(todo, job, model):
        for piece in reversed(todo):
            tally = answer_piece(classifier, piece, job).tally
            yield {"number": piece.number, "bytes": piece.bytes, "rows": tally.rows, "rejected": tally.rejected}

    return run


def predict(classifier, folder, output, size=25, columns=(), run=None, **options):
    todo = plan(find_tables([str(folder)]), {}, size)
    return predict_tables(
        classifier,
        folder,
        todo,
        str(output),
        output_columns(classifier.actors.ids, columns, source_file=len(todo.files) > 1),
        identity={"size": size},
        run=run or here(classifier),
        **options,
    )


def same(found, expected):
    assert found.schema.equals(expected.schema)
    for name, column in zip(expected.column_names, expected.columns, strict=True):
        if pa.types.is_floating(column.type):
            values = [np.array(each.to_pylist(), dtype=float) for each in (found[name], column)]
            np.testing.assert_allclose(*values, atol=1e-5, err_msg=name)
        else:
            assert found[name].to_pylist() == column.to_pylist(), name


def test_the_folder_holds_what_the_local_engine_writes(lexicon, archive, tmp_path):
    counts = predict(lexicon, archive, tmp_path / "out")
    files = find_tables([str(archive)])
    rows = read_files(files, actors=lexicon.actors, need_labels=False)
    columns = output_columns(lexicon.actors.ids, source_file=True)
    expected = predict_stream(lexicon, rows, tmp_path / "local.parquet", columns=columns)
    same(pq.read_table(tmp_path / "out"), pq.read_table(tmp_path / "local.parquet"))
    assert (tmp_path / "out.rejects.jsonl").read_text() == (tmp_path / "local.parquet.rejects.jsonl").read_text()
    assert (counts.rows, counts.predicted, counts.rejected, counts.marks) == (131, 129, 2, expected.marks)
    assert counts.marks.out_of_scope, "a German sentence must be among them"
    assert listed(tmp_path / "out") == [SUCCESS, *(f"part-{number:08}.parquet" for number in range(7))]
    assert not (tmp_path / "out.parts").exists()


@pytest.mark.parametrize("group", [1, 3, 7, 100])
@pytest.mark.parametrize("size", [1, 4, 10, 100])
def test_pieces_hold_each_row_once_whatever_the_row_groups(tmp_path, monkeypatch, group, size):
    monkeypatch.setattr(pieces, "WINDOW", 3)
    monkeypatch.setattr(pieces, "BATCH_ROWS", 2)
    pq.write_table(table(23), tmp_path / "a.parquet", row_group_size=group)
    found = plan([str(tmp_path / "a.parquet")], {}, size)
    read = [(first, part) for piece in found.pieces for first, part in windows(piece)]
    assert [first + number for first, part in read for number in range(part.num_rows)] == list(range(1, 24))
    assert pa.concat_tables(part for _, part in read).equals(table(23))
    assert all(part.num_rows <= 3 for _, part in read)
    assert [piece.number for piece in found.pieces] == list(range(-(-23 // size)))


def test_an_interrupted_output_goes_on_and_never_looks_finished(lexicon, archive, tmp_path):
    def stops(todo, job, model):
        answered = here(lexicon)(todo, job, model)
        for _ in range(3):
            yield next(answered)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="3 finished pieces are kept"):
        predict(lexicon, archive, tmp_path / "out", run=stops)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.parts" / SUCCESS).exists()
    with pytest.raises(UserError, match="of another run: size was 25, is 20; allowed: the same"):
        predict(lexicon, archive, tmp_path / "out", size=20)
    numbers = []

    def counts(todo, job, model):
        numbers.extend(piece.number for piece in todo)
        return here(lexicon)(todo, job, model)

    found = predict(lexicon, archive, tmp_path / "out", run=counts)
    assert numbers == [0, 1, 2, 3]
    assert found.earlier == 6 + 24 + 1
    predict(lexicon, archive, tmp_path / "whole")
    same(pq.read_table(tmp_path / "out"), pq.read_table(tmp_path / "whole"))


def test_restart_begins_anew(lexicon, archive, tmp_path):
    def fails(todo, job, model):
        yield next(here(lexicon)(todo, job, model))
        raise UserError("no more")

    with pytest.raises(UserError, match="no more; 1 finished pieces"):
        predict(lexicon, archive, tmp_path / "out", run=fails)
    assert predict(lexicon, archive, tmp_path / "out", size=20, restart=True).earlier == 0


def test_a_piece_that_kills_its_workers_is_given_up(lexicon, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "windows", lambda piece: (_ for _ in ()).throw(MemoryError))

    def dies(todo, job, model):
        for _ in range(engine.TRIES):
            with pytest.raises(MemoryError):
                answer_piece(lexicon, todo[2], job)
        return here(lexicon)([todo[2]], job, model)

    with pytest.raises(UserError, match=r"a.parquet: rows from 51 on cost 5 workers their lives; allowed: fewer"):
        predict(lexicon, archive, tmp_path / "out", run=dies)
    assert not (tmp_path / "out.parts").exists(), "nothing was finished that could be kept"


def test_strict_stops_at_the_first_fault(lexicon, archive, tmp_path):
    with pytest.raises(DataError, match=r"a.parquet:41: text: found 3,000 characters"):
        predict(lexicon, archive, tmp_path / "out", strict=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match=r"a.parquet:1: text: found no text"):  # the rest of it was not begun then
        predict(lexicon, archive / "a.parquet", tmp_path / "other", size=200, strict=True)


def test_broken_files_are_rejects_and_the_rest_is_answered(lexicon, archive, tmp_path):
    (archive / "c.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(table(0), archive / "d.parquet")
    broken = bytearray((archive / "b.parquet").read_bytes())
    broken[20:60] = b"\xff" * 40
    (archive / "e.parquet").write_bytes(broken)
    counts = predict(lexicon, archive, tmp_path / "out")
    faults = [json.loads(line) for line in (tmp_path / "out.rejects.jsonl").read_text().splitlines()]
    found = {Path(fault["file"]).name: fault["found"] for fault in faults}
    assert set(found) == {"a.parquet", "c.parquet", "d.parquet", "e.parquet"}
    assert found["d.parquet"] == "no rows"
    assert all("unreadable Parquet" in found[f"{name}.parquet"] for name in "ce")
    assert (counts.predicted, counts.rejected) == (129, len(faults))


def test_nothing_readable_leaves_nothing(lexicon, tmp_path):
    pq.write_table(pa.table({"text": pa.array([None, "  "], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet:1: text: found no text"):
        predict(lexicon, tmp_path / "a.parquet", tmp_path / "out")
    pq.write_table(table(0), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet: found no rows"):
        predict(lexicon, tmp_path / "b.parquet", tmp_path / "out")
    assert listed(tmp_path) == ["a.parquet", "b.parquet"]


def test_an_output_that_is_there_is_refused(lexicon, archive, tmp_path):
    (tmp_path / "out").mkdir()
    assert predict(lexicon, archive, tmp_path / "out").predicted == 129, "an empty folder will do"
    with pytest.raises(UserError, match="out: is a folder with files in it; allowed: the name of a folder that is not"):
        predict(lexicon, archive, tmp_path / "out")
    (tmp_path / "new.parts").mkdir()
    (tmp_path / "new.parts" / "mine").write_text("")
    for restart in (False, True):
        with pytest.raises(UserError, match=r"new.parts: found files of somebody else"):
            predict(lexicon, archive, tmp_path / "new", restart=restart)
    assert (tmp_path / "new.parts" / "mine").exists()


def test_what_a_killed_process_left_is_gone_from_the_output(lexicon, archive, tmp_path):
    def left(todo, job, model):
        with open(tmp_path / "out.parts" / ".part-00000001.parquet.x.part", "w"):
            return here(lexicon)(todo, job, model)

    predict(lexicon, archive, tmp_path / "out", run=left)
    assert not [name for name in listed(tmp_path / "out") if name.startswith(".") or name == WORK]


def test_a_uri_is_read_and_written_in_place(lexicon, archive, tmp_path):
    """`file://` goes the way of the object stores: no rename, `_SUCCESS` last."""
    out = f"file://{tmp_path}/out"
    folder = f"file://{archive}"
    pq.write_table(table(5), archive / "_hidden.parquet")

    def looks(todo, job, model):
        yield from here(lexicon)(todo, job, model)
        assert listed(tmp_path / "out")[0] == WORK, "no _SUCCESS before it is whole"

    found = find_tables([folder])
    assert found == [f"{folder}/a.parquet", f"{folder}/b.parquet"]
    todo = plan(found, {}, 40)
    columns = output_columns(lexicon.actors.ids, source_file=True)
    options = {"identity": {}, "run": looks}
    assert predict_tables(lexicon, tmp_path, todo, out, columns, **options).predicted == 129
    assert pq.read_table(tmp_path / "out").num_rows == 129
    assert SUCCESS in listed(tmp_path / "out")
    assert len((tmp_path / "out.rejects.jsonl").read_text().splitlines()) == 2
    with pytest.raises(UserError, match="holds a whole output"):
        predict_tables(lexicon, tmp_path, todo, out, columns, **options)


def test_inputs_that_cannot_be(tmp_path):
    pq.write_table(pa.table({"sentence": ["a"]}), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("text\na\n")
    with pytest.raises(UserError, match=r"b.csv: is no Parquet; allowed with --engine ray: .parquet. Convert it"):
        find_tables([str(tmp_path)])
    with pytest.raises(UserError, match="has no column 'text' for 'text'; its columns: sentence"):
        plan([str(tmp_path / "a.parquet")], {}, 10)
    assert plan([str(tmp_path / "a.parquet")], {"text": "sentence"}, 10).names == {"sentence"}
    with pytest.raises(UserError, match=r"nothing.parquet: no such file"):
        find_tables([str(tmp_path / "nothing.parquet")])
    with pytest.raises(UserError, match=r"ftp://x/a.parquet: .*allowed: a path, or a URI"):
        find_tables(["ftp://x/a.parquet"])
    with pytest.raises(UserError, match="allowed: a place that answers"):
        find_tables([f"file://{tmp_path}/none/"])


def test_a_file_that_goes_meanwhile_is_no_fault_of_its_rows(tmp_path):
    pq.write_table(table(9), tmp_path / "a.parquet")
    [piece] = plan([str(tmp_path / "a.parquet")], {}, 10).pieces
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(UserError, match=r"a.parquet: cannot be read"):
        next(windows(piece))


def test_a_column_that_nobody_has(lexicon):
    columns = output_columns(lexicon.actors.ids, ["id", "date", "dat", "stance.west", "gold.stance", "meta.source"])
    assert lacking(columns, {"text", "date", "meta"}) == ["dat"]


def test_a_model_travels_whole(lexicon_model, tmp_path):
    unpack(pack(lexicon_model), tmp_path / "copy")
    files = {path.name: path.read_bytes() for path in lexicon_model.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == files


def test_faults_add_up_to_the_rows(lexicon, archive, tmp_path):
    counts = predict(lexicon, archive, tmp_path / "out", size=1000)
    assert counts.rows == counts.predicted + counts.rejected == 131
