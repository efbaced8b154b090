"""Statistics, rows and reports of the benchmark, and one whole run of it."""

import dataclasses
import json

import pytest
from benchmarking import BINARY, QUICK, SMALL, silent

from deepmath import benchmark
from deepmath.benchmark import candidates, process, report, rows, statistics
from deepmath.benchmark.candidates import Candidate
from deepmath.benchmark.networks import BATCHES, NETWORKS, WIDTHS, Network, parse
from deepmath.benchmark.session import Measured, Where
from deepmath.errors import ConfigError, MissingExtra

ROW = {
    "candidate", "family", "network", "widths", "batch", "rows", "steps_per_epoch", "device", "precision", "failure",
    "settings", "about", "loss_error", "weights_error", "prediction_error", "steps_per_s", "steps_per_s_low",
    "steps_per_s_high", "samples_per_s", "us_per_step", "us_per_epoch", "gflops", "share_of_peak",
    "share_of_products", "loss_at_the_end", "seconds_per_epoch", "inference_samples_per_s", "row_median_us",
    "row_p95_us", "first_step_s", "first_step_cached_s", "peak_memory_mb",
}  # fmt: skip
MACHINE = {"processor": "P", "vectors": "V", "cores": 2}


@pytest.fixture(scope="module")
def result():
    """A whole run on two small networks, with sweeps of two sizes."""
    settings = benchmark.Settings(
        ("reference",), networks=(SMALL,), batches=(BINARY, dataclasses.replace(BINARY, batch=16)),
        widths=(SMALL, Network((16, 16, 3), 16, 3, 4)), effort=QUICK, sweep_effort=QUICK, squares=(32, 64),
    )  # fmt: skip
    return benchmark.run(settings, machine=MACHINE, command="deepmath bench", tell=silent)


def test_the_result_is_json_with_these_keys(result):
    again = json.loads(json.dumps(result, allow_nan=False))
    assert set(again) == {
        "format", "machine", "versions", "commit", "command", "date", "effort", "tolerance", "not_installed",
        "peak_gflops", "rows", "ratios", "controls", "sweeps", "suites", "before",
    }  # fmt: skip
    assert {"python", "deepmath", "numpy"} <= set(again["versions"])
    assert [set(row) for row in again["rows"]] == [ROW] * 3
    assert [len(again["sweeps"][axis]) for axis in ("batch", "width")] == [4, 4]
    assert all(set(row) == ROW for axis in again["sweeps"].values() for row in axis)


def test_everything_was_measured(result):
    ours, again, alone = result["rows"]
    assert [row["failure"] for row in result["rows"]] == [None] * 3
    names = ROW - {"failure"}
    assert all(ours[name] is not None for name in names)
    assert {name for name in names if again[name] is None} == {"first_step_cached_s"}
    assert {name for name in names if alone[name] is None} == {
        "loss_error", "weights_error", "prediction_error", "loss_at_the_end", "inference_samples_per_s",
        "row_median_us", "row_p95_us", "first_step_s", "first_step_cached_s",
    }  # fmt: skip
    assert alone["share_of_products"] == 1.0
    assert 0.0 < ours["share_of_products"] < 1.0  # it runs those products and more
    assert ours["about"]["plan"]
    assert len(ours["seconds_per_epoch"]) == QUICK.rounds
    assert ours["samples_per_s"] == pytest.approx(ours["steps_per_s"] * SMALL.rows / SMALL.updates)
    assert ours["steps_per_s_low"] <= ours["steps_per_s"] <= ours["steps_per_s_high"]
    assert ours["row_median_us"] <= ours["row_p95_us"]
    assert [c["work"] for c in result["controls"]] == ["training", "inference", "single rows"]


def test_tables(result):
    text, page = benchmark.text(result), benchmark.markdown(result)
    for title in ("5-8-3, batch 16", "control: one candidate against itself", "samples/s over batch sizes, 3-6-1"):
        assert title in text
        assert f"## {title}" in page
    for line in page.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 200
    assert "deepmath reference" in text


def test_what_failed_or_is_missing_is_said(result):
    rows_ = [dict(row, failure="is not valid: wrong") for row in result["rows"][:1]]
    changed = dict(result, rows=rows_, not_installed={"jax-scan": ["jax"]})
    for shown in (benchmark.text(changed), benchmark.markdown(changed)):
        assert "deepmath reference on 5-8-3, batch 16: is not valid: wrong" in shown
        assert "jax-scan: not installed: jax" in shown


