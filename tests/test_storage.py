"""Model files: whole or refused, and never half written."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import threading
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from deepmath import BatchNormalization, Dense, Sequential, load_model, storage
from deepmath.errors import ConfigError, FormatError
from deepmath.optimizers import Adam


def small_model(seed: int = 1) -> Sequential:
    model = Sequential([Dense(2, "tanh", input_dim=2), Dense(1)], seed=seed)
    model.compile("sgd", "mse")
    return model


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "model.safetensors"
    small_model().save(path)
    return path.read_bytes()


@pytest.fixture
def refused(tmp_path):
    """Whether loading these bytes is refused with FormatError that names the file; gives the text."""
    path = tmp_path / "damaged.safetensors"

    def check(changed: bytes) -> str | None:
        path.write_bytes(changed)
        try:
            storage.load(path)
        except FormatError as error:
            return str(error) if str(path) in str(error) else None
        return None

    return check


def test_values_and_settings_come_back_to_the_bit(tmp_path):
    values = {
        "a": np.array([[1.5, -0.0, np.nan], [np.inf, 5e-324, -1e300]]),
        "b": np.arange(5, dtype=np.int64) - 2,
        "c": np.float32([1e-45, 3.0]),
        "scalar": np.asarray(7),
        "none": np.empty((0, 3), np.float32),
        "transposed": np.arange(6.0).reshape(2, 3).T,
    }
    settings = {"text": 'é"\\\n', "list": [1, 2.5, None, True], "nested": {"x": {"y": []}}}
    storage.save(tmp_path / "f", values, settings)
    found = storage.load(tmp_path / "f")
    assert found.settings == settings
    assert found.values.keys() == values.keys()
    for name, value in values.items():
        assert found.values[name].dtype == value.dtype, name
        assert found.values[name].shape == value.shape, name
        assert found.values[name].tobytes() == value.tobytes(), name


def flips(size: int, every: int) -> range:
    return range(0, 8 * size, every)


def undetected_flips(content: bytes, refused, every: int) -> list[int]:
    missed = []
    for bit in flips(len(content), every):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        if refused(bytes(changed)) is None:
            missed.append(bit)
    return missed


def test_flipped_bits_are_refused(content, refused):
    assert refused(content) is None, "the file as saved is good"
    assert undetected_flips(content, refused, every=7) == []


@pytest.mark.slow
def test_every_flipped_bit_is_refused(content, refused):
    assert undetected_flips(content, refused, every=1) == []


def test_every_truncation_is_refused(content, refused):
    assert [n for n in range(len(content)) if refused(content[:n]) is None] == []


def test_added_bytes_are_refused(content, refused):
    assert refused(content + b"\0") is not None
    assert refused(b"\0" + content) is not None


def test_a_flip_in_an_array_is_named_as_damage(content, refused):
    changed = bytearray(content)
    changed[-5] ^= 4
    assert refused(bytes(changed)).endswith(" fails its SHA-256 check; the file was changed or damaged after saving.")


def test_a_cut_header_is_named_as_incomplete(content, refused):
    size = int.from_bytes(content[:8], "little") + 8
    assert refused(content[:100]).endswith(f" is incomplete: its header needs {size:,} bytes, the file has 100.")


def foreign() -> dict[str, tuple[bytes, str]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.pkl", b"x")
    return {
        "zip": (archive.getvalue(), "a zip archive (PyTorch and npz files are)"),
        "pickle": (pickle.dumps({"a": 1}), "a pickle"),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    }


@pytest.mark.parametrize("kind", foreign())
def test_files_of_other_kinds_are_named(kind, refused):
    data, name = foreign()[kind]
    reason = "deepmath reads only its own safetensors files and never pickle, because pickle can run code."
    assert refused(data).endswith(f" is {name}. {reason}")


def test_a_pickle_is_never_run(tmp_path, refused):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    assert refused(pickle.dumps(Bomb())) is not None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("junk", [b"", b"x", b"\xff" * 200, bytes(200), (2).to_bytes(8, "little") + b"{}", b"[" * 5000])
def test_junk_is_refused(junk, refused):
    assert refused(junk) is not None


@pytest.mark.parametrize("header", ['{"__metadata__":1}', '{"__metadata__":{"format":1}}', "[1]", "[" * 3000, "null"])
def test_strange_headers_are_refused(header, refused):
    assert "is not a deepmath file: " in refused(len(header).to_bytes(8, "little") + header.encode())


def test_a_safetensors_file_of_another_program_is_refused(refused):
    assert " is not a deepmath file: " in refused(safetensors.numpy.save({"a": np.ones(2)}, {"format": "pt"}))


def test_a_file_of_another_version_is_refused(tmp_path, refused, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(storage, "FORMAT", "deepmath-0")
        storage.save(tmp_path / "old", {"a": np.ones(2)}, {})
    text = refused((tmp_path / "old").read_bytes())
    assert text.endswith(" is not a deepmath file of this version (format 'deepmath-0', expected 'deepmath-1')")


def test_a_file_is_read_whatever_its_header_s_length(tmp_path):
    """A safetensors file begins with that length: its first byte may be a pickle's, or a zip archive's."""
    first = set()
    for length in range(0, 264, 8):
        settings = {"text": "x" * length}
        storage.save(tmp_path / "f", {"a": np.ones(1)}, settings)
        first.add((tmp_path / "f").read_bytes()[0])
        assert storage.load(tmp_path / "f").settings == settings
    assert {0x50, 0x80} <= first


def test_a_good_file_that_is_no_model_is_refused(tmp_path):
    storage.save(tmp_path / "f", {"a": np.ones(2)}, {"other": 1})
    with pytest.raises(FormatError, match=r"f: its settings don't describe a model"):
        load_model(tmp_path / "f")


def test_a_model_file_can_not_name_code(tmp_path, content):
    path = tmp_path / "m"
    path.write_bytes(content)
    values, settings = storage.load(path)
    settings["model"]["layers"][0]["class"] = "os.system"
    storage.save(path, values, settings)
    with pytest.raises(
        ConfigError, match=r"m: unknown class 'os.system'.*deepmath never imports code from a model file"
    ):
        load_model(path)


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_arrays_must_fit_the_model(change, tmp_path, content):
    path = tmp_path / "m"
    path.write_bytes(content)
    values, settings = storage.load(path)
    kernel = values.pop("params.0.kernel")
    if change == "shape":
        values["params.0.kernel"] = kernel[:1]
    storage.save(path, values, settings)
    came = "missing" if change == "missing" else r"\(1, 2\)"
    with pytest.raises(FormatError, match=rf"m: array 'params.0.kernel' is {came}; the model needs shape \(2, 2\)"):
        load_model(path)


def test_an_absent_file_and_a_folder_and_a_pipe(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none")
    with pytest.raises(FormatError, match="is not a regular file") as error:
        load_model(tmp_path)
    assert str(tmp_path) in str(error.value)
    os.mkfifo(tmp_path / "pipe")
    raised: list[BaseException] = []

    def read() -> None:
        try:
            load_model(tmp_path / "pipe")
        except FormatError as error:
            raised.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    assert [str(e) for e in raised] == [f"{tmp_path / 'pipe'} is not a regular file"]


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
def test_an_interrupted_write_leaves_the_old_file(call, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    small_model(1).save(path)
    before = path.read_bytes()

    def broken(*arguments, **settings):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        with pytest.raises(OSError, match="cannot save") as error:
            small_model(2).save(path)
    assert error.value.errno == 28
    assert str(error.value).startswith(f"[Errno 28] cannot save {path}: no space on ")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]
    small_model(2).save(path)
    assert path.read_bytes() != before


def test_an_interrupt_by_the_user_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    small_model(1).save(path)
    before = path.read_bytes()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_model(2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_a_write_that_can_not_be_read_back_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    monkeypatch.setattr(storage.Path, "read_bytes", lambda self: b"other")
    with pytest.raises(OSError, match=r"cannot save .*what was written can't be read back"):
        small_model().save(path)
    assert os.listdir(tmp_path) == []


def test_the_same_model_gives_the_same_bytes_and_the_mode_of_any_new_file(tmp_path):
    for name in "ab":
        small_model().save(tmp_path / name)
    (tmp_path / "plain").write_bytes(b"")
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in "ab"}
    assert len(digests) == 1
    assert os.stat(tmp_path / "a").st_mode == os.stat(tmp_path / "plain").st_mode


def test_a_model_with_state_and_optimizer_goes_on_where_it_was(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    model = Sequential([Dense(4, "relu"), BatchNormalization(), Dense(1)], seed=5)
    model.compile(Adam(0.01), "mse")
    model.fit(X, y, epochs=3, batch_size=8, verbose=0, backend="reference")
    model.save(tmp_path / "m")
    other = load_model(tmp_path / "m")
    histories = [m.fit(X, y, epochs=2, batch_size=8, verbose=0, backend="reference").history for m in (model, other)]
    assert histories[0] == histories[1]
    assert [w.tolist() for w in model.get_weights()] == [w.tolist() for w in other.get_weights()]
