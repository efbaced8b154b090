"""The CUDA backend without a device: g++ compiles what a device would run."""

import os
import shutil

import pytest


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason="g++ is not installed")
    if shutil.which("g++") is None:
        for item in items:
            if "deepmath_cupy" in str(item.path) and "shim" in getattr(item, "fixturenames", ()):
                item.add_marker(skip)


@pytest.fixture
def shim():
    """A device that is none."""
    from cuda_shim import Shim

    return Shim(seed=5)


@pytest.fixture(autouse=True, scope="session")
def compiled_once(tmp_path_factory):
    """The processes of a session share what they have compiled."""
    import cuda_shim

    base = tmp_path_factory.getbasetemp()
    cuda_shim.folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shim"
    cuda_shim.folder.mkdir(exist_ok=True)
    yield
    cuda_shim.folder = None
