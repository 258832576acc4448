"""Every prior's density in sympy, and what follows from it: penalty, force, curvature, strength, cost of rounding.

Densities are written down; everything else is derived from them, never typed in. A prior is given as an instance. Its
structure counts (``Mixture(2)``, ``SpikeAndSlab(slab=Laplace())``), its numbers do not: they are symbols, named like
the fields, and ``parameters`` gives a prior's numbers to put in. ``Hashed`` has no density over the reals and is
refused with a ``PriorError``.
"""

from __future__ import annotations

import dataclasses
import functools

import sympy as sp

from mdl.errors import PriorError
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
from mdl.symbolic.expressions import DENSITY, DF, LOC, SCALE, SHAPE, STEP, N, W, latex

_Z = sp.Symbol("z", real=True)
_X = sp.Symbol("x", real=True)  # w - loc
_RIGHT = sp.Symbol("u", positive=True)  # the same, right of the centre

#: Density of (w - loc) / scale, all of them even.
_STANDARD: dict[type, sp.Expr] = {
    Gaussian: sp.exp(-(_Z**2) / 2) / sp.sqrt(2 * sp.pi),
    Laplace: sp.exp(-sp.Abs(_Z)) / 2,
    Logistic: 1 / (4 * sp.cosh(_Z / 2) ** 2),
    Cauchy: 1 / (sp.pi * (1 + _Z**2)),
    StudentT: sp.gamma((DF + 1) / 2) / (sp.sqrt(DF * sp.pi) * sp.gamma(DF / 2)) * (1 + _Z**2 / DF) ** (-(DF + 1) / 2),
    GeneralizedGaussian: SHAPE / (2 * sp.gamma(1 / SHAPE)) * sp.exp(-(sp.Abs(_Z) ** SHAPE)),
    Uniform: sp.Piecewise((sp.Rational(1, 2), sp.Abs(_Z) <= 1), (0, True)),
}

#: One of every prior that has a density.
FAMILIES: tuple[Prior, ...] = (*(family() for family in _STANDARD), Mixture(2), SpikeAndSlab())


def density(prior: Prior) -> sp.Expr:
    """Density of one weight ``w`` under a prior.

    In ``w`` and the prior's parameters, per unit of ``w``. The spike of ``SpikeAndSlab`` is a ``DiracDelta``.

    Examples
    --------
    >>> density(Laplace())
    exp(-Abs(loc - w)/scale)/(2*scale)
    """
    if isinstance(prior, SpikeAndSlab):
        return (1 - DENSITY) * sp.DiracDelta(W) + DENSITY * density(prior.slab)
    if isinstance(prior, Mixture):
        shares, locs, scales = _mixture_symbols(prior.components)
        terms = (a * _shifted(Gaussian, m, s) for a, m, s in zip(shares, locs, scales, strict=True))
        return sp.Add(*terms) / sp.Add(*shares)
    return _shifted(_standard_family(prior), LOC, SCALE)


def centre(prior: Prior) -> sp.Expr:
    """Where the penalty is zero: ``loc``; 0 for a mixture, which has no single centre, and for a spike."""
    return sp.Integer(0) if isinstance(prior, Mixture | SpikeAndSlab) else LOC


def penalty(prior: Prior) -> sp.Expr:
    """The penalty that a prior equals: nats that a weight costs more than one at the centre.

    -ln p(w) + ln p(centre). With a spike there is no density at the centre, so the lengths that are compared are
    those of cells of width ``step``, to leading order in it: every weight that is not zero pays ``l0_price``.

    In ``w`` and the parameters (and ``step`` for ``SpikeAndSlab``), nats.

    Examples
    --------
    >>> penalty(Gaussian())
    (-loc + w)**2/(2*scale**2)
    >>> penalty(StudentT())
    (df + 1)*log(1 + (-loc + w)**2/(df*scale**2))/2

    References
    ----------
    MacKay (1992), "A practical Bayesian framework for backpropagation networks"; Nowlan & Hinton (1992).
    """
    if isinstance(prior, SpikeAndSlab):
        return sp.Piecewise((0, sp.Eq(W, 0)), (l0_price(prior) + _from_zero(prior.slab), True))
    if isinstance(prior, Mixture):
        return _from_zero(prior)
    return _standard_penalty(_standard_family(prior)).subs(_Z, (W - LOC) / SCALE)


