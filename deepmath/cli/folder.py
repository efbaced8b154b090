"""A run's folder: what `train` writes, and what the other commands read."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deepmath import load_model
from deepmath.cli.settings import FITTED, Settings, config_text, read_toml, resolve
from deepmath.datasets.loading import TABLES, stem
from deepmath.errors import ConfigError, FormatError, MissingExtra
from deepmath.model import Sequential
from deepmath.storage import write_whole
from deepmath.tables import TableEncoding
from deepmath.training.history import RATE

logger = logging.getLogger("deepmath")


@dataclass(frozen=True)
class Folder:
    """Where the files of a run lie."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def is_used(self) -> bool:
        """Whether a run has left a model or checkpoints here."""
        return self.model.exists() or any(self.checkpoints.glob("step-*.safetensors"))

    def write_config(self, settings: Settings, digest: str) -> None:
        """config.toml: the settings as resolved, and what tells these data from others."""
        write_whole(self.config, config_text(settings, {"digest": digest}).encode())

    def write_history(self, epochs: Sequence[int], history: Mapping[str, Sequence[float]]) -> None:
        """history.csv: a line for each epoch, counted from 1. The columns' order doesn't depend on the history's."""

        def place(name: str) -> tuple[Any, ...]:
            ends = name.endswith("loss"), name.endswith("cost")
            return name == RATE, name.startswith("val_"), *(not end for end in ends), name

        names = sorted(history, key=place)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["epoch", *names])
        writer.writerows(zip([e + 1 for e in epochs], *(history[n] for n in names), strict=True))
        write_whole(self.path / "history.csv", text.getvalue().encode())

    def draw(self, name: str, picture: Any) -> bool:
        """Save the figure that `picture()` draws; False, and one line of why, where matplotlib is missing."""
        from deepmath.plots import style

        try:
            with style.theme():
                style.save(picture().figure, self.path / name)
        except MissingExtra as error:
            logger.warning("%s is not drawn: %s", name, error)
            return False
        return True


def new_folder(data: str) -> Folder:
    """runs/<data>-<time>, with a number behind it if two runs begin in one second."""
    name = stem(data) + time.strftime("-%Y%m%d-%H%M%S")
    path, number = Path("runs", name), 2
    while path.exists():
        path, number = Path("runs", f"{name}-{number}"), number + 1
    return Folder(path)


class Trained(NamedTuple):
    """A saved model, with the settings of its run and the digest of its data where they are known."""

    model: Sequential
    settings: Settings | None
    digest: str | None

    @property
    def encoding(self) -> TableEncoding | None:
        """What the columns of a table become, where the model knows it."""
        preprocessing = self.model.preprocessing
        return preprocessing.encoding if getattr(preprocessing, "takes_frames", False) else None


def read_run(path: str) -> Trained:
    """The model of a run folder, or a model file, with the config.toml beside it.

    Raises:
        FormatError: the model or its config is damaged, or from a version whose runs can't be read.
        OSError: there is none.
    """
    given = Path(path)
    folder = Folder(given if given.is_dir() else given.parent)
    model = load_model(folder.model if given.is_dir() else given)
    if not folder.config.exists() or (not given.is_dir() and given.name != folder.model.name):
        return Trained(model, None, None)
    settings = resolve(None, {}, folder.config)
    found = read_toml(folder.config).get(FITTED)
    if not isinstance(found, dict) or set(found) != {"digest"}:
        raise FormatError(
            f"{folder.config}: the table [{FITTED}] of 'deepmath train' is missing or changed, or of an earlier "
            "version; train again"
        )
    return Trained(model, settings, str(found["digest"]))


def data_settings(trained: Trained, data: str | None, given: Mapping[str, Any]) -> Settings:
    """How to read DATA: as the run did, unless told otherwise."""
    known = trained.settings
    name = data or (known.data if known else None)
    if name is None:
        raise ConfigError("DATA is missing: the model comes without the config.toml of its run, which would name it")
    base: dict[str, Any] = {"seed": known.seed, "test": known.test} if known else {}
    if known is not None and name.lower().endswith(TABLES):
        base |= {"header": known.header, "na": known.na}
    if known is not None and name == known.data:
        base |= {"data_dir": known.data_dir}
    return resolve(name, base | {k: v for k, v in given.items() if v is not None})
