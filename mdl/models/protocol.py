"""What the lengths need of a trained model, and what enters and leaves it: inputs, labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.errors import DataError
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.weights import Weights


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

    def predict(self, X: Any) -> Array:
        """The likelihood's parameters for each row of X: logits, means, log rates."""
        ...


def checked_inputs(X: ArrayLike, features: int | None = None) -> Array:
    """X as a finite (n, features) float64 array, or DataError saying what is wrong with it."""
    try:
        values = np.asarray(as_array(X), np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"X: expected numbers, got {as_array(X).dtype}: {error}") from error
    if values.ndim != 2 or (features is not None and values.shape[1] != features):
        raise DataError(
            f"X: expected shape (n, {features if features is not None else 'features'}), got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise DataError(f"X: {int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite")
    return values


def to_indices(model: Model, y: ArrayLike) -> NDArray[Any]:
    """Targets as the likelihood wants them: labels of a model with ``classes`` as indices, anything else as it is."""
    values = as_array(y)
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


def as_array(values: Any) -> NDArray[Any]:
    """Numbers of numpy, torch (on any device) or pandas, or lists of them, as an array."""
    torch = sys.modules.get("torch")  # a tensor of torch can only come from a torch that is loaded
    if torch is not None and isinstance(values, torch.Tensor):
        return np.asarray(values.numpy(force=True))
    return np.asarray(values)


def count_rows(X: Any) -> int:
    """How many examples there are in X, which may be an array, a tensor, a table or a list."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
