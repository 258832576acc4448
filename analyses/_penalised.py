"""Code lengths and penalties of two trained models, step by step: what :mod:`analyses.l2_is_a_prior` measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mdl import symbolic
from mdl.codes import coder
from mdl.codes.discretized import Discretized
from mdl.errors import CodeError
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import Model, wrap
from mdl.priors import (
    Cauchy,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    Prior,
    SpikeAndSlab,
    StudentT,
    Uniform,
)
from mdl.quantize import UniformGrid
from mdl.symbolic import as_function, parameters

MODELS = ("logistic regression", "tanh network")
STRENGTH = 1e-3  # per-example L2: mean NLL + STRENGTH/2 ||w||^2
HALVINGS = range(14)  # steps of scale / 2^k
TINY = 20  # halvings of the step of the second experiment


@dataclass(frozen=True)
class Trained:
    """A model at its L2 optimum, the data it was trained on, and the prior that the penalty stands for."""

    name: str
    model: Model
    X: Array
    y: NDArray[np.int64]
    prior: Gaussian

    @property
    def weights(self) -> Array:
        """All penalised weights in one row."""
        names = [name for name in self.model.weights if name not in self.model.free]
        return np.concatenate([self.model.weights[name].ravel() for name in names]).astype(float)

    def with_penalised(self, weights: Array) -> Model:
        """The model with other penalised weights, biases untouched."""
        tensors, start = dict(self.model.weights), 0
        for name, tensor in self.model.weights.items():
            if name not in self.model.free:
                tensors[name] = weights[start : start + tensor.size].reshape(tensor.shape)
                start += tensor.size
        return self.model.with_weights(tensors)


def measured(task: tuple[str, int, bool]) -> list[dict[str, Any]]:
    """All three parts of one model's table."""
    name, seed, quick = task
    trained = train(name, seed, quick)
    parts = {
        "identity": identity(trained),
        "stationarity": stationarity(trained, seed, 2 if quick else 8),
        "scaling": scaling(trained),
    }
    return [{"part": part, **row} for part, rows in parts.items() for row in rows.to_dict("records")]


