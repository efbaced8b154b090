"""The adapters of the peers that are installed compute what the reference computes, ragged last batches too."""

from dataclasses import replace

import pytest
from benchmarking import BINARY, QUICK, SMALL, silent

from deepmath.benchmark import candidates, session
from deepmath.benchmark.session import Where

FOLDER = candidates.PACKAGE.parent / "bench" / "peers"
PEERS = {c.name: c for c in candidates.peers("cpu", FOLDER)} if FOLDER.exists() else {}
QUICK_TO_START = ("jax-scan", "torch-eager", "scikit-learn")


@pytest.mark.skipif(not PEERS, reason="not a checkout")
@pytest.mark.parametrize("name", [n if n in QUICK_TO_START else pytest.param(n, marks=pytest.mark.slow) for n in PEERS])
def test_an_adapter_is_valid(name, tmp_path):
    peer = PEERS[name]
    if peer.missing:
        pytest.skip(f"not installed: {', '.join(peer.missing)}")
    ragged = replace(BINARY, rest=3)
    measured = session.sweep([SMALL, ragged], [replace(peer, sweep=True)], tmp_path, QUICK, Where(), silent)
    assert [m.failure for m in measured] == [None, None]
    for one in measured:
        assert one.verdict.valid
        assert one.verdict.loss < 1e-5
        assert one.verdict.weights < 1e-4
        assert len(one.seconds("train")) == QUICK.rounds


@pytest.mark.skipif("scikit-learn" not in PEERS, reason="not a checkout")
def test_the_form_of_adam_matters(tmp_path):
    """Epsilon added before the root's bias is corrected is another training: the check sees the difference."""
    peer = replace(PEERS["scikit-learn"], adam="epsilon", sweep=True)
    if peer.missing:
        pytest.skip("scikit-learn is not installed")
    (measured,) = session.sweep([SMALL], [peer], tmp_path, QUICK, Where(), silent)
    assert measured.verdict.weights > 1e-5
