"""Linear models whose capacity is lowered in several ways: what they fit, what they forecast, how much they could fit.

Capacity is lowered by an L2 penalty towards zero or towards other centres, or by leaving few directions of the inputs:
the leading or the trailing principal ones, or random ones. Inputs are centred; intercepts are the constant forecast's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyses import _rows
from analyses._nested import Cell
from analyses._problems import Drawn
from mdl import likelihoods
from mdl.curvature import Objective, mode
from mdl.length import LN2
from mdl.lengths.luckiness import lnml_terms
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.models import FeedForward

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0, 100.0)
CENTRE_STRENGTH = 1e-2  # under which other examples say where a centre is
SHUFFLINGS = 5
_PRECISION = 2.0**-20  # of a quantity, in units of its spread: fine enough not to matter
_DIGITS = 4  # significant, of a number in the table

#: Ways that leave few directions, and columns of what L2 about other centres saves.
DIRECTIONS = ("leading", "random", "trailing")
CENTRES = ("told_saved_bits", "turned_saved_bits", "opposite_saved_bits")


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear model without weights, the examples that it learns, and those that it forecasts."""

    model: FeedForward
    data: Drawn

    @classmethod
    def of(cls, family: str, data: Drawn) -> Linear:
        """Under unit noise, the spread of the targets, for ridge; intercepts are the shares' logits for classes."""
        likelihood: Likelihood = likelihoods.Gaussian(_PRECISION, scale=1.0)
        bias = np.zeros(1)
        if family == "ridge":
            y, y_test = (np.rint(numbers / _PRECISION) * _PRECISION for numbers in (data.y, data.y_test))
            data = Drawn(data.X, y, data.X_test, y_test)
        else:
            shares = np.bincount(data.y) / len(data.y)
            two = shares.size == 2
            likelihood = likelihoods.Bernoulli() if two else likelihoods.Categorical(shares.size)
            bias = np.log(shares[1:] / shares[0]) if two else np.log(shares)
        tensors = {"layers.0.weight": np.zeros((data.X.shape[1], bias.size)), "layers.0.bias": bias}
        return cls(FeedForward(tensors, likelihood), data)

    def objective(self, y: NDArray[Any] | None = None) -> Objective:
        """The length of the training targets, or of others in their place."""
        return Objective(self.model, self.data.X, self.data.y if y is None else y)

    def fits(self, strengths: Sequence[float], loc: Array | float = 0.0, y: NDArray[Any] | None = None) -> list[Array]:
        """Weights under each strength, ascending; each from the next stronger one's."""
        objective = self.objective(y)
        w, found = np.broadcast_to(loc, objective.size).astype(float), []
        for strength in reversed(strengths):
            w = mode(objective, len(self.data.y) * strength, loc, w)
            found.append(w)
        return found[::-1]

    def saved(self, w: Array, X: Array, y: NDArray[Any]) -> float:
        """Bits an example that weights save beside the constant forecast."""
        objective = Objective(self.model, X, y)
        return (objective.nats(np.zeros(w.size)) - objective.nats(w)) / len(y) / LN2

    def measured(self, w: Array, strength: float) -> dict[str, float]:
        """Of one trained model."""
        alpha = len(self.data.y) * strength
        bend = np.linalg.eigvalsh(self.objective().ggn(w)).clip(0.0)
        return {
            "strength": strength, "train_saved_bits": self.saved(w, self.data.X, self.data.y),
            "test_saved_bits": self.saved(w, self.data.X_test, self.data.y_test),
            "dof": float((bend / (bend + alpha)).sum()), "norm": float(np.linalg.norm(w)),
        }  # fmt: skip

    def complexity(self, strengths: Sequence[float], loc: float = 0.0) -> Array:
        """That of luckiness NML, bits, (k,)."""
        scales = [1.0 / math.sqrt(len(self.data.y) * strength) for strength in strengths]
        return lnml_terms(self.model, self.data.X, self.data.y, scales, loc).complexity / LN2

    def random_saved(self, strengths: Sequence[float], seed: int) -> Array:
        """Mean over shufflings of the bits an example that are saved on shuffled training targets, (k,)."""
        rng = np.random.default_rng(seed)
        shuffled = [rng.permutation(self.data.y) for _ in range(SHUFFLINGS)]
        each = [[self.saved(w, self.data.X, y) for w in self.fits(strengths, y=y)] for y in shuffled]
        return np.mean(each, axis=0)

    def along(self, directions: Array) -> Linear:
        """The same where inputs are seen along (features, k) directions only."""
        data = self.data
        tensors = {
            "layers.0.weight": np.zeros((directions.shape[1], self.model.weights["layers.0.bias"].size)),
            "layers.0.bias": self.model.weights["layers.0.bias"],
        }
        seen = Drawn(data.X @ directions, data.y, data.X_test @ directions, data.y_test)
        return Linear(self.model.with_weights(tensors), seen)


