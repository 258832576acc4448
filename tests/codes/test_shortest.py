"""Every tensor takes its own shortest prior; a grid with a point at zero where a trellis has none to offer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mdl
from mdl.codes.fitted import fit_scheme
from mdl.codes.shortest import Shortest, _nats, _others
from mdl.errors import CodeError, PriorError
from mdl.lengths.checkpoint import report
from mdl.likelihoods import Bernoulli
from mdl.models import FeedForward
from mdl.quantize import DeadZone, UniformGrid
from mdl.trellis import SQUARED_ERROR, Trellis

RNG = np.random.default_rng(0)
W = {
    "normal": RNG.normal(size=(60, 50)),
    "heavy": RNG.standard_t(2.5, size=(60, 50)),
    "scaled": RNG.normal(size=(60, 50)) * np.geomspace(0.03, 1.0, 60)[:, None],
    "coin": RNG.choice([-1.0, 1.0], 900),
    "whole": np.arange(7),
}
SPARSE = np.where(RNG.random((50, 200)) < 0.05, RNG.normal(size=(50, 200)), 0.0)


def codings(w: Any, step: Any, prior: Shortest = Shortest()) -> Any:  # noqa: B008
    loaded = mdl.load(w)
    return prior.scheme(loaded, dict.fromkeys(loaded.floats, step)).codings


@pytest.mark.parametrize("step", [UniformGrid(0.1), Trellis(0.1, 8)])
def test_every_tensor_is_as_short_as_under_the_best_of_the_priors(step) -> None:
    """But for what a sample of the weights does not tell: less than a thousandth."""
    for name, w in W.items():
        alone = {name: w}
        each = [mdl.measure(alone, prior, step).comparable.bits for prior in Shortest().priors]
        found = mdl.measure(alone, Shortest(), step).comparable.bits
        assert min(each) - 1e-6 <= found <= 1.001 * min(each)
    together = mdl.measure(W, Shortest(), step).comparable.bits
    assert together < min(mdl.measure(W, prior, step).comparable.bits for prior in Shortest().priors)


def test_rivals_are_chosen_by_whichever_shortens_a_sample() -> None:
    """Light tails, heavy ones, and none worth a shape; a family that the first one is not is tried as well."""
    rng = np.random.default_rng(1)
    light, heavy = rng.uniform(-1.0, 1.0, (40, 50)), rng.standard_t(3.0, (40, 50))
    rows = np.geomspace(0.03, 1.0, 40)[:, None]
    normal, heavy_tailed = rng.normal(size=(40, 50)), {"StudentT", "GeneralizedGaussian"}
    for w, families in ((light, {"GeneralizedGaussian"}), (heavy, heavy_tailed), (normal, {"Gaussian"})):
        for by_line in (False, True):
            (coding,) = codings({"w": w * rows if by_line else w}, UniformGrid(0.02)).values()
            assert type(coding.code).__name__ == ("ScaledMatrix" if by_line else "Discretized")
            assert type(coding.code.prior).__name__ in families
    several = Shortest((mdl.Scaled(mdl.Laplace()), mdl.Scaled(mdl.StudentT(df=3.0)), mdl.Scaled(mdl.Mixture(2))))
    for w in (heavy, heavy * rows):
        each = [mdl.measure({"w": w}, prior, 0.02).comparable.bits for prior in several.priors]
        assert mdl.measure({"w": w}, several, 0.02).comparable.bits == pytest.approx(min(each))
    (coding,) = codings({"w": heavy}, UniformGrid(0.02), several).values()
    assert coding.code.prior.df == 3.0
    (coding,) = codings({"w": normal}, UniformGrid(0.02), Shortest((mdl.Scaled(mdl.Laplace()), mdl.Scaled()))).values()
    assert isinstance(coding.code.prior, mdl.Gaussian)


def test_what_the_entropy_forbids_is_not_tried(monkeypatch) -> None:
    """By line the rows' scales save more than any one distribution of all symbols could."""
    w = RNG.normal(size=(60, 50)) * np.geomspace(0.01, 10.0, 60)[:, None]
    wide = codings({"w": w}, UniformGrid(0.1))
    monkeypatch.setattr("mdl.codes.shortest._best_whole", None)
    monkeypatch.setattr("mdl.codes.adaptive.Dirichlet.nats", None)
    assert codings({"w": w}, UniformGrid(0.1)) == wide


def test_families_are_those_of_the_tensors() -> None:
    found = {name: coding.code for name, coding in codings(W, UniformGrid(0.1)).items()}
    assert type(found["coin"]).__name__ == "Dirichlet"
    assert type(found["scaled"]).__name__ == "ScaledMatrix"
    assert isinstance(found["normal"].prior, mdl.Gaussian)
    assert not isinstance(found["heavy"].prior, mdl.Gaussian)


