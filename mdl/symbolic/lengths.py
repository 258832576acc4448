"""Code lengths in sympy, derived from what they mean: grids, the evidence, bits-back, NML, random codebooks; in nats.

Nothing is typed in but the problem: an integral is integrated, an optimum is where the derivative vanishes, an
asymptote is a series. ``as_function`` turns each into numpy, ``latex`` prints it.
"""

from __future__ import annotations

import functools

import sympy as sp

from mdl.errors import DataError
from mdl.symbolic.expressions import LOC, SCALE, STEP, N

FISHER, NOISE, DEVIATION, DIMENSION, RADIUS = sp.symbols("fisher noise deviation dimension radius", positive=True)
MEAN = sp.Symbol("mean", real=True)

_P, _K = sp.symbols("p k", positive=True)  # probability of a one; number of ones
_T = sp.Symbol("t", real=True)  # an offset; a standard normal
_CURVATURE = sp.Symbol("a", positive=True)


def step_cost() -> sp.Expr:
    """What a grid of width ``step`` makes of one weight's length, to leading order.

    The weight costs -ln ``step`` more, and the data half the Fisher information times the squared error, of which
    this is the mean over a cell. In ``step`` and ``fisher``, the information of all n examples.

    Examples
    --------
    >>> step_cost()
    fisher*step**2/24 - log(step)

    References
    ----------
    Rissanen (1983), "A universal prior for integers and estimation by minimum description length".
    """
    return sp.integrate(FISHER * _T**2 / 2, (_T, -STEP / 2, STEP / 2)) / STEP - sp.log(STEP)


def best_step() -> sp.Expr:
    """The width where ``step_cost`` is least: the square root of 12 over the Fisher information.

    Examples
    --------
    >>> best_step()
    2*sqrt(3)/sqrt(fisher)

    References
    ----------
    Wallace & Freeman (1987), "Estimation and inference by compact coding".
    """
    return _least(step_cost(), STEP)


def peak_evidence() -> sp.Expr:
    """The same weight integrated out: -ln of the integral of exp(-fisher t^2 / 2), Laplace's approximation.

    ``best_step`` at its own best is ``lattice_overhead`` more than this.

    Examples
    --------
    >>> peak_evidence()
    log(fisher/(2*pi))/2

    References
    ----------
    MacKay (1992), "Bayesian interpolation".
    """
    return _one_logarithm(-sp.log(_peak_volume(FISHER)))


def lattice_overhead() -> sp.Expr:
    """Nats a parameter that the best cubic cells, matched to the posterior, cost over the evidence, at any curvature.

    Half of log2(2 pi e / 12), 0.2546 bit: what fine scalar quantisation loses to the rate-distortion function, too.

    Examples
    --------
    >>> lattice_overhead()
    log(E*pi/6)/2
    >>> round(float(lattice_overhead() / sp.log(2)), 4)
    0.2546

    References
    ----------
    Gish & Pierce (1968), "Asymptotically efficient quantizing".
    """
    return _one_logarithm(step_cost().subs(STEP, best_step()) - peak_evidence())


def ridge_evidence(X: sp.Matrix, y: sp.Matrix) -> sp.Expr:
    """-ln of the integral of N(y; X w, noise^2) N(w; 0, scale^2) over w: the one-part code of real targets.

    A density's: add -ln of the precision of each target for the length of targets as stated.

    Parameters
    ----------
    X
        (n, d) design of symbols or numbers. The weights are integrated out one by one: n and d should be small, or X
        diagonal.
    y
        (n, 1) targets, likewise.

    Returns
    -------
    sympy.Expr
        In ``noise``, ``scale`` and the symbols of X and y.

    Raises
    ------
    DataError
        If shapes disagree.

    Examples
    --------
    >>> y = sp.Symbol("y", real=True)
    >>> ridge_evidence(sp.Matrix([[1]]), sp.Matrix([y]))
    y**2/(2*noise**2 + 2*scale**2) + log(2*pi*(noise**2 + scale**2))/2

    References
    ----------
    MacKay (1992), "Bayesian interpolation".
    """
    n, d = X.shape
    if y.shape != (n, 1) or not n or not d:
        raise DataError(f"ridge_evidence: expected X (n, d) and y (n, 1), got {X.shape} and {y.shape}")
    weights = sp.Matrix(sp.symbols(f"w_1:{d + 1}", real=True))
    residual = y - X * weights
    nats = residual.dot(residual) / (2 * NOISE**2) + weights.dot(weights) / (2 * SCALE**2)
    volume = sp.Integer(1)
    for weight in weights:  # integrals one inside the other
        volume *= _peak_volume(sp.cancel(nats.diff(weight, 2)))
        nats = sp.cancel(nats.subs(weight, _least(nats, weight)))
    normaliser = (2 * sp.pi * NOISE**2) ** n * (2 * sp.pi * SCALE**2) ** d
    return nats + sp.log(sp.factor(normaliser / sp.expand(volume**2))) / 2


