"""Layers of somebody's own train on the CPU, however they are compiled, as by the reference."""

from __future__ import annotations

import pytest
from deepmath_numpy import is_fused
from graph.networks import WAYS, around, assert_trains_as_the_reference, layer_of
from graph.table import TABLE

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")

LAYERS = [name for name, row in TABLE.items() if row.layer]
CASES = [(n, p) for n in LAYERS for p in ("middle", "first", "last")]


@pytest.mark.parametrize(("name", "place"), CASES)
def test_every_operation_as_a_layer(monkeypatch, name, place):
    shape, own = layer_of(TABLE[name])
    i = CASES.index((name, place))
    ways = WAYS
    assert_trains_as_the_reference(monkeypatch, *around(own, shape, place), ways)
