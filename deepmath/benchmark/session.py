"""The measurement itself: candidates are prepared one after another, then take turns until all rounds are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepmath.benchmark import busy, statistics, validation
from deepmath.benchmark.candidates import CONTROL, PRODUCTS, TRAINS, Candidate
from deepmath.benchmark.networks import LEARNING_RATE, Network
from deepmath.benchmark.process import CandidateFailed, Worker
from deepmath.benchmark.validation import Verdict
from deepmath.export import FORMATS, exported

Tell = Callable[[str], None]
ROOM = 1.2
"""A process may use so many times the cores that it was told: a thread that waits for another takes some time, too."""

WORK = {
    "train": "training",
    "infer": "inference",
    "row": "single rows",
    "pair": "steps and predictions in turns",
}


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

    def __init__(self, candidate: Candidate, folder: Path, number: int = 1) -> None:
        self.candidate, self.folder, self.number = candidate, folder, number
        self.worker: Worker | None = None
        self.measured: Measured
        self.task: Handout

    def sit(self, task: Handout) -> None:
        """A new network, about which nothing is known yet."""
        self.task, self.measured = task, Measured(self.candidate, task.network)

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
            self.worker = Worker(self.candidate, self.folder, self.number)
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
        _measure(table, [Handout(network, where, folder)] * len(table), TRAINS, effort, tell)
        for seat in table:
            tell(f"{network.name}: {seat.candidate.name}: starting again, with compiled code kept")
            seat.attempt(_last, seat)
        return [seat.measured for seat in table]
    finally:
        for seat in table:
            seat.leave()


def together(
    seats: Sequence[tuple[Candidate, Network]], kinds: Sequence[str], folder: Path, effort: Effort, where: Where,
    tell: Tell, beside: Sequence[int] = (0,),
) -> list[Measured]:  # fmt: skip
    """Measure these kinds of work, each candidate in a process of its own on its own network.

    Each round is played beside each of these numbers of busy processes; `beside_name` says under which name.
    """
    table = [Seat(candidate, folder, number) for number, (candidate, _) in enumerate(seats)]
    tasks = {network: Handout(network, where, folder) for network in dict.fromkeys(network for _, network in seats)}
    try:
        _measure(table, [tasks[network] for _, network in seats], kinds, effort, tell, beside)
        return [seat.measured for seat in table]
    finally:
        for seat in table:
            seat.leave()


def beside_name(kind: str, count: int) -> str:
    """Under which name turns of a kind of work beside so many busy processes are kept.

    >>> beside_name("train", 0), beside_name("train", 2)
    ('train', 'train beside 2')
    """
    return f"{kind} beside {count}" if count else kind


def sweep(
    networks: Sequence[Network], seats: Sequence[Candidate], folder: Path, effort: Effort, where: Where, tell: Tell
) -> list[Measured]:
    """Measure training on many networks, each candidate in one process for all of them."""
    table, found = [Seat(c, folder) for c in seats if c.sweep], []
    try:
        for network in networks:
            _measure(table, [Handout(network, where, folder)] * len(table), ("train",), effort, tell)
            found += [seat.measured for seat in table]
        return found
    finally:
        for seat in table:
            seat.leave()


def _measure(
    table: Sequence[Seat], tasks: Sequence[Handout], kinds: Sequence[str], effort: Effort, tell: Tell,
    beside: Sequence[int] = (0,),
) -> None:  # fmt: skip
    for seat, task in zip(table, tasks, strict=True):
        tell(f"{task.title}: {seat.candidate.name}: first step, check and warm-up")
        seat.sit(task)
        seat.attempt(_prepare, seat, kinds, effort)
    for kind in kinds:
        players = [s for s in table if s.plays and kind in s.measured.settings]
        for number, order in enumerate(statistics.turns(len(players), effort.rounds), 1):
            for count in beside:
                tell(
                    f"{tasks[0].title}: {WORK[kind]}, round {number} of {effort.rounds}"
                    + f", {count} busy" * (count > 0)
                )
                with busy.spinning(count):
                    for place in order:
                        players[place].attempt(_turn, players[place], kind, beside_name(kind, count))


class Handout:
    """What all candidates get for a network: a file of data and weights, and what the reference makes of them."""

    def __init__(self, network: Network, where: Where, folder: Path) -> None:
        self.network, self.where = network, where
        self.name = f"{network.name}-{network.batch}".replace(" ", "-") + "-scaled" * network.scaled
        self.path = folder / f"{self.name}.npz"
        self.start = network.model().get_weights()
        X, y = network.data()
        checked_X, checked_y = network.checked().data()
        weights = {f"w{i}": w for i, w in enumerate(self.start)}
        np.savez(self.path, X=X, y=y, checked_X=checked_X, checked_y=checked_y, **weights)
        self._wanted: dict[str, validation.Evidence] = {}

    @property
    def title(self) -> str:
        """The network and its batch."""
        return f"{self.network.name}, batch {self.network.batch}"

    def wanted(self, variant: str = "epsilon") -> validation.Evidence:
        """What the reference makes of them with this form of Adam."""
        if variant not in self._wanted:
            self._wanted[variant] = validation.expected(self.network, variant)
        return self._wanted[variant]

    def arguments(self, candidate: Candidate, kinds: Sequence[str] = ("train",)) -> dict[str, Any]:
        """What the worker's command `open` takes for these kinds of work, as far as the candidate does them."""
        network, options = self.network, dict(candidate.options)
        if candidate.export is not None:
            options["export"] = str(self._exported(candidate.export))
        return {
            "file": str(candidate.file),
            "data": str(self.path),
            "options": options,
            "kinds": [kind for kind in kinds if kind in candidate.kinds],
            "widths": network.widths,
            "batch": network.batch,
            "loss": network.loss,
            "learning_rate": LEARNING_RATE,
            "device": self.where.device,
            "precision": self.where.precision,
            "part": network.part,
            "scaled": network.scaled,
        }

    def _exported(self, form: str) -> Path:
        """The network with its first weights, written in one of deepmath's formats."""
        file = self.path.with_name(f"network{self.name.replace('-', '_')}").with_suffix(FORMATS[form])
        if not file.exists():
            file.write_bytes(exported(self.network.model(), form, name=file.stem))
        return file