def measured(name, family, *seconds):
    turns = {"train": [{"seconds": s, "result": 1.0} for s in seconds]}
    return Measured(Candidate(name, family, None), BINARY, turns=turns)


def test_ratios_are_against_the_best_of_each_family():
    everybody = [
        measured("deepmath numpy", "deepmath", 1.0, 2.0, 1.0),
        measured("deepmath numpy again", "control", 1.0, 3.0, 1.0),
        measured("slow", "A", 9.0, 9.0, 9.0),
        measured("fast", "A", 2.0, 8.0, 3.0),
        measured("other", "B", 0.5, 1.0, 0.5),
    ]
    found = [(r["family"], r["against"], r["ratio"], r["low"], r["high"]) for r in rows.ratios(everybody)]
    assert found == [("A", "fast", 3.0, 2.0, 4.0), ("B", "other", 0.5, 0.5, 0.5)]
    assert [(c["ratio"], c["high"]) for c in rows.controls(everybody)] == [(1.0, 1.5)]


def test_shares_are_of_products_in_the_same_round():
    alone = measured(candidates.PRODUCTS, "products", 1.0, 2.0)
    alone.turns["infer"], alone.about = [{"seconds": 0.5}, {"seconds": 0.5}], {"square_flops": 2e9}
    ours, _ = rows.rows([measured("deepmath numpy", "deepmath", 2.0, 4.0), alone], Where())
    assert ours["share_of_products"] == 0.5
    assert ours["gflops"] == pytest.approx(BINARY.flops * BINARY.steps / 3.0 / 1e9)
    assert ours["share_of_peak"] == pytest.approx(ours["gflops"] / 4.0)


def test_statistics():
    assert statistics.spread([4.0, 1.0, 2.0, 3.0]) == (2.5, 1.0, 4.0)
    assert [sorted(order) for order in statistics.turns(3, 5)] == [[0, 1, 2]] * 5
    assert statistics.turns(0, 5) == []


def test_sizes():
    assert [n.batch for n in BATCHES][:: len(BATCHES) - 1] == [1, 4096]
    assert [n.widths[0] for n in WIDTHS][:: len(WIDTHS) - 1] == [16, 2048]
    circles = NETWORKS["circles"]
    assert (circles.rows, circles.updates) == (900, 29)
    assert parse("784-256-128-10").flops == sum(
        2 * 128 * a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate([(784, 256), (256, 128), (128, 10)])
    )


@pytest.mark.parametrize("text", ["", "8", "8-3", "8-3:", "8-0:2", "8-3:0", "a-3:2", "99999-3:2", "8-3:2:1"])
def test_what_is_no_network(text):
    with pytest.raises(ConfigError, match="bench: --networks must be names"):
        parse(text)


def test_the_environment_of_a_candidate_forces_nothing(tmp_path):
    given = {"OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "1", "PATH": "p", "PYTHONPATH": "q"}
    found = process.environment(tmp_path, {"KERAS_BACKEND": "jax"}, given)
    assert not [name for name in found if name.startswith(("OPENBLAS", "OMP"))]
    assert found["PATH"] == "p"
    assert found["PYTHONPATH"].endswith("q")
    assert found["KERAS_BACKEND"] == "jax"
    assert found["XDG_CACHE_HOME"].startswith(str(tmp_path))


def test_peers_need_a_checkout(tmp_path):
    with pytest.raises(MissingExtra) as caught:
        candidates.peers("cpu", tmp_path)
    assert str(caught.value) == (
        f"bench: --peers needs the adapters of a checkout, and {tmp_path} holds none; get the project's repository, "
        "run pip install -e '.[bench]' in it, and try again there"
    )
    assert caught.value.exit_code == 69


def test_the_adapters_of_peers():
    folder = candidates.PACKAGE.parent / "bench" / "peers"
    if not folder.exists():
        pytest.skip("not a checkout")
    found = candidates.peers("cpu", folder)
    assert {c.family for c in found} == {
        "JAX", "PyTorch", "Keras", "scikit-learn", "NumPy", "onnxruntime", "export, python", "export, c",
    }  # fmt: skip
    assert all(c.file.is_file() and (c.needs or c.export) for c in found)
    assert {suite for c in found for suite in c.suites} <= {"networks", *candidates.SUITES}
    assert "scikit-learn" not in {c.name for c in candidates.peers("cuda:1", folder)}


def test_a_peer_that_is_not_installed_is_known():
    assert Candidate("x", "X", None, needs=("numpy", "no-such-distribution")).missing == ["no-such-distribution"]


def test_numbers():
    assert report.number(99.96) == "100"
    assert report.number(0.0) == "0"
