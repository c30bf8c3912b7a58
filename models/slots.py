"""Actor slots: the sentence is read once, and answers for every actor at that actor's slot.

After the sentence's tokens comes one position for each slot; its input embedding is a marker's plus the mean of the
name's token embeddings. Sentence tokens do not see slots and slots do not see each other, so that an answer does not
depend on who else is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from tristance.data.labels import STANCES
from tristance.models import backbone as backbones
from tristance.models.heads import ExtraHeads, StanceOutput, mlp

RELATIVE_FAMILIES = ("deberta-v2",)
"""Families that know only the order of tokens: there each slot gets a copy of the sentence, or order would tell."""


def first_position(backbone: Any) -> int:
    """Position of the first token, by the backbone's config: RoBERTa counts from behind the padding index."""
    return int(backbone.pad_token_id) + 1 if backbone.model_type in ("roberta", "xlm-roberta") else 0


class SlotsConfig(PretrainedConfig):
    """Config of `SlotsModel`: the backbone's config and the options of the slots."""

    model_type = backbones.SLOTS

    def __init__(
        self,
        backbone: dict[str, Any] | None = None,
        attention: str = "isolated",
        head_dropout: float = 0.1,
        tristance: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.backbone = backbone or {}
        self.attention = attention
        self.head_dropout = head_dropout
        self.tristance = tristance or {}
        super().__init__(**kwargs)

    def backbone_config(self) -> Any:
        """The backbone's own config object."""
        return AutoConfig.for_model(**self.backbone)


class SlotsModel(PreTrainedModel):
    """A backbone with actor slots; heads for stance (shared by all slots), holder (a pointer) and sentiment."""

    config_class = SlotsConfig
    base_model_prefix = "backbone"
    _supports_sdpa = True

    def __init__(self, config: SlotsConfig) -> None:
        super().__init__(config)
        inner = config.backbone_config()
        self.backbone = AutoModel.from_config(inner)
        if hasattr(self.backbone, "pooler"):
            self.backbone.pooler = None  # nothing reads it, so it would never learn
        hidden = inner.hidden_size
        self.marker = nn.Parameter(torch.zeros(hidden))
        self.stance = mlp(hidden, len(STANCES), config.head_dropout)
        self.extra = ExtraHeads(hidden, config.head_dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def from_backbone(
        cls, backbone: str, *, layers: int | Sequence[int] | None = None, trained: bool = False, **options: Any
    ) -> SlotsModel:
        """A network with a pretrained backbone and fresh heads, or with all that a trained network has learnt.

        Args:
            backbone: `bundled`, a hub name or a folder.
            layers: Keep only the first so many layers, or those listed.
            trained: Whether the backbone is a trained network of this kind: its heads and marker come along.
            options: Fields of `SlotsConfig`.
        """
        inner = backbones.load_config(backbone, **({"num_hidden_layers": layers} if isinstance(layers, int) else {}))
        described = {key: value for key, value in inner.to_dict().items() if key != "_name_or_path"}
        config = SlotsConfig(backbone=described, **options)
        model = backbones.load_network(backbone, cls, config) if trained else cls._fresh(backbone, inner, config)
        if layers is not None and not isinstance(layers, int):
            backbones.keep_layers(model.backbone, layers)
            model.config.backbone["num_hidden_layers"] = len(layers)
        return model

    @classmethod
    def _fresh(cls, backbone: str, inner: Any, config: SlotsConfig) -> SlotsModel:
        model = cls(config)
        pretrained = backbones.load_network(backbone, AutoModel, inner)
        state = {name: value for name, value in pretrained.state_dict().items() if not name.startswith("pooler.")}
        model.backbone.load_state_dict(state)
        with torch.no_grad():
            # [MASK] asks "who or what stands here?" already: a better start than nothing
            mask_id = backbones.load_tokenizer(backbone).mask_token_id
            if mask_id is not None:
                model.marker.copy_(model.backbone.get_input_embeddings().weight[mask_id])
        return model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        slot_names: Tensor,
        slot_name_mask: Tensor,
        slot_positions: Tensor,
        slot_mask: Tensor,
        slot_core: Tensor,
    ) -> StanceOutput:
        """Answer for every slot; see `encoding.SlotEncoding.pad` for the arguments."""
        embeddings = self.backbone.get_input_embeddings()
        words = embeddings(input_ids)
        weight = slot_name_mask.unsqueeze(-1).to(words.dtype)
        names = (embeddings(slot_names) * weight).sum(2) / weight.sum(2).clamp(min=1)
        slots = names + self.marker
        if self.config.backbone["model_type"] in RELATIVE_FAMILIES:
            sentence, states = self._read_apart(words, attention_mask, slots)
        else:
            sentence, states = self._read_together(words, attention_mask, slots, slot_positions, slot_mask & slot_core)
        return StanceOutput(
            stance_logits=self.stance(states),
            holder_logits=self.extra.holder(sentence, states, slot_core),
            sentiment_logits=self.extra.sentiment(sentence),
        )

    def _read_together(
        self, words: Tensor, attention_mask: Tensor, slots: Tensor, positions: Tensor, slot_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """States of the sentence `[B, H]` and of its slots `[B, S, H]`, in one pass over T + S positions."""
        tokens, count = words.shape[1], slots.shape[1]
        order = torch.arange(tokens, device=words.device).expand(words.shape[0], -1)
        places = torch.cat([order, positions], dim=1)
        options: dict[str, Any] = {"position_ids": places + first_position(self.backbone.config)}
        if getattr(self.backbone.config, "type_vocab_size", 0) > 1:
            options["token_type_ids"] = (
                (torch.arange(tokens + count, device=words.device) >= tokens).long().expand(words.shape[0], -1)
            )
        visible = self._visible(attention_mask.bool(), slot_mask)
        state = self.backbone(
            inputs_embeds=torch.cat([words, slots], dim=1),
            attention_mask=self._masks(visible, places, words.dtype),
            **options,
        ).last_hidden_state
        return state[:, 0], state[:, tokens:]

    def _visible(self, sentence: Tensor, slot_mask: Tensor) -> Tensor:
        """Who sees whom, `[B, T + S, T + S]`: all the sentence; a slot itself; under `full` all see the core slots."""
        batch, tokens = sentence.shape
        count = slot_mask.shape[1]
        visible = torch.zeros(batch, tokens + count, tokens + count, dtype=torch.bool, device=sentence.device)
        visible[:, :, :tokens] = sentence[:, None, :]
        if self.config.attention == "full":
            visible[:, :, tokens:] = slot_mask[:, None, :]
        visible[:, tokens:, tokens:] |= torch.eye(count, dtype=torch.bool, device=sentence.device)
        return visible

    def _masks(self, visible: Tensor, places: Tensor, dtype: torch.dtype) -> Any:
        """The mask as the backbone takes it: additive, `[B, 1, L, L]`; for ModernBERT one for each kind of layer."""

        def additive(mask: Tensor) -> Tensor:
            return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)[
                :, None
            ]

        if self.config.backbone["model_type"] != "modernbert":
            return additive(visible)
        near = (places[:, :, None] - places[:, None, :]).abs() <= self.backbone.config.sliding_window
        return {"full_attention": additive(visible), "sliding_attention": additive(visible & near)}

    def _read_apart(self, words: Tensor, attention_mask: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """As `_read_together`, with a row for each slot, which stands right behind the sentence's last real token."""
        batch, count, hidden = slots.shape
        width = words.shape[1] + 1
        lengths = attention_mask.sum(1).repeat_interleave(count)
        every = torch.arange(batch * count, device=words.device)
        rows = nn.functional.pad(words, (0, 0, 0, 1)).repeat_interleave(count, dim=0)
        rows[every, lengths] = slots.reshape(batch * count, hidden)
        seen = torch.arange(width, device=words.device) < lengths[:, None]
        visible = seen[:, None, :].repeat(1, width, 1)
        visible[every, lengths, lengths] = True
        # DeBERTa's own forward takes no mask by query: its two halves, with the mask where it belongs
        embedded = self.backbone.embeddings(inputs_embeds=rows, mask=visible[every, lengths])
        state = self.backbone.encoder(embedded, visible, output_hidden_states=False, return_dict=True).last_hidden_state
        return state.view(batch, count, width, hidden)[:, 0, 0], state[every, lengths].view(batch, count, hidden)


AutoConfig.register(SlotsConfig.model_type, SlotsConfig)
AutoModel.register(SlotsConfig, SlotsModel)
