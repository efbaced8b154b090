"""`deepmath explain`: one training step of a network, derived in symbols and numbers, and as a graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from deepmath import losses, optimizers, trainable
from deepmath.cli.folder import read_run
from deepmath.errors import ConfigError
from deepmath.layers import Dense
from deepmath.model import Sequential
from deepmath.study import Explanation, computation_graph, explain_step
from deepmath.study.example import example, names

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("text", "markdown", "html")


@click.group()
def explain() -> None:
    """Derive what a network computes, with symbols and numbers."""


SUBJECT = (
    click.option("--example", "name", metavar="NAME", help=f"{', '.join(names())}, or a TOML file; else article5."),
    click.option("--network", metavar="WIDTHS", help="A network with drawn weights instead, such as 2-3-1."),
    click.option("--model", metavar="FILE", help="A saved model or the folder of a run instead; needs --x and --y."),
    click.option("--activation", default="sigmoid", help="Of the layers of --network.  [default: sigmoid]"),
    click.option("--loss", help="Of --network, and of the others if it shall be another.  [default: mse]"),
    click.option("--unusual", is_flag=True, help="The loss is meant for this last layer, though that is odd."),
    click.option("--optimizer", help="adam, sgd, ...: the rule of the update, from rest.  [default: its own]"),
    click.option("--x", metavar="NUMBERS", help='The row of inputs, "0.1,0.2"; several with ; between.'),
    click.option("--y", metavar="NUMBERS", help="The row of targets, or labels, as many rows as --x."),
    click.option("--seed", type=int, default=0, metavar="N", help="Decides drawn weights and rows.  [default: 0]"),
)
"""The options that choose a model and its rows."""


def subject(command: F) -> F:
    """A command with the options that choose a model and its rows."""
    for option in reversed(SUBJECT):
        command = option(command)
    return command


@explain.command()
@subject
@click.option("--learning-rate", type=float, metavar="RATE", help="Plain descent at this rate instead.")
@click.option("--detail", default="auto", help="weights, matrices, or auto: weights if it is small.  [default: auto]")
@click.option("--format", "form", type=click.Choice(FORMATS), help="[default: by the end of --out, else text]")
@click.option("--out", metavar="FILE", help="Write to this file (.txt, .md or .html) instead of the screen.")
def step(form: str | None, out: str | None, detail: str, learning_rate: float | None, **given: Any) -> None:
    """Derive one training step: forward, loss, backward by the chain rule, update.

    Without options it is the step that article 5 computes by hand.
    """
    model, x, y = _chosen(**given)
    _put(written(explain_step(model, x, y, learning_rate, detail=detail), form or _form(out)), out)


@explain.command()
@subject
@click.option("--format", "form", type=click.Choice(("text", "svg", "dot")), help="[default: by --out, else text]")
@click.option("--out", metavar="FILE", help="Write to this file (.txt, .svg or .dot) instead of the screen.")
def graph(form: str | None, out: str | None, **given: Any) -> None:
    """Draw the computation graph of a step: values forward and derivatives backward on its edges."""
    found = computation_graph(*_chosen(**given))
    ending = Path(out or "").suffix.lower().removeprefix(".")
    chosen = form or (ending if ending in ("svg", "dot") else "text")
    _put({"text": found.text, "svg": found.svg, "dot": found.dot}[chosen](), out)


def _put(text: str, out: str | None) -> None:
    """Write to the screen, or to a file and say so."""
    if out is None:
        click.echo(text, nl=False)
        return
    Path(out).write_text(text, encoding="utf-8")
    click.echo(f"deepmath: wrote {out}", err=True)


def written(explanation: Explanation, form: str) -> str:
    """The derivation in one of the formats."""
    return {"text": explanation.text, "markdown": explanation.markdown, "html": explanation.html}[form]()


def _form(out: str | None) -> str:
    """The format that a file's name asks for."""
    return {".md": "markdown", ".html": "html", ".htm": "html"}.get(Path(out or "").suffix.lower(), "text")


def _chosen(
    name: str | None, network: str | None, model: str | None, activation: str, loss: str | None,
    unusual: bool, optimizer: str | None, x: str | None, y: str | None, seed: int,
) -> tuple[Sequential, Any, Any]:  # fmt: skip
    """The model and its rows."""
    if sum(way is not None for way in (name, network, model)) > 1:
        raise ConfigError("explain: give one of --example, --network and --model")
    if model is not None:
        if x is None or y is None:
            raise ConfigError("explain: --model needs its rows: --x NUMBERS and --y NUMBERS, or labels")
        found = read_run(model).model
        if getattr(found.target, "classes", None) is not None:
            return _trainable(found, optimizer, loss, unusual), _rows("--x", x), np.array(y.split(";"), dtype=object)
    rows = [None if text is None else _rows(option, text) for option, text in (("--x", x), ("--y", y))]
    if network is not None:
        found, *drawn = _drawn(_widths(network), activation, loss or "mse", seed, unusual)
        rows = [d if r is None else r for r, d in zip(rows, drawn, strict=True)]
    elif model is None:
        chosen = example(name or "article5")
        found = chosen.model
        rows = [d if r is None else r for r, d in zip(rows, chosen[2:], strict=True)]
    assert rows[1] is not None
    found = _trainable(found, optimizer, loss, unusual)
    labelled = found.loss is not None and found.loss.targets == "labels"
    return found, rows[0], rows[1][:, 0] if labelled else rows[1]


def _trainable(model: Sequential, optimizer: str | None, loss: str | None, unusual: bool) -> Sequential:
    """The model with another optimiser or loss where they are asked for."""
    if optimizer is not None or loss is not None:
        rule = model.optimizer if optimizer is None else optimizers.get(optimizer)
        model.compile(rule, loss or model.loss, unusual=unusual or (loss is None and model.unusual))
    if model.loss is not None:
        trainable.check("explain", model)
    return model


def _drawn(widths: list[int], activation: str, loss: str, seed: int, unusual: bool) -> tuple[Sequential, Any, Any]:
    """A network with drawn weights, and one drawn row for it."""
    first, *rest = widths
    model = Sequential(seed=seed)
    for i, width in enumerate(rest):
        model.add(Dense(width, activation, input_dim=first if i == 0 else None))
    model.compile("sgd", loss, unusual=unusual)
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, (1, first)).round(2)
    kind = losses.get(loss).targets
    y = np.zeros((1, 1)) if kind == "labels" else rng.uniform(0.0, 1.0, (1, rest[-1])).round(2)
    return model, x, y.round() if kind == "counts" else y


def _widths(text: str) -> list[int]:
    parts = text.split("-")
    if len(parts) < 2 or not all(p.isdigit() and int(p) for p in parts):
        raise ConfigError(f"--network must be widths such as 2-3-1, from the inputs to the outputs; got '{text}'")
    return [int(p) for p in parts]


def _rows(option: str, text: str) -> Any:
    """Rows of numbers from the command line."""
    try:
        rows = [[float(n) for n in row.split(",")] for row in text.split(";")]
    except ValueError:
        rows = []
    if not rows or len({len(row) for row in rows}) != 1:
        raise ConfigError(f"{option} must be numbers such as 0.1,0.2 with ; between rows of one length; got '{text}'")
    return np.asarray(rows)
