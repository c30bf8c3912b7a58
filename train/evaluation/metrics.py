"""The content of metrics.json: every figure of an evaluation with its interval. METRICS.md beside it defines each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tristance.data import statistics
from tristance.data.labels import HELD, STANCES
from tristance.data.records import Record
from tristance.data.statistics import Bootstrap, Floats, Ints
from tristance.models.predictions import Scores
from tristance.train.evaluation.answers import Answers, AnswerSheet, answer_sheet
from tristance.train.evaluation.calibration import COVERAGES, coverage_risk, reliability
from tristance.train.evaluation.options import EvaluationConfig

FORMAT: Final = "tristance.metrics/1"
"""Changes when a key of metrics.json changes its meaning or goes away; new keys may come without."""
UNRELATED: Final = "unrelated"
LENGTHS: Final = ((12, "<=12"), (24, "13-24"), (36, "25-36"), (math.inf, ">36"))
"""Length slices in words: longest sentence of each, and its name."""
COMPARED: Final = ("mean.F_avg", "worst.F_avg", "joint_accuracy", "mean.detection_F1")
"""Figures over all actors' stances that experiments are compared by."""
CLASS_SCORES: Final = {"precision": statistics.precision, "recall": statistics.recall, "F1": statistics.f1}

Figure = dict[str, Any]
"""`value`, `low`, `high`; null (None) where undefined."""
Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tally:
    """The bootstrap over the clusters of N sentences. Totals have the sample at index 0, the resamples after it."""

    bootstrap: Bootstrap
    clusters: Ints

    def totals(self, values: npt.NDArray[Any], rows: Ints | slice = slice(None)) -> Floats:
        """Totals of the values of each sentence, `[N, ...]` to `[1 + R, ...]`, over all or some rows."""
        sums = statistics.cluster_sums(values[rows], self.clusters[rows], self.bootstrap.clusters)
        return self.bootstrap.totals(sums)

    def figure(self, values: npt.NDArray[Any]) -> Figure:
        """The figure whose value in the sample and the resamples is given, `[1 + R]`."""
        return _figure(*self.bootstrap.interval(values))

    def figures(self, values: npt.NDArray[Any], names: Sequence[str]) -> dict[str, Figure]:
        """A figure a name, from `[1 + R, len(names)]`."""
        intervals = zip(*self.bootstrap.interval(values), strict=True)
        return {name: _figure(*interval) for name, interval in zip(names, intervals, strict=True)}


def evaluate(
    records: Sequence[Record],
    scores: Scores,
    options: EvaluationConfig | None = None,
    *,
    stance_labels: Sequence[str] = STANCES,
) -> Metrics:
    """Score predictions against gold.

    Args:
        records: N sentences with gold labels; a label that is None is left out of every figure.
        scores: Their predictions in the same order. NaN is a missing prediction: counted as wrong, and in `missing`.
        options: How; the defaults if None.
        stance_labels: The labels of the set: predictions are restricted to them and averages run over them.

    Returns:
        What METRICS.md describes, ready for JSON.

    Raises:
        ValueError: If the lengths differ.
        UserError: If there are no records, or a gold stance is not one of `stance_labels`.
    """
    options = options or EvaluationConfig()
    sheet = answer_sheet(records, scores, stance_labels)
    tally = tally_of(records, options)
    sentiment = _sentiment(tally, sheet.sentiment, options)
    blocks = {slot: _slot(tally, sheet, index, options) for index, slot in enumerate(sheet.slots)}
    pooled = _slot(tally, sheet, None, options)
    overall = _overall(tally, sheet, options, blocks, pooled, sentiment)
    return {
        "format": FORMAT,
        "n": len(records),
        "clusters": tally.bootstrap.clusters,
        "interval": {"level": options.level, "resamples": options.resamples, "seed": options.seed},
        "stance_labels": list(sheet.stance.labels),
        "missing": {task: int(answers.missing.sum()) for task, answers in sheet.tasks.items()},
        "primary": {"name": options.primary, **overall[options.primary]},
        "overall": overall,
        "slots": blocks,
        "pooled": pooled,
        "sentiment": sentiment,
        "slices": _slices(tally, records, sheet, options),
    }


def tally_of(records: Sequence[Record], options: EvaluationConfig) -> Tally:
    """The resamples for an evaluation of these sentences: whole groups are drawn."""
    clusters = statistics.cluster_ids([record.group for record in records])
    bootstrap = Bootstrap(int(clusters.max()) + 1, options.resamples, options.seed, options.level)
    return Tally(bootstrap, clusters)


