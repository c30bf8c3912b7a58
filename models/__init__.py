"""First floor of tristance: text to features, the networks, a trained model's inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if __name__ != "tristance.models":
    raise ImportError("import tristance.models, not the bare folder 'models': otherwise every class would exist twice")

import wrapt

from tristance.models.classifier import StanceClassifier
from tristance.models.predictions import Prediction, Scores, SentimentPrediction, StancePrediction

if TYPE_CHECKING:
    from tristance.models.slots import SlotsConfig, SlotsModel

__all__ = [
    "Prediction",
    "Scores",
    "SentimentPrediction",
    "SlotsConfig",
    "SlotsModel",
    "StanceClassifier",
    "StancePrediction",
]


@wrapt.when_imported("transformers.pipelines")
def _register_pipeline(_: Any) -> None:
    """`pipeline("stance", …)`, whichever of the two libraries is imported first, and without importing transformers."""
    from tristance.models import pipeline

    pipeline.register()


def __getattr__(name: str) -> Any:
    """`SlotsModel` and `SlotsConfig` on first use: they need torch, which the base install does without."""
    if name in ("SlotsConfig", "SlotsModel"):
        from tristance.models import slots

        return getattr(slots, name)
    raise AttributeError(name)
