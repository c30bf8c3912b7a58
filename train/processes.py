"""The processes of one training under `torchrun`; a single one needs none of it."""

from __future__ import annotations

import os
from typing import Any

import torch


def join() -> None:
    """Meet the other processes of `torchrun`, if it started this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def wait() -> None:
    """Until all have come this far."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def from_first(value: Any) -> Any:
    """What the first process found, in all of them."""
    if not torch.distributed.is_initialized():
        return value
    shared = [value]
    torch.distributed.broadcast_object_list(shared)
    return shared[0]
