"""What is measured beside the networks themselves: questions that people have, each with a table of its own.

start     from starting Python to the end of the first step, with nothing compiled before, and again
busy      training and prediction beside processes that keep cores busy
rows      one row at a time, with and without standardised inputs
pairs     a step and a prediction in turns
search    many widths in one process: what each takes beyond its steps
parts     training with a layer, loss or optimiser more, as a multiple of training without
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmath.benchmark import own, statistics, validation
from deepmath.benchmark.candidates import BEFORE, OURS, Candidate
from deepmath.benchmark.networks import NETWORKS, SEARCHED, SINGLE, Network
from deepmath.benchmark.process import CandidateFailed, Worker
from deepmath.benchmark.session import Effort, Handout, Measured, Tell, Where, beside_name, together
from deepmath.benchmark.worker import SEARCH_EPOCHS

FIRST_ROW, FIRST_COLUMN = "first candidate", "first column"
NUMBERS = {0: "none", 1: "one", 2: "two"}
SEARCH_TOLERANCE = 1e-2
"""How far a search's losses may be off, as a share: 64 steps in float32 carry rounding further than four."""

TRAINED = (NETWORKS["64-64-10"], NETWORKS["784-256-128-10"])


@dataclass(frozen=True)
class Plan:
    """On which networks the suites measure. `starts` is the number of times that everybody is started."""

    started: tuple[Network, ...] = tuple(NETWORKS.values())
    starts: int = 3
    busy: Network = NETWORKS["784-256-128-10"]
    beside: tuple[int, ...] = (0, 1, 2)
    single: Network = SINGLE
    pairs: tuple[Network, ...] = TRAINED
    searched: tuple[Network, ...] = tuple(SEARCHED)
    parts: tuple[Network, ...] = TRAINED
    tried: tuple[str, ...] = own.PARTS

    def quick(self) -> Plan:
        """The same in a fraction of the time."""
        return replace(self, starts=1, searched=self.searched[::4], pairs=self.pairs[:1], parts=self.parts[:1])


class Table(NamedTuple):
    """Series of measurements, one number each round, by candidate and column; and why a candidate has none.

    `against`: ratios are to the first candidate in the same column, or to the first column of the same candidate.
    """

    title: str
    unit: str
    columns: Sequence[str]
    series: Mapping[tuple[str, str], Sequence[float]]
    failures: Mapping[str, str]
    against: str = FIRST_ROW

    def data(self) -> dict[str, Any]:
        """What JSON holds: for each cell median, least, greatest, every round, and the ratio round by round."""
        names = list(dict.fromkeys([*(name for name, _ in self.series), *self.failures]))
        rows = [{"candidate": name, "cells": [self._cell(name, c, names[0]) for c in self.columns]} for name in names]
        facts = {"title": self.title, "unit": self.unit, "columns": list(self.columns), "against": self.against}
        return facts | {"rows": rows, "failures": dict(self.failures)}

    def _cell(self, name: str, column: str, first: str) -> dict[str, Any] | None:
        mine = self.series.get((name, column))
        if not mine:
            return None
        base = self.series.get((first, column) if self.against == FIRST_ROW else (name, self.columns[0]))
        ratio = statistics.ratio(mine, base).median if base and len(base) == len(mine) else None
        return statistics.spread(mine)._asdict() | {"rounds": list(mine), "ratio": ratio}


class Session(NamedTuple):
    """With whom, where and for how long the suites measure."""

    everybody: Sequence[Candidate]
    folder: Path
    effort: Effort
    where: Where
    tell: Tell

    def seats(self, suite: str) -> list[Candidate]:
        """Who takes part."""
        return [c for c in self.everybody if suite in c.suites]


def run(name: str, plan: Plan, session: Session) -> list[dict[str, Any]]:
    """The tables of one suite."""
    return [table.data() for table in SUITES[name](plan, session)]


