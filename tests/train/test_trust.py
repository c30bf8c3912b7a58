"""The command line of trust: `predict --max-error`, `calibrate`, `explain`."""

from __future__ import annotations

import json
import shutil

import pytest

from tristance.models.manifest import Manifest

GERMAN = "Der Kreml warf dem Westen vor, die Ukraine zu einem Stellvertreterkrieg zu drängen."
ENGLISH = "Lavrov told the West that its era of domination was over."


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained.model, tmp_path / "model")


def test_predict_marks_rows_and_tells_coverage(cli, trained, tmp_path):
    done = cli("predict", trained.model, "-", "--min-confidence", "west=1", stdin=f"{ENGLISH}\n{GERMAN}\n")
    assert done.code == 0, done.err
    english, german = map(json.loads, done.out.splitlines())
    assert (english["abstained"], german["out_of_scope"]) == (["west"], "language: de")
    assert "out of scope: 1 of 2: language: de (1)" in done.err
    assert "coverage: west 0.0%, russia 100.0%, north_korea 100.0%" in done.err
    done = cli("predict", trained.model, "-", "--any-language", stdin=GERMAN)
    assert json.loads(done.out)["sentiment"] is not None
    assert done.err == ""


@pytest.mark.parametrize(
    ("value", "said"), [("high", "found 'high'; allowed: 0.7, or west=0.7"), ("=0.5", "one for all")]
)
def test_a_confidence_that_is_none_is_told(cli, trained, value, said):
    done = cli("predict", trained.model, "-", "--min-confidence", value, stdin=ENGLISH)
    assert (done.code, said in done.err) == (2, True)


def test_calibrate_measures_the_users_sentences(cli, model, small_corpus):
    before = Manifest.read(model)
    done = cli("calibrate", model, small_corpus.test)
    assert done.code == 0, done.err
    assert f"risk of west, russia, north_korea on 48 sentences -> {model}" in done.err
    after = Manifest.read(model)
    assert after.risk != before.risk
    assert {**after.as_dict(), "risk": None} == {**before.as_dict(), "risk": None}
    done = cli("predict", model, "-", "--max-error", 0.9, stdin=ENGLISH)  # checksums fit
    assert done.code == 0, done.err
    assert "least confidence for an error of 0.9: west 0" in done.err
    done = cli("predict", model, "-", "--max-error", 0.001, stdin=ENGLISH)
    assert json.loads(done.out)["abstained"] == ["west", "russia", "north_korea"]
    assert "west: abstains always: nothing in validation assures an error of 0.001" in done.err


def test_calibrate_refuses_what_it_cannot_measure(cli, model, tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"text": ENGLISH, "stance": {"west": "against"}}))
    config = (model / "config.json").read_bytes()
    done = cli("calibrate", model, file)
    assert done.code == 2
    assert f"{file}: no stance towards russia, north_korea; allowed: sentences labelled for every actor" in done.err
    file.write_text(json.dumps({"text": ENGLISH, "stance": {"west": "angry"}}))
    done = cli("calibrate", model, file)
    assert f"{file}:1: stance.west: found 'angry'" in done.err
    assert (model / "config.json").read_bytes() == config
    done = cli("calibrate", tmp_path / "nowhere", file)
    assert "nowhere: no such folder" in done.err


def test_explain_shows_the_words(cli, trained):
    done = cli("explain", trained.model, ENGLISH, "--actor", "west", "--actor", "sentiment")
    assert done.code == 0, done.err
    west, sentiment = done.out.split("\n\nword")[0], done.out.split("\nsentiment: ")[1]
    assert west.startswith("west: ")
    assert ENGLISH in west
    assert "names west" in done.out
    assert "domination" in sentiment


def test_explain_writes_a_page_and_rows(cli, trained, tmp_path):
    done = cli("explain", trained.model, "-", "-o", tmp_path / "why.html", stdin=f"{ENGLISH}\n\n<i>Kim</i> lied.\n")
    assert done.code == 0, done.err
    page = (tmp_path / "why.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count('<figure class="explanation">') >= 2
    assert "<i>Kim" not in page
    done = cli("explain", trained.model, ENGLISH, "--actor", "russia", "-o", tmp_path / "why.jsonl")
    (row,) = map(json.loads, (tmp_path / "why.jsonl").read_text().splitlines())
    assert (row["text"], row["about"]) == (ENGLISH, "russia")
    assert "1 explained" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([ENGLISH, "--actor", "mars"], "actor: found 'mars'; allowed: west, russia, north_korea, sentiment"),
        ([ENGLISH, "-o", "why.pdf"], "why.pdf: found the ending '.pdf'; allowed: .html, .jsonl"),
        (["-"], "no sentences; allowed: at least one"),
    ],
)
def test_explain_tells_mistakes(cli, trained, arguments, said):
    done = cli("explain", trained.model, *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
