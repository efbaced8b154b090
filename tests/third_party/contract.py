"""The whole test file of a third party's backend, but for its name: pytest finds it as test_contract.py."""

from deepmath.testing.contract import BackendContract


class TestPlain(BackendContract):
    backend = "plain"
