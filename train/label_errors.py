"""The likeliest label errors of a corpus, by confident learning over predictions that never saw the labels.

Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 2021, by its
authors' library cleanlab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tristance.data.errors import UserError
from tristance.data.records import Record
from tristance.data.statistics import Floats, Ints
from tristance.train.comparison.paired import read_sheets
from tristance.train.evaluation.answers import AnswerSheet, joined
from tristance.train.runs import Run, judged_split

LEAST: Final = 50
"""Answers of a task below which class thresholds mean nothing."""


@dataclass(frozen=True)
class LabelError:
    """A label that the model, not having seen it, finds unlikely in the light of the others of its class."""

    id: str
    text: str
    task: str
    """`stance` or `sentiment`."""
    slot: str
    """Of a stance; empty for sentiment."""
    given: str
    suggested: str
    score: float
    """Probability of the given label less that of the likeliest other (the normalised margin): -1 is surely wrong."""


def label_errors(runs: Sequence[Run], count: int = 300) -> tuple[list[LabelError], int, int]:
    """Find the labels that are likeliest wrong, over stances of all slots and sentiments.

    Args:
        runs: Parts of a `grouped-kfold` experiment: each was judged by sentences that it had not learnt from.
        count: How many to give, the worst first.

    Returns:
        The errors, how many labels confident learning takes for wrong in all, and of how many.

    Raises:
        UserError: If a sentence is judged by two runs, or cleanlab is not installed.
    """
    found: list[LabelError] = []
    records: list[Record] = []
    sheets: list[AnswerSheet] = []
    for run in runs:
        rows, parts = read_sheets([run], judged_split(run.metrics()))
        records += rows
        sheets += parts
    if len({record.id for record in records}) < len(records):
        raise UserError(f"{runs[0].folder.parent}: a sentence is judged twice; allowed: folds of one seed")
    taken, total = 0, 0
    sheet = joined(sheets)
    for task, answers in (("stance", sheet.stance), ("sentiment", sheet.sentiment)):
        known = answers.annotated & ~answers.missing
        if known.sum() < LEAST:
            continue
        places = np.argwhere(known)
        labels, shares = answers.gold[known], answers.probabilities[known]
        taken, total = taken + _issues(labels, shares), total + len(labels)
        for index in np.flatnonzero(shares.argmax(-1) != labels):
            row = places[index]
            others = np.where(np.arange(shares.shape[1]) == labels[index], -1, shares[index])
            found.append(
                LabelError(
                    records[row[0]].id,
                    records[row[0]].text,
                    task,
                    sheet.slots[row[1]] if task == "stance" else "",
                    answers.labels[labels[index]],
                    answers.labels[int(others.argmax())],
                    round(float(shares[index, labels[index]] - others.max()), 4),
                )
            )
    return sorted(found, key=lambda error: (error.score, error.id, error.slot))[:count], taken, total


def _issues(labels: Ints, shares: Floats) -> int:
    """How many labels confident learning takes for wrong, by the joint distribution of given and true labels."""
    try:
        from cleanlab.count import num_label_issues
    except ImportError as error:
        raise UserError("label errors need the package 'cleanlab': pip install 'tristance[audit]'") from error
    return int(num_label_issues(labels, shares))