def diagonal_ridge_evidence(d: int) -> sp.Expr:
    """``ridge_evidence`` of d directions of a diagonalised design, those of the eigenvectors of X'X.

    In ``noise``, ``scale``, the eigenvalues ``e_1`` .. ``e_d`` of X'X and the targets' coordinates ``t_1`` .. ``t_d``
    along the left singular vectors of X. A direction of the targets outside X's columns is one with e_j = 0.

    Examples
    --------
    >>> diagonal_ridge_evidence(1)
    t_1**2/(2*e_1*scale**2 + 2*noise**2) + log(2*pi*(e_1*scale**2 + noise**2))/2

    References
    ----------
    MacKay (1992), "Bayesian interpolation".
    """
    if d < 1:
        raise DataError(f"diagonal_ridge_evidence: expected at least one direction, got {d}")
    eigenvalues = sp.symbols(f"e_1:{d + 1}", positive=True)
    targets = sp.symbols(f"t_1:{d + 1}", real=True)
    directions = zip(eigenvalues, targets, strict=True)  # independent of one another
    return sp.Add(*(ridge_evidence(sp.Matrix([[sp.sqrt(e)]]), sp.Matrix([t])) for e, t in directions))


def gaussian_kl() -> sp.Expr:
    """KL(N(mean, deviation^2) || N(loc, scale^2)): what bits-back coding pays for one weight.

    Examples
    --------
    >>> gaussian_kl()
    deviation**2/(2*scale**2) + log(scale/deviation) - 1/2 + (-loc + mean)**2/(2*scale**2)

    References
    ----------
    Hinton & van Camp (1993), "Keeping neural networks simple by minimizing the description length of the weights".
    """
    shift = sp.Symbol("shift", real=True)  # of the means; the weight is loc + shift + deviation t
    ratio = (shift + DEVIATION * _T) ** 2 / (2 * SCALE**2) + sp.log(SCALE) - _T**2 / 2 - sp.log(DEVIATION)
    normal = sp.exp(-(_T**2) / 2) / sp.sqrt(2 * sp.pi)
    expected = sp.integrate(sp.expand(ratio * normal), (_T, -sp.oo, sp.oo))
    return sp.logcombine(sp.expand(expected)).subs(shift, MEAN - LOC)


def bernoulli_complexity(n: int | sp.Expr = N) -> sp.Expr:
    """The parametric complexity of n coin tosses: ln of the sum of the maximised likelihoods of all outcomes, nats.

    What the NML code pays for not knowing the probability of a one. A number n gives the exact value, the logarithm of
    a rational; a symbol gives the formula, for printing.

    Raises
    ------
    DataError
        If n is negative.

    Examples
    --------
    >>> bernoulli_complexity(2), bernoulli_complexity(3)
    (log(5/2), log(26/9))

    References
    ----------
    Shtarkov (1987), "Universal sequential coding of single messages".
    """
    if isinstance(n, int) and n < 0:
        raise DataError(f"bernoulli_complexity: expected n >= 0 tosses, got {n}")
    if isinstance(n, int):
        return sp.log(sp.Add(*(sp.binomial(n, k) * _most_likelihood(n, k) for k in range(n + 1))))
    return sp.log(sp.Sum(sp.binomial(n, _K) * _most_likelihood(n, _K), (_K, 0, n)))


def bernoulli_nml(n: int, k: int) -> sp.Expr:
    """The NML code of n coin tosses with k ones, nats: their maximum likelihood and ``bernoulli_complexity``.

    Raises
    ------
    DataError
        If k is not among 0 .. n.

    Examples
    --------
    >>> bernoulli_nml(2, 1)
    log(10)

    References
    ----------
    Shtarkov (1987), "Universal sequential coding of single messages".
    """
    if not 0 <= k <= n:
        raise DataError(f"bernoulli_nml: expected from 0 to n = {n} ones, got {k}")
    return sp.log(sp.exp(bernoulli_complexity(n)) / _most_likelihood(n, k))


