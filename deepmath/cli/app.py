"""The group of commands: their errors become one line, and the library's messages plain lines."""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from typing import Any

import click

import deepmath
from deepmath.cli.bench import bench
from deepmath.cli.check import check
from deepmath.cli.doctor import doctor
from deepmath.cli.evaluate import evaluate
from deepmath.cli.explain import explain
from deepmath.cli.export import export
from deepmath.cli.plot import plot
from deepmath.cli.predict import predict
from deepmath.cli.screen import in_options
from deepmath.cli.train import train
from deepmath.errors import DeepmathError

INTERRUPTED = 130


class Commands(click.Group):
    """A group whose every failure is one line on stderr and an exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options)
        except click.Abort:
            code = _fail("interrupted", INTERRUPTED)
        except click.ClickException as error:
            code = _fail(_usage(error), error.exit_code)
        except DeepmathError as error:  # a value of the group's own options
            code = _fail(str(error), error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of a pipe went away, which click ends quietly
        except (DeepmathError, OSError, MemoryError) as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            ctx.exit(_fail(_message(error), _code(error)))


def _fail(message: str, code: int) -> int:
    click.echo(f"deepmath: error: {' '.join(message.splitlines())}", err=True)
    return code


def _message(error: BaseException) -> str:
    """What an error says, in the words of the command."""
    return in_options(_text(error))


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, DeepmathError):
        what = str(error.strerror or error)
        what = "no such file; check the path" if error.errno == errno.ENOENT else what
        return f"{error.filename}: {what}" if error.filename is not None else str(error.strerror or error)
    if isinstance(error, MemoryError) and not isinstance(error, DeepmathError):
        return f"not enough memory ({error}); try a smaller --batch-size or smaller --hidden layers"
    return str(error)


def _code(error: BaseException) -> int:
    if isinstance(error, DeepmathError):
        return error.exit_code
    if isinstance(error, MemoryError):
        return 71
    return 66 if isinstance(error, FileNotFoundError) else 74


def _usage(error: click.ClickException) -> str:
    """click's message with the place to look at."""
    text = error.format_message().rstrip()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "deepmath"
    return f"{text}{'' if text.endswith(('.', '?')) else '.'} See '{path} --help'"


class Notices(logging.Handler):
    """Messages of the library as plain lines on stderr, whatever stderr is at the time: a progress bar replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"deepmath: {in_options(record.getMessage())}", file=sys.stderr, flush=True)


def _listen(ctx: click.Context) -> None:
    """Show messages from INFO on for as long as the command runs."""
    logger, handler = logging.getLogger("deepmath"), Notices(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def silence() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)

    ctx.call_on_close(silence)


@click.group(
    "deepmath",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with: deepmath train circles",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(deepmath.__version__, prog_name="deepmath", message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context, debug: bool) -> None:  # noqa: ARG001 - Commands.invoke reads it
    """Train multi-layer networks, measure them and use them."""
    _listen(ctx)


for command in (train, evaluate, predict, export, bench, explain, check, plot, doctor):
    commands.add_command(command)
