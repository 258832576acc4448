"""What does each code make of one model and its data?

Logistic and ridge regression and a perceptron, each trained at the L2 strength of least evidence on a coarse grid, are
measured under every code that applies, from float32 to the evidence. A length is that of the weights and the training
labels together, given the inputs, headers left out.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _text
from mdl import datasets, ladder, plot

CLAIM = (
    "Most of what lies between a checkpoint in float32 and the evidence can be had in files: bytes that somebody "
    "decodes to the model and the labels."
)
FULL = (("digits", "logistic"), ("digits", "mlp-relu"), ("mnist5k", "logistic"), ("breast_cancer", "logistic"),
        ("diabetes", "ridge"))  # fmt: skip
QUICK = (("wine", "logistic"), ("diabetes", "ridge"))
SHORT = {"logistic": "logistic", "mlp-relu": "MLP", "ridge": "ridge"}


def measure(options: _command.Options) -> pd.DataFrame:
    cases = QUICK if options.quick else FULL
    return options.rows(rungs, [(dataset, model, options.seed) for dataset, model in cases])


def rungs(task: tuple[str, str, int]) -> list[dict[str, object]]:
    """A row a code."""
    dataset, model, seed = task
    found = ladder.ladder(datasets.load(dataset), [model], seed=seed, n_jobs=1, progress=False)
    return found.drop(columns="seconds").to_dict("records")


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {f"ladder_{name}": plot.ladder_figure(part) for name, part in table.groupby("dataset", sort=False)}


def captions(table: pd.DataFrame) -> dict[str, str]:
    return {
        f"ladder_{name}": f"{name}, {_text.thousands(part['n'].iloc[0])} examples: "
        + "; ".join(_span(model, rungs) for model, rungs in part.groupby("model", sort=False))
        for name, part in table.groupby("dataset", sort=False)
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    """Besides the table, ``DATASET_MODEL_RUNG`` in bits, and what the best file takes over the evidence, in %."""
    cases = [_sentence(part) for _, part in table.groupby(["dataset", "model"], sort=False)]
    found = {"table": _rungs(table), "cases": "\n".join(f"- {case}" for case in cases)}
    for (dataset, model), part in table.groupby(["dataset", "model"], sort=False):
        about = f"{dataset}_{_key(model)}"
        bits = _bits(part)
        best = _best_file(part)
        found |= {f"{about}_{_key(rung)}": _text.thousands(value) for rung, value in bits.items()}
        found |= {
            f"{about}_n": _text.thousands(part["n"].iloc[0]),
            f"{about}_strength": f"{part['strength'].iloc[0]:g}",
            f"{about}_best_file": best,
            f"{about}_best_bits": _text.thousands(bits[best]),
            f"{about}_best_over": _text.percent()(_over(part)),
            **{f"{about}_{_key(rung)}_over": _text.percent()(value / bits["evidence"] - 1.0)
               for rung, value in bits.items()},
        }  # fmt: skip
    return found


def verdict(table: pd.DataFrame) -> str:
    """Most is more than half of the bits, in every case."""
    cases = [part for _, part in table.groupby(["dataset", "model"], sort=False)]
    covered = [_covered(part, "float32") for part in cases]
    spans = {"whole": covered, "grid": [_covered(part, "grid, Gaussian") for part in cases],
             "over": [_over(part) for part in cases]}  # fmt: skip
    digits = {"whole": 1, "grid": 0, "over": 0}
    said = {what: _text.between(*map(_text.percent(digits[what]), (min(of), max(of)))) for what, of in spans.items()}
    return (
        f"{'Yes' if min(covered) > 0.5 else 'Not always'}: the shortest file that holds a model covers {said['whole']} "
        "% of the distance from float32 to the evidence. A grid is an honest file and a poor code: of what it takes "
        f"beyond the evidence, that file gets back {said['grid']} %, and ends {said['over']} % over the evidence."
    )


def _bits(part: pd.DataFrame) -> pd.Series:
    """By rung: the size of the file where there is one, the formula's length otherwise."""
    rows = part.set_index("rung")
    return rows["realised_bits"].fillna(rows["ideal_bits"])


def _best_file(part: pd.DataFrame) -> str:
    """The shortest file that holds a model."""
    files = part[(part["kind"] == "two-part file") & part["realised_bits"].notna()]
    return str(files.set_index("rung")["realised_bits"].idxmin())


def _covered(part: pd.DataFrame, start: str) -> float:
    """Share of the distance from a code to the evidence that the best file covers."""
    bits = _bits(part)
    return float((bits[start] - bits[_best_file(part)]) / (bits[start] - bits["evidence"]))


def _over(part: pd.DataFrame) -> float:
    """What the best file takes over the evidence, a share of it."""
    bits = _bits(part)
    return float(bits[_best_file(part)] / bits["evidence"] - 1.0)


def _sentence(part: pd.DataFrame) -> str:
    bits, best, over = _bits(part), _best_file(part), 100.0 * _over(part)
    about = f"{part['dataset'].iloc[0]}, {SHORT[part['model'].iloc[0]]}"
    return (
        f"{about}: float32 takes {bits['float32']:,.0f} bits, a grid {bits['grid, Gaussian']:,.0f}, the shortest file "
        f"that holds a model ({best}) {bits[best]:,.0f}, {over:.0f} % over the evidence ({bits['evidence']:,.0f}); the "
        f"file of a learner that retrains takes {bits['prequential']:,.0f}."
    )


def _span(model: str, part: pd.DataFrame) -> str:
    bits = _bits(part)
    return (
        f"{SHORT[model]}, {bits['float32']:,.0f} bits in float32, {bits[_best_file(part)]:,.0f} in the best file with "
        f"a model, {bits['evidence']:,.0f} by the evidence"
    )


def _rungs(table: pd.DataFrame) -> str:
    """A row a code, a column a model and its data; the longest first."""
    columns = {f"{dataset}, {SHORT[model]}": _bits(part)
               for (dataset, model), part in table.groupby(["dataset", "model"], sort=False)}  # fmt: skip
    rows = pd.DataFrame(columns).reindex(table["rung"].drop_duplicates())
    files = table.groupby("rung")["realised_bits"].count().reindex(rows.index) > 0
    rows = rows.assign(file=files.map({True: "yes", False: ""}), rung=rows.index)
    return _text.table(rows, {"rung": str, **dict.fromkeys(columns, _text.thousands), "file": str})


def _key(name: str) -> str:
    """A name as a page can write it."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name).lower().split())


if __name__ == "__main__":
    _command.main(__file__)
