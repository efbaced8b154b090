"""In which order calls run, and in what blocks: the tables of the driver.

Calls that work row by row of the batch run one after the other on the same block of rows, which stays in the cache,
and blocks of rows are independent. A call that needs all rows, a sum over the batch, waits for them in a later phase.
Where the weights don't fit the cache, each product is a phase of its own, cut along rows and columns. No kernel's bits
depend on the block that it computes, so blocks may be as many as the processor's cores ask for: two for each, so that
one core may be slower than another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath_numpy import threads
from deepmath_numpy.lowering import Call

ALL = 1 << 40
"""A block of everything."""
IN_CACHE = 3 << 19
"""Bytes of weights up to which a block of rows goes through all layers."""
SHARED = 1 << 22
"""Multiplications of a launch from which on more threads than one can help."""
WORTH = 1 << 17
"""Multiplications of a phase from which on it is shared out."""
FLAT = 1 << 14
"""Elements of a block of parameters."""


@dataclass
class Group:
    """Calls that run one after the other on each block; `rows` of -1 are the batch's."""

    calls: list[Call]
    rows: int
    row_block: int
    columns: int = 1
    column_block: int = ALL


@dataclass
class Phase:
    """Groups that are independent of each other; or a `hook`, which Python runs."""

    groups: list[Group] = field(default_factory=list)
    hook: Any = None
    work: float = 0.0


def phases_of(items: Sequence[Call | Any], capacity: int, weights: int) -> list[Phase]:
    """The phases of calls, in the order of their dependencies. What is no `Call` is a hook."""
    split = weights > IN_CACHE
    writers: dict[int, set[int]] = {}
    level: list[int] = []
    chain: list[int] = []
    for i, item in enumerate(items):
        below = {j for number in item.inputs for j in writers.get(number, ())}
        at, follows = _after(i, below, items, level, chain, split)
        level.append(at)
        chain.append(follows)
        for number in item.outputs:
            writers.setdefault(number, set()).add(i)
    phases = []
    for at in sorted(set(level)):
        own = [i for i in range(len(items)) if level[i] == at]
        calls = [i for i in own if isinstance(items[i], Call)]
        phases += [Phase(hook=items[i]) for i in own if i not in calls]
        phases += [_phase(calls, items, chain, capacity, split)] if calls else []
    return phases


def _after(
    i: int, below: set[int], items: Sequence[Any], level: list[int], chain: list[int], split: bool
) -> tuple[int, int]:
    """The level of an item behind those `below`, and the item that begins its chain: itself, or one before it."""
    at = max((level[j] for j in below), default=0)
    last = [j for j in below if level[j] == at]
    if not last or not all(_by_row(items[k]) for k in (i, *last)):
        return at + bool(last), i
    if not split:
        return at, i
    chains = {chain[j] for j in last}
    first = chains.pop()
    together = not chains and items[i].name != "product" and _same_block(items[i], items[first])
    return (at, first) if together else (at + 1, i)


def _by_row(item: Any) -> bool:
    return isinstance(item, Call) and item.batched and not item.over_batch


def _same_block(item: Call, first: Any) -> bool:
    """Whether a map can follow a product on each of its blocks."""
    return not item.whole and isinstance(first, Call) and (item.rows, item.columns) == (first.rows, first.columns)


def _phase(numbers: list[int], items: Sequence[Any], chain: list[int], capacity: int, split: bool) -> Phase:
    phase = Phase()
    rows = [i for i in numbers if _by_row(items[i])]
    chains: dict[int, list[int]] = {}
    for i in rows:
        chains.setdefault(chain[i] if split else 0, []).append(i)
    for members in chains.values():
        calls = [items[i] for i in members]
        blocked = split and all(not c.whole and c.columns == calls[0].columns for c in calls)
        phase.groups.append(_rows_group(calls, capacity, blocked))
    phase.groups += [_group(items[i], capacity) for i in numbers if i not in rows]
    phase.work = sum(
        c.work * (capacity if c.batched or c.name == "product" else 1) for g in phase.groups for c in g.calls
    )
    return phase


def _rows_group(calls: list[Call], capacity: int, blocked: bool) -> Group:
    if not blocked:
        return Group(calls, -1, _part_of(capacity, 8, 64, 2 * threads.available()), 1, ALL)
    columns = calls[0].columns
    return Group(calls, -1, 128, columns, _part_of(columns, 32, 256, 2 * threads.available()))


def _group(call: Call, capacity: int) -> Group:
    if call.over_batch:
        return Group([call], -1 if call.batched else call.rows, ALL, call.columns, 64)
    if call.name == "product":
        return Group([call], call.rows, _part_of(call.rows, 8, 64, 4 * threads.available()), call.columns, 256)
    if call.whole or call.batched:
        return Group([call], call.rows, ALL, 1, ALL)
    return Group([call], call.rows, max(1, FLAT // max(call.columns, 1)), call.columns, FLAT)


def _part_of(size: int, least: int, most: int, parts: int) -> int:
    """A size in about so many parts: the length of a part, a multiple of `least`."""
    return max(least, min(most, -(-size // (parts * least)) * least))


@dataclass
class Tables:
    """The driver's tables, and what must stay alive with them."""

    calls: Any
    groups: Any
    phases: Any
    hooks: dict[int, Any]
    kept: list[Any]


def tables_of(phases: Sequence[Phase]) -> Tables:
    """The tables of these phases. Phases share their work among threads where the launch as a whole is worth it."""
    calls: list[list[int]] = []
    groups: list[list[int]] = []
    rows: list[list[int]] = []
    hooks: dict[int, Any] = {}
    kept: list[Any] = []
    shared = sum(p.work for p in phases) >= SHARED
    for i, phase in enumerate(phases):
        if phase.hook is not None:
            hooks[i] = phase.hook
        first = len(groups)
        share = shared and phase.work >= WORTH
        for g in phase.groups:
            at = len(calls)
            for c in g.calls:
                fixed = -1 if c.batched else c.rows
                calls.append([c.address, c.a.ctypes.data, c.rows if c.batched else 1, c.columns, fixed])
                kept.append(c.a)
            row_block = g.row_block if share or g.rows != -1 or g.row_block == ALL else max(g.row_block, 64)
            groups.append([at, len(calls), g.rows, row_block, g.columns, min(g.column_block, max(g.columns, 1))])
        rows.append([first, len(groups), int(share)])
    tables = [np.asarray(t, np.int64).reshape(-1, n) for t, n in ((calls, 5), (groups, 6), (rows, 3))]
    return Tables(tables[0], tables[1], tables[2], hooks, kept)
