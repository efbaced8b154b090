"""decision_regions: what is asked of the classifier, and what is drawn where."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from deepmath.errors import ConfigError, NumericError
from deepmath.plots import decision_regions, palette, save, theme

X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]])
Y = np.array([0, 1, 0, 1])


def right(x):
    """Class 1 right of x1 = 0.4."""
    return 1.0 / (1.0 + np.exp(-30.0 * (x[:, :1] - 0.4)))


def thirds(x):
    """Three classes by x1, with boundaries at 0.25 and 0.75."""
    z = np.stack([-40.0 * (x[:, 0] - c) ** 2 for c in (0.0, 0.5, 1.0)], axis=1)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def colour_at(ax, x1, x2):
    """The colour of the picture at a place of the plane."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    column, row = ax.transData.transform((x1, x2))
    return image[image.shape[0] - 1 - int(row), int(column), :3] / 255.0


def nearest(colour, colours, paper):
    """Which of the colours a tint was mixed from, by its direction away from the paper."""
    away = [np.subtract(to_rgb(c), to_rgb(paper)) for c in colours]
    tint = np.subtract(colour, to_rgb(paper))
    return int(np.argmax([tint @ a / np.linalg.norm(a) / np.linalg.norm(tint) for a in away]))


def boundary(ax):
    """The vertices of all contour lines."""
    lines = [c for c in ax.collections if c.get_zorder() == 1]
    return np.concatenate([path.vertices for c in lines for path in c.get_paths()])


@pytest.mark.parametrize("dark", [False, True])
def test_each_side_has_the_tint_of_its_class(dark):
    with theme(dark):
        ax = decision_regions(right, X, Y)
    for x1, label in ((0.1, 0), (0.8, 1)):
        tint = colour_at(ax, x1, 1.0)
        assert nearest(tint, palette(dark)[:2], ax.get_facecolor()) == label


@pytest.mark.parametrize(
    "predict",
    [right, lambda x: right(x)[:, 0], lambda x: np.concatenate([1 - right(x), right(x)], axis=1)],
    ids=["one column", "a vector", "two columns"],
)
def test_the_line_is_at_probability_a_half(predict):
    ax = decision_regions(predict, X, Y)
    vertices = boundary(ax)
    np.testing.assert_allclose(vertices[:, 0], 0.4, atol=1e-3)
    assert (vertices[:, 1].min(), vertices[:, 1].max()) == ax.get_ylim()


def test_three_classes_have_three_regions_and_two_boundaries():
    ax = decision_regions(thirds, X, [0, 2, 0, 2], names=())
    for x1, label in ((0.1, 0), (0.5, 1), (0.9, 2)):
        assert nearest(colour_at(ax, x1, 1.0), palette()[:3], "white") == label
    assert {float(v) for v in boundary(ax)[:, 0].round(2)} == {0.25, 0.75}


def test_the_grid_covers_the_points_in_one_call():
    calls = []

    def predict(points):
        calls.append(points)
        return right(points)

    decision_regions(predict, X, Y, resolution=30)
    (points,) = calls
    assert (points.shape, points.dtype) == ((900, 2), np.float64)
    assert (points.min(axis=0) < X.min(axis=0)).all()
    assert (points.max(axis=0) > X.max(axis=0)).all()
    assert len(np.unique(points, axis=0)) == 900


def test_points_are_drawn_in_the_colour_of_their_class():
    ax = decision_regions(right, X, Y[:, None])
    scatters = [c for c in ax.collections if c.get_zorder() == 2]
    for k, scatter in enumerate(scatters):
        np.testing.assert_array_equal(scatter.get_offsets(), X[k == Y])
        np.testing.assert_allclose(scatter.get_facecolor()[0, :3], to_rgb(palette()[k]))
    assert len(scatters) == 2


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (None, ["class 0", "class 1", "probability 0.5"]),
        (("outer", "inner"), ["outer", "inner", "probability 0.5"]),
    ],
)
def test_legend(names, texts):
    ax = decision_regions(right, X, Y, names=names)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == texts


def test_given_axes_are_drawn_into_and_keep_their_labels():
    ax = Figure().subplots()
    ax.set_xlabel("width")
    assert decision_regions(right, X, Y, ax, names=()) is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", "$x_2$")
    assert ax.get_legend() is None


@pytest.mark.parametrize("constant", [0.0, 0.5, 1.0])
def test_a_classifier_that_always_says_the_same_draws_no_line(tmp_path, constant):
    ax = decision_regions(lambda x: np.full((len(x), 1), constant), X, Y)
    assert [c for c in ax.collections if c.get_zorder() == 1] == []
    save(ax.figure, tmp_path / "constant.png")


def test_points_on_a_line_still_get_a_plane():
    ax = decision_regions(right, [[0.5, 3.0], [0.5, 3.0]], [1, 1])
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 1.5), (2.0, 4.0))


def test_ten_classes_have_ten_pairs_of_colour_and_marker():
    def predict(x):
        return np.eye(10)[np.clip((x[:, 0] * 10).astype(int), 0, 9)]

    points = np.stack([np.linspace(0.05, 0.95, 10), np.zeros(10)], axis=1)
    ax = decision_regions(predict, points, range(10))
    handles = ax.get_legend().legend_handles
    assert len({(h.get_color(), h.get_marker()) for h in handles}) == 10


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((right, X[:, :1], Y), {}, ConfigError, "X must have shape (n, 2) with n >= 1, got (4, 1); pick two features"),
        ((right, np.empty((0, 2)), []), {}, ConfigError, "X must have shape (n, 2) with n >= 1, got (0, 2)"),
        ((right, X, Y[:3]), {}, ConfigError, "y must have shape (4,) or (4, 1), got (3,)"),
        ((right, X, [0, 1, -1, 0]), {}, ConfigError, "y must hold classes as whole numbers from 0, got -1"),
        ((right, X, [0, 1, 0.5, 0]), {}, ConfigError, "y must hold classes as whole numbers from 0, got 0.5"),
        ((right, X * np.nan, Y), {}, NumericError, "X and y must be finite, got NaN or infinity; drop those rows"),
        ((right, X, [0, 1, 2, 0]), {}, ConfigError, "y holds class 2, but predict gives 2 classes (0 to 1)"),
        ((right, X, Y), {"names": ["a"]}, ConfigError, "names must be 2, one for each class, got 1"),
        ((right, X, Y), {"resolution": 1}, ConfigError, "resolution must be at least 2, got 1"),
        (
            (lambda x: x[:5], X, Y),
            {"resolution": 10},
            ConfigError,
            "predict must give shape (100, 1) or (100, classes), got (5, 2)",
        ),
        (
            (lambda x: x * np.inf, X + 1.0, Y),
            {"resolution": 10},
            NumericError,
            "predict gave 200 values that are NaN or infinite",
        ),
    ],
)
def test_refusals(arguments, options, error, message):
    with pytest.raises(error) as caught:
        decision_regions(*arguments, **options)
    assert str(caught.value).startswith("decision_regions: " + message)
