"""`tristance read`: one article, many side by side, and what cannot be read."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from tristance.data.articles import Document
from tristance.data.errors import UserError
from tristance.models.manifest import Manifest
from tristance.models.rollup import Tally
from tristance.train.reading import key_of, overview, share_text

ARTICLE = "Moscow is a wonderful friend, said Kim.\n\nThe United States is a horrible, evil threat. It rained [/bold]."
ROWS = [
    {"id": "a", "text": ARTICLE, "source": "TASS", "date": "2024-05-03"},
    {"id": "b", "text": "Washington is a horrible threat.", "source": "TASS", "date": "2024-06-17T10:00:00Z"},
    {"id": "c", "text": "Moscow failed.", "source": "Yonhap", "date": "2023-01-01"},
    {"id": "d", "text": "Moscow spoke.", "source": "", "date": ""},
]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "articles.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return path


@pytest.fixture
def article(tmp_path):
    path = tmp_path / "article.txt"
    path.write_text(ARTICLE, encoding="utf-8")
    return path


def test_an_article_on_the_terminal(cli, lexicon_model, article):
    done = cli("read", lexicon_model, article)
    assert done.code == 0, done.err
    text = " ".join(done.out.split())
    assert "The United States is a horrible, evil threat. ▼the West by" in text
    assert "It rained [/bold]." in text
    assert "the West 1 of 3" in text
    assert "▲ favor Russia" in text
    assert "Who towards whom" in text
    assert "they hold only where the text resembles the corpus" in text


def test_standard_input_and_json(cli, lexicon_model):
    done = cli("read", lexicon_model, "-", "-o", "-", stdin=ARTICLE)
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    assert [each["stance"]["west"] for each in content["sentences"]] == ["unrelated", "against", "unrelated"]
    page = (
        f"<!doctype html><html><body><article>{''.join(f'<p>{ARTICLE}</p>' for _ in range(3))}</article></body></html>"
    )
    done = cli("read", lexicon_model, "-", "-o", "-", stdin=page)
    assert "<p>" not in json.loads(done.out)["text"]


def test_a_run_is_a_model_too(cli, trained, article):
    done = cli("read", trained.run.folder, article, "-o", "-")
    assert done.code == 0, done.err
    assert json.loads(done.out)["rollup"]["corrected"] is True, "training left the confusion of validation"
    known = Manifest.read(trained.model).confusion
    counted = json.loads(trained.run.metrics_file.read_text())["validation"]["slots"]["west"]["confusion"]["counts"]
    assert known["west"] == counted


def test_many_articles_by_source(cli, lexicon_model, table, tmp_path):
    done = cli("read", lexicon_model, table, "--by", "source")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines() if " the West " in line] == ["TASS", "Yonhap", "all"]
    assert "Articles that tell no source, and are in the total alone: 1." in done.out
    done = cli("read", lexicon_model, table, "--by", "source", "-o", tmp_path / "t.csv")
    assert done.err == f"4 articles, 6 sentences -> {tmp_path / 't.csv'}\n"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert [(row["source"], row["actor"]) for row in rows[:4]] == [
        ("TASS", "west"),
        ("TASS", "russia"),
        ("TASS", "north_korea"),
        ("Yonhap", "west"),
    ]
    assert (rows[0]["articles"], rows[0]["sentences"], rows[0]["related"]) == ("2", "4", "2")
    assert float(rows[0]["against_low"]) <= float(rows[0]["against"]) <= float(rows[0]["against_high"])
    assert rows[3]["favor"] == "", "nothing is said where nobody is referred to"


def test_many_articles_by_date_as_a_picture_and_json(cli, lexicon_model, table, tmp_path):
    for name in ("t.svg", "again.svg", "t.html", "t.json"):
        done = cli("read", lexicon_model, table, "--by", "date:year", "-o", tmp_path / name)
        assert done.code == 0, done.err
    picture = (tmp_path / "t.svg").read_text()
    assert picture == (tmp_path / "again.svg").read_text()
    assert "towards North Korea" in picture
    assert "2023" in picture
    content = json.loads((tmp_path / "t.json").read_text())
    assert [(each["name"], each["articles"]) for each in content["groups"]] == [("2023", 1), ("2024", 2)]
    assert (content["by"], content["left_out"], content["total"]["articles"]) == ("date:year", 1, 4)
    assert "data:image/svg+xml;base64," in (tmp_path / "t.html").read_text()


def test_files_and_patterns_are_articles_side_by_side(cli, lexicon_model, article, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    (tmp_path / "other.txt").write_text("Moscow failed.")
    done = cli("read", lexicon_model, tmp_path / "*.txt", "-o", tmp_path / "all.jsonl")
    assert done.code == 0, done.err
    assert f"rejected: {tmp_path / 'bad.txt'}: found byte 0xff at offset 0" in done.err
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == [str(article), str(tmp_path / "other.txt")]
    assert [len(row["sentences"]) for row in rows] == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.txt"], "nowhere.txt: no such file"),
        (["{here}"], "{here}: is a folder; allowed: files, as in {here}/*.html"),
        (["{here}/*.pdf"], "{here}/*.pdf: no file fits this pattern"),
        (["{here}/empty.txt"], "{here}/empty.txt: found no sentence; allowed: an article of at least one"),
        (["{here}/empty.html"], "{here}/empty.html: found no article in the HTML"),
        (["{article}", "-o", "x.pdf"], "x.pdf: found the ending '.pdf'; allowed: .json, .html"),
        (["{table}", "-o", "x.txt"], "x.txt: found the ending '.txt'; allowed: .json, .jsonl, .csv, .html, .svg"),
        (["{table}", "-o", "{table}"], "{table}: is a file that is read; allowed: another file"),
        (["{article}", "--column", "text=body"], "--column: found 'text', but no table; allowed: with jsonl, csv"),
        (
            ["{article}", "--by", "source"],
            "--by source: found none in 1 articles; allowed: articles that tell their source",
        ),
        (["{here}/undated.jsonl", "--by", "date"], "u: date: found 'May 3'; allowed: ISO 8601"),
        (["{here}/head.csv"], "{here}/head.csv: has no column 'text' for 'text'"),
        (["{article}", "--by", "colour"], "'colour' is not one of 'article', 'source', 'date'"),
        (["-", "--format", "parquet"], "-: Parquet cannot be read from standard input"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(cli, lexicon_model, article, table, tmp_path, arguments, said):
    here = tmp_path
    (here / "empty.txt").touch()
    (here / "empty.html").write_text("<html></html>")
    (here / "undated.jsonl").write_text('{"id": "u", "text": "Moscow spoke.", "date": "May 3"}')
    (here / "head.csv").write_text("body\nMoscow spoke.\n")
    places = {"here": here, "article": article, "table": table}
    before = sorted(here.iterdir())
    done = cli("read", lexicon_model, *(each.format(**places) for each in arguments))
    assert done.code == 2
    assert said.format(**places) in done.err
    assert "Traceback" not in done.err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("date", "allowed"),
    [
        ("2024", True),
        ("2024-02-29", True),
        ("2024-05-03T10:00:00Z", True),
        ("2024-02-30", False),
        ("2024-13", False),
        ("20240503", False),
        ("3.5.2024", False),
    ],
)
def test_dates(date, allowed):
    if allowed:
        assert key_of(Document("A.", date=date), "date") == date[:10]
    else:
        with pytest.raises(UserError, match=f"date: found '{date}'"):
            key_of(Document("A.", "x", date=date), "date")


def test_dates_are_grouped_by_the_least_precise():
    manifest = Manifest("lexicon", [{"id": "a", "name": "A"}])
    one = Tally(np.array([[1, 0, 0, 0]]), np.zeros((3, 1, 2), np.int64))
    found = overview([("2024-05-17", one), ("2024-05", one), ("2023-01-02", one)], manifest, "date")
    assert (found.by, found.unit) == ("date:month", "month")
    assert [(group.name, group.articles) for group in found.groups] == [("2023-01", 1), ("2024-05", 2)]
    by_day = overview([("2024-05-17", one), ("2024-05", one)], manifest, "date:day")
    assert (by_day.left_out, by_day.total.articles) == (1, 2)


def test_nothing_said_is_a_dash():
    assert share_text(None) == "–"
