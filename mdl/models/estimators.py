"""Fitted estimators of scikit-learn as feed-forward networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mdl import likelihoods
from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.models.feedforward import FeedForward
from mdl.weights import Weights


def from_estimator(estimator: Any, precision: float) -> FeedForward:
    """A fitted estimator as a network; MdlError if it is of another kind, not fitted, or no probability.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> from_estimator(LinearSVC(), 1.0)
    Traceback (most recent call last):
    mdl.errors.MdlError: wrap: LinearSVC has no likelihood: its loss is no -ln of a probability
    """
    kind = type(estimator).__name__
    if kind in _NO_LIKELIHOOD:
        raise MdlError(f"wrap: {kind} has no likelihood: its loss is no -ln of a probability")
    if kind not in _ADAPTERS:
        raise MdlError(
            "wrap: expected a module of torch, the path of an .onnx, a function with weights=, a Model, or a fitted "
            f"{', '.join(_ADAPTERS)}, alone or at the end of a Pipeline; got {kind}"
        )
    if not (hasattr(estimator, "coef_") or hasattr(estimator, "coefs_")):
        raise MdlError(f"wrap: this {kind} is not fitted yet; call its fit(X, y) first")
    return _ADAPTERS[kind](estimator, precision)


def is_pipeline(thing: object) -> bool:
    """Whether it is a ``Pipeline`` of scikit-learn, without importing scikit-learn."""
    return type(thing).__name__ == "Pipeline" and hasattr(thing, "steps")


_NO_LIKELIHOOD = frozenset([
    "LinearSVC", "LinearSVR", "NuSVC", "NuSVR", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier",
    "RidgeClassifierCV", "SVC", "SVR",
])  # fmt: skip


def _labels(classes: ArrayLike) -> tuple[Any, ...] | None:
    """Class labels as ints or texts; None where they are 0..k-1 already."""
    values = np.asarray(classes)
    if values.dtype.kind not in "iubUOf" or (values.dtype.kind == "f" and not (values == np.rint(values)).all()):
        raise DataError(f"class labels: expected integers or texts, got {values.dtype}")
    labels = tuple(v if isinstance(v, str) else int(v) for v in values.tolist())
    return None if labels == tuple(range(len(labels))) else labels


def _class_likelihood(classes: ArrayLike) -> Likelihood:
    count = len(np.asarray(classes))
    return likelihoods.Bernoulli() if count == 2 else likelihoods.Categorical(count)


def _from_linear(coef: ArrayLike, intercept: ArrayLike, likelihood: Likelihood, classes: Any = None) -> FeedForward:
    weight = np.ascontiguousarray(np.atleast_2d(coef).T)
    bias = np.broadcast_to(np.atleast_1d(intercept), weight.shape[1:]).astype(weight.dtype)
    return FeedForward(Weights({"layers.0.weight": weight, "layers.0.bias": bias}), likelihood, "identity", classes)


def _from_logistic(estimator: Any, precision: float) -> FeedForward:
    classes = estimator.classes_
    if len(classes) > 2 and _one_against_the_rest(estimator):
        raise MdlError(
            f"wrap: this {type(estimator).__name__} holds {len(classes)} models, each of one class against the rest, "
            "which share no likelihood; fit a multinomial LogisticRegression instead"
        )
    return _from_linear(estimator.coef_, estimator.intercept_, _class_likelihood(classes), _labels(classes))


def _one_against_the_rest(estimator: Any) -> bool:
    settings = {getattr(estimator, name, None) for name in ("solver", "multi_class")}
    return type(estimator).__name__ == "SGDClassifier" or bool(settings & {"liblinear", "ovr"})


def _from_sgd_classifier(estimator: Any, precision: float) -> FeedForward:
    if estimator.loss != "log_loss":
        raise MdlError(f"wrap: SGDClassifier with loss {estimator.loss!r} has no likelihood; expected 'log_loss'")
    return _from_logistic(estimator, precision)


def _from_sgd_regressor(estimator: Any, precision: float) -> FeedForward:
    if estimator.loss != "squared_error":
        raise MdlError(f"wrap: SGDRegressor with loss {estimator.loss!r} has no likelihood; expected 'squared_error'")
    return _from_ridge(estimator, precision)


def _from_ridge(estimator: Any, precision: float) -> FeedForward:
    return _from_linear(estimator.coef_, estimator.intercept_, likelihoods.Gaussian(precision))


def _from_poisson(estimator: Any, precision: float) -> FeedForward:
    return _from_linear(estimator.coef_, estimator.intercept_, likelihoods.Poisson())


def _from_mlp(estimator: Any, precision: float) -> FeedForward:
    tensors: dict[str, Any] = {}
    for k, (weight, bias) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        tensors |= {f"layers.{k}.weight": np.ascontiguousarray(weight), f"layers.{k}.bias": bias}
    if hasattr(estimator, "classes_"):
        classes = estimator.classes_
        return FeedForward(Weights(tensors), _class_likelihood(classes), estimator.activation, _labels(classes))
    counts = getattr(estimator, "loss", "") == "poisson"
    likelihood = likelihoods.Poisson() if counts else likelihoods.Gaussian(precision)
    return FeedForward(Weights(tensors), likelihood, estimator.activation)


_ADAPTERS = {
    "LogisticRegression": _from_logistic,
    "LogisticRegressionCV": _from_logistic,
    "Ridge": _from_ridge,
    "RidgeCV": _from_ridge,
    "LinearRegression": _from_ridge,
    "PoissonRegressor": _from_poisson,
    "SGDClassifier": _from_sgd_classifier,
    "SGDRegressor": _from_sgd_regressor,
    "MLPClassifier": _from_mlp,
    "MLPRegressor": _from_mlp,
}
