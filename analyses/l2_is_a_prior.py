"""Is a penalty a prior? Derives the penalty of every prior and holds it against measured code lengths.

``python -m analyses.l2_is_a_prior [--quick] [--out DIR] [--seed N]`` trains on the digits under an L2 penalty, codes
the trained weights under every prior at falling steps, and writes tables (CSV, LaTeX) and a figure (PDF, PNG).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mdl import symbolic
from mdl.codes import coder
from mdl.codes.discretized import Discretized
from mdl.errors import CodeError
from mdl.files import write_atomically
from mdl.models import Model, wrap
from mdl.plot import STYLE, save_figure
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

Array = NDArray[np.float64]

STRENGTH = 1e-3  # per-example L2: mean NLL + STRENGTH/2 ||w||^2
HALVINGS = range(14)  # steps of scale / 2^k
SMALL = 4  # from this many halvings on the leading term is asked for
TINY = 20  # halvings of the step of the second experiment
SMOOTH = ("Gaussian", "Logistic", "Cauchy", "Student t", "Mixture", "Spike and slab")
KINKED = ("Laplace", "Generalised Gaussian")
LN2 = math.log(2.0)


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


def train(seed: int, quick: bool) -> list[Trained]:
    """Logistic regression and a tanh network on the digits, by full-batch optimisers, to tight tolerances."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    X, y = load_digits(return_X_y=True)
    X, y = (X[:300] / 16.0, y[:300]) if quick else (X / 16.0, y)
    prior = Gaussian.from_l2(STRENGTH, n=len(y))
    logistic = LogisticRegression(C=prior.parameters[0] ** 2, tol=1e-8, max_iter=20_000)
    network = MLPClassifier(
        (8 if quick else 32,),
        activation="tanh",
        solver="lbfgs",
        alpha=prior.parameters[0] ** -2,
        tol=1e-9,
        max_iter=20_000,
        max_fun=100_000,
        random_state=seed,
    )
    fitted = {"logistic regression": logistic, "tanh network": network}
    return [Trained(name, wrap(estimator.fit(X, y)), X, y, prior) for name, estimator in fitted.items()]


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


def penalties() -> pd.DataFrame:
    """The derived table: prior, penalty, force, curvature at the centre, cost of rounding."""
    columns = {
        "penalty": symbolic.penalty,
        "force": symbolic.force,
        "curvature_at_centre": symbolic.curvature,
        "rounding_cost": symbolic.rounding_cost,
    }
    rows = []
    for family in symbolic.FAMILIES:
        derived = {name: symbolic.centred(derive(family)) for name, derive in columns.items()}
        latex = {f"{name}_latex": symbolic.latex(expression) for name, expression in derived.items()}
        rows.append({"prior": type(family).__name__, **{k: str(v) for k, v in derived.items()}, **latex})
    return pd.DataFrame(rows)


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
            row = {"model": trained.name, "prior": label, "halvings": halvings}
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


def slopes(rows: pd.DataFrame) -> pd.DataFrame:
    """Order of the gap in the step, and the gap over its derived leading term at the smallest steps."""

    def of(group: pd.DataFrame) -> pd.Series:
        small = group[group.halvings >= SMALL]
        gap = small.gap_nats_per_weight.abs()
        vanishes = bool(gap.max() < 1e-13)
        slope = math.nan if vanishes else float(np.polyfit(np.log(small.step), np.log(gap), 1)[0])
        last = small.iloc[-3:]
        ratio = 1.0 if vanishes else float((last.gap_nats_per_weight / last.derived_gap_nats_per_weight).mean())
        over = (group.realised_bytes - group.ideal_in_range_bytes) * 8
        return pd.Series({
            "slope": slope,
            "measured_over_derived": ratio,
            "largest_small_gap": float(gap.max()),
            "zeros_at_smallest_step": group.at_centre.iloc[-1],
            "realised_minus_ideal_bits": float(over.max()),
        })  # fmt: skip

    groups = rows.groupby(["model", "prior"], sort=False)[rows.columns.tolist()]
    return groups.apply(of).reset_index()


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


