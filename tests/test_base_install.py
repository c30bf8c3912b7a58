"""The base install, in an environment of its own: no torch, and an exported model answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tristance.train import export

ROOT = Path(__file__).parent.parent
LEFT = shutil.ignore_patterns(".git", ".venv", "runs", "build", "*.egg-info", "__pycache__", "dev")


@pytest.fixture(scope="module")
def base_python(tmp_path_factory):
    """The Python of an environment with the project alone, made as a user makes it."""
    folder = tmp_path_factory.mktemp("base")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT)  # or setuptools leaves its build folder in the checkout
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", ROOT / "constraints.txt", folder / "source"], check=True)
    return python


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_exported_model_answers_without_torch(base_python, trained, tmp_path, monkeypatch):
    shutil.copytree(trained.run.folder, tmp_path / "13")
    monkeypatch.setattr(export, "AGREEMENT", 0.5)  # of random weights
    monkeypatch.setattr(export, "LOSS", 1.0)
    export.export_model(tmp_path / "13", int8=True)
    (tmp_path / "article.txt").write_text("Moscow thanked Pyongyang. NATO called it a shame.\n")

    def run(*arguments):
        command = [base_python, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "No module named 'torch'" in run("-c", "import torch").stderr
    tristance = ("-m", "tristance.train")
    for precision in ("fp32", "int8"):
        done = run(*tristance, "predict", "13", "article.txt", "--precision", precision)
        assert done.returncode == 0, done.stderr
        assert '"stance"' in done.stdout
    for words in (["read", "13", "article.txt"], ["explain", "13", "Moscow thanked Pyongyang."], ["--help"]):
        done = run(*tristance, *words)
        assert done.returncode == 0, done.stderr
    (tmp_path / "13" / "model" / "model.onnx").unlink()
    done = run(*tristance, "predict", "13", "article.txt")
    assert done.returncode == 2
    assert "tristance export" in done.stderr
