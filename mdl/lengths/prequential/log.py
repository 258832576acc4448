"""The prequential length that a training log already holds: each batch was forecast before it was learnt from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mdl.errors import DataError
from mdl.length import LN2, CodeLength
from mdl.lengths.prequential.log_file import LossLog
from mdl.masses import Array

if TYPE_CHECKING:
    import pandas as pd

TAIL = 0.05  # of the examples: those whose mean loss is called final
_UNITS = {"nats": 1.0, "bits": LN2}
_REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True)
class LoggedLength(CodeLength):
    """A prequential length that was read off a training log, and how far the loss fell on the way.

    Parameters
    ----------
    batch_nats
        (batches,) nats of each row of the log.
    sizes
        (batches,) examples that each row is of.
    final_nats
        Loss an example at the end of training, nats.
    final_error_nats
        Its standard error, from the scatter of the rows that it is the mean of; NaN if it is not known.
    assumptions
        ``(claim, checked)``: what has to hold for the sum to be a code length, and whether the log showed it.
    """

    batch_nats: Array = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64), repr=False, compare=False)
    final_nats: float = 0.0
    final_error_nats: float = math.nan
    assumptions: tuple[tuple[str, bool], ...] = ()

    @property
    def examples(self) -> int:
        """Number of examples."""
        return int(self.sizes.sum())

    @property
    def bits_per_example(self) -> float:
        """The mean over all examples."""
        return self.bits / self.examples

    @property
    def absorbed_nats(self) -> float:
        """The area above the final loss, sum of (loss - final loss): what the learner took up, negative if it rose."""
        return self.nats - self.examples * self.final_nats

    @property
    def absorbed_error_nats(self) -> float:
        """Its standard error, as far as that of the final loss goes."""
        return self.examples * self.final_error_nats

    def as_dict(self) -> dict[str, object]:
        """What ``--json`` prints."""
        error = self.absorbed_error_nats
        return {
            **super().as_dict(),
            "examples": self.examples,
            "batches": int(self.sizes.size),
            "bits_per_example": self.bits_per_example,
            "final_bits_per_example": self.final_nats / LN2,
            "absorbed_bits": self.absorbed_nats / LN2,
            "absorbed_error_bits": error / LN2 if math.isfinite(error) else None,
            "assumptions": [{"claim": claim, "checked": checked} for claim, checked in self.assumptions],
        }

    def table(self) -> pd.DataFrame:
        """A row a batch: ``examples`` up to its end, ``bits_per_example``, ``bits``, ``final_bits_per_example``."""
        import pandas as pd

        bits = self.batch_nats / LN2
        return pd.DataFrame(
            {
                "examples": np.cumsum(self.sizes),
                "bits_per_example": bits / self.sizes,
                "bits": bits,
                "final_bits_per_example": self.final_nats / LN2,
            }
        )

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{'checked' if ok else 'assumed'}: {claim}</li>" for claim, ok in self.assumptions)
        about = f"{self.bits_per_example:.4f} bits an example, {self.examples:,} examples"
        return f"{super()._repr_html_()}<p>{about}</p><ul>{said}</ul>"

    def __str__(self) -> str:
        error = self.absorbed_error_nats / LN2
        about = f" ± {error:,.1f}" if math.isfinite(error) else ""
        lines = [
            super().__str__(),
            f"{self.bits_per_example:.4f} bits an example, {self.examples:,} examples in {self.sizes.size:,} batches",
            f"{self.absorbed_nats / LN2:,.1f}{about} bits absorbed, above a final {self.final_nats / LN2:.4f}",
        ]
        return "\n".join([*lines, *(f"{'checked' if ok else 'assumed'}: {claim}" for claim, ok in self.assumptions)])


def prequential_log(
    log: LossLog,
    *,
    unit: Literal["nats", "bits"] = "nats",
    reduction: Literal["mean", "sum"] = "mean",
    every: int = 1,
    examples: int | None = None,
    tail: float = TAIL,
    final_loss: float | None = None,
) -> LoggedLength:
    """Sum over the batches of a training log of what each cost before the learner was updated by it.

    The sum is the length of the targets, given the inputs, if each example is new when it is forecast (one epoch), its
    loss is -ln of a probability, and nothing else is in the loss. What the log can show of that is checked, the rest is
    said in ``assumptions``. The learner's code, its seed and the order of the batches are shared, and not charged.

    The area above the final loss, sum of n_i (loss_i - final loss), is the part of the length that is gone once the
    learner has learnt: it estimates the information about the data in the final model, which Finzi et al. call
    epiplexity when the model is the best for the compute. It is no code length of its own.

    Parameters
    ----------
    log
        Losses a batch, sizes, and where they are known steps and epochs.
    unit, reduction
        Of the losses.
    every
        Steps that a row is the mean of: row after row, steps must be so many apart.
    examples
        Size of the training set. If the log has more, some were seen twice, which is refused.
    tail
        The final loss is that of the last rows with at least this share of the examples; 0 for the last row alone.
    final_loss
        The final loss an example instead, such as that on held-out data, in ``unit``.

    Raises
    ------
    DataError
        If a step is missing or occurs twice, there is more than one epoch, or an argument cannot be used.

    Examples
    --------
    >>> length = prequential_log(LossLog([2.0, 1.0, 0.5], sizes=[10, 10, 10]), unit="bits", tail=0.0)
    >>> length.bits, length.bits_per_example, round(length.absorbed_nats / LN2, 9)
    (35.0, 1.1666666666666667, 20.0)

    References
    ----------
    A. P. Dawid, Statistical theory: the prequential approach, J. R. Statist. Soc. A 147 (1984).
    M. Finzi, S. Qiu, Y. Jiang, P. Izmailov, J. Z. Kolter and A. G. Wilson, From entropy to epiplexity: rethinking
    information for computationally bounded intelligence, arXiv 2601.03220 (2026).
    """
    if unit not in _UNITS or reduction not in _REDUCTIONS:
        raise DataError(f"expected nats or bits, and mean or sum, got {unit!r} and {reduction!r}")
    assumptions = [(f"losses are {unit}, {'means over' if reduction == 'mean' else 'sums over'} a batch", False)]
    assumptions += [_steps(log, every), _once(log, examples)]
    assumptions += [(claim, False) for claim in _NOT_IN_A_LOG]
    nats = log.losses * _UNITS[unit] * (log.sizes if reduction == "mean" else 1)
    final, error = _final(nats, log.sizes, tail)
    if final_loss is not None:
        if not 0.0 <= final_loss < math.inf:
            raise DataError(f"final_loss: expected a finite number >= 0, got {final_loss}")
        final, error = final_loss * _UNITS[unit], math.nan
    parts = (("data", math.fsum(nats.tolist())),)
    return LoggedLength(parts, False, nats, log.sizes, final, error, tuple(assumptions))


_NOT_IN_A_LOG = (
    "each loss was evaluated before the update by its own batch",
    "the loss is -ln of a probability alone: weight decay or another penalty in it is no code length",
    "no dropout, no augmentation: with them the loss is that of another forecast, mostly longer",
)


def _steps(log: LossLog, every: int) -> tuple[str, bool]:
    """Consecutive steps from the first one on."""
    if every < 1:
        raise DataError(f"every: expected at least one step a row, got {every}")
    if log.steps is None:
        return "no batch is missing, and none is there twice (the log has no steps)", False
    steps = log.steps
    if not 0 <= steps[0] <= every:
        raise DataError(f"steps: expected a log from the first batch on, got {steps[0]} as its first step")
    gaps = np.diff(steps)
    if (gaps != every).any():
        at = int(np.flatnonzero(gaps != every)[0])
        raise DataError(f"steps: {_gap(int(steps[at]), int(steps[at + 1]), every)}")
    return f"all batches are there once, steps {steps[0]:,} to {steps[-1]:,}", True


def _gap(before: int, after: int, every: int) -> str:
    if after == before:
        return f"step {before} occurs twice"
    if after < before:
        return f"step {after} comes after {before}: a run that was started again, or a second epoch; keep one pass"
    hint = "; if a row is the mean over all steps since the last one, say every how many" if every == 1 else ""
    return f"expected one every {every}, got {after} after {before}: what is between them is missing{hint}"


def _once(log: LossLog, examples: int | None) -> tuple[str, bool]:
    """Every example is forecast once."""
    said = "every example is new when it is forecast"
    total = int(log.sizes.sum())
    if examples is not None and total > examples:
        raise DataError(f"examples: expected at most {examples} in a single epoch, the log has {total}")
    if log.epochs is not None and _several_epochs(log.epochs):
        raise DataError(
            f"epochs: expected a single one, got {log.epochs.min():g} to {log.epochs.max():g}: what was seen before is "
            "no forecast; keep the rows of the first epoch"
        )
    checked = examples is not None or log.epochs is not None
    return f"{said} ({'a single epoch' if checked else 'the log does not tell epochs'})", checked


def _several_epochs(epochs: Array) -> bool:
    """Numbered epochs, or how many are over so far: then the first ends at 1."""
    counted = bool((epochs == np.rint(epochs)).all())
    return float(epochs.max()) > (float(epochs.min()) if counted else 1.0)


def _final(nats: Array, sizes: NDArray[np.int64], tail: float) -> tuple[float, float]:
    """Mean loss an example of the last rows, nats, and its standard error."""
    if not 0.0 <= tail <= 1.0:
        raise DataError(f"tail: expected a share of the examples from 0 to 1, got {tail}")
    behind = np.cumsum(sizes[::-1])
    rows = 1 + int(np.searchsorted(behind, tail * behind[-1])) if tail > 0.0 else 1
    last = slice(nats.size - min(rows, nats.size), None)
    scatter = nats[last] / sizes[last]
    error = float(np.std(scatter, ddof=1)) / math.sqrt(scatter.size) if scatter.size > 1 else math.nan
    return math.fsum(nats[last].tolist()) / int(sizes[last].sum()), error
