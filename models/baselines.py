"""The yardsticks: majority, lexicon, and TF-IDF with logistic regression, behind the interface of the networks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tristance.data.actors import Actors
from tristance.data.errors import UserError, first_line
from tristance.data.files import writing
from tristance.data.labels import AUTHOR, HELD, OTHER, SENTIMENTS, STANCES, holder_labels
from tristance.data.records import Record
from tristance.models import encoding as encodings
from tristance.models.encoding import Item, record_item
from tristance.models.manifest import CONFIG_FILE, Manifest, verify_checksums, write_checksums
from tristance.models.predictions import Floats, Scores
from tristance.models.registry import TfidfOptions

STATE_FILE = "baseline.json"
WEIGHTS_FILE = "model.safetensors"
VADER_THRESHOLD = 0.05
"""Where VADER's authors draw the line between neutral and the rest (Hutto & Gilbert, ICWSM 2014)."""

Gold = tuple[str, str]  # stance and holder
Shares = dict[str, float]


class Baseline:
    """A baseline: `fit` to items with their gold labels, `score` items, and a JSON-ready `state`."""

    name: ClassVar[str]

    def __init__(self, slots: tuple[str, ...]) -> None:
        self.slots = slots

    @classmethod
    def fit(cls, items: Sequence[Item], records: Sequence[Record], options: TfidfOptions) -> Baseline:
        """Learn from the training split; `items` and `records` run in parallel."""
        raise NotImplementedError

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:
        """See `registry.Scorer`."""
        raise NotImplementedError

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `restore` needs: JSON and arrays."""
        raise NotImplementedError

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, Any]) -> Baseline:
        """The baseline of a saved state."""
        raise NotImplementedError

    def _check(self, items: Sequence[Item]) -> int:
        asked = encodings.slot_ids(items)
        if items and asked != self.slots:
            found, allowed = ", ".join(asked), ", ".join(self.slots)
            raise UserError(f"{self.name}: found slots {found}; allowed: those it was trained on: {allowed}")
        return len(items)


def _shares(labels: Sequence[str | None], every: Sequence[str]) -> list[float]:
    """Relative frequencies over `every`, a label that never occurs included; uniform where nothing is annotated."""
    counts = Counter(label for label in labels if label in every)
    total = sum(counts.values())
    return [counts[label] / total if total else 1 / len(every) for label in every]


class Majority(Baseline):
    """The training split's most frequent label, whatever the sentence says."""

    name = "majority"

    def __init__(self, slots: tuple[str, ...], shares: dict[str, Any]) -> None:
        super().__init__(slots)
        self.shares = shares

    @classmethod
    def fit(cls, items: Sequence[Item], records: Sequence[Record], options: TfidfOptions) -> Majority:  # noqa: ARG003, D102
        slots = encodings.slot_ids(items)
        gold = {slot: [record.labels(slot) for record in records] for slot in slots}
        return cls(
            slots,
            {
                "stance": [_shares([stance for stance, _ in gold[slot]], STANCES) for slot in slots],
                "holder": [_shares([holder for _, holder in gold[slot]], holder_labels(slots)) for slot in slots],
                "sentiment": _shares([record.sentiment for record in records], SENTIMENTS),
            },
        )

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:  # noqa: ARG002, D102
        count = self._check(items)

        def repeat(shares: Any) -> Floats:
            array = np.asarray(shares, np.float32)
            return np.broadcast_to(array, (count, *array.shape)).copy()

        return Scores(self.slots, *(repeat(self.shares[task]) for task in ("stance", "holder", "sentiment")))

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: D102 - inherited
        return {"slots": self.slots, "shares": self.shares}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, Any]) -> Majority:  # noqa: ARG003, D102
        return cls(tuple(state["slots"]), state["shares"])


