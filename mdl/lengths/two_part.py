"""Two-part codes: quantised weights, then the data under the model that they make; ideal and realised.

L(model) + L(data | model), Rissanen (1978). Everything that a reader needs is charged under its own name: which prior,
which step, their parameters, the alphabets' ends; the search over steps is charged by sending the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike, NDArray

from mdl.codes import message
from mdl.codes.scheme import PriorLike
from mdl.errors import MdlError, MessageError
from mdl.length import CodeLength
from mdl.models import Model, checked_inputs, from_architecture, from_indices, inputs_of_layer, shared
from mdl.priors import Gaussian
from mdl.trials import Grid, Trials


def two_part(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
    *,
    realised: bool = False,
) -> CodeLength:
    """L(model) + L(y | X, model) on the shortest grid.

    Parameters
    ----------
    model
        What :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets, which are sent.
    prior
        A prior, whose open parameters are fitted and charged, or a family of codes such as ``KT``.
    quantizer
        For the penalised weights: a step, a quantizer, or one of either a tensor. By default the step that makes the
        total shortest, for the whole model or one a tensor. Free tensors (intercepts) always have a grid of their own.
    realised
        Write the message and report its size instead of the ideal length.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.preprocessing import scale
    >>> from mdl.models import wrap
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = wrap(LogisticRegression(C=0.1).fit(scale(X), y))
    >>> length = two_part(model, scale(X), y)
    >>> length.comparable.bits < 569
    True
    """
    trials = Trials(model, X, y)
    found = trials.search(prior) if quantizer is None else trials.on(quantizer, prior)
    return found.realise()[1] if realised else found.ideal()


def encode_with_data(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
) -> bytes:
    """The message whose size ``two_part(..., realised=True)`` reports; ``decode_with_data`` reads it."""
    trials = Trials(model, X, y)
    found = trials.search(prior) if quantizer is None else trials.on(quantizer, prior)
    return found.realise()[0]


def decode_with_data(data: bytes, X: Any, model: Model | None = None) -> tuple[Model, NDArray[Any]]:
    """The quantised model and the exact targets of a message, given the inputs that the writer had.

    Parameters
    ----------
    data
        What ``encode_with_data`` wrote.
    X
        The same inputs. Of a pipeline's message those of its last step, unless the pipeline is handed over too.
    model
        The reader's own copy of the model, with any weights, for a message of one that is no feed-forward network:
        a module of torch, a graph of ONNX, a function. Names and shapes of its tensors must be those of the message.

    Raises
    ------
    MessageError
        If the message is damaged, holds no labels, or is of another model.
    PlatformError
        If X is another, or this platform's arithmetic differs from the writer's.
    """
    own, inputs = (None, checked_inputs(X)) if model is None else shared(model, X)

    def rebuilt(architecture: str, tensors: Mapping[str, Any], likelihood: Any = None) -> Model:
        if own is None:
            return from_architecture(architecture, tensors, likelihood)
        if own.architecture != architecture:
            raise MdlError(f"the message is of the model {architecture[:60]!r}, but {own.architecture!r} was given")
        return own.with_weights(tensors).with_likelihood(likelihood)

    def predict(architecture: str, tensors: Mapping[str, Any]) -> ArrayLike:
        return rebuilt(architecture, tensors).predict(inputs)

    def of_layer(architecture: str, tensors: Mapping[str, Any], name: str) -> ArrayLike:
        return inputs_of_layer(architecture, tensors, name, inputs)

    read = message.parse(data, predict, inputs=of_layer)
    if read.architecture is None or read.likelihood is None or read.labels is None:
        raise MessageError("the message holds weights only, no labels")
    decoded = rebuilt(read.architecture, read.tensors, read.likelihood)
    return decoded, from_indices(decoded, read.labels)
