"""The options that commands share, each checked in the same way as the setting of that name in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from deepmath.cli.settings import Settings
from deepmath.cli.values import CHECKS

F = TypeVar("F", bound=Callable[..., Any])

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Data": {
        "target": ("COLUMN", "Target column of a table, by name or place from 0.  [default: the last]"),
        "data_dir": ("DIR", "Folder of the IDX files of mnist."),
        "scale": (
            "HOW",
            "Inputs: none, standard (mean 0, deviation 1), smooth (also clipped), or a divisor.  [tables: smooth]",
        ),
        "test": ("SHARE", "Share of the rows kept for the test.  [default: 0.2; circles 0.1, xor 0]"),
        "validation_split": ("SHARE", "Share of the training rows that measure each epoch.  [default: 0; tables 0.1]"),
    },
    "Network": {
        "hidden": ("WIDTHS", "Hidden layers, such as 64,32, or none.  [tables: 128,128; npz 32,32]"),
        "activation": ("NAME", "Of the hidden layers: relu, tanh, sigmoid, ...  [default: relu; xor tanh]"),
        "dropout": ("RATE", "Share of each hidden layer's outputs dropped in training.  [default: 0]"),
        "l2": ("L", "Add (L / 2) x sum of squared kernel weights to the loss.  [default: 0]"),
        "loss": ("NAME", "auto looks at the target: two labels, more, or numbers.  [default: auto]"),
    },
    "Training": {
        "optimizer": ("NAME", "adam, sgd, ...  [default: adam]"),
        "learning_rate": ("RATE", "[default: the optimiser's own; by data set]"),
        "decay": ("HOW", "cosine: the rate falls to 0 over the epochs; none.  [default: none; tables cosine]"),
        "epochs": ("N", "Passes over the training rows, in total.  [tables: by rows; npz 100; by data set]"),
        "keep": ("HOW", "best: the epoch with the lowest validation loss; last.  [default: last; tables best]"),
        "patience": ("N", "Stop N epochs after the lowest validation loss, and keep that epoch.  [default: never]"),
        "batch_size": ("N", 'Rows in a step, or "full" for all.  [default: 32; tables by rows; xor full]'),
        "accumulate": ("N", "Batches whose gradients make one step.  [default: 1]"),
        "clip_norm": ("NORM", "Longest gradient; a longer one is shortened.  [default: no limit]"),
        "on_nan": ("HOW", "stop, rollback (half the rate) or skip where values become NaN or Inf.  [default: stop]"),
        "seed": ("N", "Decides drawn data, split, first weights, order and dropout.  [default: 0]"),
    },
    "Machine": {
        "backend": ("NAME", "numpy, reference, torch, ...; 'deepmath doctor' lists them.  [default: numpy]"),
        "device": ("NAME", "cpu, cuda or cuda:N.  [default: cpu]"),
        "precision": ("NAME", "float32 or float64; on cuda also tf32, bf16 or float16.  [default: float32]"),
        "checkpoint_every": ("N", "Also save a checkpoint every N steps and every epoch.  [default: at the end]"),
        "checkpoint_seconds": ("S", "Also save a checkpoint every S seconds.  [default: at the end]"),
    },
}
"""Metavariable and help of each option that is a setting, in the order of the help page."""


def _checked(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """What turns an option's text into the setting's value."""

    def convert(_: click.Context, option: click.Parameter, value: Any) -> Any:
        return None if value is None else CHECKS[name](option.opts[0], value)

    return convert


def _repeated(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """What checks an option that may be repeated; None where it isn't given."""
    return lambda context, option, value: _checked(name)(context, option, value or None)


def setting(name: str) -> Callable[[F], F]:
    """The option of one setting."""
    metavar, text = next(rows[name] for rows in GROUPS.values() if name in rows)
    return click.option(f"--{name.replace('_', '-')}", callback=_checked(name), metavar=metavar, help=text)


header = click.option(
    "--header/--no-header", default=None, help="Whether a table's first line holds names.  [default: header]"
)
na = click.option(
    "--na", multiple=True, metavar="TEXT", callback=_repeated("na"),
    help="A cell of a table that means missing; may be repeated.",
)  # fmt: skip
column = click.option(
    "--column", multiple=True, metavar="NAME=KIND", callback=_repeated("column"),
    help="number, category, boolean, date, out, date:%d/%m/%Y or number:1.234,5; may be repeated.",
)  # fmt: skip
batch_norm = click.option(
    "--batch-norm/--no-batch-norm", default=None, help="Normalise each hidden layer's batch.  [default: no-batch-norm]"
)


INSIDE = "in the folder of the run"
"""What `--report` holds when it is given without a file."""

report = click.option(
    "--report", metavar="[FILE]", is_flag=False, flag_value=INSIDE,
    help="Write a page on the training: curves, pictures by epoch, layers, machine.  [file: OUT/report.html]",
)  # fmt: skip


def settings(command: F) -> F:
    """All options that are settings; flags and lists among them too."""
    for group in reversed(GROUPS.values()):
        for name in reversed(group):
            command = setting(name)(command)
    for option in (batch_norm, na, header, column):
        command = option(command)
    return command


class Sections(click.Command):
    """A command whose help page shows its options by what they are about."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*_SECTIONS, "Run")}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                title = next((t for t, names in _SECTIONS.items() if parameter.name in names), "Run")
                sections[title].append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


_SECTIONS = {title: {*group} for title, group in GROUPS.items()}
_SECTIONS["Data"] |= {"header", "na", "column", "columns"}
_SECTIONS["Network"] |= {"batch_norm"}


def from_file(command: F) -> F:
    """The options that say how to read a file of data."""
    for option in (setting("data_dir"), na, header, setting("target")):
        command = option(command)
    return command


def on_backend(command: F) -> F:
    """The options that say where a model computes."""
    for name in ("precision", "device", "backend"):
        command = setting(name)(command)
    return command


def where(run: Settings | None, given: dict[str, Any]) -> dict[str, Any]:
    """Backend, device and precision for a saved model: as given, else the run's precision on the CPU."""
    precision = given["precision"] or (run.precision if run else "float32")
    return {"backend": given["backend"], "device": given["device"], "precision": precision}
