"""Rows in files that needn't fit into memory, read in pieces while a model trains on them: NPY and IDX."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.data.buffers import BufferPool
from deepmath.data.rows import Rows
from deepmath.data.sources import Piece, Source, check_rows, unordered
from deepmath.datasets.idx import read_header
from deepmath.datasets.npz import read_npy_header
from deepmath.errors import FormatError
from deepmath.files import check_shape, open_regular, product


class FlatFile:
    """Numbers [rows, ...] that lie in a file one after the other, from `offset` on.

    Pieces are read into memory of their own; rows by number come through a memory map, which the system keeps
    in its cache of files and not in this process. Raises FormatError for a file that is shorter or longer.
    """

    def __init__(self, path: str | os.PathLike[str], offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.name, self.shape, self.dtype = os.fspath(path), shape, dtype
        self._offset, self._row = offset, dtype.itemsize * math.prod(shape[1:])
        with open_regular(self.name, "a file of numbers") as file:
            promised, held = self._row * shape[0], os.fstat(file.fileno()).st_size - offset
        if promised != held:
            what = f"{product(shape)} of {dtype.newbyteorder('=').name} = {promised:,} bytes"
            raise FormatError(f"{self.name}: header says {what}, file has {max(held, 0):,}.")
        self._map: Any = None
        self._empty: Any = np.empty

    def within(self, memory: BufferPool) -> FlatFile:
        """The same file, read into this memory."""
        other = copy.copy(self)
        other._empty = memory.empty
        return other

    @property
    def ndim(self) -> int:
        """How many axes there are, that of the rows included."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, pieces: Sequence[Piece]) -> NDArray[Any]:
        """The rows of all pieces, one after the other. Raises FormatError if the file has become shorter."""
        rows: NDArray[Any] = self._empty((sum(stop - start for start, stop in pieces), *self.shape[1:]), self.dtype)
        view: Any = memoryview(rows.reshape(-1).view(np.uint8).data)
        place = 0
        with open_regular(self.name, "a file of numbers") as file:
            for start, stop in pieces:
                length = (stop - start) * self._row
                file.seek(self._offset + start * self._row)
                if file.readinto(view[place : place + length]) < length:  # type: ignore[attr-defined]
                    raise FormatError(f"{self.name}: the file ends in row {stop - 1}; it was cut while it was read")
                place += length
        return rows

    def take(self, numbers: Any) -> NDArray[Any]:
        """The rows of these numbers, in this order. Raises IndexError for a number that no row has."""
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"{self.name} has rows 0 to {len(self) - 1}")
        if self._map is None:
            self._map = np.memmap(self.name, self.dtype, "r", self._offset, self.shape)
            unordered(self._map)
        rows: NDArray[Any] = self._empty((len(numbers), *self.shape[1:]), self.dtype)
        return np.take(self._map, numbers, axis=0, out=rows, mode="clip")  # the other modes copy once more


class _Files(Source):
    """Inputs, targets and perhaps weights in files of their own."""

    def __init__(self, X: FlatFile, y: FlatFile, weights: FlatFile | None) -> None:
        check_rows(X, y, weights)
        self._files = X, y, weights
        self.shape = (len(X), math.prod(X.shape[1:]))

    def within(self, memory: BufferPool) -> _Files:
        other = copy.copy(self)
        X, y, weights = self._files
        other._files = X.within(memory), y, weights
        return other

    def read(self, pieces: Sequence[Piece]) -> Rows:
        X, y, weights = (None if f is None else f.read(pieces) for f in self._files)
        assert X is not None
        return Rows(X.reshape(len(X), -1), y, weights)

    def take(self, numbers: Any) -> Rows:
        X, y, weights = (None if f is None else f.take(numbers) for f in self._files)
        assert X is not None
        return Rows(X.reshape(len(X), -1), y, weights)

    def targets(self) -> Iterator[Any]:
        return (self._files[1].read([piece]) for piece in self.chunks())


class NpySource(_Files):
    """Rows in NPY files, as `numpy.save` writes them: X [rows, ...], y [rows] or [rows, outputs], weights [rows].

    Further axes of X become features. Any booleans, integers or floats will do: they are converted as they are
    read. Nothing is read by pickle.

    Raises:
        FormatError: a file is no such array, is cut, or lies column by column (Fortran order).
        ConfigError: the files don't agree in their number of rows.
        OSError: a file is missing or can't be read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [str(pathlib.Path(folder, name)) for name in ("X.npy", "y.npy")]
    ...     for path, values in zip(paths, (np.arange(12.0).reshape(6, 2), np.arange(6)), strict=True):
    ...         np.save(path, values)
    ...     source = NpySource(*paths)
    ...     rows = source.read([(4, 6), (0, 1)])
    >>> source.shape, rows.y.tolist()
    ((6, 2), [4, 5, 0])
    """

    kind = "npy"

    def __init__(
        self,
        x_path: str | os.PathLike[str],
        y_path: str | os.PathLike[str],
        weights_path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(_npy(x_path), _npy(y_path), None if weights_path is None else _npy(weights_path))


class IdxSource(_Files):
    """Rows in plain IDX files, such as MNIST's after `gunzip`: images [rows, ...] and labels [rows].

    Further axes become features; values stay as they are in the file, 0 to 255 for images: scale them by the
    model's preprocessing. Raises as `NpySource`.
    """

    kind = "idx"

    def __init__(self, x_path: str | os.PathLike[str], y_path: str | os.PathLike[str]) -> None:
        super().__init__(_idx(x_path), _idx(y_path), None)


def _npy(path: str | os.PathLike[str]) -> FlatFile:
    name = os.fspath(path)
    with open_regular(name, "an NPY file") as file:
        header = read_npy_header(name, file)
    if header.fortran and len(header.shape) > 1:
        raise FormatError(f"{name}: the array lies column by column; save numpy.ascontiguousarray of it")
    if not header.shape:
        raise FormatError(f"{name} is a single number; rows are expected")
    check_shape(f"{name} is", header.shape)
    return FlatFile(name, header.length, header.dtype, header.shape)


def _idx(path: str | os.PathLike[str]) -> FlatFile:
    name = os.fspath(path)
    with open_regular(name, "an IDX file") as file:
        if file.read(2) == b"\x1f\x8b":
            raise FormatError(f"{name}: rows of a gzip file can't be read in any order; unpack it first (gunzip)")
        file.seek(0)
        kind, shape = read_header(name, file)
        return FlatFile(name, file.tell(), kind, shape)
