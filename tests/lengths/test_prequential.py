"""Prequential codes against evidences in closed form, sums by hand, enumeration, another process, another reader."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.svm import LinearSVC

from mdl.errors import DataError, MdlError, MessageError, PlatformError
from mdl.length import CodeLength
from mdl.lengths.prequential import (
    FRACTIONS,
    Orders,
    PrequentialLength,
    decode_prequential,
    differential,
    doubling,
    encode_prequential,
    prequential,
    prequential_orders,
    switch,
    write_prequential,
)
from mdl.lengths.prequential.learner import Mixed, Online, temperature
from mdl.lengths.prequential.plan import Plan, block_ends
from mdl.likelihoods import Bernoulli, Categorical, Gaussian
from mdl.models import FeedForward
from tests.codes import reference

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(5)
X_CANCER, Y_CANCER = scale(load_breast_cancer().data[:200, :6]), load_breast_cancer().target[:200]
DIGITS = load_digits(n_class=4)
X_DIGITS, Y_DIGITS = DIGITS.data[:160, 18:42] / 16.0, DIGITS.target[:160]
X_DIABETES, Y_DIABETES = scale(load_diabetes().data[:150]), load_diabetes().target[:150]
COUNTS = RNG.poisson(np.exp(0.8 * X_CANCER[:, 0].clip(-2, 2)))


@pytest.fixture
def rng() -> Any:
    """The same numbers in each test, whichever others run."""
    return np.random.default_rng(17)


def flat(n: int) -> Any:
    return np.zeros((n, 1))


def constant(log_p: Any, classes: Any = None) -> FeedForward:
    """A model that forecasts the same of every example."""
    bias = np.array([log_p[1] - log_p[0]]) if len(log_p) == 2 else np.asarray(log_p)
    likelihood = Bernoulli() if len(log_p) == 2 else Categorical(len(log_p))
    weights = {"layers.0.weight": np.zeros((1, bias.size)), "layers.0.bias": bias}
    return FeedForward(weights, likelihood, classes=classes)


@dataclass
class Dirichlet:
    """The conjugate learner of classes: counts, each begun at alpha."""

    labels: tuple[Any, ...]
    alpha: float = 0.5

    def __call__(self, X: Any, y: Any, start: Any) -> FeedForward:
        counts = np.array([np.sum(y == label) for label in self.labels]) + self.alpha
        return constant(np.log(counts / counts.sum()), self.labels)

    def evidence(self, y: Any) -> float:
        counts = np.array([np.sum(y == label) for label in self.labels])
        prior = np.full(len(self.labels), self.alpha)
        ln_beta = lambda a: special.gammaln(a).sum() - special.gammaln(a.sum())
        return float(ln_beta(prior) - ln_beta(prior + counts))


@dataclass(frozen=True)
class PerExample:
    """Normal cells whose predictions are a mean and a ln scale each."""

    precision: float
    resolution: float = 2.0**-40
    span: None = None

    def log_mass(self, predictions: Any, first: Any, last: Any) -> Any:
        means, scales = predictions[:, :1], np.exp(predictions[:, 1:])
        assert np.array_equal(first, last)
        return stats.norm.logpdf(np.asarray(first) * self.precision, means, scales) + math.log(self.precision)

    def log_prob(self, predictions: Any, y: Any) -> Any:
        raise NotImplementedError

    def to_symbols(self, y: Any) -> Any:
        return Gaussian(self.precision).to_symbols(y)

    def from_symbols(self, symbols: Any) -> Any:
        return np.asarray(symbols) * self.precision

    def fit(self, predictions: Any, y: Any) -> Any:
        return self


@dataclass
class Bayes:
    """Bayesian linear regression with known noise, as a model of the next target."""

    mean: Any
    covariance: Any
    noise: float
    likelihood: PerExample
    weights: Any = None
    free: Any = ()
    architecture: str = ""

    def with_weights(self, weights: Any) -> Any:
        raise NotImplementedError

    def with_likelihood(self, likelihood: Any) -> Any:
        raise NotImplementedError

    def predict(self, X: Any) -> Any:
        variance = self.noise**2 + np.einsum("ni,ij,nj->n", X, self.covariance, X)
        return np.column_stack([X @ self.mean, 0.5 * np.log(variance)])

    def update(self, X: Any, y: Any, start: Any) -> Bayes:
        precision = np.linalg.inv(self.covariance) + X.T @ X / self.noise**2
        covariance = np.linalg.inv(precision)
        return Bayes(covariance @ X.T @ y / self.noise**2, covariance, self.noise, self.likelihood)


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "first", "ends"),
    [(100, 8, (8, 16, 32, 64, 100)), (64, 8, (8, 16, 32, 64)), (5, 8, (5,)), (5, 1, (1, 2, 4, 5)), (1, 1, (1,))],
)
def test_blocks_double(n: int, first: int, ends: Any) -> None:
    assert doubling(n, first) == ends


@pytest.mark.parametrize(
    ("n", "blocks", "ends"),
    [
        (60_000, FRACTIONS, (60, 120, 240, 480, 960, 1920, 3750, 7500, 15_000, 30_000, 60_000)),
        (10, FRACTIONS, (1, 2, 5, 10)),
        (15, FRACTIONS, (1, 2, 4, 8, 15)),
        (10, (3, 10), (3, 10)),
        (10, [1], (10,)),
        (1, [1], (1,)),
        (20, None, (8, 16, 20)),
    ],
)
def test_blocks_are_ends_or_fractions(n: int, blocks: Any, ends: Any) -> None:
    assert block_ends(n, blocks) == ends


@pytest.mark.parametrize("blocks", [[], [5], [5, 5, 10], [6, 5, 10], [0, 10], [2.5, 10], [0.5, 0.2, 1.0], [math.nan]])
def test_other_blocks_are_refused(blocks: Any) -> None:
    with pytest.raises(DataError, match=r"blocks: expected"):
        block_ends(10, blocks)


# --- conjugate learners -----------------------------------------------------------------------------------------------

SEQUENCES = [
    (RNG.integers(0, 2, 40), (0, 1)),
    (RNG.choice(["c", "a", "b"], 30, p=[0.7, 0.2, 0.1]), ("a", "b", "c")),
    (RNG.random(25) < 0.9, (False, True)),
    (RNG.choice([-3, 7, 50, 51], 30), (-3, 7, 50, 51)),
]


@pytest.mark.parametrize(("y", "labels"), SEQUENCES, ids=["0/1", "texts", "bools", "integers"])
def test_one_example_a_block_and_a_conjugate_learner_are_the_evidence(y: Any, labels: Any) -> None:
    learner, n = Dirichlet(labels), len(y)
    length = prequential(learner, flat(n), y, blocks=range(1, n + 1), classes=labels)
    assert length.nats == pytest.approx(learner.evidence(y), rel=1e-9)
    assert length.trainings == n - 1
    assert not length.realised
    assert length.part("first block") == pytest.approx(math.log(len(labels)))


def test_bayesian_regression_is_its_evidence(rng: Any) -> None:
    n, precision, noise = 25, 2.0**-20, 0.5
    X = rng.normal(size=(n, 3))
    prior = np.diag([1.0, 0.5, 2.0])
    y = np.rint((X @ [0.3, -0.2, 1.0] + noise * rng.normal(size=n)) / precision) * precision
    start = Bayes(np.zeros(3), prior, noise, PerExample(precision))
    length = prequential(start.update, X, y, precision=precision, start=start, blocks=range(1, n + 1))
    evidence = -stats.multivariate_normal.logpdf(y, np.zeros(n), X @ prior @ X.T + noise**2 * np.eye(n))
    assert length.part("data") == pytest.approx(evidence - n * math.log(precision), rel=1e-9)
    assert length.part("first block") == 0.0
    assert length.trainings == n - 1


# --- sums by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [None, FRACTIONS, (40, 160)], ids=str)
def test_blier_and_ollivier_s_sum(blocks: Any) -> None:
    """Scikit-learn's own probabilities; all four digits are in the first block of 8, fewer in smaller ones."""
    ends = block_ends(160, blocks)
    expected = [ends[0] * math.log(4)]
    for seen, end in itertools.pairwise(ends):
        known = np.unique(Y_DIGITS[:seen])
        missing = 4 - known.size
        share = missing * 0.5 / (seen + 2.0)
        p = np.full((end - seen, 4), 0.5 / (seen + 2.0))
        if known.size == 1:
            p[:, known] = 1.0 - share
        else:
            fitted = LogisticRegression(C=2.0).fit(X_DIGITS[:seen], Y_DIGITS[:seen])
            p[:, known] = (1.0 - share) * fitted.predict_proba(X_DIGITS[seen:end])
        expected.append(-np.log(p[np.arange(end - seen), Y_DIGITS[seen:end]]).sum())
    length = prequential(LogisticRegression(C=2.0), X_DIGITS, Y_DIGITS, blocks=blocks)
    assert length.block_nats == pytest.approx(expected, rel=1e-9)
    assert length.nats == pytest.approx(math.fsum(expected), rel=1e-9)
    assert length.ends == ends


