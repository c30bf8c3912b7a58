"""`StanceClassifier`: what it takes and gives, what it refuses, and model folders that are not what they should be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tristance.data.actors import Actor, Actors
from tristance.data.errors import UserError
from tristance.data.records import Record, Target
from tristance.models import StanceClassifier
from tristance.models.backbone import load_config, load_network, load_tokenizer
from tristance.models.manifest import Manifest

ROOT = Path(__file__).parents[2]
TEXTS = [
    "Lavrov told the West that its era of domination was over.",
    "Pyongyang fired a missile.",
    "Washington thanked Moscow for the swap, and for many other things that nobody had thought possible a year ago.",
    "Nothing happened.",
]
CHINA = Actors((Actor("china", "China", "", ("Beijing",)),))


@pytest.fixture(scope="module")
def classifier(trained):
    return StanceClassifier.from_pretrained(trained.model, device="cpu")


@pytest.fixture
def model(trained, tmp_path):
    """A copy of the trained model, to be broken."""
    return shutil.copytree(trained.model, tmp_path / "model")


def forge(model, **changes):
    """Change the manifest, and the checksums with it."""
    path = model / "config.json"
    content = json.loads(path.read_text())
    content["tristance"] |= changes
    path.write_text(json.dumps(content))
    (model / "checksums.json").unlink()


# What it takes and gives


def test_one_sentence_gives_one_prediction(classifier):
    found = classifier.predict(TEXTS[0])
    assert found.text == TEXTS[0]
    assert list(found.stance) == ["west", "russia", "north_korea"]
    west = found.stance["west"]
    assert west.label == max(west.probabilities, key=west.probabilities.get)
    assert west.score == max(west.probabilities.values())
    assert sum(west.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert set(west.holder_probabilities) == {"author", "other", "west", "russia", "north_korea"}
    assert (west.holder == "none") == (west.label in ("neutral", "unrelated"))
    assert found.sentiment.score == found.sentiment.probabilities[found.sentiment.label]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("kind", [list, tuple, iter, np.array])
def test_many_come_back_in_their_order(classifier, kind, batch_size):
    found = classifier.predict(kind(TEXTS), batch_size=batch_size)
    assert [prediction.text for prediction in found] == TEXTS
    for prediction, text in zip(found, TEXTS, strict=True):
        alone = classifier.predict(text)
        assert prediction.sentiment.probabilities == pytest.approx(alone.sentiment.probabilities, abs=1e-5)
        for actor, stance in prediction.stance.items():
            assert stance.probabilities == pytest.approx(alone.stance[actor].probabilities, abs=1e-5)


COLUMNS = [
    "text",
    *(f"{actor}{end}" for actor in ("west", "russia", "north_korea") for end in ("", "_score", "_holder")),
    *("sentiment", "sentiment_score", "out_of_scope"),
]


def test_a_pandas_column_gives_a_pandas_frame_with_its_index(classifier):
    column = pd.Series(TEXTS, index=[7, 3, 9, 1], name="sentence")
    found = classifier.predict(column)
    assert isinstance(found, pd.DataFrame)
    assert list(found.columns) == COLUMNS
    assert list(found.index) == [7, 3, 9, 1]
    assert list(found["text"]) == TEXTS
    expected = classifier.predict(TEXTS[1])
    assert found.loc[3, "russia"] == expected.stance["russia"].label
    assert found.loc[3, "russia_score"] == pytest.approx(expected.stance["russia"].score, abs=1e-5)
    assert found.loc[3, "sentiment"] == expected.sentiment.label


def test_a_polars_column_gives_a_polars_frame(classifier):
    found = classifier.predict(pl.Series("sentence", TEXTS))
    assert isinstance(found, pl.DataFrame)
    assert found.columns == COLUMNS
    assert found["text"].to_list() == TEXTS
    assert found["west_holder"].to_list() == [
        prediction.stance["west"].holder for prediction in classifier.predict(TEXTS)
    ]


def test_nothing_asked_is_nothing_answered(classifier):
    assert classifier.predict([]) == []
    assert len(classifier.predict(pd.Series([], dtype=str))) == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "sentence 0: found ''; allowed: a string that is not empty"),
        (" \n", "sentence 0"),
        (["Fine.", "   "], "sentence 1: found '   '"),
        (["Fine.", None], "sentence 1: found None"),
        ([3], "sentence 0: found 3"),
        ([float("nan")], "sentence 0: found nan"),
        (b"bytes", "sentence 0: found 98"),
        (None, "found NoneType; allowed: a sentence"),
        (pd.DataFrame({"text": TEXTS}), "found DataFrame; allowed: .*one column"),
        (pl.DataFrame({"text": TEXTS}), "found DataFrame; allowed: .*one column"),
    ],
)
def test_what_is_no_sentence_is_refused(classifier, asked, said):
    with pytest.raises(UserError, match=said):
        classifier.predict(asked)


def test_an_actor_asked_in_passing_is_answered_and_changes_nothing(classifier):
    plain, more = classifier.predict(TEXTS), classifier.predict(TEXTS, actors=CHINA)
    for before, after in zip(plain, more, strict=True):
        assert list(after.stance) == ["west", "russia", "north_korea", "china"]
        for actor, stance in before.stance.items():
            assert after.stance[actor].probabilities == pytest.approx(stance.probabilities, abs=1e-5)
    assert "china_score" in classifier.predict(pd.Series(TEXTS), actors=CHINA).columns


def test_an_actor_of_the_model_cannot_be_asked_in_passing(classifier):
    with pytest.raises(UserError, match="found 'west'; allowed: others than the model's own"):
        classifier.predict(TEXTS, actors=Actors.load())


def test_a_model_of_targets_alone_answers_for_targets_alone(model):
    forge(model, actors=[])
    targets = StanceClassifier.from_pretrained(model)
    with pytest.raises(UserError, match="trained on targets alone"):
        targets.predict(TEXTS)
    with pytest.raises(UserError, match="trained on targets alone"):
        targets.score_records([Record("1", TEXTS[0])])
    record = Record("1", TEXTS[0], targets=(Target("target", "Lavrov", 0, 6),))
    assert targets.score_records([record]).slots == ("target",)
    assert list(targets.predict(TEXTS[0], actors=CHINA).stance) == ["china"]


def test_the_temperature_of_the_folder_is_applied(model, classifier):
    forge(model, temperature={"stance": 4.0, "holder": 1.0})
    hot = StanceClassifier.from_pretrained(model)
    raw = classifier.scorer.score([*map(_item, TEXTS)])
    assert hot.predict(TEXTS[0]).stance["west"].probabilities["favor"] == pytest.approx(
        _softened(raw.stance[0, 0], 4)[0], abs=1e-5
    )
    assert hot.predict(TEXTS[0]).sentiment.probabilities["negative"] == pytest.approx(
        float(raw.sentiment[0, 0]), abs=1e-5
    )
    records = [Record(str(number), text) for number, text in enumerate(TEXTS)]
    np.testing.assert_allclose(hot.score_records(records, tempered=False).stance, raw.stance, atol=1e-5)
    np.testing.assert_allclose(hot.score_records(records).stance[2, 1], _softened(raw.stance[2, 1], 4), atol=1e-5)


def _item(text):
    from tristance.models.encoding import actor_item

    return actor_item(text, Actors.load())


def _softened(probabilities, temperature):
    logits = np.log(probabilities.astype(float)) / temperature
    return np.exp(logits) / np.exp(logits).sum()


# Folders that are not what they should be


def damaged(name):
    def damage(model):
        {
            "no config": lambda: (model / "config.json").unlink(),
            "config is cut": lambda: (model / "config.json").write_text('{"tristance": {'),
            "config is a list": lambda: (model / "config.json").write_text("[]"),
            "somebody else's model": lambda: (model / "config.json").write_text('{"model_type": "bert"}'),
            "a later format": lambda: forge(model, format=2),
            "an unknown field": lambda: forge(model, flavour="vanilla"),
            "a field of another kind": lambda: forge(model, temperature=3),
            "a confusion that is no table": lambda: forge(model, confusion={"west": [[1, 2], [3, -4]]}),
            "no weights": lambda: (model / "model.safetensors").unlink(),
            "weights cut": lambda: _cut(model / "model.safetensors"),
            "weights cut, without checksums": lambda: (
                _cut(model / "model.safetensors"),
                (model / "checksums.json").unlink(),
            ),
            "weights changed": lambda: _flip(model / "model.safetensors"),
            "tokenizer changed": lambda: _flip(model / "tokenizer.json"),
            "tokenizer gone": lambda: (model / "tokenizer.json").unlink(),
            "tokenizer cut, without checksums": lambda: (
                _cut(model / "tokenizer.json"),
                (model / "checksums.json").unlink(),
            ),
            "checksums cut": lambda: _cut(model / "checksums.json"),
            "checksums are a list": lambda: (model / "checksums.json").write_text("[]"),
            "weights of another shape": lambda: _other_weights(model),
        }[name]()

    return damage


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _other_weights(model):
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    weights.pop("marker")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    (model / "checksums.json").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("no config", "no config.json in it; allowed: a model folder"),
        ("config is cut", "config.json: cannot be read"),
        ("config is a list", "found no 'tristance' entry"),
        ("somebody else's model", "found no 'tristance' entry; allowed: a model that tristance trained"),
        ("a later format", "found model format 2; allowed: 1"),
        ("an unknown field", "does not fit this version.*flavour"),
        ("a field of another kind", "temperature: found 3"),
        ("a confusion that is no table", r"confusion\.west: found \[\[1, 2\], .*; allowed: 4 rows of 4 counts"),
        ("no weights", r"no model\.safetensors"),
        ("weights cut", r"model\.safetensors: sha256 is .*broken or tampered with"),
        ("weights cut, without checksums", "broken model"),
        ("weights changed", r"model\.safetensors: sha256 is .*; broken or tampered with"),
        ("tokenizer changed", r"tokenizer\.json: sha256 is .*; broken or tampered with"),
        ("tokenizer gone", r"tokenizer\.json: missing; the model folder was copied only in part"),
        ("tokenizer cut, without checksums", r"tokenizer\.json: not a readable tokenizer"),
        ("checksums cut", r"checksums\.json: cannot be read"),
        ("checksums are a list", r"checksums\.json: found \[\]"),
        ("weights of another shape", "weights do not fit the config, for example marker"),
    ],
)
def test_a_damaged_folder_is_refused(model, damage, said):
    damaged(damage)(model)
    with pytest.raises(UserError, match=said) as caught:
        StanceClassifier.from_pretrained(model)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    for missing in (tmp_path / "nowhere", "./no/model"):
        with pytest.raises(UserError, match="no such model folder"):
            StanceClassifier.from_pretrained(missing)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="no such model folder"):
        StanceClassifier.from_pretrained(tmp_path / "file")


def test_a_hub_name_without_network_is_told_at_once():
    start = time.monotonic()
    with pytest.raises(UserError, match=r"^nobody/no-model: no such folder, and the hub does not give it: "):
        StanceClassifier.from_pretrained("nobody/no-model")
    assert time.monotonic() - start < 5


def test_a_hub_name_takes_the_snapshot_that_the_hub_gives(trained, monkeypatch):
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda name, **_: {"somebody/some-model": str(trained.model)}[name]
    )
    found = StanceClassifier.from_pretrained("somebody/some-model")
    assert found.predict(TEXTS[0]).stance


# Backbones that are not what they should be


def test_an_unknown_backbone_without_network_is_told_at_once_and_quietly():
    """Even where nobody said HF_HUB_OFFLINE: transformers' own loading would try for half a minute."""
    script = (
        "from tristance.models.backbone import load_config\n"
        "try: load_config('nobody/no-model')\n"
        "except Exception as error: print(repr(error))"
    )
    environment = {
        "PATH": "",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "0",
    }
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.startswith(
        'UserError("backbone nobody/no-model: no such folder, and the hub does not give it: '
    ), done.stderr
    assert done.stderr == ""
    assert time.monotonic() - start < 15  # most of it for importing transformers on a busy machine


