"""The adapters of the peers that are installed compute what the reference computes, ragged last batches too."""

from dataclasses import replace

import pytest
from benchmarking import BINARY, QUICK, SMALL, silent

from deepmath.benchmark import candidates, session
from deepmath.benchmark.session import Where

FOLDER = candidates.PACKAGE.parent / "bench" / "peers"
PEERS = {c.name: c for c in candidates.peers("cpu", FOLDER)} if FOLDER.exists() else {}
RAGGED = replace(BINARY, rest=3)
QUICK_TO_START = ("torch-eager", "scikit-learn", "numpy-by-hand", "onnxruntime")


def runs():
    """Every peer on both networks; of these two each run sees one."""
    for name in PEERS:
        for network in (SMALL, RAGGED):
            often = name in QUICK_TO_START and network is SMALL
            yield pytest.param(name, network, marks=() if often else pytest.mark.slow, id=f"{name} {network.name}")


@pytest.mark.skipif(not PEERS, reason="not a checkout")
@pytest.mark.parametrize(("name", "network"), list(runs()))
def test_an_adapter_is_valid(name, network, tmp_path):
    peer = PEERS[name]
    if peer.missing:
        pytest.skip(f"not installed: {', '.join(peer.missing)}")
    kinds = [kind for kind in ("train", "pair", "row") if kind in peer.kinds]
    (measured,) = session.together([(peer, network)], kinds, tmp_path, QUICK, Where(), silent)
    assert measured.failure is None
    assert measured.verdict.loss < 1e-5
    assert measured.verdict.weights < 1e-4
    assert [len(measured.seconds(kind)) for kind in kinds] == [QUICK.rounds] * len(kinds)


@pytest.mark.skipif("scikit-learn" not in PEERS, reason="not a checkout")
def test_the_form_of_adam_matters(tmp_path):
    """Epsilon added before the root's bias is corrected is another training: the check sees the difference."""
    peer = replace(PEERS["scikit-learn"], adam="epsilon", sweep=True)
    if peer.missing:
        pytest.skip("scikit-learn is not installed")
    (measured,) = session.sweep([SMALL], [peer], tmp_path, QUICK, Where(), silent)
    assert measured.verdict.weights > 1e-5
