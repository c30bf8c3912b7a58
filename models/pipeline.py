"""`transformers.pipeline("stance", model=folder)` for the `slots` network; registered when both sides are imported."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModel, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from tristance.models import encoding as encodings
from tristance.models.encoding import actor_item
from tristance.models.manifest import Manifest
from tristance.models.networks import NetworkScorer, raw_tokenizer
from tristance.models.predictions import Scores, to_predictions


class StancePipeline(Pipeline):
    """Gives for each sentence what `Prediction.as_dict` gives: stance, holder, sentiment, probabilities."""

    _load_tokenizer: Any = True
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return kwargs, {}, {}

    def _manifest(self) -> Manifest:
        return Manifest(**self.model.config.tristance)

    def preprocess(self, input_: str, **_: Any) -> dict[str, Any]:
        """The sentence as an item of the model's actors, encoded."""
        manifest = self._manifest()
        encoding = encodings.build(manifest.architecture, raw_tokenizer(self.tokenizer), manifest.encoding)
        arrays = encoding([actor_item(input_, manifest.known_actors())])
        return {"text": input_, "features": {name: torch.from_numpy(array) for name, array in arrays.items()}}

    def _forward(self, input_tensors: Any, **_: Any) -> Any:
        return {"text": input_tensors["text"], "output": self.model(**input_tensors["features"])}

    def postprocess(self, model_outputs: Any, **_: Any) -> dict[str, Any]:
        """Labels and probabilities."""
        manifest = self._manifest()
        parts = NetworkScorer.probabilities(model_outputs["output"], manifest.stance_labels)
        scores = Scores(manifest.known_actors().ids, *parts).tempered(manifest.temperature)
        return to_predictions([model_outputs["text"]], scores)[0].as_dict()


def register() -> None:
    """Make the task `stance` known to transformers."""
    PIPELINE_REGISTRY.register_pipeline("stance", pipeline_class=StancePipeline, pt_model=AutoModel, type="text")
