"""Sentences a second from strings to labels, for all three actors with sentiment: ours against what people write first.

    tristance export runs/base/13 --onnx --int8
    python benchmarks/inference.py runs/base/13 [--small runs/small/13] [--sentences 5000] [--rounds 3]

Each measurement is a process of its own; all take turns within a round, so that a busy machine troubles all alike, and
what counts is the ratio within a round. The sentences are different ones of the bundled corpus. The slow ways, which
answer for stance alone, read an even share of the same sentences. The `pair` network is a fresh one on the same
backbone: its speed does not depend on what it has learnt.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from training import processor

WARM = 256
SHARE = {"pipeline, one call": 20, "pipeline, batches of 32": 5}
"""A slow way reads every so-manyth sentence."""


def sentences(count: int) -> list[str]:
    from tristance.data.actors import Actors
    from tristance.data.formats import load
    from tristance.data.sources import FOLDER

    texts = list(dict.fromkeys(record.text for record in load(FOLDER / "train.jsonl", actors=Actors.load())))
    return texts[:: max(1, len(texts) // count)][:count]


def ours(folder: str, runtime: str, precision: str) -> Callable[[list[str]], object]:
    from tristance.models.classifier import StanceClassifier

    classifier = StanceClassifier.from_pretrained(folder, runtime=runtime, precision=precision, device="cpu")
    if runtime == "torch":
        from tristance.models.networks import use_all_cores

        use_all_cores()
    return classifier.predict


def session(folder: str, texts: list[str]) -> Callable[[list[str]], object]:
    """Onnxruntime alone, on batches that were tokenized, sorted and padded beforehand."""
    from tristance.models import batching
    from tristance.models.classifier import StanceClassifier
    from tristance.models.encoding import actor_item

    classifier = StanceClassifier.from_pretrained(folder, runtime="onnx")
    batches: dict[int, list[object]] = {}
    for given in (texts[:WARM], texts):
        kept: list[object] = []
        items = [actor_item(text, classifier.actors) for text in given]

        def keep(arrays: batching.Arrays, kept: list[object] = kept) -> batching.Logits:
            kept.append(arrays)
            return classifier.scorer._forward(arrays)

        batching.score_items(items, classifier.scorer.encoding, keep, classifier.manifest.stance_labels)
        batches[len(given)] = kept
    return lambda given: [classifier.scorer._forward(arrays) for arrays in batches[len(given)]]


def stock(folder: str, batch: int | None) -> Callable[[list[str]], object]:
    """The stock pipeline on `pair`: for every sentence and actor a call, or batches."""
    from transformers import pipeline

    from tristance.data.actors import Actors

    classify = pipeline("text-classification", model=folder, device="cpu")
    names = [actor.name for actor in Actors.load()]

    def run(texts: list[str]) -> object:
        pairs = [{"text": text, "text_pair": name} for text in texts for name in names]
        return [classify(pair) for pair in pairs] if batch is None else classify(pairs, batch_size=batch)

    return run


def make_pair(folder: str) -> None:
    from tristance.data.actors import Actors
    from tristance.models.backbone import load_tokenizer
    from tristance.models.manifest import Manifest
    from tristance.models.networks import build_network, save_network
    from tristance.models.registry import ModelConfig

    config = ModelConfig(architecture="pair")
    manifest = Manifest("pair", Actors.load().as_list(), encoding=config.encoding_options())
    save_network(folder, build_network(config), load_tokenizer(config.backbone), manifest)


def measure(way: str, folder: str, count: int) -> dict[str, float]:
    """Time one way in this process, after a first look at a few sentences."""
    texts = sentences(count)[:: SHARE.get(way, 1)]
    ways: dict[str, Callable[[], Callable[[list[str]], object]]] = {
        "pipeline, one call": lambda: stock(folder, None),
        "pipeline, batches of 32": lambda: stock(folder, 32),
        "onnxruntime's session alone": lambda: session(folder, texts),
        "torch, fp32": lambda: ours(folder, "torch", "fp32"),
        "onnx, fp32": lambda: ours(folder, "onnx", "fp32"),
        "onnx, int8": lambda: ours(folder, "onnx", "int8"),
    }
    run = ways[way.removeprefix("small, ")]()
    run(texts[:WARM])
    start = time.perf_counter()
    run(texts)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": len(texts) / seconds, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run of slots that was exported, in fp32 and int8")
    parser.add_argument("--small", help="another, of configs/small.yaml")
    parser.add_argument("--sentences", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one == "make pair":
        make_pair(options.run)
        return
    if options.one:
        print(json.dumps(measure(options.one, options.run, options.sentences)))
        return
    with tempfile.TemporaryDirectory() as pair:
        # in a process of its own: a child begins with the peak memory of its parent
        subprocess.run([sys.executable, __file__, pair, "--one", "make pair"], capture_output=True, check=True)
        slots = str(Path(options.run, "model"))
        ways = {"pipeline, one call": pair, "pipeline, batches of 32": pair, "onnxruntime's session alone": slots}
        ways |= dict.fromkeys(("torch, fp32", "onnx, fp32", "onnx, int8"), slots)
        if options.small:
            ways |= {f"small, {name}": str(Path(options.small, "model")) for name in ("onnx, fp32", "onnx, int8")}
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, folder in ways.items():
                command = [sys.executable, __file__, folder, "--one", way, "--sentences", str(options.sentences)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[way].append(json.loads(done.stdout.strip().splitlines()[-1]))
    print(table(found, options.sentences))


COMPARED = (
    ("onnx, fp32", "pipeline, one call", 9.0),
    ("onnx, int8", "pipeline, one call", 12.0),
    ("onnx, fp32", "pipeline, batches of 32", 5.0),
    ("onnx, int8", "pipeline, batches of 32", 7.0),
    ("onnx, fp32", "onnxruntime's session alone", 0.95),
    ("onnx, int8", "torch, fp32", 1.4),
    ("small, onnx, fp32", "onnx, fp32", 1.8),
)
"""Which is held against which, and the ratio that is asked of it."""


def table(found: dict[str, list[dict[str, float]]], count: int) -> str:
    """What was measured, as Markdown."""
    lines = [
        f"{count} sentences; {processor()}",
        "",
        "| | sentences a second, by round | peak memory, MB |",
        "| --- | --- | --- |",
    ]
    for way, rounds in found.items():
        rates = ", ".join(f"{each['rate']:.0f}" for each in rounds)
        lines.append(f"| {way} | {rates} | {max(each['peak_mb'] for each in rounds):.0f} |")
    lines += ["", "| | against | times as fast, by round | median | asked |", "| --- | --- | --- | --- | --- |"]
    for one, other, asked in COMPARED:
        if one in found:
            ratios = [mine["rate"] / theirs["rate"] for mine, theirs in zip(found[one], found[other], strict=True)]
            shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(f"| {one} | {other} | {shown} | {statistics.median(ratios):.2f} | {asked:g} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
