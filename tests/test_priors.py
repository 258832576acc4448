"""Every prior keeps the laws; broken ones are caught; what single families promise besides."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
from typing import Any

import numpy as np
import pytest

from mdl import priors
from mdl.errors import PriorError
from tests import examples
from tests import prior_laws as laws

ALL = examples.priors()


@pytest.mark.parametrize(("law", "prior"), examples.cases(laws.prior_laws, ALL))
def test_law(law: Any, prior: Any) -> None:
    law(prior)


# --- the laws catch what breaks them ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class HeavyMasses(priors.Gaussian):
    """One mass in the tail 1e-11 too large."""

    def log_mass(self, lower: Any, upper: Any) -> Any:
        return super().log_mass(lower, upper) * (1.0 + 1e-11)


@dataclasses.dataclass(frozen=True)
class Leaking(priors.Gaussian):
    """Masses times 1.01."""

    def log_mass(self, lower: Any, upper: Any) -> Any:
        return super().log_mass(lower, upper) + math.log(1.01)


@dataclasses.dataclass(frozen=True)
class OffCentre(priors.Gaussian):
    """A density that ignores half of ``loc``."""

    def logpdf(self, w: Any) -> Any:
        return super().logpdf(np.asarray(w) + 0.5 * self.loc)


@dataclasses.dataclass(frozen=True)
class Dense(priors.Gaussian):
    """A density of area 1.001."""

    def logpdf(self, w: Any) -> Any:
        return super().logpdf(w) + 0.001


@dataclasses.dataclass(frozen=True)
class WideFit(priors.Laplace):
    """A fit that is 5 % too wide."""

    def fit(self, w: Any, counts: Any = None, width: Any = 0.0) -> Any:
        fitted = super().fit(w, counts, width)
        return fitted if self.scale is not None else dataclasses.replace(fitted, scale=1.05 * fitted.scale)


@dataclasses.dataclass(frozen=True)
class Refitting(priors.Gaussian):
    """A fit that overrides what is given."""

    def fit(self, w: Any, counts: Any = None, width: Any = 0.0) -> Any:
        return dataclasses.replace(super().fit(w, counts, width), scale=0.5)


@dataclasses.dataclass(frozen=True)
class Countless(priors.Gaussian):
    """A fit that forgets the counts."""

    def fit(self, w: Any, counts: Any = None, width: Any = 0.0) -> Any:
        return super().fit(w, None, width)


@dataclasses.dataclass(frozen=True)
class Flat(priors.Gaussian):
    """A density that flattens its shape."""

    def logpdf(self, w: Any) -> Any:
        return super().logpdf(np.ravel(w))


@dataclasses.dataclass(frozen=True)
class Defaulting(priors.Gaussian):
    """Open parameters that quietly stand for 1."""

    @property
    def parameters(self) -> tuple[float, ...]:
        return (self.scale or 1.0, self.loc)


@dataclasses.dataclass(frozen=True)
class Permissive(priors.Gaussian):
    """Any scale will do."""

    def __post_init__(self) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class Picky(priors.Gaussian):
    """A fit that wants two weights at least."""

    def fit(self, w: Any, counts: Any = None, width: Any = 0.0) -> Any:
        assert np.size(w) > 1
        return super().fit(w, counts, width)


@dataclasses.dataclass(frozen=True)
class Unhashed(priors.Hashed):
    """A hashed prior that leaves the masses where they were."""

    def log_mass(self, lower: Any, upper: Any) -> Any:
        return self.base.log_mass(lower, upper)


@dataclasses.dataclass(frozen=True)
class Unfit(priors.Hashed):
    """A hashed prior whose fit halves the scale."""

    def fit(self, w: Any, counts: Any = None, width: Any = 0.0) -> Any:
        base = self.base.fit(w, counts, width)
        return dataclasses.replace(self, base=dataclasses.replace(base, scale=0.5 * base.scale))


BROKEN = [
    (laws.masses_are_exact, HeavyMasses(1.0)),
    (laws.masses_are_exact, Leaking(0.37)),
    (laws.masses_tile_the_line, Leaking(1.0)),
    (laws.shapes_are_kept, Flat(1.0)),
    (laws.density_integrates_to_one, Dense(1.0)),
    (laws.density_is_the_limit_of_masses, Dense(1.0)),
    (laws.loc_shifts, OffCentre(1.0)),
    (laws.fit_is_a_minimum, WideFit(1.0)),
    (laws.fit_keeps_what_is_given, Refitting(1.0)),
    (laws.fit_counts_are_repetitions, Countless(1.0)),
    (laws.fit_of_little_data, Picky(1.0)),
    (laws.open_parameters_are_refused, Defaulting(1.0)),
    (laws.invalid_parameters_are_refused, Permissive(1.0)),
    (laws.hashed_deals_out_the_masses_of_its_base, Unhashed(priors.Gaussian(1.0))),
    (laws.hashed_fit_is_no_longer_than_the_fit_of_its_base, Unfit(priors.Gaussian(1.0))),
]


@pytest.mark.parametrize(("law", "prior"), [pytest.param(*b, id=f"{b[0].__name__}-{b[1]}") for b in BROKEN])
def test_law_catches(law: Any, prior: Any) -> None:
    for caught in (law, laws.check_prior):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            caught(prior)


def test_every_law_has_a_prior_that_breaks_it() -> None:
    every = {law for prior in ALL for law in laws.prior_laws(prior)}
    assert every == {law for law, _ in BROKEN}


def test_check_prior_passes_a_sound_one() -> None:
    laws.check_prior(priors.Gaussian(1.0))


def test_a_prior_without_an_example_is_noticed() -> None:
    with pytest.raises(LookupError, match="write an example for Leaking"):
        examples.instances([priors.Gaussian, Leaking], examples.PRIORS)


def test_every_example_is_found() -> None:
    assert {type(prior) for prior in ALL} == set(examples.PRIORS)
    assert priors.Gaussian in examples.PRIORS


def test_opened_and_neighbours_reach_nested_parameters() -> None:
    prior = priors.SpikeAndSlab(0.5, priors.StudentT(1.0, 0.25, 2.0))
    assert laws.opened(prior) == priors.SpikeAndSlab(None, priors.StudentT(None, 0.25, None))
    moved = [(p.density, p.slab.scale, p.slab.df) for p in laws.neighbours(prior, 1.5)]
    assert moved == [(0.75, 1.0, 2.0), (0.5, 1.5, 2.0), (0.5, 1.0, 3.0)]


# --- single families --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: priors.Gaussian(0.0), "Gaussian: expected 0.0 < scale", id="scale"),
        pytest.param(lambda: priors.StudentT(1.0, df=0.01), "StudentT: expected 0.05 < df <= 10000", id="df low"),
        pytest.param(lambda: priors.StudentT(1.0, df=1e5), "df", id="df high"),
        pytest.param(lambda: priors.GeneralizedGaussian(1.0, shape=0.05), "shape", id="shape low"),
        pytest.param(lambda: priors.GeneralizedGaussian(1.0, shape=50.0), "shape", id="shape high"),
        pytest.param(lambda: priors.SpikeAndSlab(1.5), "density", id="density"),
        pytest.param(lambda: priors.SpikeAndSlab(0.5, priors.SpikeAndSlab(0.5)), "slab", id="spike in spike"),
        pytest.param(lambda: priors.SpikeAndSlab(0.5, priors.Hashed()), "slab", id="hashed slab"),
        pytest.param(lambda: priors.Hashed(priors.Hashed()), "hashed", id="hashed twice"),
        pytest.param(lambda: priors.Mixture(0), "components", id="no components"),
        pytest.param(lambda: priors.Mixture(33), "components", id="33 components"),
        pytest.param(lambda: priors.Mixture(2, (1.0,), (0.0,), (1.0,)), "one value a component", id="too few values"),
        pytest.param(lambda: priors.Mixture(1, (1.0,)), "together", id="weights alone"),
        pytest.param(lambda: priors.Gaussian.from_l2(0.0, 10), "from_l2", id="no strength"),
        pytest.param(lambda: priors.Gaussian.from_l2(1.0, 0), "from_l2", id="no examples"),
        pytest.param(lambda: priors.Gaussian(1.0).log_mass(1.0, 0.0), "lower <= upper", id="cell reversed"),
        pytest.param(lambda: priors.Gaussian(1.0).log_mass(math.nan, 0.0), "lower <= upper", id="cell NaN"),
        pytest.param(lambda: priors.Gaussian().fit([1.0, math.nan]), "finite", id="weight NaN"),
        pytest.param(lambda: priors.Gaussian().fit([1.0, 2.0], [1]), "counts", id="counts too few"),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        make()


def test_from_l2_is_the_variance_of_the_convention() -> None:
    n, strength, w = 250, 0.03, np.array([-1.0, 0.4, 2.0])
    penalty = n * strength / 2 * w**2
    relative = -priors.Gaussian.from_l2(strength, n).logpdf(w) + priors.Gaussian.from_l2(strength, n).logpdf(0.0)
    np.testing.assert_allclose(relative, penalty, rtol=1e-13)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        pytest.param(priors.Gaussian(), lambda w: math.sqrt(np.mean(w**2)), id="Gaussian: root mean square"),
        pytest.param(priors.Laplace(), lambda w: np.mean(np.abs(w)), id="Laplace: mean deviation"),
        pytest.param(priors.Gaussian(loc=2.0), lambda w: math.sqrt(np.mean((w - 2.0) ** 2)), id="Gaussian about 2"),
        pytest.param(priors.Uniform(loc=0.5), lambda w: np.abs(w - 0.5).max(), id="Uniform: range"),
    ],
)
def test_fit_is_the_maximum_likelihood_estimate(family: Any, expected: Any) -> None:
    w = np.random.default_rng(0).standard_t(5.0, 1000)
    assert family.fit(w).scale == pytest.approx(expected(w), rel=1e-3)


@pytest.mark.parametrize("given", [{"scale": 0.7}, {"df": 3.0}], ids=str)
def test_fit_changes_only_open_parameters(given: dict[str, float]) -> None:
    fitted = priors.StudentT(**given).fit(np.random.default_rng(0).normal(size=200))
    assert {name: getattr(fitted, name) for name in given} == given
    assert None not in dataclasses.astuple(fitted)


def test_fit_recovers_where_the_data_come_from() -> None:
    rng = np.random.default_rng(4)
    t = priors.StudentT().fit(0.1 * rng.standard_t(3.0, 40_000))
    assert (t.scale, t.df) == (pytest.approx(0.1, rel=0.05), pytest.approx(3.0, rel=0.1))
    power = priors.GeneralizedGaussian().fit(
        rng.choice([-2.0, 2.0], 40_000) * rng.gamma(1 / 0.7, size=40_000) ** (1 / 0.7)
    )
    assert (power.scale, power.shape) == (pytest.approx(2.0, rel=0.1), pytest.approx(0.7, rel=0.05))
    w = np.where(rng.random(40_000) < 0.2, rng.normal(0.0, 3.0, 40_000), 0.0)
    spike = priors.SpikeAndSlab().fit(np.rint(8.0 * w) / 8.0, None, 0.125)
    assert (spike.density, spike.slab.scale) == (pytest.approx(0.2, rel=0.05), pytest.approx(3.0, rel=0.05))
    mix = priors.Mixture(2).fit(
        np.where(rng.random(40_000) < 0.3, rng.normal(1.0, 0.1, 40_000), rng.normal(-1.0, 0.5, 40_000))
    )
    assert sorted(mix.scales) == [pytest.approx(0.1, rel=0.05), pytest.approx(0.5, rel=0.05)]


def test_mixture_narrows_to_a_single_cell() -> None:
    """A peak inside one cell of width 1 costs next to nothing beyond the choice of its component."""
    w = np.append(np.zeros(3000), np.arange(-500.0, 500.0))
    fitted = priors.Mixture(2).fit(w, None, 1.0)
    peak = -fitted.log_mass(-0.5, 0.5)
    assert peak == pytest.approx(math.log(4.0 / 3.0), abs=0.02)


def test_mixture_weights_are_relative() -> None:
    one, two = (priors.Mixture(2, (k, 3.0 * k), (0.0, 1.0), (1.0, 2.0)) for k in (0.25, 10.0))
    w = np.linspace(-3.0, 3.0, 13)
    np.testing.assert_allclose(one.logpdf(w), two.logpdf(w), rtol=1e-14)


def test_spike_belongs_to_the_cell_whose_lower_edge_is_zero() -> None:
    prior = priors.SpikeAndSlab(0.25)
    with pytest.raises(PriorError):
        prior.log_mass(0.0, 1.0)
    given = priors.SpikeAndSlab(0.25, priors.Gaussian(1.0))
    left, right = np.exp(given.log_mass([-1.0, 0.0], [0.0, 1.0]))
    assert right - left == pytest.approx(0.75, abs=1e-15)


def test_hashed_order_is_that_of_the_digests() -> None:
    base, salt = priors.Laplace(0.5), 3
    edges = np.linspace(-2.0, 2.0, 17)
    digests = [
        hashlib.sha256(salt.to_bytes(8, "little") + np.array([a, b], "<f8").tobytes()).digest()[:16]
        for a, b in itertools.pairwise(edges)
    ]
    falling = np.sort(base.log_mass(edges[:-1], edges[1:]))[::-1]
    expected = [falling[sorted(digests).index(digest)] for digest in digests]
    assert priors.Hashed(base, salt).log_mass(edges[:-1], edges[1:]).tolist() == expected


def test_one_outlier_does_not_keep_a_scale_from_the_rest() -> None:
    w = np.append(np.random.default_rng(0).standard_cauchy(2000), 1e9)
    assert 0.8 < priors.Cauchy().fit(w).scale < 1.25
