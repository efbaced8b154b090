"""What must be the same for a checkpoint to fit: the facts of a run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.program import Data, Recipe


def facts_of(model: dict[str, Any], recipe: Recipe, data: Data, with_data: bool) -> dict[str, Any]:
    """Model, settings and (if asked: it reads all of them) data of a run, as values that can be compared."""
    facts = {
        "model": hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16],
        "precision": recipe.precision,
        "seed": recipe.seed,
        "batch_size": recipe.batch_size,
        "accumulate": recipe.accumulate,
        "shuffle": recipe.shuffle,
        "drop_last": recipe.drop_last,
        "origin": recipe.origin,
        "rows": data.rows,
    }
    if with_data:
        facts["data"] = digest(data)
    return facts


def digest(data: Data) -> str:
    """A short hash of inputs, targets and weights with their shapes and types."""
    sha = hashlib.sha256()
    for array in (data.x, data.targets, data.weights):
        host = np.ascontiguousarray(to_numpy(array)) if array is not None else np.empty(0)
        sha.update(f"{host.shape}{host.dtype}".encode())
        sha.update(host.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()[:16]
