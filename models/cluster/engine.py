"""Pieces of the input through Ray Data: a pool of workers, each of which loads the model once.

The model's files go through Ray's object store, so that no worker needs to find its folder; sentences do not: a worker
reads the rows of its piece and writes their answers itself. What comes back is how many there were.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tristance.data.errors import Fault, UserError, first_line
from tristance.models.answers import Answers, answer_table
from tristance.models.batching import cores
from tristance.models.caution import Caution
from tristance.models.classifier import StanceClassifier
from tristance.models.cluster.folder import Done, Folder
from tristance.models.cluster.pieces import Piece, windows
from tristance.models.output_columns import OutputColumns
from tristance.models.shards import Tally

TRIES: Final = 5
"""How often a piece is begun. Ray would go on for ever: right where a machine goes, wrong
where a piece kills its worker."""
ROOM: Final = 256 << 20
"""Bytes of a local Ray's object store, beside the model."""


@dataclass(frozen=True)
class Job:
    """What a worker has to know; it can be sent to other machines."""

    folder: Folder
    output: OutputColumns
    caution: Caution
    columns: Mapping[str, str]
    batch_size: int = 32
    device: str = "auto"
    runtime: str = "auto"
    precision: str = "fp32"


class Worker:
    """Answers pieces, on whatever machine Ray puts it.

    Args:
        job: What to do.
        model: Reference to the model's files, as `pack` gives them.
        threads: Of the network.
    """

    def __init__(self, job: Job, model: Any, threads: int) -> None:
        import ray

        os.environ["OMP_NUM_THREADS"] = str(threads)
        self.job, self.trouble = job, ""
        with tempfile.TemporaryDirectory(prefix="tristance-") as folder:  # once loaded, the files are not needed
            unpack(ray.get(model), Path(folder))
            try:
                self.classifier = StanceClassifier.from_pretrained(
                    folder, device=job.device, runtime=job.runtime, precision=job.precision
                )
                self.classifier.caution = job.caution
            except UserError as error:
                self.trouble = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Answer a piece; gives its number and what became of it, or what is in the way.

        What is raised here Ray would tell at length, and try again.
        """
        tally, trouble = Tally(), self.trouble
        if not trouble:
            try:
                tally = answer_piece(self.classifier, Piece(**row), self.job).tally
            except UserError as error:
                trouble = str(error)
            except OSError as error:
                fault = os.strerror(error.errno).lower() if error.errno else first_line(error)
                trouble = f"{self.job.folder.place}: {fault}; allowed: a place with room, that every worker may write"
        return {
            "number": row["number"],
            "bytes": row["bytes"],
            "rows": tally.rows,
            "rejected": tally.rejected,
            "trouble": trouble,
        }


def answer_piece(classifier: StanceClassifier, piece: Piece, job: Job) -> Done:
    """Write the answers of a piece, and then what became of it.

    Raises:
        UserError: If its file cannot be had, or it was begun too often.
    """
    if job.folder.begin(piece.number) > TRIES:
        raise UserError(
            f"{piece.file}: rows from {piece.first} on cost {TRIES} workers their lives; allowed: fewer --workers on a "
            "machine, a smaller --batch-size or --shard-size, if they ran out of memory"
        )
    total, faults = Tally(), list[Fault]()
    with (
        job.folder.writing(job.folder.part(piece.number)) as stream,
        pq.ParquetWriter(stream, job.output.schema, compression="zstd") as writer,
    ):
        for found in windows(piece):
            answers = _answered(classifier, found, piece, job, writer)
            faults += answers.faults
            total += Tally(
                len(answers.rows) + len(answers.faults),
                len(answers.rows),
                len(answers.faults),
                answers.cut,
                answers.unread_labels,
                answers.marks,
            )
    done = Done(total, faults)
    job.folder.finish(piece.number, done)
    return done


def _answered(
    classifier: StanceClassifier, found: tuple[int, pa.Table] | Fault, piece: Piece, job: Job, writer: Any
) -> Answers:
    if isinstance(found, Fault):
        return Answers([], [found])
    first, rows = found
    table, answers = answer_table(
        classifier, rows, job.output, columns=job.columns, file=piece.file, first=first, batch_size=job.batch_size
    )
    writer.write_table(table)
    return answers


def pack(folder: Path) -> dict[str, bytes]:
    """A model folder's files by their name in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what `pack` gave into another folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def run_pieces(
    pieces: Sequence[Piece], job: Job, model: Path, *, workers: int | None = None, address: str | None = None
) -> Iterator[dict[str, Any]]:
    """Have pieces answered, in whatever order workers come to them.

    Args:
        pieces: What to do.
        job: How.
        model: Folder.
        workers: How many; None for one a core, or on `cuda` one a GPU.
        address: Of a cluster; None for the one that Ray was started with in this process, or `RAY_ADDRESS`, or else a
            Ray of this machine alone, which ends with the work.

    Yields:
        What `Worker` gives of each piece, once it is finished.

    Raises:
        UserError: If Ray is not installed, the cluster does not answer or lacks what is asked for, or a worker says so.
    """
    require_ray()
    import ray

    files = pack(model)
    with _quiet(), _connected(address, workers, sum(map(len, files.values()))):
        size, threads = _pool(workers, job.device)
        data = ray.data.from_items([asdict(piece) for piece in pieces], override_num_blocks=len(pieces))
        packed = ray.put(files)  # held here, so that a worker which is started anew finds it
        answered = data.map(
            Worker,
            fn_constructor_args=(job, packed, threads),
            compute=ray.data.ActorPoolStrategy(size=min(size, len(pieces))),
            num_cpus=threads,
            num_gpus=int(job.device.startswith("cuda")),
        )
        for found in answered.iter_rows():
            if found["trouble"]:
                raise UserError(found["trouble"])
            yield found


