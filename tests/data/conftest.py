"""A small data set in memory and in files, read in small stretches."""

from __future__ import annotations

import feeding
import numpy as np
import pytest

from deepmath.data import chunks, loaders, sources


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    for module in (chunks, loaders, sources):
        monkeypatch.setattr(module, "CHUNK", module.CHUNK)  # so that it is put back
    feeding.in_small_chunks()


@pytest.fixture(scope="session")
def arrays():
    return feeding.arrays()


@pytest.fixture(scope="session")
def files(arrays, tmp_path_factory):
    """Paths of X and y as NPY files."""
    folder = tmp_path_factory.mktemp("npy")
    for name, array in zip(("X", "y"), arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    return folder / "X.npy", folder / "y.npy"
