"""`deepmath train --diagnose`: the verdict on the screen and in the folder."""

from pathlib import Path


def test_a_good_training_is_left_alone(good):
    out = good("train", "moons", "--epochs", 15, "--diagnose", "--out", "run", "--validation-split", 0.2)
    verdict = Path("run/diagnosis.txt").read_text()
    assert verdict.startswith("nothing found that is wrong with this training\n")
    assert verdict.strip() in out
    assert out.rstrip().endswith(", diagnosis.txt")


def test_a_rate_that_is_too_small_is_named(good):
    assert good("train", "moons", "--learning-rate", 1e-6, "--epochs", 5, "--diagnose", "--out", "run", "--quiet") == ""
    verdict = Path("run/diagnosis.txt").read_text()
    assert "critical: rate too small (optimizer)" in verdict


def test_a_training_that_breaks_is_diagnosed_before_it_ends(deepmath, prices):
    given = ("--optimizer", "sgd", "--learning-rate", 1e6, "--scale", "none", "--epochs", 3)
    result = deepmath("train", prices, *given, "--diagnose", "--out", "run")
    assert result.exit_code == 76
    assert "unscaled inputs" in result.stdout
    assert "unscaled inputs" in Path("run/diagnosis.txt").read_text()


def test_nothing_is_diagnosed_unasked(good):
    good("train", "xor", "--epochs", 1, "--out", "run")
    assert not Path("run/diagnosis.txt").exists()
