"""The suites of the benchmark: whole small runs, wrong candidates, and the processes that keep cores busy."""

import json
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarking import BINARY, QUICK, REFERENCE, SMALL, judged, silent, written
from click.testing import CliRunner

import deepmath
from deepmath import benchmark
from deepmath.benchmark import busy, candidates, own, process, report, session, suites
from deepmath.benchmark.networks import Network
from deepmath.benchmark.session import Where
from deepmath.benchmark.suites import FIRST_COLUMN, Plan, Session, Table
from deepmath.cli.bench import bench
from deepmath.errors import ConfigError

ROOT = candidates.PACKAGE.parent
MACHINE = {"processor": "P", "vectors": "V", "cores": 2}
PLAN = Plan(
    started=(SMALL,), starts=1, busy=BINARY, beside=(0, 1), single=replace(BINARY, batch=4), pairs=(SMALL,),
    searched=(SMALL, Network((5, 9, 3), 16, 3, 4)), parts=(SMALL,), tried=("PReLU",),
)  # fmt: skip
NAMES = (
    "bench: --suites must be names of networks, start, busy, rows, pairs, search, parts, with commas between, or all"
)
KINDS = ("train", "infer", "row", "pair")


def measured(suite, folder, candidate=REFERENCE):
    """The tables of one suite."""
    able = replace(candidate, kinds=KINDS, suites=candidates.SUITES)
    return suites.run(suite, PLAN, Session([able], folder, QUICK, Where(), silent))


SEARCHED = ["total ms", "steps ms", "ms a width beyond its steps"]
COLUMNS = {
    "start": ["5-8-3, batch 16"],
    "busy": ["none busy", "one busy"],
    "rows": ["plain", "standardised"],
    "pairs": ["5-8-3, batch 16"],
    "search": [*SEARCHED, *(f"{head}, again" for head in SEARCHED)],
    "parts": ["without", "PReLU"],
}


@pytest.mark.parametrize("suite", candidates.SUITES)
def test_every_cell_holds_every_round(suite, tmp_path):
    rounds = PLAN.starts if suite in ("start", "search") else QUICK.rounds
    tables = json.loads(json.dumps(measured(suite, tmp_path), allow_nan=False))
    assert len(tables) == (2 if suite in ("start", "busy") else 1)
    for table in tables:
        assert (table["columns"], table["failures"]) == (COLUMNS[suite], {})
        (row,) = table["rows"]
        assert row["candidate"] == REFERENCE.name
        assert [len(cell["rounds"]) for cell in row["cells"]] == [rounds] * len(table["columns"])
        assert row["cells"][0]["ratio"] == 1.0
    if suite == "search":
        total, steps, each = (cell["median"] for cell in row["cells"][:3])
        assert each == pytest.approx((total - steps) / len(PLAN.searched))


def test_a_run_with_suites():
    settings = benchmark.Settings(
        ("reference",), networks=(), batches=(), widths=(), effort=QUICK, squares=(32,), suites=("pairs",), plan=PLAN,
    )  # fmt: skip
    result = benchmark.run(settings, machine=MACHINE, command="deepmath bench", tell=silent)
    assert (result["rows"], list(result["suites"])) == ([], ["pairs"])
    page = benchmark.markdown(result)
    title = "train_on_batch and predict of one batch in turns: us for both (times the first candidate's)"
    assert f"## {title}\n\n| candidate | 5-8-3, batch 16 |" in page
    assert "| deepmath reference again |" in page
    assert title in benchmark.text(result)


def test_what_is_not_there_is_said(tmp_path):
    """The callable for rows is measured where this deepmath has it, and else the report says that it hasn't."""
    call = next(c for c in candidates.relatives(REFERENCE) if "rows" in c.suites)
    (found,) = session.together([(call, BINARY)], ("row",), tmp_path, QUICK, Where(), silent)
    there = getattr(deepmath.Sequential, "predictor", None) is not None
    assert found.failure == (None if there else "RuntimeError: this deepmath has no Sequential.predictor (in 'check')")
    assert len(found.seconds("row")) == (QUICK.rounds if there else 0)


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="not a checkout")
def test_another_checkout_takes_part(tmp_path):
    before = candidates.relatives(REFERENCE, ROOT)[0]
    assert (before.name, before.family) == ("deepmath before", "before")
    (found,) = session.together([(before, BINARY)], ("row",), tmp_path, QUICK, Where(), silent)
    assert found.failure is None
    points = tmp_path / "caches" / "deepmath-before" / "deepmath-0.dist-info" / "entry_points.txt"
    assert "numpy = deepmath_numpy:backend" in points.read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--suites", "rows,speed"), f"{NAMES}; got 'rows,speed'"),
        (("--suites", ""), f"{NAMES}; got ''"),
        (("--suites", "rows", "--before", "x"), "bench: --before must be a checkout of deepmath; x holds no "
         "deepmath/__init__.py"),
    ],
    ids=["unknown", "none", "no checkout"],
)  # fmt: skip
def test_the_command_refuses(arguments, line):
    found = CliRunner().invoke(bench, arguments)
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception) == line


def test_the_command_measures_the_suites_that_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(benchmark, "run", lambda settings, **_: asked.append(settings) or 1 / 0)
    for arguments in (("--suites", "all"), ("--suites", "busy,start", "--networks", "4-8-3:16"), ()):
        assert isinstance(CliRunner().invoke(bench, arguments).exception, ZeroDivisionError)
    everything, some, usual = asked
    assert (len(everything.networks), everything.batches, everything.suites) == (5, (), candidates.SUITES)
    assert (some.networks, some.suites) == ((), ("start", "busy"))
    assert [n.name for n in some.plan.started] == ["4-8-3"]
    assert (len(usual.networks), len(usual.batches), usual.suites) == (5, 7, ())


