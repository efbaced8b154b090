"""Damaged files: thousands of random changes raise FormatError or give arrays, and no file makes code run."""

import gzip
import io
import struct
import subprocess
import sys

import numpy as np
import pytest

from deepmath.datasets import read_csv, read_idx, read_npz
from deepmath.errors import FormatError

MUTATIONS = 2000


def idx():
    return struct.pack(">I2I", 0x802, 5, 7) + bytes(range(35))


def npz(save=np.savez):
    file = io.BytesIO()
    save(file, X=np.arange(12.0).reshape(4, 3), y=np.arange(4))
    return file.getvalue()


def csv():
    rows = "".join(f"{i},{i / 7:.3f},{'cat' if i % 2 else 'dog'}\n" for i in range(12))
    return b'"size, m",age,kind\n' + rows.encode()


def mutated(content, random):
    """One to four changes: flipped bits, other bytes, a cut, bytes put in, left out, doubled or set to extremes."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        kind, place = random.integers(7), int(random.integers(max(len(data), 1)))
        end = place + int(random.integers(1, 9))
        if kind == 0 and data:
            data[place] ^= 1 << random.integers(8)
        elif kind == 1 and data:
            data[place] = random.integers(256)
        elif kind == 2 and random.random() < 0.3:
            del data[place:]
        elif kind == 3:
            data[place:place] = random.bytes(end - place)
        elif kind == 4:
            del data[place:end]
        elif kind == 5:
            data[place:place] = data[place:end]
        else:
            data[place:end] = random.choice([b"\0", b"\xff", b"\x80", b"\x7f"]) * (min(end, len(data)) - place)
    return bytes(data)


def test_random_changes_of_an_array_in_an_archive(put, npy, zipped):
    """The archive is whole and its sums are right, so that the array's own header is what is read."""
    random, refusals = np.random.default_rng(6), []
    good = npy(("<i2", (2, 3)), bytes(range(12)))
    for _ in range(MUTATIONS):
        put("data", zipped([("X.npy", mutated(good, random)), ("y.npy", good)]))
        try:
            X, _ = read_npz("data")
        except FormatError as error:
            refusals.append(str(error))
        else:
            assert len(X) == 2
    assert MUTATIONS // 2 < len(refusals) < MUTATIONS
    assert all(message.startswith("data: ") and "\n" not in message for message in refusals)


@pytest.mark.parametrize(
    ("read", "content", "seed"),
    [
        (read_idx, idx(), 1),
        (read_idx, gzip.compress(idx(), mtime=0), 2),
        (read_npz, npz(), 3),
        (read_npz, npz(np.savez_compressed), 4),
        (read_csv, csv(), 5),
    ],
    ids=["idx", "idx.gz", "npz", "npz deflated", "csv"],
)
def test_random_changes(put, read, content, seed):
    random = np.random.default_rng(seed)
    read(put("data", content))
    refusals = []
    for _ in range(MUTATIONS):
        put("data", mutated(content, random))
        try:
            read("data")
        except FormatError as error:
            refusals.append(str(error))
    assert len(refusals) > MUTATIONS // 4
    assert all(message.startswith("data") and "\n" not in message for message in refusals)


GUARD = """
import resource, sys
from deepmath.datasets import read_idx, read_npz
from deepmath.errors import FormatError

def read(path):
    try:
        (read_npz if "npz" in path else read_idx)(path)
        return "read"
    except FormatError as error:
        return "refused"

files = sys.argv[1:]
assert read(files[0]) == read(files[1]) == "read"  # and everything is imported
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def guard(event, arguments):
    written = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
    if written or event.partition(".")[0] in ("exec", "compile", "import", "subprocess", "os", "socket", "pickle"):
        if event != "os.listdir":
            raise SystemError(f"{event} {arguments}")

sys.addaudithook(guard)
print(*(read(path) for path in files[2:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is read and set as on Linux")
def test_no_file_makes_code_run_or_memory_grow(put, npy, zipped):
    good = npy(("<f8", (1,)), bytes(8))
    headers = [
        (("|O", (1,)), b"\x80\x04N."),
        (("<f8", (2**50,)), b""),
        (("<f8", (2**32, 2**32)), b""),
        (("<f8", (2**31, 0)), b""),
        ("{'descr': __import__('os').system('true'), }", b""),
        ("(" * 9000, b""),
    ]
    bad = [put(f"{i}.npz", zipped([("X.npy", good), ("y.npy", npy(*header))])) for i, header in enumerate(headers)]
    bad += [put("pickle.npz", zipped([("X.npy", b"\x80\x04N.")])), put("cut.npz", npz()[:-30])]
    for i, dims in enumerate([(2**32 - 1,) * 3, (2**31, 0), (2**30, 4)]):
        content = bytes([0, 0, 8, len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
        bad += [put(f"{i}.idx", content), put(f"{i}.gz", gzip.compress(content))]
    bad.append(put("bomb.gz", gzip.compress(idx() + bytes(1 << 26), 1)))
    put("guard.py", GUARD)
    command = [sys.executable, "guard.py", put("good.npz", npz()), put("good.gz", gzip.compress(idx())), *bad]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["refused"] * len(bad), "")
