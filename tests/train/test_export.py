"""Exporting: the same answers as the weights, refused where they are not; and use without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests.conftest import make_backbone
from tests.models.test_networks import CHINA, TEXTS
from tristance.data.errors import UserError
from tristance.models.classifier import StanceClassifier
from tristance.models.manifest import CHECKSUMS_FILE
from tristance.train import export
from tristance.train.export import Gate, export_model


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The trained run with model.onnx and model.int8.onnx beside the weights."""
    folder = tmp_path_factory.mktemp("exported") / "13"
    shutil.copytree(trained.run.folder, folder)
    with pytest.MonkeyPatch.context() as patch:
        # a network of random weights hardly knows one label from another, so that rounding may flip many
        patch.setattr(export, "AGREEMENT", 0.5)
        patch.setattr(export, "LOSS", 1.0)
        export_model(folder, int8=True)
    return folder


def answers(model, texts=TEXTS, **options):
    classifier = StanceClassifier.from_pretrained(model, **options)
    return classifier, [prediction.as_dict(8) for prediction in classifier.predict(texts)]


def numbers(found):
    return [value for stances in found["probabilities"]["stance"].values() for value in stances.values()] + [
        value for holders in found["probabilities"]["holder"].values() for value in holders.values()
    ]


def test_onnx_answers_as_torch_does(exported):
    _, expected = answers(exported / "model", runtime="torch")
    classifier, found = answers(exported / "model", runtime="onnx")
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-5)
    assert classifier.predict(TEXTS[0]).as_dict(4) == classifier.predict(TEXTS)[0].as_dict(4)


def test_who_is_asked_in_passing_is_answered_too_and_changes_nobody(exported):
    classifier = StanceClassifier.from_pretrained(exported / "model", runtime="onnx")
    plain, more = classifier.predict(TEXTS[0]), classifier.predict(TEXTS[0], actors=CHINA)
    assert set(more.stance) == {*plain.stance, "china"}
    assert more.stance["west"].score == pytest.approx(plain.stance["west"].score, abs=1e-5)


def test_auto_takes_what_was_exported_and_torch_otherwise(exported, trained):
    assert type(StanceClassifier.from_pretrained(exported / "model").scorer).__name__ == "OnnxScorer"
    assert type(StanceClassifier.from_pretrained(trained.model).scorer).__name__ == "NetworkScorer"


