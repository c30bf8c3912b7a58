"""What scoring costs as the input grows, by the local engine and by Ray on this machine, as a table.

    python benchmarks/scale.py --model runs/base/13/model --sizes 1000 10000 100000

Sentences of the bundled corpus, each made different by its number, in one Parquet file. Each measurement is a process
of its own, Ray's start and end included. CPU seconds are of the process and all that it started: unlike seconds they do
not depend on what else the machine is doing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from tristance.data.sources import FOLDER

PLANNED = 10**9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a run or a model folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of Ray; each has one core")
    parser.add_argument("--engines", nargs="+", default=["local", "ray"])
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(
        f"{options.model}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Ray has {options.workers} workers\n"
    )
    print("| engine | sentences | seconds | CPU seconds | sentences a CPU second | memory, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    cost: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            news = write_news(Path(folder, f"{size}.parquet"), size)
            for engine in options.engines:
                seconds, cpu, memory = measure(options.model, news, Path(folder, "out"), engine, options.workers)
                cost.setdefault(engine, []).append(cpu)
                cells = (engine, f"{size:,}", f"{seconds:.1f}", f"{cpu:.1f}", f"{size / cpu:,.0f}", f"{memory:,.0f}")
                print(f"| {' | '.join(cells)} |", flush=True)
    for engine, cpu in cost.items():
        if len(cpu) > 1:
            print(f"\n{engine}: {planned(options.sizes, cpu)}")


def write_news(path: Path, size: int) -> Path:
    """A file of so many different sentences."""
    lines = (FOLDER / "train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    numbered = (f"{texts[number % len(texts)]} ({number})" for number in range(size))
    pq.write_table(pa.table({"text": pa.array(numbered, pa.string())}), path)
    return path


def measure(model: str, news: Path, output: Path, engine: str, workers: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds and the highest memory in MB of one scoring, with all processes that it starts."""
    place = output if engine == "ray" else output.with_suffix(".parquet")
    extra = ["--workers", str(workers), "--shard-size", str(shard(news, workers))] if engine == "ray" else []
    command = [sys.executable, "-m", "tristance.train", "predict", model, str(news), "-o", str(place)]
    start = time.monotonic()
    process = psutil.Popen([*command, "--engine", engine, *extra], stderr=subprocess.PIPE)
    cpu: dict[int, float] = {}
    memory = 0.0
    while process.poll() is None:
        memory = max(memory, sample(process, cpu))
        time.sleep(0.2)
    seconds = time.monotonic() - start
    if process.returncode:
        sys.exit(process.stderr.read().decode())
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    return seconds, sum(cpu.values()), memory / 1e6


def shard(news: Path, workers: int) -> int:
    """Rows of a piece: a few pieces a worker, so that none waits long for the others."""
    return min(16_384, max(250, pq.read_metadata(news).num_rows // (4 * workers)))


def sample(process: psutil.Process, cpu: dict[int, float]) -> float:
    """Bytes that the processes hold alone; their CPU seconds up to now go into `cpu`."""
    memory = 0.0
    with contextlib.suppress(psutil.Error):
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                times = each.cpu_times()
                cpu[each.pid] = times.user + times.system
                memory += each.memory_info().rss - each.memory_info().shared
    return memory


def planned(sizes: list[int], cpu: list[float]) -> str:
    """The line through the measurements, and what it comes to for very many sentences."""
    slope = (cpu[-1] - cpu[0]) / (sizes[-1] - sizes[0])
    start = cpu[0] - slope * sizes[0]
    hours = slope * PLANNED / 3600
    return (
        f"{start:.0f} CPU s to start, then {1000 * slope:.2f} CPU ms a sentence: {PLANNED:,} are {hours:,.0f} "
        f"core hours, {hours / 64:,.0f} hours on 64 cores, {hours / 1000:,.1f} on 1,000"
    )


if __name__ == "__main__":
    main()
