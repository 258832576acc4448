"""One decomposition against a dense solve at every strength."""

from __future__ import annotations

import numpy as np
import pytest

from mdl.lengths.evidence import ridge_evidence
from mdl.select.spectrum import Spectrum

ALPHAS = np.array([1e-3, 1.0, 50.0, 1e4])
SHAPES = {"tall": (40, 7), "wide": (9, 25), "square": (12, 12), "rank 2": (30, 6)}


def problem(name, seed=0):
    n, d = SHAPES[name]
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(0.1, 3.0, d) + 2.0
    if name == "rank 2":
        X = X[:, :2] @ rng.normal(size=(2, d))
    return X, X @ rng.normal(size=d) + rng.normal(size=n) + 5.0


def dense(X, y, alpha):
    """Weights, ‖y - Xw‖², alpha ‖w‖², ½ ln det(I + XᵀX/alpha) and the trace of the hat matrix."""
    gram = X.T @ X
    w = np.linalg.solve(gram + alpha * np.eye(len(gram)), X.T @ y)
    half = 0.5 * np.linalg.slogdet(np.eye(len(gram)) + gram / alpha)[1]
    return (
        w,
        np.sum((y - X @ w) ** 2),
        alpha * w @ w,
        half,
        np.trace(np.linalg.solve(gram + alpha * np.eye(len(w)), gram)),
    )


@pytest.mark.parametrize("weakest", [np.inf, 0.0], ids=["eigen", "svd"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_every_strength_is_the_dense_solution(name, intercept, weakest):
    X, y = problem(name)
    spectrum = Spectrum.of(X, y, intercept=intercept, weakest=weakest)
    inputs, targets = (X - X.mean(axis=0), y - y.mean()) if intercept else (X, y)
    residual, penalty, half = spectrum.terms(ALPHAS)
    for k, alpha in enumerate(ALPHAS):
        w, *expected, freedom = dense(inputs, targets, alpha)
        assert spectrum.coef(alpha) == pytest.approx(w, rel=1e-6, abs=1e-8)
        assert [residual[k], penalty[k], half[k]] == pytest.approx(expected, rel=1e-6, abs=1e-8)
        assert spectrum.freedom(ALPHAS)[k] == pytest.approx(freedom, rel=1e-8)
        assert spectrum.penalised(ALPHAS)[k] == pytest.approx(expected[0] + expected[1], rel=1e-8)
        assert spectrum.intercept(w) == pytest.approx(y.mean() - X.mean(axis=0) @ w if intercept else 0.0, abs=1e-9)
    assert spectrum.spread == pytest.approx(np.sqrt(np.mean(targets**2)))


def test_it_is_the_ridge_evidence_of_the_library():
    X, y = problem("tall")
    X, y = X - X.mean(axis=0), y - y.mean()
    residual, penalty, half = Spectrum.of(X, y, intercept=False).terms(ALPHAS)
    noise, precision = 1.3, 0.01
    nats = 0.5 * (residual + penalty) / noise**2 + half + len(y) * np.log(noise * np.sqrt(2 * np.pi) / precision)
    assert nats == pytest.approx(ridge_evidence(X, y, ALPHAS, noise=noise, precision=precision).nats, rel=1e-10)


def test_where_squaring_would_show_the_inputs_themselves_are_decomposed():
    """Singular values of 1e6 and 1e-3: XᵀX knows nothing of the second."""
    rng = np.random.default_rng(0)
    U, _ = np.linalg.qr(rng.normal(size=(20, 2)))
    V, _ = np.linalg.qr(rng.normal(size=(2, 2)))
    X, y = U * [1e6, 1e-3] @ V.T, U @ [1.0, 1.0]
    alphas = np.array([1e-7, 1e-6])
    expected = [0.5 * (np.log1p(1e12 / a) + np.log1p(1e-6 / a)) for a in alphas]
    careful = Spectrum.of(X, y, intercept=False, weakest=alphas[0])
    careless = Spectrum.of(X, y, intercept=False)
    assert careful.terms(alphas)[2] == pytest.approx(expected, rel=1e-9)
    assert careless.terms(alphas)[2] != pytest.approx(expected, rel=1e-3)
