"""Models of transformed inputs: pipelines of scikit-learn.

Writer and reader both have X. What a transformer learns from X alone, the reader learns as well, so it is free; a
message of a pipeline is that of its last step on the transformed inputs. What was learned from other inputs, from the
targets, or by chance is refused, since nobody would be told of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from mdl.errors import DataError, MdlError
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.models.feedforward import FeedForward
from mdl.models.protocol import Model, checked_inputs
from mdl.weights import Weights

_CLOSE = 1e-9  # relative: how far apart fitting twice to the same inputs may come out


@dataclass(frozen=True, eq=False)
class Transformed:
    """A model behind a fitted transformer. Its weights are the model's: the transformer has none of its own.

    Raises
    ------
    DataError
        From the methods that code data, if the transformer is not what ``fit(X)`` makes of their X.
    """

    model: FeedForward
    transformer: Any

    @property
    def weights(self) -> Weights:
        """The model's."""
        return self.model.weights

    @property
    def likelihood(self) -> Likelihood:
        """The model's."""
        return self.model.likelihood

    @property
    def free(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.free

    @property
    def architecture(self) -> str:
        """The model's."""
        return self.model.architecture

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The model's."""
        return self.model.classes

    def with_weights(self, weights: Mapping[str, Any]) -> Self:
        """Other weights, same transformer."""
        return replace(self, model=self.model.with_weights(weights))

    def with_likelihood(self, likelihood: Likelihood) -> Self:
        """Another likelihood, same transformer."""
        return replace(self, model=self.model.with_likelihood(likelihood))

    def predict(self, X: Any) -> Array:
        """The model's predictions of the transformed inputs."""
        return self.model.predict(_transformed(self.transformer, X))

    def shared(self, X: Any) -> Array:
        """The inputs of the model as a reader who has X computes them, by fitting the transformer to X.

        Raises
        ------
        DataError
            If that differs from what this transformer makes of X.
        """
        from sklearn.base import clone

        fitted = _transformed(self.transformer, X)
        try:
            own = _transformed(clone(self.transformer).fit(X), X)
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"pipeline: a transformer cannot be fitted to X without y: {error}. {_INSTEAD}") from error
        if own.shape != fitted.shape or np.abs(own - fitted).max(initial=0.0) > _CLOSE * np.abs(own).max(initial=0.0):
            raise DataError(
                "pipeline: its transformers are not what fit(X) makes of these X: they were fitted to other inputs, "
                f"with y, or at random. {_INSTEAD}"
            )
        return own


_INSTEAD = (
    "A reader who has X alone could not repeat that; wrap the last step alone, and hand over transformed inputs that "
    "the reader has too"
)


def shared(model: Any, X: Any) -> tuple[Model, Any]:
    """The model whose weights are coded, and its inputs as writer and reader both compute them from X.

    Raises
    ------
    MdlError
        If it is no model.
    DataError
        If X are no inputs of it, or a transformer was not fitted to X alone.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.preprocessing import StandardScaler
    >>> from mdl.models.wrapping import wrap
    >>> X = [[1.0], [3.0]]
    >>> behind = Transformed(wrap(Ridge().fit([[-1.0], [1.0]], [1.0, 2.0])), StandardScaler().fit(X))
    >>> shared(behind, X)[1].tolist()
    [[-1.0], [1.0]]
    """
    if not isinstance(model, Model):
        kind = type(model).__name__
        raise MdlError(f"model: expected what mdl.wrap returns, a FeedForward network or another Model, got {kind}")
    if isinstance(model, Transformed):
        return model.model, model.shared(X)
    return model, checked_inputs(X) if isinstance(model, FeedForward) else X


def _transformed(transformer: Any, X: ArrayLike) -> Array:
    from scipy import sparse

    values = transformer.transform(X)
    return checked_inputs(values.toarray() if sparse.issparse(values) else values)
