"""An article as HTML: the text with its stances towards one actor marked, and a page of it for all actors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tristance.data.labels import HELD
from tristance.models.article import Article, Sentence
from tristance.models.rollup import Share
from tristance.train.reading import SIGNS, share_text, towards_table

HERE: Final = Path(__file__).parent
STYLE: Final = (HERE / "article.css").read_text(encoding="utf-8")
"""What `highlighted` needs beside it, in a `<style>`."""
TELLING: Final = 3
BAR: Final = 200
"""Width of a bar of 100 %."""


def highlighted(article: Article, actor: str) -> Markup:
    """The article's text as HTML, every sentence that refers to `actor` marked by its stance.

    Args:
        article: The article.
        actor: An actor's id.

    Returns:
        `<p>` elements to stand beside `STYLE`; everything in them is escaped.
    """
    parts = []
    for pieces in article.paragraphs():
        marked = [
            _mark(text, sentence, actor, article.names) if sentence else escape(text) for text, sentence in pieces
        ]
        parts.append(Markup('<p dir="auto">{}</p>').format(Markup().join(marked)))
    return Markup("\n").join(parts)


def article_page(article: Article) -> str:
    """One self-contained page: the article highlighted for each actor in turn, and what its sentences come to."""
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    columns, rows = towards_table(article.rollup, article.names)
    return environment.get_template("article.html").render(
        title=article.document.title or article.document.name or "Article",
        origin=[each for each in (article.document.source, article.document.date) if each],
        actors=[_panel(article, actor, name) for actor, name in article.names.items()],
        sentences=len(article.sentences),
        signs=SIGNS,
        bar=BAR,
        towards={"columns": columns, "rows": rows},
        notes=article.notes,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8") + STYLE),
    )


def _panel(article: Article, actor: str, name: str) -> dict[str, Any]:
    found = article.rollup.actors[actor]
    return {
        "id": actor,
        "name": name,
        "related": found.related,
        "bars": [_bar(label, found.shares[label], found.predicted[label]) for label in SIGNS if label in found.shares],
        "text": highlighted(article, actor),
        "telling": [
            {"label": label, "text": each.text, "score": each.prediction.stance[actor].score}
            for label in HELD
            for each in article.telling(actor, label, TELLING)
        ],
    }


def _bar(label: str, share: Share, predicted: int) -> dict[str, Any]:
    places = {name: round(BAR * getattr(share, name), 1) for name in ("value", "low", "high")}
    return {"label": label, "text": share_text(share), "predicted": predicted, **places}


def _mark(text: str, sentence: Sentence, actor: str, names: dict[str, str]) -> Markup:
    stance = sentence.prediction.stance[actor]
    if stance.label not in SIGNS:
        return escape(text)
    by = f", held by {names.get(stance.holder, stance.holder)}" if stance.label in HELD else ""
    said = f"{stance.label} {names[actor]} {stance.score:.0%}{by}"
    return Markup('<mark class="{}" title="{}">{}<sup aria-label="{}">{}</sup></mark>').format(
        stance.label, said, text, said, SIGNS[stance.label]
    )
