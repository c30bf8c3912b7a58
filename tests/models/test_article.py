"""`clf.read`: an article's sentences in their places, what they come to, and articles that are odd."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest

from tristance.data.errors import UserError
from tristance.models import StanceClassifier
from tristance.models.article import read_article
from tristance.models.manifest import Manifest
from tristance.models.rollup import CORRECTED, UNCORRECTED

ARTICLE = """Kim hails Moscow

Moscow is a wonderful friend, said Kim. The United States is a horrible,
evil threat. 1. It rained.

Putin met Kim on Sept. 3. Washington failed. It loved nobody."""


@pytest.fixture(scope="module")
def classifier(lexicon_model):
    return StanceClassifier.from_pretrained(lexicon_model)


@pytest.fixture(scope="module")
def article(classifier):
    return classifier.read(ARTICLE)


def test_every_sentence_has_its_place_and_its_labels(article):
    assert [each.text for each in article.sentences] == [
        "Kim hails Moscow",
        "Moscow is a wonderful friend, said Kim.",
        "The United States is a horrible,\nevil threat.",
        "It rained.",
        "Putin met Kim on Sept. 3.",
        "Washington failed.",
        "It loved nobody.",
    ]
    for each in article.sentences:
        assert article.text[each.start : each.end] == each.text
    found = article.sentences[2].prediction
    assert found.text == "The United States is a horrible, evil threat.", "the model reads no line ends"
    assert {actor: stance.label for actor, stance in found.stance.items()} == {
        "west": "against",
        "russia": "unrelated",
        "north_korea": "unrelated",
    }


def test_the_pieces_of_its_paragraphs_are_the_text(article):
    found = [
        ["".join(text for text, _ in pieces), [each for _, each in pieces if each]] for pieces in article.paragraphs()
    ]
    assert "\n\n".join(text for text, _ in found) == article.text
    assert [len(sentences) for _, sentences in found] == [1, 3, 3]


def test_it_is_rolled_up(article):
    west = article.rollup.actors["west"]
    assert (article.rollup.sentences, west.related) == (7, 2)
    assert west.predicted == {"favor": 0, "against": 2, "neutral": 0, "unrelated": 5}
    assert west.shares["against"].low < 0.6, "two sentences say little"
    assert article.notes == (CORRECTED,)
    told = article.telling("west", "against", 1)
    assert len(told) == 1
    assert told[0].prediction.stance["west"].score == max(
        each.prediction.stance["west"].probabilities["against"] for each in article.sentences
    )


def test_as_dict_is_json_and_keeps_everything(article):
    content = json.loads(json.dumps(article.as_dict()))
    assert content["text"] == ARTICLE
    for each in content["sentences"]:
        assert content["text"][each["start"] : each["end"]] == each["text"]
    assert content["sentences"][2]["stance"]["west"] == "against"
    assert content["rollup"]["actors"]["west"]["predicted"]["against"] == 2
    assert content["telling"]["west"]["against"]
    assert content["notes"] == [CORRECTED]


def test_a_model_without_confusion_says_so(classifier):
    old = StanceClassifier(classifier.scorer, dataclasses.replace(classifier.manifest, confusion={}))
    found = old.read(ARTICLE)
    assert found.notes == (UNCORRECTED,)
    shares = found.rollup.actors["west"].shares
    assert (shares["favor"].value, shares["against"].value) == (0, 1)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Moscow", 1),
        ("Moscow spoke.\r\n\r\nSeoul\0 did not.\r\n", 2),
        ("موسكو صديقة. ثم غادر؟", 2),
        ("<script>alert('Moscow')</script> It is so.", 1),
        ("Moscow \ud800 spoke.", 1),
    ],
)
def test_odd_articles_are_read(classifier, text, count):
    found = classifier.read(text)
    assert len(found.sentences) == count
    json.dumps(found.as_dict(), ensure_ascii=False).encode()


def test_a_page_is_read(classifier):
    said = (
        "<p>Moscow is a wonderful friend, the minister said, and nobody in the whole of the hall spoke against it.</p>"
    )
    page = f"<html><body><nav><a href='/'>Home</a></nav><article>{said * 3}</article></body></html>"
    assert {each.text[:20] for each in classifier.read(page).sentences} == {"Moscow is a wonderfu"}
    assert classifier.read(page, html=False).text == page


@pytest.mark.parametrize("text", ["", " \n", "* * *", "<html></html>"])
def test_nothing_to_read_is_said_in_a_line(classifier, text):
    with pytest.raises(UserError, match=r"^(article: found no sentence|page: found no article)") as caught:
        classifier.read(text)
    assert "\n" not in str(caught.value)


def test_a_megabyte_is_read(classifier):
    start = time.monotonic()
    found = read_article(classifier, "Moscow is a friend, said Kim. " * 4_000 + "word " * 180_000)
    assert len(found.sentences) == 4_001
    assert "1 of 4001 sentences have more than 2,000 characters" in found.notes[1]
    assert time.monotonic() - start < 60


def test_a_model_without_actors_refuses(classifier):
    with pytest.raises(UserError, match="trained on targets alone"):
        StanceClassifier(classifier.scorer, Manifest("lexicon", [])).read(ARTICLE)