def start(plan: Plan, session: Session) -> list[Table]:
    """Each time a new process, with an empty folder for compiled code, and once more with that folder."""
    tasks = [Handout(network, session.where, session.folder) for network in plan.started]
    cold: dict[tuple[str, str], list[float]] = {}
    warm: dict[tuple[str, str], list[float]] = {}
    failures: dict[str, str] = {}
    seats = session.seats("start")
    for task in tasks:
        for number, order in enumerate(statistics.turns(len(seats), plan.starts), 1):
            folder = session.folder / f"{task.name}-{number}"
            for candidate in [seats[place] for place in order]:
                session.tell(f"{task.title}: {candidate.name}: start {number} of {plan.starts}")
                try:
                    for series in (cold, warm):
                        spent = _started(candidate, task, folder)
                        series.setdefault((candidate.name, task.title), []).append(spent)
                except CandidateFailed as error:
                    failures[candidate.name] = f"{task.title}: {error}"
    titles, unit = [task.title for task in tasks], "s"
    names = ("nothing compiled before", "with compiled code on disk")
    return [
        Table(f"from starting Python to the end of the first step, {name}", unit, titles, _in_order(s, seats), failures)
        for name, s in zip(names, (cold, warm), strict=True)
    ]


def _started(candidate: Candidate, task: Handout, folder: Path) -> float:
    """Seconds of one start; the loss of the first step must be right."""
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    with Worker(candidate, folder) as worker:
        loss = worker.ask("open", **task.arguments(candidate))["loss"]
        spent = time.monotonic() - began
    wanted = float(task.wanted().pairs[0][0])
    allowed = validation.TOLERANCES[task.where.precision].loss
    if not abs(loss - wanted) <= allowed * abs(wanted):
        raise CandidateFailed(f"is not valid: the first step's loss is {loss:.6g}; expected is {wanted:.6g}")
    return spent


def beside(plan: Plan, session: Session) -> list[Table]:
    """Whole fits and predictions, in turns beside none and more busy processes."""
    network, seats = plan.busy, session.seats("busy")
    measured = _together(session, [(c, network) for c in seats], ("train", "infer"), plan.beside)
    columns = [f"{NUMBERS.get(count, count)} busy" for count in plan.beside]
    tables = []
    for kind, title, unit, work in (
        ("train", "a whole fit", "us a step", network.updates),
        ("infer", f"predict of {network.rows} rows", "us a call", 1),
    ):
        kept = [beside_name(kind, count) for count in plan.beside]
        series = {
            (m.candidate.name, column): [1e6 * s / work for s in m.seconds(name)]
            for m in measured
            for column, name in zip(columns, kept, strict=True)
        }
        tables.append(
            Table(f"{_titled(network)}, {title} beside busy processes", unit, columns, series, _said(measured))
        )
    return tables


def rows(plan: Plan, session: Session) -> list[Table]:
    """Calls that predict one row."""
    plain, scaled = plan.single, replace(plan.single, scaled=True)
    everybody = session.seats("rows")
    seats = [(c, n) for n in (plain, scaled) for c in everybody if c.scales or not n.scaled]
    measured = _together(session, seats, ("row",))
    series = {
        (m.candidate.name, "standardised" if m.network.scaled else "plain"): [1e6 * s for s in m.seconds("row")]
        for m in measured
    }
    return [Table(f"{plain.name}, one row", "us a call", ["plain", "standardised"], series, _said(measured))]


def pairs(plan: Plan, session: Session) -> list[Table]:
    """One batch: a step, its prediction, a step, ..."""
    measured = [m for n in plan.pairs for m in _together(session, [(c, n) for c in session.seats("pairs")], ("pair",))]
    series = {(m.candidate.name, _titled(m.network)): [1e6 * s for s in m.seconds("pair")] for m in measured}
    title = "train_on_batch and predict of one batch in turns"
    return [Table(title, "us for both", [_titled(n) for n in plan.pairs], series, _said(measured))]


