"""Data sets of the Hugging Face hub, as folders here: splits, class labels, and what is said where they lack."""

from __future__ import annotations

import pytest

from tests.data.test_formats import ACTORS, GOOD, both, write_rows
from tristance.data.errors import UserError
from tristance.data.formats import load, read
from tristance.data.labels import SENTIMENTS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    where = tmp_path / "set"
    where.mkdir()
    write_rows(where / "train.jsonl", GOOD, GOOD | {"id": "b", "text": ""})
    write_rows(where / "test.jsonl", GOOD | {"id": "c"})
    return where


def test_hub_folder_by_split(folder):
    found, (fault,) = both(f"{folder}#train", format="huggingface")
    assert [(record.id, record.stance) for record in found] == [("a", {"north_korea": "favor"})]
    assert (fault.line, fault.field) == (2, "text")
    assert load(f"{folder}#test", actors=ACTORS, format="huggingface")[0].id == "c"


@pytest.mark.parametrize(
    ("suffix", "message"),
    [("", "several splits; name one of train, test"), ("#dev", "no split 'dev'"), ("#none/train", "cannot be loaded")],
)
def test_hub_split_must_be_named_and_be_there(folder, suffix, message):
    with pytest.raises(UserError, match=message):
        list(read(f"{folder}{suffix}", actors=ACTORS, format="huggingface"))


def test_hub_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded as a data set"):
        list(read(tmp_path / "none", actors=ACTORS, format="huggingface"))


def test_hub_class_labels_and_missing_columns(tmp_path):
    import datasets

    features = datasets.Features({"s": datasets.Value("string"), "tone": datasets.ClassLabel(names=list(SENTIMENTS))})
    rows = {"s": ["A.", "B."], "tone": [2, -1]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "set"))
    columns = {"text": "s", "sentiment": "tone"}
    found = load(tmp_path / "set", actors=ACTORS, format="huggingface", columns=columns)
    assert [record.sentiment for record in found] == ["positive", None]
    with pytest.raises(UserError, match="no column 'text'"):
        list(read(tmp_path / "set", actors=ACTORS, format="huggingface"))
