"""The Hugging Face Trainer with this project's loss, learning rates and validation; no loop of our own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from tristance.data.errors import UserError
from tristance.models.heads import distillation_loss, multitask_loss
from tristance.train.config import TrainConfig
from tristance.train.features import LABELS, SOFT_LABELS

LAYER = re.compile(r"\blayers?\.(\d+)\.")
HEADS = ("stance.", "extra.", "classifier.", "marker")


class StanceTrainer(Trainer):
    """Trains a network of either architecture.

    Args:
        training: The `train` section of the stage.
        class_weights: `[4]`, over the stances, or None.
        validate: Gives the validation metrics of a network: `{"eval_…": value}`. It goes the way that inference goes,
            so that the checkpoint is chosen by what users will get.
        options: As of `transformers.Trainer`.
    """

    def __init__(
        self,
        *,
        training: TrainConfig,
        class_weights: torch.Tensor | None,
        validate: Callable[[PreTrainedModel], dict[str, float]],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.training = training
        self.class_weights = class_weights
        self.validate = validate

    def compute_loss(  # noqa: D102 - inherited
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002
    ) -> Any:
        labels = {name: inputs.pop(name) for name in LABELS}
        teacher = {name: inputs.pop(name) for name in SOFT_LABELS if name in inputs}
        output = model(**inputs)
        weights = None if self.class_weights is None else self.class_weights.to(output.stance_logits.device)
        loss = multitask_loss(
            output,
            labels,
            task_weights=self.training.loss_weights.model_dump(),
            class_weights=weights,
            label_smoothing=self.training.label_smoothing,
        )
        if teacher:
            share, temperature = self.training.teacher.weight, self.training.teacher.temperature
            tasks = self.training.loss_weights.model_dump()
            soft = distillation_loss(
                output, teacher, labels["stance_allowed"], task_weights=tasks, temperature=temperature
            )
            loss = (1 - share) * loss + share * soft
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss became {loss.item()} at step {self.state.global_step}; allowed: a finite number "
                f"(try a lower train.learning_rate than {self.training.learning_rate:g}, or precision fp32)"
            )
        return (loss, output) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for each depth; see `train.layer_decay` and `train.head_factor`."""
        if self.optimizer is None:
            network: Any = self.model if model is None else model
            groups = parameter_groups(network, self.training, self.get_decay_parameter_names(network))
            factory, options = self.get_optimizer_cls_and_kwargs(self.args, network)
            self.optimizer = factory(groups, **options)
        return self.optimizer

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation metrics; logged, and shown to the callbacks, as the Trainer's own are."""
        network = self.accelerator.unwrap_model(self.model)
        metrics = self.validate(network)
        network.train()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def parameter_groups(network: nn.Module, training: TrainConfig, decayed: Sequence[str]) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay; deeper layers learn slower if `layer_decay` says so."""
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    depth = 1 + max((int(found.group(1)) for name, _ in named if (found := LAYER.search(name))), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    decays = set(decayed)
    for name, parameter in named:
        rate = training.learning_rate * _rate_factor(name, depth, training)
        groups.setdefault((rate, training.weight_decay if name in decays else 0.0), []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def _rate_factor(name: str, depth: int, training: TrainConfig) -> float:
    if name.startswith(HEADS):
        return training.head_factor
    found = LAYER.search(name)
    layer = int(found.group(1)) if found else -1 if "embed" in name else depth - 1
    return float(training.layer_decay ** (depth - 1 - layer))


def freeze(network: nn.Module, count: int) -> None:
    """Freeze the embeddings and the lowest `count - 1` layers of the backbone; 0 freezes nothing.

    Raises:
        UserError: If the backbone has fewer layers.
    """
    if not count:
        return
    named = [(name, parameter) for name, parameter in network.named_parameters() if not name.startswith(HEADS)]
    depth = 1 + max((int(found.group(1)) for name, _ in named if (found := LAYER.search(name))), default=-1)
    if count > depth + 1:
        raise UserError(f"train.freeze: found {count}; allowed: at most {depth + 1} (embeddings and {depth} layers)")
    for name, parameter in named:
        found = LAYER.search(name)
        layer = int(found.group(1)) if found else -1 if "embed" in name else depth - 1
        if layer < count - 1:
            parameter.requires_grad_(False)


def training_arguments(
    training: TrainConfig,
    folder: Path,
    seed: int,
    *,
    primary: str,
    tracking: Sequence[str],
    name: str,
    project: str,
    **changes: Any,
) -> TrainingArguments:
    """The Trainer's arguments for a stage of a run; `changes` are for whoever measures something else than a run."""
    arguments: dict[str, Any] = dict(  # noqa: C408 - the names are arguments
        output_dir=str(folder),
        run_name=name,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=training.eval_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=training.precision == "bf16",
        fp16=training.precision == "fp16",
        use_cpu=training.device == "cpu" or not torch.cuda.is_available(),
        ddp_backend=torch.distributed.get_backend() if torch.distributed.is_initialized() else None,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        label_names=list(LABELS),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{primary}",
        greater_is_better=True,
        logging_strategy="steps",
        logging_steps=10,
        seed=seed,
        data_seed=seed,
        report_to=list(tracking),
        project=project,
        restore_callback_states_from_checkpoint=training.early_stopping is not None,  # its patience goes on, too
        disable_tqdm=True,
    )
    return TrainingArguments(**(arguments | changes))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a stage. One that a kill cut short goes: its state file is written last."""
    complete = []
    for path in folder.glob("checkpoint-*"):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
        else:
            complete.append(path)
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def callbacks(training: TrainConfig, extra: Sequence[TrainerCallback]) -> list[TrainerCallback]:
    """Early stopping where the config asks for it, and the given ones."""
    stopping = (
        []
        if training.early_stopping is None
        else [EarlyStoppingCallback(early_stopping_patience=training.early_stopping)]
    )
    return [*stopping, *extra]


def silence(trainer: Trainer) -> None:
    """Remove the Trainer's own printing; `progress` shows what there is to see."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
