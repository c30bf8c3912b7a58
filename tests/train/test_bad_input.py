"""Whatever a user may hand over that is wrong: one clear line, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

GOOD = {
    "text": "Moscow thanked Brussels.",
    "stance": {"west": "favor", "russia": "neutral"},
    "holder": {"west": "russia", "russia": "none"},
}


def line(number=1, **changes):
    row = {"id": f"r{number}", **GOOD, "text": f"Moscow thanked Brussels for help number {number}."} | changes
    return json.dumps({key: value for key, value in row.items() if value is not None}).encode() + b"\n"


FAULTY = {
    "empty": (b"", "{file}: found no rows; allowed: at least one sentence"),
    "blank": (b"\n\n  \n", "{file}: found no rows; allowed: at least one sentence"),
    "binary": (bytes(range(256)) * 20, "{file}: found binary data; allowed: UTF-8 text"),
    "truncated": (line(1) + line(2)[:40], "{file}:2: found broken JSON at column "),
    "latin-1": (
        line(1) + '{"text": "Die Mächte."}\n'.encode("latin-1"),
        "{file}:2: found byte 0xe4 at offset 15 of the line, which is not UTF-8",
    ),
    "utf-16": (line(1).decode().encode("utf-16"), "{file}: found UTF-16 text; allowed: UTF-8 text"),
    "unknown label": (
        line(1) + line(2, stance={"west": "love"}, holder=None),
        "{file}:2: stance.west: found 'love'; allowed: favor, against, neutral, unrelated",
    ),
    "unknown actor": (
        line(1, stance={"mars": "favor"}, holder=None),
        "{file}:1: stance.mars: found 'mars'; allowed: an actor: west, russia, north_korea",
    ),
    "no text": (line(1) + line(2, text=None), "{file}:2: text: found no text; allowed: a sentence"),
    "empty text": (line(1, text="  "), "{file}:1: text: found '  '; allowed: a sentence that is not empty"),
    "long": (
        line(1) + line(2, text="word " * 20_000),
        "{file}:2: text: found 100,000 characters; allowed: one sentence of at most 2,000 characters",
    ),
    "no object": (b"[1, 2]\n", "{file}: found a JSON array; allowed: an object a line"),
}


@pytest.fixture(params=FAULTY)
def faulty(request, tmp_path):
    content, said = FAULTY[request.param]
    file = tmp_path / "in.jsonl"
    file.write_bytes(content)
    return file, said.format(file=file)


def contents(folder):
    """Every file below a folder, with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(done, said, before=None, folder=None):
    assert done.code == 2, (done.code, done.out, done.err)
    assert "Traceback" not in done.err
    first = done.err.splitlines()[0]
    assert first.startswith("error: "), done.err
    assert said in first
    assert done.out == ""
    if folder is not None:
        assert contents(folder) == before, "nothing may be written"


# Files of sentences


def test_data_check_lists_the_fault(cli, faulty):
    file, said = faulty
    done = cli("data", "check", file)
    assert done.code == 2
    assert said in done.out
    assert "sentences in 1 files, " in done.err


def test_train_refuses_it(cli, faulty, overrides, tmp_path):
    file, said = faulty
    before = contents(tmp_path)
    refused(cli("train", "base", *overrides, f"data.sources.corpus.train={file}"), said, before, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_evaluate_refuses_it(cli, faulty, trained, tmp_path):
    file, said = faulty
    before = contents(tmp_path)
    refused(cli("evaluate", trained.model, "--data", file, "-o", tmp_path / "runs" / "x" / "0"), said, before, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_predict_refuses_it(cli, faulty, trained, tmp_path):
    file, said = faulty
    before = contents(tmp_path)
    done = cli("predict", trained.model, file, "-o", tmp_path / "out.jsonl", "--strict")
    if "stance." in said:  # labels are not needed here
        assert (done.code, "had labels that cannot be read" in done.err) == (0, True)
    else:
        refused(done, said, before, tmp_path)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "folder", "folder.jsonl", "news.pdf"])
def test_what_is_no_file_of_sentences(cli, name, trained, overrides, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "news.pdf").write_bytes(b"%PDF")
    said = {"nowhere.jsonl": "no such file", "news.pdf": "its format cannot be told from its name"}.get(
        name, "is a folder"
    )
    file, before = tmp_path / name, contents(tmp_path)
    for arguments in (
        ("data", "check", file),
        ("data", "stats", file),
        ("train", "majority", *overrides, f"data.sources.corpus.validation={file}"),
        ("evaluate", trained.run.folder, "--data", file, "-o", tmp_path / "x"),
        ("evaluate", "--predictions", file, "--data", trained.config.data.sources["corpus"].test[0]),
        ("predict", trained.model, file, "-o", tmp_path / "out.jsonl"),
    ):
        done = cli(*arguments)
        if arguments[1] == "--predictions":
            refused(done, str(file), before, tmp_path)
        else:
            refused(done, f"{file}: {said}", before, tmp_path)


