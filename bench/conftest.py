"""Suites of `pytest bench`: in one process, since workers that share the cores would slow each other down."""

import pytest

collect_ignore = ["peers"]  # adapters import libraries that needn't be installed


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Without pytest-xdist's workers, under which pytest-benchmark measures nothing."""
    given = [str(argument).rstrip("/") for argument in config.args]
    if all(name.rpartition("/")[2] == "bench" or "bench/" in name for name in given):
        config.option.numprocesses, config.option.dist, config.option.tx = 0, "no", []
