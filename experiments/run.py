"""The project's own results: train what is missing, keep the figures, write the table.

    python experiments/run.py                 all experiments, one after the other; hours on two cores
    python experiments/run.py --only base pair
    python experiments/run.py --table         only write README.md from the figures that are there

Runs go to runs/, where an interrupted one goes on. Of each finished run config.yaml, provenance.json and the small part
of metrics.json are kept here, in NAME/SEED/, so that the table can go on from where it stopped on any machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RUNS = HERE.parent / "runs"
THREE = (13, 42, 87)
ONE = (13,)
PLAN = {
    "base": ("base", THREE, "the default: actor slots"),
    "pair": ("pair", THREE, "the usual cross-encoder, a pass for each actor"),
    "target-blind": ("target-blind", THREE, "does not know whom it is asked about"),
    "tfidf": ("tfidf", ONE, "bag of words"),
    "lexicon": ("lexicon", ONE, "who is named, and VADER's polarity"),
    "majority": ("majority", ONE, "the most frequent labels"),
    "no-holder": ("ablations/no-holder", ONE, "without the holder task"),
    "no-sentiment": ("ablations/no-sentiment", ONE, "without the sentiment task"),
    "end-place": ("ablations/end-place", ONE, "slots do not know where their actor is mentioned"),
    "full-attention": ("ablations/full-attention", ONE, "slots see each other"),
    "half": ("ablations/half", ONE, "three layers of six"),
    "small": ("small", ONE, "three layers of six, distilled from base"),
    "frozen": ("ablations/frozen", ONE, "heads alone are trained"),
    "transfer": ("transfer", ONE, "NewsMTSC and DSE first"),
    "quick": ("quick", ONE, "two layers, half a pass"),
}
KEPT = ("n", "clusters", "interval", "stance_labels", "missing", "primary", "overall", "calibration")
BLOCK = ("n", "F_avg", "macro_F1", "accuracy", "classes", "detection", "end_to_end", "ece", "confusion")
COLUMNS = {
    "mean F_avg": "mean.F_avg",
    "worst": "worst.F_avg",
    "West": "west.F_avg",
    "Russia": "russia.F_avg",
    "N. Korea": "north_korea.F_avg",
    "holder": "holder.macro_F1",
    "sentiment": "sentiment.macro_F1",
    "detection": "mean.detection_F1",
    "ECE": "mean.ece",
    "contrast": "behaviour.contrast_consistency",
    "swap": "behaviour.swap_consistency",
    "alias": "behaviour.alias_invariance",
}


def slim(content: dict[str, Any]) -> dict[str, Any]:
    """What of metrics.json the table and `tristance compare` need."""

    def block(found: dict[str, Any]) -> dict[str, Any]:
        some = {key: found[key] for key in BLOCK if key in found}
        return some | ({"holder": block(found["holder"])} if "holder" in found else {})

    kept: dict[str, Any] = {key: content[key] for key in ("format", "experiment", "seed")} | {"baselines": {}}
    for split in ("validation", "test"):
        if split in content:
            found = content[split]
            kept[split] = {key: found[key] for key in KEPT if key in found}
            kept[split]["slots"] = {slot: block(each) for slot, each in found["slots"].items()}
            kept[split] |= {"pooled": block(found["pooled"]), "sentiment": block(found["sentiment"]), "slices": {}}
    tests = content.get("behaviour", {})
    kept["behaviour"] = {name: {"n": each["n"], "passed": each["passed"]} for name, each in tests.items()}
    return kept


def keep(name: str, seed: int) -> None:
    """Copy the small files of a finished run."""
    run, here = RUNS / name / str(seed), HERE / name / str(seed)
    here.mkdir(parents=True, exist_ok=True)
    for file in ("config.yaml", "provenance.json"):
        shutil.copy(run / file, here / file)
    content = slim(json.loads((run / "metrics.json").read_text(encoding="utf-8")))
    (here / "metrics.json").write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def is_kept(name: str, seed: int, data: Any) -> bool:
    """Whether figures are here of this seed, on the data of today."""
    file = HERE / name / str(seed) / "provenance.json"
    return file.is_file() and (data is None or json.loads(file.read_text(encoding="utf-8"))["data"]["corpus"] == data)


def corpus_of_today() -> Any:
    """Rows and hashes of the bundled corpus."""
    from tristance.data.actors import Actors
    from tristance.data.sources import load_corpus
    from tristance.train.config import load_config

    return load_corpus("corpus", load_config("base").data.sources["corpus"], Actors.load(), "ignore").fingerprint()


def figure(content: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A figure of the test split, or of the behaviour tests."""
    place, _, leaf = name.rpartition(".")
    if place == "behaviour":
        found = content["behaviour"].get(leaf)
        return found and dict(found["passed"])
    test = content["test"]
    return test["overall"].get(name) or test["slots"].get(place, {}).get(leaf)


