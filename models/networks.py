"""A network in use: build it, score with it, save and load its folder. Everything here needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, PreTrainedModel

from tristance.data.errors import UserError, first_line
from tristance.models import backbone as backbones
from tristance.models import encoding as encodings
from tristance.models import pair
from tristance.models.batching import Logits, cores, score_items
from tristance.models.encoding import Arrays, Encoding, Item
from tristance.models.heads import StanceOutput
from tristance.models.manifest import Manifest, verify_checksums, write_checksums
from tristance.models.predictions import Scores
from tristance.models.registry import ModelConfig
from tristance.models.slots import RELATIVE_FAMILIES, SlotsModel, first_position

WEIGHTS_FILE = "model.safetensors"


def build_network(config: ModelConfig) -> PreTrainedModel:
    """A network as the config asks for it: a pretrained backbone with fresh heads, or a trained network to go on from.

    Raises:
        UserError: If the backbone cannot be loaded, or lacks a layer that is asked for.
    """
    manifest = backbones.manifest_of(config.backbone)
    if manifest is not None:
        verify_checksums(Path(backbones.locate(config.backbone)))
        if manifest.architecture == "slots" != config.architecture:
            raise UserError(f"backbone {config.backbone}: a trained slots model; allowed with it: architecture: slots")
    inner = backbones.load_config(config.backbone)
    reach = inner.max_position_embeddings - first_position(inner)
    if config.max_tokens >= reach:  # a slot may stand one behind the last token
        raise UserError(
            f"model.max_tokens: found {config.max_tokens}; allowed: less than the backbone's {reach} positions"
        )
    if config.slots.attention == "full" and inner.model_type in RELATIVE_FAMILIES:
        raise UserError(f"model.slots.attention: found full; allowed for {inner.model_type}: isolated")
    if config.architecture == "pair":
        return pair.from_backbone(config.backbone, layers=config.layers, head_dropout=config.dropout)
    return SlotsModel.from_backbone(
        config.backbone,
        layers=config.layers,
        trained=manifest is not None and manifest.architecture == "slots",
        head_dropout=config.dropout,
        attention=config.slots.attention,
    )


def build_encoding(config: ModelConfig, tokenizer: Any) -> Encoding:
    """The encoding that belongs to `build_network`; `tokenizer` is the backbone's, of transformers."""
    return encodings.build(config.architecture, raw_tokenizer(tokenizer), config.encoding_options())


def raw_tokenizer(tokenizer: Any) -> Tokenizer:
    """A copy of the Rust tokenizer inside one of transformers, which padding and truncation can be set on."""
    return Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())


def save_network(folder: str | Path, network: PreTrainedModel, tokenizer: Any, manifest: Manifest) -> None:
    """Write config, weights (safetensors), tokenizer and checksums into `folder`."""
    folder = Path(folder)
    network.config.tristance = manifest.as_dict()
    with backbones.quiet():
        network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_checksums(folder)


def load_network(folder: Path, architecture: str) -> PreTrainedModel:
    """The network of a model folder, ready to predict.

    Raises:
        UserError: If weights are missing, broken, or do not fit the config.
    """
    if not (folder / WEIGHTS_FILE).is_file():
        raise UserError(f"{folder}: no {WEIGHTS_FILE} in it; the model folder is not complete")
    verify_checksums(folder)
    try:
        with backbones.quiet():
            config = AutoConfig.from_pretrained(folder)
            network_class: Any = pair.pair_class(config) if architecture == "pair" else SlotsModel
            network, info = network_class.from_pretrained(
                folder, config=config, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:
        raise UserError(f"{folder}: broken model: {first_line(error)}") from error
    wrong = sorted([*info["missing_keys"], *info["unexpected_keys"]])
    if wrong:
        raise UserError(f"{folder}: broken model: weights do not fit the config, for example {wrong[0]}")
    loaded: PreTrainedModel = network.eval()
    return loaded


def pick_device(device: str) -> torch.device:
    """`auto` is a GPU where there is one; anything else is taken as torch names it.

    Raises:
        UserError: If torch does not know it, or it is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {device}: cannot be used: {first_line(error)}; allowed: auto, cpu, or a GPU that is there"
        ) from error
    return torch.device(device)


class NetworkScorer:
    """A network with its encoding: from items to probabilities."""

    def __init__(
        self, network: PreTrainedModel, encoding: Encoding, stance_labels: Sequence[str], device: str = "auto"
    ) -> None:
        self.device = pick_device(device)
        self.network = network.eval()
        self.network.to(self.device)
        self.encoding = encoding
        self.stance_labels = stance_labels

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:
        """See `registry.Scorer`."""
        return score_items(
            items, self.encoding, self._forward, self.stance_labels, batch_size=batch_size, progress=progress
        )

    @torch.inference_mode()
    def _forward(self, arrays: Arrays) -> Logits:
        return logits(self.network(**{name: torch.from_numpy(each).to(self.device) for name, each in arrays.items()}))


def logits(output: StanceOutput) -> Logits:
    """What a network says, as arrays."""
    assert output.stance_logits is not None
    assert output.holder_logits is not None
    assert output.sentiment_logits is not None
    parts = (output.stance_logits, output.holder_logits, output.sentiment_logits)
    stance, holder, sentiment = (part.float().cpu().numpy() for part in parts)
    return stance, holder, sentiment


def load_network_scorer(folder: Path, manifest: Manifest, device: str = "auto") -> NetworkScorer:
    """The scorer of a model folder that holds a network."""
    network = load_network(folder, manifest.architecture)
    tokenizer = encodings.read_tokenizer(folder / "tokenizer.json")
    encoding = encodings.build(manifest.architecture, tokenizer, manifest.encoding)
    return NetworkScorer(network, encoding, manifest.stance_labels, device)


def use_all_cores() -> None:
    """Let torch use as many threads as this process may have cores, unless the user has set it."""
    torch.set_num_threads(cores())
