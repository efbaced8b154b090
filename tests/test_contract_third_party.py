"""A third party's backend, built and installed by pip, is found by its entry point and passes our contract."""

import shutil
from pathlib import Path

import pytest
from installing import installed, our_wheel, run_with, wheel_of

PACKAGE = Path(__file__).parent / "third_party"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("third_party")
    ours, theirs = our_wheel(folder / "ours"), wheel_of(PACKAGE, folder / "theirs")
    return installed(folder / "target", ours, theirs)


def test_an_installed_backend_is_listed_and_trains(target, tmp_path):
    code = (
        "import numpy as np, deepmath as dm\n"
        "assert dm.backends()['plain'] == 'usable', dm.backends()\n"
        "model = dm.Sequential([dm.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((4, 2)), np.ones(4), backend='plain', verbose=0)\n"
        "print(model.plan(backend='plain'))\n"
    )
    done = run_with(target, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "formulas on NumPy" in done.stdout


def test_an_installed_backend_passes_the_contract(target, tmp_path):
    shutil.copy(PACKAGE / "contract.py", tmp_path / "test_contract.py")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=importlib", "-c", "/dev/null"]
    # The long runs are the contract's own business; here it is that the suite runs for others.
    chosen = "not 200_steps or truth"
    done = run_with(target, "-m", "pytest", *options, "--rootdir", tmp_path, "-k", chosen, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    passed = int(done.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= 60


def test_a_wrong_backend_fails_the_contract(target, tmp_path):
    wrong = (
        "from deepmath.testing.contract import BackendContract\n"
        "from deepmath_plain import PlainBackend, PlainProgram\n"
        "class Program(PlainProgram):\n"
        "    def gradients(self, batch, previous=None):\n"
        "        found = super().gradients(batch, previous)\n"
        "        name = next(iter(found.values))\n"
        "        found.values[name] = found.values[name] * (1.0 + 1e-4)\n"
        "        return found\n"
        "class Wrong(PlainBackend):\n"
        "    def compile(self, recipe, values, data=None):\n"
        "        import numpy as np\n"
        "        return Program(recipe, values, np, None, data)\n"
        "class TestWrong(BackendContract):\n"
        "    backend = Wrong()\n"
    )
    (tmp_path / "test_wrong.py").write_text(wrong)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=importlib", "-c", "/dev/null"]
    chosen = "truth and (200_steps or float32_gradients)"
    done = run_with(target, "-m", "pytest", *options, "--rootdir", tmp_path, "-k", chosen, tmp_path, cwd=tmp_path)
    assert done.returncode == 1
    assert "2 failed" in done.stdout, done.stdout[-2000:]
