"""What tests share: tiny backbones, a small corpus cut from the bundled one, a trained run, the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for a hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks gain nothing from more, and lose much on a busy machine

FIXTURES = Path(__file__).parent / "fixtures"
FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "modernbert", "deberta-v2")


def make_backbone(family: str, folder: Path) -> Path:
    """A backbone with random weights, 2 layers of 32, and the bundled tokenizer; as a folder of the stock library."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    from tristance.models.backbone import locate

    tokenizer = AutoTokenizer.from_pretrained(locate("bundled"))
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 256,
        "pad_token_id": tokenizer.pad_token_id,
    }
    extra = {
        "modernbert": {
            "local_attention": 16,
            "global_attn_every_n_layers": 2,
            "cls_token_id": 101,
            "sep_token_id": 102,
            "bos_token_id": 101,
            "eos_token_id": 102,
        },
        "electra": {"embedding_size": 32},
        "deberta-v2": {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    }
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(family, **sizes, **extra.get(family, {})))
    with torch.no_grad():  # default weights are so small that every input looks alike
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_backbone("bert", tmp_path_factory.mktemp("backbone") / "bert"))


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Rows of the bundled corpus: 96 to train on, 48 for validation and for test."""
    from tristance.data.sources import FOLDER

    folder = tmp_path_factory.mktemp("corpus")
    paths = {}
    for split, count in (("train", 96), ("validation", 48), ("test", 48)):
        lines = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        paths[split] = folder / f"{split}.jsonl"
        paths[split].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return SimpleNamespace(
        **paths,
        rows={split: [json.loads(line) for line in path.read_text().splitlines()] for split, path in paths.items()},
    )


@pytest.fixture
def overrides(small_corpus: SimpleNamespace, tiny_backbone: str, tmp_path: Path) -> list[str]:
    """What makes any config small: the small corpus, the tiny backbone, two epochs, few resamples, an own output."""
    return [
        f"data.sources.corpus.train={small_corpus.train}",
        f"data.sources.corpus.validation={small_corpus.validation}",
        f"data.sources.corpus.test={small_corpus.test}",
        "data.check=ignore",
        f"model.backbone={tiny_backbone}",
        "model.layers=null",
        "train.epochs=2",
        "train.device=cpu",
        "evaluation.resamples=50",
        f"output={tmp_path / 'runs'}",
    ]


@pytest.fixture
def command(tmp_path: Path):
    """Run the real command line in a process of its own: `command("predict", model, file)`."""

    def run(
        *arguments: object, stdin: str | bytes | None = None, check: bool = False, **options: object
    ) -> SimpleNamespace:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-m", "tristance.train", *map(str, arguments)],
            input=data,
            capture_output=True,
            timeout=300,
            cwd=tmp_path,
            **options,
        )
        result = SimpleNamespace(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
        assert not check or result.code == 0, result.err
        return result

    return run


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, small_corpus: SimpleNamespace, tiny_backbone: str
) -> SimpleNamespace:
    """A finished run of `slots` on the small corpus."""
    from tristance.train.config import load_config
    from tristance.train.experiment import run_experiment

    output = tmp_path_factory.mktemp("runs")
    config = load_config(
        "base",
        [
            *(
                f"data.sources.corpus.{split}={getattr(small_corpus, split)}"
                for split in ("train", "validation", "test")
            ),
            "data.check=ignore",
            f"model.backbone={tiny_backbone}",
            "train.epochs=2",
            "train.device=cpu",
            "train.learning_rate=1e-3",
            "evaluation.resamples=50",
            f"output={output}",
            "name=trained",
        ],
    )
    run = run_experiment(config).runs[0]
    return SimpleNamespace(run=run, config=config, model=run.model)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the command line in this process, which saves the seconds of importing torch: `cli("config", "list")`."""
    from tristance.train.cli import run as run_command
    from tristance.train.cli import tristance

    def run(*arguments: object, stdin: str = "") -> SimpleNamespace:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin.encode()))))
        code = run_command(tristance, list(map(str, arguments)))
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture(scope="session")
def lexicon_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the lexicon baseline, with its confusion on the bundled validation split: soon made."""
    from tristance.data.actors import Actors
    from tristance.data.formats import load
    from tristance.data.sources import FOLDER
    from tristance.models.baselines import fit_baseline, save_baseline
    from tristance.models.classifier import StanceClassifier
    from tristance.models.manifest import Manifest
    from tristance.train.evaluation.answers import stance_confusion

    actors = Actors.load()
    records = load(FOLDER / "validation.jsonl", actors=actors)
    lexicon = fit_baseline("lexicon", records, actors)
    manifest = Manifest("lexicon", actors.as_list())
    confusion = stance_confusion(records, StanceClassifier(lexicon, manifest).score_records(records))
    folder = tmp_path_factory.mktemp("lexicon") / "model"
    save_baseline(folder, lexicon, Manifest("lexicon", actors.as_list(), confusion=confusion))
    return folder
