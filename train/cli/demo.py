"""`tristance demo`: a model on a web page."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from typing import Any, Final

import click

from tristance.data.errors import UserError

PORTS: Final = range(65536)


def _port(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    found = 0 if value == "auto" else int(value) if value.isdecimal() else -1
    if found not in PORTS:
        raise click.BadParameter(f"found {value!r}; allowed: auto, or a number from 0 to {PORTS[-1]}")
    return found


@click.command()
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for any of them.")
@click.option("--port", default="7860", show_default=True, callback=_port, help="auto (or 0) takes a free one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--runtime", default="auto", show_default=True, help="auto, torch, or onnx (after tristance export).")
@click.option("--precision", default="fp32", show_default=True, help="fp32, or int8 (after tristance export --int8).")
@click.option("--open", "show", is_flag=True, help="Open it in a browser.")
def demo(model: str, host: str, port: int, device: str, runtime: str, precision: str, show: bool) -> None:
    """Show MODEL on a web page: paste an article or a sentence, see who is for whom.

    MODEL is a run (runs/base/13), a model folder, or a hub name. The page is for this machine alone unless --host says
    otherwise: there is no password, so whoever reaches the address can use it. It asks nothing of the network and keeps
    nothing that is pasted. The same answers as JSON over HTTP: docs/demo.md. Ctrl-C ends it.

    \b
      pip install 'tristance[demo]'
      tristance demo runs/base/13 --open
      tristance demo runs/base/13 --runtime onnx --precision int8 --port auto
    """
    pages = _pages()
    with _listening(host, port) as listener:  # before the model, so that a mistake is told at once
        port = listener.getsockname()[1]
        from tristance.models import hub
        from tristance.models.classifier import StanceClassifier

        classifier = StanceClassifier.from_pretrained(
            hub.of_run(model), device=device, runtime=runtime, precision=precision
        )
        page = pages.build_demo(classifier)
    address = pages.launch(page, f"[{host}]" if ":" in host else host, port, show=show)
    click.echo(f"{address}  (Ctrl-C ends it)")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.close(verbose=False)


def _pages() -> Any:
    """The room that needs gradio, of a version that it knows."""
    need = "a web page needs gradio 6; allowed: pip install 'tristance[demo]'"
    try:
        from importlib.metadata import version

        if int(version("gradio").partition(".")[0]) < 6:
            raise UserError(f"found gradio {version('gradio')}: {need}")
        from tristance.train import demo as pages
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] != "gradio":
            raise
        raise UserError(need) from error
    return pages


def _listening(host: str, port: int) -> socket.socket:
    """A socket that holds the port; a free one where it is 0.

    Raises:
        UserError: If the address is none of this machine's, or the port is taken or not ours to take.
    """
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place, family=family)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            allowed = "another one, or --port auto"
            raise UserError(f"--port: {port} of {host} is in use; allowed: {allowed}") from error
        if number in (errno.EACCES, errno.EPERM):
            raise UserError(f"--port: {port} is not for everybody; allowed: one from 1024 on, or auto") from error
        raise UserError(f"--host: found {host!r}; allowed: an address of this machine, as 127.0.0.1") from error
