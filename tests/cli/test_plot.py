"""`deepmath plot`."""

import pytest

from deepmath import gallery

pytest.importorskip("matplotlib")


def test_a_picture_lies_where_it_is_said(deepmath, tmp_path):
    result = deepmath("plot", "activations")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "deepmath: drawing activations with their derivatives",
        "deepmath: wrote activations.png",
    ]
    light = (tmp_path / "activations.png").read_bytes()
    assert light.startswith(b"\x89PNG")
    deepmath("plot", "activations", "--theme", "dark", "--out", "dark.png")
    assert (tmp_path / "dark.png").read_bytes() != light


def test_all_pictures_are_listed(good):
    lines = good("plot", "--list").splitlines()
    assert [line.split()[0] for line in lines] == gallery.names() == sorted(gallery.names())


def test_what_is_wrong_is_told_in_a_line(failing):
    assert failing("plot") == (2, "plot: NAME is missing; 'deepmath plot --list' names the pictures")
    code, line = failing("plot", "rate")
    assert code == 2
    assert "'rate'" in line
    assert "rates" in line
    assert (
        failing("plot", "circles", "--out", "a.gif")[1] == "plot: the file of 'circles' must end in .png; got 'a.gif'"
    )
