"""Exporting a trained model behind a gate: what is written answers as the weights do, measured on validation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from tristance.data.errors import UserError, first_line
from tristance.data.formats import load
from tristance.data.labels import HELD, STANCES
from tristance.data.records import Record
from tristance.data.sources import load_corpus
from tristance.models import hub
from tristance.models.classifier import StanceClassifier
from tristance.models.export import down_projections, write_int8, write_onnx
from tristance.models.manifest import Manifest, write_checksums
from tristance.models.networks import load_network_scorer
from tristance.models.onnx import OnnxScorer
from tristance.models.predictions import Floats, Scores
from tristance.models.registry import NETWORKS, ONNX_FILES
from tristance.train.config import load_config
from tristance.train.evaluation.metrics import evaluate
from tristance.train.evaluation.options import EvaluationConfig
from tristance.train.runs import Run, write_json

MARGIN: Final = 1e-4
"""fp32 may change no label that leads the second by more probability than this."""
AGREEMENT: Final = 0.98
"""Share of an actor's stance labels, over all actors, that int8 must leave as they are."""
LOSS: Final = 0.005
"""F_avg that int8 may cost any actor."""
REPORT_FILE: Final = "export.json"


@dataclass(frozen=True)
class Gate:
    """How an exported model compares with its weights on labelled sentences."""

    n: int
    flips: int
    """Labels of any task that changed though they led by more than `MARGIN`."""
    agreement: float
    """Share of the stance labels that are the same."""
    f_avg: dict[str, tuple[float, float]]
    """By slot: of the weights, of the export."""

    @property
    def loss(self) -> float:
        """The largest loss of F_avg of any slot."""
        return max((before - after for before, after in self.f_avg.values()), default=0.0)

    @property
    def passes(self) -> bool:
        """Whether a quantized model is near enough."""
        return self.agreement >= AGREEMENT and self.loss <= LOSS

    def said(self) -> str:
        """In a line."""
        return (
            f"{self.agreement:.2%} of {self.n} sentences' stances as in torch, {self.flips} labels changed that led by "
            f"more than {MARGIN:g}; largest loss of F_avg {100 * self.loss:+.2f} points"
        )


def export_model(
    model: str | os.PathLike[str],
    *,
    int8: bool = False,
    data: str | None = None,
) -> dict[str, Gate]:
    """Write a model as ONNX beside its weights; what does not pass the gate is not left there.

    Args:
        model: Run folder, or model folder of a run or of one's own.
        int8: Write the quantized one too.
        data: Labelled sentences to compare on; the run's validation split if None.

    Returns:
        What the gate found, by precision.

    Raises:
        UserError: If the model is no network; if there is nothing to compare on; if the gate refuses: by how much.
    """
    folder = Path(hub.of_run(model))
    manifest = Manifest.read(folder)
    if manifest.architecture not in NETWORKS:
        raise UserError(f"{folder}: found a {manifest.architecture} model; allowed to export: {', '.join(NETWORKS)}")
    records = _records(folder, manifest, data)
    scorer = load_network_scorer(folder, manifest, "cpu")
    reference = StanceClassifier(scorer, manifest).score_records(records)
    gates: dict[str, Gate] = {}
    with tempfile.TemporaryDirectory(prefix=".export.", dir=folder) as scratch:
        files = {precision: Path(scratch, name) for precision, name in ONNX_FILES.items()}

        def gate(file: Path) -> Gate:
            exported = OnnxScorer(file, scorer.encoding, manifest.stance_labels)
            try:
                scores = StanceClassifier(exported, manifest).score_records(records)
            except Exception as error:  # onnxruntime's errors share no class
                raise UserError(f"{folder}: onnxruntime cannot run the export: {first_line(error)}") from error
            return compare(records, reference, scores, manifest)

        write_onnx(scorer.network, scorer.encoding, files["fp32"])
        gates["fp32"] = gate(files["fp32"])
        if gates["fp32"].flips:
            raise UserError(f"{folder}: the export in fp32 is refused: {gates['fp32'].said()}; allowed: none changed")
        if int8:
            gates["int8"] = _quantized(files["fp32"], files["int8"], gate, folder)
        for precision in gates:
            files[precision].replace(folder / ONNX_FILES[precision])
    write_json(folder / REPORT_FILE, {precision: _report(gate) for precision, gate in gates.items()})
    write_checksums(folder)
    return gates


def _quantized(source: Path, file: Path, gate: Callable[[Path], Gate], folder: Path) -> Gate:
    """The first that passes: all of it quantized; then without the worst down projection, the two worst, and so on."""
    projections = down_projections(source)

    def error(name: str) -> float:
        write_int8(source, file, only=name)
        return 1 - gate(file).agreement

    def attempt(without: Sequence[str]) -> Gate:
        write_int8(source, file, without=without)
        return gate(file)

    found = attempt([])
    ranked = [] if found.passes else sorted(projections, key=error, reverse=True)
    for count in range(1, len(ranked) + 1):
        if (found := attempt(ranked[:count])).passes:
            break
    if not found.passes:
        raise UserError(
            f"{folder}: the export in int8 is refused: {found.said()}; allowed: at least {AGREEMENT:.0%}, and at most "
            f"{100 * LOSS:g} points"
        )
    return found


def _records(folder: Path, manifest: Manifest, data: str | None) -> Sequence[Record]:
    """What the export is compared on."""
    actors = manifest.known_actors()
    if data is not None:
        return load(data, actors=actors)
    run = Run(folder.resolve().parent)
    if not run.config_file.is_file():
        raise UserError(f"{folder}: does not lie in a run whose validation split is known; allowed: --data FILE")
    config = load_config(run.config_file)
    name = config.stages[-1].sources[0]
    return load_corpus(name, config.data.sources[name], actors, "ignore").splits["validation"]


def compare(records: Sequence[Record], reference: Scores, exported: Scores, manifest: Manifest) -> Gate:
    """An export's answers against the weights'."""
    options = EvaluationConfig(resamples=0, slices=())
    before, after = (
        evaluate(records, each, options, stance_labels=manifest.stance_labels) for each in (reference, exported)
    )
    changes = list(_changes(reference, exported))
    stance_changed, _ = changes[0]
    return Gate(
        n=len(records),
        flips=sum(int(np.sum(changed & (lead > MARGIN))) for changed, lead in changes),
        agreement=1 - float(np.mean(stance_changed)),
        f_avg={
            slot: (block["F_avg"]["value"], after["slots"][slot]["F_avg"]["value"])
            for slot, block in before["slots"].items()
            if block["F_avg"]["value"] is not None
        },
    )


def _changes(reference: Scores, exported: Scores) -> Iterator[tuple[Any, Any]]:
    """For stance, holder and sentiment: which labels differ, and by how much each led in the reference."""
    held = np.isin(np.array(STANCES)[np.nan_to_num(reference.stance).argmax(-1)], HELD)
    asked = ~np.isnan(reference.stance[..., 0])
    pairs: list[tuple[Floats, Floats]] = [
        (reference.stance[asked], exported.stance[asked]),
        (reference.holder[asked & held], exported.holder[asked & held]),
        (reference.sentiment, exported.sentiment),
    ]
    for one, other in pairs:
        ranked = np.sort(one, axis=-1)
        yield one.argmax(-1) != other.argmax(-1), ranked[..., -1] - ranked[..., -2]


def _report(gate: Gate) -> dict[str, Any]:
    return {
        "sentences": gate.n,
        "flips": gate.flips,
        "agreement": gate.agreement,
        "F_avg": {slot: {"torch": before, "exported": after} for slot, (before, after) in gate.f_avg.items()},
    }
