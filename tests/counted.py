"""A backend that counts what it compiles."""

from deepmath import load_backend
from deepmath.backend import Backend


class Counted(Backend):
    """A backend with a count of what it compiled to train."""

    def __init__(self, name: str = "numpy") -> None:
        self.inner, self.count = load_backend(name), 0
        self.name, self.precisions = self.inner.name, self.inner.precisions

    def put(self, x, dtype):
        return self.inner.put(x, dtype)

    def compile(self, recipe, values, data=None):
        self.count += data is not None
        return self.inner.compile(recipe, values, data)
