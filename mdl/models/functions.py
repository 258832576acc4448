"""Models that are a function of weights and inputs, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.models.protocol import as_array
from mdl.weights import Weights


@dataclass(frozen=True, eq=False)
class Function:
    """Predictions ``compute(weights, X)``, of any inputs that the function takes.

    Parameters
    ----------
    weights
        What is coded, and handed to the function as the reader will have it.
    likelihood
        What its predictions are parameters of.
    compute
        ``(weights, X) -> predictions``, (n,), (n, 1) or (n, outputs). It must not write to the weights.
    free
        Names of the tensors of floats that no prior speaks about.
    architecture
        A name. A reader who has a function of the same name, and tensors of the same shapes, can read the messages.

    Examples
    --------
    >>> from mdl import likelihoods
    >>> model = Function({"w": [2.0]}, likelihoods.Bernoulli(), lambda weights, X: X @ weights["w"])
    >>> model.predict(np.array([[1.0], [-1.0]])).tolist()
    [2.0, -2.0]
    """

    weights: Weights
    likelihood: Likelihood
    compute: Callable[[Weights, Any], ArrayLike]
    free: tuple[str, ...] = ()
    architecture: str = "function"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", Weights(self.weights))
        floats = self.weights.floats
        if unknown := [name for name in self.free if name not in floats]:
            raise DataError(f"free: expected names among {', '.join(floats)}, got {unknown[0]!r}")

    def with_weights(self, weights: Mapping[str, Any]) -> Self:
        """Other weights, same function; DataError if names or shapes are others."""
        given = Weights(weights)
        mine, others = ({name: w.shape for name, w in tensors.items()} for tensors in (self.weights, given))
        if mine != others:
            odd = sorted({*mine.items()} ^ {*others.items()})[0][0]
            raise DataError(f"tensor {odd!r}: expected shape {mine.get(odd, 'none')}, got {others.get(odd, 'none')}")
        return replace(self, weights=given)

    def with_likelihood(self, likelihood: Likelihood) -> Self:
        """Another likelihood, same weights."""
        return replace(self, likelihood=likelihood)

    def predict(self, X: Any) -> Array:
        """(n,) or (n, outputs), float64; MdlError if the function fails (its own error is the cause) or makes NaN."""
        try:
            values = np.asarray(as_array(self.compute(self.weights, X)), np.float64)
        except MdlError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0][:200]
            given = f"{type(X).__name__} of shape {np.shape(X)}" if hasattr(X, "shape") else type(X).__name__
            raise MdlError(
                f"predict: {self.architecture} failed on X, {given}: {type(error).__name__}: {reason}"
            ) from error
        if bad := values.size - int(np.isfinite(values).sum()):
            raise DataError(f"predict: {self.architecture} made {bad} of {values.size} predictions NaN or infinite")
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def without_prior(weights: Weights) -> tuple[str, ...]:
    """Tensors of floats with fewer than two dimensions: biases and gains."""
    return tuple(name for name, tensor in weights.floats.items() if tensor.ndim < 2)
