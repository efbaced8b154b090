"""A model as a table: layers, output shapes, numbers of parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from deepmath.layers import Layer
from deepmath.recipes import shapes_of


def table(layers: Sequence[Layer], shape: tuple[int, ...] | None, values: Mapping[str, Any]) -> str:
    """The text of `Sequential.summary`; shapes are unknown before the model is built.

    >>> from deepmath.layers import Dense
    >>> print(table([Dense(2, activation="relu")], None, {}))
    layer  output  activation  parameters
    Dense  ?       relu        ?
    total                      ?
    """
    shapes = shapes_of(layers, shape) if shape is not None else None
    rows = [("layer", "output", "activation", "parameters")]
    total = 0
    for number, layer in enumerate(layers):
        count = sum(math.prod(v.shape) for n, v in values.items() if n.startswith(f"params.{number}."))
        total += count
        output = ", ".join(map(str, shapes[number + 1])) if shapes else "?"
        activation = getattr(getattr(layer, "activation", None), "name", "")
        rows.append((type(layer).__name__, output, activation, f"{count:,}" if shapes else "?"))
    rows.append(("total", "", "", f"{total:,}" if shapes else "?"))
    return columns(rows)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, each column as wide as its widest cell.

    >>> print(columns([("Dense", "fused"), ("Activation", "reference")]))
    Dense       fused
    Activation  reference
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