def test_a_corpus_with_one_class(cli, overrides, tmp_path):
    file = tmp_path / "one.jsonl"
    same = {"stance": dict.fromkeys(("west", "russia", "north_korea"), "neutral"), "holder": None}
    file.write_bytes(b"".join(line(number, **same) for number in range(30)))
    before = contents(tmp_path)
    for config in ("base", "tfidf"):
        done = cli("train", config, *overrides, f"data.sources.corpus.train={file}")
        refused(done, "stance labels ['neutral'] alone; allowed: at least two of favor, against", before, tmp_path)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_of_zero_rows(cli, overrides, split, tmp_path):
    before = contents(tmp_path)
    done = cli("train", "base", *overrides, f"data.sources.corpus.{split}=[]")
    refused(
        done, f"{split} (stage main) split: found 0 rows; allowed: at least one labelled sentence", before, tmp_path
    )


def test_no_test_split_is_fine(cli, overrides, tmp_path):
    assert cli("train", "majority", *overrides, "data.sources.corpus.test=[]").code == 0
    assert "test" not in json.loads((tmp_path / "runs" / "majority" / "13" / "metrics.json").read_text())


def test_a_leak_is_refused_unless_the_config_says_otherwise(cli, overrides, small_corpus, tmp_path):
    options = [*overrides, f"data.sources.corpus.validation={small_corpus.train}"]
    before = contents(tmp_path)
    refused(cli("train", "majority", *options, "data.check=refuse"), "train.jsonl:1", before, tmp_path)
    assert cli("train", "majority", *options, "data.check=warn").code == 0


def test_data_without_labels_cannot_be_evaluated(cli, trained, tmp_path):
    (tmp_path / "news.txt").write_text("Moscow thanked Brussels.\n")
    before = contents(tmp_path)
    done = cli("evaluate", trained.model, "--data", tmp_path / "news.txt", "-o", tmp_path / "x" / "0")
    refused(done, "news.txt: found no labels; allowed: labelled sentences", before, tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "found no predictions"),
        ([{"id": "r1"}], "r2"),
        ([{"id": "r1"}, {"id": "r2"}, {"id": "r9"}], "r9"),
        ([{"id": "r1"}, {"id": "r1"}, {"id": "r2"}], "r1"),
        (
            [{"id": "r1", "stance": {"west": "love"}}, {"id": "r2"}],
            "stance.west: found 'love'; allowed: favor, against, neutral, unrelated",
        ),
    ],
)
def test_predictions_that_do_not_fit(cli, rows, said, tmp_path):
    (tmp_path / "gold.jsonl").write_bytes(line(1) + line(2))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = contents(tmp_path)
    done = cli(
        "evaluate", "--predictions", tmp_path / "p.jsonl", "--data", tmp_path / "gold.jsonl", "-o", tmp_path / "x" / "0"
    )
    refused(done, said, before, tmp_path)


def test_evaluate_wants_a_model_or_predictions(cli, trained, small_corpus):
    refused(cli("evaluate", "--data", small_corpus.test), "needs a MODEL or --predictions")
    refused(cli("evaluate", trained.model, "--predictions", "p.jsonl", "--data", small_corpus.test), "and not both")
    refused(
        cli("evaluate", trained.model, "--data", small_corpus.test, "--labels", "favor,love"),
        "--labels: found favor,love",
    )


# Models


def test_a_loss_that_is_no_number(cli, overrides, tmp_path):
    done = cli("train", "base", *overrides, "train.learning_rate=1e30", "train.warmup=0")
    assert done.code == 2
    assert "Traceback" not in done.err
    said = done.err.splitlines()[-1]
    assert said.startswith("error: the loss became nan at step ")
    assert "try a lower train.learning_rate than 1e+30" in said
    run = tmp_path / "runs" / "base" / "13"
    assert not (run / "metrics.json").exists()
    assert not (run / "model").exists()
    assert not list(run.glob("**/*.part"))


