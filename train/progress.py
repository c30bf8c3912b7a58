"""What a person sees while a network trains: a bar, the loss, and a line for each epoch's validation."""
# ruff: noqa: ARG002, D102 - the methods are those of TrainerCallback

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TrainingProgress(TrainerCallback):
    """A rich progress bar; on anything that is no terminal, only the epochs' lines."""

    def __init__(self, title: str, primary: str, console: Console) -> None:
        self.primary, self.console = primary, console
        self.progress = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.title = title
        self.task: Any = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.progress.start()
            self.task = self.progress.add_task("", total=state.max_steps, completed=state.global_step, loss="–")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.task is not None:
            self.progress.update(self.task, completed=state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **details: Any) -> None:
        logs = details.get("logs")
        if self.task is not None and logs and "loss" in logs:
            self.progress.update(self.task, loss=f"{float(logs['loss']):.3f}")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **details: Any
    ) -> None:
        metrics = details.get("metrics")
        if self.task is not None and metrics:
            losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
            loss = f"  loss {losses[-1]:.3f}" if losses else ""
            value = metrics[f"eval_{self.primary}"]
            self.console.print(
                f"{self.title}  epoch {state.epoch or 0:.0f}{loss}  validation {self.primary} {value:.3f}",
                highlight=False,
            )

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress.stop()
