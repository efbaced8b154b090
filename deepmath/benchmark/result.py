"""One run of the benchmark: from settings to plain data that JSON can hold."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepmath.benchmark import candidates as who
from deepmath.benchmark import rows, session, suites, validation
from deepmath.benchmark.candidates import PACKAGE, Candidate
from deepmath.benchmark.networks import BATCHES, NETWORKS, WIDTHS, Network
from deepmath.benchmark.session import Effort, Tell, Where
from deepmath.benchmark.suites import Plan
from deepmath.errors import ConfigError

FORMAT = "deepmath-benchmark-1"
SQUARES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
HOST, FULL, SHORT, PLAN = Where(), Effort(5, 0.3), Effort(3, 0.15), Plan()


@dataclass(frozen=True)
class Settings:
    """What to measure: on which networks and sizes, with whom, where, and for how long.

    `squares` are the sizes of the square products that show the machine's peak; by default those of the device.
    `suites` (of `suites.SUITES`) are measured as `plan` says, with `before`: the folder of another checkout, if any.
    """

    backends: tuple[str, ...]
    networks: tuple[Network, ...] = tuple(NETWORKS.values())
    batches: tuple[Network, ...] = tuple(BATCHES)
    widths: tuple[Network, ...] = tuple(WIDTHS)
    peers: bool = False
    where: Where = HOST
    effort: Effort = FULL
    sweep_effort: Effort = SHORT
    squares: tuple[int, ...] = ()
    suites: tuple[str, ...] = ()
    plan: Plan = PLAN
    before: Path | None = None

    def quick(self) -> Settings:
        """The same in a fraction of the time: good for seeing that all works, not for figures."""
        return replace(
            self, batches=self.batches[::3], widths=self.widths[::3], effort=Effort(2, 0.05),
            sweep_effort=Effort(2, 0.03), plan=self.plan.quick(),
        )  # fmt: skip


def run(settings: Settings, *, machine: Mapping[str, Any], command: str, tell: Tell) -> dict[str, Any]:
    """Measure, telling what is being done. Gives what `--json` writes.

    Raises ConfigError for an unknown backend or precision, DeviceError for one that can't run here, MissingExtra
    for peers without a checkout.
    """
    where = settings.where
    who.checked_device(where.device)
    if where.precision not in ("float32", "tf32") or (where.precision == "tf32" and where.device == "cpu"):
        raise ConfigError(f"bench: --precision must be float32, or tf32 on cuda; got {where.precision!r}")
    squares = settings.squares or SQUARES[where.device.partition(":")[0]]
    ours = who.own(settings.backends, where.device)
    everybody = [*ours, *who.relatives(ours[0], settings.before), who.products(squares)]
    everybody += who.peers(where.device) if settings.peers else []
    present = [c for c in everybody if not c.missing]
    found: dict[str, Any] = {
        "format": FORMAT,
        "machine": dict(machine),
        "versions": {"python": platform.python_version()} | who.versions(everybody),
        "commit": commit(),
        "before": None if settings.before is None else commit(settings.before),
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "effort": vars(settings.effort) | {"sweep": vars(settings.sweep_effort)},
        "tolerance": validation.TOLERANCES[where.precision]._asdict(),
        "not_installed": {c.name: c.missing for c in everybody if c.missing},
        "peak_gflops": {},
        "rows": [],
        "ratios": [],
        "controls": [],
        "sweeps": {},
        "suites": {},
    }
    with tempfile.TemporaryDirectory(prefix="deepmath-bench-") as folder:
        for network in settings.networks:
            place = Path(folder, f"{network.name}-{network.batch}")
            place.mkdir()
            seats = [c for c in present if "networks" in c.suites]
            _add(found, session.whole(network, seats, place, settings.effort, where, tell), where)
        for axis, sizes in (("batch", settings.batches), ("width", settings.widths)):
            place = Path(folder, axis)
            place.mkdir()
            found["sweeps"][axis] = _sweep(sizes, present, place, settings, tell)
        place = Path(folder, "suites")  # one for all: what isn't timed from its start need not compile again
        place.mkdir()
        several = suites.Session(present, place, settings.effort, where, tell)
        for name in settings.suites:
            found["suites"][name] = suites.run(name, settings.plan, several)
    return found


def _add(found: dict[str, Any], measured: Sequence[Any], where: Where) -> None:
    alone = next(m for m in measured if m.candidate.name == who.PRODUCTS)
    found["peak_gflops"][f"{alone.network.name}:{alone.network.batch}"] = rows.peak_gflops(alone)
    found["rows"] += rows.rows(measured, where)
    found["ratios"] += rows.ratios(measured)
    found["controls"] += rows.controls(measured)


def _sweep(sizes: Sequence[Network], present: Sequence[Candidate], place: Path, settings: Settings, tell: Tell) -> Any:
    measured = session.sweep(sizes, present, place, settings.sweep_effort, settings.where, tell)
    names = [c.name for c in present]
    found = []
    for network in sizes:
        here = [m for m in measured if m.network is network]
        found += sorted(rows.rows(here, settings.where), key=lambda row: names.index(row["candidate"]))
    return found


def commit(folder: Path = PACKAGE.parent) -> str | None:
    """The commit of a checkout, by default this deepmath's, with "+changes" if it was changed; None without one."""

    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(folder), *arguments]
        return subprocess.run(asked, capture_output=True, text=True, check=True, encoding="utf-8").stdout.strip()

    if not (folder / ".git").exists():
        return None
    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def machine(processor: str, vectors: str, cores: int) -> dict[str, Any]:
    """Facts of the machine, with those that the caller knows; `load` is how many processes ran in the minute before."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {
        "processor": processor,
        "vectors": vectors,
        "cores": cores,
        "memory_gb": None if memory is None else round(memory / 1e9, 1),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "platform": sys.platform,
    }
