"""Our own backends pass the contract that we ask of others."""

from deepmath.testing.contract import BackendContract


class TestReference(BackendContract):
    backend = "reference"


class TestNumpy(BackendContract):
    backend = "numpy"


class TestStrict(BackendContract):
    """The reference on a library that allows nothing but the standard."""

    backend = "array_api_strict"
