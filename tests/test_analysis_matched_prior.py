"""The matched prior is best where theory says so, samplers agree with integrals, and the table recovers the truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, special, stats

from analyses import _catalogue, _teachers, _transfer
from analyses import _prior_summary as summary
from analyses import matched_prior as analysis
from analyses._centre_summary import above
from analyses._centred import Posterior, linear, network
from analyses._sampled import Draws, all_modes, annealed, forecast, outputs, sampled
from mdl import likelihoods
from mdl.curvature import Objective
from mdl.lengths.evidence import ridge_evidence


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("matched_prior")


def one_weight() -> tuple[Objective, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 1))
    y = (rng.random(12) < special.expit(2.0 * X[:, 0])).astype(int)
    return Objective(linear(1, likelihoods.Bernoulli()), X, y), X, y


def exact(X: np.ndarray, y: np.ndarray, density, at: float = math.nan) -> float:
    """The evidence of one weight by quadrature; with ``at`` the integral of its forecast there."""

    def mass(w: float) -> float:
        p = math.exp(float(special.log_expit((2 * y - 1) * X[:, 0] * w).sum())) * float(density(w))
        return p if math.isnan(at) else p * float(special.expit(at * w))

    return integrate.quad(mass, -15.0, 15.0, points=[0.0, 1.0, 2.0], limit=400)[0]


def test_the_matched_scale_and_centre_are_best_for_ridge_exactly() -> None:
    X = np.random.default_rng(1).standard_normal((25, 5))
    for of in (_teachers.ridge_nats, _teachers.ridge_risk):
        found = optimize.minimize_scalar(
            lambda log, of=of: of(X, math.exp(log)), bounds=(-3.0, 3.0), method="bounded", options={"xatol": 1e-9}
        )
        assert math.exp(found.x) == pytest.approx(_teachers.SCALE, rel=1e-5)
        assert of(X, _teachers.SCALE, 0.1) > of(X, _teachers.SCALE, 0.0)


def test_ridges_closed_forms_are_means_over_teachers() -> None:
    rng = np.random.default_rng(2)
    X, s = rng.standard_normal((25, 5)), 0.8
    w = _teachers.SCALE * rng.standard_normal((20_000, 5))
    y = w @ X.T + rng.standard_normal((20_000, 25))
    missed = y @ X @ np.linalg.inv(X.T @ X + np.eye(5) / s**2) - w
    assert (missed**2).sum(axis=1).mean() == pytest.approx(_teachers.ridge_risk(X, s), rel=0.02)
    nats = [ridge_evidence(X, one, [1.0 / s**2], noise=1.0, precision=1.0).nats[0] for one in y[:500]]
    assert np.mean(nats) == pytest.approx(_teachers.ridge_nats(X, s), abs=4.0 * np.std(nats) / math.sqrt(500))


@pytest.mark.parametrize("shape", list(_teachers.shapes(1.0)))
def test_importance_sampling_is_the_integral_under_any_shape(shape) -> None:
    task, X, y = one_weight()
    prior = _teachers.shapes(1.5)[shape]
    draws = Draws.about(task, Posterior.of(task, 1.5), 40_000, np.random.default_rng(3))
    found = sampled(draws, prior.logpdf(draws.w).sum(axis=1))
    integral = exact(X, y, lambda w: math.exp(float(prior.logpdf(w))))
    assert found.nats == pytest.approx(-math.log(integral), abs=0.02)
    p = forecast(task, draws.w, found.weights, np.array([[0.7]]))[0]
    assert p == pytest.approx(exact(X, y, lambda w: math.exp(float(prior.logpdf(w))), 0.7) / integral, abs=0.01)


def test_sequential_sampling_is_the_integral_too() -> None:
    task, X, y = one_weight()
    centre, rng = np.array([0.5]), np.random.default_rng(4)
    runs = [annealed(task, 1.5, centre, rng, 200) for _ in range(5)]
    prior = stats.norm(0.5, 1.5)
    assert np.mean([nats for _, nats in runs]) == pytest.approx(-math.log(exact(X, y, prior.pdf)), abs=0.05)
    mean = exact(X, y, lambda w: w * prior.pdf(w)) / exact(X, y, prior.pdf)
    assert np.mean([w.mean() for w, _ in runs]) == pytest.approx(mean, abs=0.1)


def test_the_average_over_all_modes_is_the_integral() -> None:
    task, X, y = one_weight()
    prior, rng = stats.norm(0.5, 1.5), np.random.default_rng(8)
    found = all_modes((task, 1.5, np.array([0.5])), np.array([[0.7], [-0.2]]), np.array([1, 0]), rng, 4000)
    evidence = exact(X, y, prior.pdf)
    p = [exact(X, y, prior.pdf, at) / evidence for at in (0.7, -0.2)]
    assert found.nats == pytest.approx(-math.log(evidence), abs=0.05)
    assert found.test_bits == pytest.approx(-0.5 * (math.log2(p[0]) + math.log2(1.0 - p[1])), abs=0.02)


def test_where_a_mean_is_least_has_an_interval() -> None:
    steps, seeds = np.meshgrid([-1.0, 0.0, 1.0], np.arange(30.0))
    rows = pd.DataFrame({"part": "scale", "n": 30, "seed": seeds.ravel(), "step": steps.ravel()})
    sure = rows.assign(bits=rows["step"] ** 2)
    assert summary.least_range(sure, "scale", "bits", 30) == (0.0, 0.0)
    noise = np.random.default_rng(9).normal(size=len(rows))
    low, high = summary.least_range(rows.assign(bits=noise), "scale", "bits", 30)
    assert low < high


def test_batched_outputs_are_the_models_own() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(6, 3))
    for model in (linear(3, likelihoods.Bernoulli()), network(3, 4, likelihoods.Categorical(3), rng)):
        task = Objective(model, X, np.zeros(6, int))
        w = rng.normal(size=(2, task.size))
        own = np.stack([task.model_at(one).predict(X).reshape(6, -1) for one in w])
        assert outputs(task, w, X) == pytest.approx(own, abs=1e-12)


def test_shapes_have_one_variance() -> None:
    rng = np.random.default_rng(6)
    for name, prior in _teachers.shapes(0.5).items():
        second = integrate.quad(lambda w, p=prior: w**2 * math.exp(float(p.logpdf(w))), -400.0, 400.0,
                                points=[-0.8661, 0.0, 0.8661], limit=1000)[0]  # fmt: skip
        assert second == pytest.approx(0.25, rel=1e-3)
        assert np.mean(_teachers.drawn(name, 0.5, 200_000, rng) ** 2) == pytest.approx(0.25, rel=0.05)


def test_a_teachers_own_probabilities_have_no_excess() -> None:
    taught, _, rng = _teachers._linear(_teachers.Cell("scale", 0, 30), "Gaussian")
    assert taught.excess(taught.truth) == pytest.approx(0.0, abs=1e-12)
    assert taught.excess(rng.permutation(taught.truth)) > 0.1


def test_related_tasks_are_other_images() -> None:
    rows = _transfer.Rows.of(np.random.default_rng(7))
    for label in range(10):
        taken = np.concatenate([rows.taught[label], rows.source[label], rows.test[label]])
        assert len(set(taken.tolist())) == len(taken)


def test_the_committed_table_recovers_the_truth(table: pd.DataFrame) -> None:
    for of in ("bits", "excess_bits"):
        assert set(summary.least(table, "scale", of).values()) == {0.0}
        assert set(summary.least(table, "centre", of).values()) == {1.0}
        assert abs(next(iter(summary.least(table, "network scale", of).values()))) <= 1.0
        assert abs(next(iter(summary.least(table, "network centre", of).values()))) == 1.0
    assert set(summary.least(table.assign(bits=table["risk"]), "ridge", "bits").values()) == {0.0}


def test_unrelated_centres_gain_nothing_on_pairs(table: pd.DataFrame) -> None:
    found = summary.gains(table, "pairs")
    for name in analysis.UNRELATED:
        assert not any(above(part["gain_bits"]) for _, part in found[found["centre"] == name].groupby("n"))
    assert (found["paid_bits"] > -found["gain_bits"]).all()


def test_a_length_without_a_cost_is_found_out(table: pd.DataFrame) -> None:
    name = "digits: charged for, it gains nothing"
    assert analysis.held(table)[name]
    free = table.assign(labels_bits=table["labels_bits"] * 0.0)
    assert not analysis.held(free)[name]
    assert name in analysis.verdict(free)


def test_a_prior_that_is_best_elsewhere_is_found_out(table: pd.DataFrame) -> None:
    name = "teachers: length is least at the true scale and centre"
    assert analysis.held(table)[name]
    moved = table.assign(bits=table["bits"].where(table["part"] != "scale", table["bits"] - 9.0 * table["step"]))
    assert not analysis.held(moved)[name]
