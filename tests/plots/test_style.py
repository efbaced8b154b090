"""Palette, theme and saving."""

import itertools
import subprocess
import sys

import pytest

from deepmath.errors import ConfigError, MissingExtra
from deepmath.plots import decision_regions, history_curves, palette, save, style, theme

matplotlib = pytest.importorskip("matplotlib")


def linear(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def contrast(one, other):
    """The contrast ratio of WCAG 2."""
    a, b = (sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x), strict=True)) + 0.05 for x in (one, other))
    return max(a, b) / min(a, b)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_differ_and_the_first_ones_stand_out(dark):
    colours = palette(dark)
    assert len(set(colours)) == 8
    with theme(dark):
        paper, ink = matplotlib.rcParams["axes.facecolor"], matplotlib.rcParams["text.color"]
    assert contrast(paper, ink) > 12.0
    for colour in colours[:3]:
        assert contrast(paper, colour) > 3.0  # what WCAG asks of graphics


@pytest.mark.parametrize("dark", [False, True])
def test_the_first_colours_differ_for_the_colour_blind(dark):
    # Rows of Viénot, Brettel and Mollon's (1999) protanopia and deuteranopia in linear RGB.
    for red, green in (((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0)), ((0.29275, 0.70725, 0.0),) * 2):
        seen = []
        for colour in palette(dark)[:3]:
            r, g, b = linear(colour)
            seen.append((red[0] * r + red[1] * g, green[0] * r + green[1] * g, b))
        for one, other in itertools.combinations(seen, 2):
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.1


def test_a_theme_ends_with_its_block():
    before = dict(matplotlib.rcParams)
    with theme(dark=True):
        assert matplotlib.rcParams["figure.facecolor"] == "#14181F"
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("dark", [False, True])
def test_save_writes_a_png_of_150_dpi_in_the_colours_of_the_theme(tmp_path, dark):
    image = pytest.importorskip("PIL.Image")
    with theme(dark):
        axes = history_curves({"loss": [1.0, 0.5]})
    path = save(axes[0].figure, tmp_path / "loss.png")
    picture = image.open(path)
    assert picture.format == "PNG"
    assert [round(d) for d in picture.info["dpi"]] == [150, 150]
    assert picture.size == (690, 510)
    assert picture.convert("RGB").getpixel((0, 0)) == ((20, 24, 31) if dark else (255, 255, 255))


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    paths = [save(history_curves({"loss": [1.0, 0.5]})[0].figure, tmp_path / f"{i}.png") for i in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_ticks_keep_the_colour_of_a_theme_that_has_ended(tmp_path):
    with theme(dark=True):
        ax = history_curves({"loss": [1.0, 0.5]})[0]
    save(ax.figure, tmp_path / "loss.png")
    assert {label.get_color() for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]} == {"#E6E8EB"}


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.pdf"])
def test_save_writes_png_only(tmp_path, name):
    fig = history_curves({"loss": [1.0]})[0].figure
    with pytest.raises(ConfigError) as caught:
        save(fig, tmp_path / name)
    assert str(caught.value) == f"save: path must end in .png, got '{tmp_path / name}'"
    assert list(tmp_path.iterdir()) == []


def test_save_closes_a_figure_of_pyplot(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    fig, ax = pyplot.subplots()
    history_curves({"loss": [1.0]}, ax)
    assert pyplot.fignum_exists(fig.number)
    save(fig, tmp_path / "loss.png")
    assert not pyplot.fignum_exists(fig.number)


def test_matplotlib_is_imported_when_drawing_and_pyplot_never(tmp_path):
    code = f"""
import sys
from deepmath.plots import decision_regions, history_curves, save
assert "matplotlib" not in sys.modules
ax = decision_regions(lambda x: x[:, :1], [[0.0, 0.0], [1.0, 1.0]], [0, 1])
save(ax.figure, {str(tmp_path / "a.png")!r})
save(history_curves({{"loss": [1.0]}})[0].figure, {str(tmp_path / "b.png")!r})
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "b.png"}


@pytest.mark.parametrize(
    "draw",
    [
        theme,
        lambda: history_curves({"loss": [1.0]}),
        lambda: decision_regions(lambda x: x[:, :1], [[0.0, 0.0], [1.0, 1.0]], [0, 1]),
    ],
)
def test_without_matplotlib_the_extra_is_named(monkeypatch, draw):
    def missing(module, extra, purpose):
        msg = f"{purpose} need the package '{module}': pip install 'deepmath[{extra}]'"
        raise MissingExtra(msg)

    monkeypatch.setattr(style, "require", missing)
    with pytest.raises(MissingExtra) as caught:
        draw()
    assert str(caught.value) == "pictures need the package 'matplotlib': pip install 'deepmath[plot]'"
