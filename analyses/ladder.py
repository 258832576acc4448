"""The ladder: every code for the same model and data, from float32 to the evidence; which of them are files.

``python -m analyses.ladder [--quick] [--out DIR]`` trains logistic regression and a perceptron on the digits, and
logistic regression on 5,000 images of MNIST, measures them under every code that applies, draws the figure, and prints
the verdict.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from mdl import datasets, plot
from mdl import ladder as ladders
from mdl.files import write_atomically

FULL = (("digits", ("logistic", "mlp-relu")), ("mnist5k", ("logistic",)))
QUICK = (("wine", ("logistic",)),)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/ladder"))
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--quick", action="store_true", help="a small data set, to see that it runs")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    tables = []
    for name, models in QUICK if options.quick else FULL:
        table = ladders.ladder(datasets.load(name), models, seed=options.seed, progress=not options.quick)
        plot.save_figure(plot.ladder_figure(table), options.out / f"ladder_{name}")
        print(ladders.shown(table))
        for _, part in table.groupby("model", sort=False):
            print(verdict(part))
        tables.append(table)
    text = pd.concat(tables).to_csv(index=False)
    write_atomically(options.out / "ladder.csv", lambda stream: stream.write(text.encode()))


def verdict(table: pd.DataFrame) -> str:
    """One model's answer in words, every number from the table."""
    rungs = table.set_index("rung")
    files = rungs["realised_bits"].dropna()
    two_part = files[rungs.loc[files.index, "kind"] == "two-part file"]
    best, evidence = str(two_part.idxmin()), float(rungs["ideal_bits"]["evidence"])
    over = 100.0 * (two_part[best] / evidence - 1.0)
    ideal = rungs["ideal_bits"]
    about = f"{table['dataset'].iloc[0]}, {table['model'].iloc[0]}"
    return (
        f"{about}: float32 takes {ideal['float32']:,.0f} bits, uniform labels {ideal['uniform labels']:,.0f}, a grid "
        f"{files['grid, Gaussian']:,.0f}; the shortest file that holds a model is the {best} with "
        f"{two_part[best]:,.0f}, {over:.0f} % over the evidence ({evidence:,.0f}); the file of a learner that retrains "
        f"takes {files['prequential']:,.0f}."
    )


if __name__ == "__main__":
    main()