def require_ray() -> None:
    """Refuse to go on without Ray.

    Raises:
        UserError: If it is not installed.
    """
    try:
        import ray.data  # noqa: F401 - importing it is what is tried
    except ModuleNotFoundError as error:
        raise UserError("--engine ray needs ray; allowed: pip install 'tristance[ray]'") from error


def _pool(workers: int | None, device: str) -> tuple[int, int]:
    """Workers, and the cores of each: the cluster's are shared out, as far as one machine has so many.

    Raises:
        UserError: If there are no GPUs where they are asked for.
    """
    import ray

    have = ray.cluster_resources()
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    gpus = int(have.get("GPU", 0))
    if device.startswith("cuda") and not gpus:
        raise UserError(f"--device {device}: the cluster has no GPU; allowed: cpu, or machines with GPUs")
    total = int(have.get("CPU", 1))
    workers = workers or (gpus if device.startswith("cuda") else total) or 1
    smallest = min((count for count in machines if count), default=1)
    return workers, max(1, min(total // workers, smallest))


@contextlib.contextmanager
def _connected(address: str | None, workers: int | None, model_bytes: int) -> Iterator[None]:
    """A Ray to work on; one that was begun here ends here.

    Raises:
        UserError: If there is none at the address.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    place = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # an error is raised as well
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if place == "local":
        options |= {"num_cpus": max(cores(), workers or 1), "include_dashboard": False}
        options["object_store_memory"] = ROOM + 2 * model_bytes
    try:
        _require_answer(place)
        with _hushed():
            ray.init(place, **options)
    except Exception as error:  # Ray says it in many ways
        raise UserError(
            f"--address {place}: {first_line(error)}; allowed: auto on a machine of the cluster, HOST:6379, "
            "ray://HOST:10001, or none for this machine alone"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(place: str) -> None:
    """Ask an address whether anybody is there: Ray itself would ask for minutes.

    Raises:
        OSError: If nobody is.
    """
    host, _, port = place.rpartition("//")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Nothing on standard error, not even from Ray's own C++, which tells there that it was asked to be quiet."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data's bars and its log of every step stay out of the terminal; the log is in Ray's own folder."""
    import ray

    context = ray.data.DataContext.get_current()
    before = (context.enable_progress_bars, context.print_on_execution_start)
    log = logging.getLogger("ray.data")
    level = log.level
    context.enable_progress_bars = context.print_on_execution_start = False
    log.setLevel(logging.CRITICAL)  # its errors are raised as well, and said in a line
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before
        log.setLevel(level)
