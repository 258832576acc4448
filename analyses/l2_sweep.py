"""The headline: the L2 strength that makes the message shortest, and how well it predicts on unseen data.

``python -m analyses.l2_sweep [--quick] [--out DIR]`` trains logistic regression and a perceptron on the digits at many
strengths, codes them under several priors, draws the figure, and prints the verdict from the table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from mdl import datasets, plot
from mdl import sweep as sweeps

QUICK = {"strengths": (1e-5, 1e-3, 1e-1), "seeds": (0, 1), "priors": ("gaussian", "laplace", "hashed")}
SHOWN = ("model", "prior", "strength", "model_bits", "data_bits", "total_bits", "trained_excess_bits", "excess_bits")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--out", type=Path, default=Path("results/l2_sweep"))
    parser.add_argument("--quick", action="store_true", help="a small grid, to see that it runs")
    options = parser.parse_args(arguments)
    loaded = datasets.load(options.dataset)
    table = sweeps.sweep(loaded, out=options.out, **(QUICK if options.quick else {}))
    plot.save_figure(plot.sweep_figure(table), options.out / "l2_sweep")
    summary = sweeps.summary(table)
    summary.to_csv(options.out / "summary.csv", index=False)
    print(summary[list(SHOWN)].round(3).to_string(index=False))
    for model, part in table.groupby("model", sort=False):
        print(verdict(str(model), part, summary[summary["model"] == model]))


def verdict(model: str, table: pd.DataFrame, summary: pd.DataFrame) -> str:
    """One model's answer in words, every number from the table."""
    headline = summary.iloc[0]
    rows = table[(table["prior"] == headline["prior"]) & (table["strength"] == headline["strength"])]
    share = 100.0 * float((rows["total_bits"] / rows["uniform_bits"]).mean())
    return (
        f"{model}: the shortest {headline['prior']} message is at strength {headline['strength']:.2g} and takes "
        f"{share:.0f} % of uniform labels. As trained, that strength costs {headline['trained_excess_bits']:.3f} bits "
        f"an example over the best of the grid ({headline['trained_best_strength']:.2g}); the coded weights themselves "
        f"predict {headline['test_bits_per_example'] - headline['trained_test_bits_per_example']:.3f} bits an example "
        "worse than the trained ones."
    )


if __name__ == "__main__":
    main()
