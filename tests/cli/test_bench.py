"""`deepmath bench`: what it prints and writes, and its errors."""

# ruff: noqa: E501 - the lines are those that the command prints

import json

import pytest

from deepmath.benchmark import candidates, result

NETWORKS = "circles, 2-4-6-6-4-1, 64-64-10, 784-256-128-10, 1024-1024-1024-1024-10"


def test_a_run_writes_json_and_tables(deepmath, monkeypatch):
    monkeypatch.setitem(result.SQUARES, "cpu", (64,))
    found = deepmath(
        "bench",
        "--networks",
        "4-8-3:16",
        "--backend",
        "reference",
        "--quick",
        "--json",
        "r.json",
        "--table",
        "new/r.md",
    )
    assert found.exit_code == 0, found.stderr
    with open("r.json", encoding="utf-8") as file:
        written = json.load(file)
    assert [row["candidate"] for row in written["rows"]] == [
        "deepmath reference", "deepmath reference again", "products alone",
    ]  # fmt: skip
    assert written["sweeps"] == {"batch": [], "width": []}
    assert written["command"].startswith("deepmath")
    assert {"processor", "vectors", "cores", "system"} <= set(written["machine"])
    with open("new/r.md", encoding="utf-8") as file:
        assert "## 4-8-3, batch 16" in file.read()
    assert "4-8-3, batch 16" in found.stdout
    assert "first step, check and warm-up" in found.stderr
    assert "first step" not in found.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--networks", "8"), 2, f"bench: --networks must be names ({NETWORKS}) or WIDTHS:BATCH such as 64-32-10:16; got '8'"),
        (("--device", "gpu"), 2, "bench: --device must be cpu, cuda or cuda:N; got 'gpu'"),
        (("--precision", "tf32"), 2, "bench: --precision must be float32, or tf32 on cuda; got 'tf32'"),
        (("--plot", "r.svg"), 2, "bench: --plot must end in .png; got 'r.svg'"),
        (("--networks", "circles", "--plot", "r.png"), 2, "bench: --plot draws the sweeps, which --networks leaves out; add --sweeps"),
        (("--backend", "numpy,numpy"), 2, "bench: --backend names one backend twice; got numpy,numpy"),
        (("--backend", "numpy", "--device", "cuda"), 2, "backend 'numpy' computes on the CPU; got device 'cuda'. Use backend='cupy', or device='cpu'"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)  # fmt: skip
def test_the_line_and_the_code(failing, arguments, code, line):
    assert failing("bench", *arguments) == (code, line)


def test_an_unknown_backend(failing):
    code, line = failing("bench", "--backend", "numpi")
    assert code == 2
    assert "'numpi'" in line


def test_peers_outside_a_checkout(failing, monkeypatch, tmp_path):
    monkeypatch.setattr(candidates, "PACKAGE", tmp_path / "site-packages" / "deepmath")
    code, line = failing("bench", "--peers")
    assert code == 69
    assert line == (
        f"bench: --peers needs the adapters of a checkout, and {tmp_path}/site-packages/bench/peers holds none; get the "
        "project's repository, run pip install -e '.[bench]' in it, and try again there"
    )


def test_a_folder_that_cannot_be_made_is_refused_at_once(failing, tmp_path):
    (tmp_path / "file").write_text("")
    assert failing("bench", "--json", "file/r.json") == (74, "file: File exists")
