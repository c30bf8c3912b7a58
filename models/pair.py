"""The usual cross-encoder: the sentence is read again for every actor, as `[CLS] sentence [SEP] name [SEP]`.

It is saved as the backbone's own model type, so that the stock `text-classification` pipeline loads its stance head
in an environment without tristance; the heads for holder and sentiment lie beside it and are ignored there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedModel

from tristance.data.labels import STANCES
from tristance.models import backbone as backbones
from tristance.models.heads import ExtraHeads, StanceOutput, stance_names


class PairMixin:
    """What is put before a family's sequence classifier: reads [B, S] pairs and has the extra heads beside it."""

    classifier_class: type[PreTrainedModel]

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.extra = ExtraHeads(config.hidden_size, getattr(config, "head_dropout", 0.1))
        self.post_init()  # type: ignore[attr-defined]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        slot_mask: Tensor,
        slot_core: Tensor,
    ) -> StanceOutput:
        """Answer for every pair; see `encoding.PairEncoding.pad` for the arguments."""
        batch, count, length = input_ids.shape
        options: dict[str, Any] = {"attention_mask": attention_mask.view(-1, length), "output_hidden_states": True}
        if getattr(self.config, "type_vocab_size", 0) > 1:  # type: ignore[attr-defined]
            options["token_type_ids"] = token_type_ids.view(-1, length)
        output = self.classifier_class.forward(self, input_ids.view(-1, length), **options)
        states = output.hidden_states[-1][:, 0].view(batch, count, -1)
        # the sentence's state is the mean over the core slots, so that whoever is asked in passing changes nothing
        weight = (slot_mask & slot_core).unsqueeze(-1).to(states.dtype)
        sentence = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        return StanceOutput(
            stance_logits=output.logits.view(batch, count, -1),
            holder_logits=self.extra.holder(sentence, states, slot_core),
            sentiment_logits=self.extra.sentiment(sentence),
        )


def pair_class(config: Any) -> type[PreTrainedModel]:
    """The pair network of a backbone's family."""
    base: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    # named as its base, so that `architectures` in config.json is the class that everybody has
    return type(base.__name__, (PairMixin, base), {"classifier_class": base, "__module__": __name__})


def from_backbone(
    backbone: str, *, layers: int | Sequence[int] | None = None, head_dropout: float = 0.1, **options: Any
) -> PreTrainedModel:
    """A pair network with a pretrained backbone and fresh heads; arguments as `SlotsModel.from_backbone`."""
    changes = {"num_hidden_layers": layers} if isinstance(layers, int) else {}
    config = backbones.load_config(backbone, num_labels=len(STANCES), **changes)
    config.update({"head_dropout": head_dropout, "classifier_dropout": head_dropout, **stance_names(), **options})
    network: PreTrainedModel = backbones.load_network(backbone, pair_class(config), config)
    if layers is not None and not isinstance(layers, int):
        backbones.keep_layers(network, layers)
    return network
