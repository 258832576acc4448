"""Is a penalty a prior?

The penalty of every prior, derived, is held against measured code lengths: two models are trained on the digits under
an L2 penalty, and the trained weights coded under every prior at falling steps. The table has three parts, named in its
first column: ``identity``, lengths and penalties; ``stationarity``, slopes of the message at the optimum; ``scaling``,
the message of weights multiplied by a factor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _text
from analyses._penalised import MODELS, TINY, measured
from mdl import plot

CLAIM = (
    "The code length of trained weights is a constant and the penalty that they were trained under, up to a rounding "
    "term of derived size that vanishes with the step; and only at the strength of training do the pulls of prior and "
    "data cancel."
)
SMALL = 4  # from this many halvings on the leading term is asked for
SMOOTH = ("Gaussian", "Logistic", "Cauchy", "Student t", "Mixture", "Spike and slab")
MIDDLE = 8  # halvings at which rounding is compared with the gap
KINKED = ("Laplace", "Generalised Gaussian")


def measure(options: _command.Options) -> pd.DataFrame:
    return options.rows(measured, [(name, options.seed, options.quick) for name in MODELS])


def orders(rows: pd.DataFrame) -> pd.DataFrame:
    """Order of the gap in the step, and the gap over its derived leading term at the smallest steps."""

    def of(group: pd.DataFrame) -> pd.Series:
        small = group[group.halvings >= SMALL]
        gap = small.gap_nats_per_weight.abs()
        vanishes = bool(gap.max() < 1e-13)
        slope = math.nan if vanishes else float(np.polyfit(np.log(small.step), np.log(gap), 1)[0])
        last = small.iloc[-3:]
        ratio = 1.0 if vanishes else float((last.gap_nats_per_weight / last.derived_gap_nats_per_weight).mean())
        over = (group.realised_bytes - group.ideal_in_range_bytes) * 8
        return pd.Series({
            "slope": slope,
            "measured_over_derived": ratio,
            "largest_small_gap": float(gap.max()),
            "zeros_at_smallest_step": group.at_centre.iloc[-1],
            "realised_minus_ideal_bits": float(over.max()),
        })  # fmt: skip

    groups = rows.groupby(["model", "prior"], sort=False)[rows.columns.tolist()]
    return groups.apply(of).reset_index()


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"l2_is_a_prior": plot.gap_figure(_part(table, "identity"))}


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "l2_is_a_prior": "Code length less penalty and constant against the step, a line a prior. Smooth densities "
        f"have order {said['smooth_orders']}, Laplace {said['laplace_orders']}; the uniform prior has no gap."
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    """What the page quotes; names end in the model where the two differ."""
    rows, pulls, rises = (_part(table, name) for name in ("identity", "stationarity", "scaling"))
    found = {"n": _text.thousands(rows["n"].iloc[0]), "orders": _orders_table(rows), "slopes": _slopes_table(pulls)}
    found |= _sizes(rows) | _optimum(pulls)
    for model, short in zip(MODELS, ("logistic", "network"), strict=True):
        mine = rows[rows["model"] == model]
        found |= {f"{what}_{short}": said for what, said in _of_model(mine, rises[rises["model"] == model]).items()}
    return found


def verdict(table: pd.DataFrame) -> str:
    claims = held(orders(_part(table, "identity")), _part(table, "stationarity"), _part(table, "scaling"))
    failed = [claim for claim, holds in claims.items() if not holds]
    if failed:
        return f"Not as claimed. Failed: {'; '.join(failed)}."
    said = numbers(table)
    return (
        "Yes: an L2 penalty is a Gaussian prior, to the bit and in the file, if its strength is that of training. All "
        f"{len(claims)} claims held: the gap between code length and penalty is the one derived, within "
        f"{said['derived_error']} %, and falls with order {said['smooth_orders']} in the step under smooth priors; "
        f"at the optimum at most {said['uncancelled']} % of the prior's pull is left, at half or twice the strength "
        f"{said['uncancelled_elsewhere']} %."
    )


def held(orders: pd.DataFrame, pulls: pd.DataFrame, rises: pd.DataFrame) -> dict[str, bool]:
    """Each claim, and whether it held."""
    smooth = orders[orders.prior.isin(SMOOTH)]
    special = orders[orders.prior.isin(KINKED)]
    flat = orders[orders.prior == "Uniform"]
    trained = pulls[pulls.strength_over_trained == 1.0]
    others = pulls[(pulls.strength_over_trained != 1.0) & (pulls.direction == "weights")]
    return {
        "smooth priors: the gap falls like the square of the step": bool(smooth.slope.between(1.9, 2.1).all()),
        "all priors: the gap is the one derived, to 2 %": bool(orders.measured_over_derived.between(0.98, 1.02).all()),
        "Laplace and generalised Gaussian: it falls too, at least like the step": bool((special.slope > 0.95).all()),
        "uniform prior: no gap at any step": bool((flat.largest_small_gap < 1e-13).all()),
        "bytes: within 64 bits of the ideal length": bool((orders.realised_minus_ideal_bits <= 64).all()),
        "trained optimum: both parts' slopes cancel": bool((trained.uncancelled < 1e-2).all()),
        "half or twice the strength: they do not": bool((others.uncancelled > 0.1).all()),
        "scaled weights make a longer message": bool((rises[rises.factor != 1.0].rise_nats > 0).all()),
    }


def _part(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """One of the three tables, with the columns that it has."""
    return table[table["part"] == name].dropna(axis="columns", how="all").drop(columns="part")


def _sizes(rows: pd.DataFrame) -> dict[str, str]:
    """Orders, the derived size, and bytes, over both models."""
    found = orders(rows)
    groups = {"smooth": SMOOTH, "laplace": KINKED[:1], "general": KINKED[1:]}
    spans = {name: _span(found[found.prior.isin(priors)].slope, _text.fixed(2)) for name, priors in groups.items()}
    coarsest, fine = rows[rows.halvings == rows.halvings.min()], rows[rows.halvings == SMALL]
    return {
        "scale": _text.fixed(3)(coarsest.step.iloc[0] * 2.0 ** coarsest.halvings.iloc[0]),
        "priors": str(rows.prior.nunique()),
        "first_halvings": _text.thousands(2.0**SMALL),
        "last_halvings": _text.thousands(2.0 ** rows.halvings.max()),
        "tiny_halvings": str(TINY),
        "middle_halvings": str(MIDDLE),
        **{f"{name}_orders": span for name, span in spans.items()},
        "derived_error": _text.percent(2)((found.measured_over_derived - 1.0).abs().max()),
        "uniform_gap": _text.significant(1)(found[found.prior == "Uniform"].largest_small_gap.max()),
        "realised_over_ideal": _text.thousands(found.realised_minus_ideal_bits.max()),
        "gaussian_gap": _text.significant(2)(fine[fine.prior == "Gaussian"].gap_nats_per_weight.abs().max()),
    }


def _optimum(pulls: pd.DataFrame) -> dict[str, str]:
    trained = pulls[pulls.strength_over_trained == 1.0]
    others = pulls[(pulls.strength_over_trained != 1.0) & (pulls.direction == "weights")]
    return {
        "directions": str(pulls.direction.nunique() - 1),
        "uncancelled": _text.percent(3)(trained.uncancelled.max()),
        "uncancelled_elsewhere": _span(others.uncancelled, _text.percent()),
        **{
            f"uncancelled_{short}": _text.significant(1)(100.0 * float(along.uncancelled.iloc[0]))
            for model, short in zip(MODELS, ("logistic", "network"), strict=True)
            for along in [trained[(trained.model == model) & (trained.direction == "weights")]]
        },
    }


def _of_model(rows: pd.DataFrame, rises: pd.DataFrame) -> dict[str, str]:
    """One model's: how many weights, what rounding moves, and what a factor costs."""
    gaussian, laplace = (rows[rows.prior == name].set_index("halvings") for name in ("Gaussian", "Laplace"))
    finest, coarsest = rows.halvings.max(), rows.halvings.min()
    rise = rises.set_index("factor").rise_nats
    return {
        "weights": _text.thousands(gaussian.weights.iloc[0]),
        "zeros": _text.thousands(laplace.at_centre[finest]),
        "moved": _text.significant(2)(abs(gaussian.moved_nats_per_weight[MIDDLE])),
        "gap": _text.significant(2)(abs(gaussian.gap_nats_per_weight[MIDDLE])),
        "share_at_scale": _text.percent(1)(_share(gaussian.loc[coarsest])),
        "laplace_share_at_scale": _text.percent()(_share(laplace.loc[coarsest])),
        "rise_1": _text.listed([_text.fixed(2)(rise[factor]) for factor in (0.99, 1.01)]),
        "rise_10": _text.listed([_text.fixed(1)(rise[factor]) for factor in (0.9, 1.1)]),
    }


