"""One view of a trained model: its weights, its likelihood, its predictions; and adapters from other libraries.

Linear models and multilayer perceptrons are one thing here, a feed-forward network with zero or more hidden layers,
whose forward pass is a few lines of numpy that a reader of a message repeats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mdl import likelihoods
from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.weights import Weights

_ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "logistic": special.expit,
}


@runtime_checkable
class Model(Protocol):
    """What the lengths need of a trained model, and no more.

    ``free`` names the tensors that no penalty touches (intercepts): no prior speaks about them, so they are coded
    apart. ``architecture`` is a text from which :func:`from_architecture` rebuilds the model once its weights are
    known. A model whose targets are not class indices has ``classes`` as well, their labels in order.
    """

    @property
    def weights(self) -> Weights:
        """Ordered name -> array."""
        ...

    @property
    def likelihood(self) -> Likelihood:
        """What turns predictions into probabilities of the data."""
        ...

    @property
    def free(self) -> tuple[str, ...]:
        """Names of unpenalised tensors."""
        ...

    @property
    def architecture(self) -> str:
        """Everything but weights and likelihood, as text."""
        ...

    def with_weights(self, weights: Mapping[str, Any]) -> Self:
        """The same model with other weights of the same names and shapes."""
        ...

    def with_likelihood(self, likelihood: Likelihood) -> Self:
        """The same model with another likelihood, such as a fitted one."""
        ...

    def predict(self, X: ArrayLike) -> Array:
        """The likelihood's parameters for each row of X: logits, means, log rates."""
        ...


