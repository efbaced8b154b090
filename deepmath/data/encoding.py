"""From frames and text to numbers: preprocessing that is fitted to what trains, and targets by their classes."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import is_array, is_frame
from deepmath.data.adapters import ArrayAdapter, GeneratorAdapter, SequenceAdapter
from deepmath.data.columns import frame_of
from deepmath.data.sources import Adapter, Source
from deepmath.data.weights import RowWeighting
from deepmath.errors import ConfigError, LabelError
from deepmath.losses import Loss
from deepmath.program import Head

logger = logging.getLogger("deepmath")
_LIKE = "; make it for the model: TableSource(path, like=model)"


def preprocessing_of(given: Any) -> Any:
    """What somebody calls a preprocessing: one, a `TableEncoder`, or a list of them, as one; None is none."""
    if given is None or hasattr(given, "takes_frames"):
        return given
    from deepmath.preprocessing import preprocessing_of as found  # only who uses preprocessing pays for it

    return found(given)


def fitted(preprocessing: Any, given: Adapter, target: str | None = None) -> Any:
    """A preprocessing fitted to the data if it isn't yet; to a source chunk by chunk.

    Frames get a `TableEncoder` in front of it, which remembers their columns; where a source has encoded them, its
    encoding stands there. Raises ConfigError where one of the columns is the target, which is called `target`.
    """
    found = _fitted(preprocessing, given)
    _check_leak(found, given, target)
    return found


def _fitted(preprocessing: Any, given: Adapter) -> Any:
    if given.table_encoding is not None and (hasattr(preprocessing, "fit") or not _takes_frames(preprocessing)):
        from deepmath.preprocessing import behind_table, without_table

        rest = without_table(preprocessing)
        return behind_table(given.table_encoding, rest.fit_batches(_Inputs(given)) if hasattr(rest, "fit") else rest)
    if given.of_frames and not _takes_frames(preprocessing):
        from deepmath.preprocessing import encoded_first  # only who uses preprocessing pays for it

        preprocessing = encoded_first(preprocessing, _Inputs(given))
    if not hasattr(preprocessing, "fit"):
        return preprocessing
    if isinstance(given, ArrayAdapter):
        return preprocessing.fit(given.rows.X)
    return preprocessing.fit_batches(_Inputs(given))


@contextlib.contextmanager
def unless_refused(model: Any) -> Iterator[None]:
    """Keep what a model learns of its data, unless they are refused before the first step: then it is as it was."""
    preprocessing, target, shape, history = model.preprocessing, model.target, model.input_shape, model.history
    try:
        yield
    except Exception:
        if model.history is history:
            model.preprocessing, model.target = preprocessing, target
            if shape is None:
                model.input_shape, model.values = None, {}
        raise


def fitted_to_names(preprocessing: Any, given: Adapter) -> Any:
    """A preprocessing that knows the columns of a first batch where they are numbers. ConfigError for other columns."""
    if not given.of_frames or _takes_frames(preprocessing):
        return preprocessing
    found = fitted(preprocessing, given)
    if found.encoding.output_names != found.encoding.features:
        raise ConfigError(
            "train_on_batch: one batch is too little to learn what its columns hold; call fit first, or give the model "
            "preprocessing=TableEncoder().fit(frame) of all rows"
        )
    return found


def encoded(preprocessing: Any, given: Adapter, target: Any = None, tell_extra: bool = False) -> Adapter:
    """The data as the first layer takes them.

    Raises ConfigError for a frame that has columns which the model wasn't trained on; with `tell_extra` they are
    passed over, and told. A frame's target may always be there. So does a source that encoded its table otherwise.
    """
    if given.table_encoding is not None and _takes_frames(preprocessing):
        if given.table_encoding != preprocessing.encoding:
            raise ConfigError(f"the columns of the {given.kind} were encoded otherwise than the model's{_LIKE}")
        from deepmath.preprocessing import without_table

        preprocessing = without_table(preprocessing)
    if preprocessing is None:
        return given
    if not given.of_frames:
        return given.mapped(preprocessing.apply)
    if isinstance(given, (SequenceAdapter, GeneratorAdapter)):  # each of whose frames has columns of its own
        return given.mapped(functools.partial(_checked, preprocessing, target, tell_extra))
    _check_columns(preprocessing, next(given.inputs()), target, tell_extra)
    return given.mapped(preprocessing.apply)


def _checked(preprocessing: Any, target: Any, tell_extra: bool, frame: Any) -> Any:
    """A batch as the first layer takes it."""
    if is_frame(frame):
        _check_columns(preprocessing, frame_of(frame), target, tell_extra)
    return preprocessing.apply(frame)


def _check_leak(preprocessing: Any, given: Adapter, name: str | None) -> None:
    """Raise ConfigError where the targets are an input too, by name and cells; tell where only the name is the same."""
    if not given.of_frames or not _takes_frames(preprocessing) or name not in preprocessing.encoding.features:
        return
    there = np.asarray(next(given.targets()))
    cells = next(given.inputs()).column(name).values
    if there.shape == cells.shape and (there == cells).all():
        raise ConfigError(
            f"fit: X still has the column '{name}', which is y: the answer would be an input. "
            f"Give fit(X, '{name}'), or X without it"
        )
    logger.warning("X has a column '%s', as the target is called: leave it out of X if it tells the answer", name)


def _takes_frames(preprocessing: Any) -> bool:
    return getattr(preprocessing, "takes_frames", False)


def _check_columns(preprocessing: Any, frame: Any, target: Any, tell_extra: bool) -> None:
    if not _takes_frames(preprocessing):
        return
    missing = [n for n in preprocessing.encoding.features if n not in frame.names]
    extra = [n for n in preprocessing.encoding.unknown(frame) if target is None or n != target.name]
    if missing:
        instead = f"; it has {_listed(extra)} instead" if extra else ""
        raise ConfigError(f"X lacks the columns {_listed(missing)}, on which the model was trained{instead}")
    if extra and not tell_extra:
        raise ConfigError(
            f"X has columns on which the model wasn't trained: {_listed(extra)}. Leave them out, or rename those meant"
        )
    if extra:
        logger.warning("columns on which the model wasn't trained are passed over: %s", _listed(extra))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")


def target_of(given: Adapter, loss: Loss | None, name: str | None, step: int = 0) -> Any:
    """What encodes the targets that train: the classes of text, in sorted order; a source's own; None for numbers."""
    if given.table_target is not None:
        return given.table_target
    if not isinstance(given, (ArrayAdapter, Source, SequenceAdapter)):
        return None
    first = next(given.targets(), None)
    if is_numbers(first):
        return None
    if step:
        raise LabelError(
            "the target holds text, and the model was trained on numbers; say which class is which number: "
            "model.target = ClassTarget(('no', 'yes')) of deepmath.tables has 'no' for 0"
        )
    if loss is not None and loss.targets not in ("labels", "shares", "signs"):
        raise LabelError(
            f"the target holds text, which is classes, and loss '{loss.name}' takes numbers. "
            "Use loss='sparse_categorical_crossentropy', or 'binary_crossentropy' for two classes; "
            "if the text is numbers, give y.astype(float)"
        )
    from deepmath.tables import target_of as found  # only who has text pays for it

    return found(np.concatenate([np.asarray(y, object).reshape(-1) for y in given.targets()]), name, "category")


