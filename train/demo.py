"""A web page to try a model on: an article or a sentence pasted, the answer shown; and the same over HTTP, as JSON.

Gradio serves it. Nothing in it comes from, or goes to, another machine; nothing that is pasted is kept.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read while gradio is imported

import gradio as gr

from tristance.data.articles import make_document
from tristance.data.errors import UserError
from tristance.data.records import MAX_CHARACTERS
from tristance.models.article import read_article
from tristance.models.explanation import SENTIMENT, Explanation
from tristance.models.predictions import Prediction
from tristance.train.page.article import article_page

if TYPE_CHECKING:
    from tristance.models.article import Article
    from tristance.models.classifier import StanceClassifier

Answer = TypeVar("Answer")

WORDS: Final = 20_000
"""Of one article, its headline included."""
PASTE: Final = 2_000_000
"""Characters of one paste: what is HTML has few words in it."""
AT_ONCE: Final = 4
"""Questions of a kind that are worked on side by side; others wait their turn."""
WAITING: Final = 64
"""Questions that may wait; whoever comes then is told to come again."""
NARROW: Final = 200
"""Pixels that the bars of an answer need, at least, to stand beside each other."""
EXAMPLES: Final = {
    "two readings of one summit": """Two readings of one summit

Moscow praised the talks in Pyongyang on Tuesday as a triumph of friendship. Kim Jong Un called Russia his country's \
closest comrade, and promised to stand by it whatever the cost.

Washington saw the same handshake differently. "North Korea is feeding a brutal war," a State Department official \
said, and warned that the shipments would not go unanswered.

In Seoul, rain kept the streets empty.""",
    "a quarrel over grain": """The European Union accused Russia of using hunger as a weapon after the ports closed \
again.

The Kremlin's spokesman dismissed the charge: the West, he said, had broken every promise that it made. Traders in \
Cairo said they only wanted ships to sail.""",
}
SENTENCES: Final = (
    "Lavrov told the West that its era of domination was over.",
    "Pyongyang thanked Moscow for the grain, and cursed the American fleet.",
    "The delegation arrived in Brussels late on Monday.",
)


def build_demo(classifier: StanceClassifier) -> gr.Blocks:
    """Build the page and its HTTP API, which `docs/demo.md` describes; `launch` shows it.

    Args:
        classifier: The model. It is asked by several threads at once.

    Raises:
        UserError: If the model knows no actors.
    """
    if not classifier.actors:
        raise UserError("this model was trained on targets alone; allowed: a model that knows actors")
    with gr.Blocks(title="tristance", analytics_enabled=False) as demo:
        gr.HTML("<h1>Who is for whom, and who is against whom</h1>")
        with gr.Tab("Article"):
            _article_tab(classifier)
        with gr.Tab("Sentence"):
            _sentence_tab(classifier)
        _api(classifier)
    return demo.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE)


def launch(demo: gr.Blocks, host: str, port: int, *, show: bool = False) -> str:
    """Serve the page from a thread of its own, and return its address.

    Args:
        demo: As `build_demo` makes it.
        host: Address to listen on.
        port: One that is free.
        show: Open a browser.
    """
    theme = gr.themes.Default(primary_hue="blue", font=("system-ui", "sans-serif"), font_mono=("monospace",))
    _, address, _ = demo.launch(
        server_name=host,
        server_port=port,
        inbrowser=show,
        theme=theme,
        share=False,
        mcp_server=False,
        ssr_mode=False,
        run_history=False,  # the browser would keep what was pasted
        enable_monitoring=False,
        footer_links=["api"],
        prevent_thread_lock=True,
        quiet=True,
    )
    return str(address)


def read_paste(classifier: StanceClassifier, text: str, told: Callable[[int, int], None] | None = None) -> Article:
    """Read an article that somebody pasted, as text or HTML.

    Args:
        classifier: The model.
        text: What was pasted.
        told: See `read_article`.

    Raises:
        UserError: If it is too long, or nothing can be read in it.
    """
    if len(text) > PASTE:
        raise UserError(f"article: found {len(text):,} characters; allowed: at most {PASTE:,}")
    document = make_document(text)
    if (words := len(document.text.split())) > WORDS:
        more = "the command tristance read takes more"
        raise UserError(f"article: found {words:,} words; allowed: at most {WORDS:,} ({more})")
    return read_article(classifier, document, told=told)


def result_html(article: Article) -> str:
    """What the page shows of an article: its own page in a frame, and that and the JSON to be downloaded.

    The frame is a sandbox: whatever somebody pastes, nothing in it runs, and its style ends at its edge.
    """
    page, content = article_page(article), json.dumps(article.as_dict(), ensure_ascii=False, indent=1)
    whole = _link("Download this page", "article.html", "text/html", page)
    links = f"{_link('Download JSON', 'article.json', 'application/json', content)} · {whole}"
    frame = 'sandbox title="The article, read" style="width:100%;height:80vh;border:1px solid #d5dade;background:#fff"'
    return f'<p>{links}</p><iframe {frame} srcdoc="{html.escape(page)}"></iframe>'


