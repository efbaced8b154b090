"""What the tests of the command share: a run in an empty folder, and small CSV files."""

import math

import pytest
from cli.analysts import customers
from click.testing import CliRunner

from deepmath.cli.app import commands


@pytest.fixture
def deepmath(tmp_path, monkeypatch):
    """deepmath("train", "circles") runs the command in an empty folder; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        result = CliRunner().invoke(commands, [str(a) for a in args])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def good(deepmath):
    """Like `deepmath`, for commands that succeed; gives what they wrote to stdout."""

    def run(*args):
        result = deepmath(*args)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture
def failing(deepmath):
    """Like `deepmath`, for commands that fail; gives the exit code and the one line on stderr."""

    def run(*args):
        result = deepmath(*args)
        assert result.stderr.count("\n") == 1, result.stderr
        assert result.stderr.startswith("deepmath: error: ")
        return result.exit_code, result.stderr.removeprefix("deepmath: error: ").rstrip("\n")

    return run


def angles(count):
    return [i * 2.399963 for i in range(count)]


@pytest.fixture
def flowers(tmp_path):
    """flowers.csv: three labelled clusters, on scales that differ by a thousand."""
    centres = {"rose": (0.0, 0.0), "lily": (4.0, 4000.0), "iris": (-4.0, 4000.0)}
    lines = ["width,height,kind"]
    for i, angle in enumerate(angles(120)):
        kind = list(centres)[i % 3]
        x, y = centres[kind]
        lines.append(f"{x + math.cos(angle)},{y + 800 * math.sin(3 * angle)},{kind}")
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def prices(tmp_path):
    """prices.csv: a price that is linear in two features, in the hundreds of thousands."""
    lines = ["size,price,age"]
    for i, angle in enumerate(angles(200)):
        size, age = 100 + 50 * math.cos(angle), 20 + 10 * math.sin(i)
        lines.append(f"{size},{3000 * size - 2000 * age + 0.5},{age}")
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def people(tmp_path):
    customers().to_csv(tmp_path / "people.csv", index=False, sep=";")
    return "people.csv"


@pytest.fixture
def run(people, good):
    good("train", people, "--epochs", 3, "--backend", "reference", "--out", "run", "--quiet")
    return "run"
