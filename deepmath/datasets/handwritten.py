"""Handwritten digits of 8 by 8 pixels. `digits.md` says where the images come from and under which licence."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray


def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """1797 handwritten digits of 8 by 8 pixels, the ink of each pixel from 0 to 16.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository (1998), doi 10.24432/C50P49, the test set; CC BY 4.0. The images lie in the package.

    Returns:
        X float64 [1797, 64], an image's rows one after the other, and y int64 [1797], the digit.

    >>> X, y = digits()
    >>> X.shape, y[:10].tolist()
    ((1797, 64), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> for row in X[0].reshape(8, 8)[:4]:
    ...     print("".join(" .:*#"[int(ink) // 4] for ink in row).rstrip())
      .*:
      **:*.
      *  ::
     .*  ::
    """
    with (
        resources.files("deepmath.datasets").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        return arrays["X"].astype(np.float64), arrays["y"].astype(np.int64)