def _link(name: str, file: str, kind: str, content: str) -> str:
    data = base64.b64encode(content.encode()).decode()
    return f'<a download="{file}" href="data:{kind};base64,{data}">{name}</a>'


def _article_tab(classifier: StanceClassifier) -> None:
    def show_article(text: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008 - gradio looks for it there
        def told(done: int, sentences: int) -> None:
            progress((done, sentences), desc="reading", unit="sentences")

        return result_html(_said(read_paste, classifier, text, told, escape=True))

    limit = f"Text, or the HTML of a page; at most {WORDS:,} words. Nothing of it is kept."
    box = gr.Textbox(label="Article", info=limit, lines=10, max_lines=16, placeholder="Paste an article here.")
    button = gr.Button("Read", variant="primary")
    examples = [[text] for text in EXAMPLES.values()]
    gr.Examples(examples, box, example_labels=list(EXAMPLES), cache_examples=False, api_visibility="private")
    result = gr.HTML(min_height=120, elem_id="result")
    button.click(show_article, box, result, concurrency_limit=AT_ONCE, api_visibility="private")


def _sentence_tab(classifier: StanceClassifier) -> None:
    names = {actor.id: actor.name for actor in classifier.actors}

    def show_answer(text: str) -> list[Any]:
        found = _said(_predict, classifier, text, escape=True)
        if found.scope is not None:
            return [f"<p>Not judged: {html.escape(found.scope)}.</p>", *[None, ""] * len(names), None]
        answers = []
        for stance in found.stance.values():
            held = stance.holder in stance.holder_probabilities
            chance = f" ({stance.holder_probabilities[stance.holder]:.0%})" if held else ""
            said = f"Held by {names.get(stance.holder, stance.holder)}{chance}." if held else "Nobody takes a side."
            answers += [stance.probabilities, html.escape(said)]
        return ["", *answers, found.sentiment.probabilities]

    def show_words(text: str, about: str) -> str:
        if not text.strip() or _said(_predict, classifier, text, escape=True).scope is not None:
            return ""
        found = _said(_explain, classifier, text, about, escape=True).to_html()
        return f'<div style="background:#fff;color:#1d2329;padding:.75rem">{found}</div>'  # its colours are for paper

    limit = f"At most {MAX_CHARACTERS:,} characters."
    box = gr.Textbox(label="Sentence", info=limit, lines=2, placeholder="Paste a sentence here.")
    button = gr.Button("Judge", variant="primary")
    gr.Examples([[text] for text in SENTENCES], box, cache_examples=False, api_visibility="private")
    notice = gr.HTML()
    bars: list[Any] = []
    with gr.Row():
        for name in names.values():
            with gr.Column(min_width=NARROW):
                bars += [gr.Label(label=f"Stance towards {name}"), gr.HTML(padding=True)]
        with gr.Column(min_width=NARROW):
            tone = gr.Label(label="Sentiment")
    choices = [*((name, actor) for actor, name in names.items()), ("the sentiment", SENTIMENT)]
    about = gr.Radio(choices, value=classifier.actors.ids[0], label="Which words say so? Explain the answer about")
    words = gr.HTML(padding=True, elem_id="words")
    judged = button.click(show_answer, box, [notice, *bars, tone], api_visibility="private")
    judged.success(show_words, [box, about], words, api_visibility="private")
    about.input(show_words, [box, about], words, api_visibility="private")


def _api(classifier: StanceClassifier) -> None:
    def read(text: str) -> dict[str, Any]:
        """Read an article: its sentences with their places and labels, the roll-up, the most telling sentences."""
        return _said(read_paste, classifier, text).as_dict()

    def predict(text: str) -> dict[str, Any]:
        """Label a sentence: stance and holder for each actor, sentiment, all probabilities."""
        return {"text": text, **_said(_predict, classifier, text).as_dict()}

    def explain(text: str, about: str) -> dict[str, Any]:
        """Weigh the words of a sentence for what is said about an actor (its id), or about `sentiment`."""
        return _said(_explain, classifier, text, about).as_dict()

    for function in (read, predict, explain):
        gr.api(function, api_name=function.__name__, concurrency_limit=AT_ONCE)


def _predict(classifier: StanceClassifier, text: str) -> Prediction:
    _require_short(text)
    return classifier.predict(text)


def _explain(classifier: StanceClassifier, text: str, about: str) -> Explanation:
    _require_short(text)
    return classifier.explain(text, about)


def _require_short(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"sentence: found {len(text):,} characters; allowed: at most {MAX_CHARACTERS:,}")


def _said(function: Callable[..., Answer], *arguments: Any, escape: bool = False) -> Answer:
    """What the function answers; its user's mistake as gradio tells one, which takes it for HTML on the page."""
    try:
        return function(*arguments)
    except UserError as error:
        said = html.escape(str(error)) if escape else str(error)
        raise gr.Error(said, duration=None, print_exception=False) from error
