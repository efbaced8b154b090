"""What the tests of data files share: files in the working folder, so that messages name them shortly."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("datasets", deadline=None)  # a busy machine is no failure
settings.load_profile("datasets")


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write a file of bytes or text into the working folder; gives its name."""
    monkeypatch.chdir(tmp_path)

    def put(name, content):
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return put


@pytest.fixture
def write(put):
    """Write data.csv."""
    return lambda content: put("data.csv", content)


def npy_bytes(header, data, version=(1, 0)):
    """A .npy file with this header, which is text or the values of descr, fortran_order and shape."""
    if not isinstance(header, str):
        descr, shape = header
        header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + data


def zip_bytes(members, method=zipfile.ZIP_STORED):
    """A zip archive; `members` are names with contents and may repeat."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def npy():
    return npy_bytes


@pytest.fixture
def zipped():
    return zip_bytes


@pytest.fixture
def mnist_dir(request):
    """The folder that holds MNIST, as --data-dir says, or else ../shared/data beside the checkout."""
    given = request.config.getoption("--data-dir", default=None)
    folder = Path(given) if given else Path(__file__).parents[3] / "shared" / "data"
    if not any((folder / sub / "t10k-images-idx3-ubyte.gz").exists() for sub in (".", "mnist")):
        pytest.skip(f"the test images of MNIST are not in {folder}; name their folder by --data-dir")
    return folder