@pytest.mark.parametrize("step", [UniformGrid(0.1), Trellis(0.1, 8)])
def test_messages_come_back_and_are_as_long_as_said(step) -> None:
    real, ideal = (report(mdl.load(W), Shortest(), step, realise=realise) for realise in (True, False))
    assert real.length.bits <= ideal.length.bits * 1.0002 + 64.0
    read = mdl.decode(real.data)
    error = sum(np.square(read[name] - W[name]).sum() for name in W if name != "whole")
    assert error / real.weights == pytest.approx(real.mse)
    np.testing.assert_array_equal(read["whole"], W["whole"])


def test_sparse_tensors_leave_the_trellis() -> None:
    (coding,) = codings({"w": SPARSE}, Trellis(0.5, 8)).values()
    assert isinstance(coding.quantizer, UniformGrid | DeadZone)
    read = mdl.decode(mdl.encode({"w": SPARSE}, Shortest(), Trellis(0.5, 8)))["w"]
    assert (read[SPARSE == 0.0] == 0.0).all()
    (dense,) = codings({"w": W["normal"]}, Trellis(0.5, 8)).values()
    assert dense.quantizer == Trellis(0.5, 8)


@pytest.mark.parametrize(("spread", "large"), [(0.05, 0.0), (0.16, 0.0), (0.2, 0.2)])
def test_the_grid_is_that_of_the_least_length_and_error(spread: float, large: float) -> None:
    """Where the least length alone would choose another but the first time: a trellis, then a dead zone."""
    step, rng = 0.5, np.random.default_rng(3)
    w = np.where(rng.random((60, 80)) < large, rng.normal(size=(60, 80)), rng.normal(0.0, spread, (60, 80)))

    def cost(coding: Any) -> float:
        return _nats(coding, w) + coding.squared_error(w) / (2.0 * SQUARED_ERROR * step**2)

    found = {
        grid: fit_scheme({"w": w}, {"w": grid}, mdl.Gaussian()).codings["w"]
        for grid in (Trellis(step, 8), *_others(Trellis(step, 8), w))
    }
    (chosen,) = codings({"w": w}, Trellis(step, 8), Shortest((mdl.Gaussian(),))).values()
    assert chosen.quantizer == min(found, key=lambda grid: cost(found[grid]))
    assert (chosen.quantizer == min(found, key=lambda grid: _nats(found[grid], w))) == (spread == 0.05)


def test_a_prior_that_cannot_be_used_does_not_choose_the_grid() -> None:
    outlier = np.where(np.arange(SPARSE.size).reshape(SPARSE.shape) == 7, 4e4, SPARSE)  # more levels than KT counts
    (coding,) = codings({"w": outlier}, Trellis(0.5, 8), Shortest((mdl.KT, mdl.Gaussian()))).values()
    assert isinstance(coding.quantizer, UniformGrid | DeadZone)
    assert not isinstance(coding.code, type(mdl.KT(0, 1)))


def test_leaving_the_trellis_pays_at_the_price_of_error_elsewhere() -> None:
    step = 0.5
    price = 2.0 * SQUARED_ERROR * step**2 * np.log(2.0)  # squared error a bit, where bits and error are traded at best
    costs = {}
    for name, prior in {
        "free": Shortest(),
        "kept": Shortest((mdl.Scaled(), mdl.Scaled(mdl.StudentT()), mdl.KT)),
    }.items():
        (coding,) = codings({"w": SPARSE}, Trellis(step, 8) if name == "free" else UniformGrid(step), prior).values()
        costs[name] = coding.nats(SPARSE) / np.log(2.0) + coding.squared_error(SPARSE) / price
    assert costs["free"] <= costs["kept"]


def test_choices_that_are_none_are_refused() -> None:
    with pytest.raises(PriorError, match="Shortest: expected some priors, got none"):
        Shortest(())
    with pytest.raises(CodeError, match="expected 1 to 65536 symbols"):
        mdl.measure({"w": np.linspace(0.0, 1.0, 99)}, Shortest((mdl.KT,)), step=1e-9)
    model = FeedForward({"layers.0.weight": [[1.0]], "layers.0.bias": [0.0]}, Bernoulli())
    with pytest.raises(PriorError, match="expected one prior or family of codes, got Shortest"):
        mdl.two_part(model, [[1.0], [2.0]], [0, 1], Shortest())  # type: ignore[arg-type]


def test_alphabets_too_wide_for_counts_are_left_to_the_others() -> None:
    (coding,) = codings({"w": np.linspace(0.0, 1.0, 99)}, UniformGrid(1e-9)).values()
    assert type(coding.code).__name__ == "Discretized"
