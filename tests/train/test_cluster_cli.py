"""`tristance predict --engine ray`: mistakes are told before Ray starts, and the output is the local engine's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.models.test_cluster import same

ROWS = 600


@pytest.fixture
def news(tmp_path):
    texts = [f"Russia told the West that its era was over, for the {number}th time." for number in range(ROWS)]
    texts[70], texts[300] = None, "Das ist kein englischer Satz, und das Modell soll es merken."
    pq.write_table(pa.table({"text": texts, "date": ["2024"] * ROWS}), tmp_path / "news.parquet", row_group_size=90)
    return tmp_path / "news.parquet"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "out", "--workers", "2"], "--workers: found with --engine local; allowed: --engine ray"),
        (["-o", "out", "--address", "auto"], "--address: found with --engine local; allowed: --engine ray"),
        (["-o", "out", "--engine", "spark"], "'spark' is not one of 'local', 'ray'"),
    ],
)
def test_options_that_do_not_fit(cli, news, lexicon_model, arguments, said):
    done = cli("predict", lexicon_model, news, *arguments)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["news.parquet"], "error: --output: missing; allowed with --engine ray: the name of a folder"),
        (["news.parquet", "-o", "out.jsonl"], "error: out.jsonl: --engine ray writes a folder of Parquet files"),
        (["news.parquet", "-o", "news.parquet"], "error: news.parquet: is a file; allowed: the name of a folder"),
        (["news.parquet", "-o", "out", "--rejects", "r.txt"], "error: r.txt: found the ending '.txt'; allowed: .jsonl"),
        (["news.parquet", "-o", "out", "--format", "csv"], "error: --format: found csv; allowed with --engine ray"),
        (["news.csv", "-o", "out"], "error: news.csv: is no Parquet; allowed with --engine ray: .parquet. Convert"),
        (["-", "-o", "out"], "error: -: is no Parquet"),
        (["no.parquet", "-o", "out"], "error: no.parquet: no such file"),
        (["news.parquet", "-o", "out", "--column", "text=body"], "has no column 'body' for 'text'; its columns: text"),
        (["news.parquet", "-o", "ftp://a/out"], "error: ftp://a/out: "),
    ],
)
def test_mistakes_are_told_at_once(cli, news, lexicon_model, arguments, said, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(news.parent)
    (news.parent / "news.csv").write_text("text\na sentence\n")
    done = cli("predict", lexicon_model, *arguments, "--engine", "ray")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert sorted(path.name for path in news.parent.iterdir()) == ["news.csv", "news.parquet"]


def test_without_ray_one_line_says_what_to_install(cli, news, lexicon_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = cli("predict", lexicon_model, news, "-o", "out", "--engine", "ray")
    assert done.code == 2
    assert done.err == "error: --engine ray needs ray; allowed: pip install 'tristance[ray]'\n"


def begun(news, model, output, *arguments):
    command = [sys.executable, "-m", "tristance.train", "predict", model, news, "-o", output, "--engine", "ray"]
    return subprocess.Popen(
        [*map(str, command), "--workers", "2", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"RAY_TMPDIR": "/tmp"},
    )


def is_worker(process):
    try:
        return "ray::" in process.cmdline()[0] and "MapWorker" in process.cmdline()[0]
    except (psutil.Error, IndexError):
        return False


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(cli, news, trained, tmp_path):
    pytest.importorskip("ray")
    process = begun(news, trained.model, tmp_path / "out", "--shard-size", 20, "--columns", "id,text,stance,date,dte")
    work = tmp_path / "out.parts" / "_work"
    deadline, killed = time.monotonic() + 240, None
    while process.poll() is None and time.monotonic() < deadline and killed is None:
        finished = len(list(work.glob("[0-9]*.json")))
        workers = [each for each in psutil.Process(process.pid).children(recursive=True) if is_worker(each)]
        if finished and len(workers) == 2:
            killed = workers[0]
            killed.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    assert killed is not None, process.communicate()
    assert finished < ROWS / 20 - 5, "it must be killed in mid-run"
    assert not (tmp_path / "out").exists()
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert said.splitlines()[-2:] == [
        f"{ROWS - 1} predicted -> {tmp_path}/out; 1 rejected -> {tmp_path}/out.rejects.jsonl",
        f"out of scope: 1 of {ROWS}: language: de (1)",
    ]
    assert said.splitlines()[:-2] == ["note: no file has the column 'dte'"]
    local = cli("predict", trained.model, news, "-o", tmp_path / "l.parquet", "--columns", "id,text,stance,date,dte")
    assert local.code == 0
    same(pq.read_table(tmp_path / "out"), pq.read_table(tmp_path / "l.parquet"))
    assert (tmp_path / "out.rejects.jsonl").read_bytes() == (tmp_path / "l.parquet.rejects.jsonl").read_bytes()
    assert not (tmp_path / "out.parts").exists()


@pytest.mark.slow
def test_interrupted_it_goes_on(cli, news, trained, tmp_path):
    pytest.importorskip("ray")
    arguments = ("--shard-size", 20, "--batch-size", 4)
    process = begun(news, trained.model, tmp_path / "out", *arguments)
    work = tmp_path / "out.parts" / "_work"
    while process.poll() is None and not list(work.glob("[0-9]*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert not (tmp_path / "out").exists()
    process = begun(news, trained.model, tmp_path / "out", *arguments)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "rows were there from an earlier run" in said
    assert cli("predict", trained.model, news, "-o", tmp_path / "l.parquet").code == 0
    same(pq.read_table(tmp_path / "out"), pq.read_table(tmp_path / "l.parquet"))


@pytest.mark.slow
def test_what_goes_wrong_on_a_worker_is_said_in_a_line(news, trained, tmp_path):
    pytest.importorskip("ray")
    process = begun(news, trained.model, tmp_path / "out", "--device", "cuda")
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2
    assert said == "error: --device cuda: the cluster has no GPU; allowed: cpu, or machines with GPUs\n"
    process = begun(news, trained.model, tmp_path / "out", "--device", "nonsense")
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2, said
    assert said.startswith("error: device nonsense: cannot be used: ")
    assert said.count("\n") == 1
    process = begun(news, trained.model, tmp_path / "out", "--address", "127.0.0.1:1")
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2, said
    assert said.startswith("error: --address 127.0.0.1:1: [Errno 111] Connection refused; allowed: auto on a machine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["news.parquet"]