@pytest.mark.parametrize("missing", ["./nowhere", "/no/such/folder", "bundeld/one/two"])
def test_a_backbone_folder_that_is_not_there(missing):
    with pytest.raises(
        UserError, match=f"backbone {missing}: no such folder; allowed: 'bundled', a folder, or a hub name"
    ):
        load_config(missing)


@pytest.mark.parametrize(
    ("file", "damage", "load"),
    [
        ("config.json", _cut, "config"),
        ("config.json", Path.unlink, "config"),
        ("model.safetensors", _cut, "network"),
        ("model.safetensors", Path.unlink, "network"),
        ("tokenizer.json", _cut, "tokenizer"),
    ],
)
def test_a_broken_backbone_is_said_in_a_line(tiny_backbone, tmp_path, file, damage, load):
    from transformers import AutoModel

    folder = shutil.copytree(tiny_backbone, tmp_path / "backbone")
    config = load_config(str(folder))
    damage(folder / file)
    calls = {
        "config": lambda: load_config(str(folder)),
        "network": lambda: load_network(str(folder), AutoModel, config),
        "tokenizer": lambda: load_tokenizer(str(folder)),
    }
    with pytest.raises(UserError, match=f"^backbone {folder}: cannot be loaded: .") as caught:
        calls[load]()
    assert "\n" not in str(caught.value)


