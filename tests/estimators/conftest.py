"""Small networks are slowed down by BLAS threads that wait for one another; the tests of estimators take one."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, "blas"):
        yield
