"""`deepmath train`: train a network on a data set and keep everything in a folder."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from deepmath import plots
from deepmath.backend import load_backend
from deepmath.callbacks import Callback, Checkpoint
from deepmath.cli import diagnosis, options, preparation, reporting, tables
from deepmath.cli.folder import Folder, new_folder
from deepmath.cli.network import network, network_line, plan_line
from deepmath.cli.preparation import Fitted, Parts, Task
from deepmath.cli.saving import Watch
from deepmath.cli.screen import count, percent, show
from deepmath.cli.settings import Settings, optimizer_of, resolve
from deepmath.cli.tables import Source
from deepmath.errors import ConfigError, NonFiniteError, Terminated
from deepmath.model import Sequential
from deepmath.storage import check_writable

logger = logging.getLogger("deepmath")
INTERRUPTED, TERMINATED = 130, 143
POINTS = 2000
"""The most points in the picture of the regions."""


@dataclass(frozen=True)
class Job:
    """A training, ready to begin."""

    settings: Settings
    source: Source
    task: Task
    parts: Parts
    fitted: Fitted
    model: Sequential
    folder: Folder

    def rows(self, which: Any) -> tuple[Any, Any]:
        """Inputs of these rows, and targets as the loss takes them."""
        return self.source.X[which], self.fitted.targets(self.source, self.task.loss)[which]

    @property
    def where(self) -> dict[str, Any]:
        """Where the model computes, as its methods take it."""
        return {name: getattr(self.settings, name) for name in ("backend", "device", "precision")}


@click.command(cls=options.Sections)
@click.argument("data", required=False)
@options.settings
@click.option("--config", metavar="FILE", help="TOML file of settings; options on the command line win over it.")
@click.option("--out", metavar="DIR", help="Folder for the results.  [default: runs/<data>-<time>]")
@click.option("--resume", metavar="DIR", help="Go on with the run in this folder, with its settings.")
@options.report
@click.option("--diagnose", is_flag=True, help="Say what is wrong with the training, and write DIR/diagnosis.txt.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def train(
    data: str | None, config: str | None, out: str | None, resume: str | None, report: str | None, diagnose: bool,
    quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Train a network on DATA: circles, moons, spirals, xor, houses, digits, mnist, or a .csv or .npz path.

    The folder of the run gets the model, the history, the settings as config.toml (which repeats the run), and
    pictures. Ctrl-C keeps what was learned so far.
    """
    if quiet:
        logger.setLevel(logging.WARNING)
    given["na"] = given["na"] or None
    if resume is not None and config is None and Folder(Path(resume)).config.exists():
        config = str(Folder(Path(resume)).config)
    job = _job(resolve(data, given, config), out, resume)
    if resume is not None and not any(Folder(Path(resume)).checkpoints.glob("step-*")):
        logger.info("there is no checkpoint in %s; training begins anew", resume)
    if not quiet:
        _introduce(job)
    _run(job, resume, diagnose, quiet, report)


def _job(settings: Settings, out: str | None, resume: str | None) -> Job:
    source = tables.load(settings)
    task = preparation.task_of(source, settings.loss)
    backend = load_backend(settings.backend, settings.device)
    settings = replace(
        settings,
        loss=task.loss,
        target=source.target,
        backend=backend.name,
        learning_rate=optimizer_of(settings).learning_rate,
    )
    parts = preparation.parts_of(source, settings, stratify=task.classes is not None)
    fitted = preparation.fit(source, task, settings, parts.train)
    given = out or resume
    folder = Folder(Path(given)) if given else new_folder(settings.data)
    if folder.is_used and (resume is None or Path(resume).resolve() != folder.path.resolve()):
        raise ConfigError(
            f"train: --out {folder.path} holds a run already; choose another folder, or go on with that run: "
            f"--resume {shlex.quote(str(folder.path))}"
        )
    model = network(settings, task, source.X.shape[1])
    return Job(settings, source, task, parts, fitted, model, folder)


def _introduce(job: Job) -> None:
    """What is about to happen: data, network, backend with its plan, and training."""
    s, task = job.settings, job.task
    features = job.source.X.shape[1]
    kind = f"{len(task.classes)} classes" if task.classes else "a number to predict"
    held = f"{count(len(job.parts.test), 'row')} for the test" if len(job.parts.test) else "all rows train"
    parameters = sum(w.size for w in job.model.get_weights())
    rate = f"rate {s.learning_rate:g}" if isinstance(s.learning_rate, float) else ""
    rows = "all rows" if s.batch_size == "full" else f"batches of {s.batch_size}"
    show(
        [
            (
                "data",
                f"{job.source.name}: {count(len(job.source.X), 'row')}, {count(features, 'feature')}, {kind}; {held}",
            ),
            ("network", network_line(s, task, features, parameters)),
            ("backend", f"{s.backend}, {s.precision}: {plan_line(job.model.plan(**job.where))}"),
            ("training", f"{count(s.epochs, 'epoch')}, {rows}, {s.optimizer} {rate}, {task.loss}, seed {s.seed}"),
        ],
        "deepmath train",
    )


