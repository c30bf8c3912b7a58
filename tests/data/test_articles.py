"""Articles as text: sentences in their places, the article in a page, and files that are none."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tristance.data.articles import clean, looks_like_html, make_document, sentence_spans
from tristance.data.errors import Fault, UserError
from tristance.data.formats.articles import read_documents

PAGE = """<!doctype html><html><head><meta charset="{charset}"><title>Lavrov scolds the West - Daily Planet</title>
<meta property="og:site_name" content="Daily Planet"><meta property="article:published_time" content="2024-05-03">
</head><body><nav><a href="/">Home</a><a href="/world">World</a></nav><article><h1>Lavrov scolds the West</h1>
<p>Lavrov said on Friday that the West’s era of domination was over. &lt;script&gt;alert(1)&lt;/script&gt; He
<b>praised</b> Pyongyang for its support.</p><p>“We trust Moscow,” Kim said.</p><ul><li>Nothing else was said about
the visit.</li></ul></article><aside>Related: ten things to know</aside><footer>We use cookies.</footer>
<script>var evil = "Moscow";</script></body></html>"""


def sentences(text, **options):
    return [text[span.start : span.end] for span in sentence_spans(text, **options)]


def paragraphs(text):
    return [span.paragraph for span in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'Mr. Lavrov met Gen. Milley on Jan. 5. "We trust Moscow," he said. They left.',
            ["Mr. Lavrov met Gen. Milley on Jan. 5.", '"We trust Moscow," he said.', "They left."],
        ),
        (
            "The U.S. President met U.N. envoys. He left at 5 p.m. The talks went on.",
            ["The U.S. President met U.N. envoys.", "He left at 5 p.m.", "The talks went on."],
        ),
        ("He asked: “Why? Why now?” Nobody knew!", ["He asked: “Why? Why now?”", "Nobody knew!"]),
        ("Kim hails Putin\n\nThe two met. They ate", ["Kim hails Putin", "The two met.", "They ate"]),
        ("Kim hails Putin\nThe two met.", ["Kim hails Putin", "The two met."]),
        ("* * *\n\n1. First of all, Russia won. ---", ["First of all, Russia won."]),
        ("قال المتحدث إن روسيا صديقة. ثم غادر؟ نعم!", ["قال المتحدث إن روسيا صديقة.", "ثم غادر؟", "نعم!"]),
        ("One.", ["One."]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


def test_lines_that_were_broken_to_fit_are_joined_and_headlines_are_not():
    wrapped = (
        "KIM AND PUTIN MEET\n"
        "The Russian president said on Friday that his country would stand\n"
        "by Pyongyang, and that Washington had only itself to blame for all\n"
        "that it called a crisis. Nobody in Seoul was surprised by the news\n"
        "of the day.\n"
    )
    found = sentences(wrapped.strip())
    assert [" ".join(each.split())[:20] for each in found] == [
        "KIM AND PUTIN MEET",
        "The Russian presiden",
        "Nobody in Seoul was ",
    ]
    assert paragraphs(wrapped.strip()) == [0, 1, 1]
    assert sentences("A line that is long enough to be one\nShort\nAnother line that ends here") == [
        "A line that is long enough to be one",
        "Short",
        "Another line that ends here",
    ]


SCRAPS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "Mr. ",
                "U.S. ",
                "“Why?” ",
                "...",
                "\r\n",
                "\n\n",
                "\n",
                "\u2028",
                "\x00",
                "\x85",
                "\u00a0",
                " ",
                "。",
                "🚀",
                "é. ",
            ]
        ),
        st.text(max_size=6),
    ),
    max_size=30,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(SCRAPS)
def test_spans_cover_every_letter_in_order_and_keep_no_space_at_their_ends(scraps):
    text = clean(scraps)
    spans = sentence_spans(text)
    place, rest = 0, ""
    for span in spans:
        assert place <= span.start < span.end <= len(text)
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        rest += text[place : span.start]
        place = span.end
    assert not any(letter.isalpha() for letter in rest + text[place:])
    assert [span.paragraph for span in spans] == sorted(span.paragraph for span in spans)


def test_what_is_cleaned():
    assert clean("\ufeff a\r\nb\rc\x00\x1b[31m\u2028d\ud800 ") == "a\nb\nc[31m\nd\ufffd"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (PAGE, True),
        ("\ufeff\n <html lang=en>", True),
        (b"\xef\xbb\xbf<!-- saved --><HTML>", True),
        ("<?xml version='1.0'?><!DOCTYPE html>", True),
        ("He wrote <script>alert(1)</script> and <html> in it.", False),
        ("<p>is no page", False),
    ],
)
def test_what_looks_like_a_page(text, html):
    assert looks_like_html(text) is html


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251"])
def test_a_page_gives_its_article_alone(charset):
    document = make_document(PAGE.format(charset=charset).encode(charset))
    assert (document.title, document.source, document.date) == ("Lavrov scolds the West", "Daily Planet", "2024-05-03")
    assert sentences(document.text) == [
        "Lavrov scolds the West",
        "Lavrov said on Friday that the West’s era of domination was over.",
        "<script>alert(1)</script> He praised Pyongyang for its support.",
        "“We trust Moscow,” Kim said.",
        "Nothing else was said about the visit.",
    ]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "article: found no sentence; allowed: an article of at least one"),
        (" \0\n* * *", {}, "article: found no sentence; allowed: an article of at least one"),
        (
            "<html><body></body></html>",
            {},
            "page: found no article in the HTML; allowed: a page with one, or plain text",
        ),
        ("", {"html": True, "name": "x.html"}, "x.html: found no article in the HTML; allowed: a page with one, or"),
        (b"Moscow", {"html": False}, "article: found bytes; allowed: text, or HTML"),
    ],
)
def test_what_holds_no_article_is_said(text, options, said):
    with pytest.raises(UserError) as caught:
        make_document(text, **options)
    assert str(caught.value).startswith(said)


def test_a_title_is_the_first_line_once():
    assert make_document("They met.", title="Kim\nand Putin").text == "Kim and Putin\n\nThey met."
    assert make_document("KIM AND PUTIN met.", title="Kim and Putin").text == "KIM AND PUTIN met."


# Files


def test_a_file_is_an_article(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffMoscow spoke.\r\nSeoul did not.".encode())
    (tmp_path / "b.HTML").write_text(PAGE.format(charset="utf-8"), encoding="utf-8")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(PAGE.format(charset="utf-8").encode()))
    [a], [b], [c] = (list(read_documents(tmp_path / name)) for name in ("a.txt", "b.HTML", "c.txt.gz"))
    assert (a.text, a.name) == ("Moscow spoke.\nSeoul did not.", str(tmp_path / "a.txt"))
    assert b.text == c.text
    assert b.source == "Daily Planet"
    [plain] = read_documents(tmp_path / "b.HTML", format="text")
    assert plain.text.startswith("<!doctype")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_row_of_a_table_is_an_article(tmp_path, kind):
    import pandas as pd

    rows = [
        {"id": "x", "body": "Moscow spoke.\n\nSeoul did not.", "source": "TASS", "date": "2024-05-03"},
        {"id": "y", "body": " ", "source": "Yonhap", "date": "2024-05-04"},
        {"id": "z", "body": "Nobody spoke.", "source": "", "date": ""},
    ]
    path = tmp_path / f"t.{kind}"
    frame = pd.DataFrame(rows)
    write = {
        "jsonl": lambda: path.write_text("\n".join(map(json.dumps, rows))),
        "csv": lambda: frame.to_csv(path, index=False),
    }
    write.get(kind, lambda: frame.to_parquet(path))()
    first, second, third = read_documents(path, columns={"text": "body"})
    assert (first.name, first.text) == ("x", "Moscow spoke.\n\nSeoul did not.")
    assert (first.source, first.date) == ("TASS", "2024-05-03")
    assert isinstance(second, Fault)
    assert second.field == "text"
    assert (third.source, third.date) == (None, None)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "a.txt: found no sentence; allowed: an article of at least one"),
        ("a.txt", b"Moscow \x00 spoke.", "a.txt: found binary data; allowed: UTF-8 text"),
        ("a.txt", b"Moscow\xff", "a.txt: found byte 0xff at offset 6, which is not UTF-8; allowed: UTF-8 text"),
        ("a.html", b"<html></html>", "a.html: found no article in the HTML; allowed: a page with one, or plain text"),
        ("a.txt", b"a" * ((1 << 24) + 1), "a.txt: found more than 16,777,216 bytes; allowed: an article of at most"),
        ("a.txt.gz", b"not gzip", "a.txt.gz: found damaged gzip data"),
        ("a.jsonl", b"[]\n", "a.jsonl: found a JSON array"),
        ("a.jsonl", b"3\n", "a.jsonl:1: found 3; allowed: an object with a 'text'"),
        ("a.jsonl", b'{"text": 3.5}', "a.jsonl:1: text: found 3.5; allowed: a string"),
        ("a.jsonl", b'{"text": "A b.", "source": ["x"]}', "a.jsonl:1: source: found ['x']; allowed: a string"),
        ("a.jsonl", b"", "a.jsonl: found no rows; allowed: at least one article"),
    ],
)
def test_a_file_that_is_none_is_a_fault(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    [fault] = read_documents(tmp_path / name)
    assert isinstance(fault, Fault)
    assert str(fault).startswith(f"{tmp_path}/{said}")
    assert "\n" not in str(fault)
