"""The report: one file, every text escaped, and a page that works in a browser without a network."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.browser import needs_browser, opened
from tristance.train.comparison.sheets import Sheet
from tristance.train.evaluation.plots import reach
from tristance.train.page.render import render_page

EVIL = "<script>alert('x')</script> & </SCRIPT> \"Moscow\""


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory):
    """The report of a real run, one of whose sentences is markup."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    run = tmp_path_factory.mktemp("evil") / "trained" / "13"
    shutil.copytree(trained.run.folder, run)
    path = run / "predictions" / "validation.parquet"
    table = pq.read_table(path)
    texts = [EVIL if number < 3 else text for number, text in enumerate(table.column("text").to_pylist())]
    table = table.set_column(table.column_names.index("text"), "text", pa.array(texts))
    pq.write_table(table, path)
    from tristance.train.page.collect import report_page

    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(report_page([run]), encoding="utf-8")
    return file


def test_it_is_one_file_of_moderate_size(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 3_000_000
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", text), "nothing outside the file"
    assert not re.search(r"@import|url\((?!data:)", text)


def test_every_text_is_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("</script>") == 2, "the data and the page's own script end once each"
    assert "\\u003cscript>alert" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert EVIL in data["texts"]


def test_a_sheet_with_markup_stays_text():
    text = render_page(EVIL, sheets=[Sheet(EVIL, (EVIL,), ((EVIL,),), EVIL)])
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") == 6


def test_what_it_holds(page):
    text = page.read_text(encoding="utf-8")
    for part in (
        "F_avg of each actor",
        "Confusion",
        "Calibration",
        "Training",
        "Slices",
        "Who holds what towards west",
    ):
        assert part in text
    for part in ("Behaviour tests", "contrast_consistency", "Hardest sentences", "Config", "Provenance", "Predictions"):
        assert part in text
    assert len(re.findall(r'<img src="data:image/svg\+xml;base64,[^"]{1000,}" alt="[^"]+"', text)) == 5


def test_the_command_writes_it(cli, trained, tmp_path):
    done = cli("report", trained.run.folder, "-o", tmp_path / "r.html")
    assert (done.code, done.out.startswith(str(tmp_path / "r.html"))) == (0, True), done.err
    refused = cli("report", trained.run.folder, "--split", "test", "-o", tmp_path / "t.html")
    assert (refused.code, "not a shipped one" in refused.err) == (2, True)
    assert not (tmp_path / "t.html").exists()


@needs_browser
def test_it_works_in_a_browser(page):
    with opened(Path(page).as_uri()) as (view, said):
        count = view.locator("#count")
        everything = int(count.inner_text().split()[0])
        assert everything == 48 * 3
        view.fill("#search", "alert(")
        assert count.inner_text().startswith("3 of")
        assert view.locator("#predictions tbody tr td").first.inner_text() == EVIL
        view.fill("#search", "")
        view.select_option("#outcome", "wrong")
        wrong = int(count.inner_text().split()[0])
        view.select_option("#outcome", "right")
        assert wrong + int(count.inner_text().split()[0]) == everything
        view.select_option("#outcome", "")
        view.select_option("#slot", "russia")
        assert count.inner_text().startswith("48 of")
        view.click("#more")
        assert view.locator("#predictions tbody tr").count() == 48
        assert all(view.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 100)")), (
            "every picture is drawn"
        )
        assert said == []


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ({"value": 0.25, "low": 0.0, "high": 0.5}, (0.25, 0.25)),
        ({"value": 0.25, "low": None, "high": None}, (0.0, 0.0)),
        ({"value": 0.5, "low": 0.5, "high": 1.0}, (0.0, 0.5)),
    ],
)
def test_an_error_bar_reaches_as_far_as_its_interval_down_to_zero(figure, expected):
    assert reach(figure) == expected
