"""What both estimators' docstrings say of the arguments and attributes that they share."""

from __future__ import annotations

from typing import TypeVar

C = TypeVar("C", bound=type)

NETWORK = """\
hidden_layer_sizes : int or array-like of shape (n_layers - 2,), default=(100,)
    Units of each hidden layer.
activation : str, callable or list of them, default="relu"
    Of the hidden layers: "identity", "logistic", "tanh", "relu", any name in `deepmath.activations`, or a function
    (xp, z) -> y of one's own. A list gives each hidden layer its own.
"""
TRAINING = """\
solver : {"adam", "sgd", "lbfgs"}, name or deepmath optimizer, default="adam"
    What minimises: scikit-learn's three with the arguments below, "rmsprop", "adamw", "lion" or another name in
    `deepmath.optimizers` with `learning_rate_init`, or an object such as `AdamW(0.001, clipnorm=1.0)`.
alpha : float, default=0.0001
    Strength of L2: a batch's mean loss gets alpha / (2 s) times the sum of all squared kernel weights, where s is the
    sum of the sample weights in a full batch (its rows, where there are none). scikit-learn takes the s of each batch,
    which is another number only for a shorter last batch and for weights that differ between batches.
batch_size : int or "auto", default="auto"
    Rows of a batch; "auto" means min(200, n_samples). "lbfgs" takes all rows.
learning_rate : {"constant", "invscaling", "adaptive"}, deepmath schedule or function, default="constant"
    How the rate changes. "invscaling" divides `learning_rate_init` by (t_ + 1)^power_t after each epoch; "adaptive"
    divides the rate by 5 where training would stop, down to 1e-6. A schedule such as `CosineDecay(0.01, steps=2000)`
    or a function of its number gives the rate of each update itself. "adam" follows these two only.
learning_rate_init : float, default=0.001
    The first rate.
power_t : float, default=0.5
    Exponent of "invscaling".
max_iter : int, default=200
    Epochs at most; for "lbfgs", iterations.
shuffle : bool, default=True
    Whether each epoch has an order of its own.
random_state : int, RandomState instance or None, default=None
    Decides first weights, held-out rows, order and dropout. In `fit`, all but dropout are those of scikit-learn's MLP
    with the same `random_state`: with scikit-learn's arguments alone and a constant rate it learns the same weights,
    but for rounding and the penalty of a shorter last batch.
tol : float, default=1e-4
    What counts as better; for "lbfgs", the largest component of the gradient at a minimum.
verbose : bool or int, default=False
    Whether each iteration is printed.
warm_start : bool, default=False
    Whether `fit` goes on from the present weights, with a new optimizer.
momentum : float, default=0.9
    Momentum of "sgd", in [0, 1).
nesterovs_momentum : bool, default=True
    Whether the momentum of "sgd" is Nesterov's.
early_stopping : bool, default=False
    Whether training stops by the score of held-out rows, and puts back the weights of the best. The score is that of
    `score`: accuracy (all labels of a row right) or R2, weighted as the loss, by sample weight times class weight.
validation_fraction : float, default=0.1
    Share of the rows that `early_stopping` holds out, unless `fit` gets an `eval_set`.
beta_1 : float, default=0.9
    How much "adam" keeps of its average of gradients.
beta_2 : float, default=0.999
    How much "adam" keeps of its average of squared gradients.
epsilon : float, default=1e-8
    Added to the root in "adam" (the paper's epsilon hat).
n_iter_no_change : int or inf, default=10
    Training stops after more than so many epochs in a row that were not better by `tol`.
max_fun : int, default=15000
    Evaluations of the loss by "lbfgs" at most.
"""
BEYOND = """\
dropout : float or list of float, default=0.0
    Share of each hidden layer's outputs that is dropped in training; a list gives each layer its own.
normalization : {None, "batch", "layer"}, default=None
    What stands between each hidden layer's product and its activation.
scale : {None, "standard", "minmax"} or deepmath preprocessing, default=None
    Of the inputs: fitted on the rows that train (in `partial_fit`, on those of the first call), applied to all.
    A regressor's targets are scaled too, each output by its own mean and deviation ("minmax": by its ends), and
    predictions are in their unit; `loss_`, the curves and numbers such as the 1.5 of "huber(1.5)" are in the scaled
    unit, and `alpha` is weighed against that loss. Targets stay as they are where the loss isn't one of differences
    ("poisson", a function of one's own) or `out_activation` doesn't give any number.
    Data frames that are more than plain numbers are encoded first (`deepmath.tables.TableEncoder`), by what the rows
    show on which that is fitted: categories that come later are "other". What columns are may be said:
    [TableEncoder(kinds={"zip": "category"}), Standardize()]. Sparse inputs become dense where they are scaled, batch
    by batch.
callbacks : sequence of deepmath callbacks, or one, default=()
    Such as `deepmath.callbacks.TimeLimit(60)`. scikit-learn's own are set by `set_callbacks`.
backend : str, Backend or None, default=None
    Where the network runs: "numpy", "cupy", "torch", ...; None follows X.
device : str or None, default=None
    Such as "cuda" or "cuda:1".
precision : {"auto", "float32", "float64"} or what the backend has, default="auto"
    "auto" is X's own.
unusual : bool, default=False
    True if a loss, last activation and targets that are odd together, but sound, are meant.
"""
FITTED = """\
coefs_ : list of array of shape (fan_in, fan_out)
    Kernels. What is set or changed here is what predicts and goes on training.
intercepts_ : list of array of shape (fan_out,)
    Biases, likewise.
loss_ : float
    The loss of the last epoch as trained, with the penalty.
best_loss_ : float or None
    The least loss; None with `early_stopping`.
loss_curve_ : list of float
    The loss of each epoch.
validation_loss_curve_ : list of float
    The loss of the held-out rows or of `eval_set` after each epoch; empty without.
validation_scores_ : list of float or None
    Their scores, with `early_stopping`.
best_validation_score_ : float or None
    The best of these.
learning_rate_ : float
    The rate as it stands.
n_iter_ : int
    Epochs of the last fit.
t_ : int
    Rows seen in training, all epochs together.
n_layers_ : int
    Layers, with those of inputs and outputs.
n_outputs_ : int
    Units of the last layer.
out_activation_ : str
    Activation of the last layer.
n_features_in_ : int
    Columns of X.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, where X has names that are all strings.
"""
_TEXTS = {"[network]": NETWORK, "[training]": TRAINING, "[beyond]": BEYOND, "[fitted]": FITTED}


def documented(cls: C) -> C:
    """Put the shared texts where a class's docstring names them."""
    lines = []
    for line in (cls.__doc__ or "").splitlines():
        text = _TEXTS.get(line.strip())
        indent = line[: len(line) - len(line.lstrip())]
        lines += [line] if text is None else [f"{indent}{t}" for t in text.splitlines()]
    cls.__doc__ = "\n".join(lines)
    return cls