def bernoulli_complexity_limit() -> sp.Expr:
    """What ``bernoulli_complexity`` tends to: half ln (n / 2 pi), and ln of the integral of the information's root.

    In ``n``; the difference falls like n^-1/2.

    Examples
    --------
    >>> bernoulli_complexity_limit()
    log(pi*n/2)/2

    References
    ----------
    Rissanen (1996), "Fisher information and stochastic complexity".
    """
    toss = sp.Symbol("y")  # nats of one toss are linear in it, and its expectation is p
    nats = -toss * sp.log(_P) - (1 - toss) * sp.log(1 - _P)
    information = sp.simplify(nats.diff(_P, 2).subs(toss, _P))
    volume = sp.integrate(sp.sqrt(information), (_P, 0, 1))
    return _one_logarithm(sp.log(N / (2 * sp.pi)) / 2 + sp.log(volume))


def ball_volume() -> sp.Expr:
    """Volume of the unit ball in ``dimension`` dimensions, from a Gaussian integral taken shell by shell.

    Examples
    --------
    >>> ball_volume(), sp.simplify(ball_volume().subs(DIMENSION, 3))
    (2*pi**(dimension/2)/(dimension*gamma(dimension/2)), 4*pi/3)
    """
    line = sp.integrate(sp.exp(-(_T**2)), (_T, -sp.oo, sp.oo))
    shells = sp.integrate(DIMENSION * RADIUS ** (DIMENSION - 1) * sp.exp(-(RADIUS**2)), (RADIUS, 0, sp.oo))
    return sp.powdenest(line**DIMENSION / shells, force=True)


def codebook_cost() -> sp.Expr:
    """What an index into a random codebook costs over the evidence, if codewords within ``radius`` are accepted.

    The posterior is a standard normal in ``dimension`` dimensions and the prior is flat across it. A ball that holds
    one codeword has the volume ``ball_volume`` radius^dimension, the data lose at most radius^2 / 2, and the evidence
    would pay -(dimension / 2) ln (2 pi).

    Examples
    --------
    >>> codebook_cost().subs(DIMENSION, 2)
    radius**2/2 - 2*log(radius) + log(2)
    """
    peak = sp.exp(-(_T**2) / 2)
    evidence = -DIMENSION * sp.log(sp.integrate(peak, (_T, -sp.oo, sp.oo)))
    index = -DIMENSION * sp.log(RADIUS) - sp.log(ball_volume())
    return index + RADIUS**2 / 2 - sp.expand_log(evidence, force=True)


def codebook_overhead() -> sp.Expr:
    """``codebook_cost`` at its best radius, the root of the dimension.

    Examples
    --------
    >>> _least(codebook_cost(), RADIUS)
    sqrt(dimension)
    >>> [round(float(codebook_overhead().subs(DIMENSION, d) / sp.log(2)), 3) for d in (1, 8, 1024)]
    [1.047, 2.356, 5.826]
    """
    nats = sp.expand_log(codebook_cost().subs(RADIUS, _least(codebook_cost(), RADIUS)), force=True)
    of = sp.Wild("of")
    return sp.expand(nats.replace(sp.log(sp.gamma(of)), sp.loggamma(of)))  # which does not overflow


def codebook_overhead_limit() -> sp.Expr:
    """What ``codebook_overhead`` tends to by Stirling's series: a logarithm in all, where a lattice pays per dimension.

    Examples
    --------
    >>> codebook_overhead_limit()
    log(pi*dimension)/2
    """
    series = codebook_overhead().series(DIMENSION, sp.oo, 1).removeO()
    return _one_logarithm(sp.expand_log(series, force=True))


def _least(cost: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    """Where a convex cost is least, by its derivative."""
    (found,) = sp.solve(cost.diff(symbol), symbol)
    return found


@functools.cache
def _bell() -> sp.Expr:
    """The integral of exp(-a t^2 / 2) over the line."""
    return sp.integrate(sp.exp(-_CURVATURE * _T**2 / 2), (_T, -sp.oo, sp.oo))


def _peak_volume(curvature: sp.Expr) -> sp.Expr:
    """The integral of exp(-nats) for nats that are quadratic and 0 at their least."""
    return _bell().subs(_CURVATURE, curvature)


@functools.cache
def _most_likely() -> sp.Expr:
    """The probability under which k ones among n are likeliest."""
    return _least(-_K * sp.log(_P) - (N - _K) * sp.log(1 - _P), _P)


def _most_likelihood(n: int | sp.Expr, k: int | sp.Expr) -> sp.Expr:
    """The probability of one sequence of n tosses with k ones, at its best; 1 if there are none."""
    p = _most_likely().subs({N: sp.sympify(n), _K: k}) if n != 0 else sp.Integer(0)
    return p**k * (1 - p) ** (n - k)


def _one_logarithm(nats: sp.Expr) -> sp.Expr:
    """A sum of logarithms as one, halved."""
    inside = sp.simplify(sp.powdenest(sp.exp(sp.expand(2 * nats)), force=True))
    return sp.log(inside) / 2
