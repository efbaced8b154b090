"""LLVM IR, as text, to machine code: compiled once for each processor, kept on disk, loaded into this process.

A text is known by the SHA-256 of itself and of all else that its machine code depends on: LLVM's version, the
processor, the settings below. The object is loaded by the same few lines whether it was just compiled or comes
from the disk, so that both run the very same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from deepmath.cache import announce, directory
from deepmath_numpy import objects

__all__ = ["Code", "load"]

PASSES = ("always_inliner", "sroa", "instruction_combine", "simplify_cfg")
"""What LLVM does to the text. It is vector code already: LLVM's own lists take ten times as long for nothing."""
EMIT_LEVEL = 2
"""How much care LLVM takes with registers and the order of instructions, from 0 to 3."""
_lock = threading.RLock()
_loaded: dict[str, Code] = {}

if sys.platform != "win32":
    # While another thread compiles, LLVM's locks and tables are in between two states: a fork waits for that thread.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@dataclass(frozen=True)
class Code:
    """Machine code in memory, for as long as the process lives.

    `seconds` says what took how long: reading, parsing, optimising, emitting, writing, loading. `compiled`: the object
    was not on disk.
    """

    _engine: Any
    compiled: bool
    seconds: dict[str, float] = field(default_factory=dict)

    def address(self, name: str) -> int:
        """Where the function of this name lies."""
        with _lock:
            found = self._engine.get_function_address(name)
        if not found:
            raise KeyError(f"the compiled code holds no function {name!r}")
        return int(found)


def load(text: str) -> Code:
    """The machine code of a module in LLVM IR, compiled only if neither this process nor the disk has it.

    Threads may call this at once. Raises RuntimeError, with LLVM's words, for text that isn't LLVM IR.
    """
    with _lock:
        key = _key(text)
        if key not in _loaded:
            _loaded[key] = _load(key, text)
        return _loaded[key]


def _load(key: str, text: str) -> Code:
    clock = _Clock()
    object_code = objects.read(key)
    clock.lap("reading")
    compiled = object_code is None
    if object_code is None:
        object_code = _compile(text, clock)
        if objects.write(key, object_code):
            announce(directory())
        clock.lap("writing")
    engine = _engine(object_code)
    clock.lap("loading")
    return Code(engine, compiled, clock.seconds)


def _compile(text: str, clock: _Clock) -> bytes:
    """The object file of a module; LLVM's context, with all types and constants of the text, goes when it is made."""
    llvm = _llvm()
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        clock.lap("parsing")
        machine = _machine()
        passes = llvm.create_new_module_pass_manager()
        for name in PASSES:
            getattr(passes, f"add_{name}_pass")()
        passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
        clock.lap("optimising")
        made: bytes = machine.emit_object(module)
        clock.lap("emitting")
        return made


def _engine(object_code: bytes) -> Any:
    """An engine that holds one object: the memory of LLVM's own manager for ARM is laid out for a single one."""
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    return engine


def _machine() -> Any:
    """A new target machine for this processor; an engine owns the one it gets."""
    llvm = _llvm()
    name, features = _processor()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    # Code that is loaded where there is room may be far from what it calls: LLVM's model for that is "jitdefault".
    relocation = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=name, features=features, opt=EMIT_LEVEL, reloc=relocation, codemodel="jitdefault", jit=True
    )


def _key(text: str) -> str:
    """The SHA-256 of all that the machine code depends on."""
    import llvmlite

    llvm = _llvm()
    versions = llvmlite.__version__, *map(str, llvm.llvm_version_info)
    settings = *versions, llvm.get_process_triple(), *_processor(), *PASSES, str(EMIT_LEVEL), text
    return hashlib.sha256("\0".join(settings).encode()).hexdigest()


@functools.cache
def _processor() -> tuple[str, str]:
    """LLVM's name of this processor and its features."""
    llvm = _llvm()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@functools.cache
def _llvm() -> Any:
    """LLVM, made ready. Importing it takes a tenth of a second, so that is put off until something is compiled."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


class _Clock:
    """Seconds since the last lap, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now
