"""What a model was not made for: a sentence in another language, or no sentence. A few rules, and a small library."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

FOREIGN: Final = 40
"""How many times likelier another language must be than all of the model's own: in doubt a sentence is judged.

Of the 15,646 sentences of the bundled corpus none is foreign by it; the nearest, "big parade in pyongyang tonight", has
30. Of 60 sentences in 31 languages all are. Of 50 shorter ones 42 are: those of three words, mostly names ("Putin
elogia Trump."), slip through. It was chosen in sight of all three, so new text may do a little worse.
"""
NO_LANGUAGE: Final = "zxx"
"""The code of what is in no language: formulas, lists of codes."""
OWN_SHARE: Final = 0.05
"""Least share of a model's training sentences that a language of its own has; the rest are slips of the detector."""
LINK: Final = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+|[@#]\w+")
MARKUP: Final = re.compile(r"</?[a-zA-Z][^<>]*>|&(?:[a-z]+|#\d+);")
ENGLISH: Final = frozenset(
    [
        *(
            "the",
            "and",
            "with",
            "that",
            "from",
            "their",
            "its",
            "which",
            "would",
            "said",
            "this",
            "been",
            "they",
            "into",
        ),
        *(
            "about",
            "whose",
            "are",
            "were",
            "could",
            "after",
            "before",
            "while",
            "against",
            "because",
            "between",
            "during",
        ),
        *(
            "other",
            "never",
            "what",
            "when",
            "where",
            "who",
            "him",
            "our",
            "your",
            "you",
            "his",
            "she",
            "we",
            "as",
            "have",
        ),
    ]
)
"""Words of English that hardly another language has; two of them spare the detector, and the second that it loads."""
WORD: Final = re.compile(r"\w*[^\W\d_]\w*")
"""A run of letters and digits with a letter in it."""


def out_of_scope(text: str, languages: Sequence[str] = ("en",), longest: int | None = None) -> str | None:
    """Why a text cannot be judged, in a few words.

    Args:
        text: What should be a sentence.
        languages: ISO 639 codes of the languages that the model reads.
        longest: Tokens that it reads; a text of more words has surely lost its end.

    Returns:
        `no sentence: …` or `language: de`; None for a sentence that can be judged.
    """
    words = WORD.findall(LINK.sub(" ", text))
    if not words:
        return "no sentence: a link" if LINK.search(text) else "no sentence: no word"
    if MARKUP.search(text):
        return "no sentence: markup"
    if longest is not None and len(words) > longest:
        return f"no sentence: {len(words)} words, more than the {longest} tokens that are read"
    if (language := foreign_language(LINK.sub(" ", text), languages)) is not None:
        return "no sentence: no language" if language == NO_LANGUAGE else f"language: {language}"
    return "no sentence: one word" if len(words) == 1 else None


def foreign_language(text: str, languages: Sequence[str]) -> str | None:
    """Code of the likeliest language, if it is surely none of `languages`; None if it may be one of them.

    Source: Lui and Baldwin, langid.py: An Off-the-shelf Language Identification Tool, ACL 2012; by py3langid.
    """
    if "en" in languages and len(ENGLISH.intersection(text.casefold().split())) > 1:
        return None
    found, probability = _detector().classify(text)
    if found in languages:
        return None
    own = sum(share for language, share in _detector().rank(text) if language in languages)
    return str(found) if probability >= FOREIGN * own else None


def languages_of(texts: Iterable[str]) -> list[str]:
    """The languages that a corpus is written in, the commonest first; English for an empty one."""
    counts = Counter(str(_detector().classify(text)[0]) for text in texts)
    return [code for code, count in counts.most_common() if count >= OWN_SHARE * counts.total()] or ["en"]


@lru_cache(maxsize=1)
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loads for a second: not before it is needed

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
