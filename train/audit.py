"""Has a labelled corpus shortcuts? What tells its labels without the sentence, what repeats, what more would bring.

Every part is a plain function over records; `audit` runs them all and gives what JSON can hold. Sentences alike are
found in repeats.py; audit_report.py shows and draws the result.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tristance.data.actors import Actors
from tristance.data.errors import UserError
from tristance.data.labels import STANCES
from tristance.data.records import Record
from tristance.data.statistics import Floats
from tristance.models.baselines import fit_baseline
from tristance.models.encoding import record_item
from tristance.train.evaluation.metrics import evaluate
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.repeats import Result, Splits, overlap, repeats

FORMAT: Final = "tristance.audit/1"
RELATED: Final = tuple(label for label in STANCES if label != "unrelated")
LIMIT_ALONE: Final = 6.0
"""Points over the majority share that one property of a sentence may gain in telling a stance."""
LIMIT_TOGETHER: Final = 10.0
"""The same for all properties together."""
TOGETHER: Final = "all together"
FOLDS: Final = 5
PRIOR: Final = 500.0
"""Tokens that the informative prior weighs."""
RARE: Final = 10
"""Sentences below which a token's pull is not told."""
STRONGEST: Final = 12
GROWTH_POINTS: Final = 20
SIZES: Final = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
SMALLEST: Final = 20
"""Sentences below which a point of the learning curve is left out."""
PROPERTIES: Final = ("genre", "voice", "topic")
"""Fields of a record that must not tell a stance."""
NONE: Final = "(none)"