def test_a_family_that_is_not_supported_is_refused(tiny_backbone, tmp_path):
    folder = shutil.copytree(tiny_backbone, tmp_path / "backbone")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(UserError, match="found family 'gpt2'; allowed: bert, roberta"):
        load_config(str(folder))


def test_layers_that_the_backbone_does_not_have_are_refused(tiny_backbone):
    from transformers import AutoModel

    config = load_config(tiny_backbone, num_hidden_layers=3)
    with pytest.raises(
        UserError,
        match=r"has no weights for encoder\.layer\.2\..* and \d+ more; allowed: .* no more layers than it has",
    ):
        load_network(tiny_backbone, AutoModel, config)


# The hub, and imports


def test_push_to_hub_uploads_the_folder(classifier, trained, monkeypatch):
    calls = []

    class FakeApi:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, repo_id, *, private, exist_ok):
            calls.append(("create", repo_id, private, exist_ok))
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            calls.append(
                ("upload", repo_id, Path(folder_path), sorted(path.name for path in Path(folder_path).iterdir()))
            )

    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    assert (
        classifier.push_to_hub("somebody/stance", private=True, token="t") == "https://huggingface.co/somebody/stance"
    )
    assert calls[:2] == [("token", "t"), ("create", "somebody/stance", True, True)]
    assert calls[2][:3] == ("upload", "somebody/stance", trained.model)
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "checksums.json"} <= set(calls[2][3])


def test_push_to_hub_needs_a_folder(classifier):
    with pytest.raises(UserError, match="not loaded from a folder"):
        StanceClassifier(classifier.scorer, Manifest("slots", [])).push_to_hub("somebody/stance")


def test_importing_the_models_draws_no_torch_in():
    script = (
        "import sys, tristance.models\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'pandas'} & loaded\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["data", "models", "train", "configs"])
def test_a_room_cannot_be_imported_as_a_bare_folder(room):
    done = subprocess.run(
        [sys.executable, "-c", f"import {room}"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert f"import tristance.{room}, not the bare folder '{room}'" in done.stderr
