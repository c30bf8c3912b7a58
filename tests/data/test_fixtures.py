"""The fixtures in the public formats: they must be sound, or tests that train on them say nothing."""

from collections import Counter
from pathlib import Path

import pytest

from tristance.data.actors import Actors
from tristance.data.checks import check
from tristance.data.formats import load

FIXTURES = Path(__file__).parent.parent / "fixtures"
SETS = {
    "newsmtsc": {"train": ("train.jsonl", 40), "mt": ("dev-mt.jsonl", 16), "rw": ("dev-rw.jsonl", 16)},
    "dse": {"train": ("train.txt", 40), "valid": ("valid.txt", 16)},
}


@pytest.mark.parametrize("name", SETS)
def test_fixtures_are_whole_balanced_and_do_not_leak(name):
    actors = Actors.load()
    splits = {
        split: load(FIXTURES / name / file, actors=actors, format=name) for split, (file, _) in SETS[name].items()
    }
    assert {split: len(rows) for split, rows in splits.items()} == {key: rows for key, (_, rows) in SETS[name].items()}
    assert check(splits) == []
    for rows in splits.values():
        for record in rows:
            assert all(record.text[t.start : t.end] == t.name for t in record.targets)
        counts = Counter(target.stance for record in rows for target in record.targets)
        assert set(counts) == {"favor", "against", "neutral"}
        assert min(counts["favor"], counts["against"]) >= len(rows) / 4
