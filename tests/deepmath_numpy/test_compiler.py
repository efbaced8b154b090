"""Compiled code: the same bytes cold and warm, and a disk that is damaged, full, foreign or read-only stops nobody."""

from __future__ import annotations

import ctypes
import errno
import logging
import math
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from deepmath_numpy import compiler, objects

TEXT = """
declare double @exp(double)
declare double @fmod(double, double)
declare double @floor(double)
declare double @llvm.pow.f64(double, double)
declare double @llvm.sin.f64(double)
declare double @llvm.cos.f64(double)
declare double @llvm.log.f64(double)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define double @mix(double %x) {
  %a = call double @exp(double %x)
  %b = call double @llvm.pow.f64(double %a, double 1.25)
  %c = call double @llvm.sin.f64(double %b)
  %d = call double @llvm.cos.f64(double %c)
  %e = call double @llvm.log.f64(double %d)
  %f = call double @fmod(double %e, double 0.125)
  %g = call double @floor(double %b)
  %h = fadd double %f, %g
  ret double %h
}

define void @copy(ptr %to, ptr %from, i64 %bytes) {
  call void @llvm.memset.p0.i64(ptr %to, i8 7, i64 %bytes, i1 0)
  %half = sdiv i64 %bytes, 2
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %half, i1 0)
  ret void
}
"""
PROGRAM = """
import sys
from deepmath_numpy import compiler
print(compiler.load(sys.stdin.read()).compiled)
"""
can_fork = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
jax_may_be_loaded = pytest.mark.filterwarnings("ignore:.*fork", "ignore::pytest.PytestUnraisableExceptionWarning")
"""It warns of forks, whoever makes them."""


def mix(code, x=0.3):
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.address("mix"))(x)


def expected(x=0.3):
    b = math.exp(x) ** 1.25
    return math.fmod(math.log(math.cos(math.sin(b))), 0.125) + math.floor(b)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder of its own, in a process that has compiled nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    forget(monkeypatch)
    return tmp_path / "deepmath"


def forget(monkeypatch):
    """Let this process know no code, as a new one would."""
    monkeypatch.setattr(compiler, "_loaded", {})


def only_file(cache) -> Path:
    (path,) = cache.iterdir()
    return path


def test_functions_of_the_system_are_found(cache):
    code = compiler.load(TEXT)
    assert mix(code) == pytest.approx(expected(), rel=1e-14)
    to, given = ctypes.create_string_buffer(1000), ctypes.create_string_buffer(bytes(range(250)) * 4, 1000)
    copy = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(code.address("copy"))
    copy(ctypes.addressof(to), ctypes.addressof(given), 1000)
    assert to.raw == given.raw[:500] + b"\x07" * 500


def test_a_process_compiles_a_text_once(cache):
    found, threads = [], []
    for _ in range(6):
        threads.append(threading.Thread(target=lambda: found.append(compiler.load(TEXT))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({id(code) for code in found}) == 1
    assert compiler.load(TEXT + "\n") is not found[0]


def test_cold_and_warm_run_the_same_bytes(cache, monkeypatch):
    given = []
    load = compiler._engine
    monkeypatch.setattr(compiler, "_engine", lambda code: given.append(code) or load(code))
    cold = compiler.load(TEXT)
    assert cold.compiled
    assert {"parsing", "optimising", "emitting", "loading"} <= set(cold.seconds)
    forget(monkeypatch)
    warm = compiler.load(TEXT)
    assert not warm.compiled
    assert set(warm.seconds) == {"reading", "loading"}
    assert given[0] == given[1]
    assert mix(warm) == mix(cold)


def test_a_second_process_compiles_nothing(cache):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parent)}
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM], input=TEXT, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]


def test_processes_that_write_at_once(cache, monkeypatch):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parent)}
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdin=subprocess.PIPE) for _ in range(4)
    ]
    for process in running:
        process.communicate(TEXT.encode())
    assert [process.returncode for process in running] == [0] * 4
    only_file(cache)
    assert not compiler.load(TEXT).compiled


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:5],
        lambda whole: whole[:40],
        lambda whole: whole[:50],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: bytes([whole[0] ^ 1]) + whole[1:],
        lambda whole: whole[:20] + bytes([whole[20] ^ 128]) + whole[21:],
        lambda whole: whole[:-9] + bytes([whole[-9] ^ 2]) + whole[-8:],
        lambda whole: b"\x80\x04cos\nsystem\n" * 300,
    ],
)
def test_a_damaged_file_is_compiled_and_written_anew(cache, monkeypatch, caplog, damage):
    compiler.load(TEXT)
    path = only_file(cache)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    forget(monkeypatch)
    with caplog.at_level(logging.WARNING):
        code = compiler.load(TEXT)
    assert code.compiled
    assert mix(code) == pytest.approx(expected(), rel=1e-14)
    assert only_file(cache).read_bytes() == whole
    assert not caplog.records


def test_a_file_under_the_name_of_another_is_not_used(cache, monkeypatch):
    compiler.load(TEXT)
    path = only_file(cache)
    other = TEXT.replace("1.25", "1.5")
    right = mix(compiler.load(other))
    (second,) = set(cache.iterdir()) - {path}
    second.write_bytes(path.read_bytes())
    forget(monkeypatch)
    code = compiler.load(other)
    assert code.compiled
    assert mix(code) == right


