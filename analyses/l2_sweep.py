"""Does the shortest message predict well?

Logistic regression and a perceptron are trained on the digits at many L2 strengths and coded under several priors. The
strength is chosen by the mean total over splits; no held-out example enters a choice.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _text
from mdl import datasets, plot, sweep

CLAIM = (
    "Of models trained at many L2 strengths, the one whose two-part message (quantised weights, then labels) is "
    "shortest is close to the best on held-out data."
)
QUICK = {"strengths": (1e-5, 1e-3, 1e-1), "priors": ("gaussian", "laplace", "hashed")}
CLOSE = 0.1  # held-out bits an example
PEAKED = ("gaussian", "laplace", "student-t", "spike-and-slab")


def measure(options: _command.Options) -> pd.DataFrame:
    seeds = range(options.seed, options.seed + (2 if options.quick else 3))
    about = {"out": options.out, "seeds": seeds, "n_jobs": options.jobs, "progress": options.progress}
    table = sweep.sweep(datasets.load("digits"), **about, **(QUICK if options.quick else {}))
    return table.drop(columns="seconds")


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"l2_sweep": plot.sweep_figure(table), "l2_sweep_parts": plot.parts_figure(table, "logistic")}


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "l2_sweep": f"Code lengths and held-out losses at {said['strengths']} strengths, mean and range of "
        f"{said['splits']} splits; the vertical line is the shortest total under the {said['headline']} prior.",
        "l2_sweep_parts": "A weaker penalty (left) makes the model longer and the data shorter. The sum is least at "
        f"λ = {said['logistic_strength']}, {said['logistic_total']} bits or {said['logistic_share']} % of the labels "
        "without a model; on unseen examples the model that was trained there is "
        f"{said['logistic_trained_excess']} bits an example from the best of all strengths.",
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    summary, strengths = sweep.summary(table), table["strength"]
    return {
        "n": _text.thousands(table["n"].iloc[0]),
        "n_test": _text.thousands(table["n_test"].iloc[0]),
        "strengths": str(strengths.nunique()),
        "weakest": f"{strengths.min():g}",
        "strongest": f"{strengths.max():g}",
        "splits": str(table["seed"].nunique()),
        "priors": str(table["prior"].nunique()),
        "headline": str(table["prior"].iloc[0]),
        "table": _choices(summary),
        **{
            f"{_short(model)}_{what}": said
            for model in table["model"].unique()
            for what, said in _of(model, table).items()
        },
    }


def verdict(table: pd.DataFrame) -> str:
    """Close is within ``CLOSE`` bits an example, for the trained and for the coded weights apart."""
    headlines = [_headline(table, model) for model in table["model"].unique()]
    chosen = max(row["trained_excess_bits"] for row in headlines)
    sent = max(row["coding_loss"] for row in headlines)
    lead = f"{'Yes' if chosen < CLOSE else 'No'} for choosing a strength, {'yes' if sent < CLOSE else 'no'} for the "
    return " ".join([f"{lead}weights that are sent.", *map(_sentence, headlines)])


def _headline(table: pd.DataFrame, model: str) -> pd.Series:
    """The first prior's choice for one model, and what else is said of it."""
    rows = table[(table["model"] == model) & (table["prior"] == table["prior"].iloc[0])]
    row = sweep.summary(rows).iloc[0]
    there = rows[rows["strength"] == row["strength"]]
    row["share"] = float((there["total_bits"] / there["uniform_bits"]).mean())
    row["coding_loss"] = row["test_bits_per_example"] - row["trained_test_bits_per_example"]
    row["bits_a_weight"] = row["model_bits"] / there["weights"].iloc[0]
    row["weights"] = there["weights"].iloc[0]
    return row


def _sentence(row: pd.Series) -> str:
    return (
        f"{plot.TITLES.get(row['model'], row['model'])}: the shortest {row['prior']} message is at strength "
        f"{row['strength']:.2g} and takes {100 * row['share']:.0f} % of uniform labels. As trained, that strength "
        f"costs {row['trained_excess_bits']:.3f} bits an example over the best of the grid "
        f"({row['trained_best_strength']:.2g}); the coded weights themselves predict {row['coding_loss']:.3f} bits an "
        "example worse than the trained ones."
    )


def _of(model: str, table: pd.DataFrame) -> dict[str, str]:
    row = _headline(table, model)
    totals = sweep.summary(table[table["model"] == model]).set_index("prior")["total_bits"]
    peaked = totals[[prior for prior in PEAKED if prior in totals]]
    return {
        "weights": _text.thousands(row["weights"]),
        "strength": f"{row['strength']:.2g}",
        "total": _text.thousands(row["total_bits"]),
        "share": _text.percent()(row["share"]),
        "trained_excess": _text.fixed(3)(row["trained_excess_bits"]),
        "coding_loss": _text.fixed(3)(row["coding_loss"]),
        "bits_a_weight": _text.fixed(1)(row["bits_a_weight"]),
        "peaked_spread": _text.percent(1)(peaked.max() / peaked.min() - 1.0),
    }


def _short(model: str) -> str:
    """A name as a page can write it: ``mlp`` is ``mlp-relu``."""
    return model.partition("-")[0]


def _choices(summary: pd.DataFrame) -> str:
    """What every prior's shortest total chooses."""
    columns = {
        "model": str, "prior": str, "strength": lambda value: f"{value:.2g}",
        "model, bits": _text.thousands, "data, bits": _text.thousands, "total, bits": _text.thousands,
        "excess, trained": _text.fixed(3), "excess, coded": _text.fixed(3),
    }  # fmt: skip
    names = ["model_bits", "data_bits", "total_bits", "trained_excess_bits", "excess_bits"]
    return _text.table(summary.rename(columns=dict(zip(names, list(columns)[3:], strict=True))), columns)


if __name__ == "__main__":
    _command.main(__file__)
