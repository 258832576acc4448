"""Does a short file certify its model? PAC-Bayes bounds on the test error from messages that were written.

``python -m analyses.certificates [--quick] [--out DIR]`` trains logistic regression at several strengths, writes each
model on the best grid and refined, and reports the smallest bound at 95 % confidence, the search over strengths and
messages charged, beside the error of the coded model on data that it never saw. A lattice whose steps follow from the
training inputs would be shorter, but the theorem asks for a code that was fixed before the sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import mdl
from mdl import bounds, datasets, plot
from mdl.files import write_atomically
from mdl.lengths import refined
from mdl.training import Split, train
from mdl.trials import Found, Trials

DATASETS = ("breast_cancer", "digits", "mnist5k")
STRENGTHS = (1e-3, 1e-2, 1e-1)
MESSAGES = {
    "grid": lambda model, X, y, prior: Trials(model, X, y).search(prior),
    "refined grid": refined.shortest,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/certificates"))
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--quick", action="store_true", help="a small data set, to see that it runs")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    names = DATASETS[:1] if options.quick else DATASETS
    table = pd.DataFrame([row for name in names for row in rows(name, options.seed)])
    text = table.to_csv(index=False)
    write_atomically(options.out / "certificates.csv", lambda stream: stream.write(text.encode()))
    plot.save_figure(plot.certificates_figure(table), options.out / "certificates")
    print(table.round(4).to_string(index=False))
    for _, part in table.groupby("dataset", sort=False):
        print(verdict(part))


def rows(name: str, seed: int) -> list[dict[str, object]]:
    """A row for every strength and kind of message; a union bound over all of them is in each bound."""
    split = Split.of(datasets.load(name), seed)
    tried = len(STRENGTHS) * len(MESSAGES)
    found = []
    for strength in STRENGTHS:
        model, _ = train("logistic", strength, seed, split)
        for kind, shortest in MESSAGES.items():
            message = shortest(model, split.X, split.y, mdl.Gaussian())
            found.append({"dataset": name, "n": len(split.y), "strength": strength, "message": kind,
                          **certified(message, model, split, tried)})  # fmt: skip
    return found


def certified(found: Found, model: mdl.Model, split: Split, candidates: int) -> dict[str, float]:
    """The bound, and the errors of the model that the message holds, read back from its bytes."""
    data, length = found.realise()
    coded, _ = mdl.decode_with_data(data, split.X)
    training = float(bounds.errors(coded, split.X, split.y).mean())
    certificate = bounds.certificate(length, training, len(split.y), candidates=candidates)
    return {
        "model_bits": length.comparable.bits - length.part_bits()["data"],
        "training_error": training,
        "bound": certificate.bound,
        "test_error": float(bounds.errors(coded, split.X_test, split.y_test).mean()),
        "trained_test_error": float(bounds.errors(model, split.X_test, split.y_test).mean()),
    }


def verdict(table: pd.DataFrame) -> str:
    """One data set's answer in words, every number from the table."""
    best = table.loc[table["bound"].idxmin()]
    return (
        f"{best['dataset']}: with 95 % confidence the {best['message']} of strength {best['strength']:g} errs on "
        f"at most {100 * best['bound']:.1f} % of new examples; it errs on {100 * best['test_error']:.1f} % of the rest."
    )


if __name__ == "__main__":
    main()
