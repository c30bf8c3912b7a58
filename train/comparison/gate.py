"""Conditions on a comparison, for CI: `--gate "west.F_avg >= base - 0.01"`."""

from __future__ import annotations

import operator
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tristance.data.errors import UserError
from tristance.train.comparison.gather import Comparison, Experiment

OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
NUMBER: Final = r"\d+(?:\.\d*)?|\.\d+"
GATE: Final = re.compile(
    rf"(?:(?P<experiment>\S+):)?(?P<figure>[^\s:<>=]+)\s*(?P<operator>>=|<=|>|<)\s*"
    rf"(?:(?P<number>-?(?:{NUMBER}))|(?P<other>\S+?)(?:\s+(?P<sign>[+-])\s*(?P<margin>{NUMBER}))?)\s*"
)
ALLOWED: Final = "[EXPERIMENT:]FIGURE >= NUMBER, or >= EXPERIMENT - NUMBER, with >=, <=, > or <; figures as shares of 1"


@dataclass(frozen=True)
class Outcome:
    """A gate held against one experiment."""

    gate: str
    experiment: str
    value: float
    bound: float
    passed: bool

    def __str__(self) -> str:
        word = "passed" if self.passed else "failed"
        return f"gate {word}: {self.gate} ({self.experiment}: {self.value:.4f}, bound {self.bound:.4f})"


def check_gates(gates: Sequence[str], comparison: Comparison) -> list[Outcome]:
    """Hold every gate against the experiments that it is about: the named one, else all but the one it compares with.

    Raises:
        UserError: If a gate cannot be read, or names what is not there.
    """
    return [outcome for gate in gates for outcome in _check(gate, comparison)]


def _check(gate: str, comparison: Comparison) -> list[Outcome]:
    parts = GATE.fullmatch(gate.strip())
    if parts is None:
        raise UserError(f"--gate: found {gate!r}; allowed: {ALLOWED}")
    by_name = {experiment.name: experiment for experiment in comparison.experiments}
    for name in (parts["experiment"], parts["other"]):
        if name is not None and name not in by_name:
            raise UserError(f"--gate {gate!r}: no experiment {name!r}; allowed: {', '.join(by_name)}")
    if parts["other"]:
        bound = _mean(by_name[parts["other"]], parts["figure"], gate)
        bound += float(f"{parts['sign'] or '+'}{parts['margin'] or 0}")
    else:
        bound = float(parts["number"])
    chosen = [parts["experiment"]] if parts["experiment"] else [name for name in by_name if name != parts["other"]]
    if not chosen:
        raise UserError(f"--gate {gate!r}: no experiment besides {parts['other']!r}; allowed: at least two")
    values = {name: _mean(by_name[name], parts["figure"], gate) for name in chosen}
    holds = OPERATORS[parts["operator"]]
    return [Outcome(gate, name, value, bound, holds(value, bound)) for name, value in values.items()]


def _mean(experiment: Experiment, figure: str, gate: str) -> float:
    values = experiment.figures.get(figure)
    if not values:
        known = ", ".join(name for name in experiment.figures if name.count(".") < 2)
        raise UserError(f"--gate {gate!r}: {experiment.name} has no figure {figure!r}; allowed: {known}")
    return statistics.fmean(values)
