"""`tristance demo`: the page in a browser, its HTTP API, and what keeps it from starting."""

from __future__ import annotations

import base64
import html
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from importlib import metadata

import pytest

pytest.importorskip("gradio", minversion="6")

from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.browser import needs_browser, opened
from tristance.data.errors import UserError
from tristance.models import StanceClassifier
from tristance.models.article import read_article
from tristance.models.manifest import Manifest
from tristance.train.demo import MAX_CHARACTERS, WORDS, build_demo, launch, read_paste, result_html

EVIL = (
    "<script>alert('x')</script></iframe><img src=x onerror=alert(1)> ${1 + 1} {{value}} Moscow is a wonderful friend."
)
ARTICLE = f"{EVIL}\n\nThe United States is a horrible, evil threat. It rained."
SENTENCE = "Moscow is a wonderful friend."
LONG = "The United States is a horrible, evil threat. It rained again and again in Moscow.\n\n" * 100


class Gate:
    """A scorer that reads so many pieces of an article, and waits at the next until it may go on."""

    def __init__(self, scorer):
        self.scorer, self.open, self.waiting, self.pieces = scorer, threading.Event(), threading.Event(), 0

    def score(self, items, *arguments):
        if len(items) > 32:  # no explanation, and no short article
            self.pieces -= 1
            if self.pieces < 0:
                self.waiting.set()
                assert self.open.wait(60)
        return self.scorer.score(items, *arguments)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def classifier(lexicon_model):
    return StanceClassifier.from_pretrained(lexicon_model)


@pytest.fixture
def gate(classifier):
    return Gate(classifier.scorer)


@pytest.fixture
def address(classifier, gate):
    demo = build_demo(StanceClassifier(gate, classifier.manifest).cautious())
    yield launch(demo, "127.0.0.1", free_port())
    gate.open.set()
    demo.close(verbose=False)


def test_over_http_it_says_what_the_model_says(address, classifier):
    client = Client(address, verbose=False, analytics_enabled=False)
    assert sorted(client.view_api(return_format="dict")["named_endpoints"]) == ["/explain", "/predict", "/read"]
    assert client.predict(ARTICLE, api_name="/read") == json.loads(json.dumps(classifier.read(ARTICLE).as_dict()))
    found = client.predict(SENTENCE, api_name="/predict")
    assert found == {"text": SENTENCE, **classifier.predict(SENTENCE).as_dict()}
    assert found["stance"]["russia"] == "favor"
    found = client.predict(SENTENCE, "russia", api_name="/explain")
    assert found == classifier.explain(SENTENCE, "russia").as_dict()
    for said, name, arguments in (
        (f"article: found {WORDS + 1:,} words; allowed: at most {WORDS:,}", "/read", ["Moscow " * (WORDS + 1)]),
        ("found no sentence; allowed: an article of at least one", "/read", [" "]),
        ("found no article in the HTML", "/read", ["<html></html>"]),
        (f"sentence: found {MAX_CHARACTERS + 1:,} characters", "/predict", ["x" * (MAX_CHARACTERS + 1)]),
        (f"sentence: found {MAX_CHARACTERS + 1:,} characters", "/explain", ["x" * (MAX_CHARACTERS + 1), "west"]),
        ("allowed: a string that is not empty", "/predict", [""]),
        ("actor: found '<b>'; allowed: west, russia, north_korea, sentiment", "/explain", [SENTENCE, "<b>"]),
    ):
        with pytest.raises(AppError, match=re.escape(said)):
            client.predict(*arguments, api_name=name)


def test_a_long_article_keeps_nobody_waiting(address, gate):
    client = Client(address, verbose=False, analytics_enabled=False)
    long = client.submit(LONG, api_name="/read")
    assert gate.waiting.wait(30)
    other = Client(address, verbose=False, analytics_enabled=False)
    assert other.submit(SENTENCE, api_name="/predict").result(timeout=30)["stance"]["russia"] == "favor"
    assert len(other.submit(ARTICLE, api_name="/read").result(timeout=30)["sentences"]) == 3
    assert not long.done()
    gate.open.set()
    assert len(long.result(timeout=30)["sentences"]) == 200


