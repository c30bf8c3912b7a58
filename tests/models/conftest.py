"""A model that costs nothing to make and answers sentences differently."""

from __future__ import annotations

import pytest

from tristance.data.actors import Actors
from tristance.models import StanceClassifier
from tristance.models.baselines import Lexicon, save_baseline
from tristance.models.manifest import Manifest


@pytest.fixture(scope="session")
def lexicon_model(tmp_path_factory):
    """The folder of a lexicon baseline with made-up shares."""
    actors = Actors.load()
    holders = [[0.4, 0.3, 0.1, 0.1, 0.1] for _ in actors]
    folder = tmp_path_factory.mktemp("lexicon") / "model"
    lexicon = Lexicon(actors.ids, {"favor": 0.7, "against": 0.6, "tone.positive": 0.8}, holders)
    save_baseline(folder, lexicon, Manifest("lexicon", actors.as_list()))
    return folder


@pytest.fixture(scope="session")
def lexicon(lexicon_model):
    return StanceClassifier.from_pretrained(lexicon_model)