def cell(contents: list[dict[str, Any]], name: str) -> str:
    """Mean ± sd over seeds; of one seed its interval."""
    figures = [found for content in contents if (found := figure(content, name)) and found["value"] is not None]
    if not figures:
        return "–"
    mean = 100 * statistics.fmean(each["value"] for each in figures)
    if len(figures) > 1:
        return f"{mean:.1f} ± {100 * statistics.stdev(each['value'] for each in figures):.1f}"
    low, high = figures[0]["low"], figures[0]["high"]
    return f"{mean:.1f}" if low is None or name != "mean.F_avg" else f"{mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def table(data: Any) -> str:
    """The results as Markdown, the best first."""
    rows = []
    for name, (config, seeds, said) in PLAN.items():
        files = [HERE / name / str(seed) / "metrics.json" for seed in seeds if is_kept(name, seed, data)]
        contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        if not contents:
            rows.append((-1.0, f"| {name} | 0 of {len(seeds)} | {' | '.join('' for _ in COLUMNS)} | | {said} |"))
            continue
        provenance = [json.loads((file.parent / "provenance.json").read_text(encoding="utf-8")) for file in files]
        seconds = statistics.fmean(each["seconds"].get("train", 0) for each in provenance)
        cells = " | ".join(cell(contents, column) for column in COLUMNS.values())
        mean = statistics.fmean(each["test"]["overall"]["mean.F_avg"]["value"] for each in contents)
        counted = str(len(files)) if len(files) == len(seeds) else f"{len(files)} of {len(seeds)}"
        rows.append((mean, f"| [{name}](../configs/{config}.yaml) | {counted} | {cells} | {seconds:.0f} | {said} |"))
    head = f"| experiment | seeds | {' | '.join(COLUMNS)} | seconds | what it is |"
    rule = f"|{' --- |' * (len(COLUMNS) + 4)}"
    return "\n".join([head, rule, *(row for _, row in sorted(rows, key=lambda row: -row[0]))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PLAN, default=list(PLAN), help="experiments to train")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    data = corpus_of_today()
    for name in [] if options.table else options.only:
        config, seeds, _ = PLAN[name]
        for seed in seeds:
            if not is_kept(name, seed, data):
                command = [sys.executable, "-m", "tristance.train", "train", config, f"seeds={seed}"]
                if subprocess.run(command, check=False, cwd=HERE.parent).returncode:
                    print(f"{name}, seed {seed}: failed; going on with the next", file=sys.stderr)
                    continue
                keep(name, seed)
                write(data)
    write(data)


def write(data: Any) -> None:
    """README.md: its words stay, the table between the marks is new."""
    file = HERE / "README.md"
    before, begin, rest = file.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, end, after = rest.partition("<!-- /table -->")
    file.write_text(f"{before}{begin}{table(data)}\n{end}{after}", encoding="utf-8")
    print(f"{file}: written")


if __name__ == "__main__":
    main()
