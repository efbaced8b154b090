"""The script that measures accuracy, in its shortest form."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

SCRIPT = Path(__file__).parents[2] / "bench" / "accuracy.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="not a checkout")
def test_the_table_has_a_row_for_each_data_set():
    command = [sys.executable, str(SCRIPT), "--seeds", "2", "--no-keras", "--only", "wine"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, _, row = done.stdout.splitlines()[-3:]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "data",
        "deepmath",
        "fit",
        "scikit-learn",
        "fit",
        "ahead by",
    ]
    name, ours, _, theirs, _, ahead = (cell.strip() for cell in row.split("|")[1:-1])
    assert name == "wine"
    assert ours == theirs  # all rows make one batch: the numbers are the same
    assert ahead == "+0.0000 ± 0.0000"
    assert float(ours.split()[0]) > 0.9