def l0_price(prior: SpikeAndSlab) -> sp.Expr:
    """What a spike charges for a weight that is not zero, whatever its size: the L0 penalty at one ``step``.

    Cells of width ``step`` have mass ``density slab(w) step``, and ``1 - density`` more at zero; the price is the
    logarithm of their ratio at zero. It grows like -ln ``step``: a value off the spike must be told to that precision.

    Examples
    --------
    >>> l0_price(SpikeAndSlab(slab=Uniform())).subs(LOC, 0)
    log(1 + 2*scale*(1 - density)/(density*step))
    """
    slab_cell = DENSITY * density(prior.slab).subs(W, 0) * STEP
    return sp.log(1 + (1 - DENSITY) / slab_cell)


def origin_length(prior: Prior) -> sp.Expr:
    """Nats of a weight at the centre in a cell of width ``step``, to leading order: -ln p(centre) - ln step.

    Length of a weight = ``origin_length`` + ``penalty`` + O(step^2).

    Examples
    --------
    >>> sp.expand_log(origin_length(Laplace()), force=True)
    log(scale) - log(step) + log(2)
    """
    if isinstance(prior, SpikeAndSlab):
        return -sp.log(1 - DENSITY + DENSITY * density(prior.slab).subs(W, 0) * STEP)
    return -sp.log(density(prior).subs(W, centre(prior)) * STEP)


def force(prior: Prior) -> sp.Expr:
    """Gradient of the penalty in ``w``, off the kink if there is one: weight decay, soft thresholding, and so on.

    Examples
    --------
    >>> force(Gaussian())
    (-loc + w)/scale**2
    >>> force(Cauchy())
    2*(-loc + w)/(scale**2 + (-loc + w)**2)
    """
    return _derivatives(prior)[0]


def curvature(prior: Prior) -> sp.Expr:
    """Second derivative of the penalty at the centre: ``n`` times the L2 strength that it amounts to there.

    Infinite where the penalty has a kink or a jump: no parabola touches it there, and weights stop at the centre.

    Examples
    --------
    >>> curvature(Gaussian()), curvature(Logistic()), curvature(Laplace())
    (scale**(-2), 1/(2*scale**2), oo)
    >>> curvature(GeneralizedGaussian())
    Piecewise((oo, shape < 2), (2/scale**2, Eq(shape, 2)), (0, True))
    """
    if isinstance(prior, SpikeAndSlab):
        return sp.oo  # the penalty itself jumps at zero
    if isinstance(prior, Mixture):
        return _derivatives(prior)[1].subs(W, 0)
    right = penalty(prior).subs(W, LOC + _RIGHT)
    if not isinstance(prior, GeneralizedGaussian):
        return _one_sided_curvature(right)
    excess = sp.Symbol("excess", positive=True)  # each range of shapes in a form whose signs sympy sees
    ranges = [1 / (1 + excess), 1, (2 + excess) / (1 + excess), 2, 2 + excess]
    values = [_one_sided_curvature(right.subs(SHAPE, shape)) for shape in ranges]
    conditions = [SHAPE < 1, sp.Eq(SHAPE, 1), SHAPE < 2, sp.Eq(SHAPE, 2), True]
    return sp.Piecewise(*zip(values, conditions, strict=True)).simplify()


def strength(prior: Prior, regulariser: sp.Expr) -> sp.Expr:
    """The per-example strength of a regulariser that a prior equals: n strength regulariser(w) = penalty(w).

    The prior is centred at 0; the regulariser is an expression in ``w``: ``W**2 / 2`` for L2, ``Abs(W)`` for L1.
    PriorError if the penalty is no multiple of it.

    Examples
    --------
    >>> strength(Gaussian(), W**2 / 2)
    1/(n*scale**2)
    >>> strength(Laplace(), sp.Abs(W))
    1/(n*scale)
    """
    costs = sp.expand_power_base(penalty(prior).subs(LOC, 0), force=True)
    found = sp.simplify(costs / (N * regulariser))
    if W in found.free_symbols:
        raise PriorError(f"strength: expected a regulariser that {type(prior).__name__} equals, got {regulariser}")
    return found


