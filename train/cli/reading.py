"""`tristance read`: a model over whole articles."""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.markup import escape

from tristance.data.errors import Fault, UserError
from tristance.data.files import writing
from tristance.data.formats.articles import FORMATS, TABLES, find_article_format
from tristance.train.cli import column_option, console
from tristance.train.reading import KEYS

if TYPE_CHECKING:
    from tristance.data.articles import Document
    from tristance.models.article import Article
    from tristance.models.classifier import StanceClassifier
    from tristance.models.rollup import Tally
    from tristance.train.reading import Overview

STDOUT: Final = "-"
OUTPUTS: Final = {"one": (".json", ".html"), "many": (".json", ".jsonl", ".csv", ".html", ".svg")}


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", help="What to write, by its ending (below); - for JSON on standard output.")
@click.option(
    "--by",
    type=click.Choice(KEYS),
    metavar="KEY",
    help="article, source, date, date:month, …: put articles side by side.  [default: article, if there are several]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="If the endings do not tell.",
)
@column_option
@click.option(
    "--language", default="en", show_default=True, help="Of the articles, for splitting sentences: en, ru, ko."
)
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(min=1), help="Sentences a step.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
def read(
    model: str,
    files: tuple[str, ...],
    output: str | None,
    by: str | None,
    format_: str,
    columns: dict[str, str],
    language: str,
    batch_size: int,
    device: str,
) -> None:
    """Read whole articles in FILES with MODEL: who is for whom, and who is against whom.

    MODEL is a run (runs/base/13), a model folder, or a hub name. A file is an article as text or HTML (menus and
    notices are cut), - is standard input; or a table of articles: .jsonl, .csv, .tsv, .parquet with a column `text`,
    and `id`, `title`, `source`, `date` where known.

    One article is shown with the stances of its sentences, and what they come to towards each actor: the shares in
    favor, against and neutral, with intervals that know the classifier errs, and who holds them. -o writes that as
    .json, or as .html: one page, highlighted for each actor. Several articles give a table by article, source or date:
    on the terminal, or as .json, .csv, .html (with a plot) or .svg (the plot); .jsonl holds every sentence of all.

    \b
      tristance read runs/base/13 article.txt
      curl -s https://example.org/news | tristance read runs/base/13 - -o article.html
      tristance read runs/base/13 'pages/*.html' --by source
      tristance read runs/base/13 articles.jsonl --by date:month --column text=body -o trend.html
    """
    from tristance.models import hub
    from tristance.models.classifier import StanceClassifier

    paths = [path for file in files for path in _expanded(file)]
    kinds = [find_article_format(path, format_) for path in paths]
    if columns and not set(kinds) & set(TABLES):
        raise UserError(f"--column: found {next(iter(columns))!r}, but no table; allowed: with {', '.join(TABLES)}")
    alone = len(paths) == 1 and kinds[0] not in TABLES and by is None
    _require_output(output, OUTPUTS["one" if alone else "many"], paths)
    classifier = StanceClassifier.from_pretrained(hub.of_run(model), device=device)
    by = by or "article"
    documents = _documents(paths, format_, columns, by)
    articles = _articles(classifier, documents, language, batch_size)
    if alone:
        _give_article(next(iter(articles)), output)
    else:
        _give_overview(classifier, articles, by, output)


def _expanded(file: str) -> list[str]:
    """The files of a pattern that the shell left as it is."""
    if file == "-" or Path(file).exists() or not glob.has_magic(file):
        return [file]
    found = sorted(path for path in glob.glob(file, recursive=True) if Path(path).is_file())  # noqa: PTH207
    if not found:
        raise UserError(f"{file}: no file fits this pattern")
    return found


def _require_output(output: str | None, endings: tuple[str, ...], paths: list[str]) -> None:
    if output in (None, STDOUT):
        return
    place = Path(str(output))
    if place.is_dir():
        raise UserError(f"{output}: is a folder; allowed: a file with the ending {', '.join(endings)}")
    if place.suffix not in endings:
        raise UserError(f"{output}: found the ending {place.suffix!r}; allowed: {', '.join(endings)}")
    if any(path != "-" and place.resolve() == Path(path).resolve() for path in paths):
        raise UserError(f"{output}: is a file that is read; allowed: another file")