def rows(cell: Cell) -> list[dict[str, Any]]:
    """A row a way of lowering capacity and a strength or number of directions."""
    data = cell.table.split(cell.n, cell.seed)
    linear = Linear.of(cell.family, data)
    about = {
        "family": cell.family, "table": cell.table.name, "shuffled": cell.table.shuffled, "n": cell.n,
        "seed": cell.seed,
    }  # fmt: skip
    found = [*_penalised(linear, cell), *_directed(linear, cell)]
    return [{**about, **_rows.kept(row, _DIGITS)} for row in found]


def _penalised(linear: Linear, cell: Cell) -> Iterator[dict[str, Any]]:
    complexity, random = linear.complexity(STRENGTHS), linear.random_saved(STRENGTHS, cell.seed)
    centres = _centred(linear, cell)
    for k, w in enumerate(linear.fits(STRENGTHS)):
        about = {"way": "L2", "complexity_bits": complexity[k], "random_saved_bits": random[k]}
        yield {**about, **linear.measured(w, STRENGTHS[k]), **{way: float(saved[k]) for way, saved in centres.items()}}


def _directed(linear: Linear, cell: Cell) -> Iterator[dict[str, Any]]:
    """1, 2, 4, ... directions, fewer than there are, under the weakest penalty."""
    rng, weakest = np.random.default_rng(cell.seed), STRENGTHS[:1]
    _, singular, right = np.linalg.svd(linear.data.X, full_matrices=False)
    axes = right[singular > 1e-9 * singular[0]].T  # as many as centred inputs have
    turned = np.linalg.qr(rng.standard_normal((linear.data.X.shape[1], axes.shape[1])))[0]
    for k in 2 ** np.arange(8):
        if k >= axes.shape[1]:
            break
        for way, directions in zip(DIRECTIONS, (axes[:, :k], turned[:, :k], axes[:, -k:]), strict=True):
            seen = linear.along(directions)
            row = seen.measured(seen.fits(weakest)[0], weakest[0])
            complexity, random = seen.complexity(weakest)[0], seen.random_saved(weakest, cell.seed)[0]
            yield {"way": way, "k": int(k), **row, "complexity_bits": complexity, "random_saved_bits": random}


def _centred(linear: Linear, cell: Cell) -> dict[str, Array]:
    """Held-out bits saved by L2 about other centres, none of which changes the complexity.

    What other examples say, a random direction of that length, and the opposite of what they say.
    """
    spare = cell.table.spare(cell.n, cell.seed)
    told = Linear.of(cell.family, Drawn(spare.X_test, spare.y_test, spare.X, spare.y)).fits([CENTRE_STRENGTH])[0]
    turned = np.random.default_rng(cell.seed).standard_normal(told.size)
    turned *= np.linalg.norm(told) / np.linalg.norm(turned)
    data = linear.data
    return {
        way: np.array([linear.saved(w, data.X_test, data.y_test) for w in linear.fits(STRENGTHS, centre)])
        for way, centre in zip(CENTRES, (told, turned, -told), strict=True)
    }
