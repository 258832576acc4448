"""Feed-forward networks: linear models and multilayer perceptrons, whose forward pass a reader of a message repeats."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mdl import likelihoods
from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.models.protocol import checked_inputs
from mdl.weights import Weights

_ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "logistic": special.expit,
}


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


_ARCHITECTURE = re.compile(r"feedforward (identity|relu|tanh|logistic)(?: (\[.*\]))?", re.DOTALL)


def from_architecture(architecture: str, weights: Mapping[str, Any], likelihood: Likelihood) -> FeedForward:
    """The model that a message describes; MdlError if it describes none."""
    match = _ARCHITECTURE.fullmatch(architecture)
    if match is None:
        raise MdlError(
            f"expected the architecture of a feed-forward network, got {architecture[:60]!r}; a message of any other "
            "model is read with the reader's own copy of it: decode_with_data(data, X, model=mdl.wrap(...))"
        )
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