def _documents(paths: list[str], format_: str, columns: Mapping[str, str], by: str) -> Iterator[Document]:
    """The articles that can be read. The others are told on standard error, or are the error where there is no other.

    Raises:
        UserError: If none can be read.
    """
    from tristance.data.formats.articles import read_documents

    found, waiting = False, list[str]()
    for row in itertools.chain.from_iterable(read_documents(path, format=format_, columns=columns) for path in paths):
        fault = _fault(row, by)
        if fault is not None:
            waiting.append(fault)
        if fault is None or found:
            found = True
            while waiting:
                click.echo(f"rejected: {waiting.pop(0)}", err=True)
        if not isinstance(row, Fault) and fault is None:
            yield row
    if not found:
        more = [f"and {len(waiting) - 5} more"] if len(waiting) > 5 else []
        raise UserError("\n".join([*waiting[:5], *more]))


def _fault(row: Document | Fault, by: str) -> str | None:
    """What keeps an article from being read, or from its place in the table: told before it is read, which is long."""
    from tristance.train.reading import key_of

    if isinstance(row, Fault):
        return str(row)
    try:
        key_of(row, by)
    except UserError as error:
        return str(error)
    return None


def _articles(
    classifier: StanceClassifier, documents: Iterable[Document], language: str, batch_size: int
) -> Iterator[Article]:
    from rich.console import Console

    from tristance.models.article import read_article

    with Console(stderr=True).status("reading", spinner="line") as status:
        for number, document in enumerate(documents, 1):
            status.update(f"reading article {number}: {escape(document.name)}")
            yield read_article(classifier, document, language=language, batch_size=batch_size)


def _give_article(article: Article, output: str | None) -> None:
    if output is None:
        from tristance.train.reading_view import show_article

        show_article(article, console())
    elif output.endswith(".html"):
        from tristance.train.page.article import article_page

        _write(output, article_page(article))
    else:
        _write(output, _json(article.as_dict()))
    if output not in (None, STDOUT):
        click.echo(f"{len(article.sentences)} sentences -> {output}", err=True)


def _give_overview(classifier: StanceClassifier, articles: Iterable[Article], by: str, output: str | None) -> None:
    from tristance.train.reading import overview

    lines = output if output is not None and output.endswith(".jsonl") else None
    found = overview(_tallied(articles, by, lines), classifier.manifest, by)
    names = {actor.id: actor.name for actor in classifier.actors}
    if output is None:
        from tristance.train.reading_view import show_overview

        show_overview(found, names, console())
    elif lines is None:
        _write(output, _rendered(found, names, output))
    if output not in (None, STDOUT):
        click.echo(f"{found.total.articles} articles, {found.total.rollup.sentences} sentences -> {output}", err=True)


def _tallied(articles: Iterable[Article], by: str, lines: str | None) -> Iterator[tuple[str | None, Tally]]:
    """What the table is made of; on the way each article goes to its line of a file, if one is wanted."""
    from tristance.train.reading import key_of

    with writing(lines) if lines else contextlib.nullcontext() as stream:
        for article in articles:
            if stream:
                stream.write(json.dumps(article.as_dict(), ensure_ascii=False) + "\n")
            yield key_of(article.document, by), article.tally


def _rendered(found: Overview, names: Mapping[str, str], output: str) -> str:
    if output.endswith(".csv"):
        return found.as_csv()
    if output.endswith(".html"):
        from tristance.train.page.trend import overview_page

        return overview_page(found, names)
    if output.endswith(".svg"):
        from tristance.train.page.trend import trend_svg

        return trend_svg(found, names)
    return _json(found.as_dict())


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _write(output: str, content: str) -> None:
    if output == STDOUT:
        click.echo(content, nl=False)
        return
    with writing(output) as stream:
        stream.write(content)
