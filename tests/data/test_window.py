"""Which rows a window gives, and how well it mixes them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from feeding import trained

from deepmath.batches import InStretch
from deepmath.data import loaders
from deepmath.data.loaders import blocks
from deepmath.data.sources import ArraySource
from deepmath.formulas.random import epoch_order
from deepmath.losses import get
from deepmath.optimizers import SGD
from deepmath.program import Recipe
from deepmath.recipes import parts_of, with_head


def order_of(seed, epoch, rows, window, batch):
    """The rows of an epoch in the order of training, as a model that is asked for them sees them."""
    from deepmath import Dense
    from deepmath.backend import load_backend

    parts, head = with_head(parts_of([Dense(1)], (1,)), get("mse"), ())
    recipe = Recipe(parts, head, SGD(), "float64", seed, batch, shuffle=window)
    numbers = np.arange(float(rows))
    feed = loaders.RowLoader(loaders.Validator(load_backend("numpy"), recipe), ArraySource(numbers[:, None], numbers))
    seen = []
    first = epoch * feed.per_epoch
    for stretch in feed.stretches(first, first + feed.per_epoch):
        steps = InStretch(recipe, stretch)
        for step in range(stretch.first_step, stretch.last_step):
            seen.append(stretch.targets[steps.rows_of(step), 0].astype(int))
    assert all(len(s) == batch for s in seen[:-1])
    return np.concatenate(seen)


@pytest.mark.parametrize("rows", [1, 7, 64, 333, 1000])
@pytest.mark.parametrize("window", [1, 5, 64, 100, 5000])
@pytest.mark.parametrize("batch", [1, 8, 50])
def test_each_row_comes_once_in_an_epoch(rows, window, batch):
    batch = min(batch, rows)
    for epoch in range(2):
        assert sorted(order_of(3, epoch, rows, window, batch)) == list(range(rows))


def test_another_epoch_or_seed_is_another_order():
    orders = [order_of(s, e, 500, 50, 10).tolist() for s, e in itertools.product((0, 1), (0, 1))]
    assert len({tuple(o) for o in orders}) == 4
    assert orders[0] == order_of(0, 0, 500, 50, 10).tolist()


def test_rows_are_well_mixed():
    """As many neighbours stay together as chance allows, and no row keeps near its place."""
    rows, window = 20_000, 1600
    order = order_of(0, 0, rows, window, 100)
    together = np.mean(np.abs(np.diff(order)) == 1)  # in a window of 16 blocks of 100, about 2 / 1600
    assert together < 3 * 2 / window
    places = np.argsort(order)
    assert abs(np.corrcoef(places, np.arange(rows))[0, 1]) < 5 / np.sqrt(rows / 100)  # 200 blocks in no order
    first = order[:window]
    spread = np.unique(first // 100)
    assert len(spread) <= 18  # a window reads few blocks ...
    assert spread.max() - spread.min() > 100  # ... from all over the file
    inside = np.corrcoef(np.arange(window), first)[0, 1]
    assert abs(inside) < 5 / np.sqrt(window)


def test_where_a_row_goes_is_even():
    """Over many seeds a row lands in each fifth of the epoch equally often (chi-squared, 4 degrees of freedom)."""
    counts = np.zeros((4, 5))
    for seed in range(400):
        places = np.argsort(order_of(seed, 0, 100, 20, 5))
        for i, row in enumerate((0, 19, 57, 99)):
            counts[i, places[row] // 20] += 1
    assert (np.sum((counts - 80) ** 2 / 80, axis=1) < 25).all(), counts  # p = 5e-5 each


@pytest.mark.parametrize(("rows", "block"), [(10, 4), (1, 1), (100, 7), (99, 100)])
def test_pieces_are_those_of_the_whole_epoch(rows, block):
    def numbers(start, stop):
        return [n for a, b in blocks(5, 1, rows, block, start, stop) for n in range(a, b)]

    whole = numbers(0, rows)
    assert sorted(whole) == list(range(rows))
    for start in range(rows):
        for stop in range(start + 1, min(rows, start + 30) + 1):
            assert numbers(start, stop) == whole[start:stop]


def test_orders_for_other_purposes_are_others():
    plain = epoch_order(1, 0, 1000)
    for other in (epoch_order(1, 0, 1000, part=1), epoch_order(1, 0, 1000, purpose=1)):
        assert sorted(other) == list(range(1000))
        assert np.mean(other == plain) < 0.02


def test_a_window_must_be_a_number_of_rows(arrays):
    for wrong in (0, -3, 2.5):
        with pytest.raises(ValueError, match="shuffle"):
            trained(*arrays, shuffle=wrong)
