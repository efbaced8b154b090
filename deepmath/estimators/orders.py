"""The orders in which scikit-learn's networks visit their rows, so that ours learn the same from the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import shuffle


class Orders:
    """For `fit(shuffle=...)`: each epoch shuffles the order of the one before, as scikit-learn does.

    `rng` stands where it stands there when training begins, and isn't moved. `first` is the number of the first epoch.
    """

    def __init__(self, rng: Any, first: int) -> None:
        self._state, self._first = rng.get_state(), first
        self._rng, self._drawn = np.random.RandomState(), 0
        self._order: Any = None

    def __call__(self, epoch: int, rows: int) -> Any:
        wanted = epoch - self._first + 1
        if self._order is None or wanted < self._drawn:
            self._order, self._drawn = np.arange(rows), 0
            self._rng.set_state(self._state)
        while self._drawn < wanted:
            self._order = shuffle(self._order, random_state=self._rng)
            self._drawn += 1
        return self._order

    def leave(self, rng: Any, epochs: int, rows: int) -> None:
        """Move a generator to where scikit-learn leaves it after so many epochs."""
        if epochs:
            self(self._first + epochs - 1, rows)
            rng.set_state(self._rng.get_state())
