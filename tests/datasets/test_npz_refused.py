"""read_npz: the exact words with which it refuses."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from deepmath.datasets import read_npz
from deepmath.errors import FormatError


def refusal(path, **names):
    with pytest.raises(FormatError) as caught:
        read_npz(path, **names)
    return str(caught.value)


@pytest.fixture
def refused(put, npy, zipped):
    """What is said about an archive whose array y has this header and these data."""

    def refused(header, data=b"", **options):
        good = npy(("<f8", (1,)), bytes(8))
        return refusal(put("d.npz", zipped([("X.npy", good), ("y.npy", npy(header, data, **options))])))

    return refused


@pytest.fixture
def archive(put, zipped):
    """An archive of X and y, both of two numbers, changed by what is given."""

    def archive(change=lambda content: content, method=zipfile.ZIP_STORED, y=(3.0, 4.0)):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.array([1.0, 2.0]))
        X = file.getvalue()
        np.lib.format.write_array(file := io.BytesIO(), np.array(y))
        return put("d.npz", change(zipped([("X.npy", X), ("y.npy", file.getvalue())], method)))

    return archive


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (("|O", (1,)), b"", "array 'y' holds Python objects; only numbers are allowed (pickle is never read)."),
        (
            "{'descr': [('a', '<f8'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,), }",
            bytes(12),
            "array 'y' has a structured dtype; save each of its fields as a plain array",
        ),
        (("|V8", (1,)), bytes(8), "array 'y' has a structured dtype; save each of its fields as a plain array"),
        (
            ("<U4", (1,)),
            bytes(16),
            "array 'y' holds text; only numbers are allowed: save labels as whole numbers",
        ),
        (
            ("<c16", (1,)),
            bytes(16),
            "array 'y' has dtype '<c16'; booleans, integers and floats of at most 64 bits are read",
        ),
        (
            ("<f1", (1,)),
            bytes(1),
            "array 'y' has dtype '<f1'; booleans, integers and floats of at most 64 bits are read",
        ),
        (
            ("<M8[s]", (1,)),
            bytes(8),
            "array 'y' has dtype '<M8[s]'; booleans, integers and floats of at most 64 bits are read",
        ),
        (("<f8", (2**50,)), b"", "'y' declares 8.0 PiB but the file is {size}; refused."),
        (("<f8", (2**32, 2**32)), b"", "'y' declares 128.0 EiB but the file is {size}; refused."),
        (("<f8", (10**19,) * 32), b"", "'y' declares more than 2^80 bytes but the file is {size}; refused."),
        (("<f8", (10**21,)), b"", "array 'y' has an axis longer than 2^64; refused"),
        (("<f8", (2**31, 0)), b"", "array 'y' is 2147483648×0, which holds no values"),
        (("<f8", (1,) * 33), bytes(8), "array 'y' is 33 axes; at most 32 are read"),
        (("<f8", ()), bytes(8), "array 'y' is a single number; rows are expected"),
        (("<f8", (2,)), bytes(9), "array 'y': header says 2 of float64 = 16 bytes, its member has 9."),
        (("<i2", (2, 2)), bytes(10), "array 'y': header says 2×2 of int16 = 8 bytes, its member has 10."),
        (("<f8", (2,)), bytes(16), "array 'X' has 1 rows, 'y' has 2."),
        ("{}", b"", "array 'y' has a header that can't be read; save it by numpy.savez"),
        ("", b"", "array 'y' has a header that can't be read; save it by numpy.savez"),
        (
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,), }",
            bytes(8),
            "array 'y' has a header that can't be read; save it by numpy.savez",
        ),
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
            bytes(8),
            "array 'y' has a header that can't be read; save it by numpy.savez",
        ),
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').system('false'), }",
            bytes(8),
            "array 'y' has a header that can't be read; save it by numpy.savez",
        ),
        ("(" * 9000, b"", "array 'y' has a header that can't be read; save it by numpy.savez"),
        (" " * 10_000, b"", "array 'y' has a header of 9.8 KiB; at most 10,000 bytes are read"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_headers(refused, header, data, message):
    said = refused(header, data)
    assert said == f"d.npz: {message.replace('{size}', told(Path('d.npz').stat().st_size))}"


def told(count):
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.1f} KiB"


def test_what_numpy_itself_writes_for_objects_text_and_fields(tmp_path):
    path = tmp_path / "a.npz"
    for values, words in (
        (np.array([{}], object), "holds Python objects"),
        (np.array(["a"]), "holds text"),
        (np.zeros(1, [("a", "f8")]), "has a structured dtype"),
        (np.zeros(1, "M8[D]"), "has dtype '<M8[D]'"),
    ):
        np.savez(path, X=[1.0], y=values)
        assert f"a.npz: array 'y' {words}" in refusal(path)


def test_a_pickle_in_the_place_of_an_array(put, zipped):
    for content, words in (
        (b"\x80\x04N.", "is a pickle; only numbers are allowed (pickle is never read)"),
        (b"", "is not in NumPy's .npy format"),
        (b"\x93NUMPY\x04\x00", "has version 4.0 of the .npy format; known: 1.0, 2.0, 3.0"),
    ):
        assert refusal(put("d.npz", zipped([("X.npy", content)]))) == f"d.npz: array 'X' {words}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "d.npz: this is an empty file, not an NPZ file"),
        (b"\x80\x04N.", "d.npz: this is a pickle, not an NPZ file; pickle is never read, because it can run code"),
        (b"\x89HDF\r\n\x1a\n", "d.npz: this is an HDF5 file, not an NPZ file"),
        (b"\x93NUMPY\1\0", "d.npz: this is a single NumPy array (.npy), not an NPZ file"),
        (b"a,b\n1,2\n", "d.npz: this is not a zip file, not an NPZ file"),
        (b"PK\3\4", "d.npz: the archive is cut or damaged (File is not a zip file); save it again"),
    ],
)
def test_other_files(put, content, message):
    assert refusal(put("d.npz", content)) == message


def test_arrays_that_are_not_there(archive, put, zipped):
    message = "d.npz: there is no array 'Z'; the file holds: 'X', 'y'. Name the arrays by x= and y="
    assert refusal(archive(), x="Z") == message
    assert "; the file holds: nothing." in refusal(put("e.npz", zipped([])))
    many = zipped([(f"a{i}.npy", b"") for i in range(12)])
    assert "'a9', ... (12 in all)" in refusal(put("m.npz", many))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_and_names_that_lead_outside(put, zipped):
    message = "d.npz: 2 members are called 'y.npy'; which one counts is anyone's guess: refused"
    assert refusal(put("d.npz", zipped([("X.npy", b""), ("y.npy", b""), ("y.npy", b"")]))) == message
    for name in ("../../etc/x", "/etc/x", "a/../../x", "\\x", "..\\x"):
        content = zipped([("X.npy", b""), (name, b"")])
        assert refusal(put("d.npz", content)) == f"d.npz: member {name!r} points outside the archive; refused"


def in_directory(content, offset, value, width=2):
    """Change a field of the first entry in a zip's directory at the end of the file."""
    place = content.index(b"PK\1\2") + offset
    return content[:place] + value.to_bytes(width, "little") + content[place + width :]


