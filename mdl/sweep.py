"""Strengths x seeds x priors: train, code, measure; parallel, every result stored as it comes, resumable."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mdl import priors as priors_
from mdl.codes import families
from mdl.codes.scheme import PriorLike
from mdl.datasets import Dataset
from mdl.errors import DataError
from mdl.files import write_atomically
from mdl.length import HEADER, LN2
from mdl.masses import Array
from mdl.models import Model
from mdl.tasks import Rows, Store, run
from mdl.training import Split, default_models, model_name, train
from mdl.trials import Found, Trials

if TYPE_CHECKING:
    import pandas as pd

#: Priors and families of codes, by name.
CODES: dict[str, PriorLike] = {**priors_.BY_NAME, **families.BY_NAME}
#: The priors of a sweep where none are named; the first is the headline.
PRIORS: tuple[str, ...] = (
    "gaussian", "laplace", "student-t", "spike-and-slab", "mixture", "uniform", "hashed",
)  # fmt: skip

#: The columns of a sweep's table, in order.
COLUMNS: tuple[str, ...] = (
    "dataset", "task", "model", "strength", "seed", "prior", "n", "n_test", "weights", "nonzero", "step",
    "model_bits", "data_bits", "total_bits", "realised_bits", "header_bits", "uniform_bits",
    "test_bits_per_example", "test_error",
    "trained_bits_per_example", "trained_test_bits_per_example", "trained_test_error",
    "converged", "seconds",
)  # fmt: skip

_AVERAGED = (
    "model_bits",
    "data_bits",
    "total_bits",
    "test_bits_per_example",
    "test_error",
    "trained_test_bits_per_example",
    "trained_test_error",
)


@dataclass(frozen=True)
class Task:
    """One training run and the names of the priors that its weights are coded under."""

    model: str
    strength: float
    seed: int
    priors: tuple[str, ...]


def default_strengths(count: int = 25) -> tuple[float, ...]:
    """So many strengths from 1e-6 to 1, equally far apart in the logarithm.

    Examples
    --------
    >>> default_strengths(3)
    (1e-06, 0.001, 1.0)
    """
    return tuple(float(f"{strength:.6g}") for strength in np.logspace(-6.0, 0.0, count))


def sweep(
    dataset: Dataset,
    models: Sequence[str] | None = None,
    strengths: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    priors: Sequence[str] | None = None,
    out: Path | None = None,
    n_jobs: int = -1,
    backend: str = "loky",
    scheduler: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Two-part code lengths and held-out losses of models trained at many L2 strengths.

    A seed is a random split, 70 % to train on and 30 % held out (stratified by class), the same for every model,
    strength and prior, and the start of the training. Inputs are standardised by the training part; a feature that is
    constant there is zero. A regression's target is standardised for training, so that its strength is relative to a
    noise as large as the target's own spread, and the last layer is mapped back: the model that is coded predicts in
    units of the target. The strength λ is per example: mean NLL + (λ/2)‖w‖², intercepts free.

    Parameters
    ----------
    dataset
        What :func:`mdl.datasets.load` gives.
    models
        Names in ``MODELS``; ``mlp`` is ``mlp-relu``. By default the linear model and ``mlp-relu``.
    strengths
        Each λ > 0; by default 25 from 1e-6 to 1.
    seeds
        Whole numbers >= 0.
    priors
        Names in ``CODES``; by default ``PRIORS``. Each has the step that makes its own total shortest.
    out
        Folder for ``sweep.csv``, ``sweep.parquet``, and a file for each finished task under ``rows``, which another
        sweep into the same folder takes over instead of computing it again.
    n_jobs
        Processes of joblib, -1 for one a core. The table does not depend on it, ``seconds`` apart.
    backend, scheduler
        ``"dask"`` and an address send the tasks to a cluster instead; see :func:`mdl.tasks.run`.
    progress
        Whether to show a bar on stderr.

    Returns
    -------
    pandas.DataFrame
        A row for every model, strength, seed and prior, in the order given, with the columns ``COLUMNS``.
        ``model_bits`` is all but data and header; ``total_bits`` (ideal) and ``realised_bits`` (bytes written) leave
        the header out; ``uniform_bits`` is what the training targets take without a model. Losses of ``test_`` are the
        quantised model's, those of ``trained_`` the unquantised one's; an error is a rate for classes, a root mean
        square otherwise. ``step`` is that of the first layer; ``seconds`` are those of the whole task.

    Raises
    ------
    DataError
        If a name, strength or seed cannot be used, or a class is too small to be split.
    MdlError
        If the folder cannot be written, or the processes or the cluster cannot be used.

    Examples
    --------
    >>> from mdl.datasets import load
    >>> table = sweep(load("wine"), ["logistic"], [1e-2], [0], ["gaussian"], n_jobs=1, progress=False)
    >>> bool(table.total_bits[0] < table.uniform_bits[0])
    True
    """
    import pandas as pd

    tasks = _tasks(dataset, models, strengths, seeds, priors)
    store = None if out is None else Store.at(Path(out) / "rows", (dataset.name, dataset.fingerprint))
    compute = functools.partial(_rows, dataset)
    rows = run(
        compute, tasks, store=store, n_jobs=n_jobs, backend=backend, scheduler=scheduler,
        title=f"sweep {dataset.name}", progress=progress,
    )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if out is not None:
        write_atomically(out / "sweep.csv", lambda stream: stream.write(table.to_csv(index=False).encode()))
        write_atomically(out / "sweep.parquet", table.to_parquet)
    return table


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What each prior's shortest total chooses, and how far from the best on held-out data that is.

    Parameters
    ----------
    table
        What :func:`sweep` returns.

    Returns
    -------
    pandas.DataFrame
        For every model and prior, in the table's order: the ``strength`` with the shortest total, and the averages over
        seeds there. ``best_strength`` is where the quantised model's held-out bits are fewest, and ``excess_`` by how
        much those at the chosen strength exceed them; ``trained_best_strength`` and ``trained_excess_`` say the same of
        the unquantised model.
    """
    import pandas as pd

    means = table.groupby(["model", "prior", "strength"], sort=False)[list(_AVERAGED)].mean()
    return pd.DataFrame(
        [
            {"model": model, "prior": prior, **_choice(part.droplevel(["model", "prior"]))}
            for (model, prior), part in means.groupby(["model", "prior"], sort=False)
        ]
    )


def _choice(means: pd.DataFrame) -> dict[str, float]:
    """One prior's row of the summary, from averages indexed by strength."""
    chosen = means["total_bits"].idxmin()
    row = {"strength": chosen, **means.loc[chosen]}
    for kind in ("", "trained_"):
        losses = [f"{kind}test_bits_per_example", f"{kind}test_error"]
        best = means[losses[0]].idxmin()
        excess = means.loc[chosen, losses] - means.loc[best, losses]
        row |= {
            f"{kind}best_strength": best,
            f"{kind}excess_bits": excess.iloc[0],
            f"{kind}excess_error": excess.iloc[1],
        }
    return row