def flatten(metrics: Mapping[str, Any]) -> dict[str, Figure]:
    """Every figure by a dotted name that stays the same from run to run, for tables, trackers and gates.

    Overall figures keep their names (`mean.F_avg`); a slot's begin with its id (`west.F_avg`, `west.classes.favor.F1`),
    the rest with their block (`pooled.…`, `sentiment.…`). Slices and coverage-risk tables are left out.
    """
    blocks = {**metrics["slots"], "pooled": metrics["pooled"], "sentiment": metrics["sentiment"]}
    found = {f"{name}.{path}": figure for name, block in blocks.items() for path, figure in _figures(block)}
    return {**metrics["overall"], **found}


def _figures(block: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    for key, item in block.items():
        if isinstance(item, Mapping):
            if "value" in item:
                yield key, dict(item)
            else:
                yield from ((f"{key}.{path}", figure) for path, figure in _figures(item))


def _slot(tally: Tally, sheet: AnswerSheet, index: int | None, options: EvaluationConfig) -> dict[str, Any]:
    """The figures of one slot, or of all slots taken as one."""
    stance, holder = sheet.stance, sheet.holder
    if index is not None:
        stance, holder = stance.slot(index), holder.slot(index)
    totals = tally.totals(_by_sentence(stance.cells, 2))
    block: dict[str, Any] = {"n": int(totals[0].sum()), "F_avg": tally.figure(f_avg(totals, stance.labels))}
    block.update(_classification(tally, totals, stance.labels))
    if UNRELATED in stance.labels:
        related = statistics.detection(totals, stance.labels.index(UNRELATED))
        block["detection"] = {
            **{name: tally.figure(score(related)[..., 0]) for name, score in CLASS_SCORES.items()},
            "support": int(related[0, 0].sum()),
        }
    block["holder"] = _holder(tally, stance, holder, options)
    block.update(_calibration(tally, [stance], options))
    block["coverage_risk"] = _coverage(tally, stance)
    return block


def _holder(tally: Tally, stance: Answers, holder: Answers, options: EvaluationConfig) -> dict[str, Any]:
    totals = tally.totals(_by_sentence(holder.cells, 2))
    both = tally.totals(_by_sentence(np.stack([stance.right & holder.right, holder.annotated], -1), 1))
    return {
        "n": int(totals[0].sum()),
        **_classification(tally, totals, holder.labels),
        "end_to_end": tally.figure(statistics.ratio(both[..., 0], both[..., 1])),
        **_calibration(tally, [holder], options),
    }


def _sentiment(tally: Tally, sentiment: Answers, options: EvaluationConfig) -> dict[str, Any]:
    totals = tally.totals(sentiment.cells)
    return {
        "n": int(totals[0].sum()),
        **_classification(tally, totals, sentiment.labels),
        **_calibration(tally, [sentiment], options),
    }


def _classification(tally: Tally, totals: Floats, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro F1, every class and the confusion matrix, from confusion totals `[1 + R, K, K + 1]`."""
    by_class = {name: tally.figures(score(totals), labels) for name, score in CLASS_SCORES.items()}
    support, predicted = statistics.support(totals[0]), statistics.predictions(totals[0])
    return {
        "macro_F1": tally.figure(statistics.mean_f1(totals)),
        "accuracy": tally.figure(statistics.accuracy(totals)),
        "classes": {
            label: {
                **{name: figures[label] for name, figures in by_class.items()},
                "support": int(support[number]),
                "predicted": int(predicted[number]),
            }
            for number, label in enumerate(labels)
        },
        "confusion": {
            "labels": list(labels),
            "counts": totals[0, :, : len(labels)].astype(int).tolist(),
            "missing": totals[0, :, len(labels)].astype(int).tolist(),
        },
    }


def _calibration(tally: Tally, tasks: Sequence[Answers], options: EvaluationConfig) -> dict[str, Any]:
    """Calibration error, averaged over tasks that have one; with one task its reliability table too."""
    binned = [found for task in tasks if (found := reliability(task, options.calibration_bins)) is not None]
    if not binned:
        return {"ece": _figure(np.nan, np.nan, np.nan), "reliability": []}
    totals = np.stack([tally.totals(item.gaps) for item in binned], 1)
    gaps, rows = totals[..., :-1], totals[..., -1]
    error = _mean(statistics.calibration_error(gaps, rows))
    spread = _mean(statistics.calibration_spread(gaps, rows))
    return {
        "ece": _figure(*tally.bootstrap.calibration_interval(error, spread)),
        "reliability": binned[0].table if len(binned) == 1 else [],
    }


def _coverage(tally: Tally, stance: Answers) -> list[dict[str, Any]]:
    found = coverage_risk(stance)
    if found is None:
        return []
    totals = tally.totals(found.sums)
    errors = tally.figures(statistics.ratio(totals[..., 0], totals[..., 1]), [str(share) for share in COVERAGES])
    annotated = int(stance.annotated.sum())
    rows = zip(COVERAGES, totals[0, :, 1], found.thresholds, errors.values(), strict=True)
    return [
        {
            "asked": asked,
            "coverage": round(float(kept) / annotated, 6),
            "threshold": round(threshold, 6),
            "error": error,
        }
        for asked, kept, threshold, error in rows
    ]


def _overall(
    tally: Tally,
    sheet: AnswerSheet,
    options: EvaluationConfig,
    blocks: Mapping[str, Any],
    pooled: Mapping[str, Any],
    sentiment: Mapping[str, Any],
) -> dict[str, Any]:
    by_slot = {slot: block["F_avg"]["value"] for slot, block in blocks.items()}
    known = {slot: value for slot, value in by_slot.items() if value is not None}
    found = {name: tally.figure(values) for name, values in stance_figures(tally, sheet).items()}
    calibration = _calibration(tally, [sheet.stance.slot(index) for index in range(len(sheet.slots))], options)
    return {
        **found,
        "worst.F_avg": {**found["worst.F_avg"], "slot": min(known, key=lambda slot: known[slot]) if known else None},
        "joint_accuracy_all": _share(tally, all_right([sheet.stance, sheet.holder, sheet.sentiment])),
        "mean.ece": calibration["ece"],
        "pooled.F_avg": pooled["F_avg"],
        "pooled.macro_F1": pooled["macro_F1"],
        "pooled.accuracy": pooled["accuracy"],
        "holder.accuracy": pooled["holder"]["accuracy"],
        "holder.macro_F1": pooled["holder"]["macro_F1"],
        "holder.end_to_end": pooled["holder"]["end_to_end"],
        "sentiment.accuracy": sentiment["accuracy"],
        "sentiment.macro_F1": sentiment["macro_F1"],
    }


def stance_figures(tally: Tally, sheet: AnswerSheet) -> dict[str, Floats]:
    """The figures over all actors' stances, in the sample and in every resample, `[1 + R]` each."""
    totals, labels = tally.totals(sheet.stance.cells), sheet.stance.labels
    by_slot = f_avg(totals, labels)
    found = {
        "mean.F_avg": _mean(by_slot),
        "mean.macro_F1": _mean(statistics.mean_f1(totals)),
        "worst.F_avg": _lowest(by_slot),
        "joint_accuracy": _shares(tally, all_right([sheet.stance])),
    }
    if UNRELATED in labels:
        related = statistics.detection(totals, labels.index(UNRELATED))
        found["mean.detection_F1"] = _mean(statistics.f1(related)[..., 0])
    return found


def resampled(tally: Tally, sheet: AnswerSheet, bins: int) -> dict[str, Floats]:
    """What experiments are compared by, in the sample and in every resample, `[1 + R]` each.

    Args:
        tally: The resamples; models on the same rows must share one.
        sheet: Gold and predictions.
        bins: Bins of the calibration error.

    Returns:
        `mean.F_avg`, `worst.F_avg`, `joint_accuracy`, `mean.detection_F1`, `<slot>.F_avg`, `holder.macro_F1`,
        `holder.end_to_end`, `sentiment.macro_F1`, `mean.ece`: as in metrics.json, but not rounded.
    """
    stance, holder = sheet.stance, sheet.holder
    by_slot = f_avg(tally.totals(stance.cells), stance.labels)
    held = tally.totals(_by_sentence(holder.cells, 2))
    both = tally.totals(_by_sentence(np.stack([stance.right & holder.right, holder.annotated], -1), 1))
    binned = [reliability(stance.slot(index), bins) for index in range(len(sheet.slots))]
    gaps = [tally.totals(each.gaps) for each in binned if each is not None]
    errors = [statistics.calibration_error(each[..., :-1], each[..., -1]) for each in gaps]
    stances = stance_figures(tally, sheet)
    return {
        **{name: stances[name] for name in COMPARED if name in stances},
        **{f"{slot}.F_avg": by_slot[:, index] for index, slot in enumerate(sheet.slots)},
        "holder.macro_F1": statistics.mean_f1(held),
        "holder.end_to_end": statistics.ratio(both[..., 0], both[..., 1]),
        "sentiment.macro_F1": statistics.mean_f1(tally.totals(sheet.sentiment.cells)),
        **({"mean.ece": _mean(np.stack(errors, -1))} if errors else {}),
    }


def _slices(
    tally: Tally, records: Sequence[Record], sheet: AnswerSheet, options: EvaluationConfig
) -> dict[str, dict[str, Any]]:
    cells = sheet.stance.cells
    shown: dict[str, dict[str, Any]] = {}
    for name, members in _members(records, sheet, options.slices).items():
        shown[name] = {}
        for value, rows in members.items():
            if len(rows) >= options.min_slice:
                totals = tally.totals(cells, np.array(rows, np.int64))
                shown[name][value] = {
                    "n": len(rows),
                    "mean.F_avg": tally.figure(_mean(f_avg(totals, sheet.stance.labels))),
                    "accuracy": tally.figure(statistics.accuracy(totals.sum(1))),
                }
    return shown


def _members(records: Sequence[Record], sheet: AnswerSheet, fields: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Rows of every slice. A list in a field puts its sentence into the slice of each of its items."""
    members: dict[str, dict[str, list[int]]] = {}
    for name in fields:
        found: dict[str, list[int]] = {}
        for row, record in enumerate(records):
            held = record.fields.get(name)
            for value in held if isinstance(held, list | tuple) else () if held is None else (held,):
                found.setdefault(str(value), []).append(row)
        members[name] = dict(sorted(found.items()))
    lengths: dict[str, list[int]] = {name: [] for _, name in LENGTHS}
    for row, record in enumerate(records):
        words = len(record.text.split())
        lengths[next(name for longest, name in LENGTHS if words <= longest)].append(row)
    unrelated = sheet.stance.labels.index(UNRELATED) if UNRELATED in sheet.stance.labels else -1
    referred = (sheet.stance.annotated & (sheet.stance.gold != unrelated)).sum(-1)
    annotated = sheet.stance.annotated.any(-1)
    numbers = {str(n): np.flatnonzero(annotated & (referred == n)).tolist() for n in range(len(sheet.slots) + 1)}
    return {**members, "length": lengths, "actors": numbers}


def f_avg(counts: npt.NDArray[Any], labels: Sequence[str]) -> Floats:
    """Mean F1 of favor and against from confusion counts over `labels`; NaN where the set lacks either."""
    held = [labels.index(label) for label in HELD if label in labels]
    if len(held) < len(HELD):
        return np.full(counts.shape[:-2], np.nan)
    return statistics.mean_f1(counts, held)


def _by_sentence(values: npt.NDArray[Any], own_axes: int) -> npt.NDArray[Any]:
    """Sum over the slots, if there is such an axis between the sentences and the values' own axes."""
    return values.sum(1) if values.ndim - own_axes == 2 else values


def all_right(tasks: Sequence[Answers]) -> npt.NDArray[Any]:
    """Whether all that is annotated of a sentence is right, and whether anything is: `[N, 2]`."""
    sentences = len(tasks[0].gold)
    annotated = np.concatenate([task.annotated.reshape(sentences, -1) for task in tasks], 1)
    right = np.concatenate([task.right.reshape(sentences, -1) for task in tasks], 1)
    any_annotated = annotated.any(1)
    return np.stack([any_annotated & (right == annotated).all(1), any_annotated], -1)


def _share(tally: Tally, values: npt.NDArray[Any]) -> Figure:
    return tally.figure(_shares(tally, values))


def _shares(tally: Tally, values: npt.NDArray[Any]) -> Floats:
    totals = tally.totals(values)
    return statistics.ratio(totals[..., 0], totals[..., 1])


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    return statistics.ratio(np.nan_to_num(values, nan=0.0).sum(-1), (~np.isnan(values)).sum(-1))


def _lowest(values: Floats) -> Floats:
    """Minimum over the last axis of what is defined; NaN where nothing is."""
    lowest = np.where(np.isnan(values), np.inf, values).min(-1, initial=np.inf)
    return np.where(np.isinf(lowest), np.nan, lowest)


def _figure(value: Any, low: Any, high: Any) -> Figure:
    numbers = {"value": float(value), "low": float(low), "high": float(high)}
    return {name: None if math.isnan(number) else round(number, 6) for name, number in numbers.items()}
