"""Items through a network: each different one once, in batches of like length, answers in the order given. No torch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tristance.data.labels import FREE_HOLDERS, SENTIMENTS, STANCES
from tristance.models.encoding import Arrays, Encoding, Item, slot_ids
from tristance.models.predictions import Floats, Scores

WINDOW: Final = 8192
"""Items that are tokenized and sorted together: enough that batches hardly pad, few enough for any memory."""
TOKENS: Final = 32
"""A batch holds at most so many tokens for each sentence of the batch size, so that long sentences come in fewer."""

Logits = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Of stance `[B, S, 4]`, holder `[B, S, 2 + S]` and sentiment `[B, 3]`."""


def score_items(
    items: Sequence[Item],
    encoding: Encoding,
    forward: Callable[[Arrays], Logits],
    stance_labels: Sequence[str],
    *,
    batch_size: int = 32,
    progress: bool = False,
) -> Scores:
    """Probabilities for items that share their slots, in their order.

    Args:
        items: Of any number; equal ones within a window are read once.
        encoding: From items to arrays.
        forward: From the arrays of a batch to its logits.
        stance_labels: Those that may come out; the others get 0.
        batch_size: Most sentences a step; long ones go in smaller steps, of `TOKENS` tokens for each of it.
        progress: Show a bar on standard error.

    Raises:
        UserError: If the items do not share their slots.
    """
    slots = slot_ids(items)
    count = len(slots)
    stance = np.empty((len(items), count, len(STANCES)), np.float32)
    holder = np.empty((len(items), count, len(FREE_HOLDERS) + count), np.float32)
    sentiment = np.empty((len(items), len(SENTIMENTS)), np.float32)
    with _bar(len(items), progress) as advance:
        for start in range(0, len(items), WINDOW):
            rows: dict[Item, list[int]] = {}
            for number, item in enumerate(items[start : start + WINDOW], start):
                rows.setdefault(item, []).append(number)
            features = encoding.tokenize(list(rows))
            alike = list(rows.values())
            for batch in _batches([each["length"] for each in features], batch_size):
                found = probabilities(forward(encoding.pad([features[number] for number in batch])), stance_labels)
                places = [number for each in batch for number in alike[each]]
                source = [index for index, each in enumerate(batch) for _ in alike[each]]
                for into, part in zip((stance, holder, sentiment), found, strict=True):
                    into[places] = part[source]
                advance(len(places))
    return Scores(slots, stance, holder, sentiment)


def probabilities(logits: Logits, stance_labels: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Stance, holder and sentiment of a batch; a stance that is not in `stance_labels` gets 0."""
    allowed = np.array([label in stance_labels for label in STANCES])
    stance, holder, sentiment = logits
    return _softmax(np.where(allowed, stance, -np.inf)), _softmax(holder), _softmax(sentiment)


def cores() -> int:
    """Threads for one process: `OMP_NUM_THREADS` if the user has set it, else the cores that it may run on."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said):
        return int(said)
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _softmax(logits: npt.NDArray[Any]) -> Floats:
    powers = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float32)
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Numbers of the items, from long to short: the largest batch comes first, should memory not suffice."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    start = 0
    while start < len(order):
        size = max(1, min(batch_size, batch_size * TOKENS // max(1, lengths[order[start]])))
        yield order[start : start + size]
        start += size


@contextlib.contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[int], object]]:
    """Gives what is called with the number of items done."""
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("Scoring", total=total)
        yield lambda done: bar.advance(task, done)
