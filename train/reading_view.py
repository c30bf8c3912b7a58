"""Articles on a terminal, in colours that the colour-blind can tell apart, with a sign for each besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tristance.data.labels import HELD
from tristance.models.article import Article, Sentence
from tristance.train.reading import SHARE_COLUMNS, SIGNS, Overview, overview_table, shares_table, towards_table

STYLES: Final[Mapping[str, str]] = {"favor": "#56B4E9", "against": "#E69F00", "neutral": "dim"}
SHOWN: Final = 400
"""Sentences of an article that a terminal shows; of a longer one only what tells most."""
TELLING: Final = 2


def show_article(article: Article, console: Console) -> None:
    """The article with the stances of every sentence, then what they come to."""
    names = article.names
    if len(article.sentences) <= SHOWN:
        for pieces in article.paragraphs():
            parts = [_marked(text, sentence, names) if sentence else Text(text) for text, sentence in pieces]
            console.print(Text().join(parts), end="\n\n")
    else:
        console.print(f"{len(article.sentences):,} sentences: too many to show here; -o page.html holds them.\n")
    console.print(_table("What its sentences convey", SHARE_COLUMNS, shares_table(article.rollup, names)))
    console.print(_table("Who towards whom, as predicted", *towards_table(article.rollup, names)))
    for actor, name in names.items():
        _show_telling(article, actor, name, console)
    _show_notes(article.notes, console)


def show_overview(overview: Overview, names: Mapping[str, str], console: Console) -> None:
    """A line for each group and actor; `names` gives the name of each actor's id."""
    columns, rows = overview_table(overview, names)
    console.print(_table(f"Stances by {overview.unit}", columns, rows, every=len(names)))
    _show_notes(overview.notes, console)


def _marked(text: str, sentence: Sentence, names: Mapping[str, str]) -> Text:
    found = [(actor, stance) for actor, stance in sentence.prediction.stance.items() if stance.label in SIGNS]
    held = {stance.label for _, stance in found} & set(HELD)
    line = Text(" ".join(text.split()), STYLES[held.pop()] if len(held) == 1 else "")
    for actor, stance in found:
        by = f" by {names.get(stance.holder, stance.holder)}" if stance.label in HELD else ""
        line.append(f" {SIGNS[stance.label]}{names[actor]}{by} {stance.score:.0%}", f"italic {STYLES[stance.label]}")
    return line


def _show_telling(article: Article, actor: str, name: str, console: Console) -> None:
    shown = [(stance, each) for stance in HELD for each in article.telling(actor, stance, TELLING)]
    for stance, sentence in shown:
        line = Text(f"{SIGNS[stance]} {stance} {name} {sentence.prediction.stance[actor].score:.0%} ", STYLES[stance])
        console.print(line.append(" ".join(sentence.text.split()), "default"))
    console.print() if shown else None


def _show_notes(notes: Iterable[str], console: Console) -> None:
    for note in notes:
        console.print(Text(note, "dim"))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], every: int = 0) -> Table:
    table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(column), justify="right" if "%" in column or column == "sentences" else "left")
    for number, row in enumerate(rows, 1):
        table.add_row(*map(Text, row), end_section=bool(every) and number % every == 0)
    return table
