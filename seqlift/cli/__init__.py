"""The command line: one file a command, options in, a library call, a summary out.

No command imports torch before it runs, so that `--help` is quick.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from seqlift import __version__
from seqlift.cli.convert import convert
from seqlift.cli.demo import demo
from seqlift.cli.evaluate import evaluate
from seqlift.cli.export import export
from seqlift.cli.hub import hub
from seqlift.cli.inspect import inspect
from seqlift.cli.logo import logo
from seqlift.cli.merge import merge
from seqlift.cli.pilot import pilot
from seqlift.cli.report import report
from seqlift.cli.rules import rules
from seqlift.cli.score import score
from seqlift.cli.seqlets import seqlets
from seqlift.cli.shuffle import shuffle
from seqlift.cli.signals import Terminated, catch_signals
from seqlift.cli.tracks import tracks
from seqlift.errors import SeqliftError, SeqliftWarning

__all__ = ["cli", "main"]

INTERRUPTED = 130
TERMINATED = 143
LONGEST_UNEXPECTED = 500

# Python's own is 700.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


class _Commands(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has had enough; Python must not complain about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    __version__, "-V", "--version", prog_name="seqlift", message="%(prog)s, version %(version)s"
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Show, base by base, what a trained sequence model saw in DNA.

    Results go to files or standard output, messages to standard error; `-` is standard input or
    output. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated.
    """


for command in (
    convert,
    demo,
    evaluate,
    export,
    hub,
    inspect,
    logo,
    merge,
    pilot,
    report,
    rules,
    score,
    seqlets,
    shuffle,
    tracks,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Parameters
    ----------
    arguments : list of str, optional
        Without the program's name; those of the process by default.
    """
    # What importing torch makes, and loading a model, stays to the end. Looking through it for
    # garbage every so often, and once more at the end, took more than a second of a command.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    given = sys.argv[1:] if arguments is None else arguments
    status = _status(given)
    gc.freeze()
    sys.exit(status)


def _status(arguments: list[str]) -> int:
    """Run a command; turn whatever ends it into an exit status and at most one line."""
    try:
        with catch_signals(), _plain_warnings():
            status = cli.main(arguments, prog_name="seqlift", standalone_mode=False, obj=arguments)
    except (Exception, KeyboardInterrupt, Terminated) as error:
        if "--debug" in arguments and not isinstance(error, click.ClickException):
            raise
        message, code = _explained(error)
        click.echo(f"seqlift: {message}", err=True)
        return code
    return status if isinstance(status, int) else 0


def _explained(error: BaseException) -> tuple[str, int]:
    """Return one line about what ended a command, and the exit status."""
    if isinstance(error, (KeyboardInterrupt, click.exceptions.Abort)):
        return "interrupted", INTERRUPTED
    if isinstance(error, Terminated):
        return "terminated", TERMINATED
    if isinstance(error, click.ClickException):
        return f"error: {_one_line(error.format_message())}{_hint(error)}", error.exit_code
    if isinstance(error, SeqliftError):
        return f"error: {_one_line(error)}", error.exit_code
    if isinstance(error, MemoryError):
        return "error: out of memory; try a smaller --batch-size", 1
    text = f"{type(error).__name__}: {_one_line(error)[:LONGEST_UNEXPECTED]}"
    return f"error: unexpected {text} (run with seqlift --debug for the traceback)", 1


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return "" if context is None else f" (see {context.command_path} --help)"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show each of our own warnings as one line, once; those of libraries are not for the user."""
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = _one_line(message)
        # Input is read more than once, and would be warned about as often.
        if text not in shown:
            shown.add(text)
            click.echo(f"seqlift: warning: {text}", err=True)

    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", SeqliftWarning)
        warnings.showwarning = show
        yield
