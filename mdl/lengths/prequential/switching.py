"""The switch code: at every example another of several codes may take over, and no one says which in advance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mdl.errors import DataError
from mdl.length import CodeLength
from mdl.lengths.prequential.code import DATA, FIRST, PrequentialLength
from mdl.masses import Array


def switch(codes: Sequence[PrequentialLength | ArrayLike], rate: float | None = None) -> PrequentialLength:
    """-ln of the sum over all sequences of codes, of the sequence's prior times the data's probability under it.

    The first code is uniform; before each further example, with probability ``rate``, one is drawn anew, uniformly and
    possibly the same. The prior is part of the sum, so switching is charged: to stay with one of E codes throughout
    costs at most ln E + ln n nats at the default rate. This is the fixed-share form of the switch distribution, whose
    hazard 1/(t + 1) after t examples is that of its prior 1/(t (t + 1)) on the time of a switch.

    Parameters
    ----------
    codes
        Prequential lengths of the same targets in the same order, or (n,) nats of each example under any other code
        that needs only the past; ``np.full(n, np.log(k))`` is the uniform code of k classes.
    rate
        0 to 1; 0 is the Bayesian mixture. By default 1/(t + 1) after t examples.

    Returns
    -------
    PrequentialLength
        Ideal; its ``trainings`` are those of all codes. What is told beside the examples (``support``) is told once.

    Raises
    ------
    DataError
        If there is no code, the codes are of other targets or orders, or an example has no finite length at all.

    Examples
    --------
    >>> fair, late = np.full(32, np.log(2.0)), np.repeat([9.0, 0.01], 16)
    >>> [round(float(nats), 1) for nats in (fair.sum(), late.sum(), switch([fair, late]).nats)]
    [22.2, 144.2, 16.4]

    References
    ----------
    T. van Erven, P. Grunwald and S. de Rooij, Catching up faster by switching sooner, J. R. Statist. Soc. B 74 (2012).
    M. Herbster and M. K. Warmuth, Tracking the best expert, Machine Learning 32 (1998).
    """
    lengths = [code for code in codes if isinstance(code, PrequentialLength)]
    nats = _table(codes)
    if len({(length.seed, length.example_nats.size) for length in lengths}) > 1:
        raise DataError("codes: expected the same targets in the same order, got different seeds or numbers of them")
    if rate is not None and not 0.0 <= rate <= 1.0:
        raise DataError(f"rate: expected 0 to 1, got {rate}")
    examples = _forward(nats, rate)
    told = {name: max(length.part(name) for length in lengths) for length in lengths for name, _ in length.parts}
    parts = [(name, cost) for name, cost in told.items() if name not in (FIRST, DATA)]
    return PrequentialLength(
        (*parts, (DATA, math.fsum(examples.tolist()))),
        False,
        examples,
        tuple(sorted({end for length in lengths for end in length.ends})) or (examples.size,),
        lengths[0].seed if lengths else None,
        sum(length.trainings for length in lengths),
    )


def _table(codes: Sequence[PrequentialLength | ArrayLike]) -> Array:
    """(E, n) nats, checked."""
    rows = [np.asarray(c.example_nats if isinstance(c, CodeLength) else c, np.float64) for c in codes]
    if not rows or any(row.shape != rows[0].shape or row.ndim != 1 for row in rows):
        raise DataError(f"codes: expected at least one, each with (n,) nats, got shapes {[row.shape for row in rows]}")
    nats = np.stack(rows)
    if np.isnan(nats).any() or (nats < 0.0).any() or not np.isfinite(nats.min(axis=0)).all():
        raise DataError("codes: expected lengths >= 0 nats, and for every example a finite one")
    return nats


def _forward(nats: Array, rate: float | None) -> Array:
    """Length of each example given those before it, (n,) nats, by the forward recursion over codes.

    Logarithms throughout: at rate 0 a code that is behind by thousands of nats may still come back.
    """
    experts, n = nats.shape
    shares = 1.0 / np.arange(2.0, n + 2.0) if rate is None else np.full(n, rate)
    with np.errstate(divide="ignore"):
        stay, move = np.log1p(-shares), np.log(shares) - math.log(experts)
    examples = np.empty(n)
    weights = np.full(experts, -math.log(experts))  # ln of what each code takes over with
    for t in range(n):  # each example's weights are the last one's posterior
        joint = weights - nats[:, t]
        total = np.logaddexp.reduce(joint)
        examples[t] = -total
        weights = np.logaddexp(stay[t] + joint - total, move[t])
    return np.maximum(examples, 0.0)
