"""Which of a model's answers are not to be taken: marks on predictions, and how many there are."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tristance.data.errors import UserError
from tristance.models.abstention import NEVER
from tristance.models.predictions import Prediction
from tristance.models.scope import out_of_scope


@dataclass(frozen=True)
class Caution:
    """What is held against an answer. As it stands: nothing."""

    check_language: bool = False
    """Mark what is in another language, or no sentence."""
    languages: Sequence[str] = ("en",)
    longest: int | None = None
    """Tokens that the model reads."""
    min_confidence: Mapping[str, float] = field(default_factory=dict)
    """By actor; below it the model abstains."""
    otherwise: float = 0.0
    """The same for whoever is not among them."""

    @property
    def abstains(self) -> bool:
        """Whether there is any threshold."""
        return bool(self.min_confidence) or self.otherwise > 0

    def mark(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The predictions with `scope` and `abstained` filled in; what the model said of them is unchanged."""
        return [
            dataclasses.replace(prediction, scope=self._scope(prediction.text), abstained=self._abstained(prediction))
            for prediction in predictions
        ]

    def _scope(self, text: str) -> str | None:
        return out_of_scope(text, self.languages, self.longest) if self.check_language else None

    def _abstained(self, prediction: Prediction) -> tuple[str, ...]:
        return tuple(
            slot
            for slot, stance in prediction.stance.items()
            if stance.score < self.min_confidence.get(slot, self.otherwise)
        )


def thresholds(
    given: Mapping[str, float] | float | None, learnt: Mapping[str, float], actors: Sequence[str]
) -> dict[str, Any]:
    """The two fields of `Caution` that abstaining takes.

    Args:
        given: Thresholds that somebody chose, by actor or one for all.
        learnt: Thresholds for a risk; a chosen one goes before it. With them, an actor that has none is never answered:
            nothing is known of the error there.
        actors: Ids that may be named.

    Raises:
        UserError: If a threshold is no probability, or an actor is unknown.
    """
    chosen = dict(given) if isinstance(given, Mapping) else {}
    if unknown := [actor for actor in chosen if actor not in actors]:
        raise UserError(f"min_confidence: found {unknown[0]!r}; allowed: {', '.join(actors)}")
    for value in chosen.values() if isinstance(given, Mapping) else [0.0 if given is None else given]:
        if not 0 <= value <= 1:
            raise UserError(f"min_confidence: found {value!r}; allowed: a probability, from 0 to 1")
    if given is not None and not isinstance(given, Mapping):
        return {"otherwise": given}
    return {"min_confidence": {**learnt, **chosen}, "otherwise": NEVER if learnt else 0.0}


@dataclass(frozen=True, slots=True)
class Marks:
    """How often answers were not to be taken: counts that add up, and that JSON can hold."""

    out_of_scope: Mapping[str, int] = field(default_factory=dict)
    """Rows by the reason."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Rows within the scope by actor."""
    abstained: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Marks:
        """Of output rows, as `Prediction.as_dict` gives them."""
        reasons, asked, abstained = Counter[str](), Counter[str](), Counter[str]()
        for row in rows:
            if "out_of_scope" in row:
                reasons[row["out_of_scope"]] += 1
                continue
            actors = tuple(row.get("stance", ()))
            asked.update(actors)
            abstained.update(actor for actor in row.get("abstained", ()) if actor in actors)
        return cls(dict(reasons), dict(asked), dict(abstained))

    def __add__(self, other: Marks) -> Marks:
        return Marks(
            dict(Counter(self.out_of_scope) + Counter(other.out_of_scope)),
            dict(Counter(self.asked) + Counter(other.asked)),
            dict(Counter(self.abstained) + Counter(other.abstained)),
        )

    def said(self, rows: int, abstaining: bool) -> list[str]:
        """In lines: those of `rows` that are out of scope, and each actor's coverage if the model may abstain."""
        lines, reasons = [], Counter(self.out_of_scope)
        if count := reasons.total():
            shown = ", ".join(f"{reason} ({number})" for reason, number in reasons.most_common(5))
            rest = f", and {len(reasons) - 5} more reasons" if len(reasons) > 5 else ""
            lines.append(f"out of scope: {count} of {rows}: {shown}{rest}")
        if abstaining and self.asked:
            shares = (f"{actor} {1 - self.abstained.get(actor, 0) / asked:.1%}" for actor, asked in self.asked.items())
            lines.append(f"coverage: {', '.join(shares)}")
        return lines
