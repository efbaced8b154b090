"""Models from PyTorch's tensors, against PyTorch."""

import numpy as np
import pytest
import torch
from exporting import assert_agrees
from safetensors.torch import save_file
from torch import nn

import deepmath as dm
from deepmath.errors import ConfigError, FormatError
from deepmath.export import exported, from_torch
from deepmath.layers import Dropout


@pytest.fixture
def module():
    """Every module that has tensors, with none of them as it was made."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 4, bias=False), nn.PReLU(),
        nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False), nn.Softmax(dim=-1),
    ).double()  # fmt: skip
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.dtype == torch.float64:
                value += 0.3 * torch.rand(value.shape, dtype=torch.float64)
    return net.eval()


NAMES = {2: "relu", 3: None, 7: "gelu", 10: "softmax"}


def predicted(net, X):
    with torch.no_grad():
        return net(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("names", [NAMES, ["relu", Dropout(0.5), "gelu", "softmax"]])
@pytest.mark.parametrize("as_file", [False, True])
def test_a_module_is_taken_over_exactly(module, names, as_file, tmp_path):
    source = {f"net.{n}": v for n, v in module.state_dict().items()}
    if as_file:
        save_file(source, tmp_path / "net.safetensors")
        source = tmp_path / "net.safetensors"
    model = from_torch(source, names)
    X = np.random.default_rng(0).standard_normal((9, 5))
    assert_agrees(model.predict(X, precision="float64"), predicted(module, X), "float64", "from_torch")


def test_the_model_trains_on(module):
    model = from_torch(module.state_dict(), NAMES)
    before = model.get_weights()
    model.compile("sgd", "categorical_crossentropy")
    model.fit(np.random.default_rng(0).standard_normal((20, 5)), np.eye(3)[np.arange(20) % 3], verbose=0)
    assert all(np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True))


def test_what_was_exported_comes_back(tmp_path):
    model = dm.Sequential([dm.Dense(4, "tanh", input_dim=3), dm.Dense(2, "sigmoid")])
    (tmp_path / "net.safetensors").write_bytes(exported(model, "safetensors", precision="float64"))
    again = from_torch(tmp_path / "net.safetensors", {1: "tanh", 3: "sigmoid"})
    X = np.random.default_rng(0).standard_normal((9, 3))
    assert np.array_equal(again.predict(X), model.predict(X))


W, B = np.ones((3, 2)), np.ones(3)
REFUSED = [
    ({"encoder": W}, (), FormatError, "'encoder' is no tensor of an nn.Sequential; expected names like '0.weight'"),
    ({"0.weight_ih": W}, (), FormatError, "'0.weight_ih' is no tensor"),
    ({}, (), FormatError, "expected the tensors of one nn.Sequential; got no tensors"),
    ({"a.0.weight": W, "b.0.weight": W}, (), FormatError, "of one nn.Sequential; got a., b.. Pass those of one part"),
    ({"0.weight": np.ones((3, 2, 2))}, (), FormatError, r"module 0 with weight \(3, 2, 2\) is none of Linear, Batch"),
    ({"0.weight": W, "0.bias": np.ones(2)}, (), FormatError, "the tensors of module 0 don't fit each other"),
    ({"0.weight": W, "1.weight": W}, (), FormatError, "module 1 takes 2 numbers, but gets 3"),
    (
        {"0.weight": W, "2.weight": W.T},
        (),
        ConfigError,
        r"module 1 has no tensors; say in activations .* \{1: 'relu'\}",
    ),
    ({"0.weight": W}, {0: "relu"}, ConfigError, "activations names module 0, which has tensors or can't be"),
    ({"0.weight": W}, {1: "rleu"}, ConfigError, "unknown activation 'rleu' .did you mean 'relu'"),
]


@pytest.mark.parametrize(("tensors", "activations", "kind", "text"), REFUSED)
def test_tensors_of_anything_else_are_named(tensors, activations, kind, text):
    with pytest.raises(kind, match=text) as caught:
        from_torch(tensors, activations)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_another_kind_is_named(tmp_path):
    torch.save({"0.weight": torch.ones(2)}, tmp_path / "net.pt")
    with pytest.raises(FormatError, match="is no safetensors file that NumPy can hold"):
        from_torch(tmp_path / "net.pt")
    with pytest.raises(FileNotFoundError):
        from_torch(tmp_path / "none.safetensors")
