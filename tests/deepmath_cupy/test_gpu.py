"""The comparisons of the shim on a CUDA device; they need one, and run with -m gpu."""

import numpy as np
import pytest
from cuda_programs import COUNT, lock_step, planned, relative, spread, trained
from deepmath_cupy import geometry
from helpers import assert_close, empty_results, kernel_arguments, rounded
from networks import Case, compiled
from random_networks import random_case
from table import TABLE

from deepmath import Dense, Sequential
from deepmath.backend import load_backend
from deepmath.errors import DeviceError, OutOfDeviceMemory
from deepmath.graph import KINDS
from deepmath.layers import Dropout
from deepmath.optimizers import SGD, Adam
from deepmath.printers import cuda, loops
from deepmath.trace import trace

pytestmark = pytest.mark.gpu
RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 12))
NETWORK = Case(
    (Dense(64, "relu"), Dense(32, "relu"), Dropout(0.2), Dense(8, "relu"), Dense(3, "softmax")),
    "sparse_categorical_crossentropy", Adam(0.01), X, RNG.integers(0, 3, 300), batch_size=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def device():
    """The backend; a machine without a device fails here, in one line."""
    return load_backend("cupy")


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_formula(device, precision):
    kernels = {row.name: loops.kernel(f"of_{row.name}", row.formula, row.kinds, [f"y{i}" for i in range(row.results)])
               for row in TABLE}  # fmt: skip
    runtime = device.runtime
    functions = runtime.functions(
        cuda.module(list(kernels.values()), precision), {k.name: True for k in kernels.values()}
    )
    for row in TABLE:
        kernel = kernels[row.name]
        for shape in [(1, 1), (33, 17), (2, 700), (1000, 3)]:
            arguments = rounded(row.draw(np.random.default_rng(shape), shape), precision)
            given = kernel_arguments(row, kernel, arguments, precision)
            results = empty_results(kernel, shape, precision)
            held = [runtime.put(a, str(a.dtype)) if isinstance(a, np.ndarray) else a for a in [*given, *results]]
            passed = [h if isinstance(h, (int, float)) else runtime.address(h) for h in held]
            grid, block = geometry.BY_LAYOUT[cuda.layout(kernel)](*shape)
            runtime.launch(functions[kernel.name], grid, block, [*passed, *shape])
            found = [runtime.read(h) for h in held[len(given) :]]
            assert_close(row, found, arguments, precision, trace(row.formula, row.trace_kinds))
    assert all(a.axes in KINDS.values() for k in kernels.values() for a in k.arguments)


def test_float64_runs_free(device):
    sensitive = []
    for seed in range(COUNT):
        case = random_case(seed)
        difference = relative(trained(case, device), trained(case))
        if difference > 1e-11:
            assert difference < 100 * spread(case), f"network {seed}: {difference}"
            sensitive.append(seed)
    assert len(sensitive) <= 3, sensitive


def test_float32_agrees_in_lock_step(device):
    beyond = {}
    for seed in range(COUNT):
        worst = lock_step(random_case(seed), device, "float32", {0, 7, 19})
        if worst > 1e-5:
            beyond[seed] = worst
    assert len(beyond) <= 2, beyond


@pytest.mark.parametrize(("precision", "bound"), [("tf32", 0.02), ("bf16", 0.06), ("float16", 0.02)])
def test_shorter_precisions_stay_near(device, precision, bound):
    found = {seed: lock_step(random_case(seed), device, precision, {0, 10}) for seed in (0, 1, 2, 4, 6)}
    assert max(found.values()) < bound, found


@pytest.mark.parametrize("precision", ["float32", "float64", "tf32", "bf16", "float16"])
def test_two_runs_have_the_same_bits(device, precision):
    states = []
    for _ in range(2):
        program = compiled(NETWORK, device, precision)
        results = program.run(40)
        states.append([results.tobytes(), *(v.tobytes() for v in program.state().values())])
    assert states[0] == states[1]
    whole, parts = compiled(NETWORK, device, precision), compiled(NETWORK, device, precision)
    assert whole.run(9).tobytes() == np.concatenate([parts.run(1) for _ in range(9)]).tobytes()


def test_every_wanted_epilogue_is_there(device):
    """What cublasLt doesn't have runs as a product and a kernel: right, and slower. This says which those are."""
    refused = set()
    for precision in ("float32", "tf32", "bf16", "float16"):
        planned(NETWORK, precision, accepts=lambda p, q=precision: ok(device, p, q, refused))
    assert not refused, sorted(refused)


def ok(device, product, precision, refused):
    accepted = device.runtime.accepts(product, precision)
    if not accepted:
        refused.add((precision, product.epilogue))
    return accepted


@pytest.mark.parametrize("precision", ["float32", "float64", "tf32", "bf16"])
def test_nan_passes_through_every_product(device, precision):
    """A relu in an epilogue could hide it, and with it that training has diverged."""
    case = Case((Dense(16, "relu"), Dense(16, "relu"), Dense(1)), "mse", SGD(0.1), X, X[:, :1], batch_size=64)
    program = compiled(case, device, precision)
    state = program.state()
    state["params.0.kernel"] = np.full_like(state["params.0.kernel"], np.nan)
    program.load(state)
    assert np.isnan(program.run(1)[0, 0])


def test_arrays_of_cupy_go_in_and_come_out(device):
    import cupy

    model = Sequential([Dense(16, activation="relu", input_dim=12), Dense(1)], seed=1)
    other = Sequential([Dense(16, activation="relu", input_dim=12), Dense(1)], seed=1)
    for each, given in ((model, cupy.asarray(X)), (other, X)):
        each.compile("adam", "mse")
        each.fit(given, given[:, :1], epochs=3, batch_size=50, verbose=0, backend="cupy")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert isinstance(model.predict(cupy.asarray(X)), cupy.ndarray)
    assert isinstance(model.predict(X, backend="cupy"), np.ndarray)


def test_too_much_is_told_before_it_is_asked_for(device):
    """Activations of a million rows, as much as the whole memory."""
    rows, (free, _) = 1_000_000, device.runtime.memory()
    model = Sequential([Dense(free // (4 * rows), input_dim=12), Dense(1)])
    model.compile("sgd", "mse")
    many = np.zeros((rows, 12), np.float32)
    with pytest.raises(OutOfDeviceMemory, match=r"batch_size=\d+ fits"):
        model.fit(many, many[:, :1], batch_size="full", verbose=0, backend="cupy")


def test_a_device_that_is_not_there():
    with pytest.raises(DeviceError, match="there is no device cuda:99"):
        load_backend("cupy", "cuda:99")
