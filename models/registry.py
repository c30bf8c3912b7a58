"""The architectures by name, and the section of a config that chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

from pydantic import Field, model_validator

from tristance.data.sections import Section
from tristance.models.encoding import Item
from tristance.models.manifest import Manifest
from tristance.models.predictions import Scores

NETWORKS: Final = ("slots", "pair")
BASELINES: Final = ("majority", "lexicon", "tfidf")


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
    or a folder."""
    layers: int | None = Field(None, ge=1)
    """Keep only the backbone's first so many layers; null keeps all."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout in the heads; the backbone keeps its own."""
    max_tokens: int = Field(160, ge=16, le=8192)
    """Longest sequence in tokens; a longer sentence loses its end."""
    slots: SlotOptions = SlotOptions()
    tfidf: TfidfOptions = TfidfOptions()

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


def load_scorer(folder: Path, manifest: Manifest, device: str = "auto") -> Scorer:
    """The trained model of a folder."""
    if manifest.architecture in NETWORKS:
        from tristance.models.networks import load_network_scorer

        return load_network_scorer(folder, manifest, device)
    from tristance.models.baselines import load_baseline

    return load_baseline(folder, manifest)