def train(name: str, seed: int, quick: bool) -> Trained:
    """Logistic regression or a tanh network on the digits, by full-batch optimisers, to tight tolerances."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    X, y = load_digits(return_X_y=True)
    X, y = (X[:300] / 16.0, y[:300]) if quick else (X / 16.0, y)
    prior = Gaussian.from_l2(STRENGTH, n=len(y))
    if name == "logistic regression":
        estimator = LogisticRegression(C=prior.parameters[0] ** 2, tol=1e-8, max_iter=20_000)
    else:
        estimator = MLPClassifier(
            (8 if quick else 32,),
            activation="tanh",
            solver="lbfgs",
            alpha=prior.parameters[0] ** -2,
            tol=1e-9,
            max_iter=20_000,
            max_fun=100_000,
            random_state=seed,
        )
    return Trained(name, wrap(estimator.fit(X, y)), X, y, prior)


def given_priors(scale: float, weights: Array) -> dict[str, Prior]:
    """One of every family, its numbers given and not fitted: an identity holds for all of them."""
    widest = float(np.abs(weights).max()) + scale * 2.0 ** -HALVINGS[0]  # so that every cell lies inside
    return {
        "Gaussian": Gaussian(scale),
        "Laplace": Laplace(scale),
        "Logistic": Logistic(scale),
        "Cauchy": Cauchy(scale),
        "Student t": StudentT(scale, df=4.0),
        "Generalised Gaussian": GeneralizedGaussian(scale, shape=1.5),
        "Uniform": Uniform(widest),
        "Mixture": Mixture(2, weights=(0.7, 0.3), locs=(0.0, scale / 2), scales=(scale / 2, 2 * scale)),
        "Spike and slab": SpikeAndSlab(0.9, Gaussian(scale)),
    }


def identity(trained: Trained) -> pd.DataFrame:
    """Measured lengths against penalties, prior by prior, step by step."""
    scale, weights = trained.prior.parameters[0], trained.weights
    rows = []
    for label, prior in given_priors(scale, weights).items():
        formulas = {
            name: as_function(derive(prior))
            for name, derive in (
                ("penalty", symbolic.penalty),
                ("origin", symbolic.origin_length),
                ("rounding", symbolic.rounding_cost),
                ("centre", symbolic.centre_cost),
            )
        }
        for halvings in HALVINGS:
            row = {"model": trained.name, "n": len(trained.y), "prior": label, "halvings": halvings}
            rows.append(row | _at_step(weights, prior, scale * 2.0**-halvings, formulas))
    return pd.DataFrame(rows)


def _at_step(weights: Array, prior: Prior, step: float, formulas: Mapping[str, Any]) -> dict[str, float]:
    grid = UniformGrid(step)
    symbols = grid.quantize(weights)
    carried = grid.dequantize(symbols)
    code = Discretized(prior, grid, int(symbols.min()), int(symbols.max()))
    values = {"step": step, **parameters(prior)}
    ideal = float(code.nats(symbols).sum())
    penalty = float(formulas["penalty"](w=carried, **values).sum())
    origin = weights.size * float(formulas["origin"](**values))
    at_centre = symbols == 0
    rounding = float(formulas["rounding"](w=carried[~at_centre], **values).sum())
    derived = rounding + int(at_centre.sum()) * float(formulas["centre"](**values))
    moved = penalty - float(formulas["penalty"](w=np.where(at_centre, 0.0, weights), **values).sum())
    outside = float(prior.log_mass((code.lo - 0.5) * step, (code.hi + 0.5) * step))
    return {
        "step": step,
        "weights": weights.size,
        "at_centre": int(at_centre.sum()),
        "ideal_nats_per_weight": ideal / weights.size,
        "penalty_nats_per_weight": (penalty + origin) / weights.size,
        "gap_nats_per_weight": (ideal - penalty - origin) / weights.size,
        "derived_gap_nats_per_weight": derived / weights.size,
        "moved_nats_per_weight": moved / weights.size,
        "ideal_bytes": ideal / LN2 / 8,
        "ideal_in_range_bytes": (ideal + weights.size * outside) / LN2 / 8,
        "realised_bytes": _realised(code, symbols),
    }


def _realised(code: Discretized, symbols: NDArray[np.int32]) -> int:
    """Size of bytes that decode to the same symbols."""
    data = coder.encode(code, symbols)
    if not np.array_equal(coder.decode(code, data, symbols.size), symbols):
        raise CodeError("expected the decoded symbols to be those encoded, got others")
    return len(data)


def total_parts(trained: Trained, weights: Array, prior: Prior, step: float) -> tuple[float, float]:
    """Nats of the weights on the grid, and of the labels under the model with those weights."""
    grid = UniformGrid(step)
    symbols = grid.quantize(weights)
    code = Discretized(prior, grid, int(symbols.min()), int(symbols.max()))
    model = trained.with_penalised(grid.dequantize(symbols))
    data = -float(model.likelihood.log_prob(model.predict(trained.X), trained.y).sum())
    return float(code.nats(symbols).sum()), data


def stationarity(trained: Trained, seed: int, directions: int) -> pd.DataFrame:
    """Slopes of both parts of the length along w and random directions; priors of other strengths as controls."""
    rng = np.random.default_rng(seed)
    weights = trained.weights
    random = rng.standard_normal((directions, weights.size))
    random *= np.linalg.norm(weights) / np.linalg.norm(random, axis=1, keepdims=True)
    ways = {"weights": weights, **{f"random {k + 1}": way for k, way in enumerate(random)}}
    scale, h = trained.prior.parameters[0], 1e-3
    rows = []
    for times in (0.5, 1.0, 2.0):
        prior = Gaussian(scale / math.sqrt(times))
        steepest = times * float(weights @ weights) / scale**2  # of the weights' part, over directions this long
        for name, way in ways.items():
            ahead, behind = (total_parts(trained, weights + s * h * way, prior, scale * 2.0**-TINY) for s in (1, -1))
            of_weights, of_data = ((a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True))
            rows.append({
                "model": trained.name, "direction": name, "strength_over_trained": times,
                "weights_slope_nats": of_weights, "data_slope_nats": of_data,
                "total_slope_nats": of_weights + of_data,
                "uncancelled": abs(of_weights + of_data) / steepest,
            })  # fmt: skip
    return pd.DataFrame(rows)


def scaling(trained: Trained) -> pd.DataFrame:
    """Two-part length with all penalised weights multiplied by a factor, against that at the optimum."""
    step = trained.prior.parameters[0] * 2.0**-TINY
    factors = [0.7, 0.9, 0.97, 0.99, 1.0, 1.01, 1.03, 1.1, 1.3]
    parts = [total_parts(trained, factor * trained.weights, trained.prior, step) for factor in factors]
    table = pd.DataFrame(parts, columns=["weights_nats", "data_nats"])
    table.insert(0, "factor", factors)
    table.insert(0, "model", trained.name)
    total = table.weights_nats + table.data_nats
    table["rise_nats"] = total - total[factors.index(1.0)]
    return table
