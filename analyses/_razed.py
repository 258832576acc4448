"""Trained models of one split on one grid, and how well each code's lengths rank them by what they predict."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from analyses import _razors
from analyses._problems import Drawn, Problem
from mdl import wrap
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import Model
from mdl.trials import with_coded_free

STRENGTHS = tuple(float(f"{strength:.6g}") for strength in np.logspace(-5.0, 0.0, 13))
WIDTHS, STARTS = (4, 16), 2  # of perceptrons with one hidden layer of tanh units
ITERATIONS = 200
EXAMPLES = {"wine": 60, "breast_cancer": 100, "digits": 200}
GAUSSIAN = f"Gaussian {_razors.SCALE:g}"
DEALT = f"{GAUSSIAN}, dealt"
#: Constants at which the share of pairs that keep their order is counted, bits.
CONSTANTS = tuple(float(2**k) for k in range(15))


@dataclass(frozen=True)
class Cell:
    """One split of one table, with its labels or with the same in random order; whether to list its models."""

    table: str
    labels: str
    seed: int
    listed: bool = False

    def drawn(self) -> Drawn:
        """Examples to learn from, and held out."""
        found = Problem("", "logistic", self.table, EXAMPLES[self.table]).split(self.seed)
        if self.labels == "true":
            return found
        rng = np.random.default_rng(self.seed)
        return Drawn(found.X, rng.permutation(found.y), found.X_test, rng.permutation(found.y_test))


class Rounded(NamedTuple):
    """A trained model on the grid; intercepts are coded apart, alike for every code of the weights."""

    architecture: str
    strength: float
    start: int
    symbols: NDArray[Any]
    clipped: int
    free_bits: float
    data_bits: float
    test_bits: float
    test_error: float


def rows(cell: Cell) -> list[dict[str, Any]]:
    """Ranks under every code; with true labels pairs that keep their order, and the models if they are to be listed."""
    drawn = cell.drawn()
    found = list(trained(drawn))
    table = pd.DataFrame([model._replace(symbols=model.symbols.size) for model in found])
    rest = (table["free_bits"] + table["data_bits"]).to_numpy()
    about = {"table": cell.table, "labels": cell.labels, "seed": cell.seed}
    groups = [*table.groupby("architecture", sort=False).groups.items(), ("all", table.index)]
    weights = _weights_bits(found, cell)
    weights[DEALT] = _dealt(found, weights[GAUSSIAN][0], [of for _, of in groups[:-1]], cell.seed)
    lengths = {name: [rest + each for each in salts] for name, salts in weights.items()}
    ranks = [
        {"part": "rank", **about, "architecture": name, "code": code, **_rank(table, of, salts)}
        for name, of in groups[: None if cell.labels == "true" else -1]
        for code, salts in lengths.items()
    ]
    if cell.labels != "true":
        return ranks
    kept = [{"part": "kept", **about, **row} for row in _kept(lengths[GAUSSIAN][0], [of for _, of in groups[:-1]])]
    shown = ("Gaussian", "hashed", "reversed")
    bits = {f"{name.lower()}_bits": np.round(lengths[f"{name} {_razors.SCALE:g}"][0], 2) for name in shown}
    models = table.assign(part="model", **about, **bits, weights=table["symbols"]).drop(columns="symbols")
    return [*ranks, *kept, *(models.round(4).to_dict("records") if cell.listed else [])]


def trained(drawn: Drawn) -> Iterator[Rounded]:
    """Every architecture at every strength from every start, rounded to the grid."""
    for width, strength in itertools.product((0, *WIDTHS), STRENGTHS):
        for start in range(STARTS if width else 1):
            yield _rounded(_fit(width, strength, start, drawn), width, strength, start, drawn)


def _fit(width: int, strength: float, start: int, drawn: Drawn) -> Model:
    n = len(drawn.y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a model is ranked as it is
        if not width:
            return wrap(LogisticRegression(C=1.0 / (n * strength), tol=1e-6, max_iter=3000).fit(drawn.X, drawn.y))
        perceptron = MLPClassifier(
            (width,), activation="tanh", solver="lbfgs", alpha=n * strength, max_iter=ITERATIONS, random_state=start
        )
        return wrap(perceptron.fit(drawn.X, drawn.y))


def _rounded(model: Model, width: int, strength: float, start: int, drawn: Drawn) -> Rounded:
    coded, free = with_coded_free(model, drawn.X, drawn.y)
    exact = {name: _razors.GRID.quantize(w) for name, w in coded.weights.items() if name not in coded.free}
    symbols = {name: np.clip(s, -_razors.REACH, _razors.REACH) for name, s in exact.items()}
    got = coded.with_weights({**coded.weights, **{n: _razors.GRID.dequantize(s) for n, s in symbols.items()}})
    predictions = got.predict(drawn.X_test)
    classes = predictions.argmax(axis=1) if predictions.ndim == 2 else predictions > 0.0
    return Rounded(
        architecture=f"perceptron, {width} units" if width else "logistic",
        strength=strength,
        start=start,
        symbols=np.concatenate([s.ravel() for s in symbols.values()]),
        clipped=sum(int((exact[name] != symbols[name]).sum()) for name in exact),
        free_bits=free.bits,
        data_bits=-float(got.likelihood.log_prob(got.predict(drawn.X), drawn.y).sum()) / LN2,
        test_bits=-float(got.likelihood.log_prob(predictions, drawn.y_test).mean()) / LN2,
        test_error=float((classes != drawn.y_test).mean()),
    )


def _weights_bits(found: list[Rounded], cell: Cell) -> dict[str, list[Array]]:
    """Bits of the weights of each model under each code, for each salt it has; other scales for true labels only."""
    counts = np.array([np.bincount(model.symbols + _razors.REACH, minlength=_razors.SYMBOLS.size) for model in found])
    one = {name: [counts @ bits] for name, bits in _razors.codes().items()}
    salted = {name: [counts @ bits for bits in salts] for name, salts in _razors.salted(cell.seed).items()}
    if cell.labels != "true":
        others = {f"{scale:g}" for scale in _razors.SCALES if scale != _razors.SCALE}
        return {name: bits for name, bits in {**one, **salted}.items() if name.split()[-1] not in others}
    which = np.log2(len(_razors.TOLD))
    told = {
        name: [np.min([counts @ bits for bits in scales], axis=0) + which for scales in salts]
        for name, salts in _razors.told(cell.seed).items()
    }
    return {**one, **salted, **told}


def _rank(table: pd.DataFrame, of: pd.Index, salts: list[Array]) -> dict[str, float]:
    """Kendall's rank correlation of total length with test loss and error, and the test loss of the shortest model.

    Means over salts; the best model of the split is known afterwards only.
    """
    loss, error = (table.loc[of, name].to_numpy() for name in ("test_bits", "test_error"))
    totals = [salt[of] for salt in salts]
    taus = [stats.kendalltau(total, loss).statistic for total in totals]
    return {
        "tau": round(float(np.mean(taus)), 4),
        "tau_sd": round(float(np.std(taus)), 4),
        "tau_error": round(float(np.mean([stats.kendalltau(total, error).statistic for total in totals])), 4),
        "test_bits": round(float(np.mean([loss[total.argmin()] for total in totals])), 4),
        "best_test_bits": round(float(loss.min()), 4),
        "models": len(of),
    }


def _dealt(found: list[Rounded], bits: Array, groups: list[pd.Index], seed: int) -> list[Array]:
    """The lengths of the models themselves, the shortest to the one whose weights have the least SHA-256 digest.

    They stay among the models of one architecture. What is dealt out has the same sum of two to the minus length.
    """
    every = []
    for salt in _razors.salts(seed):
        digests = [sha256(salt.to_bytes(8, "little") + m.symbols.astype("<i4").tobytes()).digest() for m in found]
        dealt = np.empty_like(bits)
        for of in groups:
            dealt[sorted(of, key=digests.__getitem__)] = np.sort(bits[of])
        every.append(dealt)
    return every


def law(task: tuple[int, int]) -> list[dict[str, Any]]:
    """Bits a weight of very different models, as a mean over many hash orders, beside the mean of the table.

    Over all orders every symbol has every length equally often, so that the mean is the same for any weights.
    """
    seed, salts = task
    table = "wine"
    drawn = Cell(table, "true", seed).drawn()
    models = [
        _rounded(_fit(width, strength, 0, drawn), width, strength, 0, drawn)
        for width in (0, *WIDTHS)
        for strength in STRENGTHS[::6]
    ]
    tables = np.array([_razors.hashed(salt) for salt in range(salts)])
    every = []
    for model in models:
        bits = tables[:, model.symbols + _razors.REACH].mean(axis=1)
        every.append(
            {
                "part": "law", "table": table, "architecture": model.architecture, "strength": model.strength,
                "bits_per_weight": round(float(bits.mean()), 4), "expected_bits": round(float(tables[0].mean()), 4),
                "error_bits": round(float(bits.std(ddof=1) / np.sqrt(salts)), 4), "salts": salts,
            }
        )  # fmt: skip
    return every


def facts(seed: int) -> list[dict[str, Any]]:
    """Kraft sums of every code, and the constants between them."""
    every = {**_razors.codes(), **{name: tables[0] for name, tables in _razors.salted(seed).items()}}
    kraft = [{"part": "kraft", "code": name, "kraft": _razors.kraft(bits)} for name, bits in every.items()]
    found = _razors.constants().items()
    return [*kraft, *({"part": "constant", "code": name, "constant_bits": bits} for name, bits in found)]


def _kept(total: Array, groups: list[pd.Index]) -> Iterator[dict[str, float]]:
    """The share of pairs within an architecture whose order no language with a smaller constant can turn round.

    From L1(a) + 2c < L1(b) follows L2(a) <= L1(a) + c < L1(b) - c <= L2(b).
    """
    gaps = np.concatenate([np.abs(np.subtract.outer(total[g], total[g]))[np.triu_indices(len(g), 1)] for g in groups])
    for constant in (*CONSTANTS, *_razors.constants().values()):
        yield {"constant_bits": constant, "kept": round(float((gaps > 2.0 * constant).mean()), 5)}
