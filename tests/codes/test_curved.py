"""Steps from inputs against conditional variances, their code against scipy's masses, rounding against enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from mdl.codes import coder, curved
from mdl.codes.curved import ByStep, CurvedGrid, Lengths, SteppedGrid, round_back
from mdl.codes.describe import describe, read
from mdl.errors import CodeError, MessageError, QuantizationError
from mdl.priors import Gaussian, Laplace, StudentT
from mdl.quantize import UniformGrid

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(40, 6)) @ RNG.normal(size=(6, 6))  # correlated
STEPS = SteppedGrid(np.array([0.5, 1.5, 0.5, np.inf, 9.0, 0.375, 1.5]))
SLACK_BITS = 64


def _precisions(inputs, curvature):
    """What data and a unit prior tell of each weight while those before it are unknown: from inverses, no factor."""
    products = inputs.T @ inputs
    A = curvature * products * len(products) / np.trace(products) + np.eye(len(products))
    return np.array([1.0 / np.linalg.inv(A[: i + 1, : i + 1])[i, i] for i in range(len(A))])


@pytest.mark.parametrize("curvature", [0.01, 1.0, 64.0, 3e4])
def test_a_step_is_the_spacing_times_a_conditional_spread(curvature) -> None:
    steps = CurvedGrid(3.0, (curvature,)).bind(INPUTS, (6, 1)).steps
    octaves = np.log2(steps / 3.0)
    sent = np.isfinite(steps)
    expected = -0.5 * np.log2(_precisions(INPUTS, curvature))
    assert np.abs(octaves - expected)[sent].max() <= 0.125 + 1e-9
    np.testing.assert_allclose(4 * octaves[sent], np.rint(4 * octaves[sent]), atol=1e-9)
    assert (_precisions(INPUTS, curvature)[~sent] < 1.0 + 2.0**-10 + 1e-9).all()


def test_steps_do_not_depend_on_the_unit_of_the_inputs() -> None:
    grid = CurvedGrid(1.0, (10.0,))
    np.testing.assert_array_equal(grid.bind(INPUTS, (6, 2)).steps, grid.bind(1000.0 * INPUTS, (6, 2)).steps)


def test_each_unit_has_its_own_curvature() -> None:
    together = CurvedGrid(2.0, (4.0, 0.0, 256.0, 4.0)).bind(INPUTS, (6, 4)).steps.reshape(6, 4)
    for unit, curvature in enumerate((4.0, 0.0, 256.0, 4.0)):
        alone = CurvedGrid(2.0, (curvature,)).bind(INPUTS, (6, 1)).steps
        np.testing.assert_array_equal(together[:, unit], alone)


def test_no_curvature_is_one_and_zero_makes_steps_even() -> None:
    assert (
        CurvedGrid(2.0, ()).bind(INPUTS, (6, 1)).steps.tolist()
        == CurvedGrid(2.0, (1.0,)).bind(INPUTS, (6, 1)).steps.tolist()
    )
    assert CurvedGrid(2.0, (0.0,)).bind(INPUTS, (6, 1)).steps.tolist() == [2.0] * 6
    assert sum(bits.size for _, bits in describe(CurvedGrid(2.0, ()))) < sum(
        bits.size for _, bits in describe(CurvedGrid(2.0, (1.0,)))
    )


@pytest.mark.parametrize(
    "inputs", [np.zeros((5, 3)), np.empty((0, 3)), np.empty((4, 0))], ids=["zero", "none", "no features"]
)
def test_without_inputs_nothing_is_sent(inputs) -> None:
    grid = CurvedGrid(1.0, (100.0,)).bind(inputs, (inputs.shape[1], 2))
    assert np.isinf(grid.steps).all()
    assert ByStep(Gaussian(1.0), 5.0).bind(grid).nats(np.zeros(grid.count, int)).sum() == 0.0


@pytest.mark.parametrize("column", [0, 3, 5])
def test_null_directions_cost_nothing(column) -> None:
    inputs = INPUTS.copy()
    inputs[:, column] = 0.0
    grid = CurvedGrid(0.5, (30.0,)).bind(inputs, (6, 2))
    nats = ByStep(Gaussian(1.0), 4.0).bind(grid).nats(np.zeros(12, int)).reshape(6, 2)
    assert nats[column].tolist() == [0.0, 0.0]
    assert (np.delete(nats, column, axis=0) > 0.1).all()


def test_a_direction_told_twice_is_sent_once() -> None:
    x = np.random.default_rng(1).normal(size=(50, 1))
    steps = CurvedGrid(1.0, (2.0**30,)).bind(np.hstack([x, x]), (2, 1)).steps
    assert steps[0] < 1e-4  # with the second unknown, the first may be anything that makes up for it
    assert 0.5 < steps[1] < 1.0  # the sum is known, the prior does the rest


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CurvedGrid(0.0, ()), "spacing"),
        (lambda: CurvedGrid(math.nan, ()), "spacing"),
        (lambda: CurvedGrid(1.0, (-1.0,)), "curvatures"),
        (lambda: CurvedGrid(1.0, (math.inf,)), "curvatures"),
        (lambda: CurvedGrid(1.0, (1.0, 2.0)).bind(INPUTS, (6, 3)), "each of 3, got 2"),
        (lambda: CurvedGrid(1.0, (1e150,)).bind(INPUTS[:, [0, 0]], (2, 1)), "curvature 1e"),
        (lambda: CurvedGrid(1.0, (1.0,)).bind(1e200 * INPUTS, (6, 1)), "curvature 1"),
        (lambda: SteppedGrid(np.array([1.0, 0.0])), "steps"),
        (lambda: STEPS.quantize(np.zeros(3)), r"\(7,\) finite"),
        (lambda: STEPS.quantize(np.full(7, np.nan)), r"\(7,\) finite"),
        (lambda: STEPS.quantize(np.full(7, 1e12)), "steps from zero"),
        (lambda: STEPS.dequantize(np.zeros(6)), r"\(7,\) symbols"),
        (lambda: Lengths.of(SteppedGrid(np.array([1e-6])), Gaussian(1.0), 1.0), r"2\^20"),
    ],
)  # fmt: skip
def test_impossible_grids_are_refused(make, said) -> None:
    with pytest.raises(QuantizationError, match=said):
        make()


def test_every_weight_is_on_the_uniform_grid_of_its_step() -> None:
    w = np.random.default_rng(2).normal(0, 3, 7)
    symbols = STEPS.quantize(w)
    lower, upper = STEPS.cell(symbols)
    for i, step in enumerate(STEPS.steps):
        if math.isinf(step):
            assert (symbols[i], lower[i], upper[i]) == (0, -np.inf, np.inf)
            continue
        even = UniformGrid(step)
        assert symbols[i] == even.quantize(w[i])
        assert STEPS.dequantize(symbols)[i] == even.dequantize(symbols[i])
        assert (lower[i], upper[i]) == even.cell(symbols[i])
    assert symbols.dtype == np.int32


# --- the code ---------------------------------------------------------------------------------------------------------


def _possible(reach):
    ends = [0 if math.isinf(s) else math.floor(reach / s + 0.5) for s in STEPS.steps]
    return [range(-end, end + 1) for end in ends]


@pytest.mark.parametrize("reach", [0.0, 0.3, 0.75])
@pytest.mark.parametrize("prior", [Gaussian(0.7), Laplace(2.0), StudentT(0.3, df=2.0), Gaussian(0.5, loc=0.4)], ids=str)
def test_lengths_add_up_to_one_and_are_the_shares_of_the_mass(prior, reach) -> None:
    code = ByStep(prior, reach).bind(STEPS)
    words = np.array(list(itertools.product(*_possible(reach))))
    totals = np.array([code.nats(word).sum() for word in words])
    assert math.fsum(np.exp(-totals)) == pytest.approx(1.0, abs=1e-12)


def test_lengths_are_scipys() -> None:
    code = ByStep(Gaussian(0.8), 2.5).bind(STEPS)
    symbols = np.array([3, -1, 0, 0, 0, -7, 1])
    expected = []
    for symbol, step, possible in zip(symbols, STEPS.steps, _possible(2.5), strict=True):
        cells = stats.norm(scale=0.8).cdf(np.multiply.outer([0.5, -0.5], np.ones(len(possible))) * min(step, 1e9)
                                          + np.array(possible) * min(step, 1e9))  # fmt: skip
        mass = cells[0] - cells[1]
        expected.append(-math.log(mass[symbol - possible[0]] / mass.sum()))
    np.testing.assert_allclose(code.nats(symbols), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("prior", [Gaussian(1.0), Laplace(0.1), StudentT(1.0, df=1.0)], ids=str)
@pytest.mark.parametrize(("least", "reach"), [(1.0, 3.0), (0.01, 5.0), (1e-6, 4.0), (2.0, 0.5)])
def test_symbols_come_back_at_the_ideal_rate(prior, least, reach) -> None:
    rng = np.random.default_rng(3)
    steps = least * 2.0 ** (rng.integers(0, 13, 900) / 4)
    steps[::50] = np.inf
    grid = SteppedGrid(steps)
    w = np.clip(prior.scale * rng.normal(0, 1, 900), -reach, reach)
    symbols = grid.quantize(w)
    code = ByStep(prior, reach).bind(grid)
    data = coder.encode(code, symbols)
    np.testing.assert_array_equal(coder.decode(code, data, 900), symbols)
    ideal = float(code.nats(symbols).sum()) / math.log(2)
    assert 8 * len(data) <= ideal * 1.0002 + SLACK_BITS
    assert 8 * len(data) >= ideal - SLACK_BITS


def test_a_single_possible_symbol_takes_no_bytes() -> None:
    grid = SteppedGrid(np.full(10_000, 3.0))
    code = ByStep(Gaussian(1.0), reach=1.4).bind(grid)
    assert len(coder.encode(code, np.zeros(10_000, np.int32))) <= 2


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ([0, 0, 0, 0, 0, 0], r"\(7,\) symbols"),
        ([0, 0, 0, 1, 0, 0, 0], "0 to 0"),
        ([0, 0, 0, 0, 1, 0, 0], "0 to 0"),
        ([4, 0, 0, 0, 0, 0, 0], "-2 to 2"),
    ],
)
def test_symbols_that_are_not_possible_are_refused(symbols, said) -> None:
    code = ByStep(Gaussian(1.0), 1.0).bind(STEPS)
    with pytest.raises(CodeError, match=said):
        code.nats(symbols)
    with pytest.raises(CodeError, match=said):
        coder.encode(code, symbols)


@pytest.mark.parametrize("reach", [-1.0, math.inf, math.nan])
def test_a_reach_is_a_finite_size(reach) -> None:
    with pytest.raises(CodeError, match="reach"):
        ByStep(Gaussian(1.0), reach)


def test_a_reach_of_too_many_steps_is_refused() -> None:
    with pytest.raises(CodeError, match="reach: expected at most"):
        ByStep(Gaussian(1.0), 1e300).bind(STEPS).nats(np.zeros(7, int))


def test_damaged_bytes_are_survived() -> None:
    code = ByStep(Gaussian(1.0), 4.0).bind(STEPS)
    data = coder.encode(code, [1, 1, -2, 0, 0, 7, -1])
    rng = np.random.default_rng(4)
    for damaged in [data[:-1], data[:1], b"", *(rng.bytes(k) for k in range(1, 40))]:
        try:
            assert coder.decode(code, damaged, 7).shape == (7,)
        except MessageError:
            continue
    with pytest.raises(CodeError, match="7 symbols, got 8"):
        coder.decode(code, data, 8)


@pytest.mark.parametrize(
    ("role", "thing"),
    [
        ("quantizer", CurvedGrid(0.75, (0.25, 16.0))),
        ("quantizer", CurvedGrid(1.0, ())),
        ("code", ByStep(Laplace(0.5), 3.0)),
    ],
    ids=str,
)
def test_what_is_described_is_read(role, thing) -> None:
    lane = coder.Coder()
    lane.push_bits(np.concatenate([bits for _, bits in describe(thing)]))
    assert read(coder.Coder.from_bytes(lane.to_bytes()), role) == thing


# --- rounding ---------------------------------------------------------------------------------------------------------


def _one_by_one(target, R, steps, scale, reach):
    """The definition in plain Python, with scipy's masses."""
    chosen = [0] * len(target)
    for i in range(len(target) - 1, -1, -1):
        t = target[i] + sum(R[i, j] / R[i, i] * (target[j] - chosen[j] * steps[j]) for j in range(i + 1, len(target)))
        end = math.floor(reach / steps[i] + 0.5)
        below = max(-end, min(end, math.floor(t / steps[i])))

        def cost(k, i=i, t=t):
            x, half = k * steps[i], 0.5 * steps[i]
            mass = stats.norm.cdf((x + half) / scale) - stats.norm.cdf((x - half) / scale)
            return 0.5 * R[i, i] ** 2 * (t - x) ** 2 - math.log(mass) + stats.norm.logpdf(x, scale=scale)

        chosen[i] = min((below, min(below + 1, end)), key=cost)
    return chosen