def _run(job: Job, resume: str | None, diagnose: bool, quiet: bool, report: str | None) -> None:
    s, watch = job.settings, Watch()
    X, y = job.rows(job.parts.train)
    if report is not None:
        check_writable(_page(job, report))
    job.folder.write_config(s, job.fitted)
    seen = [] if report is None else [reporting.recorder(job)]
    callbacks: list[Callback] = [watch, _checkpoints(job), *seen]
    first = job.model.get_weights() if resume is None and (diagnose or seen) else None
    try:
        # What overflows is reported once, by the loop, with the step at which it happened.
        with np.errstate(over="ignore", invalid="ignore"):
            job.model.fit(
                X,
                y,
                epochs=s.epochs,
                batch_size=s.batch_size,
                validation_split=s.validation_split,
                accumulate=s.accumulate,
                on_nan=s.on_nan,
                callbacks=callbacks,
                verbose=0 if quiet else "auto",
                resume=None if resume is None else Folder(Path(resume)).checkpoints,
                **job.where,
            )
    except (KeyboardInterrupt, Terminated) as asked:
        if watch.run is None or watch.run.failed:  # nothing learned yet, or told twice
            raise
        _save(job, watch)
        word = "terminated" if isinstance(asked, Terminated) else "interrupted"
        click.echo(
            f"deepmath: {word} in epoch {watch.run.epoch + 1} of {s.epochs}; what was learned so far is in "
            f"{job.folder.path}. Go on with: deepmath train --resume {shlex.quote(str(job.folder.path))}",
            err=True,
        )
        for recorder in seen:  # without the doctor's trials: who stops a run doesn't want to wait
            reporting.write(job, recorder, watch.history, [("stopped", word)], None, _page(job, report))
        click.get_current_context().exit(TERMINATED if isinstance(asked, Terminated) else INTERRUPTED)
    except NonFiniteError as error:
        # What is wrong is asked most where training broke off.
        _looked_at(job, watch, first, diagnose, quiet, report, seen, [("broke off", str(error))])
        raise
    written, measured = _save(job, watch), results(job)
    lines = _looked_at(job, watch, first, diagnose, quiet, report, seen, measured)
    written += [diagnosis.FILE] if diagnose else []
    files = [job.folder.model.name, "history.csv", job.folder.config.name, *written]
    if not quiet:
        show([*measured, ("saved", f"{job.folder.path}: {', '.join(files)}"), *lines])


def _looked_at(
    job: Job, watch: Watch, first: list[Any] | None, diagnose: bool, quiet: bool, report: str | None,
    seen: list[Callback], measured: list[tuple[str, str]],
) -> list[tuple[str, str]]:  # fmt: skip
    """Diagnose the training, judged by the rows that didn't train, and write its report, where they are asked for."""
    if not (diagnose or seen):
        return []
    logger.info("looking at the training")
    parts = job.rows(job.parts.train), job.rows(job.parts.test)
    verdict = diagnosis.verdict(job.model, job.settings, *parts, watch.history, first)
    if diagnose:
        diagnosis.write(job.folder.path, verdict, quiet)
    path = _page(job, report)
    return [("report", str(reporting.write(job, r, watch.history, measured, verdict, path))) for r in seen]


def _page(job: Job, report: str | None) -> Path:
    """Where the report goes."""
    return job.folder.path / "report.html" if report == options.INSIDE else Path(str(report))


def _checkpoints(job: Job) -> Checkpoint:
    """One checkpoint at the end; at the ends of epochs too where they are made every so many steps."""
    every, seconds = job.settings.checkpoint_every, job.settings.checkpoint_seconds
    return Checkpoint(job.folder.checkpoints, every, seconds=seconds, epochs=None if every is None else 1)


def _save(job: Job, watch: Watch) -> list[str]:
    """Model, history and pictures; the names of the pictures drawn."""
    job.model.save(job.folder.model)
    history = watch.history
    job.folder.write_history(history.epoch, history.history)
    drawn = []
    if history.epoch and job.folder.draw("curves.png", lambda: plots.history_curves(history.history)[0]):
        drawn.append("curves.png")
    if job.source.X.shape[1] == 2 and job.task.classes and job.folder.draw("regions.png", lambda: _regions(job)):
        drawn.append("regions.png")
    return drawn


def _regions(job: Job) -> Any:
    """Decision regions in the units of the data, with the training points (or the first of them)."""

    def predict(points: Any) -> Any:
        return job.model.predict(points, **job.where)

    assert job.task.classes is not None
    chosen = job.parts.train[:POINTS]
    labels = tables.codes_of(job.source, job.task.classes)[chosen]
    axes = plots.decision_regions(predict, job.source.X[chosen], labels, names=list(job.task.classes))
    if job.settings.is_file:
        axes.set_xlabel(job.source.features[0])
        axes.set_ylabel(job.source.features[1])
    return axes


def results(job: Job) -> list[tuple[str, str]]:
    """How good the model is on the test part, or on the training rows where there is none."""
    which = job.parts.test if len(job.parts.test) else job.parts.train
    name = "test" if len(job.parts.test) else "training"
    X, y = job.rows(which)
    values = job.model.evaluate(X, y, **job.where)
    return [(name, told(values, job.fitted, len(which)))]


def told(values: dict[str, float], fitted: Fitted, rows: int) -> str:
    """Accuracy or error in the target's own units, and the loss, in one line."""
    if "accuracy" in values:
        return f"accuracy {percent(values['accuracy'])} of {count(rows, 'row')}, loss {values['loss']:.4g}"
    unit = fitted.unit.size**2
    scaled = f", loss {values['loss']:.4g} of the standardised target" if unit != 1.0 else ""
    return f"mse {values['cost'] * unit:.4g} of {count(rows, 'row')}{scaled}"
