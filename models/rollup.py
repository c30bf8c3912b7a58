"""From sentences to an article, and from articles to a source or a month: shares that know the classifier errs.

Counting predicted labels is biased wherever the mix of stances differs from the one that the classifier errs evenly on,
and no number of sentences mends that. Validation says how often each stance is taken for each other one, so the shares
that would have given these predictions can be solved for. That holds only as far as the classifier errs here as it did
on validation. The price is variance: of a few dozen sentences whose mix is like validation's, the plain share is often
nearer, which the width of the interval tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tristance.data.labels import HELD, STANCES, holder_labels
from tristance.data.statistics import Floats, Ints
from tristance.models.manifest import Manifest
from tristance.models.predictions import Prediction

ASIDE: Final = "unrelated"
"""The stance that takes no part in the shares."""
DRAWS: Final = 1000
PRIOR: Final = 0.5
"""Jeffreys' prior of a Dirichlet: what keeps the interval of three sentences that agree from having no width."""
STEPS: Final = 400
CLOSE: Final = 1e-5
"""Where expectation maximisation stops: quantiles are then right to a tenth of a point or better."""
CORRECTED: Final = (
    "Shares are corrected by the confusion matrix of the validation split: they hold only where the text resembles "
    "the corpus that the model was trained on."
)
UNCORRECTED: Final = (
    "Shares are as predicted: this model keeps no confusion matrix of its validation split, so the intervals do not "
    "know that it errs."
)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ActorRollUp:
    """What an article, or many, say about one actor."""

    predicted: Mapping[str, int]
    """Sentences by predicted stance."""
    shares: Mapping[str, Share]
    """Of the sentences that refer to the actor, those of each stance; empty where none is predicted to."""

    @property
    def related(self) -> int:
        """Sentences predicted to refer to the actor."""
        return sum(count for label, count in self.predicted.items() if label != ASIDE)


