"""How far raters agree: Krippendorff's alpha and Cohen's kappa with bootstrap intervals, from one file a rater.

Both are functions of *sums over sentences*, so that a bootstrap resample is a weighted sum and nothing is counted anew:
for alpha how often each label was given and how much agreement was seen, for kappa a confusion table of every pair of
raters. That is all that nominal data need, and it takes numpy alone; the tests hold both against `krippendorff` and
scikit-learn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tristance.data.actors import Actors
from tristance.data.errors import DataError, Fault, UserError, shorten
from tristance.data.formats.lines import jsonl, read_lines
from tristance.data.formats.rows import Row
from tristance.data.labels import NO_HOLDER, SENTIMENTS, STANCES, holder_labels
from tristance.data.records import Record, parse_record
from tristance.data.statistics import Bools, Bootstrap, Floats, confusion_cells, ratio

FOLDER: Final = Path(__file__).parent / "annotations"
"""Of the source tree; the annotations are not installed."""
ADJUDICATOR: Final = "adjudicator"
"""Stem of the file with the settled answers, which are nobody's independent ones."""
POOLED: Final = "pooled"
SENTENCE: Final = "sentence"
"""What stands in an actor's place where the sentence as a whole is labelled."""
KAPPA_SCOPES: Final = {"stance": "all", "holder": "held", "sentiment": "all"}

Annotations = Mapping[str, Mapping[str, Record]]
"""Rater to sentence id to that rater's labels, in a record without a text of its own."""
Codes = npt.NDArray[np.int8]
Figure = dict[str, Any]
"""`value`, `low`, `high` (None where undefined), and `rows`: how many answers it stands on."""


def read_annotations(folder: str | Path, actors: Actors) -> dict[str, dict[str, Record]]:
    """Read every rater's file of a folder.

    Args:
        folder: Holds a `<rater>.jsonl` each, with rows `{"id", "stance": {actor: label}, "holder": {…}, "sentiment"}`.
            A label that is missing was not given. `adjudicator.jsonl` is passed over.
        actors: Who may be labelled.

    Returns:
        Rater to sentence id to labels, raters by name.

    Raises:
        UserError: If there is no such folder, or it holds no rater's file.
        DataError: With every broken row, unknown label, and id that is missing or given twice, of all files.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; allowed: a folder with a .jsonl file of each rater")
    paths = [path for path in sorted(Path(folder).glob("*.jsonl")) if path.stem != ADJUDICATOR]
    if not paths:
        raise UserError(f"{folder}: found no rater's file; allowed: a .jsonl file of each rater")
    faults: list[Fault] = []
    raters = {path.stem: _read_rater(str(path), actors, faults) for path in paths}
    if faults:
        raise DataError(faults)
    return raters


def _read_rater(file: str, actors: Actors, faults: list[Fault]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for row in jsonl(read_lines(file), file):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        record, wrong = _parse(row, file, actors)
        faults += wrong
        if record is not None and found.setdefault(record.id, record) is not record:
            earlier = f"{shorten(record.id)}, also of line {found[record.id].line}"
            faults.append(Fault(file, row.line, "id", earlier, "a sentence once a rater", "duplicate"))
    return found


def _parse(row: Row, file: str, actors: Actors) -> tuple[Record | None, list[Fault]]:
    """Annotations are records but for the text: the one parser says what is wrong with their labels."""
    values = row.values
    if isinstance(values, Mapping):
        if values.get("id") is None:
            return None, [Fault(file, row.line, "id", "no id", "the id of the sentence")]
        values = {**values, "text": "-"}
    return parse_record(values, actors.ids, file=file, line=row.line)


def agreement(
    annotations: Annotations,
    actors: Actors,
    *,
    ids: Collection[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Measure how far the raters agree. Not every rater need have seen every sentence.

    Rows are told apart by *scope*: `all`; `related`, where at least one rater says that the actor is referred to (for
    sentiment: any actor); and, for the holder alone, `held`: there an answer counts only where its rater sees a stance
    that somebody holds, while over `all` and `related` rows `none` is an answer like any other.

    Args:
        annotations: What `read_annotations` gives.
        actors: Whose labels are compared.
        ids: Sentences to keep; None for all.
        resamples: Bootstrap resamples over sentences; 0 for no intervals.
        seed: Seed of the resamples.
        level: Coverage of the intervals.

    Returns:
        What JSON can hold: `raters` {name: sentences}; `sentences`, how many have two raters or more; `interval`;
        `alpha` {task: {actor or "pooled" or "sentence": {scope: figure}}}; `kappa` [{`raters`, `sentences`, task:
        {actor or …: figure}}] of each two raters who share a sentence, over all rows, for the holder over held ones.
        Tasks are `stance`, `holder`, `sentiment`. A figure is undefined (None) where all answers are the same.

    Raises:
        UserError: If there are fewer than two raters, or no sentence has two.
    """
    raters = {name: _kept(rows, ids) for name, rows in annotations.items()}
    raters = {name: rows for name, rows in raters.items() if rows}
    times = Counter(key for rows in raters.values() for key in rows)
    shared = [key for key, count in times.items() if count > 1]
    if not shared:
        found = f"only {', '.join(raters)} for these sentences" if raters else "no annotation of these sentences"
        raise UserError(f"agreement: found {found}; allowed: sentences that two raters label")
    tasks = _tasks(raters, shared, actors)
    boot = Bootstrap(len(shared), resamples, seed, level)
    return {
        "raters": {name: len(rows) for name, rows in raters.items()},
        "sentences": len(shared),
        "interval": {"level": level, "resamples": resamples, "seed": seed},
        "alpha": {name: _alphas(boot, scopes) for name, scopes in tasks.items()},
        "kappa": _kappas(boot, list(raters), {name: scopes[KAPPA_SCOPES[name]] for name, scopes in tasks.items()}),
    }


