"""Every code of the candidates against a dense formula, or the method that it is, applied to one candidate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import scale

import mdl
from mdl.curvature import Objective
from mdl.errors import MdlError
from mdl.lengths.luckiness import prac_mdl_comp
from mdl.priors import Gaussian
from mdl.select.candidates import Candidates
from mdl.select.codes import CODES, ORDERS, chosen, code_lengths, ridge_noise
from mdl.select.laplace import hessian, mode_of, with_told_intercepts

LAMBDAS = (1e-3, 1e-1, 1.0)
WINE = load_wine(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
LOGISTIC = LogisticRegression(solver="newton-cg", tol=1e-8, max_iter=1000)
LINEAR_ONLY, RIDGE_ONLY = {"lnml", "prac-mdl-comp"}, {"prac-mdl-comp"}


def classes(count, labels=None):
    X, y = scale(WINE[0])[: 130 if count == 2 else None, :5], WINE[1][: 130 if count == 2 else None]
    return Candidates.of(LOGISTIC, LAMBDAS, X, y if labels is None else np.array(labels)[y])


def ridge(n=60, **options):
    return Candidates.of(Ridge(**options), LAMBDAS, scale(DIABETES[0])[:n], DIABETES[1][:n])


def network(kind):
    if kind is MLPClassifier:
        X, y = scale(WINE[0])[::2, :4], WINE[1][::2]
    else:
        X, y = scale(DIABETES[0])[:60, :4], scale(DIABETES[1])[:60]
    return Candidates.of(kind(hidden_layer_sizes=(2,), solver="lbfgs", max_iter=2000, random_state=0), LAMBDAS, X, y)


MAKERS = {
    "ridge": ridge,
    "two classes": lambda: classes(2),
    "three texts": lambda: classes(3, ["b", "c", "a"]),
    "classifying network": lambda: network(MLPClassifier),
    "regressing network": lambda: network(MLPRegressor),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("code", CODES)
def test_every_code_gives_each_candidate_a_length_that_charges_the_choice(code, name):
    candidates = MAKERS[name]()
    if (code in RIDGE_ONLY and not candidates.ridge) or (code in LINEAR_ONLY and not candidates.linear):
        with pytest.raises(MdlError, match=r"expected a linear model|for Ridge only"):
            code_lengths(code, candidates)
        return
    lengths = code_lengths(code, candidates)
    assert len(lengths) == len(LAMBDAS)
    assert all(length.part("choice") >= math.log(3) for length in lengths)
    assert all(math.isfinite(length.nats) and not length.realised for length in lengths)
    assert lengths[chosen(lengths)].comparable.nats == min(length.comparable.nats for length in lengths)
    if not code.endswith(("fitted", "lattice", "refined")):
        assert all(length.part("prior") == 0.0 for length in lengths)


def test_an_unknown_code_is_refused():
    with pytest.raises(MdlError, match=r"code: expected one of evidence, .*, got 'cv'"):
        code_lengths("cv", classes(2))


def test_of_equal_lengths_the_strongest_penalty_is_chosen():
    lengths = [mdl.CodeLength.of({"data": nats, "header": 9.0 * k}) for k, nats in enumerate((3.0, 2.0, 2.0, 4.0))]
    assert chosen(lengths) == 2


# --- ridge ------------------------------------------------------------------------------------------------------------


def told_mean(candidates, length):
    """The grid's mean that is nearest, and what an Elias delta code of it costs."""
    n, y = candidates.n, candidates.y
    step = 2.0 ** math.floor(math.log2(np.std(y) / math.sqrt(n)))
    symbol = round(y.mean() / step)
    assert length.part("intercepts") > math.log(symbol)
    return symbol * step


@pytest.mark.parametrize("n", [8, 60])
def test_ridge_evidence_is_the_density_of_a_multivariate_normal(n):
    """y ~ N(mean, s² I + s²/alpha XXᵀ) in cells of the precision; more features than examples included."""
    candidates = ridge(n)
    X, noises = candidates.X - candidates.X.mean(axis=0), ridge_noise(candidates)
    for k, length in enumerate(code_lengths("evidence", candidates)):
        mean = told_mean(candidates, length)

        def nats(noise, k=k, mean=mean):
            covariance = noise**2 * (np.eye(n) + X @ X.T / candidates.alphas[k])
            return -stats.multivariate_normal(np.full(n, mean), covariance).logpdf(candidates.y)

        nearby = [nats(noises[k] * factor) for factor in (1.01, 1.0, 0.99)]
        assert min(nearby) == nearby[1]
        expected = nearby[1] - n * math.log(candidates.precision)
        assert length.part("weights") + length.part("data") == pytest.approx(expected, rel=1e-9)


