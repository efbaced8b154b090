"""Our own backends pass the contract that we ask of others."""

import pytest

from deepmath.testing.contract import BackendContract


class TestNumpy(BackendContract):
    backend = "numpy"


@pytest.mark.slow
class TestReference(BackendContract):
    backend = "reference"


@pytest.mark.slow
class TestStrict(BackendContract):
    """The reference on a library that allows nothing but the standard."""

    backend = "array_api_strict"
