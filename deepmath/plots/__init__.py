"""Pictures of what a network does. They need matplotlib: pip install 'deepmath[plot]'.

matplotlib is imported when the first picture is drawn, and pyplot never: a function draws into the axes
that it is given, or into a new figure of its own, and returns the axes. Colours are those of `theme(dark)`.
"""

from deepmath.plots.animation import save_animation
from deepmath.plots.architecture import network
from deepmath.plots.curves import history_curves
from deepmath.plots.flow import Arrow, Box, flow
from deepmath.plots.functions import activation, line_descent, rate_laws
from deepmath.plots.matrices import matrices
from deepmath.plots.points import fits, learning_curve, scatter
from deepmath.plots.regions import decision_regions
from deepmath.plots.spread import bias_variance, dart_board, depth, histograms
from deepmath.plots.style import palette, save, theme
from deepmath.plots.surfaces import contours, descent_path, hill, paths
from deepmath.plots.tables import confusion_matrix, roc, roc_points, shares

__all__ = [
    "Arrow", "Box", "activation", "bias_variance", "confusion_matrix", "contours", "dart_board", "decision_regions",
    "depth", "descent_path", "fits", "flow", "hill", "histograms", "history_curves", "learning_curve", "line_descent",
    "matrices", "network", "palette", "paths", "rate_laws", "roc", "roc_points", "save", "save_animation", "scatter",
    "shares", "theme",
]  # fmt: skip
