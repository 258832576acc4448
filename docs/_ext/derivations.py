"""The formulas of :mod:`mdl.symbolic`, derived when the documentation is built and printed as LaTeX."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from mdl import symbolic
from mdl.priors import Gaussian, GeneralizedGaussian, Laplace

_LN2 = sp.log(2)


def formulas() -> dict[str, str]:
    """Markdown by name: displayed formulas, inline ones, numbers, tables."""
    displayed = {
        "cell": symbolic.cell_expansion(),
        "step_cost": symbolic.step_cost(),
        "best_step": symbolic.best_step(),
        "peak_evidence": symbolic.peak_evidence(),
        "lattice_overhead": symbolic.lattice_overhead(),
        "codebook_overhead": symbolic.codebook_overhead_limit(),
        "ridge": symbolic.diagonal_ridge_evidence(1),
        "kl": symbolic.gaussian_kl(),
        "bernoulli": symbolic.bernoulli_complexity(),
        "bernoulli_limit": symbolic.bernoulli_complexity_limit(),
    }
    bits = {
        "lattice_overhead_bits": symbolic.lattice_overhead(),
        **{f"codebook_{d}_bits": symbolic.codebook_overhead().subs(symbolic.DIMENSION, d) for d in (1, 8, 1024)},
        **{f"bernoulli_{n}_bits": symbolic.bernoulli_complexity(n) for n in (2, 100)},
        "bernoulli_limit_100_bits": symbolic.bernoulli_complexity_limit().subs(symbolic.N, 100),
    }
    strengths = {
        "l2": symbolic.strength(Gaussian(), symbolic.W**2 / 2),
        "l1": symbolic.strength(Laplace(), sp.Abs(symbolic.W)),
        "lp": symbolic.strength(GeneralizedGaussian(), sp.Abs(symbolic.W) ** symbolic.SHAPE),
    }
    return {
        **{name: f"$$\n{symbolic.latex(formula)}\n$$" for name, formula in displayed.items()},
        **{name: f"{float(nats / _LN2):.4g}" for name, nats in bits.items()},
        **{name: inline(formula) for name, formula in strengths.items()},
        "penalties": penalties(),
    }


def inline(formula: sp.Expr) -> str:
    """Within a line, or a cell of a table, where a bar would end the cell."""
    latex = symbolic.latex(formula)
    for bar in (r"\left|", r"\right|", "|"):
        latex = latex.replace(bar, bar[:-1] + r"\vert ")
    return f"${latex}$"


def penalties() -> str:
    """Every prior's penalty, force, curvature at the centre, and what the cell at the centre costs, centred at 0."""
    columns: dict[str, Callable[..., sp.Expr]] = {
        "penalty, nats": symbolic.penalty,
        "its gradient": symbolic.force,
        "curvature at 0": symbolic.curvature,
        "cost of the cell at 0": symbolic.centre_cost,
    }
    head = ["prior", *columns]
    rows = [head, ["---"] * len(head)] + [
        [f"`{type(prior).__name__}`", *(inline(symbolic.centred(derive(prior))) for derive in columns.values())]
        for prior in symbolic.FAMILIES
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
