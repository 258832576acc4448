"""The measures that are to order networks by how they generalise, and how well they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyses import _ordering, _stars
from analyses._ordering import Pairs, Span
from mdl.masses import Array

GAP, LOSS, ERROR_GAP, ERROR = "gap", "test loss", "error gap", "test error"
_UNCERTAINTY = {GAP: "se_bits", LOSS: "se_bits", ERROR_GAP: "se_error", ERROR: "se_error"}

RETRAINED = "prequential"  # the one code that is of the learner and not of the trained network
#: Codes that depend on what the weights are, and the columns of their totals; then those that count weights.
CODES = {
    "two-part, Gaussian": "two_part_bits", "two-part, Laplace": "two_part_laplace_bits",
    "faithful file": "faithful_bits", "evidence, trained prior": "evidence_trained_bits",
    "evidence, open scale": "evidence_bits", RETRAINED: "prequential_bits",
}  # fmt: skip
_COUNTING = {"float32": "float32_bits", "BIC": "bic_bits"}
TRAINING = "training loss"
#: What needs no measure of complexity.
PLAIN = (TRAINING, "training error", "random")


def networks_of(table: pd.DataFrame, *, shuffled: bool = False) -> pd.DataFrame:
    """The rows of networks with labels as they are but for noise, or with labels that are all random."""
    return table[(table["kind"] == "network") & (table["shuffled"] == shuffled)].reset_index(drop=True)


def pairs_of(table: pd.DataFrame, *, shuffled: bool = False) -> pd.DataFrame:
    """The rows of pairs of these networks."""
    found = table[(table["kind"] == "pair") & (table["shuffled"] == shuffled)]
    return found.astype({"network": int, "other": int}).reset_index(drop=True)


def target_of(networks: pd.DataFrame, target: str) -> pd.Series:
    """What is to be ordered, a number a network."""
    loss, error = networks["test_bits"], networks["test_error"]
    gaps = {GAP: loss - networks["train_bits"], ERROR_GAP: error - networks["train_error"]}
    return {**gaps, LOSS: loss, ERROR: error}[target]


def measures_of(networks: pd.DataFrame, target: str) -> pd.DataFrame:
    """A column a measure, larger for a larger target; whatever grows with the examples is divided by their number.

    A code foretells the loss by its bits an example, and the gap by those of them that are beyond the training loss.
    """
    n, fit = networks["n"], networks["train_bits"]
    is_gap = target in (GAP, ERROR_GAP)
    lengths = {name: networks[column] / n - fit * is_gap for name, column in {**CODES, **_COUNTING}.items()}
    sign = -1.0 if is_gap else 1.0  # what fits better has the larger gap
    return pd.DataFrame(
        {
            **lengths,
            "parameters": networks["parameters"] / n,
            "squared norm": networks["squared_norm"] / n,
            "path norm": networks["path_norm"] / n,
            "spectral norms": networks["spectral"] ** 2 / n,
            "margin": _inverse_square(networks["margin"], n),
            "normalised margin": _inverse_square(networks["normalised_margin"], n),
            "Gauss-Newton trace": networks["trace"] / n,
            "Fisher-Rao norm": networks["fisher_rao"] / n,
            "relative precision": networks["relative_precision_bits"] / n,
            "rise under noise": networks["noise_rise"],
            TRAINING: sign * fit,
            "training error": sign * networks["train_error"],
            "random": networks["random"],
        }
    )


def _inverse_square(margin: pd.Series, n: pd.Series) -> pd.Series:
    """1/(margin² n), the bound's; a margin that is not positive has none, and is ordered beyond all others."""
    finite = np.where(margin > 0.0, margin, 1.0) ** -2.0 / n
    return finite.where(margin > 0.0, 1e30 * (1.0 - margin))


@dataclass(frozen=True)
class Result:
    """How well each measure orders a target: resamples of stars (resamples, measures), the first of all as they are."""

    target: str
    names: list[str]
    pairs: Pairs
    mean: Array
    worst: Array
    tau: Array

    @classmethod
    def of(cls, table: pd.DataFrame, target: str, sure: float = _ordering.SURE) -> Result:
        """Of the networks whose labels are not all random."""
        networks = networks_of(table)
        given, wanted = measures_of(networks, target), target_of(networks, target)
        pairs = _ordering.pairs_of(networks, pairs_of(table), given, wanted, _UNCERTAINTY[target], sure)
        return cls(target, list(given), pairs, *_ordering.summary(pairs), _ordering.taus(networks, given, wanted))

    @property
    def summary(self) -> pd.DataFrame:
        """A row a measure, the least mean sign error first: that, the worst and tau, each with its interval."""
        rows = []
        for k, name in enumerate(self.names):
            row: dict[str, object] = {"measure": name}
            for what in ("mean", "worst", "tau"):
                span = _ordering.span(getattr(self, what)[:, k])
                row |= {what: span.value, f"{what}_low": span.low, f"{what}_high": span.high}
            rows.append(row)
        return pd.DataFrame(rows).sort_values("mean", kind="stable", ignore_index=True)

    def less(self, one: str, other: str) -> Span:
        """Mean sign error of one measure less that of another, in the same resamples."""
        return _ordering.span(self.mean[:, self.names.index(one)] - self.mean[:, self.names.index(other)])

    @property
    def by_hyperparameter(self) -> pd.DataFrame:
        """Sign errors, mean over tables: a row a hyper-parameter, a column a measure; NaN without enough pairs."""
        errors = pd.DataFrame(_ordering.sign_errors(self.pairs), columns=self.names)
        errors["varied"] = [varied for _, varied in self.pairs.names]
        return errors.groupby("varied").mean().reindex(list(_stars.LEVELS))
