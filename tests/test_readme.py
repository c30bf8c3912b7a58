"""What the README tells people to type works, in its quick form: small data, a tiny network, the same commands."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tristance.train import export

SWEEPS = Path(__file__).parent.parent / "configs" / "sweeps"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
FENCED = [block.partition("\n") for block in README.split("```")[1::2]]
"""Language and content of each code block."""
COMMANDS = [line for _, _, block in FENCED for line in block.splitlines() if line.startswith("tristance ")]
PYTHON = [block for language, _, block in FENCED if language == "python"]


def test_the_readme_has_commands_and_python():
    assert len(COMMANDS) >= 5
    assert PYTHON


@pytest.fixture
def stand_ins(trained, small_corpus, tmp_path, cli):
    """What the README's names stand for in a test."""
    (tmp_path / "news.txt").write_text("Lavrov told the West that its era was over.\nIt rained in Oslo.\n")
    cli("predict", trained.model, small_corpus.test, "-o", tmp_path / "llm.jsonl")
    return {
        "runs/base/13/model": trained.model,
        "runs/base/13": trained.run.folder,
        "data/corpus/test.jsonl": small_corpus.test,
        "news.txt": tmp_path / "news.txt",
        "news.jsonl": tmp_path / "llm.jsonl",
        "article.txt": tmp_path / "news.txt",
        "sheet.csv": tmp_path / "sheet.csv",
        "300": 3,
        "llm.jsonl": tmp_path / "llm.jsonl",
        "runs/llm/0": tmp_path / "runs" / "llm" / "0",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme(command, stand_ins, cli, overrides, trained, tmp_path, monkeypatch):
    words = shlex.split(command, comments=True)[1:]
    if words[0] == "compare":  # whatever the experiments are called, a finished one stands for each
        arguments = ["compare", trained.run.folder.parent]
    elif words[0] == "report":
        arguments = ["report", trained.run.folder.parent, "-o", tmp_path / "report.html"]
    elif words[0] == "sweep":  # the file is what it says, but two points of it will do
        assert (SWEEPS / Path(words[1]).name).is_file()
        short = tmp_path / "sweep.yaml"
        short.write_text(
            "{name: short, config: tfidf, search: grid, space: {model.tfidf.C: [0.1, 1]}, winner_seeds: [1]}"
        )
        arguments = ["sweep", short, *overrides]
    elif (
        words[0] == "export"
    ):  # of a copy, since others share the run; random weights hardly know one label from another
        shutil.copytree(trained.run.folder, tmp_path / "13")
        monkeypatch.setattr(export, "AGREEMENT", 0.5)
        monkeypatch.setattr(export, "LOSS", 1.0)
        arguments = ["export", tmp_path / "13", *words[2:]]
    elif words[:2] == ["data", "fetch"]:
        arguments = [*words, "--from", Path(__file__).parent / "fixtures" / words[2], "--into", tmp_path / "external"]
    else:
        arguments = [stand_ins.get(word, word) for word in words]
    if words[0] == "train":
        arguments += [*overrides, "train.epochs=1"]
    result = cli(*arguments)
    if words[:2] == ["data", "fetch"]:
        assert "sha256" in result.err, "the fixtures are not the real set, and must be told from it"
    else:
        assert result.code == 0, result.err


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_of_the_readme(code, trained):
    code = code.replace("runs/base/13/model", str(trained.model))
    exec(compile(code, "README.md", "exec"), {})
