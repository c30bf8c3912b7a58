"""`transformers.pipeline("stance", model=folder)` for the `slots` network; registered when both sides are imported."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModel, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from tristance.models import encoding as encodings
from tristance.models.batching import probabilities
from tristance.models.encoding import actor_item
from tristance.models.manifest import Manifest
from tristance.models.networks import logits, raw_tokenizer
from tristance.models.predictions import Scores, to_predictions


class StancePipeline(Pipeline):
    """Gives for each sentence what `Prediction.as_dict` gives: stance, holder, sentiment, probabilities."""

    _load_tokenizer: Any = True
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.manifest = Manifest(**self.model.config.tristance)
        self.actors = self.manifest.known_actors()
        self.encoding = encodings.build(
            self.manifest.architecture, raw_tokenizer(self.tokenizer), self.manifest.encoding
        )

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if kwargs:
            raise TypeError(f"the stance pipeline: found {', '.join(kwargs)}; allowed: batch_size, num_workers")
        return {}, {}, {}

    def preprocess(self, input_: str, **_: Any) -> dict[str, Any]:
        """The sentence as an item of the model's actors, tokenized."""
        (features,) = self.encoding.tokenize([actor_item(input_, self.actors)])
        return {"text": input_, "features": features}

    def _forward(self, input_tensors: Any, **_: Any) -> Any:
        features = input_tensors["features"]
        # transformers collates what is no tensor into a plain list, and leaves the padding to us
        arrays = self.encoding.pad(features if isinstance(features, list) else [features])
        output = self.model(**{name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()})
        parts = probabilities(logits(output), self.manifest.stance_labels)
        return {"text": input_tensors["text"], **dict(zip(("stance", "holder", "sentiment"), parts, strict=True))}

    def postprocess(self, model_outputs: Any, **_: Any) -> dict[str, Any]:
        """Labels and probabilities of one sentence: transformers has taken the batch apart."""
        parts = {name: model_outputs[name] for name in ("stance", "holder", "sentiment")}
        scores = Scores(self.actors.ids, **parts).tempered(self.manifest.temperature)
        return to_predictions([model_outputs["text"]], scores)[0].as_dict()


def register() -> None:
    """Make the task `stance` known to transformers."""
    PIPELINE_REGISTRY.register_pipeline("stance", pipeline_class=StancePipeline, pt_model=AutoModel, type="text")
