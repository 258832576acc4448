"""Two-part codes: quantised weights, then the data under the model that they make; ideal and realised.

L(model) + L(data | model), Rissanen (1978). Everything that a reader needs is charged under its own name: which prior,
which step, their parameters, the alphabets' ends; the search over steps is charged by sending the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes import message
from mdl.codes.fitted import fit_scheme
from mdl.codes.scheme import PriorLike, Scheme
from mdl.codes.shortest import Shortest
from mdl.errors import MessageError
from mdl.length import LN2, CodeLength
from mdl.models import Model, checked_inputs, from_architecture, from_indices, inputs_of_layer
from mdl.priors import Gaussian
from mdl.trials import Grid, Trials, quantizers_for
from mdl.weights import Weights, load


def measure(weights: Any, prior: PriorLike | Shortest = Gaussian(), step: Grid | None = None) -> CodeLength:  # noqa: B008
    """The ideal length of weights under a prior on a grid, nothing else: L(model).

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes: a path, a dict of arrays, ``Weights``.
    prior
        A prior, whose open parameters are fitted and charged; one with scales for rows and columns (``Scaled``); a
        family of codes such as ``KT``; or several, of which each tensor takes the shortest (``Shortest``).
    step
        A step, a quantizer, or one of either for every tensor of floats; by default the power of two about
        1/16 of the root mean square weight.

    Returns
    -------
    CodeLength
        Parts ``weights``, ``buffers`` (tensors of integers, coded as they are), ``quantizer``, ``prior``, ``support``,
        ``choice`` and ``header``.

    Examples
    --------
    >>> measure({"w": np.linspace(-1, 1, 101)}, prior=Gaussian(), step=2**-4).part_bits()["quantizer"]
    11.0
    """
    loaded = load(weights)
    return message.ideal(loaded, _scheme(loaded, prior, step))


def encode(weights: Any, prior: PriorLike | Shortest = Gaussian(), step: Grid | None = None) -> bytes:  # noqa: B008
    """Weights as a .mdl message; ``decode`` gives the quantised weights back. Parameters as in ``measure``."""
    loaded = load(weights)
    return message.write(loaded, _scheme(loaded, prior, step))[0]


def _scheme(loaded: Weights, prior: PriorLike | Shortest, step: Grid | None) -> Scheme:
    quantizers = quantizers_for(loaded.floats, default_step(loaded) if step is None else step)
    if isinstance(prior, Shortest):
        return prior.scheme(loaded, quantizers)
    return fit_scheme(loaded, quantizers, prior)


@dataclass(frozen=True)
class Report:
    """A length with what it is the length of.

    ``tensors`` has a row ``(name, weights, bits, mse)`` for every tensor of floats if they were asked for.
    """

    length: CodeLength
    weights: int
    mse: float
    data: bytes = b""
    tensors: tuple[tuple[str, int, float, float], ...] = ()

    @property
    def bits_per_weight(self) -> float:
        """Everything but the header, a weight; 0 if there are none."""
        return self.length.comparable.bits / self.weights if self.weights else 0.0

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        about = {"weights": self.weights, "bits_per_weight": self.bits_per_weight, "mse": self.mse}
        rows = [dict(zip(("name", "weights", "bits", "mse"), row, strict=True)) for row in self.tensors]
        return {**about, **self.length.as_dict(), **({"tensors": rows} if rows else {})}

    def __str__(self) -> str:
        lines = [f"{name}: {bits:,.1f} bits, {bits / max(n, 1):.4f} a weight" for name, n, bits, _ in self.tensors]
        about = f"{self.weights:,} weights, {self.bits_per_weight:.4f} bits a weight, mean squared error {self.mse:.4g}"
        return "\n".join([*lines, str(self.length), about])


def report(
    loaded: Weights, prior: PriorLike | Shortest, step: Grid | None, *, realise: bool = False, tensors: bool = False
) -> Report:
    """``measure``, or with ``realise`` the message that was written, with the error of the quantised weights."""
    names = list(loaded.floats)
    scheme = _scheme(loaded, prior, step)
    data, length = message.write(loaded, scheme) if realise else (b"", message.ideal(loaded, scheme))
    errors = {name: scheme.codings[name].squared_error(loaded[name]) for name in names}
    rows = [
        (name, loaded[name].size, scheme.codings[name].nats(loaded[name], name) / LN2,
         errors[name] / max(loaded[name].size, 1))
        for name in names if tensors
    ]  # fmt: skip
    return Report(length, loaded.count, math.fsum(errors.values()) / max(loaded.count, 1), data, tuple(rows))


def decode(data: bytes, max_weights: int | None = None) -> Weights:
    """The quantised weights of a .mdl message, exactly as the writer had them; MessageError if it is damaged.

    ``max_weights`` bounds what a message may make of the memory: by default 2^21 weights and 8,192 for every byte,
    which only a message of many equal weights exceeds.

    Examples
    --------
    >>> decode(encode({"w": [0.3, -0.1]}, step=0.25))["w"].tolist()
    [0.25, 0.0]
    """
    return Weights.of_checked(message.parse(data, max_weights=max_weights).tensors)


def default_step(tensors: Weights) -> float:
    """The power of two about 1/16 of the root mean square of all weights; 1 if they are all zero."""
    squares = sum(float(np.square(w, dtype=np.float64).sum()) for w in tensors.floats.values())
    rms = math.sqrt(squares / max(tensors.count, 1))
    return math.ldexp(1.0, round(math.log2(rms)) - 4) if rms > 0.0 else 1.0


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


def decode_with_data(data: bytes, X: ArrayLike) -> tuple[Model, NDArray[Any]]:
    """The quantised model and the exact targets of a message, given the inputs that the writer had.

    Raises
    ------
    MessageError
        If the message is damaged or holds no labels.
    PlatformError
        If X is another, or this platform's arithmetic differs from the writer's.
    """

    def predict(architecture: str, tensors: Mapping[str, Any]) -> ArrayLike:
        return from_architecture(architecture, tensors, likelihood=None).predict(X)  # type: ignore[arg-type]

    def inputs(architecture: str, tensors: Mapping[str, Any], name: str) -> ArrayLike:
        return inputs_of_layer(architecture, tensors, name, X)

    checked_inputs(X)
    read = message.parse(data, predict, inputs=inputs)
    if read.architecture is None or read.likelihood is None or read.labels is None:
        raise MessageError("the message holds weights only, no labels")
    model = from_architecture(read.architecture, read.tensors, read.likelihood)
    return model, from_indices(model, read.labels)