def cell_expansion() -> sp.Expr:
    """Code length of a cell about ``w`` under any smooth density ``p``, to O(step^4).

    Examples
    --------
    >>> cell_expansion()
    -step**2*Derivative(p(w), (w, 2))/(24*p(w)) - log(step) - log(p(w))

    References
    ----------
    Rissanen (1983), "A universal prior for integers and estimation by minimum description length".
    """
    p, offset = sp.Function("p", positive=True), sp.Symbol("t", real=True)
    taylor = sum(p(W).diff(W, order) * offset**order / sp.factorial(order) for order in range(4))
    mass = sp.integrate(taylor, (offset, -STEP / 2, STEP / 2))
    correction = -sp.log(sp.expand(mass / (p(W) * STEP))).series(STEP, 0, 4).removeO()
    return sp.expand(correction) - sp.log(p(W)) - sp.log(STEP)


def rounding_cost(prior: Prior) -> sp.Expr:
    """What a cell of width ``step`` costs beyond -ln p(w) - ln step, off the kink: -(step^2 / 24) p''(w) / p(w).

    The second term of ``cell_expansion`` with the prior's own derivatives, p''/p = penalty'^2 - penalty''. Negative
    where the density is convex, such as far out. For ``SpikeAndSlab`` it is that of weights off the spike.

    Examples
    --------
    >>> rounding_cost(Laplace())
    -step**2/(24*scale**2)
    >>> rounding_cost(Gaussian()).subs(LOC, 0)
    step**2*(scale**2 - w**2)/(24*scale**4)
    """
    if isinstance(prior, SpikeAndSlab):
        return rounding_cost(prior.slab)
    first, second = _derivatives(prior)
    first = first.replace(sp.sign, lambda _: sp.Integer(1))  # it enters squared, off the kink
    p = sp.Function("p", positive=True)
    coefficient = cell_expansion().coeff(STEP, 2).subs(p(W).diff(W, 2), (first**2 - second) * p(W))
    return STEP**2 * (coefficient if isinstance(prior, Mixture) else sp.simplify(coefficient))  # slow on a mixture


def centre_cost(prior: Prior) -> sp.Expr:
    """What the cell centred on ``loc`` costs beyond -ln p(loc) - ln step, to leading order: the penalty's mean there.

    Of order ``step`` at a Laplace's kink, ``step^shape`` at a cusp, ``step^2`` where the density is smooth. A spike
    swallows its own: O(step^3), here 0.

    Examples
    --------
    >>> centre_cost(Laplace()), centre_cost(Gaussian())
    (step/(4*scale), step**2/(24*scale**2))
    """
    if isinstance(prior, SpikeAndSlab | Uniform):
        return sp.Integer(0)
    if isinstance(prior, Laplace | GeneralizedGaussian):
        right = penalty(prior).subs(W, LOC + _RIGHT)
        return sp.simplify(2 / STEP * sp.integrate(right, (_RIGHT, 0, STEP / 2)))
    return rounding_cost(prior).subs(W, centre(prior))


def parameters(prior: Prior) -> dict[str, float]:
    """A prior's numbers by the names of their symbols; PriorError if one of them is open.

    Examples
    --------
    >>> parameters(StudentT(scale=2.0, df=4.0))
    {'scale': 2.0, 'loc': 0.0, 'df': 4.0}
    """
    if isinstance(prior, SpikeAndSlab):
        return {DENSITY.name: prior.parameters[0], **parameters(prior.slab)}
    if isinstance(prior, Mixture):
        names = [symbol.name for row in _mixture_symbols(prior.components) for symbol in row]
        return dict(zip(names, prior.parameters, strict=True))
    names = [field.name for field in dataclasses.fields(_standard_family(prior))]
    return dict(zip(names, prior.parameters, strict=True))