def audit(
    splits: Splits,
    actors: Actors,
    *,
    against: Splits | None = None,
    test: tuple[str, Sequence[Record]] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Result:
    """Audit a labelled corpus; the same sentences give the same numbers.

    Args:
        splits: Sentences by file. The first file is the one that a learning curve is drawn of.
        actors: Whose stances are audited.
        against: Sentences by file that the corpus must not share.
        test: Name and sentences that the learning curve and the baselines are tested on; None for the last file with
            `validation` in its name.
        progress: Told what begins, how many parts are done, and of how many.

    Returns:
        `files` {file: sentences}, `notes` on what could not be audited, and the result of each part: `shortcuts`,
        `tokens`, `repeats` (`sentences`, `skeletons`), `growth`, `overlap`, `curve`, `baselines`. What the parts hold
        is said where they are made.

    Raises:
        UserError: If there are no sentences, or the training file has too few words to learn from.
    """
    import sklearn.linear_model  # noqa: F401 - only what is loaded can be limited
    from threadpoolctl import threadpool_limits

    records = [record for rows in splits.values() for record in rows]
    if not records:
        raise UserError("audit: found no sentences; allowed: at least one file with some")
    notes: list[str] = []
    train_file = next(iter(splits))
    if test is None:
        named = [name for name in splits if "validation" in Path(name).name and name != train_file]
        test = (named[-1], splits[named[-1]]) if named else None
    train = _labelled(splits[train_file], actors)
    if test is None or not train or not _labelled(test[1], actors):
        lacking = "a second file with validation in its name, or another test" if test is None else "stances to learn"
        notes.append(f"without {lacking}: no learning curve, no baselines")
        test = None
    result: Result = {"format": FORMAT, "files": {name: len(rows) for name, rows in splits.items()}, "notes": notes}
    parts: list[tuple[str, Callable[[], Any]]] = [
        ("shortcuts", lambda: shortcuts(records, actors, notes)),
        ("tokens", lambda: tokens(records, actors)),
        ("repeats", lambda: repeats(splits, actors)),
        ("overlap", lambda: overlap(splits, against or {})),
        ("growth", lambda: growth([record.text for record in records])),
        ("curve", lambda: learning_curve(train, test, actors, notes)),
        ("baselines", lambda: baselines(train, test, actors)),
    ]
    # Matrices this small only make the threads of BLAS wait for each other: one is six times as fast as two.
    with threadpool_limits(1):
        for number, (name, part) in enumerate(parts):
            progress(name, number, len(parts))
            result[name] = part()
    progress("", len(parts), len(parts))
    return result


def shortcuts(records: Sequence[Record], actors: Actors, notes: list[str]) -> Result:
    """How well the stance on an actor that is referred to can be told without the sentence's meaning.

    A logistic regression of one-hot properties, cross-validated so that a document is never on both sides.

    Args:
        records: N sentences.
        actors: Whose stances are told.
        notes: Takes what had to be left out.

    Returns:
        {actor: {`n`, `majority` {`label`, `share`}, `properties` {name or `all together`: {`accuracy`, `gain` in points
        over the majority share, `limit`, `passed`}}}}.
    """
    lacking = {name: sum(record.fields.get(name) is None for record in records) for name in PROPERTIES}
    fields = [name for name, count in lacking.items() if count < len(records)]
    for name, count in lacking.items():
        if name not in fields:
            notes.append(f"no sentence has the field {name}: not audited")
        elif count:
            notes.append(f"{count} of {len(records)} sentences lack the field {name}: taken as a value of its own")
    found: Result = {}
    for actor in actors.ids:
        rows = [record for record in records if record.stance.get(actor) in RELATED]
        stances = [str(record.stance[actor]) for record in rows]
        groups = [record.unit for record in rows]
        if len(set(groups)) < FOLDS or len(set(stances)) < 2:
            notes.append(f"{actor}: too few sentences that refer to it: shortcuts not audited")
            continue
        label, count = Counter(stances).most_common(1)[0]
        majority = count / len(rows)
        every = [_properties(record, actors, fields) for record in rows]
        chosen = {name: [{name: row[name]} for row in every] for name in every[0]} | {TOGETHER: every}
        told = {name: _accuracy(properties, stances, groups) for name, properties in chosen.items()}
        found[actor] = {
            "n": len(rows),
            "majority": {"label": label, "share": round(majority, 6)},
            "properties": {name: _gain(name, accuracy, majority) for name, accuracy in told.items()},
        }
    return found


def _gain(name: str, accuracy: float, majority: float) -> Result:
    gain = 100 * (accuracy - majority)
    limit = LIMIT_TOGETHER if name == TOGETHER else LIMIT_ALONE
    return {"accuracy": round(accuracy, 6), "gain": round(gain, 2), "limit": limit, "passed": gain <= limit}


def _properties(record: Record, actors: Actors, fields: Sequence[str]) -> dict[str, str]:
    words = record.text.split()
    return {
        **{name: str(record.fields.get(name, NONE)) for name in fields},
        "length": str(min(len(words) // 5, 10)),
        "first word": words[0].casefold(),
        "actors": "+".join(actor for actor in actors.ids if record.stance.get(actor) in RELATED),
    }


def _accuracy(properties: Sequence[Mapping[str, str]], labels: Sequence[str], groups: Sequence[str]) -> float:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    features = DictVectorizer().fit_transform(properties)
    model = LogisticRegression(max_iter=1000)
    told = cross_val_predict(model, features, np.array(labels), groups=groups, cv=GroupKFold(FOLDS))
    return float(np.mean(told == np.array(labels)))


def log_odds(counts: npt.NDArray[Any], prior: npt.NDArray[Any]) -> Floats:
    """How strongly each token pulls towards each class against the others.

    Source: Monroe, Colaresi and Quinn, Fightin' Words, Political Analysis 2008, equations 16, 19 and 22.

    Args:
        counts: How often each of V tokens occurs in each of C classes, `[C, V]`.
        prior: Tokens of the informative Dirichlet prior, `[V]`, each above 0.

    Returns:
        z-scores of the log-odds ratio, `[C, V]`.
    """
    inside = counts + prior
    outside = counts.sum(0) - counts + prior
    odds = [np.log(side / (side.sum(-1, keepdims=True) - side)) for side in (inside, outside)]
    return np.asarray((odds[0] - odds[1]) / np.sqrt(1 / inside + 1 / outside))


def tokens(records: Sequence[Record], actors: Actors) -> Result:
    """The tokens with the strongest pull on each stance towards an actor that is referred to.

    Returns:
        {actor: {stance: [{`token`, `z` of its log-odds, `sentences` that hold it and refer to the actor, `share` of
        those with the stance}]}}, strongest first. A token counts once a sentence.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    found: Result = {}
    for actor in actors.ids:
        rows = [record for record in records if record.stance.get(actor) in RELATED]
        if not rows:
            continue
        vectorizer = CountVectorizer(tokenizer=_tokens, token_pattern=None, lowercase=False, binary=True)
        held = vectorizer.fit_transform([record.text for record in rows])
        words = vectorizer.get_feature_names_out()
        stances = np.array([record.stance[actor] for record in rows])
        counts = np.stack([np.asarray(held[stances == stance].sum(0)).ravel() for stance in RELATED])
        total = counts.sum(0)
        scores = log_odds(counts, PRIOR * total / total.sum())
        scores[:, total < RARE] = -np.inf
        found[actor] = {}
        for stance, score, count in zip(RELATED, scores, counts, strict=True):
            best = [place for place in np.argsort(-score, kind="stable")[:STRONGEST] if score[place] > 0]
            found[actor][stance] = [
                {
                    "token": str(words[place]),
                    "z": round(float(score[place]), 2),
                    "sentences": int(total[place]),
                    "share": round(float(count[place] / total[place]), 4),
                }
                for place in best
            ]
    return found


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text.casefold())


def growth(texts: Sequence[str]) -> Result:
    """How the vocabulary grows, over the sentences in a random order.

    Returns:
        `points` [{`tokens`, `types`}], and `exponent`, the slope of log types on log tokens (Heaps' law); near 1 where
        words are ever new, near 0 where the corpus only repeats. None where there are fewer than two points.
    """
    shuffled = random.Random(0).sample(list(texts), len(texts))
    marks = {round(len(shuffled) * (number + 1) / GROWTH_POINTS) for number in range(GROWTH_POINTS)}
    seen: set[str] = set()
    count, points = 0, []
    for number, text in enumerate(shuffled, 1):
        words = _tokens(text)
        count += len(words)
        seen.update(words)
        if number in marks:
            points.append({"tokens": count, "types": len(seen)})
    measured = [point for point in points if point["tokens"]]
    if len(measured) < 2:
        return {"points": points, "exponent": None}
    logs = np.log([[point["tokens"], point["types"]] for point in measured])
    slope = np.polyfit(logs[:, 0], logs[:, 1], 1)[0]
    return {"points": points, "exponent": round(float(slope), 4)}


def learning_curve(
    train: Sequence[Record], test: tuple[str, Sequence[Record]] | None, actors: Actors, notes: list[str]
) -> Result | None:
    """What TF-IDF with logistic regression makes of ever larger random parts of the training sentences.

    Returns:
        `test`: its name, and `points` [{`sentences`, `F_avg` {actor or "mean": value}}]; None without a test.
    """
    if test is None:
        return None
    shuffled = random.Random(0).sample(list(train), len(train))
    sizes = sorted({size for share in SIZES if (size := round(share * len(train))) >= SMALLEST})
    if not sizes:
        notes.append(f"the first file has fewer than {SMALLEST} sentences: no learning curve")
    points = [{"sentences": size, "F_avg": _f_avg("tfidf", shuffled[:size], test[1], actors)} for size in sizes]
    return {"test": test[0], "points": points}


def baselines(train: Sequence[Record], test: tuple[str, Sequence[Record]] | None, actors: Actors) -> Result | None:
    """What needs no learning: `{majority, lexicon: {actor or "mean": F_avg}}`; None without a test."""
    return test and {name: _f_avg(name, train, test[1], actors) for name in ("majority", "lexicon")}


def _f_avg(name: str, train: Sequence[Record], test: Sequence[Record], actors: Actors) -> dict[str, float | None]:
    # Only stances are asked for: holders and sentiment would take longer to learn than they do.
    model = fit_baseline(name, [_stances_only(record) for record in train], actors)
    records = [_stances_only(record) for record in test]
    scores = model.score([record_item(record, actors) for record in records])
    metrics = evaluate(records, scores, EvaluationConfig(resamples=0))
    by_actor = {slot: block["F_avg"]["value"] for slot, block in metrics["slots"].items()}
    return {**by_actor, "mean": metrics["overall"]["mean.F_avg"]["value"]}


def _labelled(records: Sequence[Record], actors: Actors) -> list[Record]:
    return [record for record in records if any(record.stance.get(actor) for actor in actors.ids)]


def _stances_only(record: Record) -> Record:
    return dataclasses.replace(record, holder={}, sentiment=None, targets=())
