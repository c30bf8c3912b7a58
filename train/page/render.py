"""Fill the page's template; every text is escaped by it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tristance.train.comparison.sheets import Sheet

HERE = Path(__file__).parent


def render_page(
    title: str,
    *,
    sheets: Sequence[Sheet] = (),
    charts: Sequence[Mapping[str, str]] = (),
    sections: Sequence[Mapping[str, Any]] = (),
    explorer: Mapping[str, Any] | None = None,
) -> str:
    """One self-contained page.

    Args:
        title: Heading, and title of the window.
        sheets: Tables at the top.
        charts: Pictures under them: `title`, `address`, `alt`.
        sections: One a run: `title`, and any of `charts`, `sheets`, `details` (`title`, `text`).
        explorer: What the searchable predictions hold, for page.js; None for none.

    Returns:
        HTML without a reference to anything outside it.
    """
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html").render(
        title=title,
        sheets=sheets,
        charts=charts,
        sections=sections,
        # a text that holds </script> must not end the element
        explorer=Markup(json.dumps(explorer, ensure_ascii=False).replace("<", "\\u003c")) if explorer else None,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
    )
