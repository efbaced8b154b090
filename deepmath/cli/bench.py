"""`deepmath bench`: how fast deepmath trains and predicts here, beside its peers."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from deepmath import benchmark
from deepmath.benchmark import candidates, networks, result
from deepmath.benchmark.session import Tell, Where
from deepmath.cli import processor
from deepmath.errors import ConfigError
from deepmath.storage import write_whole

NAMES = ", ".join(networks.NETWORKS)


@click.command()
@click.option(
    "--backend",
    metavar="NAMES",
    help="Backends with commas between: numpy,reference,...  [default: numpy; cupy on cuda]",
)
@click.option("--peers", is_flag=True, help="Measure JAX, PyTorch, Keras and scikit-learn too; needs a checkout.")
@click.option(
    "--networks", "chosen", metavar="NAMES", help=f"With commas between: {NAMES}, or WIDTHS:BATCH.  [default: all]"
)
@click.option("--sweeps/--no-sweeps", default=None, help="Also measure how cost grows.  [default: unless --networks]")
@click.option(
    "--suites",
    "asked",
    metavar="NAMES",
    help=f"Measure these instead: networks, {', '.join(candidates.SUITES)}, or all.",
)
@click.option("--before", metavar="FOLDER", help="Another checkout of deepmath, measured beside this one.")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: cpu; cuda with --backend cupy]")
@click.option("--precision", default="float32", show_default=True, metavar="NAME", help="float32; on cuda also tf32.")
@click.option("--quick", is_flag=True, help="Few and short turns: shows that all works, not how fast it is.")
@click.option("--json", "json_file", metavar="FILE", help="Write everything that was measured.")
@click.option("--table", "table_file", metavar="FILE", help="Write the tables as Markdown.")
@click.option("--plot", "plot_file", metavar="FILE", help="Write the picture of the sweeps, a PNG.")
def bench(
    backend: str | None,
    peers: bool,
    chosen: str | None,
    sweeps: bool | None,
    asked: str | None,
    before: str | None,
    device: str | None,
    precision: str,
    quick: bool,
    json_file: str | None,
    table_file: str | None,
    plot_file: str | None,
) -> None:
    """Measure training, inference, single rows and the start, each candidate in a process of its own.

    Every candidate trains the same networks on the same data from the same weights, and is timed only after its
    losses, weights and predictions agreed with the reference.
    """
    device = device or ("cuda" if backend and "cupy" in _names(backend) else "cpu")
    candidates.checked_device(device)
    measured, suites = _suites(asked)
    sweeps = chosen is None and asked is None if sweeps is None else sweeps
    _check_files(json_file, table_file, plot_file, sweeps)
    backends = tuple(_names(backend)) if backend else ("numpy" if device == "cpu" else "cupy",)
    settings = benchmark.Settings(backends, peers=peers, where=Where(device, precision))
    settings = replace(settings, before=None if before is None else Path(before), suites=suites)
    if chosen is not None:
        parsed = tuple(networks.parse(name) for name in _names(chosen))
        settings = replace(settings, networks=parsed, plan=replace(settings.plan, started=parsed))
    if not measured:
        settings = replace(settings, networks=())
    if not sweeps:
        settings = replace(settings, batches=(), widths=())
    if quick:
        settings = settings.quick()
    machine = result.machine(processor.name(), processor.vectors(), processor.usable_cores())
    with _telling() as tell:
        found = benchmark.run(settings, machine=machine, command=_command(), tell=tell)
    click.echo(benchmark.text(found))
    _write(found, json_file, table_file, plot_file)


def _suites(text: str | None) -> tuple[bool, tuple[str, ...]]:
    """Whether the networks themselves are measured, and which suites."""
    known = ("networks", *candidates.SUITES)
    names = ["networks"] if text is None else [*known] if text == "all" else _names(text)
    if not names or not set(names) <= set(known):
        raise ConfigError(
            f"bench: --suites must be names of {', '.join(known)}, with commas between, or all; got {text!r}"
        )
    return "networks" in names, tuple(name for name in candidates.SUITES if name in names)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _check_files(json_file: str | None, table_file: str | None, plot_file: str | None, sweeps: bool) -> None:
    """Refuse before the long measurement what couldn't be written after it."""
    for path in (json_file, table_file, plot_file):
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
    if plot_file is None:
        return
    if not plot_file.lower().endswith(".png"):
        raise ConfigError(f"bench: --plot must end in .png; got {plot_file!r}")
    if not sweeps:
        raise ConfigError("bench: --plot draws the sweeps, which --networks leaves out; add --sweeps")
    from deepmath.plots import style

    with style.theme():  # says so now if matplotlib is missing
        pass


def _write(found: Any, json_file: str | None, table_file: str | None, plot_file: str | None) -> None:
    if json_file is not None:
        write_whole(Path(json_file), (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    if table_file is not None:
        write_whole(Path(table_file), benchmark.markdown(found).encode())
    if plot_file is not None:
        from deepmath.plots import style
        from deepmath.plots.throughput import throughput

        with style.theme():
            style.save(throughput(found)[0].figure, plot_file)  # type: ignore[arg-type]


def _command() -> str:
    """The command as it was typed."""
    return shlex.join(["deepmath", *sys.argv[1:]])


@contextmanager
def _telling() -> Iterator[Tell]:
    """What shows progress on stderr: one line that changes on a terminal with rich, plain lines elsewhere."""
    started = time.monotonic()
    if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status("") as status:

            def show(line: str) -> None:
                status.update(Text(f"{time.monotonic() - started:5.0f} s  {line}"))

            yield show
        return
    yield _plain(started)


def _plain(started: float) -> Callable[[str], None]:
    return lambda line: click.echo(f"{time.monotonic() - started:5.0f} s  {line}", err=True)
