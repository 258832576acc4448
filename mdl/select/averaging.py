"""Several strengths at once: predictions averaged with weights that fall with the code length.

Whoever picks the shortest of k codes stakes everything on one of them, and pays in full where the data mislead; a
mixture pays at most -ln of the weight of the best. Weights exp(-eta nats) are the posterior over strengths of a
generalised Bayesian; eta below 1 says that nats of a finite sample are worth less than they look.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mdl.errors import DataError
from mdl.masses import Array
from mdl.select.candidates import Candidates

#: Chosen on the tuning half of ``analyses/which_code_predicts.py``: 0.1 to 0.5 do nearly as well there, 1 does not.
ETA = 0.2
_LEAST = 1e-3  # of all weight: what has less is not trained


def weights(nats: ArrayLike, eta: float | None) -> Array:
    """Shares of (k,) candidates, proportional to exp(-eta nats); shares below 1/1000 are given to the others.

    Parameters
    ----------
    nats
        (k,) lengths of all data.
    eta
        Learning rate >= 0; None leaves the shortest alone, the last of equal ones.

    Raises
    ------
    DataError
        If the rate is negative or no number.

    Examples
    --------
    >>> weights([10.0, 10.0, 15.0, 100.0], eta=0.2).round(3).tolist()
    [0.422, 0.422, 0.155, 0.0]
    >>> weights([10.0, 10.0, 15.0], eta=None).tolist()
    [0.0, 1.0, 0.0]

    References
    ----------
    P. Grünwald, The safe Bayesian: learning the learning rate via the mixability gap, ALT (2012).
    """
    lengths = np.asarray(nats, np.float64)
    if eta is None:
        shares = np.zeros(lengths.size)
        shares[np.flatnonzero(lengths == lengths.min())[-1]] = 1.0
        return shares
    if not (isinstance(eta, int | float) and 0.0 <= eta < math.inf):
        raise DataError(f"eta: expected a learning rate >= 0, or None for the shortest alone, got {eta!r}")
    shares = special.softmax(-eta * (lengths - lengths.min()))
    shares[shares < _LEAST] = 0.0
    return shares / shares.sum()


def trained(candidates: Candidates, shares: Array) -> dict[int, Any]:
    """The estimators that have a share, by index, trained on all examples along the path unless they are already."""
    kept = [k for k in candidates.path if shares[k] > 0.0]
    if candidates.is_trained:
        return {k: candidates.fitted[k] for k in kept}
    found: dict[int, Any] = {}
    start = None
    for k in kept:
        start = found[k] = candidates.train(k, candidates.X, candidates.y, start)
    return found