def latex_table(priors: tuple[Prior, ...] = FAMILIES) -> str:
    r"""Prior, penalty, force and curvature at the centre as a LaTeX ``tabular``, all centred at 0; needs amsmath.

    Examples
    --------
    >>> print(latex_table((Gaussian(),)).splitlines()[3])
    Gaussian & $\frac{w^{2}}{2 s^{2}}$ & $\frac{w}{s^{2}}$ & $\frac{1}{s^{2}}$ \\
    """
    rows = []
    for prior in priors:
        cells = (f"${latex(centred(column(prior)))}$" for column in (penalty, force, curvature))
        rows.append(" & ".join([type(prior).__name__, *cells]) + r" \\")
    head = [r"\begin{tabular}{llll}", r"prior & penalty & force & curvature at the centre \\", r"\hline"]
    return "\n".join([*head, *rows, r"\end{tabular}"])


def centred(expression: sp.Expr) -> sp.Expr:
    """The same with every location at 0.

    Examples
    --------
    >>> centred(penalty(Gaussian()))
    w**2/(2*scale**2)
    """
    at_zero = {symbol: 0 for symbol in expression.free_symbols if symbol.name.partition("_")[0] == LOC.name}
    return sp.factor_terms(expression.subs(at_zero))


def _standard_family(prior: Prior) -> type:
    if type(prior) not in _STANDARD:
        raise PriorError(f"symbolic: expected a prior with a density over the reals, got {type(prior).__name__}")
    return type(prior)


def _shifted(family: type, loc: sp.Symbol, scale: sp.Symbol) -> sp.Expr:
    return _STANDARD[family].subs(_Z, (W - loc) / scale) / scale


def _mixture_symbols(components: int) -> tuple[tuple[sp.Symbol, ...], ...]:
    def row(name: str, **assumption: bool) -> tuple[sp.Symbol, ...]:
        return tuple(sp.Symbol(f"{name}_{k}", **assumption) for k in range(1, components + 1))

    return row("weight", positive=True), row("loc", real=True), row("scale", positive=True)


@functools.cache
def _standard_penalty(family: type) -> sp.Expr:
    """-ln of the standard density relative to its centre, in standard units."""
    standard = _STANDARD[family]
    ratio = sp.expand_log(sp.log(standard.subs(_Z, 0)) - sp.log(standard), force=True)
    return sp.factor_terms(sp.piecewise_fold(ratio)).replace(sp.zoo, sp.oo)  # -ln 0, of which sympy gives no sign


def _from_zero(prior: Prior) -> sp.Expr:
    """-ln p(w) + ln p(0), wherever the centre is."""
    if isinstance(prior, Mixture):
        p = sp.factor_terms(density(prior))  # the constants in front cancel
        return sp.expand_log(sp.log(p.subs(W, 0)) - sp.log(p))
    costs = penalty(prior)
    return costs - costs.subs(W, 0)


def _derivatives(prior: Prior) -> tuple[sp.Expr, sp.Expr]:
    """First and second derivative of the penalty in ``w``, off the kink."""
    if isinstance(prior, SpikeAndSlab):
        return _derivatives(prior.slab)
    if isinstance(prior, Mixture):
        costs = penalty(prior)
        return costs.diff(W), costs.diff(W, 2)
    costs = _standard_penalty(_standard_family(prior)).subs(_Z, _X / SCALE)
    if not costs.has(sp.Abs):
        first, second = (sp.simplify(costs.diff(_X, k)) for k in (1, 2))
    else:  # even: the right half, mirrored
        right = costs.subs(_X, _RIGHT)
        first, second = (sp.simplify(right.diff(_RIGHT, k)).subs(_RIGHT, sp.Abs(_X)) for k in (1, 2))
        first *= sp.sign(_X)
    return first.subs(_X, W - LOC), second.subs(_X, W - LOC)


def _one_sided_curvature(right: sp.Expr) -> sp.Expr:
    """Second derivative of an even penalty where its right half starts, infinite if it starts with a slope."""
    if sp.limit(right.diff(_RIGHT), _RIGHT, 0, "+") != 0:
        return sp.oo
    return sp.simplify(sp.limit(right.diff(_RIGHT, 2), _RIGHT, 0, "+"))
