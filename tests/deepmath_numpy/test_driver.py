"""The driver: every share is done once, phases follow one another; in any number of threads."""

from __future__ import annotations

import random
import sys
import threading

import numpy as np
import pytest
from deepmath_numpy import driver
from driver_kernels import Program, address, arguments, table

THREADS = (1, 2, 3, 5)


# Blocks


def noted(group, calls, n, threads=1):
    """What the calls of one group were called with, in order: (number of the call, n, r0, r1, c0, c1)."""
    notes = np.zeros((len(calls), 100, 6), np.int64)
    own = [table([notes[i].ctypes.data, 0, i]) for i in range(len(calls))]
    rows = [(address("note"), a, *call) for a, call in zip(own, calls, strict=True)]
    Program(rows, [[0, len(calls), *group]], [[0, 1, 1]]).run([[0, 1, n, 0]], threads)
    return sorted(tuple(note) for i, a in enumerate(own) for note in notes[i, : a[1] // 6].tolist())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("group", "call", "n", "blocks"),
    [
        ([-1, 4, 8, 8], [1, 8, -1], 8, [(0, 4, 0, 8), (4, 8, 0, 8)]),
        ([-1, 4, 8, 8], [1, 8, -1], 7, [(0, 4, 0, 8), (4, 7, 0, 8)]),
        ([-1, 4, 8, 8], [1, 8, -1], 1, [(0, 1, 0, 8)]),
        ([-1, 4, 8, 8], [1, 8, -1], 0, []),
        ([-1, 9, 8, 8], [3, 8, -1], 8, [(0, 24, 0, 8)]),
        ([-1, 4, 8, 8], [3, 8, -1], 7, [(0, 12, 0, 8), (12, 21, 0, 8)]),
        ([-1, 4, 8, 5], [1, 8, -1], 6, [(0, 4, 0, 5), (0, 4, 5, 8), (4, 6, 0, 5), (4, 6, 5, 8)]),
        ([5, 3, 7, 7], [1, 7, 5], 100, [(0, 3, 0, 7), (3, 5, 0, 7)]),
        ([5, 3, 7, 7], [1, 7, 5], 0, [(0, 3, 0, 7), (3, 5, 0, 7)]),
        ([1, 1, 7, 2], [1, 7, 1], 0, [(0, 1, 0, 2), (0, 1, 2, 4), (0, 1, 4, 6), (0, 1, 6, 7)]),
        # a call with columns of its own, where all columns are one block
        ([-1, 4, 8, 9], [1, 30, -1], 4, [(0, 4, 0, 30)]),
        # a call with fewer rows than its group: nothing is left for it in the second block
        ([-1, 4, 8, 8], [1, 8, 3], 8, [(0, 3, 0, 8)]),
        ([-1, 4, 8, 8], [1, 8, 0], 8, []),
        ([0, 4, 8, 8], [1, 8, -1], 8, []),
    ],
)
def test_a_call_gets_its_blocks(threads, group, call, n, blocks):
    found = noted(group, [call], n, threads)
    assert found == sorted((0, n, *block) for block in blocks)


def test_a_share_runs_all_calls_of_its_group():
    calls = [[1, 6, -1], [2, 6, -1], [1, 6, 5]]
    rows = [(0, 0, 4), (0, 4, 6), (1, 0, 8), (1, 8, 12), (2, 0, 4), (2, 4, 5)]
    assert noted([-1, 4, 6, 6], calls, 6) == [(call, 6, r0, r1, 0, 6) for call, r0, r1 in rows]


@pytest.mark.parametrize("threads", THREADS)
def test_calls_of_a_share_follow_one_another(threads):
    x, y = np.zeros((8, 3), np.int64), np.zeros((8, 3), np.int64)
    # within a share: x becomes 3 y + 1 row by row (each its own mirror: one row a time), then y is 3 x + 1
    calls = []
    for r in range(8):
        for to, given in ((x, y), (y, x)):
            a = table([to[r:].ctypes.data, 3, given[r:].ctypes.data, 0, 0])
            calls.append((address("mirror"), a, 1, 3, 1))
    program = Program(calls, [[2 * r, 2 * r + 2, 1, 1, 3, 3] for r in range(8)], [[0, 8, 1]])
    program.run([[0, 1, 0, 0]] * 20, threads, [[1.0]])
    value = 0
    for _ in range(40):
        value = 3 * value + 1
    assert (y == np.int64(np.uint64(value % 2**64).view(np.int64))).all()


# Shares and phases


def random_program(rnd):
    """A program that adds 1 to blocks of x in some phases, the launches to run, and what x shall be."""
    x = np.zeros((rnd.randint(1, 70), rnd.randint(1, 40)), np.int64)
    rows, columns = x.shape
    calls, groups, phases = [], [], []
    for _ in range(rnd.randint(1, 12)):
        calls.append((address("add"), arguments(x), 1, columns, -1))
        number = len(calls)
        groups.append([number - 1, number, -1, rnd.randint(1, rows + 3), columns, rnd.randint(1, columns + 3)])
        phases.append([number - 1, number, rnd.random() < 0.8])
    launches = [[0, len(phases), rnd.randint(0, rows), 0] for _ in range(rnd.randint(1, 300))]
    want = np.zeros_like(x)
    for _, end, n, _ in launches:
        want[:n] += end
    return Program(calls, groups, phases), launches, x, want


def check_random(seed, rounds):
    rnd = random.Random(seed)
    for _ in range(rounds):
        program, launches, x, want = random_program(rnd)
        program.run(launches, rnd.choice(THREADS))
        assert (x == want).all()


def test_every_share_is_done_once():
    check_random(1, 60)


def test_several_drivers_in_several_threads():
    failed = []

    def check(seed):
        try:
            check_random(seed, 20)
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=check, args=(seed,)) for seed in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("threads", THREADS)
def test_a_phase_sees_all_of_the_phase_before(threads):
    """Thousands of phases of small shares, each of which reads rows that other shares wrote in the phase before."""
    rows, columns, launches = 12, 5, 3000
    x, y = np.arange(60).reshape(rows, columns), np.zeros((rows, columns), np.int64)
    calls, groups, phases = [], [], []
    blocks = [(1, 2), (5, 5), (3, 4), (12, 1), (2, 5), (7, 3)]
    for number, (row_block, column_block) in enumerate(blocks):
        to, given = (y, x) if number % 2 == 0 else (x, y)
        calls.append((address("mirror"), arguments(to, given, number % 3), 1, columns, rows))
        groups.append([number, number + 1, rows, row_block, columns, column_block])
        phases.append([number, number + 1, number != 1])
    program = Program(calls, groups, phases)
    numbers = np.random.default_rng(0).integers(0, 100, (launches, 3)).astype(float)
    want = x.copy()
    for row in numbers.astype(np.int64):
        for number in range(len(blocks)):
            want = 3 * want[::-1] + row[number % 3]
    program.run([[0, len(blocks), 0, i] for i in range(launches)], threads, numbers)
    assert (x == want).all()
    assert (program.c[:3] == numbers[-1]).all()
    assert np.isnan(program.c[3]), "only as many numbers as there are in a row are copied"


