"""Penalty strength in every trainer's convention <-> the Gaussian prior that it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real

from mdl.errors import PenaltyError
from mdl.priors import Gaussian


def _whole(name: str, number: object) -> None:
    if not isinstance(number, Integral) or number < 1:
        raise PenaltyError(f"{name}: expected a whole number >= 1, got {number!r}")


def _positive(name: str, number: object) -> float:
    result = float(number) if isinstance(number, Real) else math.nan
    if not 0.0 < result < math.inf:  # a NaN fails both comparisons
        raise PenaltyError(f"{name}: expected a finite number > 0, got {number!r}")
    return result


def _mean_batch(n: int, batch: int) -> float:
    """Harmonic mean of an epoch's batch sizes: ``batch`` itself where it divides ``n``.

    A penalty that each step divides by its batch's size acts, over an epoch, with the mean of 1/size, in which the
    short batch at the end counts as a whole step: 201 examples in batches of 200 end with a batch of one.
    """
    whole, rest = divmod(n, batch)
    return (whole + bool(rest)) / (whole / batch + (1 / rest if rest else 0.0))


@dataclass(frozen=True)
class Convention:
    """What one trainer's penalty argument says about the prior on a weight.

    The trained optimum is stationary for ``mean NLL + (strength/2) ||w||^2`` over the penalised weights, which is
    ``-(1/n) ln[likelihood x N(w; 0, variance)]`` up to a constant, with ``strength = 1 / (n variance)``.

    Parameters
    ----------
    name
        Key in `CONVENTIONS`: library, trainer, argument.
    argument
        The trainer's own name for the strength.
    objective
        What the trainer minimises, as its source has it.
    formula
        The prior's variance; ``b`` is the harmonic mean of the batch sizes, ``s2`` the noise variance.
    biases
        ``"free"`` if the trainer leaves intercepts unpenalised, ``"penalised"`` if it treats them like weights.
    factor
        ``factor(n, b, s2)`` with ``variance = factor / value``; None where the value is the variance.
    needs
        Which of ``batch`` (examples a step) and ``noise_variance`` (of a Gaussian likelihood) the formula takes.
    refusal
        Why no prior corresponds to this argument; empty where one does.

    Examples
    --------
    >>> ridge = CONVENTIONS["sklearn.Ridge.alpha"]
    >>> ridge.variance(8.0, n=100, noise_variance=2.0)
    0.25
    >>> ridge.value(0.25, n=100, noise_variance=2.0)
    8.0
    >>> ridge.strength(8.0, n=100, noise_variance=2.0)
    0.04
    >>> ridge.prior(8.0, n=100, noise_variance=2.0).scale
    0.5

    References
    ----------
    MacKay (1992), "A practical Bayesian framework for backpropagation networks"; the trainers' sources, row by row in
    docs/conventions.md.
    """

    name: str
    argument: str
    objective: str
    formula: str
    biases: str
    factor: Callable[[int, float, float], float] | None = None
    needs: tuple[str, ...] = ()
    refusal: str = ""

    def variance(self, value: float, *, n: int, batch: int | None = None, noise_variance: float | None = None) -> float:
        """Prior variance of one weight that the trainer's `value` stands for.

        Parameters
        ----------
        value
            The trainer's argument, > 0.
        n
            Number of examples trained on, >= 1; without those that early stopping holds out.
        batch
            Examples a step, 1 to `n`; `n` itself for a full-batch solver. Only where `needs` says so.
        noise_variance
            Variance of the Gaussian likelihood, in squared units of the target. Only where `needs` says so.

        Returns
        -------
        float
            Variance, in squared units of the weight; finite, > 0.

        Raises
        ------
        PenaltyError
            If the argument corresponds to no prior, a number is out of range, or a fact is missing or out of place.
        """
        return self._across(self.argument, value, self._factor(n, batch, noise_variance))

    def value(self, variance: float, *, n: int, batch: int | None = None, noise_variance: float | None = None) -> float:
        """The trainer's argument that stands for a prior of this `variance`: the inverse of `variance`."""
        return self._across("variance", variance, self._factor(n, batch, noise_variance))

    def strength(self, value: float, *, n: int, batch: int | None = None, noise_variance: float | None = None) -> float:
        """Per-example strength of the penalty, ``1 / (n variance)``: the λ of ``mean NLL + (λ/2) ||w||^2``."""
        return 1.0 / (n * self.variance(value, n=n, batch=batch, noise_variance=noise_variance))

    def prior(self, value: float, *, n: int, batch: int | None = None, noise_variance: float | None = None) -> Gaussian:
        """The Gaussian prior under which the trained penalised weights are a posterior mode."""
        return Gaussian(math.sqrt(self.variance(value, n=n, batch=batch, noise_variance=noise_variance)))

    def _factor(self, n: int, batch: int | None, noise_variance: float | None) -> float | None:
        if self.refusal:
            raise PenaltyError(f"{self.name}: expected an L2 penalty, got {self.refusal}")
        _whole("n", n)
        for fact, given in (("batch", batch), ("noise_variance", noise_variance)):
            if (given is not None) != (fact in self.needs):
                expected = "a number" if fact in self.needs else "nothing"
                raise PenaltyError(f"{fact}: expected {expected} for {self.name}, got {given!r}")
        b = s2 = math.nan
        if batch is not None:
            _whole("batch", batch)
            if batch > n:
                raise PenaltyError(f"batch: expected at most n = {n}, got {batch}")
            b = _mean_batch(n, batch)
        if noise_variance is not None:
            s2 = _positive("noise_variance", noise_variance)
        return None if self.factor is None else self.factor(n, b, s2)

    @staticmethod
    def _across(name: str, number: float, factor: float | None) -> float:
        """Value to variance, and variance to value: both are ``factor / number``, or both the number itself."""
        given = _positive(name, number)
        result = given if factor is None else factor / given
        if not 0.0 < result < math.inf:
            raise PenaltyError(f"{name}: expected a number whose counterpart fits in float64, got {number!r}")
        return result


