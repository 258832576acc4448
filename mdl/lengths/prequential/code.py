"""Ideal prequential lengths: of one order of the examples, of several, and of the later examples only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mdl.errors import DataError
from mdl.length import HEADER, CodeLength
from mdl.lengths.prequential.learner import Learner, Online
from mdl.lengths.prequential.plan import Plan
from mdl.masses import Array

FIRST = "first block"
DATA = "data"


@dataclass(frozen=True)
class PrequentialLength(CodeLength):
    """A prequential length, example by example.

    Parts are ``first block`` (coded without a model), ``data`` (the rest), and of numbers ``likelihood`` (their
    precision) and ``support`` (their least and greatest).

    Parameters
    ----------
    example_nats
        (n,) nats of each example, in coding order.
    ends
        Where blocks end.
    seed
        Of the order; None if it is the given one.
    trainings
        How often a learner was trained.
    """

    example_nats: Array = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    ends: tuple[int, ...] = ()
    seed: int | None = None
    trainings: int = 0

    @property
    def block_nats(self) -> Array:
        """Length of each block, (blocks,) nats."""
        return np.add.reduceat(self.example_nats, [0, *self.ends[:-1]]) if self.ends else np.empty(0)

    def after(self, first: int) -> CodeLength:
        """The differential description length: the examples after the first ones, given those.

        With ``blocks=doubling(n, first)`` this takes no model-free code and about log2(n / first) trainings.

        References
        ----------
        M. Abolfazli, A. Host-Madsen and J. Zhang, Differential description length for hyperparameter selection in
        machine learning, arXiv 1902.04699 (2019).
        """
        if not 0 <= first <= self.example_nats.size:
            raise DataError(f"first: expected 0 to {self.example_nats.size} examples, got {first}")
        return CodeLength(((DATA, math.fsum(self.example_nats[first:].tolist())),))


def prequential(
    learner: Learner,
    X: ArrayLike,
    y: ArrayLike,
    *,
    blocks: Sequence[float] | None = None,
    classes: Iterable[Any] | None = None,
    precision: float | None = None,
    start: Any = None,
    seed: int | None = None,
    calibrate: bool = False,
    replay: float | None = None,
    progress: bool = False,
) -> PrequentialLength:
    """Sum of -ln p(block | learner trained on the blocks before it): as many trainings as blocks, less one.

    A class that the model does not know yet has the probability that Krichevsky and Trofimov's estimator gives it,
    (1/2) / (t + K/2) after t examples of K classes; those that it does know share the rest as it forecasts them. A
    model that knows all classes is taken at its word. So is a model of numbers whose likelihood has no open parameter;
    a Gaussian with an open scale has it fitted to the errors of the forecasts made so far, of the later half of the
    examples seen, and gets the share 1/(t + 2) of the uniform code of the numbers' range.

    Parameters
    ----------
    learner
        An unfitted estimator that :func:`mdl.wrap` knows: a clone is fitted to all examples seen, with
        ``random_state=0`` if it has none, converged or not. Or ``fit(X, y, start) -> Model``, where ``start`` is the
        model before, to go on from, or None.
    X, y
        (n, features) inputs, which the reader has too, and (n,) labels or numbers.
    blocks
        Ends of blocks, or fractions of n up to 1.0, such as ``FRACTIONS``; by default 8, 16, 32, ..., n.
    classes
        All labels that the reader expects; by default those that occur.
    precision
        Given for numbers, which are multiples of it; counts have 1.
    start
        A model that the reader has too. It forecasts the first block, which otherwise costs uniform symbols.
    seed
        Of a random order of the examples; None keeps theirs. Seeds that were tried and discarded are not charged here:
        average over them with :func:`prequential_orders`.
    calibrate
        Forecast classes at the temperature that suits the later half of the forecasts already made.
    replay
        A callable is given the newest block and this many earlier examples for each new one, at random, instead of
        all that were seen.
    progress
        Draw a bar on stderr.

    Returns
    -------
    PrequentialLength
        Ideal. What is shared (X, the learner, blocks, labels, seed) is not in it; a file has it as its header.

    Raises
    ------
    DataError
        If X and y do not match, y has a single class, or numbers are not multiples of the precision.
    MdlError
        If the learner is none.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> length = prequential(LogisticRegression(C=0.1), scale(X), y, seed=0)
    >>> length.trainings, length.bits < 0.25 * len(y)
    (7, True)

    References
    ----------
    A. P. Dawid, Statistical theory: the prequential approach, J. R. Statist. Soc. A 147 (1984).
    L. Blier and Y. Ollivier, The description length of deep learning models, NeurIPS (2018).
    """
    plan = Plan.of(
        y, blocks=blocks, classes=classes, precision=precision, seed=seed, calibrate=calibrate, replay=replay
    )
    online = Online(learner, plan, X, start)
    symbols = plan.to_symbols(y)[plan.order()]
    nats = np.empty(plan.n)
    for block in shown(plan.blocks, progress):
        nats[block] = online.forecast(block).nats(symbols[block])
        online.reveal(symbols[block])
    flat = 0 if start is not None else plan.ends[0]
    parts = [(FIRST, math.fsum(nats[:flat].tolist())), (DATA, math.fsum(nats[flat:].tolist()))]
    told = CodeLength.from_bits((name, float(bits.size)) for name, bits in plan.description() if name != HEADER)
    return PrequentialLength((*told.parts, *parts), False, nats, plan.ends, seed, online.trainings)


def shown(blocks: list[slice], progress: bool) -> Iterator[slice]:
    """The blocks; a bar of examples on stderr if asked for."""
    if not progress:
        yield from blocks
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("prequential", total=blocks[-1].stop)
        for block in blocks:
            yield block
            bar.update(task, completed=block.stop)


@dataclass(frozen=True)
class Orders:
    """Prequential lengths of the same data in several random orders."""

    lengths: tuple[PrequentialLength, ...]

    @property
    def mean(self) -> CodeLength:
        """The mean, part by part."""
        count = len(self.lengths)
        return CodeLength(tuple((name, nats / count) for length in self.lengths for name, nats in length.parts))

    @property
    def trainings(self) -> int:
        """Of all orders."""
        return sum(length.trainings for length in self.lengths)

    def interval_nats(self, coverage: float = 0.95) -> tuple[float, float]:
        """Student's interval for the mean over all orders, nats.

        Raises
        ------
        DataError
            If there are fewer than two orders, or the coverage is not between 0 and 1.
        """
        from scipy import stats

        if len(self.lengths) < 2 or not 0.0 < coverage < 1.0:
            raise DataError(f"expected two orders and a coverage in (0, 1), got {len(self.lengths)} and {coverage}")
        nats = np.array([length.nats for length in self.lengths])
        half = stats.t.ppf(0.5 + 0.5 * coverage, nats.size - 1) * nats.std(ddof=1) / math.sqrt(nats.size)
        return float(nats.mean() - half), float(nats.mean() + half)


def prequential_orders(
    learner: Learner, X: ArrayLike, y: ArrayLike, *, orders: int = 5, seed: int = 0, **options: Any
) -> Orders:
    """:func:`prequential` in ``orders`` random orders, of the seeds ``seed``, ``seed + 1``, and so on.

    A prequential length depends on the order, and a writer who picks the shortest of k must say which, for ln k nats:
    report the mean, and its interval.

    Parameters
    ----------
    learner, X, y, options
        As :func:`prequential` has them.
    orders
        At least 1.

    Raises
    ------
    DataError
        If there are no orders, and as :func:`prequential` does.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> found = prequential_orders(LogisticRegression(), X, X[:, 0] > 0, orders=3)
    >>> low, high = found.interval_nats()
    >>> low < found.mean.nats < high, found.trainings
    (True, 9)
    """
    if orders < 1:
        raise DataError(f"orders: expected at least 1, got {orders}")
    return Orders(tuple(prequential(learner, X, y, seed=seed + k, **options) for k in range(orders)))


def differential(whole: CodeLength, first: CodeLength) -> CodeLength:
    """L(all) - L(first part): the length of the later data given the first, under any code of both.

    Parameters
    ----------
    whole, first
        Comparable lengths (headers are left out) of all data and of its first part, by the same method.

    Raises
    ------
    DataError
        If the first part is longer than the whole: then the two are not of one code.

    Examples
    --------
    >>> differential(CodeLength((("data", 5.0),)), CodeLength((("data", 3.0),))).nats
    2.0

    References
    ----------
    M. Abolfazli, A. Host-Madsen and J. Zhang, Differential description length for hyperparameter selection in machine
    learning, arXiv 1902.04699 (2019).
    """
    nats = whole.comparable.nats - first.comparable.nats
    if not nats >= 0.0:
        raise DataError(f"expected the whole to be longer than its first part, got a difference of {nats:.6g} nats")
    return CodeLength(((DATA, nats),), whole.realised and first.realised)
