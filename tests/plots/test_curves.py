"""history_curves: which panels, which lines, which numbers."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from deepmath.errors import ConfigError
from deepmath.plots import history_curves, palette, save, theme

HISTORY = {
    "loss": [0.9, 0.5, 0.3],
    "val_loss": [1.0, 0.6, 0.5],
    "accuracy": [0.5, 0.7, 0.9],
    "val_accuracy": [0.5, 0.6, 0.8],
    "cost": [7.0, 7.0, 7.0],
}


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def test_panels_lines_and_labels():
    axes = history_curves(HISTORY)
    assert [ax.get_title() or ax.get_title("left") for ax in axes] == ["Loss", "Accuracy"]
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        assert lines(ax) == {
            "training": [[i + 1.0, v] for i, v in enumerate(HISTORY[name])],
            "validation": [[i + 1.0, v] for i, v in enumerate(HISTORY["val_" + name])],
        }
        assert ax.get_xlabel() == "epoch"
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    assert axes[0].figure is axes[1].figure


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (["loss"], ["Loss"]),
        (["accuracy"], ["Accuracy"]),
        (["val_accuracy", "cost"], ["Accuracy"]),
        (["loss", "val_accuracy"], ["Loss", "Accuracy"]),
    ],
)
def test_only_what_is_present_is_drawn(names, titles):
    axes = history_curves({name: HISTORY[name] for name in names} | {"val_loss": []})
    assert [ax.get_title() or ax.get_title("left") for ax in axes] == titles
    assert sum(len(ax.lines) for ax in axes) == len(set(names) - {"cost"})


def test_given_axes_are_drawn_into():
    fig = Figure()
    given = fig.subplots(1, 2)
    assert history_curves(HISTORY, given) == list(given)
    alone = Figure().subplots()
    assert history_curves({"loss": [1.0]}, alone) == [alone]
    assert lines(alone) == {"training": [[1.0, 1.0]]}


@pytest.mark.parametrize("epochs", [1, 2, 5, 37, 50, 1000])
def test_ticks_are_whole_epochs_within_the_training(epochs):
    (ax,) = history_curves({"loss": [1.0] * epochs})
    low, high = ax.get_xlim()
    ticks = [t for t in ax.get_xticks() if low <= t <= high]
    assert ticks
    assert all(t == round(t) and 1 <= t <= epochs for t in ticks)


def test_a_loss_begins_at_zero_unless_it_goes_below():
    assert history_curves({"loss": [5.0, 4.0]})[0].get_ylim()[0] == 0.0
    assert history_curves({"loss": [5.0, -4.0]})[0].get_ylim()[0] < -4.0


@pytest.mark.parametrize("values", [[0.5], [0.991, 0.992], [1.0, 1.0], [0.0], [0.2, 0.95]])
def test_an_accuracy_shows_all_values_on_a_tenth_or_more(values):
    low, high = history_curves({"accuracy": values})[0].get_ylim()
    assert low < min(values) <= max(values) < high
    assert high - low > 0.1


def test_colours_follow_the_paper():
    for dark in (False, True):
        with theme(dark):
            (ax,) = history_curves({"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]})
        assert [line.get_color() for line in ax.lines] == list(palette(dark)[:2])


def test_values_that_are_not_finite_leave_a_gap(tmp_path):
    history = {"loss": [1.0, np.nan, np.inf, 0.5], "accuracy": [np.nan, np.nan]}
    axes = history_curves(history)
    save(axes[0].figure, tmp_path / "gap.png")
    assert 1.0 < axes[0].get_ylim()[1] < 1.2


def test_nothing_to_draw_is_an_error():
    for history, came in (({}, "nothing"), ({"cost": [1.0], "lr": [0.1]}, "cost, lr"), ({"loss": []}, "loss")):
        with pytest.raises(ConfigError) as caught:
            history_curves(history)
        assert str(caught.value) == (
            f"history_curves: history must hold numbers for one of loss, val_loss, accuracy, val_accuracy; got {came}"
        )


def test_the_number_of_axes_must_fit():
    with pytest.raises(ConfigError) as caught:
        history_curves(HISTORY, [Figure().subplots()])
    assert str(caught.value) == "history_curves: axes must be 2 (Loss, Accuracy), got 1"
