"""Networks that differ in one hyper-parameter: a random one, its neighbours, and everything that is measured of them.

A star is a configuration drawn at random together with all that differ from it in one hyper-parameter. It has a split,
a draw of label noise and first weights of its own, which its networks share, so that stars are independent.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mdl
from analyses import _measures as measures
from analyses import _rows
from analyses._files import files
from mdl import datasets
from mdl.lengths.baselines import bic, literal
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.penalties import CONVENTIONS
from mdl.training import Split
from mdl.trials import Trials

#: Examples to learn from; the rest of a table is for testing.
SIZES = {
    "digits": (200, 400, 800), "digits, odd or even": (200, 400, 800), "breast_cancer": (100, 200, 390),
    "wine": (30, 60, 120),
}  # fmt: skip
#: Hyper-parameters and what they are changed to; ``size`` is a place in ``SIZES``.
LEVELS: dict[str, tuple[Any, ...]] = {
    "strength": (1e-4, 1e-3, 1e-2),
    "width": (5, 10, 20),
    "depth": (1, 2, 3),
    "activation": ("relu", "tanh", "logistic"),
    "optimiser": ("lbfgs", "adam", "sgd"),
    "size": (0, 1, 2),
    "noise": (0.0, 0.15, 0.3),
}
STEPS = 600  # of adam and sgd
ITERATIONS = 200  # of L-BFGS at most
RATES = {"adam": 1e-2, "sgd": 0.05, "lbfgs": 1e-3}  # what L-BFGS is given has no effect
NOISE_SCALE, DRAWS = 0.1, 10  # of the weights, relative; how often
_BATCHES = 5  # an epoch of the smallest size; others have batches as large


@dataclass(frozen=True)
class Star:
    """Which table, which draw, whether all labels are drawn at random, and what is varied."""

    table: str
    seed: int
    shuffled: bool = False
    vary: tuple[str, ...] = tuple(LEVELS)
    steps: int = STEPS


@dataclass(frozen=True)
class Sample:
    """Nested training sets with labels of some noise, and a test set whose labels are of the true class."""

    X: Array
    y: NDArray[np.int64]
    X_test: Array
    y_test: NDArray[np.int64]
    classes: int
    noise: float

    def nats(self, model: FeedForward) -> Array:
        """Expected loss on each test example, over the noise of its label."""
        f = measures.logits(model, self.X_test)
        each = np.logaddexp.reduce(f, axis=1)[:, None] - f
        return (1.0 - self.noise) * each[np.arange(len(f)), self.y_test] + self.noise * each.mean(axis=1)

    def errors(self, model: FeedForward) -> Array:
        """Probability of an error on each test example, over the noise of its label."""
        wrong = measures.logits(model, self.X_test).argmax(axis=1) != self.y_test
        return (1.0 - self.noise) * wrong + self.noise * (1.0 - 1.0 / self.classes)


def rows(star: Star) -> list[dict[str, object]]:
    """A row for each network, and one for each pair that differs in one hyper-parameter."""
    found = {k: _measured(star, k, given) for k, given in enumerate(_configurations(star))}
    about = {"table": star.table, "seed": star.seed, "shuffled": star.shuffled}
    networks = [{"kind": "network", **about, **given.row} for given in found.values()]
    pairs = [
        {"kind": "pair", **about, "varied": name, "network": a, "other": b,
         **_errors_of_difference(found[a], found[b])}
        for name, a, b in _pairs(star)
    ]  # fmt: skip
    return networks + pairs


def _base(star: Star) -> dict[str, Any]:
    """The configuration in the middle."""
    rng = np.random.default_rng([star.seed, list(SIZES).index(star.table), star.shuffled])
    drawn = {name: levels[rng.integers(len(levels))] for name, levels in LEVELS.items()}
    return {**drawn, "noise": 1.0} if star.shuffled else drawn


def _varied(star: Star) -> list[str]:
    return [name for name in star.vary if not (star.shuffled and name == "noise")]


def _configurations(star: Star) -> list[dict[str, Any]]:
    base = _base(star)
    others = [{**base, name: level} for name in _varied(star) for level in LEVELS[name] if level != base[name]]
    return [base, *others]


def _pairs(star: Star) -> list[tuple[str, int, int]]:
    """Hyper-parameter and the places of two networks that differ in it alone."""
    all_of = _configurations(star)
    return [
        (name, a, b)
        for name in _varied(star)
        for a, b in itertools.combinations(range(len(all_of)), 2)
        if {one for one in LEVELS if all_of[a][one] != all_of[b][one]} == {name}
    ]


@functools.lru_cache(maxsize=8)
def _split(table: str, seed: int) -> Split:
    """A random order: the most examples that are learnt from, standardised, and all others."""
    loaded = datasets.load("digits" if table.startswith("digits") else table)
    y = loaded.y % 2 if table == "digits, odd or even" else loaded.y
    whole = Split.of(datasets.from_arrays(table, loaded.X, y, task="classification"), seed)
    most = SIZES[table][-1]
    rest = np.concatenate([whole.X[most:], whole.X_test]), np.concatenate([whole.y[most:], whole.y_test])
    return replace(whole, X=whole.X[:most], y=whole.y[:most], X_test=rest[0], y_test=rest[1])


def sample(star: Star, size: int, noise: float) -> Sample:
    """Labels that are random under some noise are the same random ones under more."""
    split = _split(star.table, star.seed)
    rng = np.random.default_rng([star.seed, 1])
    u, other = rng.random(len(split.y)), rng.integers(split.classes, size=len(split.y))
    y, n = np.where(u < noise, other, split.y), SIZES[star.table][size]
    return Sample(split.X[:n], y[:n].astype(np.int64), split.X_test, split.y_test, split.classes, noise)


def estimator(given: dict[str, Any], n: int, smallest: int, seed: int, steps: int) -> Any:
    """Scikit-learn's perceptron of a configuration, for n examples, not trained."""
    from sklearn.neural_network import MLPClassifier

    batch = n if given["optimiser"] == "lbfgs" else max(1, smallest // _BATCHES)
    variance = 1.0 / (n * given["strength"])
    alpha = CONVENTIONS["sklearn.MLPClassifier.alpha"].value(variance, n=n, batch=batch)
    epochs = max(1, steps // math.ceil(n / batch)) if batch < n else min(steps, ITERATIONS)
    return MLPClassifier(
        (given["width"],) * given["depth"],
        activation=given["activation"],
        solver=given["optimiser"],
        alpha=alpha,
        batch_size=batch,
        learning_rate_init=RATES[given["optimiser"]],
        max_iter=epochs,
        n_iter_no_change=epochs,  # no early end
        tol=1e-6 if batch == n else 0.0,
        max_fun=10 * epochs,
        random_state=seed,
    )


@dataclass(frozen=True)
class _Measured:
    """A row, and the losses on the test examples that tell how sure its differences are."""

    row: dict[str, object]
    nats: Array
    errors: Array


def _measured(star: Star, place: int, given: dict[str, Any]) -> _Measured:
    from sklearn.exceptions import ConvergenceWarning

    drawn = sample(star, given["size"], given["noise"])
    untrained = estimator(given, len(drawn.y), SIZES[star.table][0], star.seed, star.steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # optimisers that stop early are among what is varied
        trained = untrained.fit(drawn.X, drawn.y)
        model: FeedForward = mdl.wrap(trained)  # type: ignore[assignment]
        forecast = mdl.prequential(untrained, drawn.X, drawn.y, blocks=(0.25, 0.5, 1.0), classes=range(drawn.classes))
    nats, errors = drawn.nats(model), drawn.errors(model)
    fit = -np.asarray(model.likelihood.log_prob(model.predict(drawn.X), drawn.y))
    row = {
        "network": place, **given, "n": len(drawn.y), "classes": drawn.classes, "tests": len(nats),
        "test_bits": nats.mean() / measures.LN2, "test_error": errors.mean(),
        "train_bits": fit.mean() / measures.LN2,
        "train_error": float((measures.margins(model, drawn.X, drawn.y) <= 0.0).mean()),
        **_lengths(model, drawn, given["strength"], float(fit.sum())), "prequential_bits": forecast.bits,
        **_norms(model, drawn, np.random.default_rng([star.seed, place])),
    }  # fmt: skip
    shown = _rows.kept(row, 6)
    return _Measured(shown, nats / measures.LN2, errors)


def _lengths(model: FeedForward, drawn: Sample, strength: float, fit: float) -> dict[str, float]:
    """Total bits under every code; headers left out."""
    X, y, n = drawn.X, drawn.y, len(drawn.y)
    trials = Trials(model, X, y)
    chosen = files(trials, model)
    trained = mdl.Gaussian(1.0 / math.sqrt(n * strength))
    count = sum(tensor.size for tensor in model.weights.values())
    found = {
        "two_part": trials.search(mdl.Gaussian(), chosen.near).ideal(),
        "two_part_laplace": trials.search(mdl.Laplace(), chosen.near).ideal(),
        "faithful": chosen.faithful,
        "evidence_trained": mdl.evidence(model, X, y, trained, curvature="kronecker"),
        "evidence": mdl.evidence(model, X, y, curvature="kronecker"),
        "float32": literal(model.weights) + mdl.CodeLength((("data", fit),)),
        "bic": bic(fit, count, n),
    }
    return {f"{name}_bits": length.comparable.bits for name, length in found.items()}


def _norms(model: FeedForward, drawn: Sample, rng: np.random.Generator) -> dict[str, float]:
    """Measures that are no lengths. Sums over examples are means; margins are of the tenth percentile."""
    X, y, n = drawn.X, drawn.y, len(drawn.y)
    weights, diagonal = measures.curvature(model, X, y)
    margin = float(np.quantile(measures.margins(model, X, y), 0.1))
    return {
        "parameters": float(sum(tensor.size for tensor in model.weights.values())),
        "squared_norm": measures.squared_norm(model),
        "path_norm": measures.path_norm(model),
        "spectral": measures.spectral_product(model),
        "margin": margin,
        "normalised_margin": margin / measures.spectral_product(model),
        "trace": float(diagonal.sum()) / n,
        "fisher_rao": measures.fisher_rao(model, X, y) / n,
        "relative_precision_bits": measures.relative_precision_bits(weights, diagonal),
        "noise_rise": measures.relative_noise_rise(model, X, y, NOISE_SCALE, DRAWS, rng),
        "random": float(rng.random()),
    }


def _errors_of_difference(one: _Measured, other: _Measured) -> dict[str, float]:
    """Standard errors of the difference of two mean test losses on the same examples.

    At least that of one example: that all test examples agree does not make two networks equal.
    """
    size = len(one.nats)
    spread = {
        "se_bits": float(np.std(one.nats - other.nats)) / math.sqrt(size),
        "se_error": max(float(np.std(one.errors - other.errors)), 1.0 / math.sqrt(size)) / math.sqrt(size),
    }
    return _rows.kept(spread, 4)
