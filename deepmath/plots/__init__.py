"""Pictures of what a network does. They need matplotlib: pip install 'deepmath[plot]'.

matplotlib is imported when the first picture is drawn, and pyplot never: a function draws into the axes
that it is given, or into a new figure of its own, and returns the axes.
"""

from deepmath.plots.curves import history_curves
from deepmath.plots.regions import decision_regions
from deepmath.plots.style import palette, save, theme

__all__ = ["decision_regions", "history_curves", "palette", "save", "theme"]