_ADAMW = (
    "a decay that bypasses Adam's rescaling of the gradient: where training stops, each weight balances the loss with "
    "a strength of its own, set by eps and the gradient's noise, so that no prior N(0, variance) is at its mode there; "
    "train with Adam(weight_decay=) or add the penalty to the loss"
)

_ROWS = (
    Convention(
        name="sklearn.LogisticRegression.C",
        argument="C",
        objective="C ΣNLL + ½‖w‖²",
        formula="C",
        biases="free",
    ),
    Convention(
        name="sklearn.Ridge.alpha",
        argument="alpha",
        objective="‖y − Xw‖² + alpha ‖w‖²",
        formula="s2/alpha",
        biases="free",
        factor=lambda n, b, s2: s2,
        needs=("noise_variance",),
    ),
    Convention(
        name="sklearn.MLPClassifier.alpha",
        argument="alpha",
        objective="mean NLL + alpha/(2b) ‖w‖²",
        formula="b/(n*alpha)",
        biases="free",
        factor=lambda n, b, s2: b / n,
        needs=("batch",),
    ),
    Convention(
        name="sklearn.MLPRegressor.alpha",
        argument="alpha",
        objective="mean ½(y − f)² + alpha/(2b) ‖w‖²",
        formula="b*s2/(n*alpha)",
        biases="free",
        factor=lambda n, b, s2: b * s2 / n,
        needs=("batch", "noise_variance"),
    ),
    Convention(
        name="torch.SGD.weight_decay",
        argument="weight_decay",
        objective="mean NLL + weight_decay/2 ‖w‖²",
        formula="1/(n*weight_decay)",
        biases="penalised",
        factor=lambda n, b, s2: 1.0 / n,
    ),
    Convention(
        name="torch.Adam.weight_decay",
        argument="weight_decay",
        objective="mean NLL + weight_decay/2 ‖w‖²",
        formula="1/(n*weight_decay)",
        biases="penalised",
        factor=lambda n, b, s2: 1.0 / n,
    ),
    Convention(
        name="torch.AdamW.weight_decay",
        argument="weight_decay",
        objective="none: decoupled decay",
        formula="none",
        biases="penalised",
        refusal=_ADAMW,
    ),
    Convention(
        name="keras.L2",
        argument="l2",
        objective="mean NLL + l2 ‖w‖²",
        formula="1/(2*n*l2)",
        biases="free",
        factor=lambda n, b, s2: 0.5 / n,
    ),
)

#: Every convention, by name.
CONVENTIONS: dict[str, Convention] = {row.name: row for row in _ROWS}


def table() -> str:
    """All conventions as a Markdown table.

    Returns
    -------
    str
        One line a convention under two lines of heading; no newline at the end.

    Examples
    --------
    >>> print(table().splitlines()[2])
    | `sklearn.LogisticRegression.C` | C ΣNLL + ½‖w‖² | `C` | free | |
    """
    heading = ["| convention | the trainer's objective | prior variance | biases | needs |", "|---|---|---|---|---|"]
    return "\n".join(heading + [_line(row) for row in CONVENTIONS.values()])


def _line(row: Convention) -> str:
    variance = "refused" if row.refusal else f"`{row.formula}`"
    needs = ", ".join(f"`{fact}`" for fact in row.needs)
    return f"| `{row.name}` | {row.objective} | {variance} | {row.biases} | {needs} |".replace("|  |", "| |")
