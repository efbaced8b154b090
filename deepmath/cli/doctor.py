"""`deepmath doctor`: what deepmath finds on this machine, and what slows it down."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from typing import Any

import click
import numpy as np

import deepmath
from deepmath import cache
from deepmath.cli import processor
from deepmath.cli.screen import Rows, count, lines

PACKAGES = {
    "numpy": None,
    "array-api-compat": None,
    "safetensors": None,
    "llvmlite": "fast",
    "scipy": "fast",
    "polars": "tables",
    "narwhals": "tables",
    "matplotlib": "plot",
}
"""Each package, and the extra that brings it where it is optional."""


@click.command()
def doctor() -> None:
    """Show versions, processor, BLAS, kernel cache, CUDA and backends, and name what slows this machine down."""
    for title, rows in (
        ("versions", _versions()),
        ("machine", _machine()),
        ("kernels", _kernels()),
        ("cuda", _cuda()),
        ("backends", list(deepmath.backends().items())),
    ):
        click.echo(click.style(title, bold=True))
        for line in lines(rows):
            click.echo(f"  {line}")
    warnings = processor.warnings()
    click.echo(click.style("findings", bold=True))
    for warning in warnings or ["nothing that slows this machine down"]:
        click.echo(f"  {warning}")


def _versions() -> Rows:
    rows = [("deepmath", deepmath.__version__), ("python", f"{platform.python_version()} ({sys.platform})")]
    for name, extra in PACKAGES.items():
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((name, f"not installed: pip install 'deepmath[{extra}]'" if extra else "not installed"))
    return rows


def _machine() -> Rows:
    cores = f"{count(os.cpu_count() or 1, 'core')}, {processor.usable_cores()} usable by this process"
    return [("processor", processor.name()), ("cores", cores), ("vectors", processor.vectors()), ("blas", _blas())]


def _blas() -> str:
    """The library of matrix products, its choice of core and its threads."""
    if importlib.util.find_spec("threadpoolctl") is not None:
        for pool in importlib.import_module("threadpoolctl").threadpool_info():
            if pool.get("user_api") == "blas":
                core = f", core {pool['architecture']}" if "architecture" in pool else ""
                threads = count(int(pool["num_threads"]), "thread")
                return f"{pool['internal_api']} {pool.get('version') or ''}{core}, {threads}"
    known: Any = np.show_config(mode="dicts")
    blas = known.get("Build Dependencies", {}).get("blas", {}) if known else {}
    return (
        f"{blas.get('name', 'unknown')} {blas.get('version', '')} (install threadpoolctl to see its core and threads)"
    )


def _kernels() -> Rows:
    """Where compiled kernels are kept, if the backend is there that compiles them."""
    if importlib.util.find_spec("llvmlite") is None:
        return [("cache", "none: without llvmlite the formulas run uncompiled; pip install 'deepmath[fast]'")]
    folder, lasting = cache.folder()
    if lasting:
        return [("cache", f"{folder} (writable)")]
    return [("cache", "for each process only: the usual folder can't be used; see XDG_CACHE_HOME")]


def _cuda() -> Rows:
    """What the backend 'cupy' finds, which deepmath knows only as an installed package."""
    try:
        rows: Rows = importlib.import_module("deepmath_cupy.report").rows()
    except ImportError:
        return [("device", "none: the backend 'cupy' is not installed")]
    return rows
