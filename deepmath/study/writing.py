"""The document of one step: the same chapters whether its numbers stand one by one or as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from deepmath.layers import Dense
from deepmath.study import general, symbols
from deepmath.study.derivation import Derivation, Passage
from deepmath.study.document import Document
from deepmath.study.general import Shown
from deepmath.study.notebook import Math, digits, short
from deepmath.study.values import Step

HEAD = ("", "shape", "norm", "smallest", "largest")


def write(step: Step, derivation: Derivation | None, why: str) -> Document:
    """Forward, loss, backward, update and outcome. `why` says what kept it from being written weight by weight."""
    page = Document()
    _beginning(page, step, derivation, why)
    _forward(page, step, derivation)
    _loss(page, step, derivation)
    _backward(page, step, derivation)
    _update(page, step, derivation)
    _outcome(page, step)
    return page


def _beginning(page: Document, step: Step, derivation: Derivation | None, why: str) -> None:
    recipe, head = step.recipe, step.recipe.head
    assert head is not None
    rows = step.subject.data.rows
    page.heading(1, f"One training step of a network {network(step)}")
    first, later = ("one row", "") if rows == 1 else (f"{rows} rows", ", rows in front of units")
    page.prose(
        f"Loss {head.loss.name}, {settings(recipe.optimizer)}, {first}, "
        f"step {step.subject.values.get('step', 0)}, in float64. "
        f"Layers and units are counted from 1{later}: ",
        *_example(derivation),
    )
    if why:
        page.prose(f"Written by arrays: {why}.")
    page.heading(2, "What is given")
    if derivation is None:
        names = ["x", "target", *step.subject.parameters]
        page.table(HEAD, [_row(step, n) for n in names])
        return
    for passage in _of(derivation, "given"):
        page.heading(3, passage.title.capitalize())
        page.equations([[e.chain[0], e.numbers] for e in passage.equations])


def _example(derivation: Derivation | None) -> list[str | Math]:
    if derivation is None:
        return [Math("W1", "W^{(1)}"), " are the weights of layer 1."]
    w = Math("w1[2,3]", "w^{(1)}_{2,3}")
    return [w, " is the weight in layer 1 from input 2 to unit 3."]


def network(step: Step) -> str:
    """Widths and names of the layers: 2-2-2."""
    shapes = [step.recipe.parts[0].shape, *(p.layer.output_shape(p.shape) for p in step.recipe.parts if _wide(p))]
    return "-".join("×".join(map(str, s)) for s in shapes)


def settings(description: Any) -> str:
    """A description with its first setting and those that aren't the usual ones.

    >>> from deepmath.optimizers import SGD
    >>> settings(SGD(0.5, clipnorm=1.0))
    'SGD(learning_rate=0.5, clipnorm=1.0)'
    """
    if not dataclasses.is_dataclass(description):
        return type(description).__name__
    fields = [f for f in dataclasses.fields(description) if f.init]
    shown = [f for i, f in enumerate(fields) if i == 0 or getattr(description, f.name) != f.default]
    inside = ", ".join(f"{f.name}={getattr(description, f.name)!r}" for f in shown)
    return f"{type(description).__name__}({inside})"


def _wide(part: Any) -> bool:
    return isinstance(part.layer, Dense) or part.layer.output_shape(part.shape) != part.shape


def _forward(page: Document, step: Step, derivation: Derivation | None) -> None:
    page.heading(2, "Forward")
    for i, link in enumerate(step.chain):
        kind = type(link.part.layer).__name__
        page.heading(3, f"Layer {link.part.number + 1}: {kind}")
        _general(page, general.forward(link.part.layer))
        if derivation is not None:
            page.equations([e.chain for e in _of(derivation, "forward")[i].equations])
        else:
            page.table(HEAD, [_row(step, n) for n in (link.before, *_parameters(step, link), link.after)])


def _loss(page: Document, step: Step, derivation: Derivation | None) -> None:
    head = step.recipe.head
    assert head is not None
    page.heading(2, "Loss")
    scores = head.activation is not None
    if head.activation is not None:
        page.prose(
            f"The last activation, {head.activation.name}, and the loss are one formula of the scores z: "
            "it loses no digit however large they are. Predictions are p."
        )
    value, _ = general.loss(head.loss, scores)
    page.prose(f"The loss {head.loss.name} of a row, whose {head.outputs} outputs are counted by j:")
    page.formulas(value)
    if step.subject.data.rows > 1:
        how = "sum" if head.loss.summed else "mean"
        weighted = " weighted" if step.subject.data.weights is not None else ""
        page.prose(f"E is the{weighted} {how} of the rows' losses L.")
    if derivation is not None:
        page.equations([e.chain for p in _of(derivation, "loss") for e in p.equations])
    else:
        page.equations([[Math("E", "E"), *_number(step.values["cost"])]])
    if step.recipe.penalties:
        page.prose("The objective J is E plus the penalties on the kernels:")
        if derivation is not None:
            page.equations([e.chain for e in _of(derivation, "penalty")[0].equations])
        else:
            page.equations([[Math("J", "J"), *_number(step.values["loss"])]])


def _backward(page: Document, step: Step, derivation: Derivation | None) -> None:
    head = step.recipe.head
    assert head is not None
    page.heading(2, "Backward, by the chain rule")
    page.heading(3, f"Loss: {head.loss.name}")
    _, slope = general.loss(head.loss, head.activation is not None)
    page.formulas(slope)
    if derivation is not None:
        page.equations([e.chain for e in _of(derivation, "backward")[0].equations])
    else:
        page.table(HEAD, [_row(step, f"gradient.{step.chain[-1].after}")])
    for link in reversed(step.chain):
        page.heading(3, f"Layer {link.part.number + 1}: {type(link.part.layer).__name__}")
        _general(page, general.backward(link.part.layer))
        if derivation is not None:
            found = [p for p in _of(derivation, "backward") if p.stage is not None and p.stage.name == link.after]
            page.equations([e.chain for p in found for e in p.equations])
        else:
            names = [f"gradient.{n}" for n in (link.after, *_parameters(step, link), link.before)]
            page.table(HEAD, [_row(step, n) for n in names if n in step.values])
    if derivation is not None and len(_of(derivation, "penalty")) > 1:
        page.heading(3, "Penalties")
        page.prose("The slope of a penalty is added to its kernel's derivative.")
        page.equations([e.chain for p in _of(derivation, "penalty")[1:] for e in p.equations])


def _update(page: Document, step: Step, derivation: Derivation | None) -> None:
    rule = step.recipe.optimizer
    page.heading(2, "Update")
    pace = step.pace.coefficients(int(step.subject.values.get("step", 0)))
    page.prose(f"{settings(rule)} moves each number w by its derivative g; a prime marks values after the step.")
    page.formulas(general.update(rule, len(pace)))
    named = list(zip(symbols.coefficients(rule, len(pace)), pace, strict=True))
    rows = [(Math(s.plain, s.latex), short(v), symbols.MEANING.get(s.plain, "")) for s, v in named]
    page.table(("", "value", "meaning"), rows)
    if step.recipe.rates:
        page.prose(f"Rates of single parameters, as shares of it: {dict(step.recipe.rates)}; at 0 one is frozen.")
    if step.recipe.constraints:
        page.prose(f"After the rule, kernels are kept within their constraint: {dict(step.recipe.constraints)}.")
    if derivation is not None:
        if _of(derivation, "clip"):
            page.heading(3, "Clipping")
            page.equations([e.chain for p in _of(derivation, "clip") for e in p.equations])
        for passage in _of(derivation, "update"):
            page.heading(3, f"Parameter {passage.title}" + ("" if passage.equations else ": frozen"))
            page.equations([e.chain for e in passage.equations])
    elif any(n.startswith("clipped.") for n in step.values):
        page.table(HEAD, [_row(step, n) for n in step.values if n.startswith("clipped.")])


def _outcome(page: Document, step: Step) -> None:
    page.heading(2, "Before and after")
    old = step.subject.parameters
    if step.subject.size <= 72:
        rows: list[Sequence[str | Math]] = []
        for name, value in old.items():
            namer = symbols.parameter(name)
            for place in np.ndindex(value.shape):
                symbol = namer(place)
                g, new = step.values[f"gradient.{name}"][place], step.values[f"new.{name}"][place]
                rows.append((Math(*symbol[:2]), digits(value[place]), digits(g), digits(new)))
        page.table(("", "before", "derivative", "after"), rows)
    else:
        page.table(HEAD, [_row(step, n) for name in old for n in (name, f"gradient.{name}", f"new.{name}")])


def _general(page: Document, shown: Shown) -> None:
    page.prose(shown.words)
    page.formulas(shown.formulas)


def _of(derivation: Derivation, phase: str) -> list[Passage]:
    return [p for p in derivation.passages if p.phase == phase]


def _parameters(step: Step, link: Any) -> Iterable[str]:
    return [n for n in step.subject.parameters if n.startswith(f"{link.part.number}.") and n.partition(".")[2] in
            step.stages[[c.after for c in step.chain].index(link.after)].gradients]  # fmt: skip


def _number(value: float) -> list[Math]:
    return [Math(digits(value), digits(value))]


def _row(step: Step, name: str) -> tuple[str | Math, ...]:
    array = np.asarray(step.values[name], np.float64)
    shape = " × ".join(map(str, array.shape)) or "1"
    return (_matrix(name), shape, *(digits(float(v)) for v in (np.linalg.norm(array), array.min(), array.max())))


def _matrix(name: str) -> Math:
    """An array as a capital letter: "gradient.0.kernel" is dE/dW1."""
    if name.startswith(("gradient.", "clipped.")):
        inner = _matrix(name.partition(".")[2])
        return Math(f"dE/d{inner.plain}", rf"\frac{{\partial E}}{{\partial {inner.latex}}}")
    prime = "'" if name.startswith("new.") else ""
    number, _, own = name.removeprefix("new.").rpartition(".")
    if not number:
        letter = {"x": "X", "target": "D"}.get(own, own)
        return Math(letter, letter)
    plain, latex = symbols.PARAMETERS.get(own, (own, own))
    if len(plain) == 1 and own != "bias":
        plain, latex = plain.upper(), latex.upper()
    layer = int(number) + 1
    return Math(f"{plain}{layer}{prime}", f"{latex}^{{({layer}){prime}}}")