def test_luckiness_nml_of_ridge_is_the_evidence():
    """Miyaguchi & Yamanishi's LNML: penalised loss at its least, and ½ ln det(I + XᵀX/alpha)."""
    candidates = ridge()
    X, noises = candidates.X - candidates.X.mean(axis=0), ridge_noise(candidates)
    lengths, evidence = code_lengths("lnml", candidates), code_lengths("evidence", candidates)
    assert [length.nats for length in lengths] == pytest.approx([length.nats for length in evidence], rel=1e-12)
    for k, length in enumerate(lengths):
        alpha = candidates.alphas[k]
        w = np.linalg.solve(X.T @ X + alpha * np.eye(10), X.T @ candidates.y)
        assert length.part("penalty") == pytest.approx(alpha * w @ w / (2 * noises[k] ** 2), rel=1e-9)
        complexity = 0.5 * np.linalg.slogdet(np.eye(10) + X.T @ X / alpha)[1]
        assert length.part("complexity") == pytest.approx(complexity, rel=1e-9)


def test_prac_mdl_comp_is_the_papers_formula_with_the_terms_that_all_share():
    """‖y - Xŵ‖²/2s² + α‖ŵ‖²/2s² + ½ Σ ln(1 + ρᵢ/α), and n ln(s √2π/precision)."""
    candidates = ridge()
    lengths = code_lengths("prac-mdl-comp", candidates)
    X, n = candidates.X - candidates.X.mean(axis=0), candidates.n
    noise = ridge_noise(candidates)[chosen(code_lengths("evidence", candidates))]
    flat = n * math.log(noise * math.sqrt(2 * math.pi) / candidates.precision)
    y = candidates.y - told_mean(candidates, lengths[0])
    for length, alpha in zip(lengths, candidates.alphas, strict=True):
        w = np.linalg.solve(X.T @ X + alpha * np.eye(10), X.T @ y)
        losses = np.sum((y - X @ w) ** 2) + alpha * w @ w
        complexity = 0.5 * np.log1p(np.linalg.eigvalsh(X.T @ X) / alpha).sum()
        found = length.part("penalty") + length.part("complexity") + length.part("data")
        assert found == pytest.approx(losses / (2 * noise**2) + complexity + flat, rel=1e-9)
        (library,) = prac_mdl_comp(X, y, [alpha], noise).nats
        assert found == pytest.approx(library + flat, rel=1e-9)


def test_the_noise_is_told_finely_enough():
    """The nearest of the scales that are told costs no more than what is charged for it."""
    n, noise = 60, 1.0
    spacing, nats = 1.0 / math.sqrt(n), lambda scale: 0.5 * n * noise**2 / scale**2 + n * math.log(scale)
    worst = max(nats(math.exp(sign * spacing / 2)) for sign in (-1, 1)) - nats(noise)
    candidates = ridge(n)
    told = code_lengths("evidence", candidates)[0].part("likelihood")
    scales = 31 * math.log(2) / spacing
    precision = mdl.codes.numbers.real_bits(candidates.precision).size * math.log(2)
    assert told >= precision + math.log(scales) + worst


def test_a_noiseless_target_has_the_noise_of_its_precision():
    X = scale(DIABETES[0])
    candidates = Candidates.of(Ridge(), [1e-12, 1e-3], X, X @ np.arange(10.0))
    assert ridge_noise(candidates)[0] == candidates.precision / 2
    assert all(length.part("data") >= 0.0 for length in code_lengths("evidence", candidates))


def test_without_an_intercept_none_is_told():
    parts = dict(code_lengths("evidence", ridge(fit_intercept=False))[0].parts)
    assert "intercepts" not in parts
    assert "quantizer" not in parts


