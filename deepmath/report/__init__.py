"""One page about one training, in a single HTML file that needs no network.

A `Recorder` goes into the training as a callback and keeps what the page shows by epoch; `page` writes the page.
"""

from deepmath.report.page import Finding, Report, page
from deepmath.report.record import Frame, LayerNumbers, Record, Recorder
from deepmath.report.views import ClassView, NumberView, PlaneView, View

__all__ = [
    "ClassView", "Finding", "Frame", "LayerNumbers", "NumberView", "PlaneView", "Record", "Recorder", "Report", "View",
    "page",
]  # fmt: skip
