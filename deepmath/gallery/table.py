"""The table of the pictures: a row for each drives the command `deepmath plot` and its tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmath.descriptions import unknown
from deepmath.errors import ConfigError
from deepmath.gallery import classifiers, descent, explained, layers, learning, structure
from deepmath.plots import style
from deepmath.plots.animation import save_animation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A name, a title, where it comes from, and what draws it: a figure, or where `moving` the figures in turn."""

    name: str
    title: str
    source: str
    draw: Callable[[], Any]
    moving: bool = False

    def figures(self) -> Iterator[Figure]:
        """The figure, or all of them; in the theme that is set while they are taken."""
        if self.moving:
            yield from self.draw()
        else:
            yield self.draw()

    def target(self, path: str | os.PathLike[str]) -> Path:
        """The path of a file for this picture; ConfigError where it has another ending."""
        endings = (".gif", ".mp4") if self.moving else (".png",)
        if Path(path).suffix.lower() not in endings:
            raise ConfigError(f"plot: the file of '{self.name}' must end in {' or '.join(endings)}; got '{path}'")
        return Path(path)


_ROWS = (
    Picture("activations", "Activations with their derivatives", "article 1, figure 6", explained.activations),
    Picture("all-activations", "Every activation with its derivative", "the table of activations", explained.every),
    Picture("approximation", "One hidden layer approximates a function", "article 3", learning.approximation),
    Picture("bias-variance", "Bias and variance over complexity", "article 3", learning.bias_and_variance),
    Picture(
        "chain", "The paths of an error back to a weight", "article 5, figure 9; article 2, figure 5", structure.chain
    ),
    Picture("circles", "The data of article 1", "article 1, figure 1", classifiers.data),
    Picture("confusion", "Handwritten digits and what they are taken for", "article 3", classifiers.confusion),
    Picture("curves", "Loss and accuracy during training", "article 1, figure 7", learning.curves),
    Picture("darts", "Bias and variance on a dart board", "article 3", learning.darts),
    Picture("descent", "Gradient descent on a bowl", "article 1, figure 8", descent.bowl),
    Picture("dropout", "A network with units dropped", "article 3", structure.dropout),
    Picture("early-stopping", "Where training and validation part", "article 3", learning.early_stopping),
    Picture("exploding", "Vanishing and exploding signals", "article 3", layers.exploding),
    Picture("flow", "Forward and backward through a network", "article 1, figure 9", structure.forward_backward),
    Picture("graph", "The computation graph of f = (x + y) z", "article 3", structure.graph),
    Picture("hill", "Downhill into two basins", "article 5, figure 10", descent.two_basins),
    Picture("histograms", "Weights and outputs of each layer over time", "articles 1 and 3", layers.over_time),
    Picture("houses", "Prices of houses over their size", "article 3", explained.houses),
    Picture("initialization", "Initialisation against depth", "article 3", layers.initialization),
    Picture("layer", "One layer as matrices", "article 1, figure 5; article 3", structure.layer),
    Picture("learning-curve", "Loss over the number of training rows", "article 3", learning.learning_curve),
    Picture("loss-surface", "The loss of a network round its minimum", "articles 1 and 5", descent.loss_surface),
    Picture("network", "A network with its weights", "article 1, figure 2; article 2, figure 1", structure.network),
    Picture("network-5-3-3-2", "Five inputs, two outputs", "article 3", structure.wide),
    Picture("neuron", "A single neuron", "article 1, figure 4; article 2, figure 4", structure.neuron),
    Picture("one-hot", "Predicted shares and one-hot targets", "article 2, figure 2", classifiers.one_hot),
    Picture("optimizers", "Paths of several optimisers", "article 3", descent.optimizers_compared),
    Picture("rate-laws", "Laws of the learning rate", "article 3", explained.laws),
    Picture("rates", "A rate too small, good, too large", "article 5, figures 11 and 12", descent.rates),
    Picture("regions", "Regions of the classes after training", "article 1, figure 3", classifiers.regions),
    Picture("risk", "Empirical and expected risk over the number of rows", "article 3", learning.risk),
    Picture("roc", "ROC curves of three networks", "article 3", classifiers.roc),
    Picture("scaling", "Contours before and after scaling", "article 3", descent.scaling),
    Picture("step", "A network with the numbers of a step", "article 5, figures 6 and 7", structure.step),
    Picture("training", "Regions of the classes during training", "article 1, figure 3", classifiers.training, True),
    Picture("whitening", "Standardised, scaled and whitened data", "article 5", explained.whitening),
    Picture("xor", "A perceptron and a hidden layer on AND, OR and XOR", "article 2", classifiers.truth_tables),
)
_TABLE = {row.name: row for row in _ROWS}


def names() -> list[str]:
    """The names of all pictures."""
    return list(_TABLE)


def get(name: str) -> Picture:
    """The picture of this name; ConfigError without one."""
    return _TABLE[name] if name in _TABLE else unknown("picture", name, names())


def write(name: str, path: str | os.PathLike[str], dark: bool = False) -> Path:
    """Draw a picture into a file: .png, or .gif and .mp4 for one that moves.

    Raises:
        ConfigError: there is no such picture, or the file has another ending.
        MissingExtra: matplotlib is not installed, or for .mp4 ffmpeg.
        OSError: the folder is missing or can't be written.
    """
    picture = get(name)
    target = picture.target(path)
    with style.theme(dark):
        if picture.moving:
            return save_animation(picture.figures(), target)
        return style.save(next(picture.figures()), target)
