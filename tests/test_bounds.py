"""Bounds against scipy's binomial, mpmath, exact non-coverage, and simulation of all models at once."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special, stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

import mdl
from mdl import bounds
from mdl.bounds import METHODS, TEMPERATURES, binomial_bound, catoni_bound, certificate, certify, kl_bound
from mdl.codes import message
from mdl.errors import DataError, MdlError
from mdl.length import LN2, CodeLength
from mdl.models import FeedForward
from mdl.trials import Trials, default_step

CASES = [
    (mean, nats, n, delta)
    for mean in (0.0, 0.01, 0.25, 0.6, 1.0)
    for nats in (0.0, 3.0, 700.0, 40_000.0)
    for n, delta in ((100, 0.05), (60_000, 0.5), (10_000, 1e-9))
]


def message_of(bits: float, **parts: float) -> CodeLength:
    return CodeLength.from_bits({"weights": bits, **parts}, realised=True)


def kl(q: Any, x: Any) -> Any:
    """kl(q || p) in mpmath, p by its log odds x."""
    of_p = q * mpmath.log1p(mpmath.exp(-x)) + (1 - q) * mpmath.log1p(mpmath.exp(x))
    return q * mpmath.log(q) + (1 - q) * mpmath.log(1 - q) + of_p


@pytest.mark.parametrize("mean", [1e-6, 0.01, 0.3, 0.5, 0.97, 1 - 1e-6])
@pytest.mark.parametrize(("nats", "n"), [(0.0, 100), (3.0, 10**7), (120.0, 100), (2500.0, 100)])
def test_kl_bound_inverts_the_relative_entropy(mean: float, nats: float, n: int) -> None:
    """In mpmath: the kl at the bound is the right side."""
    bound = kl_bound(mean, nats, n, 0.05)
    with mpmath.workdps(40):
        right = (mpmath.mpf(nats) + mpmath.log(20)) / n
        q = mpmath.mpf(mean)
        ends = mpmath.log(q / (1 - q)), mpmath.mpf(10**10)
        x = mpmath.findroot(lambda x: kl(q, x) - right, ends, solver="bisect", maxsteps=200, verify=False)
        expected = 1 / (1 + mpmath.exp(-x))
    assert bound == pytest.approx(float(expected), rel=1e-10)
    assert mean < bound <= 1.0


@pytest.mark.parametrize(("nats", "n", "delta"), [(0.0, 10, 0.05), (5.0, 1000, 0.01), (900.0, 60_000, 0.5)])
def test_without_errors_kl_and_binomial_are_the_power_itself(nats: float, n: int, delta: float) -> None:
    """(1 - p)^n = delta exp(-nats)."""
    with mpmath.workdps(40):
        expected = float(1 - (mpmath.mpf(delta) * mpmath.exp(-nats)) ** (mpmath.mpf(1) / n))
    assert kl_bound(0.0, nats, n, delta) == pytest.approx(expected, rel=1e-12)
    assert binomial_bound(0.0, nats, n, delta) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "n"), [(1, 10), (9, 10), (40, 1000), (3000, 60_000), (1, 10**6)])
@pytest.mark.parametrize(("nats", "delta"), [(0.0, 0.05), (0.0, 0.9), (2.0, 0.5), (300.0, 0.01)])
def test_binomial_bound_is_clopper_and_pearsons(count: int, n: int, nats: float, delta: float) -> None:
    expected = stats.beta.isf(delta * math.exp(-nats), count + 1, n - count)
    assert binomial_bound(count / n, nats, n, delta) == pytest.approx(expected, rel=1e-8)


def test_binomial_bound_beyond_the_smallest_float() -> None:
    """A tail of exp(-5000) against mpmath's incomplete beta function."""
    n, count = 20_000, 300
    bound = binomial_bound(count / n, 5000.0, n, 0.05)
    with mpmath.workdps(60):
        p = mpmath.mpf(bound)
        pmf = [mpmath.binomial(n, k) * p**k * (1 - p) ** (n - k) for k in range(count + 1)]
        tail = mpmath.log(mpmath.fsum(pmf))
    assert float(-tail) == pytest.approx(5000.0 + math.log(20), rel=1e-9)


@pytest.mark.parametrize(("mean", "nats", "n", "delta"), [case for case in CASES if 0.0 < case[0] < 1.0])
def test_kl_is_the_envelope_of_catonis_lines(mean: float, nats: float, n: int, delta: float) -> None:
    """Duality: the least over all temperatures is the kl bound, and the sixteen come close."""
    temperatures = np.geomspace(1e-5, 60.0, 40_001)
    right = (nats - math.log(delta)) / n
    lines = np.expm1(-temperatures * mean - right) / np.expm1(-temperatures)
    exact = kl_bound(mean, nats, n, delta)
    assert min(lines.min(), 1.0) == pytest.approx(exact, rel=1e-6)
    assert exact * (1 - 1e-9) <= catoni_bound(mean, nats, n, delta) <= exact + 0.07 * (exact - mean)


