"""Exact numbers have 50 digits here."""

import pytest
from mpmath import mp


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield
