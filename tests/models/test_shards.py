"""Interrupted and started again: nothing lost, nothing done twice, the same bytes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.models.test_output_columns import read_output
from tristance.data.errors import UserError
from tristance.models import prediction_files

WORDS = ("thanked", "attacked", "praised", "blamed", "met")


def sentences(path, count):
    lines = [f"Moscow {WORDS[number % 5]} the West, said envoy {number * 7919 % 1000}." for number in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def interrupted(monkeypatch):
    """Let the work stop at a window: `interrupted(5, KeyboardInterrupt)`."""
    original = prediction_files.answer

    def arrange(at, error=KeyboardInterrupt):
        calls = []

        def answer(*arguments, **options):
            calls.append(1)
            if len(calls) == at:
                raise error
            return original(*arguments, **options)

        monkeypatch.setattr(prediction_files, "answer", answer)
        return calls

    monkeypatch.setattr(prediction_files, "WINDOW", 20)
    return arrange


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.csv", "o.tsv.zst", "o.parquet"])
def test_an_interrupted_run_goes_on_to_the_same_bytes(cli, lexicon_model, interrupted, tmp_path, name):
    file = sentences(tmp_path / "in.txt", 250)
    with file.open("a") as stream:
        stream.write("\x07\n")
    whole, out, parts = tmp_path / f"whole-{name}", tmp_path / name, tmp_path / f"{name}.parts"
    options = ("--shard-size", 50)
    calls = interrupted(0)
    assert cli("predict", lexicon_model, file, "-o", whole, *options).code == 0
    every = len(calls)
    interrupted(8)
    done = cli("predict", lexicon_model, file, "-o", out, *options)
    assert done.code == 130
    assert done.err.strip() == (
        f"interrupted; 2 finished shards are kept in {parts}: the same command goes on after them"
    )
    assert not out.exists()
    assert not list(parts.glob("*.part"))
    calls = interrupted(0)
    done = cli("predict", lexicon_model, file, "-o", out, *options)
    assert done.code == 0, done.err
    assert done.err.splitlines() == [
        f"250 predicted -> {out}; 1 rejected -> {out}.rejects.jsonl",
        "100 rows were there from an earlier run",
    ]
    assert len(calls) == every - 6, "finished shards are not answered again"
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / f"{name}.rejects.jsonl").read_bytes() == (tmp_path / f"whole-{name}.rejects.jsonl").read_bytes()
    assert not parts.exists()
    assert [row["id"] for row in read_output(out)] == [str(number) for number in range(1, 251)]


def test_a_killed_process_goes_on_to_the_same_bytes(cli, lexicon_model, tmp_path):
    """The real command, killed where it cannot tidy up."""
    file, out, parts = sentences(tmp_path / "in.txt", 2000), tmp_path / "out.jsonl", tmp_path / "out.jsonl.parts"
    command = ("predict", str(lexicon_model), str(file), "--shard-size", "50", "-o")
    process = subprocess.Popen([sys.executable, "-m", "tristance.train", *command, str(out)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(parts.glob("0*.json"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it must not have been done before"
    assert parts.exists()
    assert not out.exists()
    kept = len(list(parts.glob("0*.json")))
    (parts / ".000099.answers.abc.part").write_text("what a killed process was at")
    done = cli(*command, out)
    assert done.code == 0, done.err
    assert f"{kept * 50} rows were there from an earlier run" in done.err
    assert cli(*command, tmp_path / "whole.jsonl").code == 0
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.jsonl", "whole.jsonl"]


def test_shards_that_end_with_the_input_and_rows_that_end_in_a_shard(cli, lexicon_model, tmp_path):
    for count in (99, 100, 101):
        file = sentences(tmp_path / "in.txt", count)
        assert cli("predict", lexicon_model, file, "-o", tmp_path / "o.parquet", "--shard-size", 50).code == 0
        assert len(read_output(tmp_path / "o.parquet")) == count


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--batch-size", 5), "options batch_size was 32, is 5"),
        (("--columns", "id"), "options columns was "),
        (("more.txt",), "input more.txt was None, is ["),
        ("input", "input in.txt was [10019, "),
        ("model", "model was '"),
    ],
)
def test_shards_of_another_run_are_refused(cli, lexicon_model, interrupted, monkeypatch, tmp_path, change, said):
    monkeypatch.chdir(tmp_path)
    sentences(tmp_path / "more.txt", 3)
    file = sentences(tmp_path / "in.txt", 250)
    interrupted(8)
    command = ["predict", lexicon_model, "in.txt", "-o", "out.jsonl", "--shard-size", 50]
    assert cli(*command).code == 130
    interrupted(0)
    if change == "input":
        with file.open("a") as stream:
            stream.write("One more.\n")
    elif change == "model":
        monkeypatch.setattr("tristance.models.manifest.sha256", lambda _: "another")
        monkeypatch.setattr("tristance.models.baselines.verify_checksums", lambda _: None)
    else:
        command = [*command, *change]
    done = cli(*command)
    assert done.code == 2
    assert "out.jsonl.parts: holds 2 finished shards of another run: " in done.err
    assert said in done.err
    assert done.err.endswith("allowed: the same command as then, or --restart to throw them away\n")
    assert len(done.err.splitlines()) == 1
    assert len(list((tmp_path / "out.jsonl.parts").glob("0*.json"))) == 2, "nothing is lost"
    done = cli(*command, "--restart")
    assert done.code == 0, done.err
    assert "earlier" not in done.err
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_files_of_somebody_else_are_left_alone(cli, lexicon_model, tmp_path):
    file, parts = sentences(tmp_path / "in.txt", 3), tmp_path / "out.jsonl.parts"
    parts.mkdir()
    (parts / "thesis.txt").write_text("precious")
    for more in ((), ("--restart",)):
        done = cli("predict", lexicon_model, file, "-o", tmp_path / "out.jsonl", *more)
        assert (done.code, done.err) == (
            2,
            f"error: {parts}: found files of somebody else; allowed: a folder for the parts of this output\n",
        )
    assert (parts / "thesis.txt").read_text() == "precious"


def test_standard_input_cannot_be_gone_on_with(cli, lexicon_model, interrupted, tmp_path):
    text = sentences(tmp_path / "in.txt", 250).read_text()
    interrupted(8)
    done = cli("predict", lexicon_model, "-", "-o", tmp_path / "out.jsonl", "--shard-size", 50, stdin=text)
    assert (done.code, done.err.strip()) == (130, "interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]
    interrupted(0)
    assert cli("predict", lexicon_model, "-", "-o", tmp_path / "out.jsonl", stdin=text).code == 0
    assert len(read_output(tmp_path / "out.jsonl")) == 250


def test_two_processes_on_one_output(cli, lexicon_model, tmp_path):
    out, pipe = tmp_path / "out.jsonl", tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "tristance.train", "predict", str(lexicon_model), str(pipe), "-o", str(out)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with pipe.open("w") as stream:  # opens once the first process reads, with its output begun
        assert (tmp_path / "out.jsonl.parts").is_dir()
        done = cli("predict", lexicon_model, sentences(tmp_path / "in.txt", 3), "-o", out)
        assert (done.code, done.err) == (
            2,
            f"error: {out}: another process writes it; allowed: wait for it, or another output\n",
        )
        stream.write("Moscow thanked the West.\n")
    _, said = first.communicate(timeout=60)
    assert (first.returncode, said) == (0, f"1 predicted -> {out}\n")
    assert [row["text"] for row in read_output(out)] == ["Moscow thanked the West."], "the first loses nothing"
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_a_disk_that_fills_up_keeps_finished_shards(cli, lexicon_model, tmp_path):
    """A process that may write no file over some size: the shards fit in, the whole does not."""
    file, out = sentences(tmp_path / "in.txt", 100), tmp_path / "out.jsonl"
    command = ("predict", str(lexicon_model), str(file), "-o", str(out), "--shard-size", "10")
    done = subprocess.run(
        [sys.executable, "-m", "tristance.train", *command],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {out}: file too large; allowed: a place with room, that may be written; 10 finished shards are kept "
        f"in {out}.parts: the same command goes on after them\n"
    )
    assert not out.exists()
    done = cli(*command)
    assert done.code == 0
    assert "100 rows were there from an earlier run" in done.err
    assert len(read_output(out)) == 100


def test_a_mistake_in_mid_file_keeps_finished_shards(cli, lexicon_model, interrupted, tmp_path):
    file, out = sentences(tmp_path / "in.txt", 250), tmp_path / "out.jsonl"
    interrupted(8, UserError("the disk went away"))
    done = cli("predict", lexicon_model, file, "-o", out, "--shard-size", 50)
    assert done.err == (
        f"error: the disk went away; 2 finished shards are kept in {out}.parts: the same command goes on after them\n"
    )


def test_nothing_but_faults_leaves_nothing(cli, lexicon_model, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text('{"id": 1}\n' * 100)
    done = cli("predict", lexicon_model, file, "-o", tmp_path / "out.csv", "--shard-size", 10)
    assert done.code == 2
    assert done.err.startswith(f"error: {file}:1: text: found no text; allowed: a sentence\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    file.write_text("")
    done = cli("predict", lexicon_model, file, "-o", tmp_path / "out.csv")
    assert done.err.startswith(f"error: {file}: found no rows; allowed: at least one sentence")


def test_the_state_says_what_the_shards_are_of(cli, lexicon_model, interrupted, tmp_path):
    file = sentences(tmp_path / "in.txt", 250)
    interrupted(8)
    cli("predict", lexicon_model, file, "-o", tmp_path / "out.jsonl", "--shard-size", 50)
    state = json.loads((tmp_path / "out.jsonl.parts" / "state.json").read_text())
    assert state["input"] == {str(file): [file.stat().st_size, file.stat().st_mtime_ns]}
    assert len(state["model"]) == 64
    assert state["options"]["shard_size"] == 50
