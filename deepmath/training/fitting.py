"""A call of `fit`, from the data at the door to the history: begin, resume, train, hand back what was learnt."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deepmath.descriptions import plain_numbers
from deepmath.training import evaluation, loop, nonfinite, settings, start
from deepmath.training.callbacks import Callback, Run
from deepmath.training.checkpoints import resume_run
from deepmath.training.door import Door
from deepmath.training.fingerprint import digest_of
from deepmath.training.history import History
from deepmath.training.pieces import Pieces
from deepmath.training.progress import progress
from deepmath.training.reported import reported
from deepmath.training.sources import Given
from deepmath.training.start import Subject


@plain_numbers
@dataclass(frozen=True)
class Asked:
    """How long to train and what happens meanwhile: arguments of `Sequential.fit`, which explains them."""

    epochs: int
    batch_size: int | str
    callbacks: Sequence[Callback]
    verbose: int | str
    initial_epoch: int
    resume: str | os.PathLike[str] | None
    on_nan: str


def fit(subject: Subject, door: Door, given: Given, held: Given | None, asked: Asked) -> History:
    """Train on `given`, validate on what is `held` out, and hand back the values, also of a run that was cut short."""
    recipe, first = door.recipe, asked.initial_epoch
    settings.check(asked.epochs, recipe.accumulate, first, asked.on_nan)
    named = asked.resume is not None or bool(asked.callbacks)
    begun = start.begin(door, subject, given, asked.batch_size, asked.epochs - first, named)
    program, recipe, facts, history = begun.program, begun.recipe, begun.facts, History()
    run = Run(program, history, asked.epochs, begun.per_epoch, recipe.columns, facts, asked.callbacks, first)
    run.reported = reported(recipe, held is not None)
    run.batches = begun.batches
    run.write_model = lambda path: subject.write(path, program.state(), run.epoch - first)
    validate = None
    if held is not None:
        measuring = replace(door, counting=replace(door.counting, class_weight=None))
        admit = functools.partial(measuring.admit, name="validation X")
        pieces = Pieces(held, recipe.parts[0].shape, admit)
        next(iter(pieces))  # what can't be measured is refused before the first step
        facts |= {"validation": digest_of(held, pieces.whole)} if named else {}
        validate = functools.partial(evaluation.evaluate, program, recipe, pieces)
    watched = [*asked.callbacks, *progress(asked.verbose)]
    for callback in watched:
        callback.check(run)
    resumed = asked.resume is not None and resume_run(asked.resume, run)
    subject.tell(history)
    try:
        values = None if resumed else dict(subject.values)  # set_weights writes into the model's own
        guard = nonfinite.Guard(run, recipe, begun.data_at, asked.on_nan, values)
        loop.train(run, watched, validate, guard, begun.minimize)
    finally:
        run.write_model = None  # it holds the run, which would keep the program's memory until garbage is collected
        begun.close()
        subject.keep(begun.trained, run.epoch - first)
    return history