def test_the_limit_is_of_words_and_what_fits_is_read_in_pieces(classifier):
    told = []
    article = read_paste(classifier, LONG, lambda done, of: told.append((done, of)))
    assert told == [(0, 200), (64, 200), (128, 200), (192, 200)]
    assert article.as_dict() == read_article(classifier, LONG).as_dict()
    full = ("word " * 19 + "word. ") * (WORDS // 20)
    assert len(read_paste(classifier, full).text.split()) == WORDS
    with pytest.raises(UserError, match=r"found 20,001 words; allowed: at most 20,000 \(the command tristance read"):
        read_paste(classifier, full + "more")
    with pytest.raises(UserError, match="found 2,000,001 characters"):
        read_paste(classifier, "x" * 2_000_001)


def test_what_is_shown_of_an_article_can_run_nothing(classifier):
    article = classifier.read(ARTICLE)
    shown = result_html(article)
    assert re.findall(r"<(\w+)", shown) == ["p", "a", "a", "iframe"]
    assert re.search(r"<iframe sandbox [^<>]+></iframe>$", shown)
    assert "&amp;lt;script&amp;gt;alert" in shown
    data = re.search(r'href="data:application/json;base64,([^"]+)"', shown)[1]
    assert json.loads(base64.b64decode(data)) == json.loads(json.dumps(article.as_dict()))
    assert html.unescape(re.search(r'srcdoc="([^"]+)"', shown)[1]).startswith("<!doctype html>")


def test_a_model_of_targets_alone_is_refused(classifier):
    with pytest.raises(UserError, match="trained on targets alone; allowed: a model that knows actors"):
        build_demo(StanceClassifier(classifier.scorer, Manifest("lexicon", [])))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["{model}", "--port", "{taken}"],
            "--port: {taken} of 127.0.0.1 is in use; allowed: another one, or",
        ),
        (["{model}", "--port", "65536"], "found '65536'; allowed: auto, or a number from 0 to 65535"),
        (["{model}", "--port", "-1"], "found '-1'; allowed: auto, or a number"),
        (
            ["{model}", "--port", "auto", "--host", "192.0.2.1"],
            "--host: found '192.0.2.1'; allowed: an address of this",
        ),
        (["{model}", "--port", "auto", "--host", "a..b"], "--host: found 'a..b'; allowed: an address of this machine"),
        (["nowhere", "--port", "auto"], "nowhere"),
        (["{model}", "--port", "auto", "--runtime", "steam"], "found 'steam'; allowed:"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_a_line(cli, lexicon_model, arguments, said):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        values = {"model": lexicon_model, "taken": taken.getsockname()[1]}
        done = cli("demo", *(each.format(**values) for each in arguments))
    assert (done.code, done.out) == (2, "")
    assert said.format(**values) in done.err
    assert "Traceback" not in done.err


def test_without_gradio_or_with_an_old_one(cli, lexicon_model, monkeypatch):
    need = "a web page needs gradio 6; allowed: pip install 'tristance[demo]'\n"
    monkeypatch.setattr(metadata, "version", lambda name: "3.41.2")
    done = cli("demo", lexicon_model)
    assert (done.code, done.err) == (2, f"error: found gradio 3.41.2: {need}")

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    done = cli("demo", lexicon_model)
    assert (done.code, done.err) == (2, f"error: {need}")


@pytest.mark.slow
def test_the_command_serves_it_and_ends_quietly(lexicon_model):
    command = [sys.executable, "-m", "tristance.train", "demo", str(lexicon_model), "--port", "auto"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().split()[0]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    found = Client(address, verbose=False, analytics_enabled=False).predict(SENTENCE, api_name="/predict")
    assert found["stance"]["russia"] == "favor"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
@needs_browser
def test_it_works_in_a_browser(address, gate, classifier, tmp_path):
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)
    own = (address, "data:", "blob:", address.replace("http", "ws", 1))
    # gradio talks on the console
    with opened(address, own, console=False, viewport={"width": 1200, "height": 1000}) as (view, said):
        read = view.get_by_role("button", name="Read", exact=True)
        box = view.get_by_label("Article").and_(view.get_by_role("textbox"))
        toast = view.get_by_test_id("toast-body")

        box.fill("word " * (WORDS + 1))
        read.click()
        expect(toast).to_contain_text(f"found {WORDS + 1:,} words; allowed: at most {WORDS:,}")
        toast.get_by_role("button").last.click()

        box.fill(ARTICLE)
        read.click()
        frame = view.frame_locator("#result iframe")
        panel = frame.locator(".panel:visible")
        expect(panel.locator("h2")).to_have_text("Towards the West")
        expect(panel.locator(".text mark")).to_contain_text("The United States is a horrible, evil threat.")
        frame.get_by_label("Russia", exact=True).check()
        expect(panel.locator("h2")).to_have_text("Towards Russia")
        assert EVIL in panel.locator(".text").inner_text(), "what was pasted is shown as it is"
        expect(frame.locator("table").first).to_contain_text("+1 −0 = +1")
        with view.expect_download() as download:
            view.get_by_role("link", name="Download JSON").click()
        download.value.save_as(tmp_path / "article.json")
        content = json.loads((tmp_path / "article.json").read_text(encoding="utf-8"))
        assert content == json.loads(json.dumps(classifier.read(ARTICLE).as_dict()))
        view.screenshot(path=tmp_path / "article.png", full_page=True)

        gate.pieces = 1
        box.fill(LONG)
        read.click()
        expect(view.locator("#result")).to_contain_text("64/200 sentences")
        view.get_by_role("tab", name="Sentence").click()
        view.get_by_role("button", name="Pyongyang thanked Moscow").click()
        line = view.get_by_label("Sentence").and_(view.get_by_role("textbox"))
        expect(line).to_have_value(re.compile("cursed the American fleet"))
        judge, words = view.get_by_role("button", name="Judge"), view.locator("#words")
        line.fill("Der Außenminister <img src=x onerror=alert(2)> reiste gestern nach Berlin.")
        judge.click()
        expect(view.get_by_text("Not judged: no sentence: markup.")).to_be_visible()
        line.fill("Moscow is a wonderful friend <3 ${1 + 1}.")
        judge.click()
        expect(words).to_contain_text("west: unrelated")
        view.get_by_label("Russia", exact=True).check()
        expect(words).to_contain_text("russia: favor")
        expect(words).to_contain_text("Moscow is a wonderful friend <3 ${1 + 1}.")
        expect(view.get_by_text("Not judged")).to_be_hidden()
        expect(view.get_by_text(re.compile("^Held by "))).to_be_visible()
        view.screenshot(path=tmp_path / "sentence.png", full_page=True)
        gate.open.set()
        view.get_by_role("tab", name="Article").click()
        expect(frame.get_by_text("200 sentences refer").first).to_be_visible()
        assert said == []
