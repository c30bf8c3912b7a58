"""Pages in headless Chromium, which says everything that is wrong with them."""

from __future__ import annotations

import contextlib
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: .ci/run installs it")


@contextlib.contextmanager
def opened(address, own=("file:", "data:", "blob:"), console=True, **options):
    """A page, and a growing list of its errors, dialogs, requests to others than `own`, and words on the console."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    quiet = ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*flags, *quiet])
        view = browser.new_page(**options)
        said: list[str] = []
        if console:
            view.on("console", lambda message: said.append(message.text))
        view.on("pageerror", lambda error: said.append(str(error)))
        view.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        view.on("request", lambda request: None if request.url.startswith(own) else said.append(request.url))
        view.goto(address)
        yield view, said
        browser.close()
