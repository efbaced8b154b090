"""The settings of a training: defaults by data set, values from a file, values from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from deepmath import losses, optimizers
from deepmath.cli.values import CHECKS
from deepmath.descriptions import unknown
from deepmath.errors import ConfigError, FormatError, require

FITTED = "fitted"
"""The table of config.toml that holds what the training found in the data. `train` writes it and never reads it."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides the outcome of `deepmath train`. None means: nothing of the kind."""

    data: str
    target: str | None = None
    header: bool = True
    na: tuple[str, ...] = ()
    data_dir: str | None = None
    scale: str | float = "none"
    hidden: tuple[int, ...] = (32, 32)
    activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.0
    l2: float = 0.0
    loss: str = "auto"
    optimizer: str = "adam"
    learning_rate: float | None = None
    clip_norm: float | None = None
    epochs: int = 100
    batch_size: int | str = 32
    accumulate: int = 1
    test: float = 0.2
    validation_split: float = 0.0
    seed: int = 0
    backend: str | None = None
    device: str | None = None
    precision: str = "float32"
    on_nan: str = "stop"
    checkpoint_every: int | None = None
    checkpoint_seconds: float | None = None

    @property
    def is_file(self) -> bool:
        """Whether the data come from a CSV file."""
        return self.data.lower().endswith(".csv")


DEFAULTS: dict[str, dict[str, Any]] = {
    "circles": {"hidden": (4, 6, 6, 4), "epochs": 50, "test": 0.1},
    "moons": {"hidden": (16, 16), "epochs": 50, "learning_rate": 0.01},
    "xor": {
        "hidden": (4,),
        "activation": "tanh",
        "epochs": 500,
        "learning_rate": 0.05,
        "batch_size": "full",
        "test": 0.0,  # its four rows are all there is to learn
    },
    "digits": {"hidden": (64,), "epochs": 50, "learning_rate": 0.003, "scale": 16.0},
    "mnist": {"hidden": (128,), "epochs": 10},
    "spirals": {"epochs": 200, "learning_rate": 0.01},
    "houses": {"hidden": (3, 3), "scale": "standard", "learning_rate": 0.01},
}
"""Where a data set wants something other than the fields of `Settings` say."""


def resolve(data: str | None, given: Mapping[str, Any], file: str | Path | None = None) -> Settings:
    """Settings from the command line over those of a file over the defaults of the data set.

    Raises:
        ConfigError: no data, an unknown key, a value out of range, or a setting that does not apply.
        FormatError: the file is not TOML.
        OSError: the file can't be read.
    """
    chosen = read_config(file) if file is not None else {}
    chosen |= {name: value for name, value in given.items() if value is not None}
    if data is not None and data != chosen.get("data"):
        chosen["data"] = data
    if "data" not in chosen:
        raise ConfigError(
            "train: DATA is missing: give a data set (circles, moons, spirals, xor, houses, digits, mnist), "
            "a path that ends in .csv or .npz, "
            "or --config FILE with a file that names one"
        )
    settings = Settings(**{**DEFAULTS.get(chosen["data"], {}), **chosen})
    if settings.is_file and "scale" not in chosen:
        settings = replace(settings, scale="standard")
    for name, only in (("target", settings.target), ("na", settings.na), ("no-header", not settings.header)):
        if only and not settings.is_file:
            raise ConfigError(f"train: --{name} is for CSV files, and '{settings.data}' is not one; leave it out")
    if settings.data_dir is not None and settings.data != "mnist":
        raise ConfigError(f"train: --data-dir is for mnist, and the data are '{settings.data}'; leave it out")
    if settings.loss != "auto":
        losses.get(settings.loss)
    return settings


def optimizer_of(settings: Settings) -> Any:
    """The optimiser with its rate and clipping."""
    optimizer = optimizers.get(settings.optimizer)
    changes = {"learning_rate": settings.learning_rate, "clipnorm": settings.clip_norm}
    return replace(optimizer, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[type-var]


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file, checked one by one."""
    table = read_table(path)
    table.pop(FITTED, None)
    known = [field.name for field in fields(Settings)]
    for name, value in table.items():
        if name not in known:
            try:
                unknown("setting", name, known)
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from None
        table[name] = CHECKS[name](f"{path}: {name}", value)
    return table


def read_table(path: str | Path) -> dict[str, Any]:
    """A TOML file as it stands."""
    try:
        return tomllib.loads(Path(path).read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not a TOML file: {error}") from error


def config_text(settings: Settings, fitted: Mapping[str, Any]) -> str:
    """config.toml: the settings, and what the training found in the data."""
    writer = require("tomli_w", "cli", "run folders")
    chosen = {name: _plain(value) for name, value in asdict(settings).items() if value is not None}
    found = {name: _plain(value) for name, value in fitted.items() if value is not None}
    head = "# Repeat this run with: deepmath train --config config.toml\n"
    return head + str(writer.dumps(chosen | {FITTED: found}))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
