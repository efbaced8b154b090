"""Pictures by name: the figures of the articles, and what helps to understand a training.

Each is drawn from deepmath's own formulas, data sets and trainings; nothing is a stored drawing.

>>> from deepmath import gallery
>>> gallery.get("activations").title
'Activations with their derivatives'
"""

from deepmath.gallery.table import Picture, get, names, write

__all__ = ["Picture", "get", "names", "write"]
