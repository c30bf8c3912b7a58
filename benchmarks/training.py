"""Seconds an epoch and peak memory of `slots` against `pair`: the same sentences, all actors, as many sentences a step.

    python benchmarks/training.py [--sentences 1024] [--batch-size 32] [--rounds 3]

Each measurement is a process of its own that trains with the real Trainer; the two take turns, so that a busy machine
troubles both alike. What counts is the ratio within a round.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARCHITECTURES = ("slots", "pair")


def measure(architecture: str, sentences: int, batch_size: int) -> dict[str, float]:
    """Train one epoch in this process."""
    from transformers import set_seed

    from tristance.data.actors import Actors
    from tristance.data.formats import load
    from tristance.data.sources import FOLDER
    from tristance.models.backbone import load_tokenizer
    from tristance.models.networks import build_encoding, build_network, use_all_cores
    from tristance.models.registry import ModelConfig
    from tristance.train import features, trainer
    from tristance.train.config import TrainConfig

    use_all_cores()
    set_seed(0)
    actors = Actors.load()
    records = load(FOLDER / "train.jsonl", actors=actors)
    records = records[:: max(1, len(records) // sentences)][:sentences]
    model, training = ModelConfig(architecture=architecture), TrainConfig(epochs=1, batch_size=batch_size, device="cpu")
    network = build_network(model)
    encoding = build_encoding(model, load_tokenizer(model.backbone))
    labels = [("favor", "against", "neutral", "unrelated")] * len(records)
    dataset = features.training_set(records, labels, actors, encoding)
    with tempfile.TemporaryDirectory() as folder:
        arguments = trainer.training_arguments(
            training,
            Path(folder),
            0,
            primary="mean.F_avg",
            tracking=(),
            name="benchmark-0",
            project="benchmark",
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
        )
        subject = trainer.StanceTrainer(
            model=network,
            args=arguments,
            train_dataset=dataset,
            data_collator=features.Collator(encoding),
            training=training,
            class_weights=None,
            validate=lambda _: {},
        )
        trainer.silence(subject)
        start = time.perf_counter()
        subject.train()
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "peak_mb": peak,
        "tokens": sum(dataset["length"]) / len(records),
        "sentences": len(records),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=ARCHITECTURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.sentences, options.batch_size)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ARCHITECTURES}
    for _ in range(options.rounds):
        for name in ARCHITECTURES:
            command = [
                sys.executable,
                __file__,
                "--one",
                name,
                "--sentences",
                str(options.sentences),
                "--batch-size",
                str(options.batch_size),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    print(f"{options.sentences} sentences, {options.batch_size} a step, all three actors; {processor()}\n")
    print("| | tokens a sentence | seconds an epoch, by round | peak memory, MB |\n| --- | --- | --- | --- |")
    for name, rounds in found.items():
        seconds = ", ".join(f"{each['seconds']:.1f}" for each in rounds)
        print(f"| {name} | {rounds[0]['tokens']:.1f} | {seconds} | {max(each['peak_mb'] for each in rounds):.0f} |")
    ratios = [pair["seconds"] / slots["seconds"] for slots, pair in zip(found["slots"], found["pair"], strict=True)]
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"\nslots is faster than pair by {shown} times; median {statistics.median(ratios):.2f}")


def processor() -> str:
    """The machine, in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} × {models[0]}" if models else platform.machine()


if __name__ == "__main__":
    main()
