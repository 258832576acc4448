"""Which strength? Code lengths of all candidates, each in nats; the shortest is chosen.

A code is a function of :class:`mdl.select.candidates.Candidates` that returns a length for each; a new one is a
function and an entry in ``CODES``. That one of k strengths was chosen costs ln k nats under every code, the part
``choice``. A prior that follows from the strength is told by that choice, and is not charged again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.numbers import real_bits
from mdl.codes.scheme import FREE, Coding, Scheme
from mdl.curvature import MAX_DENSE, Objective
from mdl.errors import MdlError
from mdl.length import LN2, CodeLength
from mdl.lengths import lattice, mml, refined
from mdl.lengths.evidence import evidence
from mdl.lengths.luckiness import lnml
from mdl.lengths.prequential import PrequentialLength, doubling, prequential
from mdl.masses import Array
from mdl.models import Model
from mdl.priors import Gaussian
from mdl.quantize import UniformGrid
from mdl.select.candidates import Candidates
from mdl.select.held_out import rotated
from mdl.select.laplace import Mode, modes
from mdl.select.spectrum import Spectrum
from mdl.trials import Trials

#: The default where the evidence is exact and costs nothing, and elsewhere; see ``analyses/which_code_predicts.py``.
RIDGE_CODE = "evidence"
CODE = "rotated"

ORDERS = 3  # random orders that a prequential length is the mean of
_FIRST = 8  # examples of its first block, at most
_LATER = 4  # blocks that the later half is cut into
_NOISE_OCTAVES = 31  # from half the precision of the targets up to the largest that they can have


def code_lengths(code: str, candidates: Candidates) -> tuple[CodeLength, ...]:
    """The length of every candidate under a code, what the choice among them costs included.

    Raises
    ------
    MdlError
        If there is no such code, or it is not defined for these candidates.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> candidates = Candidates.of(LogisticRegression(), [1e-4, 1e-2, 1.0], x, x[:, 0] > 0.3)
    >>> [round(length.bits) for length in code_lengths("evidence", candidates)]
    [14, 17, 39]
    """
    if code not in CODES:
        raise MdlError(f"code: expected one of {', '.join(CODES)}, got {code!r}")
    choice = CodeLength((("choice", math.log(len(candidates.strengths))),))
    return tuple(length + choice for length in CODES[code](candidates))


def chosen(lengths: Sequence[CodeLength]) -> int:
    """Where the shortest is, headers left out; of equal ones the last, which has the strongest penalty."""
    nats = np.array([length.comparable.nats for length in lengths])
    return int(np.flatnonzero(nats == nats.min())[-1])


def _without_prior(length: CodeLength) -> CodeLength:
    """The strength tells the prior."""
    return replace(length, parts=tuple(part for part in length.parts if part[0] != "prior"))


def _each(candidates: Candidates, method: Callable[[Model, Gaussian], CodeLength]) -> list[CodeLength]:
    """A method's length of each trained model under its own prior."""
    return [
        _without_prior(method(model, prior)) for model, prior in zip(candidates.models, candidates.priors, strict=True)
    ]


# --- one integral, one sum --------------------------------------------------------------------------------------------


def _evidence(candidates: Candidates) -> list[CodeLength]:
    """-ln ∫ p(y | X, w) p(w) dw under each strength's prior: exact for ridge, by Laplace's method otherwise."""
    if candidates.ridge:
        return _of_ridge(candidates, lambda data, penalty, half: {"weights": penalty + half, "data": data})
    if _dense_classifier(candidates):
        return [_of_mode(mode, {"weights": mode.penalty + mode.complexity}) for mode in modes(candidates)]
    return _each(candidates, lambda model, prior: evidence(model, candidates.X, candidates.targets, prior))


def _lnml(candidates: Candidates) -> list[CodeLength]:
    """Luckiness NML, for ridge the evidence by another name; for classifiers the upper bound uLNML."""
    if candidates.ridge:
        return _of_ridge(candidates, lambda data, penalty, half: {"penalty": penalty, "complexity": half, "data": data})
    if not _dense_classifier(candidates):
        return _each(candidates, lambda model, prior: lnml(model, candidates.X, candidates.targets, prior))
    squares = np.linalg.svd(candidates.X, compute_uv=False) ** 2
    bend, times = (0.25, 1) if candidates.classes == 2 else (0.5, candidates.classes - 1)
    complexity = 0.5 * times * np.log1p(bend * squares / candidates.alphas[:, None]).sum(axis=1)
    return [
        _of_mode(mode, {"penalty": mode.penalty, "complexity": float(nats)})
        for mode, nats in zip(modes(candidates), complexity, strict=True)
    ]