# --- classifiers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
def test_the_hessian_is_the_librarys(count):
    candidates = classes(count)
    objective = Objective(candidates.models[0], candidates.X, candidates.targets)
    w = objective.vector
    assert hessian(objective, w) == pytest.approx(objective.ggn(w), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("count", [2, 3])
def test_from_afar_the_mode_is_found_as_well(count):
    candidates = classes(count)
    near = Objective(candidates.models[0], candidates.X, candidates.targets)
    far = Objective(near.model_at(np.linspace(-30.0, 30.0, near.size)), candidates.X, candidates.targets)
    assert mode_of(far, 1.0) == pytest.approx(mode_of(near, 1.0), rel=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_evidence_and_luckiness_nml_of_classifiers(count):
    """Mode by BFGS, determinants dense: Laplace's method, and the bound ½ (I - 11ᵀ/K) ⊗ XᵀX (¼ XᵀX for two classes)."""
    candidates = classes(count)
    X, K = candidates.X, 1 if count == 2 else count
    told = {code: code_lengths(code, candidates) for code in ("evidence", "lnml")}
    hot = np.eye(count)[candidates.targets]
    for k, model in enumerate(candidates.models):
        precision = candidates.n * LAMBDAS[k]
        bias = with_told_intercepts(model, candidates.n)[0].weights["layers.0.bias"]

        def logits(w, bias=bias):
            f = X @ w.reshape(-1, K) + bias
            return np.hstack([np.zeros_like(f), f]) if K == 1 else f

        def nats(w, logits=logits):
            return -(special.log_softmax(logits(w), axis=1) * hot).sum()

        found = optimize.minimize(
            lambda w, nats=nats, precision=precision: nats(w) + 0.5 * precision * w @ w,
            model.weights["layers.0.weight"].ravel(),
            options={"gtol": 1e-7},
        )
        w, p = found.x, special.softmax(logits(found.x), axis=1)
        bend = np.einsum("na,ab->nab", p, np.eye(count)) - np.einsum("na,nb->nab", p, p)
        bend = bend[:, 1:, 1:] if K == 1 else bend
        H = np.einsum("ni,nj,nab->iajb", X, X, bend).reshape(w.size, w.size)
        bound = 0.25 * X.T @ X if K == 1 else np.kron(X.T @ X, 0.5 * (np.eye(K) - 1.0 / K))
        half = [0.5 * np.linalg.slogdet(np.eye(w.size) + A / precision)[1] for A in (H, bound)]
        evidence, luckiness = told["evidence"][k], told["lnml"][k]
        assert evidence.part("data") == pytest.approx(nats(w), abs=1e-5)
        assert evidence.part("weights") == pytest.approx(0.5 * precision * w @ w + half[0], abs=1e-4)
        assert luckiness.part("complexity") == pytest.approx(half[1], rel=1e-9)
        assert luckiness.part("penalty") + luckiness.part("data") == pytest.approx(found.fun, abs=1e-5)
        assert luckiness.nats > evidence.nats


def test_the_evidence_is_the_librarys_at_its_intercepts():
    candidates = classes(3)
    for model, strength in zip(candidates.models, LAMBDAS, strict=True):
        zero = model.with_weights({**model.weights, "layers.0.bias": np.zeros(3)})  # which every grid has
        expected = mdl.evidence(zero, candidates.X, candidates.targets, Gaussian.from_l2(strength, candidates.n))
        found = mode_of(Objective(zero, candidates.X, candidates.targets), candidates.n * strength)
        assert found[0] == pytest.approx(expected.part("data"), abs=1e-6)
        assert sum(found[1:]) == pytest.approx(expected.part("weights"), abs=1e-6)


def test_cells_of_intercepts_have_no_more_than_all_mass():
    """Kraft: every place on the grid of 100 examples, which is 2^-3 wide."""
    model = classes(2).models[0]
    bias = np.arange(-80_000, 80_001) / 8.0
    told = [with_told_intercepts(model.with_weights({**model.weights, "layers.0.bias": bias[:1]}), 100)[1]]
    assert told[0] == pytest.approx(-math.log(stats.cauchy.cdf(bias[0] + 0.0625) - stats.cauchy.cdf(bias[0] - 0.0625)))
    cells = stats.cauchy.cdf(bias + 0.0625) - stats.cauchy.cdf(bias - 0.0625)
    assert 0.999 < cells.sum() <= 1.0


def test_without_intercepts_none_are_told():
    X, y = scale(WINE[0]), WINE[1]
    candidates = Candidates.of(LogisticRegression(fit_intercept=False), LAMBDAS, X, y)
    assert code_lengths("evidence", candidates)[0].part("intercepts") == 0.0


@pytest.mark.parametrize("make", [lambda X, y: Candidates.of(LOGISTIC, LAMBDAS, X, y > 140.0), ridge], ids=["y/n", "r"])
@pytest.mark.parametrize("code", ["evidence", "lnml"])
def test_the_order_of_examples_does_not_matter(code, make):
    X, y = scale(DIABETES[0]), DIABETES[1]
    order = np.random.default_rng(0).permutation(len(y))
    kinds = [(Ridge(), y)] if make is ridge else [(LOGISTIC, y > 140.0)]
    for estimator, targets in kinds:
        there = code_lengths(code, Candidates.of(estimator, LAMBDAS, X, targets))
        back = code_lengths(code, Candidates.of(estimator, LAMBDAS, X[order], targets[order]))
        assert [length.nats for length in back] == pytest.approx([length.nats for length in there], rel=1e-9)


# --- prequential ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
def test_prequential_is_the_mean_over_orders_of_the_librarys(count):
    candidates = classes(count)
    lengths = code_lengths("prequential", candidates)
    for k, strength in enumerate(LAMBDAS):
        alone = LogisticRegression(C=1 / (candidates.n * strength), solver="newton-cg", tol=1e-8, max_iter=1000)
        orders = mdl.lengths.prequential.prequential_orders(
            alone, candidates.X, candidates.targets, orders=ORDERS, seed=candidates.seed
        )
        assert lengths[k].nats == pytest.approx(orders.mean.nats + math.log(3), rel=1e-4)


def test_prequential_ridge_is_the_librarys():
    candidates = ridge()
    lengths = code_lengths("prequential", candidates)
    for k, alpha in enumerate(candidates.alphas):
        orders = mdl.lengths.prequential.prequential_orders(
            Ridge(alpha=alpha), candidates.X, candidates.targets, orders=ORDERS, precision=candidates.precision
        )
        assert lengths[k].nats == pytest.approx(orders.mean.nats + math.log(3), rel=1e-9)
    assert candidates.n_trainings == ORDERS * 3  # a decomposition for each of 8, 16 and 32 examples


def test_the_differential_length_is_the_later_halfs():
    candidates = classes(3)
    for length, own in zip(
        code_lengths("differential", candidates), code_lengths("prequential", candidates), strict=True
    ):
        assert 0.0 < length.part("data") < own.part("data")
        assert [name for name, _ in length.parts] == ["data", "choice"]


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_a_few_examples_have_a_length_too(n):
    X, y = np.arange(n * 2.0).reshape(n, 2), np.array([0, 1] + [1] * (n - 2))
    for code in ("prequential", "differential", "evidence"):
        for estimator, targets in ((LOGISTIC, y), (Ridge(), y * 1.5)):
            lengths = code_lengths(code, Candidates.of(estimator, LAMBDAS, X, targets))
            assert all(math.isfinite(length.nats) for length in lengths)


# --- criteria ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ridge, lambda: classes(3)], ids=["ridge", "classes"])
def test_criteria_count_the_weights_that_the_penalty_leaves_free(make):
    candidates = make()
    bic, aic = code_lengths("bic", candidates), code_lengths("aic", candidates)
    ratio = 0.5 * math.log(candidates.n)
    for k, model in enumerate(candidates.models):
        objective = Objective(model, candidates.X - candidates.ridge * candidates.X.mean(axis=0), candidates.targets)
        H = objective.ggn(objective.vector)
        own = candidates.priors[k].scale ** -2 if not candidates.ridge else candidates.alphas[k]
        H = H if not candidates.ridge else objective.X.T @ objective.X
        free = np.trace(np.linalg.solve(H + own * np.eye(len(H)), H)) + (2 if candidates.ridge else 3)
        assert aic[k].part("weights") == pytest.approx(free, rel=1e-8)
        assert bic[k].part("weights") == pytest.approx(ratio * free, rel=1e-8)
        assert aic[k].part("data") == bic[k].part("data")
