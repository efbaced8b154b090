"""The whole test file of a third party's backend."""

from deepmath.testing.contract import BackendContract


class TestPlain(BackendContract):
    backend = "plain"