def _dense_classifier(candidates: Candidates) -> bool:
    weights = candidates.X.shape[1] * (1 if candidates.classes == 2 else candidates.classes)
    return candidates.linear and bool(candidates.classes) and weights <= MAX_DENSE


def _of_mode(mode: Mode, parts: dict[str, float]) -> CodeLength:
    return CodeLength.of({"intercepts": mode.intercepts, **parts, "data": mode.data})


def _prac_mdl_comp(candidates: Candidates) -> list[CodeLength]:
    """Prac-MDL-COMP: luckiness NML of ridge at one noise for all strengths, that of the shortest evidence."""
    if not candidates.ridge:
        raise MdlError("code: prac-mdl-comp is defined for Ridge only; for classifiers use lnml")
    best = chosen(_evidence(candidates))
    noise = np.broadcast_to(ridge_noise(candidates)[best], candidates.alphas.shape)
    names = "penalty", "complexity", "data"
    return _of_ridge(
        candidates, lambda data, penalty, half: dict(zip(names, (penalty, half, data), strict=True)), noise
    )


# --- ridge ------------------------------------------------------------------------------------------------------------


def ridge_noise(candidates: Candidates) -> Array:
    """The noise scale under which each strength's evidence is least, (k,), but at least half the targets' precision."""
    _, away = _told_intercept(candidates)
    squares = candidates.spectrum.penalised(candidates.alphas) + away
    return np.sqrt(np.maximum(squares / candidates.n, 0.25 * candidates.precision**2))


def _of_ridge(
    candidates: Candidates, parts: Callable[[float, float, float], dict[str, float]], noise: Array | None = None
) -> list[CodeLength]:
    """A length for each strength, from its data, its penalty and half its log-determinant."""
    told, away = _told_intercept(candidates)
    scales = ridge_noise(candidates) if noise is None else noise
    residual, penalty, half = candidates.spectrum.terms(candidates.alphas)
    density = candidates.n * np.log(scales * math.sqrt(2.0 * math.pi) / candidates.precision)
    data, of_weights = 0.5 * (residual + away) / scales**2 + density, 0.5 * penalty / scales**2
    common = told + CodeLength((("likelihood", _noise_nats(candidates)),))
    rows = zip(data.tolist(), of_weights.tolist(), half.tolist(), strict=True)
    return [common + CodeLength.of(parts(*row)) for row in rows]


def _told_intercept(candidates: Candidates) -> tuple[CodeLength, float]:
    """The targets' mean to about the noise's share in it, and the square that rounding it adds to the residuals."""
    spectrum: Spectrum = candidates.spectrum
    if not candidates.estimator.fit_intercept:
        return CodeLength(()), 0.0
    finest = max(spectrum.spread / math.sqrt(candidates.n), candidates.precision)
    grid = UniformGrid(math.ldexp(1.0, math.frexp(finest)[1] - 1))
    mean = np.array([spectrum.mean_y])
    coding = Coding(grid, Signed(EliasDelta()), FREE)
    told = Scheme({"intercept": coding}).length({"intercept": mean})
    away = float(grid.dequantize(grid.quantize(mean))[0]) - spectrum.mean_y
    return told, candidates.n * away**2


def _noise_nats(candidates: Candidates) -> float:
    """What telling the noise costs: the targets' precision, then one of the scales that are 1/√n of themselves apart.

    What the nearest of them adds to the data, at most n (½(e^2ε - 1) - ε) with ε = 1/(2√n), is charged here, so that
    lengths depend on the strength smoothly.
    """
    n = candidates.n
    scales = math.ceil(_NOISE_OCTAVES * LN2 * math.sqrt(n))
    half = 0.5 / math.sqrt(n)
    rounding = n * (0.5 * math.expm1(2.0 * half) - half)
    return real_bits(candidates.precision).size * LN2 + math.log(scales) + rounding


# --- two parts --------------------------------------------------------------------------------------------------------


def _mml(candidates: Candidates) -> list[CodeLength]:
    """MML87 with the prior's own curvature."""
    return _each(candidates, lambda model, prior: mml.mml(model, candidates.X, candidates.targets, prior))


def _two_part(candidates: Candidates) -> list[CodeLength]:
    """On the best naive grid, under the prior that the strength is."""
    return _each(candidates, lambda model, prior: Trials(model, candidates.X, candidates.targets).search(prior).ideal())


def _two_part_fitted(candidates: Candidates) -> list[CodeLength]:
    """On the best naive grid, under the Gaussian that fits the weights."""
    return [Trials(model, candidates.X, candidates.targets).search(Gaussian()).ideal() for model in candidates.models]


