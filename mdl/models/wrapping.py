"""The one door through which models of other libraries come in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mdl.errors import MdlError
from mdl.models.estimators import from_estimator, is_pipeline
from mdl.models.functions import Function
from mdl.models.losses import likelihood_of
from mdl.models.onnx_models import from_onnx
from mdl.models.pipelines import Transformed
from mdl.models.protocol import Model
from mdl.models.torch_modules import from_module, is_module
from mdl.weights import load


def wrap(
    model: Any,
    likelihood: Any = None,
    *,
    weights: Any = None,
    free: Iterable[str] | None = None,
    precision: float = 1.0,
) -> Model:
    """A trained model of any kind as a :class:`Model`.

    Parameters
    ----------
    model
        - a fitted estimator of scikit-learn: ``LogisticRegression``, ``LogisticRegressionCV``, ``Ridge``, ``RidgeCV``,
          ``LinearRegression``, ``PoissonRegressor``, ``SGDClassifier`` (log loss), ``SGDRegressor`` (squared error),
          ``MLPClassifier``, ``MLPRegressor``; or a ``Pipeline`` that ends in one;
        - a module of torch: a chain of dense layers becomes a network of this library's own, any other is run by torch
          in double precision, from a copy. The module stays as it is;
        - the path of an ``.onnx`` with one input and one output, run by onnxruntime;
        - any function ``(weights, X) -> predictions``, with ``weights``;
        - anything with the Model protocol.
    likelihood
        What predictions are parameters of: one of :mod:`mdl.likelihoods`, or a loss of torch that is the -ln of one.
        Estimators have their own.
    weights
        Of a function: whatever :func:`mdl.load` takes.
    free
        Of a function, module or graph: tensors that no prior speaks about, which are coded apart. By default, of
        modules and graphs, those with fewer than two dimensions (biases, gains) and buffers; of functions, none.
    precision
        To which targets are stated, for regression.

    Raises
    ------
    MdlError
        If the model is of another kind, has no likelihood, or is not fitted.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> model = wrap(LogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 0, 1]))
    >>> model.likelihood, list(model.weights)
    (Bernoulli(), ['layers.0.weight', 'layers.0.bias'])
    """
    if isinstance(model, Model):
        return model if likelihood is None else model.with_likelihood(likelihood_of(likelihood, precision))
    if is_module(model):
        return from_module(model, likelihood_of(likelihood, precision), free)
    if isinstance(model, str | os.PathLike):
        return _from_file(Path(model), likelihood, free, precision)
    if is_pipeline(model):
        head = wrap(model[-1], likelihood, precision=precision)
        return head if len(model.steps) == 1 else Transformed(head, model[:-1])  # type: ignore[arg-type]
    if callable(model) and not isinstance(model, type):
        return _from_function(model, likelihood_of(likelihood, precision), weights, tuple(free or ()))
    network = from_estimator(model, precision)
    return network if likelihood is None else replace(network, likelihood=likelihood_of(likelihood, precision))


def _from_file(path: Path, likelihood: Any, free: Iterable[str] | None, precision: float) -> Function:
    if path.suffix.lower() != ".onnx":
        raise MdlError(
            f"{path}: expected an .onnx, which says how it predicts; a file of weights alone goes with a function: "
            "mdl.wrap(function, likelihood, weights=path)"
        )
    return from_onnx(path, likelihood_of(likelihood, precision), free)


def _from_function(compute: Callable[..., Any], likelihood: Any, weights: Any, free: tuple[str, ...]) -> Function:
    if weights is None:
        raise MdlError("wrap: a function (weights, X) -> predictions needs weights=, a file or a mapping of arrays")
    tensors = weights if isinstance(weights, Mapping) else load(weights)
    name = getattr(compute, "__name__", type(compute).__name__)
    return Function(load(tensors), likelihood, compute, free, f"function {name}")
