"""Buffers that values share: what lives at the same time never does, and what is dead makes room."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

V = TypeVar("V", bound=Hashable)


class Use(NamedTuple):
    """The values that a kernel reads, and those that it writes."""

    reads: Collection[Hashable]
    writes: Collection[Hashable]


def lives(uses: Sequence[Use]) -> dict[Hashable, tuple[int, int]]:
    """(first, last) kernel of each value's life. One that is read before it is written is there from the start."""
    found: dict[Hashable, tuple[int, int]] = {}
    for i, use in enumerate(uses):
        for value in use.reads:
            found[value] = found.get(value, (0, 0))[0], i
        for value in use.writes:
            found[value] = found.get(value, (i, i))[0], i
    return found


def shared(uses: Sequence[Use], sizes: Mapping[V, int], kept: Iterable[V] = ()) -> tuple[dict[V, int], list[int]]:
    """The number of the buffer of each value that has a size, and the sizes of the buffers, which never overlap.

    Kernels run in this order. What one reads is in its place while it writes, and what is `kept` is there at the end.
    The largest values choose first, each the first buffer that is free as long as it lives; in a chain they take turns.
    Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference" (2020), greedy by size.

    >>> chain = [Use((), "a"), Use("a", "b"), Use("b", "c")]
    >>> shared(chain, {"a": 4, "b": 2, "c": 3})
    ({'a': 0, 'c': 0, 'b': 1}, [4, 2])
    """
    life: Mapping[Hashable, tuple[int, int]] = lives(uses)
    life = {**life, **{value: (life.get(value, (0, 0))[0], len(uses)) for value in kept}}
    buffers: list[list[V]] = []
    for value in sorted((v for v in sizes if v in life), key=lambda v: (-sizes[v], life[v])):
        first, last = life[value]
        for buffer in buffers:
            if all(life[v][1] < first or last < life[v][0] for v in buffer):
                buffer.append(value)
                break
        else:
            buffers.append([value])
    return {v: i for i, buffer in enumerate(buffers) for v in buffer}, [sizes[buffer[0]] for buffer in buffers]
