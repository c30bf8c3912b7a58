"""A trained model in use: `StanceClassifier.from_pretrained(folder).predict(sentences)`."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tristance.data.actors import Actors
from tristance.data.errors import UserError, shorten
from tristance.data.records import Record
from tristance.models import hub
from tristance.models.abstention import thresholds_for
from tristance.models.caution import Caution, thresholds
from tristance.models.encoding import Item, actor_item, record_item, rows_by_slots
from tristance.models.explanation import Explanation, explain
from tristance.models.manifest import Manifest
from tristance.models.predictions import Prediction, Scores, scattered, to_predictions
from tristance.models.registry import Scorer, load_scorer

if TYPE_CHECKING:
    from tristance.models.article import Article


class StanceClassifier:
    """Reads sentences and says, for every actor, which stance they convey and who holds it, and their sentiment.

    Made by `from_pretrained`; works alike for every architecture, the baselines included.
    """

    def __init__(self, scorer: Scorer, manifest: Manifest, folder: Path | None = None) -> None:
        self.scorer = scorer
        self.manifest = manifest
        self.actors: Actors = manifest.known_actors()
        self.caution = Caution()
        """What is held against its answers; set by `cautious`."""
        self._folder = folder

    @classmethod
    def from_pretrained(
        cls, model: str | os.PathLike[str], *, device: str = "auto", runtime: str = "auto", precision: str = "fp32"
    ) -> StanceClassifier:
        """Load a model folder, or a model of the Hugging Face hub.

        Args:
            model: Folder that training wrote (`runs/base/13/model`), or a hub name (`someone/stance-model`).
            device: `auto` (a GPU where there is one), `cpu`, `cuda`, …
            runtime: `onnx`, which needs no torch and starts in a second, for models that `tristance export` wrote;
                `torch`; `auto`: onnx where the model is exported and no GPU is in use, else torch.
            precision: `fp32`, or `int8` for a model exported so: about twice as fast on a CPU, and not quite the same
                answers (its `export.json` says how many differ).

        Raises:
            UserError: If there is no such model, or it is broken, tampered with, or of another version.
        """
        folder = hub.locate(model)
        manifest = Manifest.read(folder)
        try:
            return cls(load_scorer(folder, manifest, device, runtime, precision), manifest, folder).cautious()
        except ModuleNotFoundError as error:
            raise UserError(
                f"{folder}: needs {error.name}; allowed: pip install 'tristance[train]', or a model that was exported "
                "where it is installed: tristance export MODEL --onnx"
            ) from error

    @overload
    def predict(  # type: ignore[overload-overlap]  # a string is an iterable of strings, and means one sentence
        self, text: str, *, batch_size: int = ..., progress: bool = ..., actors: Actors | None = ...
    ) -> Prediction: ...
    @overload
    def predict(
        self, text: Iterable[str], *, batch_size: int = ..., progress: bool = ..., actors: Actors | None = ...
    ) -> list[Prediction]: ...

    def predict(self, text: Any, *, batch_size: int = 32, progress: bool = False, actors: Actors | None = None) -> Any:
        """Predict one sentence, many, or a column of a frame.

        Args:
            text: A sentence; or any iterable of them; or a pandas or polars Series.
            batch_size: Most sentences a step; long ones go in smaller steps.
            progress: Show a progress bar.
            actors: Further actors to ask about, which the model may never have seen; they change no other answer.

        Returns:
            A `Prediction`; or a list of them in the order given; or, for a Series, a frame of the same library (and
            index) with the columns `text`, `<actor>`, `<actor>_score`, `<actor>_holder`, …, `sentiment`,
            `sentiment_score`, `out_of_scope`; the labels of a row out of scope are empty.

        Raises:
            UserError: If a sentence is not a string, or is empty; if nobody is asked about, or somebody twice.
        """
        if isinstance(text, str):
            return self.predict([text], batch_size=batch_size, actors=actors)[0]
        if not isinstance(text, Iterable) or hasattr(text, "columns"):
            raise UserError(f"found {type(text).__name__}; allowed: a sentence, many of them, or one column of a frame")
        self._require_new(actors)
        texts = list(text)
        for number, sentence in enumerate(texts):
            if not isinstance(sentence, str) or not sentence.strip():
                raise UserError(f"sentence {number}: found {shorten(sentence)}; allowed: a string that is not empty")
        items = [actor_item(sentence, self.actors, actors) for sentence in texts]
        scores = self.score_items(items, batch_size=batch_size, progress=progress)
        predictions = self.caution.mark(to_predictions(texts, scores))
        library = type(text).__module__.partition(".")[0]
        frame = library in ("pandas", "polars")
        return _frame(library, text, predictions, self.caution) if frame else predictions

    def cautious(
        self,
        *,
        check_language: bool = True,
        min_confidence: Mapping[str, float] | float | None = None,
        max_error: float | None = None,
    ) -> StanceClassifier:
        """The same model, which says when its answer is not to be taken; `from_pretrained` checks the language alone.

        Args:
            check_language: Mark what is in another language than the model's, or no sentence, with its `scope`.
            min_confidence: Least probability of a stance, for all actors or by actor; below it the actor stands in
                `abstained`.
            max_error: Set it so that, with 95 % confidence, at most this share of the stances that stand is wrong, as
                measured on validation (`abstention.threshold_for`). Every stance counts, `unrelated` too, which is the
                easy part: among the others more are wrong. Actors that were not measured always stand in `abstained`. A
                `min_confidence` goes before it.

        Returns:
            Another classifier, which shares its weights with this one.

        Raises:
            UserError: If a share is none, an actor is unknown, or the model carries no risk curve.
        """
        cautious = copy.copy(self)
        learnt = thresholds_for(self.manifest.risk, self.actors.ids, max_error) if max_error is not None else {}
        cautious.caution = Caution(
            check_language,
            self.manifest.languages,
            self.manifest.encoding.get("max_tokens"),
            **thresholds(min_confidence, learnt, self.actors.ids),
        )
        return cautious

    def explain(self, sentence: str, actor: str | None = None, *, actors: Actors | None = None) -> Explanation:
        """Which words carry the stance towards an actor, or the sentiment; see `explanation.explain`.

        Args:
            sentence: What to explain.
            actor: Id of the actor; None for the sentiment.
            actors: Further actors to ask about, as for `predict`.

        Raises:
            UserError: If the sentence is empty or the actor unknown.
        """
        self._require_new(actors)
        return explain(self, sentence, actor, actors)

    def _require_new(self, passing: Actors | None) -> None:
        """Refuse a question about nobody, and one about an actor whose answer would be given twice."""
        if not self.actors and not passing:
            raise UserError("this model was trained on targets alone; allowed: actors=…, or records with targets")
        for actor in passing or ():
            if actor.id in self.actors.ids:
                raise UserError(
                    f"actors: found {actor.id!r}; allowed: others than the model's own: {', '.join(self.actors.ids)}"
                )

    def score_records(
        self, records: Sequence[Record], *, batch_size: int = 32, progress: bool = False, tempered: bool = True
    ) -> Scores:
        """Probabilities for records: for the actors, or for the targets where they have some.

        Records need not share their slots: what a sentence is not asked about is NaN there.

        Raises:
            UserError: If the model knows no actors and a record has no targets.
        """
        items = [record_item(record, self.actors) for record in records]
        return self.score_items(items, batch_size=batch_size, progress=progress, tempered=tempered)

    def score_items(
        self, items: Sequence[Item], *, batch_size: int = 32, progress: bool = False, tempered: bool = True
    ) -> Scores:
        """As `score_records`, for records that are items already.

        Raises:
            UserError: If an item asks about nobody.
        """
        if not all(item.slots for item in items):
            raise UserError("this model was trained on targets alone; allowed: records with targets")
        parts = [
            (numbers, self.scorer.score([items[number] for number in numbers], batch_size, progress))
            for numbers in rows_by_slots(items).values()
        ]
        scores = parts[0][1] if len(parts) == 1 else scattered(parts, len(items))
        return scores.tempered(self.manifest.temperature) if tempered else scores

    def read(self, text: str | bytes, *, html: bool | None = None, language: str = "en") -> Article:
        """Read an article, as text or HTML: its sentences labelled in their places, and what they come to.

        Arguments and errors are those of `article.read_article`.
        """
        from tristance.models.article import read_article

        return read_article(self, text, html=html, language=language)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None, token: str | None = None) -> str:
        """Upload the model folder (weights, tokenizer, card) to the Hugging Face hub; returns its address."""
        if self._folder is None:
            raise UserError("this classifier was not loaded from a folder; allowed: one made by from_pretrained")
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=self._folder, commit_message="Upload tristance model")
        return str(address)


def _frame(library: str, column: Any, predictions: Sequence[Prediction], caution: Caution) -> Any:
    """The predictions as a pandas or polars frame beside the column that they were asked for."""

    def judged(values: Iterable[Any]) -> list[Any]:
        pairs = zip(predictions, values, strict=True)
        return [None if prediction.scope is not None else value for prediction, value in pairs]

    data: dict[str, list[Any]] = {"text": [prediction.text for prediction in predictions]}
    for actor in predictions[0].stance if predictions else ():
        stances = [prediction.stance[actor] for prediction in predictions]
        data[actor] = judged(stance.label for stance in stances)
        data[f"{actor}_score"] = judged(stance.score for stance in stances)
        data[f"{actor}_holder"] = judged(stance.holder for stance in stances)
        if caution.abstains:
            data[f"{actor}_abstained"] = judged(actor in prediction.abstained for prediction in predictions)
    data["sentiment"] = judged(prediction.sentiment.label for prediction in predictions)
    data["sentiment_score"] = judged(prediction.sentiment.score for prediction in predictions)
    if caution.check_language:
        data["out_of_scope"] = [prediction.scope for prediction in predictions]
    if library == "polars":
        import polars as pl

        return pl.DataFrame(data)
    import pandas as pd

    return pd.DataFrame(data, index=column.index)
