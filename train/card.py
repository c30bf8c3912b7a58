"""The model card that travels in the model folder: Hugging Face form, per-actor results with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tristance.data.fetch import SETS
from tristance.data.files import writing
from tristance.models.backbone import BUNDLED, BUNDLED_SOURCE
from tristance.models.registry import BASELINES
from tristance.train.config import Config
from tristance.train.evaluation.report import with_interval
from tristance.train.runs import Run, judged_split

USE = """\
Reads one English sentence of international news and gives the stance it conveys towards each actor (`favor`, `against`,
`neutral`, `unrelated`), who holds that stance, and the sentence's overall sentiment.

```python
from tristance.models import StanceClassifier
classifier = StanceClassifier.from_pretrained("{folder}")
classifier.predict("Lavrov told the West that its era of domination was over.")
```

**Meant for** measuring how texts position actors, in aggregate, with the errors below in mind. **Not meant for**
judging persons, for deciding about anybody, or for texts unlike the training data (other languages, other domains)
without a hand-labelled sample of one's own.

**Limits.** A label is what the sentence *conveys*, read alone: not the truth of what is said, nor the outlet's opinion.
Irony, nested reports and rare names are where it errs most; see the slices in the run's `metrics.json`."""


def write_card(run: Run, config: Config, content: Mapping[str, Any]) -> None:
    """Write README.md into a run's model folder.

    Args:
        run: The run, its model already in place.
        config: The experiment.
        content: What goes into metrics.json.
    """
    provenance = run.provenance()
    split = judged_split(content)
    parts = [
        f"---\n{yaml.safe_dump(_metadata(config, content, split), sort_keys=False, allow_unicode=True)}---",
        f"# {config.name}, seed {run.seed}",
        config.description,
        USE.format(folder=run.model),
        f"## Results on {split}\n\n{_table(content[split])}\n\n{content[split]['interval']['level']:.0%} bootstrap "
        "intervals, clustered by document. "
        f"F_avg is the mean F1 of favor and against. Temperatures, from validation: {_temperatures(content, split)}.",
        f"## Training\n\nArchitecture `{config.model.architecture}`{_backbone(config)}; seed {run.seed}; "
        f"{provenance['seconds'].get('train', 0):.0f} s of training on {provenance['hardware']['processor']}; "
        f"commit `{provenance['commit']}`.\n\n{_data(provenance['data'])}",
        _models(provenance.get("models", {})),
        *_licences(config),
    ]
    with writing(run.model / "README.md") as stream:
        stream.write("\n\n".join(part for part in parts if part) + "\n")


def _metadata(config: Config, content: Mapping[str, Any], split: str) -> dict[str, Any]:
    results = [
        {"type": "f1", "name": f"F_avg {slot}", "value": block["F_avg"]["value"]}
        for slot, block in content[split]["slots"].items()
    ]
    metadata: dict[str, Any] = {
        "language": "en",
        "license": "apache-2.0",
        "library_name": "tristance",
        "pipeline_tag": "text-classification",
        "tags": ["stance-detection", "news", "tristance"],
    }
    if config.model.architecture not in BASELINES:
        metadata["base_model"] = BUNDLED_SOURCE if config.model.backbone == BUNDLED else config.model.backbone
    source = config.stages[-1].sources[0]
    metadata["model-index"] = [
        {
            "name": f"{config.name}-{content['seed']}",
            "results": [
                {
                    "task": {"type": "text-classification", "name": "Stance detection"},
                    "dataset": {"type": source, "name": source, "split": split},
                    "metrics": results,
                }
            ],
        }
    ]
    return metadata


def _table(metrics: Mapping[str, Any]) -> str:
    rows = ["| | F_avg | macro F1 | holder macro F1 | ECE | sentences |", "| --- | --- | --- | --- | --- | --- |"]
    for slot, block in metrics["slots"].items():
        figures = (block["F_avg"], block["macro_F1"], block["holder"]["macro_F1"], block["ece"])
        rows.append(f"| {slot} | {' | '.join(map(with_interval, figures))} | {block['n']} |")
    overall = metrics["overall"]
    means = (overall[name] for name in ("mean.F_avg", "mean.macro_F1", "holder.macro_F1", "mean.ece"))
    rows.append(f"| mean | {' | '.join(map(with_interval, means))} | {metrics['n']} |")
    tone = metrics["sentiment"]
    rows.append(
        f"| sentiment | – | {with_interval(tone['macro_F1'])} | – | {with_interval(tone['ece'])} | {tone['n']} |"
    )
    return "\n".join(rows)


def _temperatures(content: Mapping[str, Any], split: str) -> str:
    return ", ".join(f"{task} {value:.2f}" for task, value in content[split]["calibration"]["temperature"].items())


def _backbone(config: Config) -> str:
    if config.model.architecture in BASELINES:
        return ""
    return f" on `{BUNDLED_SOURCE if config.model.backbone == BUNDLED else config.model.backbone}`"


def _models(digests: Mapping[str, str]) -> str:
    """The trained models that this one was made from."""
    listed = "\n".join(f"- `{folder}` (SHA-256 of its checksums: `{digest}`)" for folder, digest in digests.items())
    return f"It draws on trained models, as teachers or as backbone:\n\n{listed}" if listed else ""


def _licences(config: Config) -> Iterator[str]:
    """On what terms the public sets stand that the model was trained on."""
    for name in dict.fromkeys(name for stage in config.stages for name in stage.sources):
        known = SETS.get(config.data.sources[name].format)
        if known:
            yield f"Source {name}: {known.title}. Licence: {known.licence}."


def _data(fingerprints: Mapping[str, Any]) -> str:
    rows = ["| source | split | sentences | SHA-256 |", "| --- | --- | --- | --- |"]
    for source, splits in fingerprints.items():
        rows += [
            f"| {source} | {split} | {entry['rows']} | `{entry['sha256'][:16]}…` |" for split, entry in splits.items()
        ]
    return "\n".join(rows)
