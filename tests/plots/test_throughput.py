"""throughput: which panels, which lines, which numbers."""

import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from deepmath.errors import ConfigError
from deepmath.plots import save, theme
from deepmath.plots.throughput import throughput


def row(name, size, rate, axis="batch"):
    batch, widths = (size, [8, 4, 2]) if axis == "batch" else (32, [size, size, 10])
    steps = None if rate is None else rate / batch
    return {
        "candidate": name, "network": "8-4-2", "batch": batch, "widths": widths, "samples_per_s": rate,
        "steps_per_s": steps, "steps_per_s_low": steps and 0.5 * steps, "steps_per_s_high": steps and 2 * steps,
    }  # fmt: skip


RESULT = {
    "sweeps": {
        "batch": [row("ours", 4, 400.0), row("ours", 1, 100.0), row("products alone", 1, 900.0), row("bad", 1, None)],
        "width": [row("ours", 16, 10.0, "width"), row("ours", 32, 5.0, "width")],
    }
}


def test_panels_and_lines():
    batch, width = throughput(RESULT)
    assert [ax.get_title("left") or ax.get_title() for ax in (batch, width)] == ["8-4-2", "n-n-10, batch 32"]
    assert [ax.get_xlabel() for ax in (batch, width)] == ["batch size", "width n"]
    assert [text.get_text() for text in width.get_legend().get_texts()] == ["ours", "products alone"]
    ours = batch.containers[0]
    assert ours.lines[0].get_xydata().tolist() == [[1.0, 100.0], [4.0, 400.0]]
    assert [[s[0][1], s[1][1]] for s in ours.lines[2][0].get_segments()] == [[50.0, 200.0], [200.0, 800.0]]
    assert batch.get_xscale() == batch.get_yscale() == "log"


def test_given_axes_and_a_picture(tmp_path):
    with theme(dark=True):
        axes = Figure().subplots(1, 2)
        assert throughput(RESULT, axes) == list(axes)
        assert save(axes[0].figure, tmp_path / "t.png").stat().st_size > 1000


@pytest.mark.parametrize("result", [{}, {"sweeps": {"batch": [], "width": []}}])
def test_nothing_to_draw(result):
    with pytest.raises(ConfigError) as caught:
        throughput(result)
    assert str(caught.value) == ("throughput: result must hold sweeps, got none; measure with deepmath bench --sweeps")


def test_the_number_of_axes_must_fit():
    with pytest.raises(ConfigError) as caught:
        throughput(RESULT, [Figure().subplots()])
    assert str(caught.value) == "throughput: axes must be 2 (batch, width), got 1"
