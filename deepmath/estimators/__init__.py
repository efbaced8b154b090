"""Networks as scikit-learn's estimators: its contract, its MLP's arguments, and what its users asked for besides.

Needs scikit-learn: pip install 'deepmath[sklearn]'.

>>> from deepmath.estimators import MLPClassifier
>>> clf = MLPClassifier(hidden_layer_sizes=8, solver="lbfgs", random_state=0, scale="standard")
>>> clf.fit([[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]).predict([[-1.0], [4.0]]).tolist()
['low', 'high']
"""

from deepmath.errors import require

require("sklearn", "sklearn", "estimators")

from deepmath.estimators.classifier import MLPClassifier  # noqa: E402 - a missing package is told in one line
from deepmath.estimators.conversion import from_sklearn  # noqa: E402
from deepmath.estimators.regressor import MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn"]
