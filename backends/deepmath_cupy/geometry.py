"""How many blocks of how many threads a kernel gets: a function of shapes alone, so that sums keep their order."""

from __future__ import annotations

from deepmath.printers import cuda

THREADS = cuda.THREADS["elements"]
MAX_BLOCKS = 4096
"""Enough to fill any device several times over; kernels stride over what is left."""

STRETCH = 64
"""Rows that one thread adds up before a second pass joins the stretches."""

MAX_STRETCHES = 256

Grid = tuple[tuple[int, int], tuple[int, int]]
"""(blocks along x and y, threads along x and y)."""


def power_of_two(n: int) -> int:
    """The least power of two that is not below n.

    >>> [power_of_two(n) for n in (1, 2, 3, 10)]
    [1, 2, 4, 16]
    """
    return 1 << max(n - 1, 0).bit_length()


def elements(rows: int, columns: int) -> Grid:
    """Threads along x for columns, along y for rows.

    >>> elements(128, 10), elements(1, 1000000)
    (((1, 8), (16, 16)), ((3907, 1), (256, 1)))
    """
    x = min(THREADS, power_of_two(columns))
    y = min(THREADS // x, power_of_two(rows))
    across = min(_over(columns, x), MAX_BLOCKS)
    return (across, min(_over(rows, y), max(1, MAX_BLOCKS // across))), (x, y)


def stretches(rows: int) -> int:
    """Into how many stretches the rows of a sum are cut.

    >>> stretches(1), stretches(128), stretches(1 << 20)
    (1, 2, 256)
    """
    return max(1, min(_over(rows, STRETCH), MAX_STRETCHES))


def columns(rows: int, columns: int) -> Grid:
    """Threads along x for columns, blocks along y for stretches of rows."""
    x = max(32, min(cuda.THREADS["columns"], power_of_two(columns)))
    return (min(_over(columns, x), MAX_BLOCKS), stretches(rows)), (x, 1)


def rows(rows: int, columns: int) -> Grid:
    """A block for each row.

    >>> rows(128, 10), rows(1, 100000)
    (((128, 1), (32, 1)), ((1, 1), (256, 1)))
    """
    return (max(1, min(rows, 16 * MAX_BLOCKS - 1)), 1), (min(cuda.THREADS["rows"], 32 * _over(columns, 32)), 1)


def transposed(rows: int, columns: int) -> Grid:
    """A block for 32 rows that lie side by side in memory."""
    return (max(1, min(_over(rows, 32), MAX_BLOCKS)), 1), (
        32,
        min(cuda.THREADS["transposed"] // 32, power_of_two(_over(columns, 2))),
    )


BY_LAYOUT = {"elements": elements, "columns": columns, "rows": rows, "transposed": transposed}
"""For each of `deepmath.printers.cuda.layout`."""


def _over(n: int, size: int) -> int:
    return max(1, -(-n // size))
