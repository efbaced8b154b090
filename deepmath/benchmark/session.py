"""The measurement itself: candidates are prepared one after another, then take turns until all rounds are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepmath.benchmark import statistics, validation
from deepmath.benchmark.candidates import CONTROL, PRODUCTS, Candidate
from deepmath.benchmark.networks import LEARNING_RATE, Network
from deepmath.benchmark.process import CandidateFailed, Worker
from deepmath.benchmark.validation import Verdict

Tell = Callable[[str], None]
WORK = {"train": "training", "infer": "inference", "row": "single rows"}


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds in which everybody has a turn, and the seconds of a turn."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Where:
    """The device and the precision that all candidates compute with."""

    device: str = "cpu"
    precision: str = "float32"


@dataclass
class Measured:
    """What is known of one candidate on one network. `turns` holds the answers of each kind's turns, in order."""

    candidate: Candidate
    network: Network
    verdict: Verdict | None = None
    failure: str | None = None
    first_step: float | None = None
    first_step_cached: float | None = None
    peak_memory: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def seconds(self, kind: str) -> list[float]:
        """Seconds for an epoch, all rows or one row in each round; empty where that wasn't measured."""
        return [turn["seconds"] for turn in self.turns.get(kind, [])] if self.failure is None else []


class Seat:
    """A candidate at the table, with its process."""

    def __init__(self, candidate: Candidate, folder: Path) -> None:
        self.candidate, self.folder = candidate, folder
        self.worker: Worker | None = None
        self.measured: Measured

    def sit(self, network: Network) -> None:
        """A new network, about which nothing is known yet."""
        self.measured = Measured(self.candidate, network)

    @property
    def plays(self) -> bool:
        """Whether it is still in the game for this network."""
        return self.measured.failure is None

    def attempt(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do something; a failure ends this network for this candidate, and its process."""
        if not self.plays:
            return
        try:
            act(*arguments)
        except CandidateFailed as error:
            self.measured.failure = str(error)
            self.leave()

    def ask(self, do: str, **settings: Any) -> dict[str, Any]:
        """Ask the candidate's process, which is started if there is none."""
        if self.worker is None:
            self.worker = Worker(self.candidate, self.folder)
        return self.worker.ask(do, **settings)

    def leave(self) -> None:
        """End the process."""
        if self.worker is not None:
            self.worker.end()
            self.worker = None


def whole(network: Network, seats: Sequence[Candidate], folder: Path, effort: Effort, where: Where, tell: Tell) -> Any:
    """Measure everything on one network, each candidate in a new process: a list of `Measured`."""
    table = [Seat(c, folder) for c in seats]
    try:
        _measure(table, network, ("train", "infer", "row"), effort, where, tell)
        for seat in table:
            tell(f"{network.name}: {seat.candidate.name}: starting again, with compiled code kept")
            seat.attempt(_last, seat, network, where)
        return [seat.measured for seat in table]
    finally:
        for seat in table:
            seat.leave()


def sweep(
    networks: Sequence[Network], seats: Sequence[Candidate], folder: Path, effort: Effort, where: Where, tell: Tell
) -> list[Measured]:
    """Measure training on many networks, each candidate in one process for all of them."""
    table, found = [Seat(c, folder) for c in seats if c.sweep], []
    try:
        for network in networks:
            _measure(table, network, ("train",), effort, where, tell)
            found += [seat.measured for seat in table]
        return found
    finally:
        for seat in table:
            seat.leave()


def _measure(
    table: Sequence[Seat], network: Network, kinds: Sequence[str], effort: Effort, where: Where, tell: Tell
) -> None:
    title = f"{network.name}, batch {network.batch}"
    task = Handout(network, where, table[0].folder) if table else None
    for seat in table:
        assert task is not None
        tell(f"{title}: {seat.candidate.name}: first step, check and warm-up")
        seat.sit(network)
        seat.attempt(_prepare, seat, task, kinds, effort)
    for kind in kinds:
        players = [s for s in table if s.plays and kind in s.measured.settings]
        for number, order in enumerate(statistics.turns(len(players), effort.rounds), 1):
            tell(f"{title}: {WORK[kind]}, round {number} of {effort.rounds}")
            for place in order:
                seat = players[place]
                seat.attempt(_turn, seat, kind)


class Handout:
    """What all candidates get for a network: a file of data and weights, and what the reference makes of them."""

    def __init__(self, network: Network, where: Where, folder: Path) -> None:
        self.network, self.where = network, where
        self.path = folder / "data.npz"
        self.start = network.model().get_weights()
        X, y = network.data()
        checked_X, checked_y = network.checked().data()
        weights = {f"w{i}": w for i, w in enumerate(self.start)}
        np.savez(self.path, X=X, y=y, checked_X=checked_X, checked_y=checked_y, **weights)
        self._wanted: dict[str, validation.Evidence] = {}

    def wanted(self, variant: str = "epsilon") -> validation.Evidence:
        """What the reference makes of them with this form of Adam."""
        if variant not in self._wanted:
            self._wanted[variant] = validation.expected(self.network, variant)
        return self._wanted[variant]

    def arguments(self, candidate: Candidate) -> dict[str, Any]:
        """What the worker's command `open` takes."""
        return opening(candidate, self.network, self.where, self.path)


def opening(candidate: Candidate, network: Network, where: Where, data: Path) -> dict[str, Any]:
    """The arguments with which a candidate is opened."""
    return {
        "file": str(candidate.file),
        "data": str(data),
        "options": dict(candidate.options),
        "widths": network.widths,
        "batch": network.batch,
        "loss": network.loss,
        "learning_rate": LEARNING_RATE,
        "device": where.device,
        "precision": where.precision,
    }


def _prepare(seat: Seat, task: Handout, kinds: Sequence[str], effort: Effort) -> None:
    """First step, check, and tuning: in this order, so that nothing is timed before it is known to be right."""
    measured, started = seat.measured, time.monotonic()
    seat.ask("open", **task.arguments(seat.candidate))
    measured.first_step = time.monotonic() - started
    if seat.candidate.name == PRODUCTS:
        kinds = [k for k in kinds if k != "row"]
    else:
        out = seat.folder / "found.npz"
        seat.ask("check", out=str(out))
        with np.load(out, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        limits = validation.TOLERANCES[task.where.precision]
        measured.verdict = validation.verdict(found, task.wanted(seat.candidate.adam), task.start, limits)
        if not measured.verdict.valid:
            raise CandidateFailed(f"is not valid: {measured.verdict.reason}")
    for kind in kinds:
        tuned = seat.ask("tune", kind=kind, seconds=effort.seconds)
        measured.settings[kind] = tuned["setting"]
        measured.turns[kind] = []


def _turn(seat: Seat, kind: str) -> None:
    answer = seat.ask("turn", kind=kind)
    if kind == "train" and not np.isfinite(answer["result"]):
        raise CandidateFailed(f"is not valid: after the turn its loss is {answer['result']}")
    seat.measured.turns[kind].append(answer)


def _last(seat: Seat, network: Network, where: Where) -> None:
    """Memory, the candidate's own words, and the time to a first step with compiled code on disk."""
    end, measured = seat.ask("close"), seat.measured
    measured.peak_memory, measured.about = end["peak_memory"], end["about"]
    seat.leave()
    if seat.candidate.family in ("products", CONTROL):
        return
    started = time.monotonic()
    with Worker(seat.candidate, seat.folder, 2) as worker:
        worker.ask("open", **opening(seat.candidate, network, where, seat.folder / "data.npz"))
        measured.first_step_cached = time.monotonic() - started
