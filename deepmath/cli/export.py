"""`deepmath export`: a trained model as a file for other programs."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from deepmath import export as exporting
from deepmath.cli.folder import read_run
from deepmath.cli.screen import count
from deepmath.export.chain import PRECISIONS

logger = logging.getLogger("deepmath")


@click.command()
@click.argument("model")
@click.option(
    "--format", "form", type=click.Choice(tuple(exporting.FORMATS)), help="[default: by the end of --out: .onnx, ...]"
)
@click.option("--out", required=True, metavar="FILE", help="Write to this file.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="What it computes in.  [default: the run's]")
@click.option("--name", metavar="NAME", help="Of the graph, or of the C functions.  [default: from the file's name]")
def export(model: str, form: str | None, out: str, precision: str | None, name: str | None) -> None:
    """Write MODEL, a folder of 'deepmath train' or a model file, for other programs.

    onnx is for every runtime of that format; python is one file that needs NumPy alone; c is one C99 header; and
    safetensors holds the tensors of a PyTorch nn.Sequential. Each holds the whole of 'deepmath predict':
    preprocessing, layers, the last activation, and the target's unit.
    """
    trained = read_run(model)
    chosen = precision or (trained.settings.precision if trained.settings else "float32")
    exporting.export(trained.model, out, form, precision=chosen, name=name)
    logger.info("written to %s, %s", out, count(Path(out).stat().st_size, "byte"))
