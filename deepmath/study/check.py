"""Gradients held against differences: the whole objective, and each part of the chain by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.backend import load_backend
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import SGD
from deepmath.program import Data
from deepmath.study.differences import FINE, STEPS, Slope, article_ratio, slope
from deepmath.study.parts import Objective, Values
from deepmath.study.subject import BACKEND, Subject, subject

EVERY = 1000
"""Models of up to so many parameters are checked parameter by parameter; larger ones along random directions."""

DIRECTIONS = 3
"""Random directions for each array of a larger model, and for each array of a part that isn't tiny."""

MOVED = 1e-2
"""How far values are moved before the check, as a share of their size, so that nothing lies on a kink."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Finding:
    """What was checked and how it came out: the worst of `count` derivatives."""

    what: str
    count: int
    worst: Slope

    @property
    def right(self) -> bool:
        """Whether all of them stand."""
        return self.worst.right


@dataclass(frozen=True)
class GradientCheck:
    """The verdict of `gradcheck`; true where every derivative stands.

    `gradients` are findings by parameter, over the whole network; `parts` those of each part by itself, which say
    where a mistake is. `ratio` is article 3's ||g - g'|| / (||g|| + ||g'||), good up to about 1e-7.
    """

    gradients: tuple[Finding, ...]
    parts: tuple[Finding, ...]
    ratio: float
    parameters: int
    every: bool

    def __bool__(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is wrong, by name: parts of the network if one of them is, else parameters."""
        parts = tuple(f.what for f in self.parts if not f.right)
        return parts or tuple(f.what for f in self.gradients if not f.right)

    def text(self) -> str:
        """The verdict and a line for everything that was checked."""
        how = "each of them" if self.every else f"{DIRECTIONS} random directions of each array"
        verdict = "the gradient is right" if self else f"WRONG: {'; '.join(self.wrong)}"
        lines = [verdict, f"{self.parameters:,} parameters, {how}; ratio of article 3: {self.ratio:.2g}"]
        width = max((len(f.what) for f in (*self.gradients, *self.parts)), default=0)
        for title, findings in (("over the whole network", self.gradients), ("each part by itself", self.parts)):
            lines += ["", title, *(_line(f, width) for f in findings)]
        return "\n".join(lines) + "\n"

    __str__ = text


def _line(finding: Finding, width: int) -> str:
    worst = finding.worst
    sign = "ok   " if finding.right else "WRONG"
    beside = f"claimed {worst.claimed:.9g}, by differences {worst.found:.9g} (step {worst.step:.1g})"
    return f"  {sign} {finding.what:<{width}}  {finding.count:>5} checked; worst: {beside}"


def gradcheck(
    model: Any, X: Any, y: Any, *, sample_weight: Any = None, backend: Any = None, seed: int = 0,
    progress: Progress | None = None,
) -> GradientCheck:  # fmt: skip
    """Hold the model's gradient on the rows X [rows, features] and y against differences of its objective.

    All is done in float64, on values moved a little, so that none lies on a kink, and with steps that the check
    chooses for itself. Up to 1000 parameters, each is checked; beyond, random directions of each array are. Every
    part of the network, the loss and the penalties are also checked alone, so that the verdict names what is
    wrong. The gradient is the reference's, or that of `backend` ("numpy": the fused program's). `progress(what,
    done, all)` is called as it goes. Raises NonFiniteError where there is no gradient, and errors as `fit` does.

    >>> from deepmath import Dense, Sequential, gradcheck
    >>> model = Sequential([Dense(3, "tanh"), Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> bool(gradcheck(model, [[0.5, -1.0], [2.0, 0.3]], [1.0, 0.0]))
    True
    """
    chosen = subject("gradcheck", model, X, y, sample_weight)
    if not chosen.parameters:
        raise ConfigError("gradcheck: the model has no parameters; add a layer that has, such as Dense(1)")
    tell = progress or _silent
    result = _checked(chosen, backend, np.random.default_rng([seed, 0]), tell)
    if result:
        return result
    again = _checked(chosen, backend, np.random.default_rng([seed, 1]), tell)  # a mistake shows at any point
    return again if again else result


def _silent(*_: Any) -> None:
    """For a check that nobody watches."""


def _checked(chosen: Subject, backend: Any, rng: np.random.Generator, tell: Progress) -> GradientCheck:
    with np.errstate(all="ignore"):
        moved = {n: _moved(rng, v) if n.startswith("params.") else v for n, v in chosen.values.items()}
        chosen = replace(chosen, values=moved)
        objective = Objective(chosen)
        claimed = gradient(chosen, backend)
        _finite(objective, claimed)
        every = chosen.size <= EVERY
        gradients, pairs = _whole(objective, claimed, every, rng, tell)
        parts = tuple(_parts(objective, rng, tell))
    return GradientCheck(gradients, parts, article_ratio(*pairs), chosen.size, every)


def gradient(chosen: Subject, backend: Any) -> Values:
    """The gradient by parameter name, of the reference or of a backend's program.

    A program's is read off without knowing how it keeps it: after one step of momentum from rest, at rate 0, the
    velocity is the gradient.
    """
    recipe = replace(chosen.recipe, optimizer=SGD(0.0, momentum=0.5), rates={}, constraints={})
    values = {n: v for n, v in chosen.values.items() if n.startswith(("params.", "state.", "step"))}
    used = BACKEND if backend is None else load_backend(backend)
    data = chosen.data
    placed = Data(used.put(data.x, "float64"), used.put(data.targets, str(data.targets.dtype)), data.weights)
    program = used.compile(recipe, values, placed)
    program.apply(program.gradients(chosen.batch))
    state = program.state()
    return {n: np.asarray(state[f"v.{n}"]) for n in chosen.parameters}


def _finite(objective: Objective, claimed: Mapping[str, Any]) -> None:
    value = objective.value(objective.params, 0, objective.subject.data.x)
    bad = next((n for n, g in claimed.items() if not np.isfinite(g).all()), None)
    if not np.isfinite(value) or bad is not None:
        what = f"the objective is {value}" if not np.isfinite(value) else f"the gradient of {bad} is not finite"
        raise NonFiniteError(f"gradcheck: {what} on these rows; check the data and the weights")


def _moved(rng: np.random.Generator, value: Any) -> Any:
    size = float(np.linalg.norm(value)) / np.sqrt(max(np.size(value), 1)) or 0.1
    return value + MOVED * size * rng.standard_normal(np.shape(value))


def _whole(
    objective: Objective, claimed: Mapping[str, Any], every: bool, rng: np.random.Generator, tell: Progress
) -> tuple[tuple[Finding, ...], tuple[list[float], list[float]]]:
    """Findings by parameter, and all derivatives: those claimed and those found."""
    params = dict(objective.params)
    passing = objective.inputs(params)
    norm = np.sqrt(sum(float(np.sum(g * g)) for g in claimed.values()))
    typical = norm / np.sqrt(sum(g.size for g in claimed.values()))
    findings, pairs = [], ([], [])  # type: ignore[var-annotated]
    total, done = _number(claimed, every), 0
    for name, g in claimed.items():
        start, w = objective.first_part(name), params[name]
        size = max(float(np.sqrt(np.mean(w * w))), 1e-2)
        slopes = []
        for direction in _directions(rng, w.shape, every):

            def at(t: float, name: str = name, w: Any = w, d: Any = direction, start: int = start) -> float:
                return objective.value(params | {name: w + t * d}, start, passing[start])

            length = float(np.linalg.norm(direction))
            scale = max(float(np.sqrt(np.mean(g * g))), 1e-3 * typical) * length
            slopes.append(slope(at, float(np.sum(g * direction)), size, scale, _steps(g.size)))
            done += 1
            tell(name, done, total)
        findings.append(Finding(name, len(slopes), max(slopes, key=lambda s: s.error)))
        pairs[0].extend(s.claimed for s in slopes)
        pairs[1].extend(s.found for s in slopes)
    return tuple(findings), pairs


def _number(claimed: Mapping[str, Any], every: bool) -> int:
    return sum(g.size if every else min(g.size, DIRECTIONS) for g in claimed.values())


def _directions(rng: np.random.Generator, shape: tuple[int, ...], every: bool) -> Iterator[Any]:
    """Each axis in turn, or random directions."""
    count = int(np.prod(shape))
    if not every and count > DIRECTIONS:
        for _ in range(DIRECTIONS):
            yield rng.standard_normal(shape)
        return
    for i in range(count):
        axis = np.zeros(count)
        axis[i] = 1.0
        yield axis.reshape(shape)


def _steps(numbers: int) -> tuple[float, ...]:
    return STEPS if numbers <= EVERY else FINE


def _parts(objective: Objective, rng: np.random.Generator, tell: Progress) -> Iterator[Finding]:
    """Each part, the loss and each penalty: their own derivatives along random directions."""
    params = dict(objective.params)
    passing = objective.inputs(params)
    parts = objective.recipe.parts
    for number, (part, x) in enumerate(zip(parts, passing, strict=False)):
        tell(f"part {number + 1}", number + 1, len(parts))
        x = _moved(rng, x)
        y, pullback = objective.forward(part, params, x)
        dy = rng.standard_normal(y.shape) / np.sqrt(y.size)
        dx, own = pullback(dy)
        what = f"layer {part.number + 1} ({_title(part.layer)})"

        def by_x(moved: Any, part: Any = part, dy: Any = dy) -> float:
            return float(np.sum(dy * objective.forward(part, params, moved)[0]))

        yield _along(rng, f"{what}: inputs", by_x, x, dx)
        for name, g in own.items():
            full = f"{part.number}.{name}"

            def by_w(moved: Any, part: Any = part, dy: Any = dy, x: Any = x, full: str = full) -> float:
                return float(np.sum(dy * objective.forward(part, params | {full: moved}, x)[0]))

            yield _along(rng, f"{what}: {name}", by_w, params[full], g)
    scores = passing[-1]
    head = objective.recipe.head
    assert head is not None
    yield _along(rng, f"loss {head.loss.name}", objective.loss, scores, objective.dscores(scores))
    for name, rule in objective.recipe.penalties.items():
        w = params[name]

        def by_penalty(moved: Any, rule: Any = rule) -> float:
            return float(rule.penalty(np, np.reshape(moved, (1, -1)), *rule.strengths)[0, 0])

        what = f"penalty {type(rule).__name__} on {name}"
        yield _along(rng, what, by_penalty, w, rule.slope(np, w, *rule.strengths))


def _along(rng: np.random.Generator, what: str, function: Callable[[Any], float], x: Any, claimed: Any) -> Finding:
    """A function of an array, whose derivative is claimed, along each axis of a small one or random directions."""
    size = max(float(np.sqrt(np.mean(x * x))), 1e-2)
    slopes = []
    for direction in _directions(rng, x.shape, every=False):
        scale = float(np.sqrt(np.mean(claimed * claimed))) * float(np.linalg.norm(direction))
        value = float(np.sum(claimed * direction))

        def at(t: float, d: Any = direction) -> float:
            return function(x + t * d)

        slopes.append(slope(at, value, size, scale, _steps(x.size)))
    return Finding(what, len(slopes), max(slopes, key=lambda s: s.error))


def _title(layer: Any) -> str:
    """A part by its class, and an activation by its name too."""
    activation = getattr(layer, "activation", None)
    return type(layer).__name__ if activation is None else f"{type(layer).__name__} {activation.name}"
