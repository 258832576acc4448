"""Taus and sign errors against scipy, counting by hand, and measures whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyses import _ordering as ordering


def made(stars: int = 40, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Stars of three networks that differ in one thing, two tables, and a random target."""
    rng = np.random.default_rng(seed)
    about = [(table, star) for table in ("a", "b") for star in range(stars)]
    networks = pd.DataFrame([(t, s, k) for t, s in about for k in range(3)], columns=["table", "seed", "network"])
    ends = [(0, 1), (0, 2), (1, 2)]
    pairs = pd.DataFrame(
        [(t, s, "width", a, b, 0.1) for t, s in about for a, b in ends],
        columns=["table", "seed", "varied", "network", "other", "se"],
    )
    return networks, pairs, pd.Series(rng.standard_normal(len(networks)))


def test_the_target_itself_has_no_error_its_reverse_only_errors_noise_half() -> None:
    networks, pairs, target = made(400)
    noise = np.random.default_rng(1).standard_normal(len(target))
    measures = pd.DataFrame({"itself": target, "reverse": -target, "noise": noise, "constant": 0.0})
    found = ordering.pairs_of(networks, pairs, measures, target, "se", sure=0.0)
    mean, worst = (values[0] for values in ordering.summary(found))
    assert mean[[0, 1, 3]].tolist() == [0.0, 1.0, 0.5]
    assert worst[[0, 1, 3]].tolist() == [0.0, 1.0, 0.5]
    low, high = ordering.span(ordering.summary(found).mean[:, 2])[1:]
    assert low < 0.5 < high
    assert high - low < 0.1
    tau = ordering.taus(networks, measures[["itself", "reverse", "noise"]], target)
    assert tau[0, :2].tolist() == [1.0, -1.0]
    assert abs(tau[0, 2]) < 0.05


def test_pairs_that_chance_explains_are_left_out_and_small_environments_too() -> None:
    networks, pairs, target = made(3)
    pairs = pairs.assign(varied=np.where(pairs["table"] == "b", "depth", "width"))
    pairs.loc[pairs["table"] == "b", "se"] = np.inf
    found = ordering.pairs_of(networks, pairs, pd.DataFrame({"m": target}), target, "se")
    near = [
        abs(target[3 * k + a] - target[3 * k + b]) > 1.96 * 0.1 for k in range(3) for a, b in [(0, 1), (0, 2), (1, 2)]
    ]
    assert found.names == [("a", "width")]
    assert len(found.errors) == sum(near)


def test_a_sign_error_by_hand() -> None:
    """Two environments of five pairs: one and three are ordered wrongly."""
    wrong = [True] + [False] * 4 + [True] * 3 + [False] * 2
    networks = pd.DataFrame([("a", s, k) for s in range(10) for k in range(2)], columns=["table", "seed", "network"])
    pairs = pd.DataFrame({"table": "a", "seed": range(10), "network": 0, "other": 1, "se": 0.0})
    pairs["varied"] = np.where(pairs["seed"] < 5, "width", "depth")
    target = pd.Series([0.0, 1.0] * 10)
    measure = pd.Series([value for w in wrong for value in ((1.0, 0.0) if w else (0.0, 1.0))])
    found = ordering.pairs_of(networks, pairs, pd.DataFrame({"m": measure}), target, "se")
    assert dict(zip(found.names, ordering.sign_errors(found)[:, 0], strict=True)) == pytest.approx(
        {("a", "width"): 0.2, ("a", "depth"): 0.6}
    )
    mean, worst = ordering.summary(found)
    assert (mean[0, 0], worst[0, 0]) == pytest.approx((0.4, 0.6))


def test_tau_is_that_of_scipy() -> None:
    networks, _, target = made(8)
    measure = (target + np.random.default_rng(1).standard_normal(len(target))).round(0)  # with ties
    expected = np.mean([stats.kendalltau(measure[g.index], target[g.index])[0] for _, g in networks.groupby("table")])
    found = ordering.taus(networks, pd.DataFrame({"m": measure}), target)
    assert found[0, 0] == pytest.approx(expected, rel=1e-12)
    value, low, high = ordering.span(found[:, 0])
    assert low < value < high


def test_a_resample_of_one_star_alone_is_that_star() -> None:
    stars, rng = np.repeat([0, 1], 6), np.random.default_rng(0)
    x, y = rng.standard_normal((2, 12))
    signs = [np.sign(v[:, None] - v) for v in (x, y)]
    found = ordering._tau(*signs, stars, np.array([[2.0, 0.0]]))
    across_copies = 4.0 - 2.0  # copies are not compared: only the pairs within each
    assert across_copies == 2.0
    assert found[0] == pytest.approx(stats.kendalltau(x[:6], y[:6])[0], rel=1e-12)