def _tasks(
    dataset: Dataset,
    models: Sequence[str] | None,
    strengths: Sequence[float] | None,
    seeds: Sequence[int],
    priors: Sequence[str] | None,
) -> list[Task]:
    names = [model_name(name, dataset.task) for name in _several("models", models or default_models(dataset))]
    chosen = tuple(_several("priors", priors or PRIORS))
    for prior in chosen:
        if prior not in CODES:
            raise DataError(f"priors: expected some of {', '.join(CODES)}, got {prior!r}")
    lambdas = [float(value) for value in _several("strengths", default_strengths() if strengths is None else strengths)]
    for strength in lambdas:
        if not 0.0 < strength < math.inf:
            raise DataError(f"strengths: expected finite numbers > 0, got {strength}")
    starts = [int(seed) for seed in _several("seeds", seeds)]
    if min(starts) < 0 or max(starts) >= 2**32:
        raise DataError(f"seeds: expected whole numbers from 0 to 2^32 - 1, got {min(starts)} to {max(starts)}")
    unique = dict.fromkeys(Task(m, s, seed, chosen) for m in names for s in lambdas for seed in starts)
    return list(unique)


def _several(argument: str, values: Iterable[Any]) -> list[Any]:
    """Each once, in order; a bare text is refused, which is a sequence of letters otherwise."""
    if isinstance(values, str) or not (unique := list(dict.fromkeys(values))):
        raise DataError(f"{argument}: expected a list of at least one, got {values!r}")
    return unique


