"""Animations: GIFs by themselves, MP4 by ffmpeg where it is."""

import stat

import pytest

pytest.importorskip("matplotlib")

from PIL import Image as image

from deepmath.errors import ConfigError, MissingExtra
from deepmath.plots import animation, save_animation
from deepmath.plots.style import new_axes


def figures(count, width=2.0):
    for i in range(count):
        ax = new_axes(width, 1.5)[0]
        ax.plot([0, i + 1])
        yield ax.figure


def test_a_gif_has_the_frames_and_holds_the_last(tmp_path):
    waits = []
    with image.open(save_animation(figures(4), tmp_path / "a.gif", per_second=10, hold=1.5)) as found:
        assert found.n_frames == 4
        assert found.info["loop"] == 0
        for i in range(4):
            found.seek(i)
            waits.append(found.info["duration"])
    assert waits == [100, 100, 100, 1500]


def program(tmp_path, body):
    path = tmp_path / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_video_gets_every_pixel(tmp_path, monkeypatch):
    command = program(tmp_path, f'echo "$@" > {tmp_path}/said; cat > {tmp_path}/pixels')
    monkeypatch.setattr(animation, "which", lambda name: command)
    save_animation(figures(3), tmp_path / "a.mp4", per_second=4, hold=0.5)
    assert "rawvideo -pix_fmt rgb24 -s 200x150 -r 4 -i -" in (tmp_path / "said").read_text()
    assert (tmp_path / "pixels").stat().st_size == (3 + 2) * 200 * 150 * 3


def test_a_video_that_fails_is_told(tmp_path, monkeypatch):
    command = program(tmp_path, "cat > /dev/null; echo no space >&2; exit 1")
    monkeypatch.setattr(animation, "which", lambda name: command)
    with pytest.raises(OSError, match=r"ffmpeg could not write .*a\.mp4: no space"):
        save_animation(figures(1), tmp_path / "a.mp4")


def test_without_ffmpeg_a_gif_is_advised(tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "which", lambda name: None)
    with pytest.raises(MissingExtra) as caught:
        save_animation(figures(1), tmp_path / "a.mp4")
    assert str(caught.value) == "save_animation: a.mp4 needs ffmpeg, which is not on the PATH; write a .gif instead"


def test_what_cannot_be_animated_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"path must end in \.gif or \.mp4, got '.*a\.png'"):
        save_animation(figures(1), tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"one or more of one size; got none"):
        save_animation([], tmp_path / "a.gif")
    with pytest.raises(ConfigError, match=r"got 200 x 150, 300 x 150"):
        save_animation([*figures(1), *figures(1, 3.0)], tmp_path / "a.gif")
