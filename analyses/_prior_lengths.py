"""Code lengths of one tensor under every prior with a density, at one step; all that a reader is told is charged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl.codes.discretized import Discretized
from mdl.codes.fitted import fit_counts, fit_scheme
from mdl.codes.scaled import Scaled
from mdl.codes.scheme import Histogram, Scheme
from mdl.priors import (
    Cauchy,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    Prior,
    SpikeAndSlab,
    StudentT,
    Uniform,
)
from mdl.quantize import UniformGrid

#: Every family that has a density, its parameters open, by the stem of its column. ``Hashed`` has none.
PRIORS: dict[str, Prior] = {
    "gaussian": Gaussian(),
    "laplace": Laplace(),
    "logistic": Logistic(),
    "cauchy": Cauchy(),
    "student": StudentT(),
    "generalised": GeneralizedGaussian(),
    "uniform": Uniform(),
    "spike": SpikeAndSlab(),
    "mixture": Mixture(),
}
SHOWN = {
    "gaussian": "Gaussian", "laplace": "Laplace", "logistic": "logistic", "cauchy": "Cauchy", "student": "Student's t",
    "generalised": "generalised Gaussian", "uniform": "uniform", "spike": "spike and slab", "mixture": "mixture",
}  # fmt: skip
FRACTIONS = (1 / 4, 1 / 16, 1 / 64)  # of the mean absolute deviation, to the nearest power of two
FRACTION = FRACTIONS[1]
DIGITS = 8  # that a table keeps of a length
_NOTHING = np.empty(0)  # a tensor whose histogram says everything


def column(prior: str) -> str:
    """Where a table keeps the bits under a prior."""
    return f"{prior}_bits"


COLUMNS = [column(prior) for prior in PRIORS]


def step_of(w: NDArray[Any], fraction: float) -> float:
    """The power of two nearest to a fraction of the mean absolute deviation from the median.

    Not of the standard deviation: under heavy tails that is the largest weight's. A power of two is cheap to tell.
    """
    values = np.asarray(w, np.float64)
    return math.ldexp(1.0, round(math.log2(fraction * float(np.abs(values - np.median(values)).mean()))))


def lengths(w: NDArray[Any], fraction: float = FRACTION) -> dict[str, float]:
    """Bits of a tensor under each prior, its parameters fitted and told; columns of a row.

    The centre is 0 or the median (a uniform's: the middle of the range), whichever is shorter, and told;
    ``gaussian_at_zero_bits`` is that of the Gaussian at 0, plain L2. ``shape`` and ``df`` are those of the generalised
    Gaussian and of Student's t.
    """
    grid = UniformGrid(step_of(w, fraction))
    counted = Histogram.of(grid, w)
    middle, median = 0.5 * sum(counted.ends) * grid.step, _median(counted) * grid.step
    tried = {
        name: {
            loc: _scheme(_centred(prior, loc), grid, counted) for loc in {0.0, middle if name == "uniform" else median}
        }
        for name, prior in PRIORS.items()
    }
    found = {name: min(schemes.values(), key=lambda scheme: scheme[0]) for name, schemes in tried.items()}
    return {
        "step": grid.step,
        **{column(name): bits for name, (bits, _) in found.items()},
        "gaussian_at_zero_bits": tried["gaussian"][0.0][0],
        "shape": _fitted(found["generalised"][1]).shape,
        "df": _fitted(found["student"][1]).df,
    }


def bits_under(w: NDArray[Any], prior: Prior, fraction: float = FRACTION) -> float:
    """Bits of a tensor under one prior as it is given."""
    grid = UniformGrid(step_of(w, fraction))
    return _scheme(prior, grid, Histogram.of(grid, w))[0]


def scaled_lengths(w: NDArray[Any], fraction: float = FRACTION) -> dict[str, float]:
    """Bits of a matrix under a Gaussian and a Student's t whose scale each row and column may have its own of."""
    grid = UniformGrid(step_of(w, fraction))
    tensors = {"": np.asarray(w)}
    return {
        f"scaled_{name}_bits": fit_scheme(tensors, {"": grid}, Scaled(prior)).length(tensors).bits
        for name, prior in (("gaussian", Gaussian()), ("student", StudentT()))
    }


def shortest(row: Mapping[str, Any]) -> str:
    """The prior under which a row's weights are shortest."""
    return min(PRIORS, key=lambda prior: row[column(prior)])


def excess_kurtosis(w: NDArray[Any]) -> float:
    """0 for a Gaussian, 3 for a Laplace."""
    z = np.asarray(w, np.float64).ravel()
    z = z - z.mean()
    return float((z**4).mean() / (z**2).mean() ** 2 - 3.0)


def _median(counted: Histogram) -> int:
    """Of the symbols: told as a centre, it is on the grid and cheap."""
    return int(counted.symbols[int(np.searchsorted(np.cumsum(counted.counts), 0.5 * float(counted.counts.sum())))])


def _centred(prior: Prior, loc: float) -> Prior:
    if isinstance(prior, SpikeAndSlab):
        return dataclasses.replace(prior, slab=_centred(prior.slab, loc))
    return prior if isinstance(prior, Mixture) else dataclasses.replace(prior, loc=loc)  # type: ignore[type-var]


def _scheme(prior: Prior, grid: UniformGrid, counted: Histogram) -> tuple[float, Scheme]:
    """The shortest over the bits that each parameter is told in, and its bits."""
    scheme = fit_counts({"": _NOTHING}, {"": grid}, prior, {}, {"": counted})
    return scheme.length({"": _NOTHING}, {"": counted}).bits, scheme


def _fitted(scheme: Scheme) -> Any:
    code = scheme.codings[""].code
    return code.prior if isinstance(code, Discretized) else None
