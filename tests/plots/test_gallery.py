"""Every picture of the table is drawn, in both themes, and shows the numbers that it is about."""

import itertools

import pytest

pytest.importorskip("matplotlib")

import numpy as np
from PIL import Image as image

from deepmath import gallery
from deepmath.errors import ConfigError
from deepmath.plots import theme

LONG = {
    "all-activations",
    "approximation",
    "bias-variance",
    "risk",
    "initialization",
    "learning-curve",
    "training",
    "histograms",
    "loss-surface",
}
NAMES = [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in gallery.names()]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_drawn_in_the_colours_of_its_theme(tmp_path, name):
    picture = gallery.get(name)
    path = gallery.write(name, tmp_path / f"a.{'gif' if picture.moving else 'png'}", dark=True)
    with image.open(path) as found:
        assert getattr(found, "n_frames", 1) == (26 if picture.moving else 1)
        pixels = found.convert("RGB")
    assert all(abs(a - b) < 4 for a, b in zip(pixels.getpixel((1, 1)), (20, 24, 31), strict=True))
    assert len(pixels.getcolors(pixels.width * pixels.height)) > 20, "more than paper"
    assert picture.title
    assert picture.source


def texts(name):
    """What stands in a picture."""
    with theme():
        figure = next(gallery.get(name).figures())
    return [
        t.get_text() for ax in figure.axes for t in (*ax.texts, ax.title, *ax.get_xticklabels(), ax.yaxis.label)
    ] + [ax.get_title(loc="left") for ax in figure.axes]


def test_article_5s_step_shows_its_weights_and_values():
    assert {"0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4", "0.595", "0.599", "0.702", "0.715"} <= set(
        texts("step")
    )


def test_article_5s_error_comes_back_on_two_ways():
    found = " ".join(texts("chain"))
    # w1 goes from 0.05 to 0.049574763409 at rate 1
    assert "0.000425237" in found
    assert "-0.147692" in found
    assert "0.414634" in found
    assert "w1[2,1]" not in found, "only what lies between the weight and the error"


def test_article_3s_graph():
    found = texts("graph")
    assert {"-4", "3"} <= set(found)
    assert any("(x + y) z" in t and "-12" in t for t in found)


@pytest.mark.slow
def test_wider_layers_approximate_better():
    with theme():
        *_, over = gallery.get("approximation").draw().axes
    for line in over.get_lines():
        first, *_, last = line.get_ydata()
        assert first > 0.9 > 0.1 > last


@pytest.mark.slow
def test_bias_variance_and_noise_add_up_to_what_was_measured():
    with theme():
        (ax,) = gallery.get("bias-variance").draw().axes
    found = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.get_lines()}
    noise = found["noise"][0]
    np.testing.assert_allclose(found["bias²"] + found["variance"] + noise, found["measured error"], rtol=0.05)
    assert found["bias²"][0] > 10 * found["bias²"][-1]
    assert found["variance"][-1] > found["variance"][2]


@pytest.mark.slow
def test_more_rows_bring_the_two_risks_together():
    with theme():
        axes = gallery.get("risk").draw().axes
    for ax in axes:
        empirical, expected = (np.asarray(line.get_ydata()) for line in ax.get_lines())
        gaps = np.abs(expected - empirical)
        assert gaps[-1] < 0.1 * gaps[0]


def test_a_perceptron_learns_and_and_or_but_not_xor():
    found = [t for t in texts("xor") if "right" in t]
    assert [t.partition(":")[0] for t in found if "100 %" in t] == ["AND", "OR", "XOR, 4 hidden"]


def test_whitened_data_have_covariance_zero():
    with theme():
        figure = gallery.get("whitening").draw()
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert [("covariance 0.00" in label) for label in labels] == [False, False, False, True, True]
    assert all("variances 1.00 and 1.00" in labels[i] for i in (1, 3, 4))


def test_frames_follow_the_training():
    with theme():
        first, second = itertools.islice(gallery.get("training").figures(), 2)
    assert first.axes[0].get_title(loc="left").startswith("epoch  0: ")
    assert second.axes[0].get_title(loc="left").startswith("epoch  1: ")


def test_an_unknown_picture_is_named():
    with pytest.raises(ConfigError, match=r"unknown picture 'activation'.*activations"):
        gallery.get("activation")


def test_endings(tmp_path):
    with pytest.raises(ConfigError) as caught:
        gallery.write("circles", tmp_path / "a.gif")
    assert str(caught.value) == f"plot: the file of 'circles' must end in .png; got '{tmp_path / 'a.gif'}'"
    with pytest.raises(ConfigError, match=r"must end in \.gif or \.mp4; got"):
        gallery.write("training", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
