"""What printed code has to know of the processor: how wide its vectors are, how many it holds, whether it has fma."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIZES = {"float32": 4, "float64": 8}
"""Bytes of a number."""


@dataclass(frozen=True)
class Target:
    """A processor, as far as the text of a kernel depends on it."""

    width: int = 16
    """Bytes of a vector: 64 with AVX-512, 32 with AVX2, 16 with SSE2 and NEON."""
    registers: int = 16
    """Vectors that fit into registers: 32 with AVX-512 and NEON."""
    has_fma: bool = False
    """Whether it computes a b + c with one rounding."""

    @property
    def has_masks(self) -> bool:
        """Whether it loads and stores the first few numbers of a vector in one instruction."""
        return self.width > 16

    def lanes(self, precision: str) -> int:
        """Numbers of this precision in a vector."""
        return self.width // SIZES[precision]


def of(architecture: str, features: Mapping[str, bool]) -> Target:
    """The target of an architecture, the first part of LLVM's triple, with these of LLVM's features.

    What is not known gets vectors of 16 bytes without fma, which LLVM makes run anywhere.
    """
    if architecture.startswith(("aarch64", "arm64")):
        return Target(16, 32, True)
    has_fma = features.get("fma", False)
    if has_fma and features.get("avx512f", False):
        return Target(64, 32, True)
    if has_fma and features.get("avx2", False):
        return Target(32, 16, True)
    return Target()


def host() -> Target:
    """The target of the processor that runs this."""
    from llvmlite import binding

    return of(binding.get_process_triple().partition("-")[0], binding.get_host_cpu_features())
