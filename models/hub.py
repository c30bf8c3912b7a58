"""Where a model lies: in a run, in a folder, or on the Hugging Face hub, from which it comes to a local folder."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Final

from tristance.data.errors import UserError, first_line

NAME: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
"""`owner/model`, or the bare name of one of the oldest models."""
NETWORK_FILES: Final = ("config.json", "*token*", "vocab*", "merges.txt", "*.model", "*.safetensors*")
"""What transformers loads a network from; other frameworks' weights stay where they are."""


def is_name(model: str) -> bool:
    """Whether it may be the name of a hub model, and is no path that exists here."""
    return NAME.fullmatch(model) is not None and not Path(model).exists()


def of_run(model: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The model folder of a run; anything else as it is: as a path, `./a/b` would look like a name of the hub."""
    folder = Path(model, "model")
    return folder if folder.is_dir() else model


def locate(model: str | os.PathLike[str]) -> Path:
    """The folder of a model, which is downloaded if `model` names one of the hub and no folder here.

    Raises:
        UserError: If the hub does not give it.
    """
    name = str(model)
    return download(name) if name.count("/") == 1 and is_name(name) else Path(model)


@cache  # config, tokenizer and weights of one process come from one state of the hub
def download(name: str, patterns: tuple[str, ...] | None = None) -> Path:
    """The local snapshot of a hub model: from the hub if it answers, else from the cache.

    It is asked once. Without network, transformers' own loading tries for half a minute and complains meanwhile.

    Args:
        name: Of the model.
        patterns: Files that are wanted, those in folders aside; None for all.

    Raises:
        UserError: If neither has it.
    """
    try:
        from huggingface_hub import snapshot_download

        if patterns is None:
            return Path(snapshot_download(name))
        return Path(snapshot_download(name, allow_patterns=list(patterns), ignore_patterns=["*/*"]))
    except ModuleNotFoundError as error:
        raise UserError(
            f"{name}: no such folder, and the hub needs {error.name}: pip install 'tristance[train]'"
        ) from error
    except Exception as error:  # offline, not found, gated: many kinds, one meaning
        raise UserError(f"{name}: no such folder, and the hub does not give it: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The first cause in a line: what stands above it speaks of caches."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
