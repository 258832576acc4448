"""Each convention against its trainer: the trained optimum is stationary for the stated objective, and for no other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hmean
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import gen_batches

from mdl.errors import PenaltyError
from mdl.penalties import CONVENTIONS, table

Layers = list[tuple[np.ndarray, np.ndarray]]
NOISE = 0.7
KEPT = [name for name, row in CONVENTIONS.items() if not row.refusal]


# --- the oracle: losses written out in numpy, differentiated by complex steps -----------------------------------------


def predictions(layers: Layers, X: np.ndarray) -> np.ndarray:
    for W, b in layers[:-1]:
        X = np.tanh(X @ W + b)
    return X @ layers[-1][0] + layers[-1][1]


def categorical(z: np.ndarray, y: np.ndarray) -> Any:
    shift = z.real.max(axis=1)
    return np.mean(shift + np.log(np.exp(z - shift[:, None]).sum(axis=1)) - z[np.arange(len(y)), y])


def bernoulli(z: np.ndarray, y: np.ndarray) -> Any:
    return np.mean(np.log1p(np.exp(z[:, 0])) - y * z[:, 0])


def gaussian(z: np.ndarray, y: np.ndarray) -> Any:
    return np.mean((y - z[:, 0]) ** 2 / (2 * NOISE) + 0.5 * math.log(2 * math.pi * NOISE))


@dataclass
class Trained:
    """An optimum that a library found, the mean NLL that it is to be judged by, and the facts of the run."""

    layers: Layers
    nll: Callable[[np.ndarray, np.ndarray], Any]
    X: np.ndarray
    y: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)

    def gradient(self) -> list[np.ndarray]:
        """Gradient of the mean NLL, W and b of each layer in turn."""
        arrays = [a.astype(complex) for pair in self.layers for a in pair]
        layers = list(zip(arrays[::2], arrays[1::2], strict=True))
        slopes = [np.empty(a.shape) for a in arrays]
        for a, slope in zip(arrays, slopes, strict=True):
            for i in np.ndindex(a.shape):
                a[i] += 1e-30j
                slope[i] = self.nll(predictions(layers, self.X), self.y).imag / 1e-30
                a[i] = a[i].real
        return slopes

    def residual(self, strength: float, biases: str) -> float:
        """|gradient of mean NLL + (strength/2)||w||^2| over |gradient of the penalty|."""
        slopes, total, penalties = self.gradient(), [], []
        for k, a in enumerate(a for pair in self.layers for a in pair):
            penalty = strength * a if k % 2 == 0 or biases == "penalised" else np.zeros_like(a)
            total.append((slopes[k] + penalty).ravel())
            penalties.append(penalty.ravel())
        return float(np.linalg.norm(np.concatenate(total)) / np.linalg.norm(np.concatenate(penalties)))


def drawn(n: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs off centre, so that intercepts matter, with three classes and a real target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)) * [1.0, 2.0, 0.5, 1.0] + 0.4
    score = X @ rng.normal(size=(4, 3)) + rng.gumbel(size=(n, 3)) + [1.0, 0.0, -0.5]
    return X, score.argmax(axis=1), 2.0 + score[:, 0]


# --- trainers: value of the penalty argument -> optimum --------------------------------------------------------------


def logistic(value: float, *, solver: str, classes: int) -> Trained:
    X, y, _ = drawn()
    y = np.minimum(y, classes - 1)
    m = LogisticRegression(C=value, solver=solver, tol=1e-9, max_iter=100_000, random_state=0).fit(X, y)
    return Trained([(m.coef_.T, m.intercept_)], bernoulli if classes == 2 else categorical, X, y)


def ridge(value: float, *, solver: str) -> Trained:
    X, _, y = drawn()
    m = Ridge(alpha=value, solver=solver, tol=1e-12).fit(X, y)
    return Trained([(m.coef_[:, None], np.array([m.intercept_]))], gaussian, X, y, {"noise_variance": NOISE})


def mlp_lbfgs(value: float) -> Trained:
    X, y, _ = drawn()
    m = MLPClassifier(
        hidden_layer_sizes=(3,), activation="tanh", solver="lbfgs", alpha=value, tol=1e-9, max_iter=5000, random_state=0
    )
    m.set_params(max_fun=10**6).fit(X, y)
    return Trained(list(zip(m.coefs_, m.intercepts_, strict=True)), categorical, X, y, {"batch": len(X)})


def mlp_regressor(value: float) -> Trained:
    X, _, y = drawn()
    m = MLPRegressor(
        hidden_layer_sizes=(3,), activation="tanh", solver="lbfgs", alpha=value, tol=1e-9, max_iter=5000, random_state=0
    )
    m.set_params(max_fun=10**6).fit(X, y)
    facts = {"batch": len(X), "noise_variance": NOISE}
    return Trained(list(zip(m.coefs_, m.intercepts_, strict=True)), gaussian, X, y, facts)


def mlp_batches(value: float, *, solver: str, copies: int, batch: int, rate: float, epochs: int = 1500) -> Trained:
    """Twenty examples, repeated: every batch has the same mean loss, so that the steps are free of noise."""
    X, y, _ = (np.concatenate([a] * copies) for a in drawn(20))
    m = MLPClassifier((), solver=solver, alpha=value, batch_size=batch, learning_rate_init=rate, momentum=0.0)
    m.set_params(shuffle=False, max_iter=epochs, tol=0.0, n_iter_no_change=10**6, random_state=0, epsilon=1e-2)
    m.fit(X, y)
    return Trained(list(zip(m.coefs_, m.intercepts_, strict=True)), categorical, X, y, {"batch": batch})


def torch_optimiser(value: float, *, optimiser: str, **settings: Any) -> Trained:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    X, y, _ = drawn()
    net = torch.nn.Linear(4, 3, dtype=torch.float64)
    steps = getattr(torch.optim, optimiser)(net.parameters(), weight_decay=value, **settings)
    inputs, labels = torch.tensor(X), torch.tensor(y)
    for _ in range(3000):
        steps.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        steps.step()
    W, b = (p.detach().numpy() for p in (net.weight, net.bias))
    return Trained([(W.T, b)], categorical, X, y)


def keras_l2(value: float) -> Trained:
    keras = pytest.importorskip("keras", reason="keras is not a dependency", exc_type=ImportError)
    keras.utils.set_random_seed(0)
    X, y, _ = drawn()
    layer = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(value), dtype="float64")
    net = keras.Sequential([keras.layers.Input((4,), dtype="float64"), layer])
    net.compile(keras.optimizers.SGD(0.2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(X, y, batch_size=len(X), epochs=1000, verbose=0)
    W, b = (np.asarray(a, dtype=float) for a in layer.get_weights())
    return Trained([(W, b)], categorical, X, y)


RUNS: dict[str, tuple[str, float, Callable[..., Trained], dict[str, Any]]] = {
    f"logistic-{solver}-{classes}": (
        "sklearn.LogisticRegression.C",
        0.05,
        logistic,
        {"solver": solver, "classes": classes},
    )
    for solver in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
    for classes in (2, 3)
}
RUNS |= {f"ridge-{s}": ("sklearn.Ridge.alpha", 9.0, ridge, {"solver": s}) for s in ("svd", "cholesky", "lsqr", "sag")}
BATCHES = {
    "sgd-full": {"solver": "sgd", "copies": 3, "batch": 60, "rate": 0.2},
    "sgd-even": {"solver": "sgd", "copies": 3, "batch": 20, "rate": 0.1},
    "sgd-short-last": {"solver": "sgd", "copies": 3, "batch": 40, "rate": 0.02, "epochs": 3000},
    "adam-even": {"solver": "adam", "copies": 3, "batch": 20, "rate": 0.01},
}
RUNS |= {f"mlp-{name}": ("sklearn.MLPClassifier.alpha", 2.0, mlp_batches, facts) for name, facts in BATCHES.items()}
RUNS |= {
    "mlp-lbfgs": ("sklearn.MLPClassifier.alpha", 2.0, mlp_lbfgs, {}),
    "mlp-regressor": ("sklearn.MLPRegressor.alpha", 2.0, mlp_regressor, {}),
    "torch-sgd": ("torch.SGD.weight_decay", 0.05, torch_optimiser, {"optimiser": "SGD", "lr": 0.2}),
    "torch-sgd-nesterov": (
        "torch.SGD.weight_decay",
        0.05,
        torch_optimiser,
        {"optimiser": "SGD", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    ),
    "torch-adam": ("torch.Adam.weight_decay", 0.05, torch_optimiser, {"optimiser": "Adam", "lr": 0.01}),
    "keras": ("keras.L2", 0.03, keras_l2, {}),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # a fixed number of epochs, on purpose
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
@pytest.mark.parametrize(("name", "value", "train", "settings"), RUNS.values(), ids=RUNS)
def test_optimum_is_stationary(
    name: str, value: float, train: Callable[..., Trained], settings: dict[str, Any]
) -> None:
    trained, row = train(value, **settings), CONVENTIONS[name]
    strength = row.strength(value, n=len(trained.y), **trained.facts)
    assert trained.residual(strength, row.biases) < 5e-3
    assert trained.residual(2 * strength, row.biases) > 0.4
    assert trained.residual(strength / 2, row.biases) > 0.4
    other = {"free": "penalised", "penalised": "free"}[row.biases]
    assert trained.residual(strength, other) > 0.1


def test_every_convention_is_trained() -> None:
    assert {name for name, *_ in RUNS.values()} == set(KEPT)


def test_liblinear_penalises_its_intercept() -> None:
    trained = logistic(0.05, solver="liblinear", classes=2)
    strength = CONVENTIONS["sklearn.LogisticRegression.C"].strength(0.05, n=len(trained.y))
    assert trained.residual(strength, "penalised") < 1e-3
    assert trained.residual(strength, "free") > 0.03


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_short_last_batch_of_a_shuffled_epoch_carries_its_whole_penalty() -> None:
    X, y, _ = drawn(41)
    m = MLPClassifier(hidden_layer_sizes=(), solver="sgd", alpha=2.0, batch_size=20, learning_rate_init=0.003)
    m.set_params(max_iter=2500, tol=0.0, n_iter_no_change=10**6, random_state=0, momentum=0.0).fit(X, y)
    slope, W = Trained([(m.coefs_[0], m.intercepts_[0])], categorical, X, y).gradient()[0], m.coefs_[0]
    measured = -np.sum(slope * W) / np.sum(W * W)
    strength = CONVENTIONS["sklearn.MLPClassifier.alpha"].strength(2.0, n=41, batch=20)
    assert strength == pytest.approx(2.0 * (1 / 20 + 1 / 20 + 1) / 3)
    assert measured == pytest.approx(strength, rel=0.05)


@pytest.mark.parametrize("eps", [1e-2, 1e-3])
def test_adamw_stops_where_no_l2_objective_does(eps: float) -> None:
    decay = 2.0
    settings = {"optimiser": "AdamW", "lr": 0.1, "betas": (0.9, 0.99), "eps": eps}
    trained = torch_optimiser(decay, **settings)
    slope = np.concatenate([s.ravel() for s in trained.gradient()])
    w = np.concatenate([a.ravel() for pair in trained.layers for a in pair])
    best = -(slope @ w) / (w @ w)
    assert np.linalg.norm(slope + best * w) > 0.5 * np.linalg.norm(slope)
    # where it does stop: decay * w = -slope / (|slope| + eps), so each weight has a strength of its own
    own = eps * decay / (1 - decay * np.abs(w))
    np.testing.assert_allclose(slope, -own * w, rtol=5e-3)
    assert own.max() > 10 * own.min()


@pytest.mark.parametrize("method", ["variance", "value", "strength", "prior"])
def test_adamw_is_refused(method: str) -> None:
    with pytest.raises(
        PenaltyError, match=r"torch\.AdamW\.weight_decay: expected an L2 penalty, got a decay that bypasses"
    ):
        getattr(CONVENTIONS["torch.AdamW.weight_decay"], method)(0.01, n=100)


# --- arithmetic ------------------------------------------------------------------------------------------------------

positive = st.floats(1e-100, 1e100)
sizes = st.integers(1, 10**9)


def facts_of(name: str, batch: int, noise_variance: float) -> dict[str, Any]:
    offered = {"batch": batch, "noise_variance": noise_variance}
    return {fact: offered[fact] for fact in CONVENTIONS[name].needs}


@pytest.mark.parametrize("name", KEPT)
@given(value=positive, n=sizes, batch=sizes, noise_variance=positive)
def test_round_trip(name: str, value: float, n: int, batch: int, noise_variance: float) -> None:
    row, facts = CONVENTIONS[name], facts_of(name, min(batch, n), noise_variance)
    variance = row.variance(value, n=n, **facts)
    assert row.value(variance, n=n, **facts) == pytest.approx(value, rel=1e-14)
    assert row.strength(value, n=n, **facts) == pytest.approx(1 / (n * variance), rel=1e-14)
    assert row.prior(value, n=n, **facts).scale == pytest.approx(math.sqrt(variance), rel=1e-14)
    assert row.prior(value, n=n, **facts).loc == 0.0


@pytest.mark.parametrize("name", KEPT)
def test_printed_formula_is_the_one_computed(name: str) -> None:
    row = CONVENTIONS[name]
    meaning = {"n": 60, "b": 20, "s2": 0.7, row.argument: 0.3}
    expected = float(sympy.sympify(row.formula).subs(meaning))
    assert row.variance(0.3, n=60, **facts_of(name, 20, 0.7)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (60, 60), (60, 20), (60, 40), (201, 200), (1797, 200)])
def test_batch_is_the_harmonic_mean_of_sklearns(n: int, batch: int) -> None:
    sizes_of_an_epoch = [part.stop - part.start for part in gen_batches(n, batch)]
    variance = CONVENTIONS["sklearn.MLPClassifier.alpha"].variance(1.0, n=n, batch=batch)
    assert variance * n == pytest.approx(hmean(sizes_of_an_epoch), rel=1e-14)


BAD_NUMBERS = [0.0, -1.0, math.nan, math.inf, -math.inf, "1", None, np.array([1.0]), 1j]


@pytest.mark.parametrize("number", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize("name", KEPT)
def test_bad_number_is_named(name: str, number: Any) -> None:
    row, facts = CONVENTIONS[name], facts_of(name, 2, 1.0)
    for method in (row.variance, row.strength, row.prior):
        with pytest.raises(PenaltyError, match=rf"^{row.argument}: expected a finite number > 0, got "):
            method(number, n=5, **facts)
    with pytest.raises(PenaltyError, match=r"^variance: expected a finite number > 0, got "):
        row.value(number, n=5, **facts)


@pytest.mark.parametrize("n", [0, -3, 2.5, 100.0, math.nan, None], ids=repr)
@pytest.mark.parametrize("name", KEPT)
def test_bad_n_is_named(name: str, n: Any) -> None:
    with pytest.raises(PenaltyError, match=rf"^n: expected a whole number >= 1, got {re.escape(repr(n))}"):
        CONVENTIONS[name].variance(1.0, n=n, **facts_of(name, 1, 1.0))


@pytest.mark.parametrize(
    ("name", "facts", "message"),
    [
        ("sklearn.Ridge.alpha", {}, r"^noise_variance: expected a number for sklearn\.Ridge\.alpha, got None"),
        ("sklearn.Ridge.alpha", {"noise_variance": -1.0}, r"^noise_variance: expected a finite number > 0"),
        ("sklearn.MLPClassifier.alpha", {}, r"^batch: expected a number for sklearn\.MLPClassifier\.alpha, got None"),
        ("sklearn.MLPClassifier.alpha", {"batch": 0}, r"^batch: expected a whole number >= 1, got 0"),
        ("sklearn.MLPClassifier.alpha", {"batch": 6}, r"^batch: expected at most n = 5, got 6"),
        ("torch.SGD.weight_decay", {"noise_variance": 1.0}, r"^noise_variance: expected nothing .*, got 1\.0"),
        ("keras.L2", {"batch": 2}, r"^batch: expected nothing for keras\.L2, got 2"),
    ],
)
def test_bad_fact_is_named(name: str, facts: dict[str, Any], message: str) -> None:
    with pytest.raises(PenaltyError, match=message):
        CONVENTIONS[name].variance(1.0, n=5, **facts)


@pytest.mark.parametrize("value", [1e-320, 5e-324])
def test_a_variance_beyond_float64_is_refused(value: float) -> None:
    with pytest.raises(PenaltyError, match=r"^weight_decay: .*float64"):
        CONVENTIONS["torch.SGD.weight_decay"].variance(value, n=1)


def test_numpy_numbers_are_numbers() -> None:
    variance = CONVENTIONS["keras.L2"].variance(np.float32(0.5), n=np.int64(4))  # type: ignore[arg-type]
    assert variance == 0.25


def test_the_page_shows_the_table() -> None:
    page = Path(__file__).parent.parent / "docs" / "conventions.md"
    assert table() in page.read_text(encoding="utf-8")
    assert table().count("\n") == len(CONVENTIONS) + 1
