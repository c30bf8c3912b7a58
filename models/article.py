"""A whole article read: every sentence labelled in its place, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tristance.data.actors import Actors
from tristance.data.articles import Document, make_document, sentence_spans
from tristance.data.records import MAX_CHARACTERS
from tristance.models.manifest import Manifest
from tristance.models.predictions import Prediction
from tristance.models.rollup import RollUp, Tally, roll_up, tally

if TYPE_CHECKING:
    from tristance.models.classifier import StanceClassifier

PIECE: Final = 64
"""Sentences after which somebody who asked is told how far the reading is."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in its article."""

    text: str
    """`article.text[start:end]`; line ends inside it included."""
    start: int
    end: int
    paragraph: int
    prediction: Prediction


@dataclass(frozen=True)
class Article:
    """An article with the stances of its sentences."""

    document: Document
    sentences: tuple[Sentence, ...]
    manifest: Manifest
    """Of the classifier that read it."""

    @cached_property
    def actors(self) -> Actors:
        """Whom the stances are towards."""
        return self.manifest.known_actors()

    @cached_property
    def tally(self) -> Tally:
        """Its stances, counted."""
        return tally([each.prediction for each in self.sentences], self.actors.ids)

    @cached_property
    def rollup(self) -> RollUp:
        """What its sentences come to."""
        return roll_up([self.tally], self.manifest)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: what the shares rest on, and where the article did not fit the model."""
        return (self.rollup.note, *_doubts(self.sentences))

    @property
    def text(self) -> str:
        """What the offsets of the sentences count in."""
        return self.document.text

    @property
    def names(self) -> dict[str, str]:
        """The name of each actor's id."""
        return {actor.id: actor.name for actor in self.actors}

    def telling(self, actor: str, stance: str, count: int = 3) -> list[Sentence]:
        """The sentences of which it is surest that they convey this stance, the surest first."""
        found = [each for each in self.sentences if each.prediction.stance[actor].label == stance]
        return sorted(found, key=lambda each: -each.prediction.stance[actor].score)[:count]

    def paragraphs(self) -> Iterator[list[tuple[str, Sentence | None]]]:
        """The text in pieces, for a view: those of each paragraph in order, a sentence's with the sentence."""
        pieces: list[tuple[str, Sentence | None]] = []
        place = 0
        for number, sentence in enumerate(self.sentences):
            between = self.text[place : sentence.start]
            if number and sentence.paragraph != self.sentences[number - 1].paragraph:
                yield pieces
                pieces, between = [], between.lstrip()
            pieces += [(between, None)] * bool(between) + [(sentence.text, sentence)]
            place = sentence.end
        yield pieces + [(self.text[place:], None)] * (place < len(self.text))

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: offsets count characters (code points) of `text`."""
        telling = {
            actor.id: {
                stance: [self.sentences.index(each) for each in self.telling(actor.id, stance)]
                for stance in ("favor", "against")
            }
            for actor in self.actors
        }
        return {
            **asdict(self.document),
            "sentences": [
                {"start": each.start, "end": each.end, "text": each.text, **each.prediction.as_dict()}
                for each in self.sentences
            ],
            "rollup": self.rollup.as_dict(),
            "telling": telling,
            "notes": list(self.notes),
        }


def read_article(
    classifier: StanceClassifier,
    text: str | bytes | Document,
    *,
    html: bool | None = None,
    language: str = "en",
    batch_size: int = 32,
    progress: bool = False,
    told: Callable[[int, int], None] | None = None,
) -> Article:
    """Read an article.

    Args:
        classifier: The model; it must know actors.
        text: Plain text; HTML, from which menus and notices are cut; or a document.
        html: Whether it is HTML; None to see by how it begins.
        language: Of the sentence splitter; see `sentence_spans`.
        batch_size: Sentences a step.
        progress: Show a progress bar.
        told: Called with the number of sentences read and that of all, before the first and after every `PIECE`; what
            it raises ends the reading.

    Raises:
        UserError: If there is no sentence in it, no article in the page, or the model knows no actors.
    """
    document = text if isinstance(text, Document) else make_document(text, html=html)
    spans = sentence_spans(document.text, language)
    texts = [document.text[span.start : span.end] for span in spans]
    lines, predictions = [" ".join(each.split()) for each in texts], list[Prediction]()
    size = PIECE if told else max(1, len(lines))
    for start in range(0, len(lines), size):
        if told:
            told(start, len(lines))
        predictions += classifier.predict(lines[start : start + size], batch_size=batch_size, progress=progress)
    sentences = tuple(
        Sentence(each, span.start, span.end, span.paragraph, prediction)
        for each, span, prediction in zip(texts, spans, predictions, strict=True)
    )
    return Article(document, sentences, classifier.manifest)


def _doubts(sentences: tuple[Sentence, ...]) -> Iterator[str]:
    if long := sum(len(each.text) > MAX_CHARACTERS for each in sentences):
        yield (
            f"{long} of {len(sentences)} sentences have more than {MAX_CHARACTERS:,} characters: the model reads only "
            "their beginning. Is it running text?"
        )
