"""Symbols that the formulas share, and what turns an expression into a numpy function or into LaTeX."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from mdl.errors import PriorError
from mdl.masses import Array

W, LOC = sp.symbols("w loc", real=True)
SCALE, DF, SHAPE, DENSITY, STEP, N = sp.symbols("scale df shape density step n", positive=True)

_PAPER = {
    "loc": r"\mu", "scale": "s", "weight": "a", "df": r"\nu", "shape": "p", "density": r"\rho", "step": r"\Delta",
    "fisher": "F", "noise": r"\sigma", "mean": "m", "deviation": r"\tau", "dimension": "d", "radius": "r",
}  # fmt: skip


def as_function(expression: sp.Expr) -> Callable[..., Array]:
    """An expression as a numpy function of keyword arguments, one a symbol, broadcast against each other.

    Names that the expression does not contain are ignored, so that a prior's ``parameters`` serve every expression
    of it. Formulas are computed as they stand: exponentials underflow about 38 scales out. ``mdl.priors`` holds
    the forms that are exact in the tails. Called without one of the symbols, it raises ``PriorError``.

    Examples
    --------
    >>> from mdl.priors import Gaussian
    >>> from mdl.symbolic.priors import parameters, penalty
    >>> as_function(penalty(Gaussian()))(w=[1.0, 2.0], **parameters(Gaussian(scale=1.0))).tolist()
    [0.5, 2.0]
    """
    symbols = sorted(expression.free_symbols, key=lambda symbol: symbol.name)
    compiled = sp.lambdify(symbols, expression, modules=["scipy", "numpy"])

    def function(**values: ArrayLike) -> Array:
        missing = [symbol.name for symbol in symbols if symbol.name not in values]
        if missing:
            raise PriorError(f"expected a value for {', '.join(missing)}, got {', '.join(values) or 'none'}")
        arguments = [np.asarray(values[symbol.name], float) for symbol in symbols]
        shape = np.broadcast_shapes(*(np.shape(value) for value in values.values()))
        return np.broadcast_to(np.asarray(compiled(*arguments), float), shape)

    return function


def latex(expression: sp.Expr) -> str:
    r"""LaTeX in the papers' letters: \mu, s, \nu, p, \rho, \Delta for loc, scale, df, shape, density, step.

    A mixture's weights are a_1, a_2, ...; F, \sigma, m, \tau, d, r stand for fisher, noise, mean, deviation, dimension,
    radius.

    Examples
    --------
    >>> from mdl.priors import Gaussian
    >>> from mdl.symbolic.priors import penalty
    >>> print(latex(penalty(Gaussian())))
    \frac{\left(w - \mu\right)^{2}}{2 s^{2}}
    """
    expression = expression.replace(sp.loggamma, lambda x: sp.log(sp.gamma(x)))
    names = {}
    for symbol in expression.free_symbols:
        name, _, index = symbol.name.partition("_")
        names[symbol] = _PAPER.get(name, name) + (f"_{{{index}}}" if index else "")
    return str(sp.latex(expression, symbol_names=names, ln_notation=True, order="rev-lex"))
