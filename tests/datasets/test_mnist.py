"""mnist: the real test images, and files that don't belong together."""

import gzip
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from deepmath.cli.app import commands
from deepmath.datasets import load, mnist, read_idx
from deepmath.errors import ConfigError, FormatError


def images(count, side=28):
    values = (np.arange(count * side * side) % 256).astype(np.uint8)
    return struct.pack(">4I", 0x803, count, side, side) + values.tobytes()


def labels(values):
    return struct.pack(">2I", 0x801, len(values)) + bytes(values)


@pytest.fixture
def files(put, tmp_path):
    """Small files of both parts; the names given are written over."""

    def write(**contents):
        for prefix, count in (("t10k", 4), ("train", 30)):
            put(f"{prefix}-images-idx3-ubyte", contents.get(f"{prefix}_images", images(count)))
            put(f"{prefix}-labels-idx1-ubyte", contents.get(f"{prefix}_labels", labels([i % 10 for i in range(count)])))
        return "."

    return write


def refusal(folder, part="test"):
    with pytest.raises(FormatError) as caught:
        mnist(folder, part)
    return str(caught.value)


def test_real_images(mnist_dir):
    X, y = mnist(mnist_dir, "test")
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((10000, 784), np.float32, (10000,), np.int64)
    assert (X.min(), X.max()) == (0.0, 1.0)
    # Counts of the digits and mean ink of the test set as published with its descriptions.
    assert np.bincount(y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert abs(X.mean(dtype=np.float64) - 0.1325) < 5e-5
    assert y[:5].tolist() == [7, 2, 1, 0, 4]
    folder = mnist_dir / "mnist" if (mnist_dir / "mnist").is_dir() else mnist_dir
    pixels = read_idx(folder / "t10k-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(np.rint(X * 255), pixels.reshape(10000, 784))
    np.testing.assert_array_equal(X, (pixels.reshape(10000, 784) / 255.0).astype(np.float32))


def test_load_names_real_digits(mnist_dir):
    data = load("mnist", data_dir=mnist_dir, part="test")
    assert (data.X.shape, data.classes, data.target_names) == ((10000, 784), tuple("0123456789"), ("digit",))
    assert data.feature_names[29] == "pixel_1_1"


@pytest.mark.parametrize("spelling", ["{}-{}", "{}.{}", "mnist/{}-{}"])
@pytest.mark.parametrize("packed", [False, True])
def test_spellings_of_the_file_names(put, tmp_path, spelling, packed):
    (tmp_path / "mnist").mkdir()
    for name, kind, content in (("images", "idx3", images(3)), ("labels", "idx1", labels([3, 1, 4]))):
        path = spelling.format(f"train-{name}", f"{kind}-ubyte") + (".gz" if packed else "")
        put(path, gzip.compress(content) if packed else content)
    X, y = mnist(tmp_path)
    assert X.shape == (3, 784)
    assert y.tolist() == [3, 1, 4]
    np.testing.assert_array_equal(X[0, :256], (np.arange(256) / 255).astype(np.float32))


def test_train_is_the_default_and_test_is_named(files):
    assert len(mnist(files())[0]) == 30
    assert len(mnist(".", "test")[0]) == 4
    with pytest.raises(ConfigError, match=r"^mnist: part must be 'train' or 'test', got 'dev'$"):
        mnist(".", "dev")


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"t10k_labels": labels([1, 2, 3])}, f"{IMAGES} has 4 items, {LABELS} has 3."),
        (
            {"t10k_labels": labels([0, 9, 255, 10])},
            f"{LABELS}: label 255 at row 2 is outside 0..9; the file is damaged: fetch it again",
        ),
        (
            {"t10k_labels": images(4)},
            f"{LABELS}: magic 0x00000803 means 3 axes of uint8 (expected 0x00000801); are images and labels swapped?",
        ),
        (
            {"t10k_images": b"\0\0\x0d\3" + bytes(60)},
            f"{IMAGES}: magic 0x00000d03 means 3 axes of float32 (expected 0x00000803); are images and labels swapped?",
        ),
        ({"t10k_images": b"PK\3\4abc"}, f"{IMAGES}: magic 0x504b0304 is a zip file, not IDX (expected 0x00000803)."),
        ({"t10k_images": images(4, 14)}, f"{IMAGES}: images of 14×14 pixels, expected 28×28"),
        ({"t10k_images": images(4)[:-1]}, f"{IMAGES}: header says 4×28×28 = 3,136 bytes, file has 3,135."),
    ],
)
def test_refusals(files, contents, message):
    assert refusal(files(**contents)) == message


def test_60001_labels_for_60000_images_are_refused(put):
    put("train-images-idx3-ubyte.gz", gzip.compress(struct.pack(">4I", 0x803, 60000, 28, 28) + bytes(60000 * 784), 1))
    put("train-labels-idx1-ubyte", labels([0] * 60001))
    message = "train-images-idx3-ubyte.gz has 60000 items, train-labels-idx1-ubyte has 60001."
    assert refusal(".", "train") == message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        mnist(tmp_path, "test")
    assert caught.value.filename == str(tmp_path / f"{IMAGES}.gz")
    with pytest.raises(ConfigError) as refused:
        load("mnist")
    assert str(refused.value) == (
        "load: 'mnist' needs data_dir, the folder of its files, such as train-images-idx3-ubyte.gz"
    )


def test_the_command_finds_the_files_again(files):
    def run(*args):
        return CliRunner().invoke(commands, [str(a) for a in args])

    files()
    trained = run("train", "mnist", "--data-dir", ".", "--epochs", 1, "--hidden", "none", "--out", "run", "--quiet")
    assert (trained.exit_code, trained.stderr) == (0, "")
    assert "mnist: the test part, 6 rows of 30" in run("evaluate", "run").stdout
    assert "the test part" in run("evaluate", "run", "mnist", "--data-dir", ".").stdout
    assert run("predict", "run").stdout.count("\n") == 31
    for arguments, code, line in (
        (("train", "mnist"), 2, "mnist needs --data-dir DIR, the folder of its files"),
        (
            ("train", "xor", "--data-dir", "."),
            2,
            "train: --data-dir is for mnist, and the data are 'xor'; leave it out",
        ),
        (("train", "mnist", "--data-dir", "run"), 66, "run/train-images-idx3-ubyte.gz: no such file; check the path"),
    ):
        with pytest.raises(SystemExit) as ended:
            commands.main(list(arguments))
        assert ended.value.code == code
        assert run(*arguments).stderr == f"deepmath: error: {line}\n"