@pytest.mark.parametrize("threads", THREADS)
def test_groups_of_a_phase_are_all_done(threads):
    sizes = [(9, 4), (1, 1), (30, 7), (2, 2)]
    arrays = [np.zeros(size, np.int64) for size in sizes]
    calls = [(address("add"), arguments(x), 1, x.shape[1], len(x)) for x in arrays]
    groups = [[i, i + 1, rows, 2, columns, 3] for i, (rows, columns) in enumerate(sizes)]
    program = Program(calls, groups, [[0, 3, 1], [3, 4, 1], [0, 0, 1]])
    program.run([[0, 3, 5, 0], [0, 1, 5, 0], [1, 2, 5, 0], [2, 3, 5, 0]] * 200, threads)
    assert [np.unique(x).tolist() for x in arrays] == [[400]] * 4


def test_no_launches():
    x = np.zeros((2, 2), np.int64)
    program = Program([(address("add"), arguments(x), 1, 2, -1)], [[0, 1, -1, 1, 2, 2]], [[0, 1, 1]])
    program.run([], 2)
    assert not x.any()
    assert np.isnan(program.c).all()


@pytest.mark.skipif(sys.platform == "win32", reason="asks for the thread as POSIX does")
def test_only_phases_that_may_be_shared_leave_the_main_thread():
    shared, alone = np.zeros((200, 8), np.int64), np.zeros((200, 8), np.int64)
    calls = [(address("who"), arguments(x), 1, 8, -1) for x in (shared, alone)]
    program = Program(calls, [[i, i + 1, -1, 1, 8, 8] for i in (0, 1)], [[0, 1, 1], [1, 2, 0]])
    me = threading.get_ident()
    seen = set()
    for _ in range(500):  # until a worker gets to run beside whatever else this machine does
        program.run([[0, 2, 200, 0]] * 2000, 2)
        assert set(alone.ravel().tolist()) == {me}
        seen |= set(shared.ravel().tolist())
        if len(seen) > 1:
            break
    assert len(seen - {me}) >= 1


# Tables


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("calls", lambda t: t[:, :4]),
        ("groups", lambda t: t.astype(np.int32)),
        ("phases", lambda t: np.asfortranarray(np.vstack([t, t]))),
        ("c", lambda t: t.astype(np.float32)),
    ],
)
def test_tables_of_another_kind_are_refused(name, change):
    given = {"calls": np.zeros((1, 5)), "groups": np.ones((1, 6)), "phases": np.zeros((1, 3))}
    tables = {key: value.astype(np.int64) for key, value in given.items()} | {"c": np.zeros(2)}
    driver.Driver(**tables)
    with pytest.raises(TypeError, match=f"{name} must be a C-contiguous"):
        driver.Driver(**tables | {name: change(tables[name])})


def test_blocks_without_rows_are_refused():
    groups = table([[0, 0, -1, 0, 4, 4]])
    with pytest.raises(ValueError, match="a row and a column at least"):
        driver.Driver(np.zeros((1, 5), np.int64), groups, np.zeros((1, 3), np.int64), np.zeros(1))


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "arm64-apple-macosx", "riscv64-unknown-linux-gnu"])
def test_other_processors_have_words_of_their_own(monkeypatch, triple):
    import llvmlite.binding as llvm
    from deepmath_numpy import driver_ir

    monkeypatch.setattr(llvm, "get_process_triple", lambda: triple)
    text = driver_ir.module()
    assert "x86" not in text
    assert ("llvm.aarch64.isb" in text) == triple.startswith(("aarch64", "arm64"))
    with llvm.parse_assembly(text) as module:
        module.verify()
