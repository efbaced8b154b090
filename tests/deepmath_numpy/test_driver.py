"""The driver: every share is done once, phases follow one another, nothing is left behind; in any number of threads."""

from __future__ import annotations

import _thread
import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
from deepmath_numpy import compiler, driver

LOOP = """
define void @{name}(ptr %a, ptr %c, i64 %n, i64 %r0, i64 %r1, i64 %c0, i64 %c1) {{
start:
  %p0 = getelementptr i64, ptr %a, i64 0
  %p1 = getelementptr i64, ptr %a, i64 1
  %p2 = getelementptr i64, ptr %a, i64 2
  %p3 = getelementptr i64, ptr %a, i64 3
  %p4 = getelementptr i64, ptr %a, i64 4
  %x = load ptr, ptr %p0
  %stride = load i64, ptr %p1
  %y = load ptr, ptr %p2
  %last = load i64, ptr %p3
  %place = load i64, ptr %p4
  %number.at = getelementptr double, ptr %c, i64 %place
  %float = load double, ptr %number.at
  %number = fptosi double %float to i64
  br label %rows
rows:
  %r = phi i64 [%r0, %start], [%r.next, %row.end]
  %r.in = icmp slt i64 %r, %r1
  br i1 %r.in, label %columns, label %end
columns:
  %j = phi i64 [%c0, %rows], [%j.next, %body]
  %j.in = icmp slt i64 %j, %c1
  br i1 %j.in, label %body, label %row.end
body:
  %offset = mul i64 %r, %stride
  %i = add i64 %offset, %j
  %at = getelementptr i64, ptr %x, i64 %i
{body}
  %j.next = add i64 %j, 1
  br label %columns
row.end:
  %r.next = add i64 %r, 1
  br label %rows
end:
  ret void
}}
"""
ADD = """
  %v = load i64, ptr %at
  %w = add i64 %v, 1
  store i64 %w, ptr %at
"""
MIRROR = """
  %other = sub i64 %last, %r
  %other.offset = mul i64 %other, %stride
  %k = add i64 %other.offset, %j
  %from = getelementptr i64, ptr %y, i64 %k
  %v = load i64, ptr %from
  %v3 = mul i64 %v, 3
  %w = add i64 %v3, %number
  store i64 %w, ptr %at
"""
WHO = """
  %w = call i64 @pthread_self()
  store i64 %w, ptr %at
"""
NOTE = """
define void @note(ptr %a, ptr %c, i64 %n, i64 %r0, i64 %r1, i64 %c0, i64 %c1) {
  %p1 = getelementptr i64, ptr %a, i64 1
  %i = atomicrmw add ptr %p1, i64 6 monotonic
  %notes = load ptr, ptr %a
  %at = getelementptr i64, ptr %notes, i64 %i
  %p2 = getelementptr i64, ptr %a, i64 2
  %name = load i64, ptr %p2
  store i64 %name, ptr %at
  %at1 = getelementptr i64, ptr %at, i64 1
  store i64 %n, ptr %at1
  %at2 = getelementptr i64, ptr %at, i64 2
  store i64 %r0, ptr %at2
  %at3 = getelementptr i64, ptr %at, i64 3
  store i64 %r1, ptr %at3
  %at4 = getelementptr i64, ptr %at, i64 4
  store i64 %c0, ptr %at4
  %at5 = getelementptr i64, ptr %at, i64 5
  store i64 %c1, ptr %at5
  ret void
}
"""
can_fork = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
jax_may_be_loaded = pytest.mark.filterwarnings("ignore:.*fork", "ignore::pytest.PytestUnraisableExceptionWarning")
"""It warns of forks, whoever makes them."""
THREADS = (1, 2, 3, 5)


@pytest.fixture(scope="module")
def address():
    """Where the test's kernel of a name lies.

    `add` adds 1 to x. `mirror` sets x = 3 y + a number, y's rows taken from last to first: it reads what other shares
    of the phase before wrote. `who` writes which thread it runs in. `note` writes down its arguments.
    """
    bodies = {"add": ADD, "mirror": MIRROR}
    text = NOTE + "".join(LOOP.format(name=name, body=body) for name, body in bodies.items())
    return compiler.load(text).address


def table(rows):
    return np.array(rows, np.int64)


class Program:
    """A driver over tables given as lists, which keeps what its calls use."""

    def __init__(self, calls, groups, phases):
        self.kept = [a for _, a, *_ in calls]
        self.c = np.full(4, np.nan)
        rows = [[at, a.ctypes.data, *rest] for at, a, *rest in calls]
        self.driver = driver.Driver(table(rows), table(groups), table(phases), self.c)

    def run(self, launches, threads, numbers=((0.0,),)):
        self.driver.run(table(launches).reshape(-1, 4), np.array(numbers), threads)


def arguments(x, y=None, place=0):
    y = x if y is None else y
    return table([x.ctypes.data, x.shape[1], y.ctypes.data, len(y) - 1, place])


# Blocks


def noted(address, group, calls, n, threads=1):
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
def test_a_call_gets_its_blocks(address, threads, group, call, n, blocks):
    found = noted(address, group, [call], n, threads)
    assert found == sorted((0, n, *block) for block in blocks)


def test_a_share_runs_all_calls_of_its_group(address):
    calls = [[1, 6, -1], [2, 6, -1], [1, 6, 5]]
    rows = [(0, 0, 4), (0, 4, 6), (1, 0, 8), (1, 8, 12), (2, 0, 4), (2, 4, 5)]
    assert noted(address, [-1, 4, 6, 6], calls, 6) == [(call, 6, r0, r1, 0, 6) for call, r0, r1 in rows]


