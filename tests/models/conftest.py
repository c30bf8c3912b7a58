"""A model that costs nothing to make and answers sentences differently."""

from __future__ import annotations

import pytest

from tristance.models import StanceClassifier


@pytest.fixture(scope="session")
def lexicon(lexicon_model):
    return StanceClassifier.from_pretrained(lexicon_model)