@dataclass(frozen=True, slots=True)
class RollUp:
    """What an article, or many, say about every actor, and who says it."""

    sentences: int
    actors: Mapping[str, ActorRollUp]
    towards: Mapping[str, Mapping[str, tuple[int, int]]]
    """Who towards whom: holder to actor to sentences in favor and against, as predicted."""
    corrected: bool

    @property
    def note(self) -> str:
        """What the shares rest on."""
        return CORRECTED if self.corrected else UNCORRECTED

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        actors = {name: {"related": found.related, **asdict(found)} for name, found in self.actors.items()}
        towards = {
            holder: {actor: {"favor": f, "against": a, "net": f - a} for actor, (f, a) in row.items()}
            for holder, row in self.towards.items()
        }
        return {
            "sentences": self.sentences,
            "actors": actors,
            "towards": towards,
            "corrected": self.corrected,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """One article's predictions, counted."""

    stance: Ints
    """`[S, 4]`: sentences of each predicted stance."""
    held: Ints
    """`[2 + S, S, 2]`: by holder, sentences in favor of each actor and against it."""


def tally(predictions: Sequence[Prediction], actors: Sequence[str]) -> Tally:
    """Count an article's predictions, for `actors` in this order."""
    holders = holder_labels(tuple(actors))
    stance = np.zeros((len(actors), len(STANCES)), np.int64)
    held = np.zeros((len(holders), len(actors), len(HELD)), np.int64)
    for prediction in predictions:
        for number, actor in enumerate(actors):
            found = prediction.stance[actor]
            stance[number, STANCES.index(found.label)] += 1
            if found.label in HELD:
                held[holders.index(found.holder), number, HELD.index(found.label)] += 1
    return Tally(stance, held)


def roll_up(tallies: Sequence[Tally], manifest: Manifest) -> RollUp:
    """Sum articles up.

    Args:
        tallies: Of each article; for the actors of the manifest, in their order.
        manifest: The classifier's, with its actors, labels and validation confusion.
    """
    actors = manifest.known_actors().ids
    labels = [label for label in STANCES if label in manifest.stance_labels]
    columns = [STANCES.index(label) for label in labels]
    stance = np.stack([each.stance for each in tallies])[..., columns]
    held = sum((each.held for each in tallies), np.zeros_like(tallies[0].held))
    found = {}
    for number, actor in enumerate(actors):
        known = manifest.confusion.get(actor)
        confusion = None if known is None else np.array(known, np.float64)[np.ix_(columns, columns)]
        predicted = dict(zip(labels, stance[:, number].sum(0).tolist(), strict=True))
        found[actor] = ActorRollUp(predicted, _named(shares(stance[:, number], confusion, labels), labels))
    towards = {
        holder: {actor: (int(held[row, column, 0]), int(held[row, column, 1])) for column, actor in enumerate(actors)}
        for row, holder in enumerate(holder_labels(actors))
    }
    return RollUp(int(stance[:, 0].sum()), found, towards, all(actor in manifest.confusion for actor in actors))


def shares(
    counts: Ints, confusion: Floats | None, labels: Sequence[str] = STANCES, *, draws: int = DRAWS, seed: int = 0
) -> Floats | None:
    """Share of each stance among the sentences that refer to the actor, with an interval of 95 %.

    The value is the mix of stances under which the predictions are most likely, given how validation confuses them;
    it is found by expectation maximisation, which stays within the simplex. The interval is of the mix that the
    sentences are drawn from: both the confusion rows and the predicted shares are drawn from their Dirichlet
    posteriors and solved again. Sentences of one article resemble each other; the variance between the articles'
    shares tells by how much, and as many sentences fewer are counted.

    Source: Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a Priori Probabilities,
    Neural Computation 2002, with the predicted label for the features; for two classes without bounds Rogan and
    Gladen, American Journal of Epidemiology 1978. Design effect: Rao and Scott, JASA 1981.

    Args:
        counts: Sentences of each predicted label in each article, `[A, K]`.
        confusion: Validation counts of gold label by predicted label, `[K, K]`; None to take predictions for truth.
        labels: The K labels.
        draws: Of the interval.
        seed: Of the draws.

    Returns:
        `[3, K]`: value, low and high, NaN for `unrelated`; None where no sentence is predicted to refer to the actor.
    """
    related = np.array([label != ASIDE for label in labels])
    total = counts.sum(0)
    if not total[related].any():
        return None
    generator = np.random.default_rng(seed)
    weighed = total / _design_effect(counts[:, related])
    mixes = np.concatenate([(total / total.sum())[None], _dirichlet(generator, weighed + PRIOR, draws)])
    if confusion is not None:
        rows = confusion + PRIOR
        tables = np.concatenate([(rows / rows.sum(-1, keepdims=True))[None], _dirichlet(generator, rows, draws)])
        mixes = _solved(mixes, tables)
    parts = np.where(related, mixes, np.nan)
    parts /= np.nansum(parts, -1, keepdims=True)
    found = np.full((3, len(labels)), np.nan)
    found[0] = parts[0]
    found[1:, related] = np.quantile(parts[1:, related], [0.025, 0.975], axis=0)
    # the likeliest mix may lie on the simplex's edge, where few of the draws do
    found[1], found[2] = np.fmin(found[1], found[0]), np.fmax(found[2], found[0])
    return found


def _named(found: Floats | None, labels: Sequence[str]) -> dict[str, Share]:
    if found is None:
        return {}
    return {
        label: Share(*(round(float(value), 6) for value in found[:, number]))
        for number, label in enumerate(labels)
        if label != ASIDE
    }


def _solved(told: Floats, tables: Floats) -> Floats:
    """The mix of true labels likeliest to be told as `told`, `[R, K]`, by the rows of `tables`, `[R, K, K]`."""
    mix = np.full(told.shape, 1 / told.shape[-1])
    for _ in range(STEPS):
        expected = np.einsum("rg,rgp->rp", mix, tables)
        better = mix * np.einsum("rgp,rp->rg", tables, told / expected)
        moved = np.abs(better - mix).max()
        mix = better
        if moved < CLOSE:
            break
    return mix


def _dirichlet(generator: np.random.Generator, weights: npt.NDArray[Any], draws: int) -> Floats:
    gammas = generator.standard_gamma(np.broadcast_to(weights, (draws, *weights.shape)))
    return np.asarray(np.maximum(gammas, 1e-300) / np.maximum(gammas, 1e-300).sum(-1, keepdims=True), np.float64)


def _design_effect(counts: Ints) -> float:
    """Variance of the shares over articles, to what independent sentences would have; `[A, K]` to at least 1."""
    whole = counts.sum()
    share = counts.sum(0) / whole
    independent = (share * (1 - share)).sum() / whole
    used = counts[counts.sum(-1) > 0]
    if len(used) < 2 or independent == 0:
        return 1.0
    apart = used - used.sum(-1, keepdims=True) * share
    between = len(used) / (len(used) - 1) * (apart**2).sum() / whole**2
    return float(max(1.0, between / independent))
