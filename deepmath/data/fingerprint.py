"""What must be the same for a checkpoint to fit: the facts of a run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.checks import is_sparse
from deepmath.data.sources import Adapter, Source
from deepmath.program import Data, Recipe

SAMPLE = 256
"""How many rows, evenly spread, tell one source from another: reading all of them could take as long as training."""


def facts_of(
    model: dict[str, Any], recipe: Recipe, given: Adapter, with_data: bool, data: Data | None = None
) -> dict[str, Any]:
    """Model, settings and (if asked: it reads all of them) data of a run, as values that can be compared.

    `data` are those that were validated as a whole. Of a source, `SAMPLE` rows stand for all of them. What a generator
    or a sequence will give can't be known: they are taken at their word.
    """
    rows = data.rows if data is not None else given.shape[0] if isinstance(given, Source) else 0
    facts = _settings(model, recipe) | {"rows": rows, "kind": given.kind}
    return facts | ({"data": digest_of(given, data)} if with_data else {})


def _settings(model: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    return {
        "model": hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16],
        "precision": recipe.precision,
        "seed": recipe.seed,
        "batch_size": recipe.batch_size,
        "accumulate": recipe.accumulate,
        "shuffle": "by a function" if callable(recipe.shuffle) else recipe.shuffle,
        "drop_last": recipe.drop_last,
        "origin": recipe.origin,
    }


def digest(data: Data) -> str:
    """A short hash of inputs, targets and weights with their shapes and types."""
    sha = hashlib.sha256()
    inputs = (data.x.data, data.x.indices, data.x.indptr) if is_sparse(data.x) else (data.x,)
    for array in (*inputs, data.targets, data.weights):
        host = np.ascontiguousarray(to_numpy(array)) if array is not None else np.empty(0)
        sha.update(f"{host.shape}{host.dtype}".encode())
        sha.update(host.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()[:16]


def digest_of(given: Adapter, admitted: Data | None = None) -> str:
    """The hash of data that were admitted, of a source's sample; none of what can't be known."""
    if admitted is not None:
        return digest(admitted)
    if not isinstance(given, Source):
        return given.kind
    return digest(Data(*given.take(np.unique(np.linspace(0, given.rows - 1, SAMPLE).astype(np.int64)))))
