"""An exported network: onnxruntime alone, for the base install. `export.py` writes what is read here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnxruntime as ort

from tristance.data.errors import UserError, first_line
from tristance.models import encoding as encodings
from tristance.models.batching import Logits, cores, score_items
from tristance.models.encoding import Arrays, Encoding, Item
from tristance.models.manifest import CONFIG_FILE, Manifest, verify_checksums
from tristance.models.predictions import Scores
from tristance.models.registry import ONNX_FILES

SLOW_FUSIONS: Final = ["SkipLayerNormFusion"]
"""On a CPU the fused kernel of onnxruntime 1.32 takes six times as long as the two that it replaces."""


class OnnxScorer:
    """An exported network with its encoding: from items to probabilities.

    Args:
        file: ONNX file.
        encoding: Of the network.
        stance_labels: Those that may come out.
        threads: Of onnxruntime; None for as many as this process may have cores, or `OMP_NUM_THREADS`.

    Raises:
        UserError: If onnxruntime cannot load the file.
    """

    def __init__(
        self, file: Path, encoding: Encoding, stance_labels: Sequence[str], threads: int | None = None
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_FUSIONS
            )
        except Exception as error:  # onnxruntime's errors share no class
            raise UserError(f"{file}: broken model: {first_line(error)}") from error
        self._inputs = [each.name for each in self._session.get_inputs()]
        self.encoding = encoding
        self.stance_labels = stance_labels

    def score(self, items: Sequence[Item], batch_size: int = 32, progress: bool = False) -> Scores:
        """See `registry.Scorer`."""
        return score_items(
            items, self.encoding, self._forward, self.stance_labels, batch_size=batch_size, progress=progress
        )

    def _forward(self, arrays: Arrays) -> Logits:
        stance, holder, sentiment = self._session.run(None, {name: arrays[name] for name in self._inputs})
        return stance, holder, sentiment


def load_onnx_scorer(folder: Path, manifest: Manifest, precision: str) -> OnnxScorer:
    """The scorer of a model folder that was exported.

    Raises:
        UserError: If it was not, or a file is missing, broken or tampered with.
    """
    file = folder / ONNX_FILES[precision]
    if not file.is_file():
        asked = " --int8" if precision == "int8" else ""
        raise UserError(
            f"{file}: missing; allowed: a folder that was exported: tristance export {folder} --onnx{asked}"
        )
    verify_checksums(folder, (CONFIG_FILE, "tokenizer.json", file.name))
    tokenizer = encodings.read_tokenizer(folder / "tokenizer.json")
    encoding = encodings.build(manifest.architecture, tokenizer, manifest.encoding)
    return OnnxScorer(file, encoding, manifest.stance_labels)