def figure(rows: pd.DataFrame) -> Figure:
    """The gap per weight against the step, one line a prior, one panel a model."""
    colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F"]
    styles = list(zip(colours, "os^Dv<>P", ["-", "--", "-", "-.", "-", "--", ":", "-."], strict=True))
    models = rows.model.unique()
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(7.0, 3.3), layout="constrained")
        axes = drawn.subplots(1, len(models), sharey=True)
        for axis, model in zip(axes, models, strict=True):
            shown = rows[(rows.model == model) & (rows.prior != "Uniform")]  # whose gap is none
            for (prior, group), (colour, marker, line) in zip(shown.groupby("prior", sort=False), styles, strict=True):
                gap = group.gap_nats_per_weight.abs()
                x = 2.0 ** -group.halvings.astype(float)
                axis.plot(x, gap, line, color=colour, marker=marker, ms=3.5, lw=1.0, mfc="none", label=prior)
            guide = np.array([2.0 ** -HALVINGS[-1], 1.0])
            axis.plot(guide, 0.3 * guide**2, color="0.75", lw=4, alpha=0.6, zorder=0, label="slope 2")
            axis.set(xscale="log", yscale="log", title=f"{model}, {shown.weights.iloc[0]:,} weights")
            axis.set_xlabel("step Δ / scale of the L2 prior")
        axes[0].set_ylabel("|code length − penalty|, nats per weight")
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return drawn


def verdict(orders: pd.DataFrame, pulls: pd.DataFrame, rises: pd.DataFrame) -> dict[str, bool]:
    """Each claim, and whether it held."""
    smooth = orders[orders.prior.isin(SMOOTH)]
    special = orders[orders.prior.isin(KINKED)]
    flat = orders[orders.prior == "Uniform"]
    trained = pulls[pulls.strength_over_trained == 1.0]
    others = pulls[(pulls.strength_over_trained != 1.0) & (pulls.direction == "weights")]
    return {
        "smooth priors: the gap falls like the square of the step": bool(smooth.slope.between(1.9, 2.1).all()),
        "all priors: the gap is the one derived, to 2 %": bool(orders.measured_over_derived.between(0.98, 1.02).all()),
        "Laplace and generalised Gaussian: it falls too, at least like the step": bool((special.slope > 0.95).all()),
        "uniform prior: no gap at any step": bool((flat.largest_small_gap < 1e-13).all()),
        "bytes: within 64 bits of the ideal length": bool((orders.realised_minus_ideal_bits <= 64).all()),
        "trained optimum: both parts' slopes cancel": bool((trained.uncancelled < 1e-2).all()),
        "half or twice the strength: they do not": bool((others.uncancelled > 0.1).all()),
        "scaled weights make a longer message": bool((rises[rises.factor != 1.0].rise_nats > 0).all()),
    }


def run(out: Path, seed: int, quick: bool) -> dict[str, bool]:
    """Train, measure, write tables and figure to ``out``; print and return the verdict."""
    models = train(seed, quick)
    rows = pd.concat([identity(trained) for trained in models], ignore_index=True)
    pulls = pd.concat([stationarity(trained, seed, 2 if quick else 8) for trained in models], ignore_index=True)
    rises = pd.concat([scaling(trained) for trained in models], ignore_index=True)
    orders, derived = slopes(rows), penalties()
    found = verdict(orders, pulls, rises)
    out.mkdir(parents=True, exist_ok=True)
    tables = {"penalties": derived, "identity": rows, "orders": orders, "stationarity": pulls, "scaling": rises}
    for name, table in tables.items():
        _write(out / f"{name}.csv", table.to_csv(index=False))
    _write(out / "penalties.tex", symbolic.latex_table() + "\n")
    save_figure(figure(rows), out / "identity")
    _report(derived, orders, pulls, rises, found)
    return found


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda stream: stream.write(text.encode()))


def _report(derived: pd.DataFrame, orders: pd.DataFrame, pulls: pd.DataFrame, rises: pd.DataFrame, found: Any) -> None:
    print("Penalties, derived (centred at 0):")
    for row in derived.itertuples():
        print(f"  {row.prior:<20} {row.penalty}")
    print("\nCode length minus penalty, as the step falls:")
    print(orders.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print("\nSlope of the two-part length at the trained weights, along them:")
    along = pulls[pulls.direction == "weights"].drop(columns="direction")
    print(along.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    trained = pulls[pulls.strength_over_trained == 1.0]
    print(f"largest uncancelled share of the prior's pull over all directions: {trained.uncancelled.max():.2g}")
    print("\nTwo-part length with the weights multiplied by a factor:")
    print(rises.to_string(index=False, float_format=lambda value: f"{value:.6g}"))
    print("\nVerdict:")
    for claim, held in found.items():
        print(f"  {'held  ' if held else 'FAILED'}  {claim}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m analyses.l2_is_a_prior", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 examples and a small network")
    parser.add_argument("--out", type=Path, default=Path("results/l2_is_a_prior"), help="folder for tables and figures")
    parser.add_argument("--seed", type=int, default=0, help="of the network's start and the random directions")
    given = parser.parse_args(arguments)
    return 0 if all(run(given.out, given.seed, given.quick).values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
