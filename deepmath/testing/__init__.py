"""Checks for tests, of deepmath and of what is built on it.

`deepmath.testing.contract` is the test suite that every backend passes; it needs pytest and is imported by name.
"""

from deepmath.testing.close import assert_close
from deepmath.testing.pullbacks import check_pullback
from deepmath.testing.shapes import checks_shapes

__all__ = ["assert_close", "check_pullback", "checks_shapes"]