class Lexicon(Baseline):
    """An actor that the alias lexicon finds takes the sentence's polarity by VADER; any other is unrelated.

    Its label has the share of training sentences that it was right about when it gave that label, but at least one
    half: the rule decides. The other labels divide the rest evenly. The holder has the training split's shares.
    """

    name = "lexicon"

    def __init__(self, slots: tuple[str, ...], trust: dict[str, float], holders: list[list[float]]) -> None:
        super().__init__(slots)
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        self.trust, self.holders = trust, holders
        self._polarity: Callable[[str], Mapping[str, float]] = SentimentIntensityAnalyzer().polarity_scores

    @classmethod
    def fit(cls, items: Sequence[Item], records: Sequence[Record], options: TfidfOptions) -> Lexicon:  # noqa: ARG003, D102
        slots = encodings.slot_ids(items)
        holders = [_shares([record.labels(slot)[1] for record in records], holder_labels(slots)) for slot in slots]
        fresh = cls(slots, {}, holders)
        right: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for item, record in zip(items, records, strict=True):
            tone = fresh._tone(item.text)
            every[f"tone.{tone}"] += record.sentiment is not None
            right[f"tone.{tone}"] += tone == record.sentiment
            for slot in item.slots:
                answer, gold = fresh._stance(item, slot.id, tone), record.labels(slot.id)[0]
                every[answer] += gold is not None
                right[answer] += answer == gold
        fresh.trust = {label: max(right[label] / every[label], 0.5) for label in every if every[label]}
        return fresh

    def _tone(self, text: str) -> str:
        compound = self._polarity(text)["compound"]
        return "neutral" if abs(compound) < VADER_THRESHOLD else "positive" if compound > 0 else "negative"

    @staticmethod
    def _stance(item: Item, slot_id: str, tone: str) -> str:
        if next(slot for slot in item.slots if slot.id == slot_id).span is None:
            return "unrelated"
        return {"positive": "favor", "negative": "against", "neutral": "neutral"}[tone]

    def _spread(self, label: str, every: Sequence[str], prefix: str = "") -> list[float]:
        trust = self.trust.get(prefix + label, 0.5)
        return [trust if name == label else (1 - trust) / (len(every) - 1) for name in every]

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:  # noqa: ARG002, D102
        count = self._check(items)
        tones = [self._tone(item.text) for item in items]
        stance = [
            [self._spread(self._stance(item, slot, tone), STANCES) for slot in self.slots]
            for item, tone in zip(items, tones, strict=True)
        ]
        return Scores(
            self.slots,
            np.asarray(stance, np.float32).reshape(count, len(self.slots), len(STANCES)),
            np.broadcast_to(np.asarray(self.holders, np.float32), (count, len(self.slots), len(self.slots) + 2)).copy(),
            np.asarray([self._spread(tone, SENTIMENTS, "tone.") for tone in tones], np.float32).reshape(
                count, len(SENTIMENTS)
            ),
        )

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: D102 - inherited
        return {"slots": self.slots, "trust": self.trust, "holders": self.holders}, {}

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, Any]) -> Lexicon:  # noqa: ARG003, D102
        return cls(tuple(state["slots"]), state["trust"], state["holders"])