@pytest.mark.parametrize(("mean", "nats", "n", "delta"), CASES)
def test_order_of_the_methods(mean: float, nats: float, n: int, delta: float) -> None:
    found = {name: method(mean, nats, n, delta) for name, method in METHODS.items()}
    assert found["binomial"] <= found["kl"] * (1 + 1e-9)
    assert found["kl"] <= found["mcallester"] * (1 + 1e-9)
    assert found["kl"] <= found["catoni"] * (1 + 1e-9)
    assert all(0.0 <= bound <= 1.0 for bound in found.values())
    assert all(bound >= mean for name, bound in found.items() if name != "binomial" or delta < 0.5)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_longer_models_and_fewer_examples_bound_less(method: Any) -> None:
    by_length = [method(0.1, nats, 1000, 0.05) for nats in (0.0, 1.0, 10.0, 100.0)]
    by_count = [method(0.1, 10.0, n, 0.05) for n in (10**6, 10**4, 1000, 100, 10)]
    by_delta = [method(0.1, 10.0, 1000, delta) for delta in (0.5, 0.05, 1e-3, 1e-12)]
    by_error = [method(mean, 10.0, 1000, 0.05) for mean in (0.0, 0.05, 0.5, 0.9)]
    for found in (by_length, by_count, by_delta, by_error):
        assert (np.diff(found) > 0).all()
    assert by_count[0] - 0.1 < 0.005


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("delta", [0.5, 0.05])
def test_misses_at_most_delta_exactly(method: Any, delta: float) -> None:
    """The probability of all counts whose bound is below the truth, for one model known before: a binomial sum."""
    for n in (1, 2, 7, 30):
        counts = np.arange(n + 1)
        limits = np.array([method(k / n, 0.0, n, delta) for k in counts])
        truths = np.concatenate([np.linspace(0.01, 0.99, 99), np.minimum(limits + 1e-9, 1.0)])
        missed = (stats.binom.pmf(counts, n, truths[:, None]) * (limits < truths[:, None])).sum(axis=1)
        assert missed.max() <= delta * (1 + 1e-6)
        if method in (binomial_bound, kl_bound):  # just above the limit of no errors: all of delta
            assert missed.max() >= delta * (1 - 1e-6)


def _files(longest: int) -> np.ndarray:
    """Length in bits of every file of at most so many bits: 2^b of b bits."""
    bits = np.arange(longest + 1)
    return np.repeat(bits, 2**bits)


@pytest.mark.parametrize(("method", "least"), [("kl", 0.8), ("binomial", 0.8), ("catoni", 0.0), ("mcallester", 0.0)])
def test_all_files_at_once_miss_at_most_delta(method: str, least: float) -> None:
    """1,023 models, one for every file of up to 9 bits, each as bad as its bound without errors says, and no worse.

    Half of delta, or twice, would show: without errors the kl is exact, and the files' shares sum to 0.94.
    """
    n, delta, trials = 12, 0.2, 3000
    bits = _files(9)
    zero = {b: certificate(message_of(float(b)), 0.0, n, delta=delta, method=method).bound for b in range(10)}
    truths = np.minimum(np.array([zero[b] for b in bits]) * (1 + 1e-9), 1.0)
    errors = np.random.default_rng(1).binomial(n, truths, size=(trials, bits.size))
    limits = np.array([
        [certificate(message_of(float(b)), k / n, n, delta=delta, method=method).bound for k in range(n + 1)]
        for b in range(10)
    ])  # fmt: skip
    missed = (limits[bits, errors] < truths).any(axis=1)
    share = (1 / np.arange(1, 11) ** 2).sum() * 6 / math.pi**2
    assert missed.mean() <= delta + 3 * math.sqrt(delta * (1 - delta) / trials)
    assert missed.mean() >= least * share * delta


def test_random_labels_certify_nothing_below_chance() -> None:
    """A file that tells n labels has n bits: however well it fits, no bound may be below the half that is true."""
    for n in (10, 1000, 10**5):
        for method in METHODS:
            assert certificate(message_of(float(n)), 0.0, n, method=method).bound > 0.5
    assert certificate(message_of(1e6), 0.0, 100).bound == 1.0
    assert certificate(message_of(1e6), 0.3, 100, method="mcallester").bound == 1.0


