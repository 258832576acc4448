"""One training run: split, standardise, train at an L2 strength with scikit-learn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl.datasets import Dataset, Kind
from mdl.errors import DataError
from mdl.masses import Array
from mdl.models import Model, wrap
from mdl.penalties import CONVENTIONS

HIDDEN = 32  # units of a multilayer perceptron's one hidden layer
_TEST_SHARE = 0.3
_TOLERANCE = 1e-7  # on the largest entry of the gradient of the mean loss
_ITERATIONS = 5000

#: Models by name, each with the activation of its hidden layer; without one it is linear.
MODELS: dict[str, str | None] = {
    "ridge": None,
    "logistic": None,
    "mlp-relu": "relu",
    "mlp-tanh": "tanh",
    "mlp-logistic": "logistic",
}
_ONLY_FOR = {"ridge": "regression", "logistic": "classification"}
_ALIASES = {"mlp": "mlp-relu"}


def default_models(dataset: Dataset) -> tuple[str, ...]:
    """The linear model for the dataset's task, and a perceptron of ReLU units."""
    return ("ridge" if dataset.task == "regression" else "logistic", "mlp-relu")


def model_name(name: str, task: Kind) -> str:
    """The name in ``MODELS`` that is meant; DataError if there is none, or none for this task."""
    full = _ALIASES.get(name, name)
    if full not in MODELS:
        raise DataError(f"models: expected some of {', '.join([*MODELS, *_ALIASES])}, got {name!r}")
    if _ONLY_FOR.get(full, task) != task:
        raise DataError(f"models: {full} is for {_ONLY_FOR[full]}, but the dataset's task is {task}")
    return full


@dataclass(frozen=True, eq=False)
class Split:
    """Standardised inputs and the targets as they are: ``X``, ``y`` to train on, ``X_test``, ``y_test`` held out.

    ``classes`` is the number of classes, 0 for a regression, whose targets are stated to ``precision``.
    """

    X: Array
    y: NDArray[Any]
    X_test: Array
    y_test: NDArray[Any]
    classes: int
    precision: float

    @classmethod
    def of(cls, dataset: Dataset, seed: int) -> Split:
        """A random 70 % to train on, stratified by class; a feature that is constant there becomes zero.

        Raises
        ------
        DataError
            If a class has a single row, or the rows do not suffice to hold out some of every class.
        """
        from sklearn.model_selection import train_test_split

        try:
            X, X_test, y, y_test = train_test_split(
                dataset.X,
                dataset.y,
                test_size=_TEST_SHARE,
                random_state=seed,
                stratify=dataset.y if dataset.classes else None,
            )
        except ValueError as error:
            raise DataError(f"{dataset.name}: expected classes that can be split in two: {error}") from error
        mean, scale = X.mean(axis=0), X.std(axis=0)
        # the spread of a constant may come out as a rounding error
        unit = np.where(scale > 1e-12 * np.abs(X).max(axis=0), scale, np.inf)
        return cls((X - mean) / unit, y, (X_test - mean) / unit, y_test, len(dataset.classes), dataset.precision)

    @property
    def uniform_bits(self) -> float:
        """What the training targets take when every class, or every value between the ends, costs the same."""
        levels = self.classes or round(float(np.ptp(self.y)) / self.precision) + 1
        return len(self.y) * math.log2(levels)


def train(name: str, strength: float, seed: int, split: Split) -> tuple[Model, bool]:
    """The optimum of mean NLL + (strength/2) ||w||^2, intercepts free, and whether the trainer says that it got there.

    Parameters
    ----------
    name
        One of ``MODELS``.
    strength
        Per example, > 0. For a regression the NLL is that of a noise as large as the target's own spread.
    seed
        Of the first weights of a perceptron.
    split
        Its first half is trained on.

    Returns
    -------
    Model
        In units of the target.
    bool
        False if the trainer stopped before the gradient was small.
    """
    from sklearn.exceptions import ConvergenceWarning

    regression = not split.classes
    centre, spread = (float(split.y.mean()), float(split.y.std()) or 1.0) if regression else (0.0, 1.0)
    estimator = _estimator(name, strength, seed, len(split.y), regression)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(split.X, (split.y - centre) / spread if regression else split.y)
    others = [w for w in caught if not issubclass(w.category, ConvergenceWarning)]
    for other in others:
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    model = wrap(estimator, precision=split.precision)
    return _in_units(model, centre, spread) if regression else model, len(caught) == len(others)


def _estimator(name: str, strength: float, seed: int, n: int, regression: bool) -> Any:
    """An untrained estimator of scikit-learn whose penalty is the strength."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    perceptron = MLPRegressor if regression else MLPClassifier
    kind = {"ridge": Ridge, "logistic": LogisticRegression}.get(name, perceptron)
    argument = "C" if kind is LogisticRegression else "alpha"
    convention = CONVENTIONS[f"sklearn.{kind.__name__}.{argument}"]
    facts: Mapping[str, Any] = {"batch": n, "noise_variance": 1.0}
    needed = {fact: facts[fact] for fact in convention.needs}
    penalty = {argument: convention.value(1.0 / (n * strength), n=n, **needed)}
    if kind is Ridge:
        return Ridge(**penalty, solver="svd")
    if kind is LogisticRegression:
        return LogisticRegression(**penalty, tol=_TOLERANCE, max_iter=_ITERATIONS)
    return kind(
        hidden_layer_sizes=(HIDDEN,),
        activation=MODELS[name],
        solver="lbfgs",
        random_state=seed,
        tol=_TOLERANCE,
        max_iter=_ITERATIONS,
        max_fun=10 * _ITERATIONS,
        **penalty,
    )


def _in_units(model: Model, centre: float, spread: float) -> Model:
    """A model of standardised targets as one of targets in their own unit."""
    tensors = dict(model.weights)
    *_, weight, bias = tensors
    return model.with_weights({**tensors, weight: tensors[weight] * spread, bias: tensors[bias] * spread + centre})
