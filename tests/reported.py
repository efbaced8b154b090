"""A trained network with its record, and the page of it taken apart."""

import json
from html.parser import HTMLParser

import numpy as np

from deepmath import Dense, Sequential, datasets
from deepmath.report import ClassView, NumberView, PlaneView, Recorder, Report, page

VOID = {"meta", "link", "input", "br"}


class Parsed(HTMLParser):
    """Tags with their attributes, and text by the tag that it stands in; complains of tags that don't close."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag):
        return [a for t, a in self.tags if t == tag]

    def text(self, tag):
        return [d for t, d in self.texts if t == tag]

    @property
    def data(self):
        return next(json.loads(d) for t, d in self.texts if t == "script" and d.startswith("{"))


def model_for(outputs, activation, loss, features=2, seed=0, hidden="relu"):
    model = Sequential([Dense(5, hidden, input_dim=features), Dense(outputs, activation)], seed=seed)
    model.compile("adam", loss, ["accuracy"] if "cross" in loss else [])
    return model


def recorded(kind, epochs=6, names=None):
    """(model, recorder, history, X, y) of a short training."""
    if kind == "plane":
        X, y = datasets.circles(n=120)
        model, view = model_for(1, "sigmoid", "binary_crossentropy"), PlaneView(X, y, names or ["outer", "inner"])
    elif kind == "confusion":
        X, y = datasets.digits()
        X, y = X[:200] / 16.0, y[:200]
        model = model_for(10, "softmax", "sparse_categorical_crossentropy", 64)
        view = ClassView(X, y, names or [str(k) for k in range(10)])
    else:
        X = np.random.default_rng(0).normal(size=(90, 3))
        y = X @ [1.0, -2.0, 0.5]
        model, view = model_for(1, "linear", "mse", 3), NumberView(X, y, size=10.0, origin=100.0)
    watched = Recorder(model, view)
    history = model.fit(X, y, epochs=epochs, validation_split=0.25, callbacks=[watched], verbose=0, precision="float64")
    return model, watched, history, X, y


def reported(kind, **changes):
    """The page of a short training, as text."""
    _, watched, history, *_ = recorded(kind)
    facts = {
        "title": "a run", "results": [("test", "accuracy 98 %")], "settings": [("epochs", "6")],
        "machine": [("processor", "a processor")], "epochs": history.epoch, "history": history.history,
        "view": watched.view, "record": watched.record, "commands": ["deepmath train"], "config": 'data = "circles"',
    }  # fmt: skip
    return page(Report(**facts | changes))


KINDS = ("plane", "confusion", "numbers")
