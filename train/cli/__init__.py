"""The command line: `main` parses, the rooms work. Nothing heavy is imported before the command that needs it runs."""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tristance.data.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

COMMANDS: Final = {
    "train": "experiments:train",
    "evaluate": "experiments:evaluate",
    "compare": "experiments:compare",
    "report": "experiments:report",
    "sweep": "experiments:sweep",
    "export": "exporting:export",
    "predict": "prediction:predict",
    "estimate": "estimation:estimate",
    "read": "reading:read",
    "explain": "trust:explain",
    "demo": "demo:demo",
    "calibrate": "trust:calibrate",
    "config": "configs:config",
    "data": "corpora:data",
    "audit": "auditing:audit",
}
USER_ERROR: Final = 2
PLACE_FAULTS: Final = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)
"""What may be wrong with the place that somebody wants to read or write: theirs to mend."""


class Commands(click.Group):
    """Loads a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """In the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """The command, or None if there is none of that name."""
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tristance")
def tristance() -> None:
    """Who is for whom, and who is against whom, one sentence at a time.

    Train, compare and use classifiers of the stance that a sentence of news conveys towards the West, Russia and North
    Korea, who holds it, and the sentence's sentiment.

    \b
    First steps:
      tristance train configs/quick.yaml                   a small model, in a minute
      tristance predict runs/quick/13/model news.txt       label your own sentences
      tristance read runs/base/13/model article.html       a whole article, and what it comes to
      tristance train configs/base.yaml seeds=[13,42,87]   the default experiment, three seeds
      tristance compare runs/base runs/quick               which is better, for which actor
    """


def main() -> None:
    """Entry point: a user's mistake is one line on standard error and exit code 2, never a traceback."""
    sys.exit(run(tristance))


def run(command: click.Command, arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    try:
        result: Any = command.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        words = sys.argv[1:] if arguments is None else arguments
        goes_on = words[:1] in (["train"], ["sweep"]) and "--again" not in words
        note = "the same command goes on where it stopped" * goes_on or str(error.__cause__ or "")
        click.echo("interrupted" + f"; {note}" * bool(note), err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        return 1
    except Exception as error:
        said = _mendable(error)
        if said is None:
            raise
        click.echo(f"error: {said}", err=True)
        return USER_ERROR
    return result if isinstance(result, int) else 0


def _columns(_context: click.Context, _parameter: click.Parameter, options: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for option in options:
        field, equals, name = option.partition("=")
        if not equals:
            raise click.BadParameter(
                f"found {option!r}; allowed: field=name, for example text=sentence", param_hint="--column"
            )
        columns[field] = name
    return columns


column_option = click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=NAME",
    callback=_columns,
    help="Where the input has a field: --column text=sentence.",
)
"""Gives a command `columns`, from record field to column, as `read` takes them."""


def console() -> Console:
    """Where tables go; 100 columns in a file or a pipe, where nobody says how wide it is."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100)


def _mendable(error: Exception) -> str | None:
    """What is said of an error that its user can mend; None for one of ours, which keeps its traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory; allowed: a smaller batch size"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "tristance":
        return f"this needs the package {error.name}; allowed: pip install 'tristance[train]'"
    if _errno(error) in PLACE_FAULTS:
        place, fault = getattr(error, "filename", None) or "output", os.strerror(_errno(error) or 0).lower()
        return f"{place}: {fault}; allowed: a place with room, that may be written"
    return None


def _errno(error: Exception) -> int | None:
    """The system's number of what went wrong; safetensors and torch, which write for themselves, hide it in words."""
    if isinstance(error, OSError):
        return error.errno
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        return int(found[1])
    return errno.ENOSPC if re.search("PytorchStreamWriter failed|unexpected pos", str(error)) else None
