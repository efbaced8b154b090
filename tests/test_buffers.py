"""Buffers by life time: whatever kernels do, no value is overwritten while somebody still reads it."""

import random

import pytest

from deepmath.graph.buffers import Use, lives, shared


def program(seed):
    """Kernels that read some earlier values and write new ones, the sizes of these, and which are there at the end."""
    rng = random.Random(seed)
    sizes = {0: rng.randint(1, 9)}
    uses = []
    for _ in range(rng.randint(1, 25)):
        reads = rng.sample(sorted(sizes), rng.randint(1, min(3, len(sizes))))
        writes = [len(sizes) + i for i in range(rng.randint(1, 2))]
        sizes |= {w: rng.choice([1, 2, 5, 30, 100]) for w in writes}
        uses.append(Use(reads, writes))
    return uses, sizes, rng.sample(sorted(sizes), 1)


def content(value):
    return [(value, i) for i in range(1000)]


def simulated(uses, sizes, kept, places, buffers):
    """Run the kernels on the buffers, and see that each reads what was written for it."""
    memory = [[None] * size for size in buffers]

    def put(value):
        memory[places[value]][: sizes[value]] = content(value)[: sizes[value]]

    def has(value):
        return memory[places[value]][: sizes[value]] == content(value)[: sizes[value]]

    put(0)
    for use in uses:
        for value in use.writes:
            put(value)
        assert all(has(value) for value in (*use.reads, *use.writes))
    assert all(has(value) for value in kept)
    assert [len(buffer) for buffer in memory] == buffers


@pytest.mark.parametrize("seed", range(200))
def test_no_value_is_overwritten_while_it_lives(seed):
    uses, sizes, kept = program(seed)
    places, buffers = shared(uses, sizes, kept)
    assert set(places) == {value for use in uses for value in (*use.reads, *use.writes)} | set(kept)
    simulated(uses, sizes, kept, places, buffers)
    life = lives(uses)
    at_once = [sum(sizes[v] for v in life if life[v][0] <= i <= life[v][1]) for i in range(len(uses))]
    assert max(at_once) <= sum(buffers) <= sum(sizes.values())


def test_a_chain_takes_turns_between_two_buffers():
    sizes = dict(enumerate([7, 100, 30, 90, 3, 64]))
    places, buffers = shared([Use([i], [i + 1]) for i in range(5)], sizes)
    assert buffers == [100, 30]
    assert all(places[i] != places[i + 1] for i in range(5))


def test_values_without_a_size_lie_elsewhere():
    assert shared([Use(["x"], ["a"]), Use(["a"], ["y"])], {"a": 3}) == ({"a": 0}, [3])
    assert shared([], {}) == ({}, [])
