"""What the training doctor says: findings with their numbers, and the diagnosis that holds them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deepmath.study.thresholds import THRESHOLDS

SEVERITIES = ("critical", "warning", "advice")
"""It can't learn; it learns worse than it could; it could be had better or cheaper."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, how bad, the numbers that say so, and what to do.

    `measured` is the number that crossed `limit`; `numbers` are all that were used; `rows` the rows it is about.
    """

    name: str
    severity: str
    where: str
    measured: float
    limit: float
    says: str
    advice: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    threshold: str = ""

    @property
    def source(self) -> str:
        """Where the rule comes from."""
        return THRESHOLDS[self.threshold or self.name].source

    def text(self) -> str:
        """The finding in a few lines."""
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in self.numbers.items())
        body = [
            f"{self.severity}: {self.name.replace('_', ' ')} ({self.where})",
            self.says,
            f"numbers: {shown}" if shown else "",
            f"do: {self.advice}",
            f"source: {self.source}",
        ]
        lines = [textwrap.wrap(line, 108, break_long_words=False) for line in body if line]
        return "\n".join([lines[0][0], *(f"  {line}" for part in lines[1:] for line in part)])


@dataclass(frozen=True)
class Diagnosis:
    """The verdict of `diagnose`, the worst first; true where nothing was found.

    `numbers` are what was measured, whether it led to a finding or not.
    """

    findings: tuple[Finding, ...]
    numbers: Mapping[str, Any]

    def __bool__(self) -> bool:
        return not self.findings

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what was found, each once."""
        return tuple(dict.fromkeys(f.name for f in self.findings))

    def text(self) -> str:
        """The verdict, every finding, and what was measured."""
        if self.findings:
            verdict = f"{len(self.findings)} finding{'s' * (len(self.findings) > 1)}: {', '.join(self.names)}"
        else:
            verdict = "nothing found that is wrong with this training"
        measured = [f"  {name:<{_width(self.numbers)}}  {_shown(value)}" for name, value in self.numbers.items()]
        blocks = [verdict, *(f.text() for f in self.findings), "\n".join(["measured", *measured])]
        return "\n\n".join(blocks) + "\n"

    __str__ = text


def _width(numbers: Mapping[str, Any]) -> int:
    return max(map(len, numbers), default=0)


def _shown(value: Any) -> str:
    """A number with four digits, or some of them.

    >>> _shown(0.123456), _shown([1.0, 2.5]), _shown("tanh")
    ('0.1235', '1, 2.5', 'tanh')
    """
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
