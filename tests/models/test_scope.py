"""What is out of scope: other languages and what is no sentence; and what the corpus says of false marks."""

from __future__ import annotations

import json

import pytest

from tristance.data.sources import FOLDER
from tristance.models.scope import languages_of, out_of_scope

FOREIGN = {
    "Der Kreml warf dem Westen vor, die Ukraine zu einem Stellvertreterkrieg zu drängen.": "de",
    "Washington und Moskau haben Gefangene ausgetauscht.": "de",
    "Le ministre russe des Affaires étrangères a accusé l'Occident de mentir.": "fr",
    "Corea del Norte lanzó un misil sobre el mar de Japón.": "es",
    "Europa no cree en las promesas de Moscú.": "es",
    "Il Cremlino accusa l'Occidente di voler la guerra.": "it",
    "De Amerikanen vertrouwen het Kremlin niet meer.": "nl",
    "Moskwa i Waszyngton wymieniły więźniów.": "pl",
    "Moskova ve Washington esir takası yaptı.": "tr",
    "Лавров заявил, что Запад развязал войну против России.": "ru",
    "Росія знову обстріляла Харків.": "uk",
    "북한이 동해상으로 탄도미사일을 발사했다.": "ko",
    "朝鲜向日本海发射了一枚弹道导弹。": "zh",
    "北朝鮮は日本海に向けて弾道ミサイルを発射した。": "ja",
    "اتهم الكرملين الغرب بالكذب بشأن الحرب.": "ar",
}


@pytest.mark.parametrize(("text", "language"), FOREIGN.items())
def test_another_language_is_named(text, language):
    assert out_of_scope(text) == f"language: {language}"
    assert out_of_scope(f"{text} https://t.co/abc") == f"language: {language}"


def test_a_model_of_another_language_reads_that():
    german = [text for text, language in FOREIGN.items() if language == "de"]
    assert languages_of(german) == ["de"]
    assert out_of_scope(german[0], ["de"]) is None
    assert out_of_scope("The Kremlin accused the West of starving the poor of the world.", ["de"]) == "language: en"
    assert languages_of([]) == ["en"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12.5 %", "no word"),
        ("…", "no word"),
        ("https://t.co/ab12", "a link"),
        ("@kremlin #nato desk@mfa.gov", "a link"),
        ("Reuters", "one word"),
        ("<p>Putin thanked Kim.</p>", "markup"),
        ("Share this&nbsp;page with your friends", "markup"),
        ("very " * 30 + "long", "31 words, more than the 30 tokens that are read"),
    ],
)
def test_what_is_no_sentence_is_told_why(text, reason):
    assert out_of_scope(text, longest=30) == f"no sentence: {reason}"


@pytest.mark.parametrize(
    "text",
    [
        "Putin lied.",
        "AT&T said that Putin is < 3 and > 2.",
        "Szijjártó found warm words for Trump and for Rosatom.",
        "PYONGYANG FIRES MISSILE https://t.co/abc",
        "big parade in pyongyang tonight",
        "Kim Jong Un, Choe Son Hui, Ri Yong Ho and Pak Pong Ju attended the parade.",
    ],
)
def test_english_full_of_names_is_judged(text):
    assert out_of_scope(text, longest=160) is None


def test_no_sentence_of_the_bundled_corpus_is_marked():
    lines = [line for split in ("validation", "test") for line in (FOLDER / f"{split}.jsonl").read_text().splitlines()]
    texts = [json.loads(line)["text"] for line in lines]
    assert len(texts) > 3000
    assert [text for text in texts if out_of_scope(text, longest=160)] == []