def _rows(dataset: Dataset, task: Task) -> Rows:
    """Train once, then code under every prior."""
    began = time.perf_counter()
    split = Split.of(dataset, task.seed)
    model, converged = train(task.model, task.strength, task.seed, split)
    trials = Trials(model, split.X, split.y)
    near = _step(trials.search(CODES["gaussian"]))
    common = {
        "dataset": dataset.name, "task": dataset.task, "model": task.model, "strength": task.strength,
        "seed": task.seed, "n": len(split.y), "n_test": len(split.y_test), "weights": model.weights.count,
        "uniform_bits": split.uniform_bits, "converged": converged,
        **_losses(model.with_likelihood(model.likelihood.fit(model.predict(split.X), split.y)), split, "trained_"),
    }  # fmt: skip
    rows = []
    for prior in task.priors:
        # a hash has no good neighbourhood to start from
        found = trials.search(CODES[prior], near=None if prior == "hashed" else near)
        rows.append({**common, "prior": prior, **_lengths(found), **_coded_losses(found, model, split)})
    seconds = round(time.perf_counter() - began, 3)
    return [{name: {**row, "seconds": seconds}[name] for name in COLUMNS} for row in rows]


def _step(found: Found) -> float:
    """The step of the first layer's weights."""
    return float(found.scheme.codings["layers.0.weight"].quantizer.step)  # type: ignore[union-attr]


def _lengths(found: Found) -> dict[str, float]:
    ideal = found.ideal()
    return {
        "step": _step(found),
        "model_bits": ideal.comparable.bits - ideal.part("data") / LN2,
        "data_bits": ideal.part("data") / LN2,
        "total_bits": ideal.comparable.bits,
        "header_bits": ideal.part(HEADER) / LN2,
        "realised_bits": found.realise()[1].comparable.bits,
    }


def _coded_losses(found: Found, model: Model, split: Split) -> dict[str, float]:
    tensors = found.scheme.quantized(found.tensors)
    coded = model.with_weights(tensors).with_likelihood(found.data.likelihood)
    nonzero = sum(int(np.count_nonzero(tensors[name])) for name in tensors if name not in model.free)
    losses = _losses(coded, split)
    return {"nonzero": nonzero, **{name: losses[name] for name in ("test_bits_per_example", "test_error")}}


def _losses(model: Model, split: Split, prefix: str = "") -> dict[str, float]:
    """Mean bits an example, trained on and held out, and the held-out error."""
    predictions = model.predict(split.X_test)
    bits = [
        -float(model.likelihood.log_prob(values, y).mean()) / LN2
        for values, y in ((model.predict(split.X), split.y), (predictions, split.y_test))
    ]
    error = _error_rate(predictions, split.y_test) if split.classes else _rms(predictions - split.y_test)
    names = ("bits_per_example", "test_bits_per_example", "test_error")
    return {f"{prefix}{name}": value for name, value in zip(names, (*bits, error), strict=True)}


def _error_rate(logits: Array, y: NDArray[Any]) -> float:
    guesses = logits > 0.0 if logits.ndim == 1 else logits.argmax(axis=1)
    return float(np.mean(guesses != y))


def _rms(residuals: Array) -> float:
    return math.sqrt(float(np.mean(residuals**2)))