def search(plan: Plan, session: Session) -> list[Table]:
    """Networks that differ in their width, built and trained one after another; libraries are loaded already."""
    tasks = [Handout(network, session.where, session.folder) for network in plan.searched]
    wanted = [validation.first_epochs(network, SEARCH_EPOCHS)[-1] for network in plan.searched]
    series: dict[tuple[str, str], list[float]] = {}
    failures: dict[str, str] = {}
    seats, heads = session.seats("search"), ("total ms", "steps ms", "ms a width beyond its steps")
    for number, order in enumerate(statistics.turns(len(seats), plan.starts), 1):
        folder = session.folder / f"search-{number}"
        folder.mkdir()
        for candidate in [seats[place] for place in order]:
            for kept in ("", ", again"):
                session.tell(f"search: {candidate.name}{kept}, round {number} of {plan.starts}")
                try:
                    found = _searched(candidate, tasks, wanted, folder)
                except CandidateFailed as error:
                    failures[candidate.name] = str(error)
                    break
                total, steps = 1e3 * sum(found["totals"]), 1e3 * sum(found["steps"])
                for head, value in zip(heads, (total, steps, (total - steps) / len(tasks)), strict=True):
                    series.setdefault((candidate.name, head + kept), []).append(value)
    columns = [head + kept for kept in ("", ", again") for head in heads]
    title = f"{len(tasks)} widths in one process, {plan.searched[0].updates * SEARCH_EPOCHS} steps each"
    return [Table(title, "ms", columns, _in_order(series, seats), failures)]


def _searched(candidate: Candidate, tasks: Sequence[Handout], wanted: Sequence[float], folder: Path) -> dict[str, Any]:
    facts = tasks[0].arguments(candidate)
    with Worker(candidate, folder) as worker:
        found = worker.ask("search", **facts | {"data": [str(task.path) for task in tasks]})
    apart = np.abs(np.asarray(found["losses"]) / np.asarray(wanted) - 1.0)
    if not np.all(apart <= SEARCH_TOLERANCE):
        raise CandidateFailed(
            f"is not valid: its losses are off by {apart.max():.1e}; allowed are {SEARCH_TOLERANCE:.0e}"
        )
    return found


def parts(plan: Plan, session: Session) -> list[Table]:
    """Whole fits of one network as it is, and with each part."""
    tables, columns = [], ["without", *plan.tried]
    everybody = [c for c in session.seats("parts") if c.family in (OURS, BEFORE)]
    for network in plan.parts:
        seats = [(c, replace(network, part=part)) for c in everybody for part in ("", *plan.tried)]
        measured = _together(session, seats, ("train",))
        series = {
            (m.candidate.name, m.network.part or columns[0]): [1e6 * s / network.updates for s in m.seconds("train")]
            for m in measured
        }
        failures = {f"{m.candidate.name}, {m.network.part or columns[0]}": m.failure for m in measured if m.failure}
        title = f"{_titled(network)}, a whole fit with one part more"
        tables.append(Table(title, "us a step", columns, series, failures, FIRST_COLUMN))
    return tables


SUITES: dict[str, Callable[[Plan, Session], list[Table]]] = {
    "start": start, "busy": beside, "rows": rows, "pairs": pairs, "search": search, "parts": parts,
}  # fmt: skip


def _together(
    session: Session, seats: Sequence[tuple[Candidate, Network]], kinds: Sequence[str], levels: Sequence[int] = (0,)
) -> list[Measured]:
    return together(seats, kinds, session.folder, session.effort, session.where, session.tell, levels)


def _titled(network: Network) -> str:
    return f"{network.name}, batch {network.batch}"


def _said(measured: Sequence[Measured]) -> dict[str, str]:
    """Why who wasn't measured."""
    return {m.candidate.name: m.failure for m in measured if m.failure}


def _in_order(series: Mapping[tuple[str, str], list[float]], seats: Sequence[Candidate]) -> dict[Any, list[float]]:
    """The series in the order of the candidates: those whose turn came first may not be first at the table."""
    places = [c.name for c in seats]
    return dict(sorted(series.items(), key=lambda item: places.index(item[0][0])))
