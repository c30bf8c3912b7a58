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
    "predict": "prediction:predict",
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

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
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
    except UserError as error:
        return _fail(str(error))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on where it stopped", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        return 1
    except MemoryError:
        return _fail("out of memory; allowed: a smaller batch size")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "tristance":
            raise
        return _fail(f"this needs the package {error.name}; allowed: pip install 'tristance[train]'")
    except Exception as error:
        fault = _place_fault(error)
        if fault is None:
            raise
        return _fail(f"{fault}; allowed: a place with room, that may be written")
    return result if isinstance(result, int) else 0


def console() -> Console:
    """Where tables go; 100 columns in a file or a pipe, where nobody says how wide it is."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100)


def _place_fault(error: Exception) -> str | None:
    """The place and what is wrong with it, if that is what the error says; safetensors and torch have their own words."""
    if isinstance(error, OSError):
        number = error.errno
    elif found := re.search(r"\(os error (\d+)\)", str(error)):
        number = int(found[1])
    else:
        number = errno.ENOSPC if re.search("PytorchStreamWriter failed|unexpected pos", str(error)) else None
    if number not in PLACE_FAULTS:
        return None
    return f"{getattr(error, 'filename', None) or 'output'}: {os.strerror(number).lower()}"


def _fail(message: str) -> int:
    click.echo(f"error: {message}", err=True)
    return USER_ERROR
