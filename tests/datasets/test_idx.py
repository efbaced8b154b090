"""read_idx: what it takes, and how it refuses."""

import gzip
import os
import struct
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepmath.datasets import read_idx
from deepmath.errors import FormatError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(values, shape=None):
    """The bytes of an IDX file; `shape` is what it says where that isn't true."""
    shape = values.shape if shape is None else shape
    head = bytes([0, 0, CODES[values.dtype.str[1:]], len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


BYTES = np.arange(6, dtype=np.uint8).reshape(2, 3)


def packed(content):
    return gzip.compress(content, mtime=0)


def refusal(path):
    with pytest.raises(FormatError) as caught:
        read_idx(path)
    return str(caught.value)


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda t: arrays.arrays(np.dtype(t), arrays.array_shapes(min_dims=1, max_dims=4, max_side=5))
    ),
    st.booleans(),
)
def test_what_is_written_is_read_back(tmp_path_factory, values, zipped):
    path = tmp_path_factory.getbasetemp() / "round.idx"
    path.write_bytes(packed(idx(values)) if zipped else idx(values))
    read = read_idx(path)
    assert (read.dtype, read.shape) == (values.dtype, values.shape)
    assert read.tobytes() == values.tobytes()
    assert read.dtype.isnative
    assert read.flags.writeable


E_MAGIC = "(expected 0x0000TTAA: type and number of axes)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"a.idx: the file is empty, not IDX {E_MAGIC}"),
        (b"PK\x03\x04" + bytes(40), f"a.idx: magic 0x504b0304 is a zip file, not IDX {E_MAGIC}."),
        (b"\x89HDF\r\n", f"a.idx: magic 0x89484446 is an HDF5 file, not IDX {E_MAGIC}."),
        (b"\x80\x04\x95\x00", f"a.idx: magic 0x80049500 is a pickle, not IDX {E_MAGIC}."),
        (
            packed(packed(idx(BYTES))),
            f"a.idx: magic 0x1f8b0800 is a gzip file, not IDX {E_MAGIC}.",
        ),
        (b"\1\2\3\4\5", f"a.idx: magic 0x01020304 is not IDX {E_MAGIC}."),
        (b"\0\0\x08", f"a.idx: magic 0x000008 is not IDX {E_MAGIC}."),
        (
            b"\0\0\x0a\x01\0\0\0\1\0",
            "a.idx: magic 0x00000a01 names the type 0x0a; the types of IDX: 0x08 (uint8), 0x09 (int8), 0x0b (int16), "
            "0x0c (int32), 0x0d (float32), 0x0e (float64).",
        ),
        (b"\0\0\x08\0\1", "a.idx: magic 0x00000800 says no axes; at least one is expected."),
        (b"\0\0\x08\3\0\0\0\1", "a.idx: the header of 3 axes takes 16 bytes, file has 8."),
        (idx(BYTES)[:-1], "a.idx: header says 2×3 = 6 bytes, file has 5."),
        (idx(BYTES) + b"\0", "a.idx: header says 2×3 = 6 bytes, file has 7."),
        (idx(BYTES.astype(np.int16))[:-3], "a.idx: header says 2×3 of int16 = 12 bytes, file has 9."),
        (idx(BYTES, (60000, 28, 28)), "a.idx: header says 60000×28×28 = 47,040,000 bytes, file has 6."),
        (
            idx(BYTES, (2**32 - 1,) * 3),
            "a.idx: header says 4294967295×4294967295×4294967295 = 79,228,162,458,924,105,385,300,197,375 bytes, "
            "file has 6.",
        ),
        (idx(BYTES, (2**31, 0)), "a.idx: header says 2147483648×0, which holds no values"),
        (idx(BYTES, (1,) * 33), "a.idx: header says 33 axes; at most 32 are read"),
        (packed(idx(BYTES)[:-1]), "a.idx: header says 2×3 = 6 bytes, file has 5."),
        (packed(idx(BYTES) + b"\0\0"), "a.idx: header says 2×3 = 6 bytes, file has more than 6."),
        (packed(idx(BYTES))[:-9], "a.idx: the compressed data end too early; the file is cut: fetch it again"),
        (packed(idx(BYTES))[:-1], "a.idx: the compressed data end too early; the file is cut: fetch it again"),
        (packed(idx(BYTES))[:7], "a.idx: the compressed data end too early; the file is cut: fetch it again"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_refusals(put, content, message):
    assert refusal(put("a.idx", content)) == message


def test_a_changed_bit_in_compressed_data_is_noticed(put):
    content = bytearray(packed(idx(BYTES)))
    content[-8] ^= 1
    assert refusal(put("a.gz", bytes(content))).startswith("a.gz: the compressed data are damaged (CRC check failed")


def test_a_promise_that_no_gzip_file_can_keep_is_refused_unread(put):
    content = packed(idx(BYTES, (2**26, 2**26)))
    assert refusal(put("a.gz", content)) == (
        f"a.gz: header declares 4.0 PiB but the file is {len(content)} bytes; refused."
    )


def test_a_promise_that_only_fills_the_memory_is_refused_unread(put):
    content = packed(idx(BYTES, (2**31,))) + bytes(2**22)
    assert refusal(put("a.gz", content)) == "a.gz: header declares 2.0 GiB but the file is 4.0 MiB; refused."


def test_a_bomb_is_unpacked_only_as_far_as_its_header_says(put):
    path = put("bomb.gz", gzip.compress(idx(BYTES) + bytes(1 << 26), compresslevel=1))
    tracemalloc.start()
    try:
        assert refusal(path) == "bomb.gz: header says 2×3 = 6 bytes, file has more than 6."
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_a_directory_and_a_missing_file(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory, not an IDX file"
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    messages = []
    thread = threading.Thread(target=lambda: messages.append(refusal(path)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert messages == [f"{path}: this is not a regular file, not an IDX file"]
