"""Explanations, of a scorer whose reasons are known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from rich.console import Console

from tristance.data.actors import Actor, Actors
from tristance.data.errors import UserError
from tristance.data.labels import SENTIMENTS, STANCES
from tristance.models import StanceClassifier
from tristance.models.manifest import Manifest
from tristance.models.predictions import Scores

SENTENCE = 'Lavrov <b>hates</b> the West, but praises North Korea\'s "courage".'


class OneWord:
    """Against the West where it is hated, less so where somebody praises; positive where there is courage."""

    def score(self, items, batch_size=32, progress=False):
        slots = tuple(slot.id for slot in items[0].slots)
        stance = np.full((len(items), len(slots), 4), 0.1, np.float32)
        sentiment = np.full((len(items), 3), 0.25, np.float32)
        for row, item in enumerate(items):
            for place, slot in enumerate(item.slots):
                about = slot.id == "west" and slot.span is not None and "hates" in item.text
                best = "against" if about else "unrelated"
                stance[row, place, STANCES.index(best)] = 0.4 if "praises" in item.text else 0.7
            sentiment[row, SENTIMENTS.index("positive" if "courage" in item.text else "neutral")] = 0.5
        return Scores(
            slots,
            stance / stance.sum(-1, keepdims=True),
            np.full((len(items), len(slots), 2 + len(slots)), 0.2, np.float32),
            sentiment,
        )


@pytest.fixture(scope="module")
def classifier():
    return StanceClassifier(OneWord(), Manifest("slots", Actors.load().as_list()))


def test_the_word_that_carries_the_stance_has_the_most_weight(classifier):
    found = classifier.explain(SENTENCE, "west")
    assert (found.about, found.label, found.score) == ("west", "against", pytest.approx(4 / 7))
    weights = {word.text: word.weight for word in found.words}
    assert weights["hates"] == pytest.approx(np.log(4 / 3) - np.log(1 / 6), abs=1e-4)  # the odds with and without it
    assert weights["praises"] == pytest.approx(np.log(4 / 3) - np.log(7 / 3), abs=1e-4)
    assert {word.text for word in found.ranked()[:2]} == {"hates", "the West"}  # it is hated nowhere else
    assert found.ranked()[2].text == "praises"
    assert weights["Lavrov"] == weights["but"] == pytest.approx(0, abs=1e-6)


def test_the_words_have_their_places_and_names_are_one_word(classifier):
    found = classifier.explain(SENTENCE, "west")
    assert all(SENTENCE[word.start : word.end] == word.text for word in found.words)
    texts = [word.text for word in found.words]
    assert {"the West", "North Korea"} <= set(texts)
    assert [word.text for word in found.words if word.named] == ["the West"]


def test_without_an_actor_the_sentiment_is_explained(classifier):
    found = classifier.explain(SENTENCE)
    assert (found.about, found.label) == ("sentiment", "positive")
    assert found.ranked()[0].text == "courage"


def test_it_says_what_predict_says(classifier):
    prediction = classifier.predict(SENTENCE)
    for actor, stance in prediction.stance.items():
        found = classifier.explain(SENTENCE, actor)
        assert (found.label, found.score) == (stance.label, pytest.approx(stance.score))


def test_one_word_and_none_are_explained_too(classifier):
    assert [word.text for word in classifier.explain("Hates", "west").words] == ["Hates"]
    assert classifier.explain("…", "west").words == ()


def test_a_further_actor_can_be_asked_about(classifier):
    china = Actors((Actor("china", "China", "", ("Beijing",)),))
    found = classifier.explain("Beijing praises.", "china", actors=china)
    assert (found.about, found.words[0].named) == ("china", True)


@pytest.mark.parametrize(
    ("sentence", "actor", "said"),
    [
        ("", None, "found ''; allowed: a sentence that is not empty"),
        (3, None, "found 3; allowed: a sentence"),
        ("A sentence.", "mars", "actor: found 'mars'; allowed: west, russia, north_korea, sentiment"),
    ],
)
def test_bad_questions_are_told(classifier, sentence, actor, said):
    with pytest.raises(UserError, match=re.escape(said)):
        classifier.explain(sentence, actor)


def test_the_terminal_shows_words_and_weights(classifier):
    console = Console(record=True, width=90, force_terminal=True, color_system="truecolor")
    with console.capture() as capture:
        console.print(classifier.explain(SENTENCE, "west"))
    shown = capture.get()
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert plain.startswith("west: against (0.57)\n" + SENTENCE)  # [brackets] and quotes are no markup
    assert re.search(r"hates +\+2\.08 +speaks for it", plain)
    assert shown != plain


def test_the_fragment_is_escaped_and_whole(classifier):
    found = classifier.explain(SENTENCE, "west").to_html()
    assert "<b>hates" not in found
    assert "&lt;" in found
    assert re.search(r'<span style="[^"]*solid[^"]*" title="\+2\.08">hates</span>', found)
    assert re.search(r'<span style="[^"]*dotted[^"]*" title="-0\.56">praises</span>', found)
    text = re.sub(r"<[^>]+>", "", re.search(r"<p>(.*)</p>", found)[1])
    assert text.replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'").replace("&quot;", '"') == SENTENCE
    assert "http" not in found


def test_json_holds_what_it_needs(classifier):
    row = classifier.explain(SENTENCE, "west").as_dict()
    assert {key: row[key] for key in ("text", "about", "label", "score")} == {
        "text": SENTENCE,
        "about": "west",
        "label": "against",
        "score": 0.5714,
    }
    assert {"text": "hates", "start": 10, "end": 15, "weight": 2.0794} in row["words"]
