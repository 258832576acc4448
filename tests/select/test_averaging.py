"""Shares of strengths by code length, and who is trained for them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from mdl.errors import DataError
from mdl.select.averaging import trained, weights
from mdl.select.candidates import Candidates

WINE = scale(load_wine().data), load_wine().target


def test_shares_fall_with_nats_at_the_learning_rate():
    shares = weights([100.0, 102.0, 105.0], eta=0.5)
    assert np.log(shares[0] / shares[1:]) == pytest.approx([1.0, 2.5])
    assert shares.sum() == pytest.approx(1.0)


def test_a_rate_of_none_or_far_lengths_leave_the_shortest_alone():
    assert weights([3.0, 2.0, 2.0], eta=None).tolist() == [0.0, 0.0, 1.0]
    assert weights([3e5, 2e5, 1e5], eta=0.2).tolist() == [0.0, 0.0, 1.0]


def test_a_rate_of_zero_shares_equally():
    assert weights([3.0, 2e9], eta=0.0).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("eta", [-0.1, np.nan, np.inf, "0.2"])
def test_other_rates_are_refused(eta):
    with pytest.raises(DataError, match="eta: expected a learning rate >= 0"):
        weights([1.0, 2.0], eta)


def test_a_mixture_is_at_most_as_wrong_as_the_weight_of_its_best():
    """-ln sum w p <= -ln w_best - ln p_best, however wrong the others are."""
    rng = np.random.default_rng(0)
    log_p = -rng.exponential(5.0, (4, 1000))
    shares = weights(rng.exponential(3.0, 4), eta=0.2)
    mixed = np.log(shares @ np.exp(log_p))
    assert (mixed >= np.log(shares)[:, None] + log_p).all()


def test_only_those_with_a_share_are_trained():
    candidates = Candidates.of(LogisticRegression(max_iter=1000), (1e-3, 1e-2, 1e-1, 1.0), *WINE)
    kept = trained(candidates, np.array([0.0, 0.5, 0.5, 0.0]))
    assert sorted(kept) == [1, 2]
    assert candidates.n_trainings == 2
    assert candidates.models
    assert trained(candidates, np.array([0.0, 0.5, 0.5, 0.0]))[1] is candidates.fitted[1]
    assert candidates.n_trainings == 6
