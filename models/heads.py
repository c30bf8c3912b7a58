"""The heads that both networks share: stance and holder for every slot, sentiment for the sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from tristance.data.labels import FREE_HOLDERS, HELD, SENTIMENTS, STANCES

MASKED = -100
"""Label that counts for nothing, as in `torch.nn.functional.cross_entropy`."""


@dataclass
class StanceOutput(ModelOutput):
    """What a network says of B sentences with S slots each."""

    loss: Tensor | None = None
    stance_logits: Tensor | None = None
    """`[B, S, 4]`"""
    holder_logits: Tensor | None = None
    """`[B, S, 2 + S]`: author, other, then the slots; the lowest finite number where a slot may not hold."""
    sentiment_logits: Tensor | None = None
    """`[B, 3]`"""


class HolderPointer(nn.Module):
    """Who holds the stance of each slot: a scaled dot product of slot i with author, other and every slot j.

    A pointer rather than a class for every actor, so that any number of actors works (Vinyals et al., Pointer
    Networks, 2015). Only core slots and the slot itself can be pointed at: see `encoding.Slot.core`.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.free_keys = nn.Linear(hidden, len(FREE_HOLDERS) * hidden)

    def forward(self, sentence: Tensor, slots: Tensor, core: Tensor) -> Tensor:
        """Logits `[B, S, 2 + S]` from sentence states `[B, H]`, slot states `[B, S, H]` and the mask `[B, S]`."""
        batch, count, hidden = slots.shape
        free = self.free_keys(sentence).view(batch, len(FREE_HOLDERS), hidden)
        keys = torch.cat([free, self.key(slots)], dim=1)
        logits = self.query(slots) @ keys.transpose(1, 2) / hidden**0.5
        itself = torch.eye(count, device=slots.device, dtype=torch.bool)
        allowed = core[:, None, :] | itself
        to_slots = logits[..., len(FREE_HOLDERS) :].masked_fill(~allowed, torch.finfo(logits.dtype).min)
        return torch.cat([logits[..., : len(FREE_HOLDERS)], to_slots], dim=-1)


def mlp(hidden: int, labels: int, dropout: float) -> nn.Sequential:
    """A head with one hidden layer."""
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, labels)
    )


class ExtraHeads(nn.Module):
    """Holder and sentiment; the stance head is each network's own."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.holder = HolderPointer(hidden)
        self.sentiment = mlp(hidden, len(SENTIMENTS), dropout)


def multitask_loss(
    output: StanceOutput,
    labels: dict[str, Tensor],
    *,
    task_weights: dict[str, float],
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Weighted sum of the tasks' mean cross entropies; what is `MASKED` counts for nothing.

    Args:
        output: Logits of a network.
        labels: `stance_labels`, `holder_labels` [B, S], `sentiment_labels` [B], and `stance_allowed` [B, 4]: the
            label set of each sentence's source, to which the stance logits are confined.
        task_weights: By task: `stance`, `holder`, `sentiment`.
        class_weights: `[4]`, over the stances.
        label_smoothing: Share of the probability spread over the other labels, of stance and sentiment.
    """
    assert output.stance_logits is not None
    assert output.holder_logits is not None
    assert output.sentiment_logits is not None
    allowed = labels["stance_allowed"][:, None, :].expand_as(output.stance_logits)
    stance = output.stance_logits.masked_fill(~allowed, torch.finfo(output.stance_logits.dtype).min)
    parts = {
        "stance": _masked_cross_entropy(stance, labels["stance_labels"], allowed, class_weights, label_smoothing),
        "holder": _masked_cross_entropy(output.holder_logits, labels["holder_labels"]),
        "sentiment": _masked_cross_entropy(
            output.sentiment_logits, labels["sentiment_labels"], smoothing=label_smoothing
        ),
    }
    return torch.stack([task_weights.get(task, 1.0) * part for task, part in parts.items()]).sum()


def _masked_cross_entropy(
    logits: Tensor,
    target: Tensor,
    allowed: Tensor | None = None,
    weight: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Weighted mean over what is not `MASKED`; the smoothed share is spread over the allowed labels alone."""
    known = target != MASKED
    if not bool(known.any()):
        return logits.clamp(-1, 1).sum() * 0.0  # keeps every head in the graph, which data-parallel training needs
    gold, chosen = target[known], logits[known].float()
    loss = nn.functional.cross_entropy(chosen, gold, reduction="none")
    if smoothing:
        spread = torch.ones_like(chosen) if allowed is None else allowed[known].float()
        even = -(chosen.log_softmax(-1) * spread).sum(-1) / spread.sum(-1)
        loss = (1 - smoothing) * loss + smoothing * even
    if weight is None:
        return loss.mean()
    weights = weight[gold]
    return (loss * weights).sum() / weights.sum()


def distillation_loss(
    output: StanceOutput,
    teacher: dict[str, Tensor],
    allowed: Tensor,
    *,
    task_weights: dict[str, float],
    temperature: float,
) -> Tensor:
    """How far a student is from its teacher: the tasks' mean T² KL(teacher ‖ student), weighted and summed.

    Both are softened by the temperature T; T² makes up for the gradients, which shrink by as much (Hinton, Vinyals &
    Dean, Distilling the Knowledge in a Neural Network, 2015). No label is needed. Who holds a stance counts as far as
    the teacher believes that one is held, as in the divergence of stance and holder taken together.

    Args:
        output: Logits of the student.
        teacher: Probabilities: `teacher_stance` [B, S, 4], `teacher_holder` [B, S, 2 + S], `teacher_sentiment` [B, 3].
            All are zero at a slot that a sentence lacks.
        allowed: `stance_allowed` [B, 4], as of `multitask_loss`; the teacher is confined to it, too.
        task_weights: By task: `stance`, `holder`, `sentiment`.
        temperature: T, at least 1.
    """
    assert output.stance_logits is not None
    assert output.holder_logits is not None
    assert output.sentiment_logits is not None
    real = teacher["teacher_stance"].sum(-1) > 0
    may = allowed[:, None, :].expand_as(output.stance_logits)[real]
    logits = output.stance_logits[real]
    said = teacher["teacher_stance"][real]
    stance = _divergence(
        logits.masked_fill(~may, torch.finfo(logits.dtype).min),
        said.clamp(min=torch.finfo(said.dtype).tiny).masked_fill(~may, 0.0),  # sure of a label that is not allowed
        temperature,
    )
    held = said[:, [STANCES.index(label) for label in HELD]].sum(-1)
    holder = _divergence(output.holder_logits[real], teacher["teacher_holder"][real], temperature)
    sentiment = _divergence(output.sentiment_logits, teacher["teacher_sentiment"], temperature)
    parts = {
        "stance": stance.mean(),
        "holder": (holder * held).sum() / held.sum().clamp(min=torch.finfo(held.dtype).tiny),
        "sentiment": sentiment.mean(),
    }
    return temperature**2 * torch.stack([task_weights.get(task, 1.0) * part for task, part in parts.items()]).sum()


def _divergence(logits: Tensor, probabilities: Tensor, temperature: float) -> Tensor:
    """KL(teacher ‖ student) a row `[N]`, from the student's logits and the teacher's probabilities `[N, L]`."""
    softened = (probabilities.log() / temperature).softmax(-1)
    student = (logits.float() / temperature).log_softmax(-1)
    return nn.functional.kl_div(student, softened, reduction="none").sum(-1)


def stance_names() -> dict[str, Any]:
    """`id2label` and `label2id` of a stock classifier over the stances."""
    return {"id2label": dict(enumerate(STANCES)), "label2id": {label: number for number, label in enumerate(STANCES)}}
