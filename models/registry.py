"""The architectures by name, and the section of a config that chooses among them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import Field, field_validator, model_validator

from tristance.data.errors import UserError
from tristance.data.sections import Section
from tristance.models.encoding import Item
from tristance.models.manifest import Manifest
from tristance.models.predictions import Scores

NETWORKS: Final = ("slots", "pair")
BASELINES: Final = ("majority", "lexicon", "tfidf")
RUNTIMES: Final = ("auto", "torch", "onnx")
ONNX_FILES: Final = {"fp32": "model.onnx", "int8": "model.int8.onnx"}
"""By precision: what `export` writes beside the weights."""


class SlotOptions(Section):
    """Options of the `slots` architecture."""

    attention: Literal["isolated", "full"] = "isolated"
    """`isolated`: slots see the sentence and themselves, so that an answer cannot depend on who else is asked; `full`:
    they see each other too."""
    place: Literal["mention", "end"] = "mention"
    """Position given to a slot: `mention`, that of its first mention (by the alias lexicon, or the target's span);
    `end`, behind the sentence (always so for DeBERTa, which has no positions to give)."""
    anonymous: bool = False
    """Target-blind: every slot reads the same word instead of its name, so all actors get one answer. A baseline."""


class TfidfOptions(Section):
    """Options of the `tfidf` baseline."""

    max_ngram: int = Field(2, ge=1, le=5)
    """Longest word n-gram."""
    C: float = Field(1.0, gt=0)
    """Inverse strength of the logistic regression's L2 penalty."""


class ModelConfig(Section):
    """What is trained."""

    architecture: Literal["slots", "pair", "majority", "lexicon", "tfidf"] = "slots"
    """`slots` (one pass for all actors), `pair` (a pass for each), or a baseline: `majority`, `lexicon`, `tfidf`."""
    backbone: str = "bundled"
    """Pretrained body of a network: `bundled` (MiniLM, 22.7 M parameters, checked by sha256), a Hugging Face hub name,
    or a folder. The folder of a trained `slots` model (runs/base/13/model) gives its heads too."""
    layers: Annotated[int, Field(ge=1)] | tuple[int, ...] | None = None
    """Keep only some of the backbone's layers: the first so many, or those listed, counted from 0; null keeps all."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout in the heads; the backbone keeps its own."""
    max_tokens: int = Field(160, ge=16, le=8192)
    """Longest sequence in tokens; a longer sentence loses its end."""
    slots: SlotOptions = SlotOptions()
    tfidf: TfidfOptions = TfidfOptions()

    @field_validator("layers", mode="before")
    @classmethod
    def _number_or_list(cls, value: Any) -> Any:
        """Checked here, since a union of types would be told as one fault for each of them."""
        listed = value if isinstance(value, list | tuple) else ()
        if any(type(each) is not int or each < 0 for each in listed) or list(listed) != sorted(set(listed)):
            raise ValueError("layers counted from 0 in rising order, such as [0, 2, 4]")
        if not listed and value is not None and (type(value) is not int or value < 1):
            raise ValueError("a number of layers from 1 on, or a list of them such as [0, 2, 4]")
        return value

    @model_validator(mode="after")
    def _not_contradictory(self) -> ModelConfig:
        if self.slots.anonymous and self.architecture != "slots":
            raise ValueError(f"slots.anonymous needs architecture: slots, found {self.architecture}")
        return self

    def encoding_options(self) -> dict[str, object]:
        """What the network's encoding needs to know; travels in the manifest."""
        common: dict[str, object] = {"max_tokens": self.max_tokens}
        return common if self.architecture == "pair" else common | self.slots.model_dump(include={"place", "anonymous"})


class Scorer(Protocol):
    """A trained model of any architecture."""

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:
        """Probabilities for items that share their slots, in their order, before any temperature."""
        ...


def load_scorer(
    folder: Path, manifest: Manifest, device: str = "auto", runtime: str = "auto", precision: str = "fp32"
) -> Scorer:
    """The trained model of a folder; see `StanceClassifier.from_pretrained`."""
    for name, found, allowed in (("runtime", runtime, RUNTIMES), ("precision", precision, tuple(ONNX_FILES))):
        if found not in allowed:
            raise UserError(f"{name}: found {found!r}; allowed: {', '.join(allowed)}")
    if manifest.architecture not in NETWORKS:
        if runtime == "onnx" or precision != "fp32":
            raise UserError(
                f"{folder}: found a {manifest.architecture} model; allowed to export: {', '.join(NETWORKS)}"
            )
        from tristance.models.baselines import load_baseline

        return load_baseline(folder, manifest)
    if runtime == "auto":
        exported = (folder / ONNX_FILES[precision]).is_file() and device in ("auto", "cpu") and not _gpu(device)
        runtime = "onnx" if exported or precision != "fp32" else "torch"
    if runtime == "torch":
        if precision != "fp32":
            raise UserError(f"precision: found {precision!r}; allowed with the runtime torch: fp32")
        from tristance.models.networks import load_network_scorer

        return load_network_scorer(folder, manifest, device)
    if device not in ("auto", "cpu"):
        raise UserError(f"device: found {device!r}; allowed with the runtime onnx: cpu")
    from tristance.models.onnx import load_onnx_scorer

    return load_onnx_scorer(folder, manifest, precision)


def _gpu(device: str) -> bool:
    """Whether a GPU would be used; torch is asked only where it is there already, since it takes seconds to import."""
    torch = sys.modules.get("torch")
    return device == "auto" and torch is not None and bool(torch.cuda.is_available())