def test_delimiter_shares_sum_to_one() -> None:
    lengths = np.arange(0, 20_000)
    paid = [certificate(message_of(float(b)), 0.0, 10).length.part("delimiter") for b in lengths]
    shares = np.exp(-np.array(paid))
    assert shares.sum() + 6 / math.pi**2 / (lengths[-1] + 1.5) == pytest.approx(1.0, abs=1e-9)  # the rest of the series
    assert paid[900] / LN2 == pytest.approx(2 * math.log2(901) + math.log2(special.zeta(2)), rel=1e-12)


def test_everything_is_charged_by_name() -> None:
    length = message_of(800.0, prior=20.0, header=300.0)
    plain = certificate(length, 0.1, 1000)
    assert set(plain.length.part_bits()) == {"weights", "prior", "delimiter", "candidates"}
    assert plain.length.part("candidates") == 0.0
    more = certificate(length, 0.1, 1000, candidates=25, header=True, method="catoni").length
    assert more.part("candidates") == pytest.approx(math.log(25))
    assert more.part("temperature") == pytest.approx(math.log(len(TEMPERATURES)))
    assert more.part_bits()["header"] == pytest.approx(300.0)
    assert more.part_bits()["delimiter"] == pytest.approx(2 * math.log2(1121) + math.log2(math.pi**2 / 6))
    joint = certificate(message_of(800.0, data=500.0), 0.1, 1000).length.part_bits()
    assert joint["seam"] == pytest.approx(64.0)
    assert "data" not in joint


@pytest.mark.parametrize("method", METHODS)
def test_certificate_is_the_method_on_what_is_paid(method: str) -> None:
    found = certificate(message_of(300.0), 0.25, 2000, delta=0.01, method=method, candidates=3)
    assert found.bound == METHODS[method](0.25, found.length.nats, 2000, 0.01)
    as_dict = found.as_dict()
    assert as_dict["bound"] == found.bound
    assert as_dict["parts"]["weights"] == pytest.approx(300.0)
    assert {"method", "delta", "n", "training_error", "upper", "total_bits"} <= set(as_dict)
    assert f"{found.bound:.4g} with probability 0.99 ({method}; 0.25 on 2,000" in str(found)


def test_a_bounded_loss_is_scaled() -> None:
    error = certificate(message_of(100.0), 0.1, 5000)
    scaled = certificate(message_of(100.0), 0.8, 5000, upper=8.0)
    assert scaled.bound == pytest.approx(8.0 * error.bound)


@pytest.mark.parametrize("name", ["kl", "catoni", "mcallester"])
def test_losses_between_0_and_1_are_covered_exactly(name: str) -> None:
    """Losses 0, 1/2 and 1: the distribution of their mean by convolution; never missed more often than of 0 and 1."""
    n, delta, missed = 9, 0.2, {}
    nats = math.log(len(TEMPERATURES)) if name == "catoni" else 0.0
    limits = np.array([METHODS[name](half / (2 * n), nats, n, delta) for half in range(2 * n + 1)])
    for halves in (0.0, 0.05, 0.3):
        truths = np.append(np.arange(0.2, 0.95, 0.01), limits + 1e-9)
        for truth in truths[(truths > halves / 2) & (truths < 1 - halves / 2)]:
            one = truth - halves / 2
            mass = np.ones(1)
            for _ in range(n):
                mass = np.convolve(mass, [1 - one - halves, halves, one])
            missed[halves] = max(missed.get(halves, 0.0), mass[limits < truth].sum())
    assert max(missed.values()) <= delta * (1 + 1e-6)
    assert missed[0.3] < missed[0.0]
    if name == "kl":
        assert missed[0.0] == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"delta": 0.0}, "delta: expected a probability between 0 and 1, got 0.0"),
        ({"delta": 1.0}, "delta: expected"),
        ({"delta": math.nan}, "delta: expected"),
        ({"n": 0}, "n: expected a whole number >= 1, got 0"),
        ({"n": 2.5}, "n: expected a whole number >= 1, got 2.5"),
        ({"n": math.nan}, "n: expected"),
        ({"n": math.inf}, "n: expected"),
        ({"training_error": -0.1}, "training error: expected a mean from 0 to the largest loss, got -0.1"),
        ({"training_error": 1.1}, "training error: expected"),
        ({"training_error": math.nan}, "training error: expected"),
        ({"upper": 0.0}, "upper: expected a positive finite loss, got 0.0"),
        ({"upper": math.inf}, "upper: expected"),
        ({"candidates": 0}, "candidates: expected a whole number >= 1, got 0"),
        ({"method": "hoeffding"}, "method: expected one of binomial, kl, catoni, mcallester, got 'hoeffding'"),
        ({"length": CodeLength.from_bits({"weights": 9.0})}, "length: expected a realised one, .* got an ideal one"),
        ({"length": message_of(math.inf)}, "length: expected a realised one, .* got an infinite one"),
        ({"method": "binomial", "training_error": 0.123}, "expected a whole number of errors, got 0.123 of 100"),
    ],
    ids=str,
)
def test_what_is_refused(changed: dict[str, Any], said: str) -> None:
    given = {"length": message_of(100.0), "training_error": 0.1, "n": 100} | changed
    with pytest.raises(MdlError, match=said):
        certificate(**given)


