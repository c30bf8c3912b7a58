"""A source of sentences: its splits, its fingerprint, and the same as `datasets`."""

from __future__ import annotations

import pytest

from tristance.data.actors import Actors
from tristance.data.errors import DataError
from tristance.data.sources import SourceConfig, actors_fingerprint, fingerprint, load_corpus

ACTORS = Actors.load()


@pytest.fixture
def source(small_corpus):
    return SourceConfig(train=str(small_corpus.train), validation=str(small_corpus.validation))


def test_splits_and_fingerprint(source, small_corpus):
    corpus = load_corpus("mine", source, ACTORS, "ignore")
    assert {name: len(records) for name, records in corpus.splits.items()} == {"train": 96, "validation": 48, "test": 0}
    assert set(corpus.fingerprint()) == {"train", "validation"}
    assert corpus.fingerprint()["train"]["sha256"] == fingerprint(corpus.splits["train"])
    changed = [*corpus.splits["train"][:-1], corpus.splits["validation"][0]]
    assert fingerprint(changed) != fingerprint(corpus.splits["train"])


def test_all_faults_of_all_files_at_once(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text('{"text": "It rained.", "sentiment": "wet"}\n')
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation")}
    with pytest.raises(DataError) as caught:
        load_corpus("mine", SourceConfig(**files), ACTORS)
    assert [fault.field for fault in caught.value.faults] == ["sentiment", "sentiment"]


@pytest.mark.parametrize(("checked", "refused"), [("refuse", True), ("warn", False), ("ignore", False)])
def test_a_leak_is_refused_told_or_ignored(small_corpus, checked, refused):
    leaky = SourceConfig(train=str(small_corpus.train), test=str(small_corpus.train))
    if refused:
        with pytest.raises(DataError):
            load_corpus("mine", leaky, ACTORS, checked)
    else:
        warnings = load_corpus("mine", leaky, ACTORS, checked).warnings
        assert bool(warnings) == (checked == "warn")


def test_the_same_as_datasets(source):
    corpus = load_corpus("mine", source, ACTORS, "ignore")
    found = corpus.to_datasets()
    assert {name: len(split) for name, split in found.items()} == {"train": 96, "validation": 48}
    assert found["train"][0]["text"] == corpus.splits["train"][0].text
    assert found["train"][0]["stance"] == corpus.splits["train"][0].stance


def test_a_changed_alias_changes_the_actors_fingerprint():
    rows = ACTORS.as_list()
    rows[0]["aliases"] = rows[0]["aliases"][1:]
    assert actors_fingerprint(Actors.from_list(rows)) != actors_fingerprint(ACTORS)
    assert actors_fingerprint(Actors.from_list(ACTORS.as_list())) == actors_fingerprint(ACTORS)
