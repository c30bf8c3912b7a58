"""A network as ONNX, in fp32 and in int8. Needs torch, onnx and onnxscript; `onnx.py` reads what is written here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import PreTrainedModel

from tristance.data.errors import UserError, first_line
from tristance.models.encoding import Encoding, Item, Slot

OPSET: Final = 23
"""The first with an operator for attention."""
EXAMPLE: Final = (
    Item("Who is for whom, and who is against whom?", tuple(Slot(name, f"the {name}") for name in "abc")),
    Item("One sentence at a time.", tuple(Slot(name, f"the {name}") for name in "abc")),
)
"""What the network is traced with; no axis is 1 long, or it would be taken for fixed."""


class _Plain(torch.nn.Module):
    """The network with a tuple for an answer."""

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, arrays: dict[str, torch.Tensor]) -> tuple[Any, Any, Any]:
        output = self.network(**arrays)
        return output.stance_logits, output.holder_logits, output.sentiment_logits


def write_onnx(network: PreTrainedModel, encoding: Encoding, file: Path) -> None:
    """Write a network in fp32, every axis free: sentences, tokens, slots, tokens of a name.

    Raises:
        UserError: If torch cannot export this family of backbones.
    """
    arrays = encoding(EXAMPLE)
    names = dict.fromkeys(axis for axes in encoding.axes.values() for axis in axes)
    free = {name: torch.export.Dim(name) for name in names}
    shapes = {array: {place: free[axis] for place, axis in enumerate(encoding.axes[array])} for array in arrays}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Plain(network.cpu().eval()),
                (),
                str(file),
                kwargs={"arrays": {name: torch.from_numpy(array) for name, array in arrays.items()}},
                dynamic_shapes={"arrays": shapes},
                input_names=list(arrays),
                output_names=["stance", "holder", "sentiment"],
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        family = getattr(network.config, "backbone", {}).get("model_type", network.config.model_type)
        raise UserError(f"backbone {family}: torch cannot export it: {first_line(error.__cause__ or error)}") from error


def down_projections(file: Path) -> list[str]:
    """Names of an exported network's projections from a wide layer to a narrower one, in order.

    They are the second halves of the feed-forward blocks: what goes into them has the widest range, which dynamic
    quantization, with one scale for all of a batch, renders worst.
    """
    model = onnx.load(file)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    sizes = ((node.name, shapes.get(node.input[1], ())) for node in model.graph.node if node.op_type == "MatMul")
    return [name for name, shape in sizes if len(shape) == 2 and shape[0] > shape[1]]


def write_int8(source: Path, file: Path, *, only: str | None = None, without: Sequence[str] = ()) -> None:
    """Quantize an exported network: int8 weights a channel, activations by the range of each batch (dynamic).

    Args:
        source: The network in fp32.
        file: ONNX file to write.
        only: The one projection to quantize; all if None.
        without: Projections to leave in fp32.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a step that gains nothing here, on the root logger
    try:
        quantize_dynamic(
            onnx.load(source),
            file,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=[only] if only else None,
            nodes_to_exclude=list(without),
            per_channel=True,
            reduce_range=True,  # with all 8 bits the sums of AVX2's instruction overflow
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        root.setLevel(level)