def _share(row: pd.Series) -> float:
    return abs(row.gap_nats_per_weight / row.ideal_nats_per_weight)


def _span(values: pd.Series, said: Any) -> str:
    return _text.between(said(values.min()), said(values.max()))


def _orders_table(rows: pd.DataFrame) -> str:
    """Orders and the gap at the first small step, a row a prior."""
    found = orders(rows).pivot(index="prior", columns="model", values="slope")
    gaps = rows[rows.halvings == SMALL].pivot(index="prior", columns="model", values="gap_nats_per_weight").abs()
    table = pd.DataFrame({"prior": rows["prior"].drop_duplicates().to_numpy()})
    order, gap = ({model: f"{what}, {model}" for model in MODELS} for what in ("order", "gap"))
    for model in MODELS:
        table[order[model]] = found[model].reindex(table["prior"]).to_numpy()
        table[gap[model]] = gaps[model].reindex(table["prior"]).to_numpy()
    columns = {**dict.fromkeys(order.values(), _text.fixed(3)), **dict.fromkeys(gap.values(), _text.significant(2))}
    return _text.table(table, {"prior": str, **columns})


def _slopes_table(pulls: pd.DataFrame) -> str:
    """Both parts' slopes along the weights, a row a strength."""
    along = pulls[pulls.direction == "weights"].set_index("strength_over_trained")
    parts = {"weights": "weights_slope_nats", "data": "data_slope_nats"}
    columns = {
        f"{model}: {part}": along[along.model == model][name] for model in MODELS for part, name in parts.items()
    }
    table = pd.DataFrame(columns).rename_axis("strength / that of training").reset_index()
    return _text.table(table, {table.columns[0]: "{:g}".format, **dict.fromkeys(columns, _text.fixed(1))})


if __name__ == "__main__":
    _command.main(__file__)
