"""Which words carry an answer: leave each out, and see how much less sure the model is of what it said."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tristance.data.actors import Actors
from tristance.data.errors import UserError, shorten
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.models.encoding import actor_item

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from tristance.models.classifier import StanceClassifier

SENTIMENT: Final = "sentiment"
WORD: Final = re.compile(r"\w+(?:['’.\-]\w+)*")
SURE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1, so that their odds are finite."""
FULL: Final = 1.0
"""Weight, at least, of the word that is drawn in full colour: where nothing weighs anything all stays pale."""
FOR, AGAINST = (0, 114, 178), (230, 159, 0)
"""Blue and orange of Okabe and Ito's palette, which the colour-blind can tell apart."""
TABLE: Final = 8
"""Words in the terminal's table."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the sentence, or the several of an actor's name."""

    text: str
    start: int
    """First character in the sentence."""
    end: int
    """Character after its last."""
    weight: float
    """Log-odds that the label loses when the word is left out; negative if it gains."""
    named: bool = False
    """Whether it names the actor asked about: without it there may be nothing to say, which tells little of why."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a model said of a sentence, and what each word did for it. Shown by rich, and by notebooks."""

    sentence: str
    about: str
    """Id of the actor, or `sentiment`."""
    label: str
    score: float
    """Probability of `label`."""
    words: tuple[Word, ...]
    """In order."""

    def ranked(self) -> list[Word]:
        """The words that matter most first, whether they speak for the label or against it."""
        return sorted(self.words, key=lambda word: -abs(word.weight))

    def as_dict(self, digits: int = 4) -> dict[str, Any]:
        """As JSON holds it, rounded to `digits` decimals."""
        words = [
            {"text": word.text, "start": word.start, "end": word.end, "weight": round(word.weight, digits)}
            | ({"named": True} if word.named else {})
            for word in self.words
        ]
        return {
            "text": self.sentence,
            "about": self.about,
            "label": self.label,
            "score": round(self.score, digits),
            "words": words,
        }

    def _pieces(self) -> Iterator[tuple[str, Word | None, float]]:
        """The sentence in order: text, its word if it is one, and how strongly that is drawn (-1 to 1).

        The actor's own name, which mostly weighs more than all the rest, does not make the rest pale.
        """
        full = max([FULL, *(abs(word.weight) for word in self.words if not word.named)])
        place = 0
        for word in self.words:
            yield self.sentence[place : word.start], None, 0.0
            yield word.text, word, max(-1.0, min(1.0, word.weight / full))
            place = word.end
        yield self.sentence[place:], None, 0.0

    def __rich__(self) -> Group:
        """The sentence in colours, and the words that matter most with their weights."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        table.add_column("word")
        table.add_column("weight", justify="right")
        table.add_column("")
        for word in self.ranked()[:TABLE]:
            said = "speaks for it" if word.weight > 0 else "speaks against it"
            table.add_row(Text(word.text), f"{word.weight:+.2f}", f"{said}; names {self.about}" if word.named else said)
        heading = Text(f"{self.about}: {self.label} ({self.score:.2f})", style="bold")
        return Group(heading, self._coloured(), Text(), table)

    def _coloured(self) -> Text:
        from rich.text import Text

        text = Text()
        for piece, word, strength in self._pieces():
            colour = FOR if strength > 0 else AGAINST
            drawn = word is not None and abs(strength) >= 0.1
            text.append(piece, f"#000000 on {_pale(colour, abs(strength))}" if drawn else "")
        return text

    def to_html(self) -> str:
        """A fragment of HTML that needs nothing beside it: what speaks for the label is blue, against it orange."""
        pieces = []
        for piece, word, strength in self._pieces():
            if word is None:
                pieces.append(html.escape(piece))
                continue
            line = "solid" if strength > 0 else "dotted"
            colour: tuple[int, ...] = FOR if strength > 0 else AGAINST
            style = f"background:{_pale(colour, abs(strength))};color:#1d2329"
            if abs(strength) >= 0.1:
                style += f";border-bottom:2px {line} rgb{colour}"
            pieces.append(f'<span style="{style}" title="{word.weight:+.2f}">{html.escape(piece)}</span>')
        heading = f"{html.escape(self.about)}: <b>{html.escape(self.label)}</b> ({self.score:.2f})"
        caption = "Blue, solid line: speaks for it. Orange, dotted line: against. Hover for log-odds."
        return (
            f'<figure class="explanation"><div>{heading}</div><p>{"".join(pieces)}</p>'
            f"<figcaption><small>{caption}</small></figcaption></figure>"
        )

    _repr_html_ = to_html


def _pale(colour: tuple[int, ...], strength: float) -> str:
    """The colour mixed into white, at most to two thirds, so that black text stays readable on it."""
    share = 2 / 3 * strength
    return "#" + "".join(f"{round(255 + share * (part - 255)):02x}" for part in colour)


def explain(
    classifier: StanceClassifier, sentence: str, actor: str | None = None, actors: Actors | None = None
) -> Explanation:
    """Leave out each word in turn, and see what that does to the odds of the predicted label.

    Needs nothing of the model but its answers, so any architecture and runtime can be explained. An actor's name counts
    as one word; without it the sentence may say nothing of the actor, and that is what its weight tells. Of two words
    that say the same, each seems to matter little, since the other remains.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014; Li, Monroe and Jurafsky,
    Understanding Neural Networks through Representation Erasure, 2016; the odds, Robnik-Šikonja and Kononenko,
    Explaining Classifications for Individual Instances, IEEE TKDE 2008.

    Args:
        classifier: The model.
        sentence: What to explain.
        actor: Id of the actor whose stance is explained; None (or `sentiment`) for the sentence's sentiment.
        actors: Further actors that the model is asked about.

    Raises:
        UserError: If the sentence is empty or the actor unknown.
    """
    if not isinstance(sentence, str) or not sentence.strip():
        raise UserError(f"found {shorten(sentence)}; allowed: a sentence that is not empty")
    known = (*classifier.actors.ids, *(actors.ids if actors else ()))
    about = actor or SENTIMENT
    if about != SENTIMENT and about not in known:
        raise UserError(f"actor: found {actor!r}; allowed: {', '.join((*known, SENTIMENT))}")
    names = {
        name: spans
        for group in (classifier.actors, actors)
        if group
        for name, spans in group.mentions(sentence).items()
    }
    spans = _spans(sentence, [span for spans in names.values() for span in spans])
    texts = [sentence, *(_without(sentence, start, end) for start, end in spans)]
    items = [actor_item(text, classifier.actors, actors) for text in texts]
    scores = classifier.score_items(items)
    labels: tuple[str, ...] = SENTIMENTS
    chances = scores.sentiment
    if about != SENTIMENT:
        labels, chances = STANCES, scores.stance[:, scores.slots.index(about)]
    best = int(chances[0].argmax())
    chance = np.clip(chances[:, best].astype(np.float64), SURE, 1 - SURE)
    odds = np.log(chance) - np.log1p(-chance)
    words = tuple(
        Word(sentence[start:end], start, end, float(odds[0] - odds[number]), (start, end) in names.get(about, ()))
        for number, (start, end) in enumerate(spans, 1)
    )
    return Explanation(sentence, about, labels[best], float(chances[0, best]), words)


def _spans(sentence: str, names: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where the words are, in order; the words of an actor's name are one."""
    found: list[tuple[int, int]] = []
    for start, end in (*names, *(match.span() for match in WORD.finditer(sentence))):
        if all(end <= begin or stop <= start for begin, stop in found):
            found.append((start, end))
    return sorted(found)


def _without(sentence: str, start: int, end: int) -> str:
    """The sentence with a word left out, and a space with it; a full stop where nothing remains."""
    before, after = sentence[:start], sentence[end:]
    left = before + (after[1:] if after.startswith(" ") and (not before or before.endswith(" ")) else after)
    return left if left.strip() else "."
