"""`transformers.pipeline("stance", model=folder)` for the `slots` network; registered when both sides are imported."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModel, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from tristance.models import encoding as encodings
from tristance.models.encoding import actor_item
from tristance.models.manifest import Manifest
from tristance.models.networks import NetworkScorer
from tristance.models.predictions import Scores, to_predictions


class StancePipeline(Pipeline):
    """Gives for each sentence what `Prediction.as_dict` gives: stance, holder, sentiment, probabilities."""

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return kwargs, {}, {}

    def _manifest(self) -> Manifest:
        return Manifest(**self.model.config.tristance)

    def preprocess(self, text: str, **_: Any) -> dict[str, Any]:
        """The sentence as an item of the model's actors, encoded."""
        manifest = self._manifest()
        raw = encodings.Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        encoding = encodings.build(manifest.architecture, raw, manifest.encoding)
        arrays = encoding([actor_item(text, manifest.known_actors())])
        return {"text": text, "features": {name: torch.from_numpy(array) for name, array in arrays.items()}}

    def _forward(self, inputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"text": inputs["text"], "output": self.model(**inputs["features"])}

    def postprocess(self, outputs: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Labels and probabilities."""
        manifest = self._manifest()
        parts = NetworkScorer.probabilities(outputs["output"], manifest.stance_labels)
        scores = Scores(manifest.known_actors().ids, *parts).tempered(manifest.temperature)
        return to_predictions([outputs["text"]], scores)[0].as_dict()


def register() -> None:
    """Make the task `stance` known to transformers."""
    PIPELINE_REGISTRY.register_pipeline("stance", pipeline_class=StancePipeline, pt_model=AutoModel, type="text")
