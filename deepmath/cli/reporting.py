"""The report of `deepmath train --report`: what the command knows of a run, as the page takes it."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import deepmath
from deepmath.callbacks import Callback
from deepmath.cli import processor
from deepmath.cli.network import data_line, network_line, plan_line
from deepmath.cli.screen import count
from deepmath.cli.settings import FITTED
from deepmath.report import ClassView, Finding, NumberView, PlaneView, Recorder, Report, View, page
from deepmath.storage import write_whole
from deepmath.tables import NumberTarget

if TYPE_CHECKING:
    from deepmath.cli.train import Job
    from deepmath.study.findings import Diagnosis
    from deepmath.training.history import History

ROWS = 2000
"""The most rows whose predictions the report follows."""

CLASSES = 16
"""The most classes that regions in the plane are drawn for."""


def recorder(job: Job) -> Callback:
    """What watches the training for the report."""
    return Recorder(job.model, _view(job))


KINDS = {"critical": "fault", "warning": "warning", "advice": "warning"}
"""How the page shows findings of each severity."""


def write(
    job: Job, watched: Callback, history: History, results: list[tuple[str, str]], verdict: Diagnosis | None, path: Path
) -> Path:
    """Write the page of a run that `watched` has seen; OSError where the folder can't be written."""
    assert isinstance(watched, Recorder)
    # What was found in the data is no part of the recipe, and long.
    config = job.folder.config.read_text(encoding="utf-8").partition(f"\n[{FITTED}]")[0]
    rows = "the training rows" if not len(job.parts.test) else "the test rows"
    notes = [f"Pictures by epoch show {count(len(watched.view.X), 'row')} of {rows}."]
    findings = None
    if verdict is not None:
        findings = [
            Finding(
                KINDS[f.severity],
                f"{f.name.replace('_', ' ')}, {f.where}",
                f"{f.says[:1].upper()}{f.says[1:]} Do: {f.advice}",
            )
            for f in verdict
        ]
    report = Report(
        f"deepmath: {job.data.name}", results, _settings(job), _machine(job), history.epoch, history.history,
        watched.view, watched.record, ["deepmath train --config config.toml --report"], config, findings=findings,
        notes=notes,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page(report).encode())
    return path


def _view(job: Job) -> View:
    data = job.data
    X, y = data.arrays(job.parts.judging[:ROWS])
    X, codes = np.asarray(X, np.float64), data.target.encode(y)
    if data.classes is None:
        target = data.target
        unit = (target.size, target.origin) if isinstance(target, NumberTarget) else (1.0, 0.0)
        return NumberView(X, codes, *unit)
    if data.has_plane and len(data.classes) <= CLASSES:
        return PlaneView(X, codes, data.classes, data.features if data.encoding is not None else ("x1", "x2"))
    return ClassView(X, codes, data.classes)


def _settings(job: Job) -> list[tuple[str, str]]:
    told = [
        ("data", data_line(job.prepared)),
        ("digest of the data", job.data.digest()),
        ("network", network_line(job.prepared, job.model)),
    ]
    chosen = {n: v for n, v in asdict(job.settings).items() if v is not None and n not in ("data", "hidden")}
    return told + [(name.replace("_", " "), _text(value)) for name, value in chosen.items() if value != ()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _machine(job: Job) -> list[tuple[str, str]]:
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("numpy", "llvmlite") if _is_there(n))
    return [
        ("processor", f"{processor.name()}, {count(processor.usable_cores(), 'core')} usable"),
        ("system", platform.platform()),
        ("versions", f"deepmath {deepmath.__version__}, Python {platform.python_version()}, {versions}"),
        ("backend", f"{job.settings.backend}, {job.settings.device or 'cpu'}, {job.settings.precision}"),
        ("plan", plan_line(job.model.plan(**job.where))),
    ]


def _is_there(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