def test_a_folder_in_the_place_of_a_file(cache):
    compiler.load(TEXT)
    path = only_file(cache)
    path.unlink()
    path.mkdir()
    compiler._loaded.clear()
    assert mix(compiler.load(TEXT)) == pytest.approx(expected(), rel=1e-14)
    only_file(cache)


@pytest.mark.parametrize("change", ["processor", "settings", "version"])
def test_what_code_depends_on_is_in_its_name(cache, monkeypatch, change):
    compiler.load(TEXT)
    first = only_file(cache)
    if change == "processor":
        name, features = compiler._processor()
        monkeypatch.setattr(compiler, "_processor", lambda: (name, features + ",-avx512vnni"))
    elif change == "settings":
        monkeypatch.setattr(compiler, "EMIT_LEVEL", 1)
    else:
        monkeypatch.setattr("llvmlite.__version__", "1000.0")
    forget(monkeypatch)
    assert compiler.load(TEXT).compiled
    assert len(set(cache.iterdir()) - {first}) == 1


def temporary_files():
    return set(os.listdir(tempfile.gettempdir()))


@pytest.mark.parametrize("size", [0, 1, 30, 500])
def test_a_full_disk_is_no_error(cache, monkeypatch, caplog, size):
    monkeypatch.setattr(tempfile, "tempdir", str(cache.parent / "temporary"))
    Path(tempfile.gettempdir()).mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    objects._complain.cache_clear()
    with caplog.at_level(logging.INFO, "deepmath"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            code = compiler.load(TEXT)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert mix(code) == pytest.approx(expected(), rel=1e-14)
    assert not list(cache.iterdir())
    assert not temporary_files()
    (said,) = caplog.messages
    assert said == (
        f"the kernel cache {cache} can't be used ({os.strerror(errno.EFBIG)}); "
        "compiled code is kept for this process only"
    )


def test_a_disk_that_cannot_be_written_is_read(cache, monkeypatch, caplog):
    compiler.load(TEXT)
    whole = only_file(cache).read_bytes()

    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    objects._complain.cache_clear()
    forget(monkeypatch)
    before = temporary_files()
    with caplog.at_level(logging.INFO, "deepmath"):
        assert not compiler.load(TEXT).compiled
        assert not caplog.messages
        for power in ("1.5", "1.75"):
            assert compiler.load(TEXT.replace("1.25", power)).compiled
    (said,) = caplog.messages
    assert os.strerror(errno.EROFS) in said
    assert only_file(cache).read_bytes() == whole
    assert {name for name in temporary_files() - before if name.startswith("deepmath")} == set()


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_read(cache, monkeypatch):
    compiler.load(TEXT)
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        forget(monkeypatch)
        assert not compiler.load(TEXT).compiled
        assert compiler.load(TEXT.replace("1.25", "1.5")).compiled
    finally:
        cache.chmod(0o700)
    only_file(cache)


def test_a_folder_that_cannot_be_made_is_no_error(cache):
    cache.write_text("a file stands where the folder should be")
    assert mix(compiler.load(TEXT)) == pytest.approx(expected(), rel=1e-14)
    assert cache.is_file()


def test_a_folder_that_others_can_write_to_is_neither_read_nor_written(cache, monkeypatch):
    compiler.load(TEXT)
    path = only_file(cache)
    cache.chmod(0o777)
    stamp = path.stat().st_mtime_ns
    forget(monkeypatch)
    assert compiler.load(TEXT).compiled
    assert only_file(cache).stat().st_mtime_ns == stamp


def test_a_file_that_others_can_write_to_is_replaced(cache, monkeypatch):
    compiler.load(TEXT)
    only_file(cache).chmod(0o666)
    forget(monkeypatch)
    assert compiler.load(TEXT).compiled
    assert not only_file(cache).stat().st_mode & 0o022


def test_what_is_no_code_is_refused(cache):
    with pytest.raises(RuntimeError, match="expected top-level entity"):
        compiler.load("this is no LLVM IR")
    assert not cache.exists()
    assert mix(compiler.load(TEXT)) == pytest.approx(expected(), rel=1e-14)


def test_a_name_that_is_not_there(cache):
    with pytest.raises(KeyError, match="holds no function 'missing'"):
        compiler.load(TEXT).address("missing")


def in_child(action) -> int:
    """The exit status of a forked child that does this; it is killed if it hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(30)
            status = 0 if action() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@can_fork
@jax_may_be_loaded
def test_a_child_uses_what_its_parent_compiled_and_compiles_anew(cache):
    code = compiler.load(TEXT)

    def action():
        new = compiler.load(TEXT.replace("1.25", "1.5"))
        return new.compiled and compiler.load(TEXT) is code and mix(code) == mix(code) != mix(new)

    assert in_child(action) == 0


@can_fork
@jax_may_be_loaded
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_compiles(cache):
    stop = threading.Event()

    def compile_on():
        number = 0
        while not stop.is_set():
            number += 1
            compiler.load(TEXT.replace("1.25", f"{number}.25"))

    thread = threading.Thread(target=compile_on)
    thread.start()
    try:
        statuses = [in_child(lambda: compiler.load(TEXT.replace("1.25", "0.5")).address("mix")) for _ in range(10)]
    finally:
        stop.set()
        thread.join()
    assert statuses == [0] * 10


def test_nothing_is_imported_before_it_is_needed():
    program = "import sys, deepmath_numpy.compiler, deepmath_numpy.threads; print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
