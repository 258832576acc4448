"""The ladder: every code for one model and one data set side by side, from float32 to the evidence; which are files."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mdl.codes.numbers import round_real
from mdl.datasets import Dataset
from mdl.errors import DataError, MdlError
from mdl.length import LN2, CodeLength
from mdl.lengths import baselines, lattice, luckiness, mml, prequential, refined, relative_entropy
from mdl.lengths.evidence import evidence, ridge_evidence
from mdl.lengths.variational import variational
from mdl.masses import Array
from mdl.models import Model
from mdl.priors import BY_NAME, Gaussian, Mixture
from mdl.quantize import FloatFormat, UniformGrid
from mdl.training import Split, default_models, model_name, train
from mdl.trials import Found, Trials
from mdl.weights import Weights

if TYPE_CHECKING:
    import pandas as pd

#: The columns of a ladder's table, in order.
COLUMNS: tuple[str, ...] = (
    "dataset", "model", "strength", "seed", "n", "weights", "rung", "kind", "ideal_bits", "realised_bits", "file_bytes",
    "model_bits", "data_bits", "needs", "seconds",
)  # fmt: skip

_STRENGTHS = tuple(float(f"{s:.3g}") for s in np.logspace(-4.5, -1.0, 8))
_DENSE = 1000  # weights up to which a full curvature takes seconds
_BAR = 24  # characters of the longest
_SEARCHED = 3000  # weights up to which a posterior is searched for in a minute
_SCALE_BITS = 2  # significant, of a prior that a strength stands for
_FLOATS = ("float32", "float16", "bfloat16", "float8_e4m3fn")
_COMPRESSORS = ("deflate", "xz", "zstd", "brotli")


@dataclass(frozen=True, eq=False)
class Case:
    """A trained model and its data; ``prior`` is the Gaussian that its strength stands for, told in few bits."""

    name: str
    strength: float
    seed: int
    split: Split
    model: Model
    prior: Gaussian

    @classmethod
    def of(cls, dataset: Dataset, name: str, strength: float | None = None, seed: int = 0) -> Case:
        """Trained on the split of this seed; without a strength, at that of the least evidence on a coarse grid."""
        split = Split.of(dataset, seed)
        chosen = _least_evidence(name, split, seed) if strength is None else strength
        model, _ = train(name, chosen, seed, split)
        return cls(name, chosen, seed, split, model, _prior(name, chosen, split))

    @property
    def X(self) -> Array:
        """Training inputs."""
        return self.split.X

    @property
    def y(self) -> NDArray[Any]:
        """Training targets."""
        return self.split.y

    @property
    def linear(self) -> bool:
        """Whether there are no hidden layers."""
        return len(self.model.weights) == 2

    @functools.cached_property
    def trials(self) -> Trials:
        """Two-part messages of the model."""
        return Trials(self.model, self.X, self.y)

    @functools.cached_property
    def grid(self) -> Found:
        """The shortest two-part message on a grid under a Gaussian prior."""
        return self.trials.search(Gaussian())

    def learner(self, X: Array, y: NDArray[Any], start: Model | None) -> Model:
        """Trains the same model at the same strength on what has been seen; one class alone teaches nothing."""
        if self.split.classes and (y == y[0]).all():
            return self.model.with_weights({name: 0.0 * tensor for name, tensor in self.model.weights.items()})
        return train(self.name, self.strength, self.seed, replace(self.split, X=X, y=y))[0]


@dataclass(frozen=True)
class Lengths:
    """What a rung finds: an ideal length, the size of a file, or both."""

    ideal: CodeLength | None = None
    realised: CodeLength | None = None

    @classmethod
    def found(cls, found: Found) -> Lengths:
        """Of one message."""
        return cls(found.ideal(), found.realise()[1])


@dataclass(frozen=True)
class Rung:
    """One code. ``needs`` says what its reader has or does besides knowing X and the architecture."""

    name: str
    kind: str
    needs: str
    lengths: Callable[[Case], Lengths]
    applies: Callable[[Case], bool] = lambda case: True


def ladder(
    dataset: Dataset,
    models: Sequence[str] | None = None,
    strength: float | None = None,
    seed: int = 0,
    rungs: Sequence[str] | None = None,
    n_jobs: int = -1,
    progress: bool = True,
) -> pd.DataFrame:
    """Every code's length of one trained model and the targets that it was trained on.

    Parameters
    ----------
    dataset
        What :func:`mdl.datasets.load` gives.
    models
        Names in :data:`mdl.training.MODELS`; by default the linear one.
    strength
        Per example; by default that of the least evidence on a coarse grid, for each model.
    seed
        Of the split and of the training.
    rungs
        Names of ``RUNGS``; by default all that apply to the model.
    n_jobs
        Processes of joblib, -1 for one a core.
    progress
        Whether to show a bar on stderr.

    Returns
    -------
    pandas.DataFrame
        A row a rung that applies, in the order of ``RUNGS``, with the columns ``COLUMNS``. Bits leave the header out;
        they are NaN where a rung has no ideal length or no file. ``file_bytes`` is the whole file, header included.

    Raises
    ------
    DataError
        If a name, a strength or a rung cannot be used.

    Examples
    --------
    >>> from mdl.datasets import load
    >>> table = ladder(load("wine"), strength=1e-2, n_jobs=1, progress=False)
    >>> bits = table.set_index("rung")["ideal_bits"]
    >>> bool(bits["evidence"] < bits["grid, Gaussian"] < bits["float32"])
    True
    """
    import joblib
    import pandas as pd

    names = [model_name(name, dataset.task) for name in (models or default_models(dataset)[:1])]
    if strength is not None and not 0.0 < strength < np.inf:
        raise DataError(f"strength: expected a finite number > 0, got {strength}")
    if unknown := [name for name in rungs or () if name not in [rung.name for rung in RUNGS]]:
        raise DataError(f"rungs: expected some of {', '.join(rung.name for rung in RUNGS)}, got {unknown[0]!r}")
    wanted = [place for place, rung in enumerate(RUNGS) if rungs is None or rung.name in rungs]
    cases = [Case.of(dataset, name, strength, seed) for name in names]
    tasks = [(case, place) for case in cases for place in wanted if RUNGS[place].applies(case)]
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    results = parallel(joblib.delayed(_row)(case, place) for case, place in tasks)
    rows = list(_shown(results, len(tasks), f"ladder {dataset.name}", progress))
    about = [{"dataset": dataset.name, **row} for row in rows]
    return pd.DataFrame(about, columns=list(COLUMNS))


def _shown(results: Any, total: int, title: str, progress: bool) -> Any:
    from rich.console import Console
    from rich.progress import track

    return track(results, title, total, console=Console(stderr=True), disable=not progress)


def _row(case: Case, place: int) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rung, began = RUNGS[place], time.perf_counter()
    with threadpool_limits(1):
        lengths = rung.lengths(case)
    either = lengths.ideal or lengths.realised
    if either is None:
        raise MdlError(f"rung {rung.name}: expected a length")
    data = sum(either.part(name) for name in ("data", "first block")) / LN2
    return {
        "model": case.name, "strength": case.strength, "seed": case.seed, "n": len(case.y),
        "weights": case.model.weights.count, "rung": rung.name, "kind": rung.kind, "needs": rung.needs,
        "ideal_bits": _bits(lengths.ideal), "realised_bits": _bits(lengths.realised),
        "file_bytes": np.nan if lengths.realised is None else round(lengths.realised.bytes),
        "model_bits": either.comparable.bits - data, "data_bits": data,
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip


def _bits(length: CodeLength | None) -> float:
    return np.nan if length is None else length.comparable.bits


# --- the strength -----------------------------------------------------------------------------------------------------


def _prior(name: str, strength: float, split: Split) -> Gaussian:
    """What the strength stands for, in units of the target where that is a number."""
    spread = 1.0 if split.classes else float(split.y.std()) or 1.0
    return Gaussian(round_real(spread * Gaussian.from_l2(strength, len(split.y)).parameters[0], _SCALE_BITS))


def _least_evidence(name: str, split: Split, seed: int) -> float:
    if name == "ridge":
        alphas = len(split.y) * np.logspace(-5.0, 1.0, 25)
        curve = ridge_evidence(split.X, split.y - split.y.mean(), alphas, precision=split.precision).nats
        return float(f"{alphas[int(np.argmin(curve))] / len(split.y):.3g}")

    def nats(strength: float) -> float:
        """Of the evidence."""
        model, _ = train(name, strength, seed, split)
        return evidence(model, split.X, split.y, _prior(name, strength, split), curvature=_curvature(model)).nats

    return min(_STRENGTHS, key=nats)


def _curvature(model: Model) -> Any:
    return "full" if model.weights.count <= _DENSE else "kronecker"


# --- the rungs --------------------------------------------------------------------------------------------------------


def _uniform(case: Case) -> Lengths:
    if case.split.classes:
        return Lengths(baselines.uniform_labels(case.y, case.split.classes))
    return Lengths(baselines.uniform_targets(case.y, case.split.precision))


def _float(case: Case, format: str) -> Lengths:
    quantized = {name: _rounded(tensor, format) for name, tensor in case.model.weights.items()}
    weights = baselines.literal(case.model.weights, format)
    return Lengths(replace(weights, realised=False) + _data(case, quantized))


def _rounded(tensor: Array, format: str) -> Array:
    grid = FloatFormat(format)
    return np.asarray(grid.dequantize(grid.quantize(tensor.ravel())).reshape(tensor.shape))


def _data(case: Case, tensors: Any) -> CodeLength:
    """The targets under these weights, and the likelihood that was fitted to them."""
    part = case.trials.data_under(tensors)
    told = [(name, float(bits.size)) for name, bits in part.description() if name == "likelihood"]
    return CodeLength((("data", float(part.labels.nats(part.symbols).sum())),)) + CodeLength.from_bits(told)


def _compressed(case: Case, compressor: str) -> Lengths:
    scheme = case.grid.scheme
    step = min(coding.quantizer.step for coding in scheme.codings.values())  # type: ignore[union-attr]
    grid = UniformGrid(step)
    tensors = {name: grid.dequantize(grid.quantize(tensor)) for name, tensor in case.model.weights.items()}
    packed = baselines.compressed(case.model.weights, grid, compressor)
    return Lengths(replace(packed, realised=False) + _data(case, tensors))


def _counted(case: Case, criterion: str) -> Lengths:
    nats = _data(case, case.model.weights).part("data")
    d = case.model.weights.count
    return Lengths(baselines.bic(nats, d, len(case.y)) if criterion == "BIC" else baselines.aic(nats, d))


def _prequential(case: Case) -> Lengths:
    about = {"classes": range(case.split.classes)} if case.split.classes else {"precision": case.split.precision}
    ideal = prequential.prequential(case.learner, case.X, case.y, seed=case.seed, **about)
    return Lengths(ideal, prequential.write_prequential(case.learner, case.X, case.y, seed=case.seed, **about)[1])


def _two_part(case: Case, prior: Any) -> Lengths:
    return Lengths.found(case.trials.search(prior))


RUNGS: tuple[Rung, ...] = (
    Rung("uniform labels", "no model", "nothing", _uniform),
    *(Rung(f, "literal", "nothing", functools.partial(_float, format=f)) for f in _FLOATS),
    *(
        Rung(c, "compressor", "the step of the best grid", functools.partial(_compressed, compressor=c))
        for c in _COMPRESSORS
    ),
    Rung("AIC", "criterion", "no code", functools.partial(_counted, criterion="AIC")),
    Rung("BIC", "criterion", "no code", functools.partial(_counted, criterion="BIC")),
    Rung("grid, Gaussian", "two-part file", "nothing", lambda case: Lengths.found(case.grid)),
    Rung("grid, mixture", "two-part file", "nothing", functools.partial(_two_part, prior=Mixture(2))),
    Rung("grid, spike and slab", "two-part file", "nothing",
         functools.partial(_two_part, prior=BY_NAME["spike-and-slab"])),
    Rung("refined grid", "two-part file", "nothing",
         lambda case: Lengths.found(refined.searched(case.model, case.X, case.y))),
    Rung("curved lattice", "two-part file", "steps computed from X",
         lambda case: Lengths.found(lattice.shortest(case.model, case.X, case.y))),
    Rung("random tree", "two-part file", "tree, basis and tilt computed from X",
         lambda case: Lengths.found(relative_entropy.shortest(case.model, case.X, case.y, case.prior)),
         lambda case: case.linear and case.model.weights.count <= _DENSE),
    Rung("MML87", "Bayesian", "the curvature at the estimate",
         lambda case: Lengths(mml.mml(case.model, case.X, case.y, case.prior)),
         lambda case: case.model.weights.count <= _DENSE),
    Rung("LNML", "minimax", "a sum over all labels",
         lambda case: Lengths(luckiness.lnml(case.model, case.X, case.y, case.prior)),
         lambda case: case.linear),
    Rung("variational, diagonal", "Bayesian", "bits back",
         lambda case: Lengths(variational(case.model, case.X, case.y, case.prior)),
         lambda case: case.model.weights.count <= _SEARCHED),
    Rung("variational, full", "Bayesian", "bits back",
         lambda case: Lengths(variational(case.model, case.X, case.y, case.prior, covariance="full")),
         lambda case: case.model.weights.count <= _DENSE),
    Rung("evidence", "Bayesian", "an integral over all weights",
         lambda case: Lengths(evidence(case.model, case.X, case.y, case.prior, curvature=_curvature(case.model)))),
    Rung("evidence, tilted", "Bayesian", "the same, under the random tree's prior",
         lambda case: Lengths(relative_entropy.tilted_evidence(case.model, case.X, case.y, case.prior)),
         lambda case: case.linear and case.model.weights.count <= _DENSE),
    Rung("prequential", "predictive file", "trains as often as the writer", _prequential),
)  # fmt: skip


def of_weights(weights: Weights) -> pd.DataFrame:
    """The rungs that need no data, for the weights of a checkpoint, shortest last.

    Parameters
    ----------
    weights
        What :func:`mdl.load` gives.

    Returns
    -------
    pandas.DataFrame
        Columns ``rung``, ``kind``, ``bits``, ``bits_per_weight``, ``mse`` and ``realised``.

    Examples
    --------
    >>> table = of_weights(Weights({"w": np.random.default_rng(0).normal(size=2000).astype(np.float32)}))
    >>> table["rung"].iloc[0]
    'float32'
    """
    import pandas as pd

    from mdl.lengths.checkpoint import report
    from mdl.trials import default_step

    step = default_step(weights)
    lengths = {(format, "literal"): (baselines.literal(weights, format), np.nan) for format in _FLOATS}
    lengths |= {(name, "compressor"): (baselines.compressed(weights, step, name), np.nan) for name in _COMPRESSORS}
    for name, prior in BY_NAME.items():
        measured = report(weights, prior, step)
        lengths[name, "prior"] = measured.length, measured.mse
    rows = [
        (rung, kind, length.comparable.bits, length.comparable.bits / max(weights.count, 1), mse, length.realised)
        for (rung, kind), (length, mse) in lengths.items()
    ]
    table = pd.DataFrame(rows, columns=["rung", "kind", "bits", "bits_per_weight", "mse", "realised"])
    return table.sort_values("bits", ascending=False, kind="stable", ignore_index=True)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """What people read of a ladder: the longest on top, a bar a rung, logarithmic from the shortest on.

    Examples
    --------
    >>> shown(of_weights(Weights({"w": np.zeros(64, np.float32)})))["rung"].iloc[0]
    'float32'
    """
    if "bits" in table:
        bits, columns = table["bits"], ["rung", "kind", "bits", "bits_per_weight"]
    else:
        bits = table["realised_bits"].astype(float).fillna(table["ideal_bits"])
        columns = ["model", "rung", "kind", "ideal_bits", "realised_bits", "file_bytes", "needs"]
    decades = np.log10(np.maximum(bits, 1.0))
    lengths = np.rint(_BAR * (decades - decades.min()) / max(float(np.ptp(decades)), 1e-9)).astype(int)
    bars = table[columns].assign(bar=["#" * (1 + length) for length in lengths])
    return bars.loc[bits.sort_values(ascending=False, kind="stable").index]
