"""Handwritten digits: 8 by 8 pixels from the package, and MNIST from its files.

`digits.md` says where the images in the package come from and under which licence.
"""

from __future__ import annotations

import errno
import os
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepmath.datasets.idx import read_bytes
from deepmath.errors import ConfigError, FormatError


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


_PREFIX = {"train": "train", "test": "t10k"}


def mnist(data_dir: str | os.PathLike[str], part: str = "train") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Handwritten digits of 28 by 28 pixels, read from the IDX files of MNIST, plain or compressed by gzip.

    The files (`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, ... with or without `.gz`, or with a dot
    before `idx`) lie in `data_dir` or in its folder `mnist`; nothing is downloaded. `part` is "train"
    (60,000 images) or "test" (10,000).

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition" (1998).

    Returns:
        X float32 [n, 784], an image's rows one after the other, ink / 255 from 0 to 1 (float32 since a byte
        needs no more, and trainings take it as it is), and y int64 [n], the digit.

    Raises:
        ConfigError: `part` is neither.
        FormatError: a file is damaged, or the two don't belong together.
        OSError: a file is missing or can't be read.
    """
    if part not in _PREFIX:
        msg = f"mnist: part must be 'train' or 'test', got {part!r}"
        raise ConfigError(msg)
    image_file = _find(data_dir, f"{_PREFIX[part]}-images", "idx3-ubyte")
    label_file = _find(data_dir, f"{_PREFIX[part]}-labels", "idx1-ubyte")
    images, labels = read_bytes(image_file, 3), read_bytes(label_file, 1)
    if len(images) != len(labels):
        msg = f"{image_file} has {len(images)} items, {label_file} has {len(labels)}."
        raise FormatError(msg)
    if images.shape[1:] != (28, 28):
        msg = f"{image_file}: images of {images.shape[1]}×{images.shape[2]} pixels, expected 28×28"
        raise FormatError(msg)
    if labels.max() > 9:
        row = int(np.argmax(labels > 9))
        msg = f"{label_file}: label {labels[row]} at row {row} is outside 0..9; the file is damaged: fetch it again"
        raise FormatError(msg)
    X = images.reshape(len(images), 784).astype(np.float32)
    X /= np.float32(255.0)
    return X, labels.astype(np.int64)


def _find(data_dir: str | os.PathLike[str], name: str, kind: str) -> str:
    """The first of the places where a file of MNIST may lie."""
    folder = Path(data_dir)
    for place in (folder, folder / "mnist"):
        for spelling in (f"{name}-{kind}", f"{name}.{kind}"):
            for end in ("", ".gz"):
                path = place / f"{spelling}{end}"
                if path.exists():
                    return str(path)
    missing = str(folder / f"{name}-{kind}.gz")
    raise FileNotFoundError(errno.ENOENT, "mnist: no such file here or in the folder mnist; check data_dir", missing)