def test_the_number_of_trainings_is_that_of_the_blocks_less_one() -> None:
    length = prequential(LogisticRegression(), X_DIGITS, Y_DIGITS)
    assert (length.trainings, len(length.ends)) == (5, 6)
    sorted_y = np.sort(Y_DIGITS)  # 41 zeros first: an estimator is not trained on a single class
    assert prequential(LogisticRegression(), X_DIGITS, sorted_y).trainings == 5 - 3


def test_classes_that_come_late_cost_what_the_kt_estimator_says() -> None:
    y = np.array(["a"] * 8 + ["b"] * 8)
    length = prequential(LogisticRegression(), flat(16), y, classes="abc", blocks=(4, 8, 16))
    expected = [4 * math.log(3), -4 * math.log(4.5 / 5.5), -8 * math.log(0.5 / 9.5)]
    assert length.block_nats == pytest.approx(expected, rel=1e-12)
    assert length.trainings == 0


def test_real_targets_have_the_noise_of_the_forecasts_so_far() -> None:
    """Ridge, the scale and the mixture recomputed; the normal distribution is scipy's."""
    n, ends = len(Y_DIABETES), doubling(150)
    lo, hi = Y_DIABETES.min(), Y_DIABETES.max()
    levels = hi - lo + 1
    errors = Y_DIABETES[: ends[0]] - Y_DIABETES[: ends[0]].mean()
    expected = [ends[0] * math.log(levels)]
    for seen, end in itertools.pairwise(ends):
        sigma = math.sqrt(np.mean(errors[seen // 2 :] ** 2) + 1.0 / 12.0)
        mantissa, exponent = math.frexp(sigma)
        sigma = math.ldexp(round(mantissa * 256), exponent - 8)
        means = Ridge(3.0).fit(X_DIABETES[:seen], Y_DIABETES[:seen]).predict(X_DIABETES[seen:end])
        z = Y_DIABETES[seen:end] - means
        normal = stats.norm.cdf((z + 0.5) / sigma) - stats.norm.cdf((z - 0.5) / sigma)
        share = 1.0 / (seen + 2.0)
        expected.append(-np.log((1.0 - share) * normal + share / levels).sum())
        errors = np.concatenate([errors, z])
    length = prequential(Ridge(3.0), X_DIABETES, Y_DIABETES, precision=1.0)
    assert length.block_nats == pytest.approx(expected, rel=1e-9)
    assert length.part("support") > 0.0
    assert length.part("likelihood") > 0.0
    assert length.nats - length.part("support") - length.part("likelihood") == pytest.approx(math.fsum(expected))
    assert n == ends[-1]


def test_counts() -> None:
    ends = (50, 120, 200)
    expected = [50 * math.log(np.ptp(COUNTS) + 1)]
    for seen, end in itertools.pairwise(ends):
        rates = PoissonRegressor(alpha=0.1).fit(X_CANCER[:seen], COUNTS[:seen]).predict(X_CANCER[seen:end])
        expected.append(-stats.poisson.logpmf(COUNTS[seen:end], rates).sum())
    length = prequential(PoissonRegressor(alpha=0.1), X_CANCER, COUNTS, precision=1, blocks=ends)
    assert length.block_nats == pytest.approx(expected, rel=1e-9)


def test_a_regression_that_interpolates_is_not_believed() -> None:
    """Least squares through 8 points with 10 slopes leaves no residual; a scale fitted there would cost thousands."""
    length = prequential(LinearRegression(), X_DIABETES, Y_DIABETES, precision=1.0)
    uniform = math.log(np.ptp(Y_DIABETES) + 1.0)
    second, *_ = length.block_nats[1:]
    assert second < 8 * (uniform + math.log(10.0))
    assert length.block_nats[-1] < 86 * uniform


def test_a_pretrained_model_forecasts_the_first_block() -> None:
    start = constant(np.log([0.25, 0.75]))
    length = prequential(LogisticRegression(), flat(8), [1] * 8, classes=[0, 1], start=start)
    assert length.part_bits() == pytest.approx({"first block": 0.0, "data": -8 * math.log2(0.75)})
    several = prequential(LogisticRegression(), flat(8), [1] * 8, classes=[0, 1], start=start, blocks=(4, 8))
    assert several.nats == length.nats  # one class teaches an estimator nothing: it stays with the start


def test_an_mlp_is_the_same_each_time() -> None:
    learner = MLPClassifier((4,), max_iter=20)  # unconverged, no random_state
    a, b = (prequential(learner, X_DIGITS[:64], Y_DIGITS[:64]) for _ in range(2))
    assert a.nats == b.nats
    assert not hasattr(learner, "coefs_"), "the learner itself stays unfitted"
    assert learner.random_state is None


# --- what holds of every code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize(("blocks", "classes"), [((1, 2, 3, 4), "ab"), ((2, 4), "ab"), ((1, 2, 3), "abc")], ids=str)
def test_the_probabilities_of_all_label_sequences_sum_to_one(
    blocks: Any, classes: str, calibrate: bool, rng: Any
) -> None:
    X = rng.normal(size=(blocks[-1], 2))
    total = sum(
        math.exp(-prequential(LogisticRegression(), X, y, classes=classes, blocks=blocks, calibrate=calibrate).nats)
        for y in itertools.product(classes, repeat=blocks[-1])
    )
    assert total == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("share", [1.0, 0.3, 1e-6])
def test_a_mixture_has_at_most_mass_one(share: float) -> None:
    mixed = Mixed(Gaussian(0.5, scale=2.0), share, -8, 9)
    predictions, symbols = np.array([0.0, 3.3]), np.arange(-400, 401)
    masses = np.exp(mixed.log_mass(predictions, symbols, symbols))
    inside = (symbols >= -8) & (symbols <= 9)
    z = (symbols * 0.5 - predictions[:, None]) / 2.0
    expected = (1 - share) * (stats.norm.cdf(z + 0.125) - stats.norm.cdf(z - 0.125)) + share * inside / 18
    np.testing.assert_allclose(masses[:, inside], expected[:, inside], rtol=1e-9)
    np.testing.assert_allclose(masses.sum(axis=1), 1.0, atol=1e-9)
    runs = np.exp(mixed.log_mass(predictions, [-8, 0], [-1, 9]))
    np.testing.assert_allclose(runs[:, 0], masses[:, (symbols >= -8) & (symbols < 0)].sum(axis=1), rtol=1e-9)
    assert mixed.log_prob(predictions, [1.5, 2.0]) == pytest.approx(np.log(masses[[0, 1], [403, 404]]))


@pytest.mark.parametrize(
    ("learner", "X", "y", "options"),
    [
        (LogisticRegression(), X_DIGITS, Y_DIGITS, {"calibrate": True}),
        (Ridge(), X_DIABETES, Y_DIABETES, {"precision": 1.0}),
    ],
    ids=["classes", "numbers"],
)
def test_no_forecast_depends_on_what_comes_later(learner: Any, X: Any, y: Any, options: Any) -> None:
    """Targets from the 100th on in another order (the same range): everything before 100 costs the same."""
    blocks = (10, 30, 60, 100, len(y))
    changed = np.concatenate([y[:100], y[100:][::-1]])
    a, b = (prequential(learner, X, targets, blocks=blocks, **options) for targets in (y, changed))
    assert np.array_equal(a.example_nats[:100], b.example_nats[:100])
    assert a.nats != b.nats
    changed[95:100] = y[95:100][::-1]  # a block depends on its own targets only through its own lengths
    c = prequential(learner, X, changed, blocks=blocks, **options)
    assert np.array_equal(a.example_nats[:95], c.example_nats[:95])


def test_random_labels_do_not_compress() -> None:
    noise = np.random.default_rng(0).integers(0, 2, 200)
    assert prequential(LogisticRegression(), X_CANCER, noise).bits > 200
    assert prequential(LogisticRegression(), X_CANCER, Y_CANCER).bits < 100


# --- forward calibration ----------------------------------------------------------------------------------------------


def test_the_temperature_is_the_best_on_a_fine_grid(rng: Any) -> None:
    logits = rng.normal(size=(200, 4)) * 3
    labels = np.array([rng.choice(4, p=special.softmax(0.4 * row)) for row in logits])
    log_p = special.log_softmax(logits, axis=1)
    octaves = np.arange(-6, 3, 1 / 256)
    prior = stats.norm.logpdf(octaves)
    nats = [-special.log_softmax(2.0**o * log_p, axis=1)[np.arange(200), labels].sum() for o in octaves] - prior
    assert math.log2(temperature(log_p, labels)) == pytest.approx(octaves[np.argmin(nats)], abs=1 / 32 + 1 / 64)
    hidden = np.vstack([log_p, np.full((3, 4), -np.inf)])
    hidden[-3:, 0] = 0.0
    assert temperature(hidden, np.append(labels, [1, 2, 3])) == temperature(log_p, labels)
    assert temperature(hidden[-3:], np.array([1, 2, 3])) == 1.0


def test_a_few_labels_forecast_right_do_not_make_a_learner_sure_of_itself() -> None:
    assert temperature(np.log([[0.8, 0.2]] * 4), np.zeros(4, np.int64)) < 2.0
    assert temperature(np.log([[0.8, 0.2]] * 4000), np.zeros(4000, np.int64)) > 4.0


def test_calibration_by_hand(rng: Any) -> None:
    """The second trained block at the temperature that suits the first; the first has only flat forecasts before it."""
    sharp = LogisticRegression(C=100.0)
    ends, y = (20, 40, 100), Y_CANCER[:100] ^ (rng.random(100) < 0.2)
    raw = prequential(sharp, X_CANCER[:100], y, blocks=ends)
    found = prequential(sharp, X_CANCER[:100], y, blocks=ends, calibrate=True)
    assert found.block_nats[:1] == pytest.approx(raw.block_nats[:1])
    log_p = sharp.fit(X_CANCER[:20], y[:20]).predict_log_proba(X_CANCER[20:40])
    beta = temperature(log_p, y[20:40])
    later = beta * sharp.fit(X_CANCER[:40], y[:40]).predict_log_proba(X_CANCER[40:100])
    expected = -special.log_softmax(later, axis=1)[np.arange(60), y[40:100]].sum()
    assert found.block_nats[2] == pytest.approx(expected, rel=1e-9)
    assert beta < 1.0
    assert found.block_nats[2] < raw.block_nats[2], "an overconfident learner gains"


# --- rehearsal --------------------------------------------------------------------------------------------------------


class Rehearsed:
    """Softmax regression by a few gradient steps from the model before; notes what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, X: Any, y: Any, start: Any) -> FeedForward:
        self.calls.append((X, start))
        w = np.zeros((X.shape[1], 4)) if start is None else start.weights["layers.0.weight"]
        for _ in range(5):
            w = w - 0.1 * X.T @ (special.softmax(X @ w, axis=1) - np.eye(4)[y]) / len(y)
        return FeedForward({"layers.0.weight": w, "layers.0.bias": np.zeros(4)}, Categorical(4))


@pytest.mark.parametrize(
    ("replay", "sizes"), [(None, [8, 16, 32]), (0.0, [8, 8, 16]), (0.5, [8, 12, 24]), (9, [8, 16, 32])]
)
def test_a_callable_goes_on_from_its_last_model_with_a_sample_of_the_past(replay: Any, sizes: Any) -> None:
    learner = Rehearsed()
    X = np.column_stack([X_DIGITS[:50], np.arange(50.0) / 50])  # the last column names the row
    length = prequential(learner, X, Y_DIGITS[:50], replay=replay)
    rows = [np.rint(seen[:, -1] * 50).astype(int) for seen, _ in learner.calls]
    assert [len(row) for row in rows] == sizes
    assert all(np.unique(row).size == row.size for row in rows)
    assert [row.max() for row in rows] == [7, 15, 31]
    assert set(range(16, 32)) <= set(rows[2].tolist()), "the newest block is there whole"
    starts = [start for _, start in learner.calls]
    assert starts[0] is None
    assert all(isinstance(start, FeedForward) for start in starts[1:])
    assert prequential(Rehearsed(), X, Y_DIGITS[:50], replay=replay).nats == length.nats


def test_replay_is_of_callables_only() -> None:
    with pytest.raises(MdlError, match="replay: expected a callable"):
        prequential(LogisticRegression(), X_DIGITS, Y_DIGITS, replay=1.0)


# --- orders -----------------------------------------------------------------------------------------------------------


def test_orders_have_a_mean_and_an_interval() -> None:
    found = prequential_orders(LogisticRegression(), X_CANCER, Y_CANCER, orders=4, seed=3)
    alone = [prequential(LogisticRegression(), X_CANCER, Y_CANCER, seed=3 + k) for k in range(4)]
    nats = np.array([length.nats for length in alone])
    assert [length.nats for length in found.lengths] == nats.tolist()
    assert len(set(nats.tolist())) == 4
    assert found.mean.nats == pytest.approx(nats.mean())
    assert found.mean.part("first block") == pytest.approx(8 * math.log(2))
    expected = stats.t.interval(0.9, 3, loc=nats.mean(), scale=stats.sem(nats))
    assert found.interval_nats(0.9) == pytest.approx(expected)
    assert found.trainings == 4 * 5


def test_a_seed_is_an_order() -> None:
    order = Plan.of(Y_CANCER, seed=11).order()
    assert sorted(order) == list(range(200))
    direct = prequential(LogisticRegression(), X_CANCER[order], Y_CANCER[order])
    assert prequential(LogisticRegression(), X_CANCER, Y_CANCER, seed=11).nats == direct.nats
    assert order.tolist() == np.argsort(np.random.Philox(key=11).random_raw(200)).tolist()
    assert Plan.of(np.arange(6), seed=0).order().tolist() == [0, 2, 1, 5, 4, 3], "files depend on it"


def test_one_order_has_no_interval() -> None:
    with pytest.raises(DataError, match="two orders"):
        prequential_orders(Dirichlet((0, 1)), flat(9), [0, 1] * 4 + [1], orders=1).interval_nats()
    with pytest.raises(DataError, match="orders: expected at least 1"):
        prequential_orders(Dirichlet((0, 1)), flat(2), [0, 1], orders=0)
    with pytest.raises(DataError, match="coverage"):
        Orders((PrequentialLength(()),) * 2).interval_nats(1.0)


# --- differential description length ----------------------------------------------------------------------------------


def test_differential_length_is_a_difference_of_evidences() -> None:
    y, labels = SEQUENCES[1]
    learner = Dirichlet(labels)
    whole = prequential(learner, flat(30), y, blocks=range(1, 31), classes=labels)
    first = prequential(learner, flat(12), y[:12], blocks=range(1, 13), classes=labels)
    expected = learner.evidence(y) - learner.evidence(y[:12])
    assert whole.after(12).nats == pytest.approx(expected, rel=1e-9)
    assert differential(whole, first).nats == pytest.approx(expected, rel=1e-9)
    assert whole.after(30).nats == 0.0


def test_differential_lengths_of_other_codes() -> None:
    realised = CodeLength.from_bits({"data": 9, "header": 99}, realised=True)
    assert differential(realised, CodeLength.from_bits({"data": 4}, realised=True)).bits == pytest.approx(5.0)
    assert differential(realised, CodeLength.from_bits({"data": 4}, realised=True)).realised
    assert not differential(realised, CodeLength.from_bits({"data": 4})).realised
    with pytest.raises(DataError, match="longer than its first part"):
        differential(CodeLength.from_bits({"data": 4}), realised)
    with pytest.raises(DataError, match="first: expected 0 to 0 examples, got 1"):
        PrequentialLength(()).after(1)


# --- the switch code --------------------------------------------------------------------------------------------------


def brute_force(nats: Any, hazard: Any) -> float:
    """-ln of the sum over all sequences of codes."""
    experts, n = nats.shape
    total = 0.0
    for path in itertools.product(range(experts), repeat=n):
        p = 1.0 / experts
        for t in range(1, n):
            p *= hazard(t) / experts + (1.0 - hazard(t)) * (path[t] == path[t - 1])
        total += p * math.exp(-sum(nats[e, t] for t, e in enumerate(path)))
    return -math.log(total)


@pytest.mark.parametrize("rate", [None, 0.0, 0.2, 1.0])
@pytest.mark.parametrize("experts", [1, 2, 3])
def test_the_switch_code_sums_over_all_sequences(rate: float | None, experts: int, rng: Any) -> None:
    nats = rng.exponential(1.5, (experts, 6))
    hazard = (lambda t: 1.0 / (t + 1)) if rate is None else (lambda t: rate)
    for n in (1, 2, 6):
        assert switch(list(nats[:, :n]), rate).nats == pytest.approx(brute_force(nats[:, :n], hazard), rel=1e-12)


def test_switching_costs_little_and_may_gain_much() -> None:
    n = len(Y_CANCER)
    small, large = LogisticRegression(C=1e-3), LogisticRegression(C=10.0)
    codes = [prequential(learner, X_CANCER, Y_CANCER) for learner in (small, large)]
    uniform = np.full(n, math.log(2))
    found = switch([*codes, uniform])
    best = min(code.nats for code in codes)
    assert found.nats <= best + math.log(3) + math.log(n)
    assert found.trainings == sum(code.trainings for code in codes) > 0
    assert found.part("data") == pytest.approx(found.example_nats.sum())
    late = np.concatenate([np.full(100, 3.0), np.full(100, 0.01)])
    assert switch([uniform, late]).nats < 0.6 * uniform.sum()


def test_a_code_far_behind_may_still_come_back() -> None:
    nats = [np.concatenate([np.full(500, 9.0), np.zeros(1000)]), np.full(1500, 5.0)]
    expected = -np.logaddexp(-4500.0, -7500.0) + math.log(2)
    assert switch(nats, rate=0.0).nats == pytest.approx(expected, rel=1e-12)


def test_switching_between_numbers_tells_their_range_once() -> None:
    codes = [prequential(Ridge(a), X_DIABETES, Y_DIABETES, precision=1.0) for a in (1.0, 1e3)]
    found = switch(codes)
    assert found.part("support") == codes[0].part("support") > 0.0
    assert found.nats < max(code.nats for code in codes)


def test_switching_between_other_things_is_refused() -> None:
    n = 40
    a, b = (prequential(Dirichlet((0, 1)), flat(n), Y_CANCER[:n], seed=seed) for seed in (0, 1))
    for codes, says in (
        ([], "at least one"),
        ([a, b], "different seeds"),
        ([a, np.zeros(3)], "shapes"),
        ([[1.0, -1.0]], ">= 0 nats"),
        ([[np.inf, 1.0], [np.inf, 1.0]], "finite one"),
    ):
        with pytest.raises(DataError, match=says):
            switch(codes)
    with pytest.raises(DataError, match="rate: expected 0 to 1"):
        switch([a], rate=1.5)


# --- files ------------------------------------------------------------------------------------------------------------

FILES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "two classes": (LogisticRegression(), X_CANCER, Y_CANCER, {}),
    "texts, shuffled": (LogisticRegression(), X_DIGITS, np.array(["zero", "один", "2", "☃"])[Y_DIGITS], {"seed": 4}),
    "bools": (LogisticRegression(), X_CANCER, Y_CANCER > 0, {"seed": 2**62}),
    "calibrated": (LogisticRegression(C=100.0), X_DIGITS, Y_DIGITS * 10 - 7, {"calibrate": True, "blocks": FRACTIONS}),
    "classes that never come": (LogisticRegression(), X_CANCER, Y_CANCER, {"classes": range(9)}),
    "one class": (LogisticRegression(), X_CANCER, np.full(200, 3), {"classes": [3, 4]}),
    "a callable with rehearsal": (Rehearsed(), X_DIGITS, Y_DIGITS, {"replay": 2.0, "seed": 0}),
    "a perceptron": (MLPClassifier((5,), max_iter=30), X_DIGITS[:100], Y_DIGITS[:100], {}),
    "numbers": (Ridge(), X_DIABETES, Y_DIABETES, {"precision": 1.0, "seed": 1}),
    "tenths": (Ridge(), X_DIABETES, (Y_DIABETES - 99.0) / 10, {"precision": 0.1}),
    "counts": (PoissonRegressor(), X_CANCER, COUNTS, {"precision": 1}),
    "one block": (LogisticRegression(), X_DIGITS[:5], Y_DIGITS[:5], {}),
}


@pytest.mark.parametrize("case", FILES)
def test_files_decode_and_are_as_long_as_they_should_be(case: str) -> None:
    learner, X, y, options = FILES[case]
    data, length = write_prequential(learner, X, y, **options)
    decoded = decode_prequential(data, learner, X)
    if "precision" in options:
        np.testing.assert_allclose(decoded, y, rtol=0, atol=1e-9)
    else:
        assert decoded.tolist() == y.tolist()
        assert decoded.dtype.kind == y.dtype.kind
    ideal = prequential(learner, X, y, **options)
    assert length.realised
    assert length.bits == pytest.approx(8 * len(data), rel=1e-12), "the parts are the bytes"
    assert length.comparable.bits <= ideal.bits * 1.0002 + 64.0
    assert abs(length.part("data") - ideal.part("data")) < 0.01 * ideal.part("data") + 64.0 * math.log(2)
    assert length.part("support") == pytest.approx(ideal.part("support"))
    assert encode_prequential(learner, X, y, **options) == data


def test_larger_files_keep_the_law_of_sizes(rng: Any) -> None:
    """20,000 labels, where 64 bits hide little."""
    n = 20_000
    y = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    data, length = write_prequential(Dirichlet((0, 1, 2)), flat(n), y)
    ideal = prequential(Dirichlet((0, 1, 2)), flat(n), y)
    assert ideal.bits * 0.9998 - 64.0 <= length.comparable.bits <= ideal.bits * 1.0002 + 64.0
    assert decode_prequential(data, Dirichlet((0, 1, 2)), flat(n)).tolist() == y.tolist()


def test_a_start_is_the_reader_s_too(rng: Any) -> None:
    start = constant(np.log([0.1, 0.2, 0.7]))
    y = rng.choice(3, 300, p=[0.1, 0.2, 0.7])
    data, length = write_prequential(Dirichlet((0, 1, 2)), flat(300), y, start=start)
    assert decode_prequential(data, Dirichlet((0, 1, 2)), flat(300), start=start).tolist() == y.tolist()
    assert length.part("first block") == 0.0
    with pytest.raises(PlatformError, match="another learner or start"):
        decode_prequential(data, Dirichlet((0, 1, 2)), flat(300))


DECODER = """
import sys, numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale
from mdl.lengths.prequential import decode_prequential
X = scale(load_breast_cancer().data[:200, :6])
labels = decode_prequential(sys.stdin.buffer.read(), LogisticRegression(C=0.5), X)
print(",".join(map(str, labels.tolist())))
"""


def test_another_process_decodes_by_training() -> None:
    data = encode_prequential(LogisticRegression(C=0.5), X_CANCER, Y_CANCER, seed=9, calibrate=True)
    ran = subprocess.run([sys.executable, "-c", DECODER], input=data, capture_output=True, cwd=ROOT, check=True)
    assert ran.stdout.decode().strip() == ",".join(map(str, Y_CANCER.tolist()))


def test_a_reader_written_from_the_document_reads_a_file(rng: Any) -> None:
    """The module's docstring, and the reader of docs/format.md, which imports nothing of the library."""
    y = rng.choice(["a", "b", "c"], 70, p=[0.7, 0.2, 0.1])
    data = encode_prequential(Dirichlet(("a", "b", "c")), flat(70), y, blocks=(10, 30, 70))
    assert data[:5] == b"\x93MDP\x01"
    reader = reference.Reader(data[9:])
    assert reader.bits(1) == "1"
    assert json.loads(reader.text()) == ["a", "b", "c"]
    sizes = [reader.natural() for _ in range(reader.natural())]
    assert sizes == [10, 20, 40]
    assert reader.bits(3) == "000"
    found = ""
    for size in sizes:
        counts = [found.count(label) + 0.5 for label in "abc"]
        logs = [round(4096 * math.log(count / sum(counts))) / 4096 for count in counts]
        if not found:
            logs = [round(4096 * -math.log(3)) / 4096] * 3
        table = reference.frequencies(logs)
        reader.note(*[table] * size)
        found += "".join("abc"[reader.symbol(table)] for _ in range(size))
    assert found == "".join(y)
    assert (reader.state, reader.words) == (1 << 32 | reader.fingerprint, [])


def test_damage_is_noticed_everywhere() -> None:
    data = encode_prequential(Dirichlet((0, 1)), flat(60), Y_CANCER[:60])
    for at in range(len(data)):
        for mask in (1, 0x80):
            broken = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            with pytest.raises(MessageError, match=r"expected|checksum"):
                decode_prequential(broken, Dirichlet((0, 1)), flat(60))
    for broken in (b"", data[:4], data[:-1], data + b"\1", b"PK" + data, data[:4] + b"\2" + data[5:]):
        with pytest.raises(MessageError, match=r"expected|checksum"):
            decode_prequential(broken, Dirichlet((0, 1)), flat(60))


def forged(change: Any) -> bytes:
    """A file with a right checksum and a wrong body."""
    import zlib

    data = encode_prequential(Dirichlet((0, 1)), flat(60), Y_CANCER[:60])
    body = change(data[9:])
    return data[:5] + zlib.crc32(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("at", range(1, 24))
@pytest.mark.parametrize("mask", [1, 8, 0x80])
def test_a_forged_body_is_an_error_or_other_labels(at: int, mask: int) -> None:
    data = forged(lambda body: body[:at] + bytes([body[at] ^ mask]) + body[at + 1 :])
    try:
        labels = decode_prequential(data, Dirichlet((0, 1)), flat(60))
    except MessageError:
        return
    assert len(labels) == 60


def test_a_file_that_goes_on_is_noticed() -> None:
    data = forged(lambda body: bytes([body[0] + 1]) + body[1 : 1 + body[0]] + b"\x80" + body[1 + body[0] :])
    with pytest.raises(MessageError, match="expected the end of the plan"):
        decode_prequential(data, Dirichlet((0, 1)), flat(60))


def test_another_learner_or_other_inputs_are_noticed() -> None:
    data = encode_prequential(LogisticRegression(), X_CANCER, Y_CANCER)
    for learner, X in (
        (LogisticRegression(C=1.01), X_CANCER),
        (LogisticRegression(), X_CANCER[::-1]),
        (Dirichlet((0, 1)), X_CANCER),
        (Ridge(), X_CANCER),
    ):
        with pytest.raises(PlatformError, match="differ from the writer's"):
            decode_prequential(data, learner, X)
    with pytest.raises(MessageError, match="as many rows as the message has targets, got 199"):
        decode_prequential(data, LogisticRegression(), X_CANCER[1:])
    with pytest.raises(DataError, match="X: expected shape"):
        decode_prequential(data, LogisticRegression(), X_CANCER[0])


# --- errors, progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "options", "says"),
    [
        ([0] * 9, {}, "classes: expected 2 to 65536"),
        ([], {}, r"y: expected \(n,\) targets, at least one"),
        (np.zeros((9, 2)), {}, r"y: expected \(n,\) targets"),
        ([0, 1, 2] * 3, {"classes": [0, 1]}, "among"),
        ([0.0, math.nan] * 4 + [1.0], {}, "classes: expected 2"),
        (np.array([1, "a", None] * 3, object), {}, "labels of one kind"),
        ([0, 1, 2] * 3, {"classes": [0, 1, 2], "precision": 1.0}, "got both"),
        ([0.5] * 9, {"precision": 1.0}, "multiples of the precision"),
        ([0, 1, 2] * 3, {"seed": -1}, "seed: expected"),
        ([0, 1, 2] * 3, {"replay": -1.0}, "replay: expected"),
        ([0, 1, 2] * 2, {}, "X: expected a row for each of 6 targets, got 9"),
    ],
)
def test_targets_that_do_not_fit(y: Any, options: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        prequential(Dirichlet((0, 1, 2)), flat(9), y, **options)


@pytest.mark.parametrize("learner", [None, LogisticRegression, 3], ids=str)
def test_learners_that_are_none(learner: Any) -> None:
    with pytest.raises(MdlError, match="learner: expected an unfitted estimator"):
        prequential(learner, X_CANCER, Y_CANCER)


def test_models_that_do_not_fit() -> None:
    y = [0, 1] * 10
    ten = constant(np.zeros(10))
    with pytest.raises(DataError, match=r"give classes .*among \[0, 1\]"):
        prequential(lambda X, y, start: ten, flat(20), y)
    twice = constant(np.zeros(3), classes=(0, 1, 1))
    with pytest.raises(DataError, match="a label for each of its 3 classes"):
        prequential(lambda X, y, start: twice, flat(20), y)
    gaussian = FeedForward({"layers.0.weight": np.zeros((1, 1)), "layers.0.bias": np.zeros(1)}, Gaussian(1.0))
    with pytest.raises(DataError, match=r"targets stated to 0\.5, got Gaussian"):
        prequential(lambda X, y, start: gaussian, flat(20), y, precision=0.5)
    with pytest.raises(DataError, match="start: a Gaussian whose scale is open"):
        prequential(Ridge(), flat(20), y, precision=1.0, start=Ridge().fit(flat(20), y))
    with pytest.raises(MdlError, match="LinearSVC has no likelihood"):
        prequential(make_pipeline(LinearSVC()), X_CANCER, Y_CANCER)


def test_a_pipeline_learns_its_transformers_anew_each_time() -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    message = encode_prequential(pipeline, X_CANCER, Y_CANCER)
    np.testing.assert_array_equal(decode_prequential(message, pipeline, X_CANCER), Y_CANCER)
    assert abs(len(message) - len(encode_prequential(LogisticRegression(), X_CANCER, Y_CANCER))) <= 4  # scaled already


def test_a_symbol_outside_the_plan_is_not_revealed() -> None:
    plan = Plan.of(Y_CANCER)
    online = Online(Dirichlet((0, 1)), plan, X_CANCER)
    with pytest.raises(MessageError, match="symbols from 0 to 1"):
        online.reveal(np.array([2], np.int32))


def test_progress_goes_to_stderr_and_only_if_asked_for(capsys: Any) -> None:
    prequential(Dirichlet((0, 1)), flat(200), Y_CANCER)
    assert capsys.readouterr() == ("", "")
    prequential(Dirichlet((0, 1)), flat(200), Y_CANCER, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "prequential" in err