def test_ratios_are_taken_round_by_round():
    series = {("a", "x"): [1.0, 2.0, 4.0], ("a", "y"): [2.0, 2.0, 4.0], ("b", "x"): [3.0, 4.0, 4.0]}
    (a, b) = Table("t", "u", ["x", "y"], series, {"c": "why"}).data()["rows"][:2]
    assert [cell["ratio"] for cell in a["cells"]] == [1.0, 1.0]
    assert (b["cells"][0]["ratio"], b["cells"][1]) == (2.0, None)
    first = Table("t", "u", ["x", "y"], series, {}, FIRST_COLUMN).data()["rows"][0]
    assert [cell["ratio"] for cell in first["cells"]] == [1.0, 1.0]
    sheet = report.sheets({"rows": [], "ratios": [], "controls": [], "sweeps": {}, "suites": {
        "s": [Table("t", "u", ["x", "y"], series, {"c": "why"}).data()]}})[0]  # fmt: skip
    assert sheet.cells == [["a", "2 (1 x)", "2 (1 x)"], ["b", "4 (2 x)", "-"], ["c", "-", "-"]]


@pytest.mark.parametrize(
    ("suite", "body", "said"),
    [
        ("start", "def train(self, n, s): return [2 * l for l in super().train(n, s)]", "the first step's loss is"),
        ("search", "def load(self, w): super().load([1.5 * v for v in w])", "its losses are off by"),
        ("search", "def train(self, n, s): return super().train(1, s)", "its losses are off by"),
        ("pairs", "def pairs(self, n): return [l / 2 for l in super().pairs(n)[0]], super().pairs(1)[1]", "its "),
        ("pairs", "def pairs(self, n): p = self.predict(self.X); return super().pairs(n)[0], p", "its predictions are"),
        ("rows", "def predict(self, X): return super().predict(X) + 0.01", "its predictions are off by"),
    ],
    ids=["start", "search, weights", "search, epochs", "pairs, losses", "pairs, old predictions", "rows"],
)  # fmt: skip
def test_a_wrong_candidate_is_not_timed(suite, body, said, tmp_path):
    table = measured(suite, tmp_path, written(tmp_path, body))[0]
    assert f"is not valid: {said}" in table["failures"]["planted"]
    assert all(cell is None for row in table["rows"] for cell in row["cells"])


def test_one_thread_that_uses_more_is_refused(tmp_path):
    alone = next(c for c in candidates.relatives(REFERENCE) if c.cores == 1)
    (found,) = session.together([(alone, BINARY)], ("train",), tmp_path, QUICK, Where(), silent)
    assert found.failure is None
    told = replace(alone, cores=0)
    (found,) = session.together([(told, BINARY)], ("train",), tmp_path, QUICK, Where(), silent)
    assert found.failure.startswith("is not valid: told to use 0 of the cores, it used ")


@pytest.mark.parametrize("part", own.PARTS)
def test_networks_with_parts_are_valid(part, tmp_path):
    found = judged(REFERENCE, replace(SMALL, part=part), tmp_path)
    assert found.valid, found.reason


def test_a_network_is_built_with_its_part():
    plain, prelu = own.layers((4, 8, 3)), own.layers((4, 8, 3), "PReLU")
    assert [type(layer).__name__ for layer in prelu] == ["Dense", "PReLU", "Dense"]
    assert (plain[0].activation, prelu[0].activation) != (prelu[0].activation, plain[0].activation)
    assert replace(SMALL, part="own loss").data()[1].shape == (SMALL.rows, 3)
    assert replace(SMALL, part="PReLU").name == "5-8-3 with PReLU"
    assert abs(replace(SMALL, scaled=True).data()[0].mean() - 5.0) < 1.0


def test_exports_predict_what_the_network_does(tmp_path):
    single = replace(SMALL, scaled=True)
    seats = [(c, n) for n in (SMALL, single) for c in candidates.exports()]
    for found in session.together(seats, ("row",), tmp_path, QUICK, Where(), silent):
        assert found.failure is None
        assert found.verdict.prediction < 1e-5
        assert len(found.seconds("row")) == QUICK.rounds


def test_spinning_processes_begin_and_end_with_the_block():
    with busy.spinning(2) as started:
        assert [p.poll() for p in started] == [None, None]
    assert all(p.poll() is not None for p in started)
    with busy.spinning(0) as started:
        assert started == []


def test_a_spinning_process_ends_where_its_parent_is_gone():
    start = f"""
        import os, subprocess, sys
        p = subprocess.Popen([sys.executable, "-c", {busy.SPIN!r}], stdout=subprocess.PIPE)
        p.stdout.readline()
        print(p.pid, flush=True)
        os._exit(0)
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(start)], capture_output=True, text=True, check=True)
    place = Path(f"/proc/{found.stdout.strip()}/stat")
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    for _ in range(100):
        if not place.exists() or place.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("it still spins")


def test_another_checkouts_process_imports_it(tmp_path):
    found = process.environment(tmp_path, {}, {"PYTHONPATH": "q"}, tmp_path)
    assert found["PYTHONPATH"].split(":") == [str(tmp_path), "q"]
    (tmp_path / "deepmath").mkdir()
    with pytest.raises(ConfigError) as caught:
        candidates.relatives(REFERENCE, tmp_path)
    assert str(caught.value) == (
        f"bench: --before must be a checkout of deepmath; {tmp_path} holds no deepmath/__init__.py"
    )
    wrong = replace(REFERENCE, options={**REFERENCE.options, "source": str(tmp_path)})
    (measured,) = session.together([(wrong, BINARY)], ("train",), tmp_path, QUICK, Where(), silent)
    assert measured.failure.startswith(f"RuntimeError: it should be deepmath of {tmp_path}, and ")