@pytest.mark.parametrize("nats", [-1.0, math.nan, math.inf])
def test_lengths_that_are_none_are_refused(nats: float) -> None:
    with pytest.raises(MdlError, match="nats: expected a finite length >= 0"):
        kl_bound(0.1, nats, 100)


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any, Any, Any]:
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order] / 16.0, y[order]
    return mdl.wrap(LogisticRegression(C=0.1).fit(X[:1200], y[:1200])), X[:1200], y[:1200], X[1200:], y[1200:]


def test_certify_measures_the_model_that_is_in_the_message(digits: Any) -> None:
    model, X, y, X_test, y_test = digits
    step = 32 * default_step(model.weights)
    found = certify(model, X, y, mdl.Laplace(), step)
    trial = Trials(model, X, y).on(step, mdl.Laplace())
    data, length = message.write(trial.tensors, trial.scheme)
    weights = mdl.decode(data)
    logits = X @ weights["layers.0.weight"] + weights["layers.0.bias"]
    assert found.training_error == np.mean(logits.argmax(axis=1) != y)
    assert found.training_error > np.mean(model.predict(X).argmax(axis=1) != y)  # such a step is not free
    assert found.length.nats == pytest.approx(
        length.comparable.nats + 2 * math.log(length.comparable.bits + 1) + math.log(math.pi**2 / 6), abs=1e-6
    )
    assert 8 * len(data) == pytest.approx(length.bits)
    coded = model.with_weights(weights)
    assert bounds.errors(coded, X_test, y_test).mean() < found.bound < 0.9


def test_certify_searches_steps_and_beats_the_shortest_message(digits: Any) -> None:
    """The labels' length and the error rate want different steps when the penalty is strong."""
    _, X, y, *_ = digits
    model = mdl.wrap(LogisticRegression(C=0.01).fit(X, y))
    found = certify(model, X, y)
    trial = Trials(model, X, y).search(mdl.Gaussian())
    shortest = message.write(trial.tensors, trial.scheme)[1]
    error = bounds.errors(model.with_weights(trial.scheme.quantized(trial.tensors)), X, y).mean()
    assert found.bound < certificate(shortest, error, len(y)).bound - 0.05
    assert found.bound < certify(model, X, y, quantizer=default_step(model.weights)).bound - 0.05
    by_method = {name: certify(model, X, y, method=name).bound for name in METHODS}
    assert by_method["binomial"] < by_method["kl"] < by_method["catoni"] < by_method["mcallester"]


def test_certify_bounds_clipped_bits(digits: Any) -> None:
    model, X, y, X_test, y_test = digits
    found = certify(model, X, y, clip_bits=6.0)
    assert found.upper == 6.0
    test = np.minimum(-np.log2(special.softmax(model.predict(X_test), axis=1)[np.arange(len(y_test)), y_test]), 6.0)
    np.testing.assert_allclose(bounds.clipped_bits(model, X_test, y_test, 6.0), test, rtol=1e-9)
    assert test.mean() < found.bound < 6.0


def test_errors_of_two_classes_with_names() -> None:
    logits = FeedForward({"layers.0.weight": [[1.0]], "layers.0.bias": [0.0]}, mdl.likelihoods.Bernoulli())
    named = FeedForward(logits.weights, logits.likelihood, classes=("no", "yes"))
    X = [[-1.0], [0.5], [3.0], [-2.0]]
    assert bounds.errors(named, X, ["no", "no", "yes", "yes"]).tolist() == [0.0, 1.0, 0.0, 1.0]


def test_certify_refuses_what_is_no_classifier() -> None:
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    ridge = mdl.wrap(Ridge().fit(X, y))
    with pytest.raises(DataError, match="expected a classifier, got a model with the likelihood Gaussian"):
        certify(ridge, X, y)


def test_labels_and_inputs_must_agree(digits: Any) -> None:
    model, X, y, *_ = digits
    with pytest.raises(DataError, match="expected a label for each row of X, got 5 and 1200"):
        bounds.errors(model, X, y[:5])
    with pytest.raises(MdlError, match="clip_bits: expected a positive finite number, got 0"):
        bounds.clipped_bits(model, X, y, 0.0)


def test_a_notebook_shows_the_bound_and_its_length() -> None:
    shown = bounds.certificate(CodeLength.from_bits({"weights": 16.0}, realised=True), 0.1, 100)._repr_html_()
    assert shown.startswith("<p>expected loss &lt;= 0.")
    assert "<td>weights</td>" in shown