@pytest.mark.parametrize("threads", THREADS)
def test_calls_of_a_share_follow_one_another(address, threads):
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


def random_program(address, rnd):
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


def check_random(address, seed, rounds):
    rnd = random.Random(seed)
    for _ in range(rounds):
        program, launches, x, want = random_program(address, rnd)
        program.run(launches, rnd.choice(THREADS))
        assert (x == want).all()


def test_every_share_is_done_once(address):
    check_random(address, 1, 60)


def test_several_drivers_in_several_threads(address):
    failed = []

    def check(seed):
        try:
            check_random(address, seed, 20)
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=check, args=(seed,)) for seed in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("threads", THREADS)
def test_a_phase_sees_all_of_the_phase_before(address, threads):
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
def test_groups_of_a_phase_are_all_done(address, threads):
    sizes = [(9, 4), (1, 1), (30, 7), (2, 2)]
    arrays = [np.zeros(size, np.int64) for size in sizes]
    calls = [(address("add"), arguments(x), 1, x.shape[1], len(x)) for x in arrays]
    groups = [[i, i + 1, rows, 2, columns, 3] for i, (rows, columns) in enumerate(sizes)]
    program = Program(calls, groups, [[0, 3, 1], [3, 4, 1], [0, 0, 1]])
    program.run([[0, 3, 5, 0], [0, 1, 5, 0], [1, 2, 5, 0], [2, 3, 5, 0]] * 200, threads)
    assert [np.unique(x).tolist() for x in arrays] == [[400]] * 4


def test_no_launches(address):
    x = np.zeros((2, 2), np.int64)
    program = Program([(address("add"), arguments(x), 1, 2, -1)], [[0, 1, -1, 1, 2, 2]], [[0, 1, 1]])
    program.run([], 2)
    assert not x.any()
    assert np.isnan(program.c).all()


@pytest.mark.skipif(sys.platform == "win32", reason="asks for the thread as POSIX does")
def test_only_phases_that_may_be_shared_leave_the_main_thread(address):
    text = "declare i64 @pthread_self()" + LOOP.format(name="who", body=WHO)
    who = compiler.load(text).address("who")
    shared, alone = np.zeros((200, 8), np.int64), np.zeros((200, 8), np.int64)
    calls = [(who, arguments(x), 1, 8, -1) for x in (shared, alone)]
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


# Threads come late, or not, or are stopped


def adding(address, rows=64, may_share=1):
    x = np.zeros((rows, 4), np.int64)
    return x, Program([(address("add"), arguments(x), 1, 4, -1)], [[0, 1, -1, 1, 4, 4]], [[0, 1, may_share]])


def wait_for_threads(count):
    """Wait until only so many threads are there; a hanging one fails the test after a long time."""
    deadline = time.monotonic() + 60
    while _thread._count() > count:
        assert time.monotonic() < deadline, "a worker thread hangs"
        time.sleep(0.001)


def test_no_thread_outlives_a_run(address):
    before = _thread._count()
    x, program = adding(address)
    for _ in range(50):
        program.run([[0, 1, 64, 0]] * 20, 5)
    assert (x == 1000).all()
    wait_for_threads(before)


def test_threads_that_the_system_refuses_are_not_needed(address, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    x, program = adding(address)
    program.run([[0, 1, 64, 0]] * 100, 3)
    assert (x == 100).all()


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.05])
def test_workers_that_come_late(address, monkeypatch, delay):
    start, before = _thread.start_new_thread, _thread._count()

    def late(function, given):
        def wait():
            time.sleep(delay)
            function(*given)

        return start(wait, ())

    monkeypatch.setattr(_thread, "start_new_thread", late)
    x, program = adding(address)
    for _ in range(20):
        program.run([[0, 1, 64, 0]] * 200, 4)
    assert (x == 4000).all()
    wait_for_threads(before)


def test_an_interrupt_before_the_run_leaves_no_thread(address, monkeypatch):
    start, before = _thread.start_new_thread, _thread._count()
    started = []

    def interrupted(function, given):
        if started:
            raise KeyboardInterrupt
        started.append(start(function, given))

    monkeypatch.setattr(_thread, "start_new_thread", interrupted)
    x, program = adding(address)
    with pytest.raises(KeyboardInterrupt):
        program.run([[0, 1, 64, 0]] * 10, 4)
    assert not x.any()
    wait_for_threads(before)
    monkeypatch.undo()
    program.run([[0, 1, 64, 0]] * 10, 4)
    assert (x == 10).all()


def run_on(program):
    while True:
        program.run([[0, 1, 64, 0]] * 1000, 2)


def test_a_signal_in_a_run_is_answered_after_it(address):
    x, program = adding(address)

    def answer(*_):
        raise InterruptedError("asked to stop")

    old = signal.signal(signal.SIGINT, answer)
    before = _thread._count()
    try:
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(InterruptedError):
            run_on(program)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, old)
    assert len(np.unique(x)) == 1, "a run that began is done to its end"
    wait_for_threads(before)


@can_fork
@jax_may_be_loaded
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_runs_in_threads_of_its_own(address):
    x, program = adding(address)
    program.run([[0, 1, 64, 0]], 2)
    y, other = adding(address)
    stop = threading.Event()

    def run_other():
        while not stop.is_set():
            other.run([[0, 1, 64, 0]] * 100, 2)

    thread = threading.Thread(target=run_other)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    signal.alarm(30)
                    program.run([[0, 1, 64, 0]] * 999, 3)
                    y[:] = 0
                    other.run([[0, 1, 64, 0]] * 10, 3)
                    status = 0 if (x == 1000).all() and (y == 10).all() else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()
    assert (x == 1).all()


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
