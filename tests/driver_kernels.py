"""Kernels that note what the driver does with them, and a driver over tables given as lists."""

from __future__ import annotations

import numpy as np
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
TEXTS = {
    "add": LOOP.format(name="add", body=ADD),
    "mirror": LOOP.format(name="mirror", body=MIRROR),
    "who": "declare i64 @pthread_self()" + LOOP.format(name="who", body=WHO),
    "note": NOTE,
}


def address(name):
    """Where the kernel of this name lies.

    `add` adds 1 to x. `mirror` sets x = 3 y + a number, y's rows taken from last to first: it reads what other shares
    of the phase before wrote. `who` writes which thread it runs in (POSIX). `note` writes down its arguments.
    """
    return compiler.load(TEXTS[name]).address(name)


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
