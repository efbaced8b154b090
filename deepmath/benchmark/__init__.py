"""How fast training and prediction are, deepmath's and its peers', measured side by side in one run.

networks.py     what is trained, on which data
candidates.py   who takes part: backends, peers, and the matrix products alone
worker.py       one candidate in a process of its own; own.py, exported.py and products.py are candidates
process.py      that process, seen from outside
validation.py   whether a candidate computes what the reference does; if not, it isn't timed
busy.py         processes that keep cores busy
session.py      preparation and rounds
suites.py       questions beside the networks' own figures, each with a table
statistics.py   medians, spread and ratios
rows.py         rows and ratios out of measurements
result.py       one run as plain data
report.py       tables as text and Markdown
"""

from deepmath.benchmark.report import markdown, text
from deepmath.benchmark.result import Settings, run

__all__ = ["Settings", "markdown", "run", "text"]
