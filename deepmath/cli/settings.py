"""The settings of a training: defaults by data set, values from a file, values from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from deepmath import losses, optimizers
from deepmath.cli.values import CHECKS
from deepmath.datasets.loading import TABLES
from deepmath.descriptions import unknown
from deepmath.errors import ConfigError, FormatError, require

FITTED = "fitted"
"""The table of config.toml that holds what the training found in the data. `train` writes it and never reads it."""

PATHS = ".csv, .parquet or .npz"
"""How paths end that are data."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides the outcome of `deepmath train`. None means: nothing of the kind."""

    data: str
    target: str | None = None
    column: tuple[str, ...] = ()
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
    decay: str = "none"
    clip_norm: float | None = None
    epochs: int = 100
    batch_size: int | str = 32
    accumulate: int = 1
    test: float = 0.2
    validation_split: float = 0.0
    keep: str = "last"
    patience: int | None = None
    seed: int = 0
    backend: str | None = None
    device: str | None = None
    precision: str = "float32"
    on_nan: str = "stop"
    checkpoint_every: int | None = None
    checkpoint_seconds: float | None = None

    @property
    def is_table(self) -> bool:
        """Whether the data come from a file of columns with names."""
        return self.data.lower().endswith(TABLES)


DEFAULTS: dict[str, dict[str, Any]] = {
    "circles": {"hidden": (4, 6, 6, 4), "epochs": 50, "test": 0.1},
    "moons": {"hidden": (16, 16), "epochs": 50, "learning_rate": 0.01},
    "spirals": {"epochs": 200, "learning_rate": 0.01},
    "xor": {
        "hidden": (4,),
        "activation": "tanh",
        "epochs": 500,
        "learning_rate": 0.05,
        "batch_size": "full",
        "test": 0.0,  # its four rows are all there is to learn
    },
    "houses": {"hidden": (3, 3), "scale": "standard", "learning_rate": 0.01},
    "digits": {"hidden": (64,), "epochs": 50, "learning_rate": 0.003, "scale": 16.0},
    "mnist": {"hidden": (128,), "epochs": 10},
}
"""Where a data set wants something other than the fields of `Settings` say."""


def for_table(rows: int) -> dict[str, Any]:
    """What a table of so many rows wants: larger batches at a higher rate, and fewer epochs, the more there are.

    >>> [[for_table(rows)[name] for name in ("batch_size", "epochs", "learning_rate")] for rows in (100, 5000, 10**6)]
    [[16, 100, 0.0014], [64, 80, 0.0028], [256, 10, 0.0057]]
    """
    size = min(256, max(16, 1 << (rows // 100).bit_length()))
    return {
        "hidden": (128, 128),
        "scale": "smooth",
        "batch_size": size,
        "epochs": min(100, max(10, 10 * round(600 * size / max(rows, 1)))),
        "learning_rate": round(0.002 * (size / 32) ** 0.5, 4),
        "decay": "cosine",
        "validation_split": 0.1,
        "keep": "best",
    }


def resolve(
    data: str | None, given: Mapping[str, Any], file: str | Path | None = None, rows: int | None = None
) -> Settings:
    """Settings from the command line over those of a file over the defaults of the data set.

    The defaults of a table depend on its number of rows: those that don't say how to read it are known with them.

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
            f"train: DATA is missing: give a data set ({', '.join(DEFAULTS)}), a path that ends in {PATHS}, "
            "or --config FILE with a file that names one"
        )
    settings = Settings(**{**DEFAULTS.get(chosen["data"], {}), **chosen})
    if settings.is_table:
        wanted = for_table(rows or 0)
        if "optimizer" in chosen:
            del wanted["learning_rate"]  # it is Adam's
        settings = replace(settings, **{**wanted, **chosen})
    for name in ("target", "column", "na", "header"):
        if not settings.is_table and getattr(settings, name) not in (None, (), True):
            option = "no-header" if name == "header" else name
            raise ConfigError(f"train: --{option} is for tables, and '{settings.data}' is not one; leave it out")
    if settings.data_dir is not None and settings.data != "mnist":
        raise ConfigError(f"train: --data-dir is for mnist, and the data are '{settings.data}'; leave it out")
    for option, given_ in (("patience", settings.patience), ("keep", chosen.get("keep") == "best")):
        if given_ and not settings.validation_split:
            cure = "give --validation-split, such as 0.1"
            raise ConfigError(f"train: --{option} needs held-out rows, whose loss says which epoch is best; {cure}")
    if settings.loss != "auto":
        losses.get(settings.loss)
    return settings


def optimizer_of(settings: Settings) -> Any:
    """The optimiser with its rate and clipping."""
    optimizer = optimizers.get(settings.optimizer)
    changes = {"learning_rate": settings.learning_rate, "clipnorm": settings.clip_norm}
    return replace(optimizer, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[type-var]


def kinds_of(settings: Settings) -> dict[str, str]:
    """What `--column NAME=KIND` says, by name.

    >>> kinds_of(Settings("t.csv", column=("a=number", "b=c=date:%d/%m/%Y")))
    {'a': 'number', 'b=c': 'date:%d/%m/%Y'}
    """
    return {name: kind for name, _, kind in (given.rpartition("=") for given in settings.column)}


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file, checked one by one."""
    table = read_toml(path)
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


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file as it stands."""
    try:
        return tomllib.loads(Path(path).read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not a TOML file: {error}") from error


def config_text(settings: Settings, fitted: Mapping[str, Any]) -> str:
    """config.toml: the settings, and what the training found in the data."""
    writer = require("tomli_w", "cli", "run folders")
    chosen = {name: _plain(value) for name, value in asdict(settings).items() if value is not None}
    head = "# Repeat this run with: deepmath train --config config.toml\n"
    return head + str(writer.dumps(chosen | {FITTED: dict(fitted)}))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