def alpha_sums(codes: npt.NDArray[Any], labels: int) -> Floats:
    """What a unit adds to Krippendorff's alpha.

    Args:
        codes: Label numbers, raters first, `[R, ...]`; negative where a rater gave none.
        labels: Number of labels, K.

    Returns:
        `[..., K + 1]`: how often each label was given, then the sum of the diagonal of the unit's coincidence matrix. A
        unit with fewer than two answers has nothing to compare and adds nothing.
    """
    given = np.stack([(codes == label).sum(0) for label in range(labels)], -1).astype(np.float64)
    answers = given.sum(-1, keepdims=True)
    agreed = ratio((given * (given - 1)).sum(-1, keepdims=True), answers - 1)
    return np.where(answers > 1, np.concatenate([given, agreed], -1), 0.0)


def alpha(sums: npt.NDArray[Any]) -> Floats:
    """Krippendorff's alpha for nominal labels, `[...]`, from totals of `alpha_sums`, `[..., K + 1]`.

    NaN where fewer than two labels occur, for then chance alone would agree.
    Source: Krippendorff, Content Analysis, 4th ed. 2019, ch. 12.
    """
    given, agreed = sums[..., :-1], sums[..., -1]
    answers = given.sum(-1)
    observed = 1 - ratio(agreed, answers)
    expected = 1 - ratio((given * (given - 1)).sum(-1), answers * (answers - 1))
    return 1 - ratio(observed, expected)


def kappa(counts: npt.NDArray[Any]) -> Floats:
    """Cohen's kappa, `[...]`, from one rater's labels by the other's, `[..., K, K]`; NaN where all are one label.

    Source: Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
    """
    rows = counts.sum((-2, -1))
    observed = ratio(np.trace(counts, axis1=-2, axis2=-1), rows)
    expected = ratio((counts.sum(-1) * counts.sum(-2)).sum(-1), rows**2)
    return ratio(observed - expected, 1 - expected)


@dataclass(frozen=True, slots=True)
class _Task:
    """The answers of R raters to one question about N sentences."""

    places: tuple[str, ...]
    """Actors, or the sentence as a whole: P of them."""
    labels: int
    codes: Codes
    """Label numbers, `[R, N, P]`; -1 where not given."""

    def over(self, rows: npt.NDArray[Any]) -> _Task:
        """The answers where `rows`, `[R, N, P]` or what becomes it, is true; the others as if not given."""
        return replace(self, codes=np.where(rows, self.codes, np.int8(-1)))