def test_encrypted_and_unknown_compression(archive):
    message = "d.npz: array 'X' is encrypted; save it without a password"
    assert refusal(archive(lambda c: in_directory(c, 8, 1))) == message
    message = "d.npz: array 'X' is compressed by method 99; numpy.savez_compressed uses deflate (8)"
    assert refusal(archive(lambda c: in_directory(c, 10, 99))) == message
    assert "compressed by method 14;" in refusal(archive(method=zipfile.ZIP_LZMA))


def test_a_member_that_is_not_in_the_file(archive):
    path = archive(lambda c: in_directory(c, 24, 2**31, 4))
    message = f"d.npz: 'X' declares 2.0 GiB but the file is {Path(path).stat().st_size} bytes; refused."
    assert refusal(path) == message
    assert "the archive is cut or damaged" in refusal(archive(lambda c: in_directory(c, 42, 2**30, 4)))


def test_every_truncation_is_refused(archive):
    whole = Path(archive(method=zipfile.ZIP_DEFLATED)).read_bytes()
    for length in range(len(whole)):
        assert refusal(archive(lambda _, n=length: whole[:n])).startswith("d.npz: ")


def test_a_changed_value_fails_the_sum(archive):
    def change(content):
        place = content.index(struct.pack("<d", 3.0))
        return content[:place] + struct.pack("<d", 5.0) + content[place + 8 :]

    message = "d.npz: the archive is cut or damaged (Bad CRC-32 for file 'y.npy'); save it again"
    assert refusal(archive(change)) == message


def bomb(npy, promised, zeros, padding=0):
    """An archive whose X says `promised` bytes, as does its entry in the directory; `zeros` of them come.

    `padding` is behind the packed bytes, and counted as packed bytes too.
    """
    head = npy(("|u1", (promised,)), b"")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(head + bytes(zeros)) + packer.flush() + bytes(padding)
    sizes = zlib.crc32(head + bytes(zeros)), len(body), len(head) + max(promised, zeros)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, *sizes, 5, 0) + b"X.npy" + body
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 33, *sizes, 5, 0, 0, 0, 0, 0, 0) + b"X.npy"
    return local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def test_a_bomb_is_unpacked_only_as_far_as_its_header_says(put, npy):
    path = put("bomb.npz", bomb(npy, 10, 1 << 26))
    tracemalloc.start()
    try:
        assert refusal(path) == "bomb.npz: array 'X': header says 10 of uint8 = 10 bytes, its member has 67,108,864."
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_a_bomb_whose_headers_agree_is_refused_unread(put, npy):
    content = bomb(npy, 2**30, 1000)
    message = f"bomb.npz: 'X' declares 1.0 GiB but the file is {len(content)} bytes; refused."
    assert refusal(put("bomb.npz", content)) == message
    content = bomb(npy, 2**31, 1000, padding=1 << 22)
    assert refusal(put("bomb.npz", content)) == "bomb.npz: 'X' declares 2.0 GiB but the file is 4.0 MiB; refused."


def test_a_directory_and_a_missing_file(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory, not an NPZ file"
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz")