def test_int8_is_another_file_and_nearly_the_same_answers(exported):
    sizes = [(exported / "model" / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")]
    assert sizes[1] < sizes[0]
    _, expected = answers(exported / "model")
    _, found = answers(exported / "model", precision="int8")
    differences = [
        np.abs(np.subtract(numbers(one), numbers(other))) for one, other in zip(expected, found, strict=True)
    ]
    assert 0 < np.mean(differences) < 0.1
    report = json.loads((exported / "model" / "export.json").read_text())
    assert report["fp32"]["flips"] == 0
    assert set(report["int8"]["F_avg"]) == {"west", "russia", "north_korea"}


@pytest.mark.parametrize(
    ("architecture", "family"),
    # onnxruntime 1.32 cannot run the rotary embedding of ModernBERT as `pair`: the gate says so
    [("slots", "roberta"), ("slots", "electra"), ("slots", "modernbert"), ("pair", "bert"), ("pair", "roberta")],
)
def test_other_backbones_are_exported_too(architecture, family, tmp_path):
    import torch

    from tristance.data.actors import Actors
    from tristance.models.backbone import load_tokenizer
    from tristance.models.encoding import actor_item
    from tristance.models.export import write_onnx
    from tristance.models.networks import NetworkScorer, build_encoding, build_network
    from tristance.models.onnx import OnnxScorer
    from tristance.models.registry import ModelConfig

    config = ModelConfig(architecture=architecture, backbone=str(make_backbone(family, tmp_path / family)))
    torch.manual_seed(0)
    network = build_network(config)
    encoding = build_encoding(config, load_tokenizer(config.backbone))
    write_onnx(network, encoding, tmp_path / "model.onnx")
    labels = ["favor", "against", "neutral", "unrelated"]
    items = [actor_item(text, Actors.load()) for text in TEXTS]
    one = NetworkScorer(network, encoding, labels, "cpu").score(items)
    other = OnnxScorer(tmp_path / "model.onnx", encoding, labels).score(items)
    np.testing.assert_allclose(one.stance, other.stance, atol=1e-5)
    np.testing.assert_allclose(one.holder, other.holder, atol=1e-5)
    np.testing.assert_allclose(one.sentiment, other.sentiment, atol=1e-5)


def gate_of(agreement, loss=0.0, flips=0):
    return Gate(n=100, flips=flips, agreement=agreement, f_avg={"west": (0.8, 0.8 - loss)})


def test_int8_leaves_out_the_worst_projections_one_by_one(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(export, "down_projections", lambda _: ["a", "b", "c"])
    monkeypatch.setattr(export, "write_int8", lambda *_, only=None, without=(): written.append(only or tuple(without)))
    alone = {"a": 0.99, "b": 0.90, "c": 0.95}

    def gate(_):
        last = written[-1]
        return gate_of(alone.get(last, 0.99), loss=0.0 if last == ("b", "c") else 0.02)

    found = export._quantized(tmp_path, tmp_path, gate, tmp_path)
    assert found.passes
    assert written == [(), "a", "b", "c", ("b",), ("b", "c")]


@pytest.mark.parametrize(("gate", "said"), [(gate_of(0.979), "97.90%"), (gate_of(0.99, loss=0.0061), r"\+0.61 points")])
def test_int8_that_fails_is_refused_with_its_figures(tmp_path, monkeypatch, gate, said):
    monkeypatch.setattr(export, "down_projections", lambda _: ["a"])
    monkeypatch.setattr(export, "write_int8", lambda *_, **__: None)
    with pytest.raises(UserError, match=rf"refused: .*{said}.*allowed: at least 98%, and at most 0.5 points"):
        export._quantized(tmp_path, tmp_path, lambda _: gate, tmp_path)


def test_an_export_that_answers_otherwise_is_refused_and_leaves_nothing(trained, tmp_path, monkeypatch):
    import torch

    from tristance.models import export as writing

    folder = tmp_path / "13"
    shutil.copytree(trained.run.folder, folder)
    real = writing.write_onnx

    def broken(network, encoding, file):
        with torch.no_grad():
            network.stance[-1].bias += torch.tensor([99.0, 0.0, 0.0, 0.0])
        real(network, encoding, file)
        with torch.no_grad():
            network.stance[-1].bias -= torch.tensor([99.0, 0.0, 0.0, 0.0])

    monkeypatch.setattr(export, "write_onnx", broken)
    with pytest.raises(UserError, match=r"in fp32 is refused: .* allowed: none changed"):
        export_model(folder)
    assert sorted(path.name for path in (folder / "model").iterdir()) == sorted(
        path.name for path in trained.model.iterdir()
    )


def test_what_cannot_be_exported_or_loaded_is_told_in_a_line(exported, trained, lexicon_model, tmp_path):
    with pytest.raises(UserError, match=r"found a lexicon model; allowed to export: slots, pair"):
        export_model(lexicon_model)
    with pytest.raises(UserError, match=r"model.int8.onnx: missing; .*tristance export .* --onnx --int8"):
        StanceClassifier.from_pretrained(trained.model, precision="int8")
    with pytest.raises(UserError, match=r"precision: found 'fp16'; allowed: fp32, int8"):
        StanceClassifier.from_pretrained(exported / "model", precision="fp16")
    with pytest.raises(UserError, match=r"found 'int8'; allowed with the runtime torch: fp32"):
        StanceClassifier.from_pretrained(exported / "model", precision="int8", runtime="torch")
    with pytest.raises(UserError, match=r"device: found 'cuda'; allowed with the runtime onnx: cpu"):
        StanceClassifier.from_pretrained(exported / "model", runtime="onnx", device="cuda")
    bare = tmp_path / "bare"
    shutil.copytree(trained.model, bare)
    with pytest.raises(UserError, match="allowed: --data FILE"):
        export_model(bare)


@pytest.mark.parametrize("damage", ["tampered", "cut", "no tokenizer"])
def test_a_damaged_export_is_told(exported, tmp_path, damage):
    folder = tmp_path / "model"
    shutil.copytree(exported / "model", folder)
    file = folder / "model.int8.onnx"
    content = bytearray(file.read_bytes())
    if damage == "tampered":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"broken or tampered with|copied only in part"):
        StanceClassifier.from_pretrained(folder, precision="int8")
    (folder / CHECKSUMS_FILE).unlink()
    if damage == "cut":
        with pytest.raises(UserError, match="broken model"):
            StanceClassifier.from_pretrained(folder, precision="int8")


def test_the_weights_load_without_the_export_and_the_export_without_the_weights(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported / "model", folder, ignore=shutil.ignore_patterns("*.safetensors", "*int8*"))
    assert answers(folder)[1] == answers(exported / "model")[1]
    shutil.rmtree(folder)
    shutil.copytree(exported / "model", folder, ignore=shutil.ignore_patterns("*.onnx"))
    answers(folder, runtime="torch")


def test_an_exported_model_needs_none_of_the_heavy_libraries(exported):
    code = f"""
        import sys
        heavy = ("torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pandas", "matplotlib", "onnx")
        for name in heavy:
            sys.modules[name] = None  # importing it fails
        from tristance.models.classifier import StanceClassifier
        classifier = StanceClassifier.from_pretrained({str(exported / "model")!r}, precision="int8")
        print(classifier.predict("Moscow thanked Pyongyang for the shells.").stance["russia"].label)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("favor", "against", "neutral", "unrelated")


def test_the_command_says_what_the_gate_found(trained, tmp_path, cli):
    folder = tmp_path / "13"
    shutil.copytree(trained.run.folder, folder)
    done = cli("export", folder, "--onnx")
    assert done.code == 0, done.err
    assert "fp32: 100.00% of 48 sentences' stances as in torch, 0 labels changed" in done.out
    assert cli("export", tmp_path / "none").code == 2
