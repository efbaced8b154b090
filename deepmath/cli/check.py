"""`deepmath check`: the gradient of a network on real data, held against differences."""

from __future__ import annotations

import sys
import time
from typing import Any

import click
import numpy as np

from deepmath.cli import options
from deepmath.cli.network import network, network_line
from deepmath.cli.preparation import prepare
from deepmath.cli.screen import count, show
from deepmath.cli.settings import resolve
from deepmath.study import gradcheck

EVERY_SECONDS = 2.0
"""How often a line tells how far the check has come."""


@click.command()
@click.argument("data")
@options.setting("hidden")
@options.setting("activation")
@options.batch_norm
@options.setting("dropout")
@options.setting("l2")
@options.setting("loss")
@options.setting("seed")
@options.setting("data_dir")
@click.option("--rows", type=click.IntRange(min=1), default=64, help="How many rows, drawn by the seed.  [default: 64]")
@click.option("--backend", metavar="NAME", help="Whose gradient; numpy is the fused one.  [default: reference]")
@click.option("--quiet", is_flag=True, help="Say nothing but the verdict.")
def check(data: str, rows: int, backend: str | None, quiet: bool, **given: Any) -> None:
    """Hold the gradient of the network that 'deepmath train DATA' would train against differences, on rows of DATA.

    Everything runs in float64. The verdict names the layer, loss or penalty that is wrong; then the exit code is 1.
    """
    prepared = prepare(lambda found: resolve(data, given, rows=found))
    settings, known = prepared.settings, prepared.data
    chosen = np.sort(np.random.default_rng(settings.seed).permutation(known.rows)[:rows])
    model = network(prepared)
    X, y = known.arrays(chosen)
    told = [
        ("data", f"{known.name}: {count(len(chosen), 'row')} of {known.rows:,}"),
        ("network", network_line(prepared, model)),
    ]
    if not quiet:
        show(told)
    start = time.monotonic()
    result = gradcheck(model, X, y, backend=backend, seed=settings.seed, progress=None if quiet else Meter())
    text = result.text()
    click.echo(text.splitlines()[0] if quiet else f"\n{text}", nl=quiet)
    if not quiet:
        click.echo(f"deepmath: checked in {time.monotonic() - start:.1f} s", err=True)
    click.get_current_context().exit(0 if result else 1)


class Meter:
    """Lines on stderr that tell how far a check has come, not more often than every other second."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, what: str, done: int, whole: int) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            print(f"deepmath: checking {what}: {done} of {whole}", file=sys.stderr, flush=True)
