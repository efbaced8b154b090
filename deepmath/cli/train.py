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
from deepmath.callbacks import Callback, Checkpoint, EarlyStopping
from deepmath.cli import columns as listing
from deepmath.cli import diagnosis, options, reporting
from deepmath.cli.data import DataSet
from deepmath.cli.folder import Folder, new_folder
from deepmath.cli.measuring import told
from deepmath.cli.network import compile_anew, data_line, network, network_line, plan_line
from deepmath.cli.preparation import Parts, Prepared, prepare
from deepmath.cli.saving import CosineDecay, Watch
from deepmath.cli.screen import count, show
from deepmath.cli.settings import Settings, resolve
from deepmath.errors import ConfigError, NonFiniteError, Terminated
from deepmath.model import Sequential
from deepmath.storage import check_writable

logger = logging.getLogger("deepmath")
INTERRUPTED, TERMINATED = 130, 143
POINTS = 2000
"""The most points in the picture of the regions."""


@dataclass(frozen=True)
class Job:
    """A training, ready to begin. The model takes the numbers that the columns of a table have become."""

    prepared: Prepared
    model: Sequential
    folder: Folder

    @property
    def settings(self) -> Settings:
        return self.prepared.settings

    @property
    def data(self) -> DataSet:
        return self.prepared.data

    @property
    def parts(self) -> Parts:
        return self.prepared.parts

    @property
    def where(self) -> dict[str, Any]:
        """Where the model computes, as its methods take it."""
        return {name: getattr(self.settings, name) for name in ("backend", "device", "precision")}


