"""The plan of a step is data: nodes, buffers, shapes, precisions, and which product takes over which work."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cuda_programs import planned
from deepmath_cupy import epilogues, geometry, memory
from deepmath_cupy.epilogues import Dense as Facts
from deepmath_cupy.kernels import FIXED
from deepmath_cupy.nodes import EPILOGUES, Buffer, Launch, Product, Ref, mask_pitch
from deepmath_cupy.runtime import element_type
from networks import Case
from random_networks import random_case

from deepmath.layers import Dense, Dropout, LayerNormalization
from deepmath.optimizers import SGD, Adam

MLP = Case(
    (Dense(256, "relu"), Dense(128, "relu"), Dense(10, "softmax")), "sparse_categorical_crossentropy", Adam(),
    np.zeros((300, 784)), np.zeros(300, np.int64), batch_size=128,
)  # fmt: skip


def words(nodes):
    """A step as a line of words."""
    return [n.kernel.partition("_")[0] if isinstance(n, Launch) and n.kernel not in FIXED else
            n.kernel if isinstance(n, Launch) else f"product {n.epilogue}" for n in nodes]  # fmt: skip


def test_a_step_of_three_dense_layers():
    """Every bias and every relu is done inside of products: fourteen nodes and the sums."""
    assert words(planned(MLP, "tf32").step([128])) == [
        "begin_step", "gather", "product relu_mask_bias", "product relu_mask_bias", "product bias", "gather_labels",
        "head", "add_rows", "product sums", "product slope_sums", "product none", "product slope_sums", "product none",
        "update", "end_step",
    ]  # fmt: skip


def test_in_half_precision_weights_are_rounded_first_and_sums_stay_in_float32():
    plan = planned(MLP, "bf16")
    nodes = plan.step([128])
    assert words(nodes) == [
        "begin_step", "round", "gather", "product relu_mask_bias", "product relu_mask_bias", "product bias",
        "gather_labels", "head", "add_rows", "product sums", "product slope", "product sums", "product slope",
        "product sums", "update", "end_step",
    ]  # fmt: skip
    products = [n for n in nodes if isinstance(n, Product)]
    assert {p.operands for p in products} == {"S"}
    assert all(p.result == ("T" if p.turned_a else "S") for p in products)
    assert [plan.writer.buffers[n].dtype for n in ("half", "theta", "g", "slot.m", "0.z")] == ["S", "T", "T", "T", "S"]
    assert element_type("S", "bf16") == "uint16"
    assert element_type("T", "bf16") == "float32"


def test_in_float64_products_do_nothing_else():
    assert {n.epilogue for n in planned(MLP, "float64").step([128]) if isinstance(n, Product)} == {"none"}


def test_shapes_and_places_of_products():
    plan = planned(MLP, "float32")
    products = [n for n in plan.step([128]) if isinstance(n, Product)]
    assert [(p.rows, p.inner, p.columns) for p in products] == [
        (128, 784, 256), (128, 256, 128), (128, 128, 10),
        (128, 128, 10), (128, 10, 128), (256, 128, 128), (128, 128, 256), (784, 128, 256),
    ]  # fmt: skip
    offsets = plan.writer.layout.offsets
    assert products[1].b == Ref("theta", offsets["1.kernel"])
    assert products[1].bias == Ref("theta", offsets["1.bias"])
    assert products[4].sums == Ref("g", offsets["1.bias"])
    assert products[4].mask == Ref("1.mask")
    assert products[7].to == Ref("g", offsets["0.kernel"])
    assert plan.writer.buffers["1.mask"] == Buffer(128 * mask_pitch(128), "uint8")
    assert [mask_pitch(n) for n in (1, 128, 129)] == [16, 16, 32]


TABLE = [
    # precision, bias, activation, units -> forward in training with a mask wanted, and without; in inference
    (("float32", True, "relu", 64), ("relu_mask_bias", "relu_bias", "relu_bias")),
    (("tf32", True, "relu", 1), ("relu_mask_bias", "relu_bias", "relu_bias")),
    (("bf16", True, "none", 64), ("bias", "bias", "bias")),
    (("float16", True, "other", 64), ("none", "none", "none")),
    (("float32", False, "relu", 64), ("none", "none", "none")),
    (("float32", False, "none", 64), ("none", "none", "none")),
    (("float64", True, "relu", 64), ("none", "none", "none")),
]


@pytest.mark.parametrize(("layer", "expected"), TABLE)
def test_the_epilogue_of_a_forward_product(layer, expected):
    layer = Facts(*layer)
    found = [
        epilogues.forward(layer, training=t, mask_wanted=m) for t, m in ((True, True), (True, False), (False, True))
    ]
    assert tuple(found) == expected


BACKWARD = [
    # this layer, the one below, whether that has a mask -> the epilogue of dz W^T
    (("float32", True, "none", 10), ("float32", True, "relu", 64), True, "slope_sums"),
    (("tf32", True, "none", 10), ("tf32", True, "relu", 64), True, "slope_sums"),
    (("bf16", True, "none", 10), ("bf16", True, "relu", 64), True, "slope"),
    (("float16", True, "relu", 10), ("float16", True, "relu", 64), True, "slope"),
    (("float32", True, "none", 1), ("float32", True, "relu", 64), True, "none"),
    (("float32", True, "none", 10), ("float32", True, "relu", 64), False, "none"),
    (("float32", True, "none", 10), None, False, "none"),
]


@pytest.mark.parametrize(("layer", "below", "masked", "expected"), BACKWARD)
def test_the_epilogue_of_a_gradient_by_inputs(layer, below, masked, expected):
    below = None if below is None else Facts(*below)
    assert epilogues.input_gradient(Facts(*layer), below, masked=masked) == expected


def test_the_epilogue_of_a_gradient_by_weights():
    for precision, bias, known in itertools.product(["float32", "tf32", "bf16", "float16", "float64"], [0, 1], [0, 1]):
        expected = "sums" if bias and not known and precision != "float64" else "none"
        found = epilogues.weight_gradient(Facts(precision, bool(bias), "relu", 5), sums_known=bool(known))
        assert found == expected


def test_a_single_output_has_no_mask_below():
    case = replace(MLP, layers=(Dense(8, "relu"), Dense(1)), loss="mse", y=np.zeros((300, 1)))
    assert words(planned(case, "float32").step([16]))[2:4] == ["product relu_bias", "product bias"]


def test_what_stands_between_dense_layers_keeps_them_apart():
    case = replace(MLP, layers=(Dense(8, "relu"), Dropout(0.5), Dense(6, "relu"), LayerNormalization(), Dense(10)))
    steps = words(planned(case, "float32").step([16]))
    assert "product relu_mask_bias" not in steps
    assert not any("slope" in w and w.startswith("product") for w in steps)
    assert steps.count("slope") == 2


def test_refused_epilogues_are_asked_for_once_and_replaced():
    asked = []

    def refuse(product):
        asked.append(product.epilogue)
        return False

    products = [n for n in planned(MLP, "float32", accepts=refuse).step([128]) if isinstance(n, Product)]
    assert {p.epilogue for p in products} == {"none"}
    assert all(p.bias is p.mask is p.sums is None for p in products)
    assert set(asked) <= EPILOGUES.keys() - {"none"}


@pytest.mark.parametrize("seed", range(0, 50, 3))
def test_every_node_stays_inside_its_buffers(seed):
    """Products by their shapes; all others by where they begin."""
    case = random_case(seed)
    plan = planned(case, "bf16")
    micro = min(case.batch_size, len(case.X))
    for node in plan.step([micro] * case.accumulate):
        refs = (
            [a for a in node.arguments if isinstance(a, Ref)] if isinstance(node, Launch) else [node.a, node.b, node.to]
        )
        for ref in refs:
            assert 0 <= ref.offset < plan.writer.buffers[ref.buffer].size, node
        if isinstance(node, Launch):
            assert node.kernel in FIXED or node.kernel in plan.writer.kernels.printed
            assert node.block[0] * node.block[1] <= 1024
            assert node.grid[1] <= 65535
            continue
        sizes = (node.rows * node.inner, node.inner * node.columns, node.rows * node.columns)
        for ref, size in zip((node.a, node.b, node.to), sizes, strict=True):
            assert ref.offset + size <= plan.writer.buffers[ref.buffer].size, node


def test_nothing_in_a_step_depends_on_its_number():
    plan = planned(replace(MLP, optimizer=Adam(0.1), layers=(Dense(4, "tanh"), Dropout(0.5), Dense(10))), "float32")
    assert plan.step([16]) == plan.step([16])
    numbers = [a for n in plan.step([16]) if isinstance(n, Launch) for a in n.arguments if isinstance(a, float)]
    assert not {0.1, 0.9, 0.999} & set(numbers)  # the optimiser's coefficients are read from memory


def test_frozen_segments_are_not_updated():
    case = replace(MLP, optimizer=SGD(0.1, clipnorm=1.0))
    plan = planned(case, "float32")
    assert words(plan.apply()) == ["length", "length", "shortened", "update"]
    from deepmath_cupy.updating import Updating

    frozen = Updating(plan.writer, replace(plan.recipe, rates={"0.kernel": 0.0, "1.bias": 0.5}))
    plan.writer.begin(1, training=True)
    frozen.write()
    assert words(plan.writer.nodes) == ["clear", "length", "length", "shortened", "update", "update", "update"]
    assert frozen.rates == [1.0, 0.5, 1.0]


def test_the_grid_covers_all_elements_and_orders_sums_by_shape_alone():
    for rows, columns in itertools.product([0, 1, 7, 128, 100_000], [1, 10, 33, 5000]):
        for grid, block in (f(rows, columns) for f in geometry.BY_LAYOUT.values()):
            assert all(n >= 1 for n in (*grid, *block))
            assert block[0] * block[1] <= 1024
            assert grid[1] <= 65535
    assert geometry.rows(5, 100)[1][0] % 32 == 0
    assert geometry.transposed(5, 100)[1][0] == 32


def test_memory_is_known_from_the_plan():
    plan = planned(MLP, "float32")
    parameters = plan.writer.flat_size
    assert parameters >= 784 * 256 + 256 + 256 * 128 + 128 + 1280 + 10
    total = memory.needed(plan.writer.buffers, "float32")
    assert total > 4 * 4 * parameters
    assert memory.needed(planned(replace(MLP, batch_size=256), "float32").writer.buffers, "float32") > total