def _lattice(candidates: Candidates) -> list[CodeLength]:
    """On a lattice shaped by curvature, under Gaussians that fit the weights."""
    return [lattice.lattice(model, candidates.X, candidates.targets) for model in candidates.models]


def _refined(candidates: Candidates) -> list[CodeLength]:
    """On a naive grid, symbols moved to where the total is short, under the Gaussian that fits them."""
    return [refined.refined(model, candidates.X, candidates.targets) for model in candidates.models]


# --- no weights are sent ----------------------------------------------------------------------------------------------


def _prequential(candidates: Candidates) -> list[CodeLength]:
    """Each block forecast by the candidate trained on those before it; the mean over random orders.

    The prior stays as it is while examples arrive.
    """
    ends = doubling(candidates.n, max(1, min(_FIRST, candidates.n // 4)))
    return [_mean(lengths) for lengths in zip(*_in_orders(candidates, ends), strict=True)]


def _differential(candidates: Candidates) -> list[CodeLength]:
    """The later half of the examples given the earlier one, as prequential has it: no length of all targets."""
    first = candidates.n // 2
    ends = sorted({candidates.n - (candidates.n - first) * k // _LATER for k in range(_LATER + 1)})
    orders = zip(*_in_orders(candidates, tuple(ends)), strict=True)
    return [_mean([length.after(first) for length in lengths]) for lengths in orders]


def _in_orders(candidates: Candidates, ends: Sequence[int]) -> Iterator[list[PrequentialLength]]:
    """For each order, a length of each candidate; what one learned is where the next one's training starts."""
    about = {"classes": range(candidates.classes)} if candidates.classes else {"precision": candidates.precision}
    for order in range(ORDERS):
        near: dict[int, object] = {}
        lengths = {
            k: prequential(
                candidates.learner(k, near), candidates.X, candidates.targets,
                blocks=ends, seed=candidates.seed + order, **about,
            )
            for k in candidates.path
        }  # fmt: skip
        yield [lengths[k] for k in range(len(candidates.strengths))]


def _mean(lengths: Sequence[CodeLength]) -> CodeLength:
    return CodeLength(tuple((name, nats / len(lengths)) for length in lengths for name, nats in length.parts))


# --- criteria ---------------------------------------------------------------------------------------------------------


def _bic(candidates: Candidates) -> list[CodeLength]:
    """½ ln n nats for each weight that the penalty leaves free, and the data: Schwarz's criterion, no code."""
    return _criterion(candidates, 0.5 * math.log(candidates.n))


def _aic(candidates: Candidates) -> list[CodeLength]:
    """One nat for each weight that the penalty leaves free, and the data: half of Akaike's criterion, no code."""
    return _criterion(candidates, 1.0)


def _criterion(candidates: Candidates, nats: float) -> list[CodeLength]:
    lengths = []
    for model, freedom in zip(candidates.models, _freedom(candidates), strict=True):
        predictions = model.predict(candidates.X)
        fitted = model.likelihood.fit(predictions, candidates.targets)
        told = freedom + sum(model.weights[name].size for name in model.free) + (not candidates.classes)  # the noise
        data = -float(fitted.log_prob(predictions, candidates.targets).sum())
        lengths.append(CodeLength((("weights", nats * told), ("data", max(data, 0.0)))))
    return lengths


def _freedom(candidates: Candidates) -> list[float]:
    """Trace H(H + I/s²)^-1 of each candidate, H the curvature of the data's length and s the prior's scale."""
    if candidates.ridge:
        return list(candidates.spectrum.freedom(candidates.alphas).tolist())
    found = []
    for model, prior in zip(candidates.models, candidates.priors, strict=True):
        objective = Objective(model, candidates.X, candidates.targets)  # type: ignore[arg-type]
        bend = np.linalg.eigvalsh(objective.ggn(objective.vector)).clip(0.0)
        found.append(float((bend / (bend + prior.parameters[0] ** -2.0)).sum()))
    return found


#: Codes by name.
CODES: dict[str, Callable[[Candidates], list[CodeLength]]] = {
    "evidence": _evidence,
    "lnml": _lnml,
    "prac-mdl-comp": _prac_mdl_comp,
    "mml": _mml,
    "two-part": _two_part,
    "two-part-fitted": _two_part_fitted,
    "lattice": _lattice,
    "refined": _refined,
    "prequential": _prequential,
    "differential": _differential,
    "rotated": rotated,
    "bic": _bic,
    "aic": _aic,
}