@pytest.mark.parametrize("seed", range(8))
def test_rounding_is_as_defined(seed) -> None:
    rng = np.random.default_rng(seed)
    R = np.triu(rng.normal(size=(25, 25)))
    R[np.diag_indices(25)] = rng.uniform(0.5, 4.0, 25)
    target, steps = rng.normal(0, 0.6, 25), rng.choice([0.125, 0.5, 1.0, 2.0], 25)
    got = round_back(target[:, None], R[None], SteppedGrid(steps), Gaussian(0.6), reach=1.6)
    assert got.tolist() == _one_by_one(target, R, steps, 0.6, 1.6)


def test_fine_steps_leave_an_error_in_the_box() -> None:
    """Babai: with a flat prior |R (q - w)| is at most half of R_ii times the step along every axis."""
    R = curved.factor(curved.products(INPUTS), 50.0)
    w = np.random.default_rng(7).normal(0, 1, (6, 50))
    grid = CurvedGrid(0.3, (50.0,)).bind(INPUTS, w.shape)
    symbols = round_back(w, R[None], grid, Gaussian(1e6), reach=50.0)
    off = R @ (grid.dequantize(symbols).reshape(w.shape) - w)
    bound = 0.5 * np.diag(R)[:, None] * grid.steps.reshape(w.shape)
    assert (np.abs(off) <= bound * (1 + 1e-6)).all()
    alone = R @ (grid.dequantize(grid.quantize(w.ravel())).reshape(w.shape) - w)
    assert (off**2).sum() < 0.5 * (alone**2).sum()


def test_units_with_their_own_factors_are_rounded_alone() -> None:
    R = np.stack([curved.factor(curved.products(INPUTS), c) for c in (1.0, 9.0)])
    w, grid = np.random.default_rng(5).normal(0, 1, (6, 2)), SteppedGrid(np.full(12, 0.7))
    together = round_back(w, R, grid, Gaussian(1.0), reach=3.0).reshape(6, 2)
    for unit in range(2):
        alone = round_back(w[:, [unit]], R[[unit]], SteppedGrid(np.full(6, 0.7)), Gaussian(1.0), reach=3.0)
        np.testing.assert_array_equal(together[:, unit], alone)


def test_nothing_is_rounded_beyond_its_reach() -> None:
    grid = SteppedGrid(np.array([0.5, np.inf, 4.0]))
    symbols = round_back(np.full((3, 1), 9.0), np.eye(3)[None], grid, Gaussian(1.0), reach=1.0)
    assert symbols.tolist() == [2, 0, 0]
