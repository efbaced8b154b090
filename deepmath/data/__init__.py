"""What comes in: adapters for each kind of data, their validation, and loaders that bring them step by step.

Data go one way. `adapters.adapt` makes an `Adapter` of what somebody handed in, `encoding` makes numbers of frames and
text, a `Validator` checks rows and puts them on the backend, and a loader cuts them into steps.
"""

from deepmath.data.chunks import Chunks
from deepmath.data.rows import Rows
from deepmath.data.sources import Adapter, ArraySource, Source
from deepmath.data.validation import Validator, row_shape
from deepmath.data.weights import RowWeighting

__all__ = ["Adapter", "ArraySource", "Chunks", "RowWeighting", "Rows", "Source", "Validator", "row_shape"]
