"""`Sequential.predict`: all rows at once, and single rows."""

import numpy as np
import pytest

from deepmath.benchmark.networks import NETWORKS


@pytest.mark.parametrize("rows", [1, 32, 900])
@pytest.mark.parametrize("name", NETWORKS)
def test_predict(benchmark, name, rows):
    network = NETWORKS[name]
    model, X = network.model(), np.ascontiguousarray(network.data()[0][:rows])
    benchmark.group = f"predict {rows} rows"
    p = benchmark(model.predict, X)
    assert p.shape == (rows, network.widths[-1])
