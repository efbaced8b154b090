"""A checkpoint with any one bit flipped, or cut anywhere, is refused."""

from __future__ import annotations

import pytest
from resuming import Stop, train

from deepmath import storage
from deepmath.callbacks import Checkpoint
from deepmath.errors import FormatError


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """A checkpoint in the middle of an epoch, with history, moments and running averages."""
    folder = tmp_path_factory.mktemp("one")
    train("reference", Checkpoint(folder, every=13, keep=1), Stop(13))
    (path,) = folder.iterdir()
    assert "history" in storage.load(path).settings
    return path.read_bytes()


@pytest.fixture
def accepted(tmp_path):
    path = tmp_path / "step-13.safetensors"

    def check(changed: bytes) -> bool:
        path.write_bytes(changed)
        try:
            storage.load(path)
        except FormatError:
            return False
        return True

    return check


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def check(content: bytes, accepted, every_bit: int, every_byte: int) -> int:
    assert accepted(content)
    bits, cuts = range(0, 8 * len(content), every_bit), range(0, len(content), every_byte)
    assert [bit for bit in bits if accepted(flipped(content, bit))] == []
    assert [n for n in cuts if accepted(content[:n])] == []
    return len(bits) + len(cuts)


def test_damage_here_and_there(content, accepted):
    check(content, accepted, 31, 11)


@pytest.mark.slow
def test_damage_of_every_bit_and_every_length(content, accepted, record_property):
    cases = check(content, accepted, 1, 1)
    record_property("cases", cases)
    assert cases > 18_000
