"""Who takes part: deepmath's backends, the peers of a checkout, and the matrix products alone."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import deepmath
from deepmath.backend import load_backend
from deepmath.errors import ConfigError, MissingExtra

HERE = Path(__file__).resolve().parent
PACKAGE = Path(deepmath.__file__).resolve().parent
PRODUCTS = "products alone"
OURS, CONTROL, BEFORE = "deepmath", "control", "before"
TRAINS, PREDICTS = ("train", "infer", "row"), ("infer", "row")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""What leaves NumPy's products one thread; deepmath itself is told of one core (`own.py`)."""

SUITES = ("start", "busy", "rows", "pairs", "search", "parts")
"""What may be measured beside the networks themselves (`suites.py`)."""


@dataclass(frozen=True)
class Candidate:
    """A candidate by name, the file of its adapter, and what its process is started with.

    The best of a `family` is what deepmath is compared with. `needs` are distributions, `sweep` says whether it
    takes part where many sizes are measured, `adam` which form of Adam it computes. `kinds` are the works that it
    does, `suites` those in which it takes part ("networks" are the networks themselves); `scales` says whether it can
    standardise its inputs, `export` which of deepmath's formats it reads, `source` which checkout's deepmath it
    imports, `cores` how many it may use, if not all.
    """

    name: str
    family: str
    file: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    sweep: bool = True
    adam: str = "epsilon"
    devices: tuple[str, ...] = ("cpu", "cuda")
    kinds: tuple[str, ...] = TRAINS
    suites: tuple[str, ...] = ("networks",)
    scales: bool = False
    export: str | None = None
    source: Path | None = None
    cores: int | None = None

    @property
    def missing(self) -> list[str]:
        """Distributions that it needs and that aren't installed."""
        return [name for name in self.needs if version(name) is None]


def own(names: Sequence[str], device: str) -> list[Candidate]:
    """deepmath on these backends; the first of them a second time, which shows the machine's noise.

    NumPy beside another backend computes on the CPU, whatever the device of the other. Raises ConfigError for an
    unknown backend, DeviceError for one that can't run here.
    """
    places = {name: "cpu" if name == "numpy" and len(names) > 1 else device for name in names}
    for name, place in places.items():
        load_backend(name, place)
    if len(places) < len(names):
        raise ConfigError(f"bench: --backend names one backend twice; got {','.join(names)}")
    options = [{"backend": name, "device": place} for name, place in places.items()]
    found = [Candidate(f"{OURS} {o['backend']}", OURS, HERE / "own.py", o) for o in options]
    found = [replace(c, kinds=(*TRAINS, "pair"), suites=("networks", *SUITES), scales=True) for c in found]
    again = replace(found[0], name=f"{found[0].name} again", family=CONTROL, sweep=False)
    return [*found, replace(again, suites=("networks", "rows", "pairs"))]


def relatives(first: Candidate, checkout: Path | None = None) -> list[Candidate]:
    """Other ways of running deepmath: that of another checkout, on one thread, and its callable for rows.

    Raises ConfigError where the checkout holds no deepmath.
    """
    alone = replace(first, name=f"{first.name}, one thread", environment=ONE_THREAD, cores=1)
    alone = replace(alone, options={**first.options, "cores": 1})
    call = replace(first, name=f"{OURS} predictor", options={**first.options, "predictor": True})
    found = [replace(alone, suites=("busy",), sweep=False), replace(call, suites=("rows",), sweep=False)]
    if checkout is None:
        return found
    root = checkout.resolve()
    if not (root / "deepmath" / "__init__.py").is_file():
        raise ConfigError(f"bench: --before must be a checkout of deepmath; {checkout} holds no deepmath/__init__.py")
    options = {**first.options, "source": str(root)}
    return [replace(first, name=f"{OURS} before", family=BEFORE, options=options, source=root, sweep=False), *found]


def exports() -> list[Candidate]:
    """The files that deepmath writes for other programs, which predict on the CPU.

    A C compiler takes minutes for a file of millions of numbers, so that C predicts single rows of a small network.
    """
    python = Candidate(
        f"{OURS} export, python", "export, python", HERE / "exported.py", kinds=PREDICTS, suites=("networks", "rows"),
        sweep=False, scales=True, export="python", devices=("cpu",),
    )  # fmt: skip
    c = replace(python, name=f"{OURS} export, c", family="export, c", kinds=("row",), suites=("rows",), export="c")
    return [python, c]


def products(squares: Sequence[int]) -> Candidate:
    """The matrix products alone, with squares of these sizes for the machine's peak."""
    return Candidate(PRODUCTS, "products", HERE / "products.py", {"squares": list(squares)}, kinds=("train", "infer"))


def peers(device: str, folder: Path | None = None) -> list[Candidate]:
    """The peers whose adapters lie in bench/peers of a checkout and that can use the device, and deepmath's exports.

    Raises MissingExtra where deepmath is not run from a checkout.
    """
    folder = PACKAGE.parent / "bench" / "peers" if folder is None else folder
    table = folder / "peers.toml"
    if not table.is_file():
        raise MissingExtra(
            f"bench: --peers needs the adapters of a checkout, and {folder} holds none; get the project's "
            "repository, run pip install -e '.[bench]' in it, and try again there"
        )
    found = exports()
    for name, facts in tomllib.loads(table.read_text(encoding="utf-8")).items():
        facts["file"] = folder / facts["file"]
        facts |= {one: tuple(facts[one]) for one in ("needs", "devices", "kinds", "suites") if one in facts}
        found.append(Candidate(name, **facts))
    return [c for c in found if device.partition(":")[0] in c.devices]


def version(distribution: str) -> str | None:
    """The version installed, if any."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(candidates: Sequence[Candidate]) -> dict[str, str]:
    """deepmath, NumPy, llvmlite, and what the candidates need, as far as they are installed."""
    names = ["numpy", "llvmlite", "scipy", "cupy-cuda12x", "cupy-cuda13x", *(n for c in candidates for n in c.needs)]
    found = {name: version(name) for name in dict.fromkeys(names)}
    return {"deepmath": deepmath.__version__} | {n: v for n, v in found.items() if v is not None}


def checked_device(device: str) -> str:
    """The device's name, if it is one.

    >>> checked_device("cuda:1")
    'cuda:1'
    """
    kind, _, number = device.partition(":")
    if device != "cpu" and (kind != "cuda" or not (number.isdecimal() or device == "cuda")):
        raise ConfigError(f"bench: --device must be cpu, cuda or cuda:N; got {device!r}")
    return device
