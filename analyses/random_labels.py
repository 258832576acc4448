"""Do shuffled labels compress?

Logistic regression on the digits, with their labels and with the same labels in random order, under many codes, on
several splits. A length is a share of what the labels take without a model.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _text
from mdl import datasets, ladder, plot

CLAIM = (
    "Labels that follow from the inputs are shorter with a model than without, in every code; the same labels in "
    "random order are not, in any."
)
RUNGS = (
    "grid, Gaussian", "refined grid", "curved lattice", "evidence", "variational, diagonal", "prequential",
    "uniform labels",
)  # fmt: skip
STRENGTHS = {"true": 1e-3, "shuffled": 1e-1}  # near that of the least evidence; a weaker one costs shuffled labels more


def measure(options: _command.Options) -> pd.DataFrame:
    dataset, splits = ("wine", 1) if options.quick else ("digits", 3)
    seeds = range(options.seed, options.seed + splits)
    return options.rows(shares, [(dataset, labels, seed) for labels in STRENGTHS for seed in seeds])


def shares(task: tuple[str, str, int]) -> list[dict[str, object]]:
    """The ladder with these labels: bits, as a share of uniform labels as well."""
    name, labels, seed = task
    dataset = datasets.load(name)
    y = dataset.y if labels == "true" else np.random.default_rng(seed).permutation(dataset.y)
    chosen = datasets.from_arrays(f"{name}, {labels} labels", dataset.X, y, task="classification")
    found = ladder.ladder(chosen, strength=STRENGTHS[labels], seed=seed, rungs=RUNGS, n_jobs=1, progress=False)
    bits = found["realised_bits"].fillna(found["ideal_bits"])
    uniform = float(bits[found["rung"] == "uniform labels"].iloc[0])
    rows = found.drop(columns="seconds").assign(labels=labels, bits=bits, share=bits / uniform)
    return rows[found["rung"] != "uniform labels"].to_dict("records")


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"random_labels": plot.plot_random_labels(table).figure}


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "random_labels": f"Share of uniform labels that each of {said['codes']} codes takes, on {said['splits']} "
        f"splits: {said['true']} % with true labels, {said['shuffled']} % with shuffled ones."
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    strengths = table.groupby("labels")["strength"].first()
    spans = {labels: _span(part["share"]) for labels, part in table.groupby("labels")}
    return {
        "n": _text.thousands(table["n"].iloc[0]),
        "splits": str(table["seed"].nunique()),
        "codes": str(table["rung"].nunique()),
        "true_strength": f"{strengths['true']:g}",
        "shuffled_strength": f"{strengths['shuffled']:g}",
        **spans,
        "table": _shares(table),
    }


def verdict(table: pd.DataFrame) -> str:
    true, shuffled = (table[table["labels"] == labels]["share"] for labels in ("true", "shuffled"))
    holds = true.max() < 1.0 <= shuffled.min()
    return (
        f"{'Yes' if holds else 'No: not every code tells them apart'}. True labels take "
        f"{_span(true)} % of uniform ones, shuffled labels {_span(shuffled)} %, over {table['rung'].nunique()} codes "
        f"and {table['seed'].nunique()} splits"
        + (": true labels compress in every code and shuffled ones in none." if holds else ".")
    )


def _span(share: pd.Series) -> str:
    return _text.between(_text.percent()(share.min()), _text.percent()(share.max()))


def _shares(table: pd.DataFrame) -> str:
    """Mean over splits and range, a row a code."""
    mean = _text.fixed(3)
    share = table.groupby(["rung", "labels"], sort=False)["share"]
    said = share.agg(lambda s: f"{mean(s.mean())} ({mean(s.min())}–{mean(s.max())})").unstack("labels")
    files = table.groupby("rung")["realised_bits"].count() > 0
    rows = said.reindex(table["rung"].drop_duplicates())
    rows = rows.assign(code=[f"{rung} (file)" if files[rung] else rung for rung in rows.index])
    return _text.table(rows, {"code": str, "true": str, "shuffled": str})


if __name__ == "__main__":
    _command.main(__file__)