class Tfidf(Baseline):
    """TF-IDF of word n-grams with a logistic regression for every task and slot.

    For a slot, its first mention in the text is replaced by the word `slotmention`; its name is not read.
    """

    name = "tfidf"

    def __init__(
        self, slots: tuple[str, ...], vectorizer: Any, models: dict[str, Any], only: dict[str, str], max_ngram: int
    ) -> None:
        super().__init__(slots)
        self.vectorizer, self.models, self.max_ngram = vectorizer, models, max_ngram
        self.only = only
        """The label of a task that has a single one in training: there was nothing to separate."""

    @staticmethod
    def _texts(items: Sequence[Item], slot: int | None) -> list[str]:
        """The sentence; for a slot with its mention replaced: it is all that a bag of words can know of the target."""
        texts = []
        for item in items:
            span = item.slots[slot].span if slot is not None else None
            texts.append(item.text if span is None else f"{item.text[: span[0]]} slotmention {item.text[span[1] :]}")
        return texts

    @classmethod
    def fit(cls, items: Sequence[Item], records: Sequence[Record], options: TfidfOptions) -> Tfidf:  # noqa: D102
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        slots = encodings.slot_ids(items)
        vectorizer = cls._vectorizer(TfidfVectorizer, options.max_ngram, min_df=2 if len(items) > 50 else 1)
        try:
            vectorizer.fit(cls._texts(items, None))
        except ValueError as error:
            raise UserError(
                f"tfidf: no word of the training split is frequent enough to learn from: {error}"
            ) from error
        models, only = {}, {}
        for task, (slot, labels) in cls._tasks(slots, records).items():
            known = {number: label for number, label in enumerate(labels) if label is not None}
            found = sorted(set(known.values()))
            if len(found) == 1:
                only[task] = found[0]
            elif found:
                features = vectorizer.transform(cls._texts([items[number] for number in known], slot))
                with threadpool_limits(1):  # sparse algebra gains nothing from threads that wait for each other
                    models[task] = LogisticRegression(C=options.C, max_iter=1000).fit(features, list(known.values()))
        return cls(slots, vectorizer, models, only, options.max_ngram)

    @staticmethod
    def _vectorizer(factory: Any, max_ngram: int, **options: Any) -> Any:
        return factory(ngram_range=(1, max_ngram), sublinear_tf=True, strip_accents="unicode", **options)

    @staticmethod
    def _tasks(slots: tuple[str, ...], records: Sequence[Record]) -> dict[str, tuple[int | None, list[str | None]]]:
        tasks: dict[str, tuple[int | None, list[str | None]]] = {
            "sentiment": (None, [record.sentiment for record in records])
        }
        holders = (None, *holder_labels(slots))
        for index, slot in enumerate(slots):
            gold = [record.labels(slot) for record in records]
            tasks[f"stance.{slot}"] = (index, [stance for stance, _ in gold])
            held = [holder if stance in HELD else None for stance, holder in gold]
            tasks[f"holder.{slot}"] = (index, [holder if holder in holders else OTHER for holder in held])
        return tasks

    def _probabilities(
        self, task: str, items: Sequence[Item], slot: int | None, labels: Sequence[str], default: str
    ) -> Floats:
        result = np.zeros((len(items), len(labels)), np.float32)
        model = self.models.get(task)
        if model is None:
            result[:, labels.index(self.only.get(task, default))] = 1.0
        elif items:
            found = model.predict_proba(self.vectorizer.transform(self._texts(items, slot)))
            result[:, [labels.index(label) for label in model.classes_]] = found
        return result

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:  # noqa: ARG002, D102
        self._check(items)
        holders = holder_labels(self.slots)
        stance = [self._probabilities(f"stance.{s}", items, i, STANCES, "neutral") for i, s in enumerate(self.slots)]
        holder = [self._probabilities(f"holder.{s}", items, i, holders, AUTHOR) for i, s in enumerate(self.slots)]
        sentiment = self._probabilities("sentiment", items, None, SENTIMENTS, "neutral")
        return Scores(self.slots, np.stack(stance, 1), np.stack(holder, 1), sentiment)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: D102 - inherited
        words = self.vectorizer.get_feature_names_out().tolist()
        classes = {task: model.classes_.tolist() for task, model in self.models.items()}
        arrays = {"idf": np.ascontiguousarray(self.vectorizer.idf_)}
        for task, model in self.models.items():
            arrays |= {f"{task}.coef": np.ascontiguousarray(model.coef_), f"{task}.intercept": model.intercept_}
        return {
            "slots": self.slots,
            "words": words,
            "classes": classes,
            "only": self.only,
            "max_ngram": self.max_ngram,
        }, arrays

    @classmethod
    def restore(cls, state: dict[str, Any], arrays: dict[str, Any]) -> Tfidf:  # noqa: D102 - inherited
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizer = cls._vectorizer(TfidfVectorizer, state["max_ngram"], vocabulary=state["words"])
        vectorizer.idf_ = arrays["idf"]
        models = {}
        for task, classes in state["classes"].items():
            models[task] = LogisticRegression()
            models[task].classes_ = np.asarray(classes)
            models[task].coef_, models[task].intercept_ = arrays[f"{task}.coef"], arrays[f"{task}.intercept"]
        return cls(tuple(state["slots"]), vectorizer, models, state["only"], state["max_ngram"])


BY_NAME: dict[str, type[Baseline]] = {cls.name: cls for cls in (Majority, Lexicon, Tfidf)}


def fit_baseline(name: str, records: Sequence[Record], actors: Actors, options: TfidfOptions | None = None) -> Baseline:
    """Train the baseline `majority`, `lexicon` or `tfidf` on labelled records."""
    items = [record_item(record, actors) for record in records]
    return BY_NAME[name].fit(items, records, options or TfidfOptions())


def save_baseline(folder: Path, baseline: Baseline, manifest: Manifest) -> None:
    """Write a baseline as a model folder: JSON and, where it has arrays, safetensors."""
    state, arrays = baseline.state()
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / CONFIG_FILE) as stream:
        json.dump({"model_type": f"tristance-{baseline.name}", "tristance": manifest.as_dict()}, stream, indent=2)
    with writing(folder / STATE_FILE) as stream:
        json.dump(state, stream, ensure_ascii=False)
    if arrays:
        from safetensors.numpy import save_file

        save_file(arrays, folder / WEIGHTS_FILE)
    write_checksums(folder)


def load_baseline(folder: Path, manifest: Manifest) -> Baseline:
    """The baseline of a model folder.

    Raises:
        UserError: If it is broken or of an unknown kind.
    """
    if manifest.architecture not in BY_NAME:
        raise UserError(
            f"{folder}: found architecture {manifest.architecture!r}; allowed: slots, pair, {', '.join(BY_NAME)}"
        )
    verify_checksums(folder)
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return BY_NAME[manifest.architecture].restore(state, _read_arrays(folder / WEIGHTS_FILE))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: broken model: {first_line(error)}") from error


def _read_arrays(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    from safetensors import SafetensorError  # the base install lacks it, and a baseline without arrays needs it not
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, Any] = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return arrays