def _prepare(seat: Seat, kinds: Sequence[str], effort: Effort) -> None:
    """First step, check, and tuning: in this order, so that nothing is timed before it is known to be right."""
    task, measured, started = seat.task, seat.measured, time.monotonic()
    asked = task.arguments(seat.candidate, kinds)
    seat.ask("open", **asked)
    if "train" in asked["kinds"]:
        measured.first_step = time.monotonic() - started
    if seat.candidate.name != PRODUCTS:
        out = seat.folder / "found.npz"
        seat.ask("check", out=str(out))
        with np.load(out, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        limits = validation.TOLERANCES[task.where.precision]
        measured.verdict = validation.verdict(found, task.wanted(seat.candidate.adam), task.start, limits)
        if not measured.verdict.valid:
            raise CandidateFailed(f"is not valid: {measured.verdict.reason}")
    for kind in asked["kinds"]:
        tuned = seat.ask("tune", kind=kind, seconds=effort.seconds)
        measured.settings[kind] = tuned["setting"]
        measured.turns[kind] = []


def _turn(seat: Seat, kind: str, name: str) -> None:
    answer = seat.ask("turn", kind=kind)
    if kind in ("train", "pair") and not np.isfinite(answer["result"]):
        raise CandidateFailed(f"is not valid: after the turn its loss is {answer['result']}")
    allowed = seat.candidate.cores
    if allowed is not None and answer.get("cores", 0.0) > ROOM * allowed:
        raise CandidateFailed(f"is not valid: told to use {allowed} of the cores, it used {answer['cores']:.2g}")
    seat.measured.turns.setdefault(name, []).append(answer)


def _last(seat: Seat) -> None:
    """Memory, the candidate's own words, and the time to a first step with compiled code on disk."""
    end, measured = seat.ask("close"), seat.measured
    measured.peak_memory, measured.about = end["peak_memory"], end["about"]
    seat.leave()
    if seat.candidate.family in ("products", CONTROL) or "train" not in seat.candidate.kinds:
        return
    started = time.monotonic()
    with Worker(seat.candidate, seat.folder, 2) as worker:
        worker.ask("open", **seat.task.arguments(seat.candidate))
        measured.first_step_cached = time.monotonic() - started