@click.command(cls=options.Sections)
@click.argument("data", required=False)
@options.settings
@click.option("--columns", "only_columns", is_flag=True, help="Show what was found of each column, and stop.")
@click.option("--config", metavar="FILE", help="TOML file of settings; options on the command line win over it.")
@click.option("--out", metavar="DIR", help="Folder for the results.  [default: runs/<data>-<time>]")
@click.option("--resume", metavar="DIR", help="Go on with the run in this folder, with its settings.")
@options.report
@click.option("--diagnose", is_flag=True, help="Say what is wrong with the training, and write DIR/diagnosis.txt.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def train(
    data: str | None, only_columns: bool, config: str | None, out: str | None, resume: str | None, report: str | None,
    diagnose: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Train a network on DATA: circles, moons, spirals, xor, houses, digits, mnist, or a path to a file.

    A table (.csv, .tsv, .csv.gz, .parquet) may hold numbers, categories, booleans, dates, text and missing cells: what
    each column is, is found and shown. An .npz file holds arrays. The folder of the run gets the model, the history,
    the settings as config.toml (which repeats the run), and pictures. Ctrl-C keeps what was learned so far.
    """
    if quiet:
        logger.setLevel(logging.WARNING)
    if resume is not None and config is None and Folder(Path(resume)).config.exists():
        config = str(Folder(Path(resume)).config)

    def settings(rows: int) -> Settings:
        return resolve(data, given, config, rows)

    if only_columns and not settings(0).is_table:
        raise ConfigError(f"train: --columns is for tables, and '{settings(0).data}' is not one; leave it out")
    prepared = prepare(settings)
    if only_columns:
        listing.show(prepared.data)
        return
    job = _job(prepared, out, resume)
    if resume is not None and not any(Folder(Path(resume)).checkpoints.glob("step-*")):
        logger.info("there is no checkpoint in %s; training begins anew", resume)
    _introduce(job, quiet)
    _run(job, resume, diagnose, quiet, report)


def _job(prepared: Prepared, out: str | None, resume: str | None) -> Job:
    settings = prepared.settings
    prepared = replace(
        prepared, settings=replace(settings, backend=load_backend(settings.backend, settings.device).name)
    )
    given = out or resume
    folder = Folder(Path(given)) if given else new_folder(settings.data)
    if folder.is_used and (resume is None or Path(resume).resolve() != folder.path.resolve()):
        raise ConfigError(
            f"train: --out {folder.path} holds a run already; choose another folder, or go on with that run: "
            f"--resume {shlex.quote(str(folder.path))}"
        )
    return Job(prepared, network(prepared), folder)


def _introduce(job: Job, quiet: bool) -> None:
    """What is about to happen: columns, data, network, backend with its plan, and training."""
    s, data = job.settings, job.data
    if quiet:
        for column in data.summary:
            if column.notice is not None:
                logger.warning("%s", column.told)
        return
    if data.summary:
        listing.show(data, listing.MOST)
        click.echo()
    held = f"{count(len(job.parts.test), 'row')} for the test" if len(job.parts.test) else "all rows train"
    rate = f"rate {s.learning_rate:g}" if isinstance(s.learning_rate, float) else ""
    rows = "all rows" if s.batch_size == "full" else f"batches of {s.batch_size}"
    fall = ["falling along a cosine"] if s.decay == "cosine" else []
    show(
        [
            ("data", f"{data_line(job.prepared)}; {held}"),
            ("network", network_line(job.prepared, job.model)),
            ("backend", f"{s.backend}, {s.precision}: {plan_line(job.model.plan(**job.where))}"),
            (
                "training",
                ", ".join([count(s.epochs, "epoch"), rows, f"{s.optimizer} {rate}", *fall, s.loss, f"seed {s.seed}"]),
            ),
        ],
        "deepmath train",
    )


def _run(job: Job, resume: str | None, diagnose: bool, quiet: bool, report: str | None) -> None:
    s, watch = job.settings, Watch()
    if report is not None:
        check_writable(_page(job, report))
    job.folder.write_config(s, job.data.digest())
    seen = [] if report is None else [reporting.recorder(job)]
    stopping = _stopping(job)
    callbacks: list[Callback] = [watch, *_rate(job), *stopping, _checkpoints(job), *seen]
    first = job.model.get_weights() if resume is None and (diagnose or seen) else None
    held = job.data.at(job.parts.validation) if len(job.parts.validation) else (None,)
    try:
        # What overflows is reported once, by the loop, with the step at which it happened.
        with np.errstate(over="ignore", invalid="ignore"):
            job.model.fit(
                *job.data.at(job.parts.train),
                epochs=s.epochs,
                batch_size=s.batch_size,
                validation_data=held if len(held) > 1 else held[0],
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
        kept = [("kept", _best(stopping[0], job)) for _ in stopping]
        show([*kept, *measured, ("saved", f"{job.folder.path}: {', '.join(files)}"), *lines])


def _rate(job: Job) -> list[Callback]:
    """What lets the learning rate fall, where it shall."""
    falls = job.settings.decay == "cosine" and isinstance(job.settings.learning_rate, float)
    return [CosineDecay(float(job.settings.learning_rate or 0.0))] if falls else []


def _stopping(job: Job) -> list[EarlyStopping]:
    """What keeps the epoch that held-out rows say is best, where there are such rows."""
    s = job.settings
    if not len(job.parts.validation) or (s.keep == "last" and s.patience is None):
        return []
    return [EarlyStopping("val_loss", s.patience or s.epochs + 1)]


def _best(stopping: EarlyStopping, job: Job) -> str:
    rows = count(len(job.parts.validation), "held-out row")
    return f"epoch {stopping.best_epoch + 1} of {job.settings.epochs}, the best on {rows}"


def _looked_at(
    job: Job, watch: Watch, first: list[Any] | None, diagnose: bool, quiet: bool, report: str | None,
    seen: list[Callback], measured: list[tuple[str, str]],
) -> list[tuple[str, str]]:  # fmt: skip
    """Diagnose the training, judged by the rows that didn't train, and write its report, where they are asked for."""
    if not (diagnose or seen):
        return []
    logger.info("looking at the training")
    verdict = diagnosis.verdict(job.model, job.prepared, watch.history, first)
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
    if _rate(job):
        compile_anew(job.model, job.prepared)  # who trains it further begins with the rate of the settings
    behind, job.model.preprocessing = job.model.preprocessing, job.prepared.whole_preprocessing
    job.model.save(job.folder.model)
    job.model.preprocessing = behind
    history = watch.history
    job.folder.write_history(history.epoch, history.history)
    drawn = []
    if history.epoch and job.folder.draw("curves.png", lambda: plots.history_curves(history.history)[0]):
        drawn.append("curves.png")
    if job.data.has_plane and job.data.classes and job.folder.draw("regions.png", lambda: _regions(job)):
        drawn.append("regions.png")
    return drawn


def _regions(job: Job) -> Any:
    """Decision regions in the units of the data, with the training points (or the first of them)."""

    def predict(points: Any) -> Any:
        return job.model.predict(points, **job.where)

    data = job.data
    assert data.classes is not None
    X, y = data.arrays(job.parts.train[:POINTS])
    axes = plots.decision_regions(predict, X, data.target.encode(y), names=list(data.classes))
    if data.encoding is not None:
        axes.set_xlabel(data.features[0])
        axes.set_ylabel(data.features[1])
    return axes


def results(job: Job) -> list[tuple[str, str]]:
    """How good the model is on the test part, or on the training rows where there is none."""
    name = "test" if len(job.parts.test) else "training"
    return [(name, told(job.model, job.data, job.parts.judging, job.where))]