@dataclass(frozen=True, eq=False)
class FeedForward:
    """Dense layers ``layers.k.weight`` (inputs, outputs) and ``layers.k.bias`` (outputs,) with one activation between.

    Without hidden layers this is a linear model: ridge under a Gaussian likelihood, logistic regression under a
    Bernoulli or categorical one. Biases are free. The output is (n,) if the last layer has one unit, else (n, outputs).

    Raises
    ------
    DataError
        If names or shapes do not chain.

    Examples
    --------
    >>> model = FeedForward({"layers.0.weight": [[2.0], [1.0]], "layers.0.bias": [0.5]}, likelihoods.Bernoulli())
    >>> model.predict([[1.0, -1.0]]).tolist()
    [1.5]
    """

    weights: Weights
    likelihood: Likelihood
    activation: str = "identity"
    classes: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", Weights(self.weights))
        if self.activation not in _ACTIVATIONS:
            raise DataError(f"activation: expected one of {', '.join(_ACTIVATIONS)}, got {self.activation!r}")
        outputs = None
        for k in range(max(1, len(self.weights) // 2)):
            weight = self.weights.get(f"layers.{k}.weight", np.empty(0))
            bias = self.weights.get(f"layers.{k}.bias", np.empty(0))
            chained = weight.ndim == 2 and weight.shape[0] in (outputs, weight.shape[0] if k == 0 else outputs)
            if not chained or bias.shape != weight.shape[1:] or len(self.weights) % 2:
                raise DataError(
                    f"layer {k}: expected a weight (inputs, outputs) that follows on, and a bias (outputs,)"
                )
            outputs = weight.shape[1]

    @property
    def depth(self) -> int:
        """Number of layers, the output's included."""
        return len(self.weights) // 2

    @property
    def free(self) -> tuple[str, ...]:
        """The biases."""
        return tuple(f"layers.{k}.bias" for k in range(self.depth))

    @property
    def architecture(self) -> str:
        """``feedforward ACTIVATION [CLASSES]``."""
        labels = "" if self.classes is None else " " + json.dumps(list(self.classes))
        return f"feedforward {self.activation}{labels}"

    def with_weights(self, weights: Mapping[str, Any]) -> Self:
        """Other weights, same architecture."""
        return replace(self, weights=Weights(weights))

    def with_likelihood(self, likelihood: Likelihood) -> Self:
        """Another likelihood, same weights."""
        return replace(self, likelihood=likelihood)

    def predict(self, X: ArrayLike) -> Array:
        """Forward pass in float64: (n, inputs) to (n,) or (n, outputs)."""
        hidden = checked_inputs(X, self.weights["layers.0.weight"].shape[0])
        for k in range(self.depth):
            if k:
                hidden = _ACTIVATIONS[self.activation](hidden)
            weight, bias = (self.weights[f"layers.{k}.{part}"].astype(np.float64) for part in ("weight", "bias"))
            hidden = hidden @ weight + bias
        return hidden[:, 0] if hidden.shape[1] == 1 else hidden


def checked_inputs(X: ArrayLike, features: int | None = None) -> Array:
    """X as a finite (n, features) float64 array, or DataError saying what is wrong with it."""
    try:
        values = np.asarray(X, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"X: expected numbers, got {np.asarray(X).dtype}: {error}") from error
    if values.ndim != 2 or (features is not None and values.shape[1] != features):
        raise DataError(
            f"X: expected shape (n, {features if features is not None else 'features'}), got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise DataError(f"X: {int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite")
    return values


def to_indices(model: Model, y: ArrayLike) -> NDArray[Any]:
    """Targets as the likelihood wants them: labels of a model with ``classes`` as indices, anything else as it is."""
    values = np.asarray(y)
    if values.ndim != 1:
        raise DataError(f"y: expected shape (n,), got {values.shape}")
    classes = getattr(model, "classes", None)
    if classes is None:
        return values
    position = {label: index for index, label in enumerate(classes)}
    unknown = [label for label in np.unique(values).tolist() if label not in position]
    if unknown:
        raise DataError(f"y: expected labels among {list(classes)}, got {unknown[0]!r}")
    return np.array([position[label] for label in values.tolist()], np.int64)


def from_indices(model: Model, indices: NDArray[Any]) -> NDArray[Any]:
    """The reverse of ``to_indices``."""
    classes = getattr(model, "classes", None)
    if classes is None:
        return indices
    if indices.size and indices.max() >= len(classes):
        raise DataError(f"expected a label for each class, got {len(classes)} and class {indices.max()}")
    return np.array(classes)[indices]


_ARCHITECTURE = re.compile(r"feedforward (identity|relu|tanh|logistic)(?: (\[.*\]))?", re.DOTALL)


def from_architecture(architecture: str, weights: Mapping[str, Any], likelihood: Likelihood) -> FeedForward:
    """The model that a message describes; MdlError if it describes none."""
    match = _ARCHITECTURE.fullmatch(architecture)
    if match is None:
        raise MdlError(f"expected the architecture of a feed-forward network, got {architecture[:60]!r}")
    classes = None
    if match[2] is not None:
        try:
            classes = tuple(json.loads(match[2]))
        except (ValueError, RecursionError) as error:
            raise MdlError(f"expected class labels, got {match[2][:60]!r}") from error
        if not all(isinstance(label, int | str) for label in classes):
            raise MdlError(f"class labels: expected integers or texts, got {match[2][:60]!r}")
    return FeedForward(Weights(weights), likelihood, match[1], classes)


def inputs_of_layer(architecture: str, tensors: Mapping[str, Any], name: str, X: ArrayLike) -> Array:
    """What enters the weight ``layers.k.weight`` of a message's network, (n, fan_in), from the tensors before it.

    Raises
    ------
    MdlError
        If there is no such layer, or a layer before it is missing.
    """
    place = re.fullmatch(r"layers\.(\d{1,4})\.weight", name)
    match = _ARCHITECTURE.fullmatch(architecture)
    if place is None or match is None:
        raise MdlError(f"expected a layer's weight of a feed-forward network, got {name!r} of {architecture[:60]!r}")
    before = [f"layers.{k}.{part}" for k in range(int(place[1])) for part in ("weight", "bias")]
    if missing := [one for one in before if one not in tensors]:
        raise MdlError(f"{name}: expected the layers before it to come first, but {missing[0]!r} did not")
    if not before:
        return checked_inputs(X)
    below = FeedForward(Weights({one: tensors[one] for one in before}), likelihoods.Gaussian(), match[1])
    outputs = below.predict(X)
    return _ACTIVATIONS[match[1]](outputs.reshape(len(outputs), -1))


def wrap(estimator: Any, *, precision: float = 1.0) -> Model:
    """A fitted estimator as a :class:`Model`.

    Parameters
    ----------
    estimator
        Anything with the Model protocol, or a fitted scikit-learn ``LogisticRegression``, ``Ridge``,
        ``LinearRegression``, ``PoissonRegressor``, ``MLPClassifier`` or ``MLPRegressor``.
    precision
        To which targets are stated, for regression.

    Raises
    ------
    MdlError
        If the estimator is of another kind or not fitted.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> model = wrap(LogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 0, 1]))
    >>> model.likelihood, list(model.weights)
    (Bernoulli(), ['layers.0.weight', 'layers.0.bias'])
    """
    if isinstance(estimator, Model):
        return estimator
    kind = type(estimator).__name__
    if kind not in _ADAPTERS:
        raise MdlError(f"wrap: expected a Model or a fitted {', '.join(_ADAPTERS)}, got {kind}")
    if not (hasattr(estimator, "coef_") or hasattr(estimator, "coefs_")):
        raise MdlError(f"wrap: this {kind} is not fitted yet; call its fit(X, y) first")
    return _ADAPTERS[kind](estimator, precision)


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
    return _from_linear(estimator.coef_, estimator.intercept_, _class_likelihood(classes), _labels(classes))


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
    "Ridge": _from_ridge,
    "LinearRegression": _from_ridge,
    "PoissonRegressor": _from_poisson,
    "MLPClassifier": _from_mlp,
    "MLPRegressor": _from_mlp,
}
