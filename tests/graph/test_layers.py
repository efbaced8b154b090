"""Layers of somebody's own train on the CPU, however they are compiled, as by the reference."""

from __future__ import annotations

import itertools

import pytest
from deepmath_numpy import is_fused
from graph.networks import PLACES, WAYS, around, assert_trains_as_the_reference, layer_of
from graph.table import TABLE

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")

LAYERS = [name for name, row in TABLE.items() if row.layer]


@pytest.mark.parametrize("name", LAYERS)
def test_every_operation_as_a_layer(monkeypatch, name):
    """In the middle as a straight line, and as kernels in one of the other ways and places."""
    shape, own = layer_of(TABLE[name])
    assert_trains_as_the_reference(monkeypatch, *around(own, shape, "middle"), WAYS[:1])
    others = list(itertools.product(PLACES, WAYS[1:]))
    place, way = others[LAYERS.index(name) % len(others)]
    assert_trains_as_the_reference(monkeypatch, *around(own, shape, place), (way,))


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", LAYERS)
def test_every_operation_in_every_place_and_way(monkeypatch, name, place):
    shape, own = layer_of(TABLE[name])
    assert_trains_as_the_reference(monkeypatch, *around(own, shape, place))
