"""True against shuffled labels: what compresses, and in which code.

``python -m analyses.random_labels [--quick] [--out DIR]`` measures logistic regression on the digits with their labels
and with the same labels in random order, under many codes, on several splits, draws the figure, and prints the verdict.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from mdl import datasets, plot
from mdl import ladder as ladders
from mdl.datasets import Dataset
from mdl.files import write_atomically

RUNGS = (
    "grid, Gaussian", "refined grid", "curved lattice", "evidence", "variational, diagonal", "prequential",
    "uniform labels",
)  # fmt: skip
STRENGTHS = {"true": 1e-3, "shuffled": 1e-1}  # near that of the least evidence; a weaker one costs shuffled labels more


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--out", type=Path, default=Path("results/random_labels"))
    parser.add_argument("--seeds", type=int, default=3, help="number of splits")
    parser.add_argument("--quick", action="store_true", help="a small data set, to see that it runs")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = datasets.load("wine" if options.quick else options.dataset)
    seeds = range(1 if options.quick else options.seeds)
    tables = [measured(dataset, labels, seed, not options.quick) for labels in STRENGTHS for seed in seeds]
    table = pd.concat(tables, ignore_index=True)
    text = table.to_csv(index=False)
    write_atomically(options.out / "random_labels.csv", lambda stream: stream.write(text.encode()))
    plot.save_figure(plot.random_labels_figure(table), options.out / "random_labels")
    print(shares(table).round(3).to_string())
    print(verdict(table))


def measured(dataset: Dataset, labels: str, seed: int, progress: bool) -> pd.DataFrame:
    """The ladder with these labels: bits, as a share of uniform labels as well."""
    y = dataset.y if labels == "true" else np.random.default_rng(seed).permutation(dataset.y)
    chosen = datasets.from_arrays(f"{dataset.name}, {labels} labels", dataset.X, y, task="classification")
    table = ladders.ladder(chosen, strength=STRENGTHS[labels], seed=seed, rungs=RUNGS, progress=progress)
    bits = table["realised_bits"].fillna(table["ideal_bits"])
    uniform = float(bits[table["rung"] == "uniform labels"].iloc[0])
    return table.assign(labels=labels, bits=bits, share=bits / uniform)[table["rung"] != "uniform labels"]


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, least and greatest share of uniform labels, a row a code."""
    return table.groupby(["rung", "labels"], sort=False)["share"].agg(["mean", "min", "max"]).unstack("labels")


def verdict(table: pd.DataFrame) -> str:
    """The answer in words, every number from the table."""
    true, shuffled = (table[table["labels"] == labels]["share"] for labels in ("true", "shuffled"))
    return (
        f"True labels take {100 * true.min():.0f} to {100 * true.max():.0f} % of uniform ones, shuffled labels "
        f"{100 * shuffled.min():.0f} to {100 * shuffled.max():.0f} %, over {table['rung'].nunique()} codes and "
        f"{table['seed'].nunique()} splits: "
        + ("true labels compress in every code and shuffled ones in none." if true.max() < 1.0 <= shuffled.min()
           else "not every code tells them apart.")
    )  # fmt: skip


if __name__ == "__main__":
    main()