@dataclass(frozen=True)
class EncodedAlready:
    """The target of rows that come as the loss takes them: nothing is left to encode."""

    target: Any

    @property
    def classes(self) -> Any:
        """The classes of the target, None of numbers."""
        return getattr(self.target, "classes", None)

    def encode(self, y: Any) -> Any:
        """The targets as they came."""
        return y


def target_for(target: Any, given: Adapter) -> Any:
    """What encodes the targets of data for a model with this target. ConfigError where a source did it otherwise."""
    target = target.target if isinstance(target, EncodedAlready) else target
    if given.table_target is None or target is None:
        return target
    if given.table_target != target:
        raise ConfigError(f"the target '{given.table_target.name}' of the {given.kind} isn't the model's target{_LIKE}")
    return EncodedAlready(target)


def encoded_targets(target: Any, head: Head, y: Any) -> Any:
    """Classes as the loss takes them: codes [rows], or one-hot rows [rows, outputs]. Numbers stay, scaled.

    Raises LabelError for a class that the model doesn't know, and for numbers where it was trained on names.
    """
    classes, y = getattr(target, "classes", None), target.encode(y)
    if classes is None:
        return y
    if len(classes) > (2 if head.outputs == 1 else head.outputs):
        cure = f"give the last layer {len(classes)} units"
        if head.outputs == 1:
            cure += " with activation='softmax', and use loss='sparse_categorical_crossentropy'"
        outputs = "1 output" if head.outputs == 1 else f"{head.outputs} outputs"
        raise ConfigError(f"the target has {len(classes)} classes ({target.shown}), and the model {outputs}; {cure}")
    return y if head.labelled or head.outputs == 1 else np.eye(head.outputs)[y]


def weighting(class_weight: Any, ignore_label: float | None, target: Any, given: Adapter) -> RowWeighting:
    """How much each row counts. Weights of text classes go by their names; "balanced" is counted on these rows."""
    classes = getattr(target, "classes", None)
    if classes is not None and ignore_label is not None:
        raise ConfigError(
            f"ignore_label={ignore_label!r} goes with numbers, and the target has the classes {target.shown}; "
            "leave out the rows to ignore, or give them sample_weight 0"
        )
    if classes is not None and isinstance(class_weight, Mapping):
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ConfigError(f"class_weight has a weight for class {unknown[0]!r}; the model knows {target.shown}")
        lacking = [label for label in classes if label not in class_weight]
        if lacking:
            raise ConfigError(f"class_weight has no weight for class {lacking[0]!r}; it has {list(class_weight)}")
        class_weight = {classes.index(label): weight for label, weight in class_weight.items()}
    return RowWeighting(class_weight, ignore_label).counted(_codes(target, given))


def _codes(target: Any, given: Adapter) -> Iterator[Any]:
    target = target_for(target, given)
    for y in given.targets():
        yield y if target is None else target.encode(y)


def is_numbers(y: Any) -> bool:
    """Whether targets are numbers or booleans, not text."""
    if is_array(y) and not isinstance(y, np.ndarray):
        return True
    array = np.asarray(y)
    if array.dtype.kind == "O":
        return not any(isinstance(v, str) for v in array.reshape(-1).tolist())
    return array.dtype.kind not in "USO"


class _Inputs:
    """The inputs of data, as often as somebody goes through them."""

    def __init__(self, given: Adapter) -> None:
        self._given = given

    def __iter__(self) -> Iterator[Any]:
        return self._given.inputs()
