"""Behaviour tests: does a model tell minimal pairs apart, and is it unmoved by what should not matter?

Source: Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL 2020; Gardner et al.,
Evaluating Models' Local Decision Boundaries via Contrast Sets, EMNLP 2020.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from tristance.data.actors import Actors
from tristance.data.records import Record
from tristance.data.statistics import Bools, ratio
from tristance.models.classifier import StanceClassifier
from tristance.train.evaluation.answers import Answers, answer_sheet
from tristance.train.evaluation.metrics import tally_of
from tristance.train.evaluation.options import EvaluationConfig

CHANGED: Final = 500
"""Sentences changed a test at most, the same for every model: each is scored once more."""
EXAMPLES: Final = 20
NEGATIONS: Final = ("negation", "double-negation")
"""Phenomena of the pairs that `negation_consistency` looks at."""
QUOTES: Final = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-"})

Result = dict[str, Any]
Rewriter = Callable[[Record], str | None]


def behaviour(
    classifier: StanceClassifier,
    records: Sequence[Record],
    pairs: Mapping[str, Sequence[Record]],
    actors: Actors,
    options: EvaluationConfig,
    stance_labels: Sequence[str],
    batch_size: int = 64,
) -> dict[str, Result]:
    """Run every test that there are sentences for.

    Args:
        classifier: Whose behaviour it is.
        records: Sentences that the invariances are tested on; their labels do not matter.
        pairs: Minimal pairs (`contrast`) and pairs with an actor exchanged (`swap`).
        actors: Whose interchangeable names are exchanged.
        options: Resamples, level and seed.
        stance_labels: The labels of the set.
        batch_size: Sentences a step.

    Returns:
        By test: `n` pairs or sentences, `passed` (a figure: share of them), `failures` (at most `EXAMPLES`: `text`,
        `other`, `slot`, `expected`, `found`). METRICS.md says what each test asks.
    """

    def answers(rows: Sequence[Record]) -> Answers:
        scores = classifier.score_records(rows, batch_size=batch_size)
        return answer_sheet(rows, scores, stance_labels).stance

    found: dict[str, Result] = {}
    slots = classifier.actors.ids
    if rows := _twins(pairs.get("contrast", ())):
        found |= _contrast(rows, answers(rows), slots, options)
    if rows := _twins(pairs.get("swap", ())):
        found |= _swap(rows, answers(rows), options)
    chosen = _sample(records, options.seed)
    if chosen:
        before = answers(chosen)
        for name, rewrite in _rewriters(actors, options.seed).items():
            found |= _invariance(name, chosen, before, rewrite, answers, slots, options)
    return found


def _twins(records: Sequence[Record]) -> list[Record]:
    """Twins one behind the other; a sentence without its twin is left out."""
    by_pair: dict[str, list[Record]] = {}
    for record in records:
        by_pair.setdefault(str(record.fields.get("pair")), []).append(record)
    return [record for twins in by_pair.values() if len(twins) == 2 for record in twins]


def _contrast(
    rows: Sequence[Record], answers: Answers, slots: Sequence[str], options: EvaluationConfig
) -> dict[str, Result]:
    """Every stance of both sentences right."""
    right = (answers.right == answers.annotated).all(-1)
    failures = list(_wrong(rows, answers, slots))
    both = right[::2] & right[1::2]
    found = {"contrast_consistency": _result(rows[::2], both, failures, options)}
    negated = np.array(
        [{a.fields.get("phenomenon"), b.fields.get("phenomenon")} & set(NEGATIONS) != set() for a, b in _halves(rows)]
    )
    if negated.any():
        kept = [record for record, chosen in zip(rows[::2], negated, strict=True) if chosen]
        texts = {record.text for pair, chosen in zip(_halves(rows), negated, strict=True) if chosen for record in pair}
        own = [failure for failure in failures if failure["text"] in texts]
        found["negation_consistency"] = _result(kept, both[negated], own, options)
    return found


def _swap(rows: Sequence[Record], answers: Answers, options: EvaluationConfig) -> dict[str, Result]:
    """Both sentences answered alike, right or wrong: the same answers where gold is the same, whoever the actor is."""
    kept, passed, failures = [], [], []
    for number, (first, second) in enumerate(_halves(rows)):
        told = [_told(answers, row) for row in (2 * number, 2 * number + 1)]
        if sorted(gold for gold, _ in told[0]) != sorted(gold for gold, _ in told[1]):
            continue  # labelled otherwise with the other actor: there is nothing to be the same
        kept.append(first)
        passed.append(sorted(told[0]) == sorted(told[1]))
        if not passed[-1]:
            said = ["; ".join(label for _, label in sorted(each)) for each in told]
            failures.append(
                {"text": first.text, "other": second.text, "slot": "", "expected": said[0], "found": said[1]}
            )
    return {"swap_consistency": _result(kept, np.array(passed, bool), failures, options)} if kept else {}


def _told(answers: Answers, row: int) -> list[tuple[str, str]]:
    """Gold and predicted stance on every actor that the sentence refers to."""
    labels = (*answers.labels, "missing")
    pairs = zip(answers.gold[row].tolist(), answers.predicted[row].tolist(), strict=True)
    return [(labels[gold], labels[told]) for gold, told in pairs if gold >= 0 and labels[gold] != "unrelated"]


def _invariance(
    name: str,
    rows: Sequence[Record],
    before: Answers,
    rewrite: Rewriter,
    answers: Callable[[Sequence[Record]], Answers],
    slots: Sequence[str],
    options: EvaluationConfig,
) -> dict[str, Result]:
    """No stance changes when the sentence is written otherwise."""
    texts = [rewrite(record) for record in rows]
    kept = [number for number, text in enumerate(texts) if text is not None and text != rows[number].text]
    if not kept:
        return {}
    changed = [dataclasses.replace(rows[number], text=str(texts[number]), targets=()) for number in kept]
    after, old = answers(changed).predicted, before.predicted[kept]
    labels = (*before.labels, "missing")
    failures = [
        {
            "text": rows[kept[row]].text,
            "other": changed[row].text,
            "slot": slots[slot],
            "expected": labels[old[row, slot]],
            "found": labels[after[row, slot]],
        }
        for row, slot in zip(*np.nonzero(after != old), strict=True)
    ]
    return {f"{name}_invariance": _result(changed, (after == old).all(-1), failures, options)}


def _result(units: Sequence[Record], passed: Bools, failures: Sequence[Result], options: EvaluationConfig) -> Result:
    tally = tally_of(units, options)
    totals = tally.totals(np.stack([passed, np.ones_like(passed)], -1).astype(float))
    figure = tally.figure(ratio(totals[..., 0], totals[..., 1]))
    return {"n": len(units), "passed": figure, "failures": list(failures)[:EXAMPLES]}


def _halves(rows: Sequence[Record]) -> list[tuple[Record, Record]]:
    return list(zip(rows[::2], rows[1::2], strict=True))


def _wrong(rows: Sequence[Record], answers: Answers, slots: Sequence[str]) -> Iterator[Result]:
    labels = (*answers.labels, "missing")
    for row, slot in zip(*np.nonzero(answers.annotated & ~answers.right), strict=True):
        yield {
            "text": rows[row].text,
            "other": rows[row ^ 1].text,
            "slot": slots[slot],
            "expected": labels[answers.gold[row, slot]],
            "found": labels[answers.predicted[row, slot]],
        }


def _sample(records: Sequence[Record], seed: int) -> list[Record]:
    """Some of the sentences; those about targets are left out, since their places would no longer hold."""
    plain = [record for record in records if not record.targets]
    if len(plain) <= CHANGED:
        return plain
    chosen = np.random.default_rng(seed).choice(len(plain), CHANGED, replace=False)
    return [plain[number] for number in np.sort(chosen)]


def _rewriters(actors: Actors, seed: int) -> dict[str, Rewriter]:
    names = _Names(actors)
    return {
        "alias": lambda record: names.exchanged(record, seed),
        "lowercase": lambda record: record.text.lower(),
        "uppercase": lambda record: record.text.upper(),
        "punctuation": lambda record: re.sub(r"[.!]+(?=[\"'”’]*$)", "", record.text.translate(QUOTES)),
        "typo": lambda record: _typo(record, names, seed),
    }


class _Names:
    """Exchanges one actor's name in a sentence for another of the same group."""

    def __init__(self, actors: Actors) -> None:
        groups = [group for actor in actors for group in actor.interchangeable]
        self.group = {name: group for group in groups for name in group}
        self.known = frozenset(
            word for actor in actors for name in (actor.name, *actor.aliases) for word in name.split()
        )
        written = sorted({*self.group, *map(_capital, self.group)}, key=len, reverse=True)
        # Part of a longer name ("Trump Tower", "the Moscow Times", "Miss America") it means something else; behind
        # "in" a capital is a place, where a government is none.
        before, after = r"(?<!\w)(?<!\b[Ii]n )(?<!\b[Tt]he )(?<![A-Z][a-z] )(?<![a-z]{2}-)", r"(?!\w|-| [A-Z])"
        self.pattern = f"{before}(?:{'|'.join(map(re.escape, written))}){after}" if written else r"(?!)"

    def exchanged(self, record: Record, seed: int) -> str | None:
        """The sentence with its first exchangeable name exchanged, wherever that stands; None if it has none."""
        match = re.search(self.pattern, record.text)
        if match is None:
            return None
        old = match.group()
        listed = old if old in self.group else old[:1].lower() + old[1:]
        others = [name for name in self.group[listed] if name != listed]
        new = others[_draw(record, seed).integers(len(others))]

        def exchange(found: re.Match[str]) -> str:
            starts = found.start() == 0 or record.text[: found.start()].rstrip(" \"'“‘(")[-1:] in (".", "?", "!", "")
            return (_capital(new) if starts else new) if found.group() == old else found.group()

        return re.sub(self.pattern, exchange, record.text)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _typo(record: Record, names: _Names, seed: int) -> str | None:
    """Two neighbouring letters of one longer word exchanged; no name of an actor."""
    words = [match for match in re.finditer(r"\b[a-z]{5,}\b", record.text) if match.group() not in names.known]
    if not words:
        return None
    generator = _draw(record, seed)
    word = words[generator.integers(len(words))]
    place = word.start() + int(generator.integers(1, len(word.group()) - 2))
    text = record.text
    return f"{text[:place]}{text[place + 1]}{text[place]}{text[place + 2 :]}"


def _draw(record: Record, seed: int) -> np.random.Generator:
    """The same choice for the same sentence, whatever stands beside it."""
    return np.random.default_rng([seed, *record.text.encode()])