@pytest.mark.parametrize("damage", ["tampered", "cut", "version"])
def test_a_damaged_model_is_refused_by_every_command(cli, damage, trained, small_corpus, tmp_path):
    run = shutil.copytree(trained.run.folder, tmp_path / "runs" / "copy" / "13")
    weights, config = run / "model" / "model.safetensors", run / "model" / "config.json"
    if damage == "tampered":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(bytes(content))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        content = json.loads(config.read_text())
        content["tristance"]["format"] = 99
        config.write_text(json.dumps(content))
    said = "found model format 99; allowed: 1" if damage == "version" else "broken or tampered with"
    before = contents(tmp_path)
    refused(cli("predict", run / "model", small_corpus.test, "-o", tmp_path / "out.jsonl"), said, before, tmp_path)
    refused(cli("evaluate", run, "--data", small_corpus.test), said, before, tmp_path)


@pytest.mark.parametrize("model", ["runs/nothing/13/model", "nobody/no-model", "."])
def test_a_model_that_is_not_there(cli, model, small_corpus, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    start = time.monotonic()
    refused(cli("predict", model, small_corpus.test, "-o", "out.jsonl"), f"{model}: no", {}, tmp_path)
    refused(cli("evaluate", model, "--data", small_corpus.test, "-o", "x/y/0"), f"{model}: no", {}, tmp_path)
    assert time.monotonic() - start < 5


def test_an_unknown_backbone_without_network(cli, overrides, tmp_path):
    start = time.monotonic()
    done = cli("train", "base", *overrides, "model.backbone=nobody/no-model")
    assert time.monotonic() - start < 5
    assert done.code == 2
    assert done.err.startswith("error: backbone nobody/no-model: no such folder, and the hub does not give it: ")
    assert len(done.err.splitlines()) == 1


def test_a_mistyped_backbone_does_not_occupy_the_run_folder(cli, overrides, tmp_path):
    cli("train", "base", *overrides, "model.backbone=nobody/no-model")
    assert not (tmp_path / "runs" / "base" / "13").exists()


# Places that cannot be written


def test_outputs_below_a_file(cli, overrides, trained, small_corpus, tmp_path):
    (tmp_path / "file").write_text("precious")
    below, before = tmp_path / "file" / "runs", contents(tmp_path)
    refused(cli("train", "majority", *overrides, f"output={below}"), f"{below}", before, tmp_path)
    refused(
        cli("evaluate", trained.model, "--data", small_corpus.test, "-o", below),
        f"{tmp_path / 'file'}",
        before,
        tmp_path,
    )
    refused(
        cli("predict", trained.model, small_corpus.test, "-o", below / "out.jsonl"),
        f"{tmp_path / 'file'}",
        before,
        tmp_path,
    )


def run_with_room(size, *arguments, cwd):
    """The command in a process that may write no file over `size` bytes: what a full disk does, for root too."""
    done = subprocess.run(
        [sys.executable, "-m", "tristance.train", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "file too large; allowed: a place with room" in last


def test_a_disk_that_fills_up_while_predicting(trained, small_corpus, tmp_path):
    (tmp_path / "out.jsonl").write_text("precious\n")
    before = contents(tmp_path)
    run_with_room(2000, "predict", trained.model, small_corpus.test, "-o", tmp_path / "out.jsonl", cwd=tmp_path)
    assert contents(tmp_path) == before


def test_a_disk_that_fills_up_while_training(overrides, tmp_path):
    """At the first checkpoint, whose weights safetensors writes, with errors of its own."""
    run_with_room(100_000, "train", "base", *overrides, "train.epochs=1", cwd=tmp_path)
    run = tmp_path / "runs" / "base" / "13"
    assert not (run / "model").exists()
    assert not (run / "metrics.json").exists()
    assert not list(tmp_path.glob("**/*.part"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("config", "show", "base"), ("data", "stats")])
def test_a_full_standard_output(arguments, small_corpus):
    files = [str(small_corpus.test)] if arguments[0] == "data" else []
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tristance.train", *arguments, *files],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == "error: output: no space left on device; allowed: a place with room, that may be written\n"


def test_a_reader_that_goes_away(small_corpus):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "tristance.train", "config", "show", "base"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, "")


# The command itself


def test_the_command_says_a_mistake_in_one_line(command, tmp_path):
    """Through the real entry point, in a process of its own."""
    done = command("predict", "no/such/model", "nowhere.txt")
    assert (done.code, done.out, done.err) == (2, "", "error: nowhere.txt: no such file\n")
    (tmp_path / "a.jsonl").write_bytes(line(1, stance={"west": "love"}, holder=None))
    done = command("data", "check", "a.jsonl")
    assert done.code == 2
    assert done.out == "a.jsonl:1: stance.west: found 'love'; allowed: favor, against, neutral, unrelated\n"
    done = command("train", "base", "train.epocs=3")
    assert (done.code, done.err) == (2, "error: command line: train.epocs: unknown key; did you mean train.epochs?\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
