"""Which weights matter to what a model computes, by examples: factors of the curvature for each tensor, and a price."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from mdl.codes.calibrated import Factors
from mdl.curvature.objective import Objective
from mdl.errors import WeightsError
from mdl.masses import Array
from mdl.models import Model, shared
from mdl.weights import Weights, load, save

_LOSS = 1e-3  # nats an example, by default
_SIDES = ("rows", "columns")
_PRICE = "price"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Factors of the loss' curvature by the names of tensors, and what of that loss a nat of code is worth.

    The reader of a message needs none of it. Tensors that have no factors are rounded as they would be without.

    Parameters
    ----------
    factors
        ``{name: Factors}``: curvature along the rows and the columns of a tensor, nats an example; one of them a
        vector. For a layer whose weight is (inputs, outputs), the second moment of the inputs, and the curvature of
        the loss in each output.
    price
        Nats an example that may be lost for a nat of code. At high rate, N weights together lose N times the price.

    Raises
    ------
    WeightsError
        For a price that is no positive number.
    """

    factors: Mapping[str, Factors]
    price: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.price) and self.price > 0.0):
            raise WeightsError(f"price: expected a positive finite number, got {self.price!r}")

    def at(self, price: float) -> Self:
        """The same at another price."""
        return replace(self, price=price)

    def loss(self, name: str, error: Array) -> float:
        """Nats an example, to second order, that an error in a tensor costs; 0 without factors."""
        return self.factors[name].loss(error) if name in self.factors else 0.0

    @property
    def identity(self) -> str:
        """A digest of everything."""
        digest = hashlib.sha256(repr((self.price, list(self.factors))).encode())
        for factor in (side for factors in self.factors.values() for side in factors):
            digest.update(repr(factor.shape).encode() + np.ascontiguousarray(factor, np.float64).tobytes())
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """As .safetensors or .npz: ``rows NAME`` and ``columns NAME`` of every tensor, and ``price``."""
        sides = {f"{side} {name}": value for name, f in self.factors.items() for side, value in f._asdict().items()}
        save(Weights({**sides, _PRICE: np.array([self.price])}), Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """What ``save`` wrote; WeightsError if it is something else."""
        found = load(path)
        sides = {name: found[name].astype(np.float64) for name in found if name != _PRICE}
        names = [name.removeprefix("rows ") for name in sides if name.startswith("rows ")]
        expected = {f"{side} {name}" for name in names for side in _SIDES}
        if found.get(_PRICE, np.empty(0)).shape != (1,) or set(sides) != expected:
            raise WeightsError(f"{path}: expected a calibration: `rows NAME` with `columns NAME`, and one `price`")
        factors = {name: Factors(sides[f"rows {name}"], sides[f"columns {name}"]) for name in names}
        return cls(factors, float(found[_PRICE][0]))


def calibrate(model: Model, X: ArrayLike, y: ArrayLike, loss: float = _LOSS) -> Calibration:
    """How much each weight of a network matters on examples, some hundred of which are enough.

    The curvature of a layer is taken as the second moment of its inputs by the curvature of the loss in its outputs
    (Martens & Grosse), of which the diagonal is kept.

    Parameters
    ----------
    model
        A feed-forward network, what :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs and (n,) targets; these give no more than the noise of a Gaussian likelihood.
    loss
        Nats an example that all weights together may lose, about; it sets the price. :func:`mdl.rates.for_loss` meets
        a loss more closely.

    Examples
    --------
    >>> import mdl
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = mdl.wrap(MLPClassifier(20, max_iter=300, random_state=0).fit(X, y))
    >>> plain = mdl.measure(model.weights, mdl.Shortest(), step=2**-5)
    >>> some = calibrate(model, X[:256], y[:256], loss=0.01)
    >>> found = mdl.measure(model.weights, mdl.Shortest(), calibration=some)
    >>> found.bits < plain.bits
    True

    References
    ----------
    Martens & Grosse, Optimizing neural networks with Kronecker-factored approximate curvature (2015).
    """
    objective = Objective(*shared(model, X), y)  # type: ignore[arg-type]
    factors = {}
    for name, (entering, arriving) in objective.kronecker(objective.vector).items():
        outputs = np.diag(arriving) / len(objective.X)
        factors[name] = Factors(entering, outputs)
        factors[name.replace("weight", "bias")] = Factors(outputs, np.ones(1))
    return Calibration(factors, loss / sum(tensor.size for tensor in objective.model.weights.values()))
