"""Does a short file certify its model?

Logistic regression at several strengths, each model written on the best grid and refined: the smallest PAC-Bayes bound
on the test error, the search over strengths and messages charged, beside the error of the coded model on data that it
never saw. A lattice whose steps follow from the training inputs would be shorter, but the theorem asks for a code that
was fixed before the sample.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import mdl
from analyses import _command, _text
from mdl import bounds, datasets, plot
from mdl.lengths import refined
from mdl.training import Split, train
from mdl.trials import Found, Trials

CLAIM = (
    "A model whose message is short has a bound on its test error that says something: below the error of the best "
    "constant guess, and above the error on data that it never saw."
)
DATASETS = ("breast_cancer", "digits", "mnist5k")
STRENGTHS = (1e-3, 1e-2, 1e-1)
MESSAGES = {
    "grid": lambda model, X, y: Trials(model, X, y).search(mdl.Gaussian()),
    "refined grid": refined.searched,
}
LOOSE = 2.0  # times the error observed


def measure(options: _command.Options) -> pd.DataFrame:
    names = DATASETS[:1] if options.quick else DATASETS
    return options.rows(certified, [(name, strength, options.seed) for name in names for strength in STRENGTHS])


def certified(task: tuple[str, float, int]) -> list[dict[str, object]]:
    """A row for each kind of message; a union bound over all strengths and kinds is in each bound."""
    name, strength, seed = task
    split = Split.of(datasets.load(name), seed)
    model, _ = train("logistic", strength, seed, split)
    commonest = np.bincount(split.y).argmax()
    rows = []
    for kind, shortest in MESSAGES.items():
        found = shortest(model, split.X, split.y)
        rows.append({
            "dataset": name, "n": len(split.y), "strength": strength, "message": kind, **_bound(found, model, split),
            "guess_test_error": float(np.mean(split.y_test != commonest)),
        })  # fmt: skip
    return rows


def _bound(found: Found, model: mdl.Model, split: Split) -> dict[str, float]:
    """The bound, and the errors of the model that the message holds, read back from its bytes."""
    data, length = found.realise()
    coded, _ = mdl.decode_with_data(data, split.X)
    training = float(bounds.errors(coded, split.X, split.y).mean())
    tried = len(STRENGTHS) * len(MESSAGES)
    certificate = bounds.certificate(length, training, len(split.y), candidates=tried)
    return {
        "model_bits": length.comparable.bits - length.part_bits()["data"],
        "training_error": training,
        "bound": certificate.bound,
        "test_error": float(bounds.errors(coded, split.X_test, split.y_test).mean()),
        "trained_test_error": float(bounds.errors(model, split.X_test, split.y_test).mean()),
    }


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"certificates": plot.plot_certificates(table).figure}


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = [
        f"{row['dataset']} at most {100 * row['bound']:.1f} %, observed {100 * row['test_error']:.1f} %"
        for _, row in _best(table).iterrows()
    ]
    return {"certificates": f"Error of the model in the message with the smallest bound: {'; '.join(said)}."}


def numbers(table: pd.DataFrame) -> dict[str, str]:
    columns = {
        "dataset": str, "n": _text.thousands, "message": str, "strength": lambda value: f"{value:g}",
        "model, bits": _text.thousands, "training error": _text.fixed(3), "bound": _text.fixed(3),
        "held-out error": _text.fixed(3), "constant guess": _text.fixed(3),
    }  # fmt: skip
    plain = {"model_bits": "model, bits", "training_error": "training error", "test_error": "held-out error",
             "guess_test_error": "constant guess"}  # fmt: skip
    per_dataset = table.groupby("dataset").size()
    times = _times(table)
    return {
        "strengths": _text.listed([f"{value:g}" for value in table["strength"].drop_duplicates()]),
        "messages": str(per_dataset.iloc[0]),
        "times": _text.between(f"{times.min():.1f}", f"{times.max():.1f}"),
        "cases": "\n".join(f"- {_sentence(row)}" for _, row in _best(table).iterrows()),
        "table": _text.table(_best(table).rename(columns=plain), columns),
    }


def verdict(table: pd.DataFrame) -> str:
    best, times = _best(table), _times(table)
    holds = bool((best["bound"] >= best["test_error"]).all())
    says = bool((best["bound"] < best["guess_test_error"]).all())
    lead = ("Yes, but loosely" if times.max() > LOOSE else "Yes") if holds and says else "No"
    kept = f"{'every' if holds else 'not every'} bound holds, {'all' if says else 'not all'} are below a constant guess"
    return f"{lead}: {kept}, at {_text.between(f'{times.min():.1f}', f'{times.max():.1f}')} times the error observed."


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """The message with the smallest bound, a row a data set."""
    return table.loc[table.groupby("dataset", sort=False)["bound"].idxmin()]


def _times(table: pd.DataFrame) -> pd.Series:
    best = _best(table)
    return best["bound"] / best["test_error"]


def _sentence(row: pd.Series) -> str:
    return (
        f"{row['dataset']}: with 95 % confidence the {row['message']} of strength {row['strength']:g} errs on at most "
        f"{100 * row['bound']:.1f} % of new examples; it errs on {100 * row['test_error']:.1f} % of the rest."
    )


if __name__ == "__main__":
    _command.main(__file__)
