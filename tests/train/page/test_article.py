"""The page of an article: one file, escaped, that works in a browser without a network or a script."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.browser import needs_browser, opened
from tristance.models import StanceClassifier
from tristance.train.page.article import article_page, highlighted

EVIL = "<script>alert('x')</script> Moscow & \"Kim\" are wonderful friends."
ARTICLE = f"""{EVIL}

The United States is a horrible,
evil threat. It rained.

موسكو صديقة."""


@pytest.fixture(scope="module")
def article(lexicon_model):
    return StanceClassifier.from_pretrained(lexicon_model).read(ARTICLE)


@pytest.fixture(scope="module")
def page(article):
    return article_page(article)


class Words(HTMLParser):
    """The text of a fragment without the signs, and its marks."""

    def __init__(self, fragment):
        super().__init__()
        self.paragraphs, self.marks, self.sign = [], [], False
        self.feed(str(fragment))

    def handle_starttag(self, tag, attributes):
        self.sign = tag == "sup"
        if tag == "p":
            self.paragraphs.append("")
        if tag == "mark":
            self.marks.append(dict(attributes))

    def handle_endtag(self, tag):
        self.sign = False

    def handle_data(self, data):
        if not self.sign and self.paragraphs:
            self.paragraphs[-1] += data.rstrip("\n") if data == "\n" else data


def test_a_fragment_marks_the_sentences_about_its_actor_and_loses_nothing(article):
    west, russia = Words(highlighted(article, "west")), Words(highlighted(article, "russia"))
    for words in (west, russia):
        assert "\n\n".join(words.paragraphs) == article.text
    assert [mark["class"] for mark in west.marks] == ["against"]
    assert [mark["class"] for mark in russia.marks] == ["favor"]
    assert re.fullmatch(r"against the West \d+%, held by .+", west.marks[0]["title"])


def test_everything_is_escaped_and_nothing_is_outside(page):
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert") >= 3
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert not re.search(r"@import|url\((?!data:)", page)
    assert "default-src 'none'" in page


@needs_browser
def test_it_works_in_a_browser(page, tmp_path):
    file = tmp_path / "article.html"
    file.write_text(page, encoding="utf-8")
    with opened(file.as_uri()) as (view, said):
        visible = view.locator(".panel:visible")
        assert visible.count() == 1
        assert visible.locator("h2").inner_text() == "Towards the West"
        assert visible.locator(".text mark").inner_text().startswith("The United States is a horrible,")
        view.get_by_label("Russia", exact=True).check()
        assert view.locator(".panel:visible h2").inner_text() == "Towards Russia"
        assert EVIL in view.locator(".panel:visible .text mark").inner_text()
        arabic = view.locator(".panel:visible .text p").last
        assert arabic.evaluate("element => getComputedStyle(element).direction") == "rtl"
        assert said == []