def _kept(rows: Mapping[str, Record], ids: Collection[str] | None) -> dict[str, Record]:
    return {key: row for key, row in rows.items() if ids is None or key in ids}


def _tasks(raters: Annotations, ids: Sequence[str], actors: Actors) -> dict[str, dict[str, _Task]]:
    """Every task, over every scope that it has."""
    holders = (*holder_labels(actors.ids), NO_HOLDER)
    stance = _task(raters, ids, actors.ids, STANCES, lambda row: [row.stance.get(actor) for actor in actors.ids])
    holder = _task(raters, ids, actors.ids, holders, lambda row: [row.holder.get(actor) for actor in actors.ids])
    sentiment = _task(raters, ids, (SENTENCE,), SENTIMENTS, lambda row: [row.sentiment])
    related = np.asarray(np.isin(stance.codes, (-1, STANCES.index("unrelated")), invert=True).any(0))
    return {
        "stance": {"all": stance, "related": stance.over(related)},
        "holder": {
            "all": holder,
            "related": holder.over(related),
            "held": holder.over(np.asarray(holder.codes != holders.index(NO_HOLDER))),
        },
        "sentiment": {"all": sentiment, "related": sentiment.over(np.asarray(related.any(-1, keepdims=True)))},
    }


def _task(
    raters: Annotations,
    ids: Sequence[str],
    places: tuple[str, ...],
    labels: Sequence[str],
    read: Callable[[Record], Sequence[str | None]],
) -> _Task:
    number: dict[str | None, int] = {label: index for index, label in enumerate(labels)}
    codes = np.full((len(raters), len(ids), len(places)), -1, np.int8)
    for rater, rows in enumerate(raters.values()):
        for sentence, key in enumerate(ids):
            if key in rows:
                codes[rater, sentence] = [number.get(label, -1) for label in read(rows[key])]
    return _Task(places, len(labels), codes)


def _alphas(boot: Bootstrap, scopes: Mapping[str, _Task]) -> dict[str, dict[str, Figure]]:
    by_scope = {}
    for scope, task in scopes.items():
        sums = alpha_sums(task.codes, task.labels)
        by_scope[scope] = _figures(boot, task.places, alpha, sums, np.asarray(sums[..., :-1].any(-1)))
    places = next(iter(by_scope.values()))
    return {place: {scope: figures[place] for scope, figures in by_scope.items()} for place in places}


def _kappas(boot: Bootstrap, raters: Sequence[str], tasks: Mapping[str, _Task]) -> list[dict[str, Any]]:
    found = []
    for (left, name), (right, other) in combinations(enumerate(raters), 2):
        figures, sentences = {}, np.zeros(boot.clusters, np.bool_)
        for title, task in tasks.items():
            both = (task.codes[left] >= 0) & (task.codes[right] >= 0)
            counts = confusion_cells(np.where(both, task.codes[left], -1), task.codes[right], task.labels)
            figures[title] = _figures(boot, task.places, kappa, counts[..., : task.labels], both)
            sentences |= both.any(-1)
        if sentences.any():
            found.append({"raters": [name, other], "sentences": int(sentences.sum()), **figures})
    return found


def _figures(
    boot: Bootstrap,
    places: Sequence[str],
    score: Callable[[npt.NDArray[Any]], Floats],
    sums: npt.NDArray[Any],
    used: Bools,
) -> dict[str, Figure]:
    """A figure a place, and one pooled where there are several, from sums `[N, P, ...]` and the rows used, `[N, P]`."""
    totals, rows = boot.totals(sums), used.sum(0)
    if len(places) > 1:
        places = (*places, POOLED)
        totals = np.concatenate([totals, totals.sum(1, keepdims=True)], 1)
        rows = np.append(rows, rows.sum())
    intervals = zip(*boot.interval(score(totals)), rows, strict=True)
    return {place: _figure(*interval) for place, interval in zip(places, intervals, strict=True)}


def _figure(value: Any, low: Any, high: Any, rows: Any) -> Figure:
    numbers = {"value": float(value), "low": float(low), "high": float(high)}
    return {name: None if math.isnan(each) else round(each, 6) for name, each in numbers.items()} | {"rows": int(rows)}
