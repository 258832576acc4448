"""At which number of examples does an L2 penalty matter, and how much?

Ridge and logistic regression and a perceptron learn from nested training sets of the same splits at many strengths:
losses, effective parameters and code lengths against the strength, and what of the held-out loss of nearly no penalty
the best strength of the grid saves, or the one that the evidence chooses from the training data alone.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _gains, _overfitting, _overfitting_figures, _text
from analyses._nested import TRUE_NOISE, TRUE_WEIGHTS, TRUTHS, Cell, Table
from analyses._overfitting_figures import FAMILIES, NAMES
from mdl import plot

CLAIM = (
    "An L2 penalty prevents overfitting where parameters are many beside examples: the held-out bits that a strength "
    "saves over nearly none fall as examples a parameter grow, and are below 0.01 an example from ten examples a "
    "parameter on; the strength of the least evidence, which sees no held-out example, keeps at least 80 % of what the "
    "best of the grid saves; of shuffled labels the strongest penalty is best, and saves nothing beside the constant "
    "forecast."
)
CLOSE = 0.01  # held-out bits an example
MANY = 10.0  # examples a parameter
KEPT = 0.8
SIZES = (30, 100, 300, 1000, 3000)
SPLITS = 5
TABLES = {
    "ridge": (Table("diabetes"), Table("digits", 28), Table("breast_cancer", 3), Table("wine", 0)),
    "logistic": (Table("digits"), Table("breast_cancer"), Table("wine")),
    "mlp": (Table("digits"), Table("breast_cancer"), Table("wine")),
}
KNOWN = {"ridge": TRUTHS[:2], "logistic": TRUTHS[2:]}
MOST_SHUFFLED = 100
FITTED = 0.01  # bits an example that training targets still take where they are fitted perfectly
CODES = {
    "two_part_bits": "two-part file", "refined_bits": "refined", "evidence_bits": "evidence", "lnml_bits": "LNML",
    "prequential_bits": "prequential",
}  # fmt: skip
_QUICK = (
    Cell("ridge", Table("diabetes"), 30, 0), Cell("logistic", Table("wine"), 30, 0),
    Cell("mlp", Table("wine", shuffled=True), 30, 0), Cell("logistic", Table(TRUTHS[2]), 30, 0),
)  # fmt: skip


def measure(options: _command.Options) -> pd.DataFrame:
    seeds = range(options.seed, options.seed + SPLITS)
    cells = [
        Cell(family, table, n, seed)
        for family in FAMILIES
        for table in _tables(family)
        for n in SIZES
        for seed in seeds
        if n <= (min(table.most, MOST_SHUFFLED) if table.shuffled else table.most)
    ]
    return options.rows(_overfitting.rows, _QUICK if options.quick else cells)


def _tables(family: str) -> list[Table]:
    """As they are, with shuffled targets, and of a known truth."""
    real = TABLES[family]
    shuffled = [Table(table.name, table.column, shuffled=True) for table in real]
    return [*real, *shuffled, *(Table(name) for name in KNOWN.get(family, ()))]


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {
        "l2_prevents_overfitting": _overfitting_figures.saved(table, CLOSE, MANY),
        "l2_prevents_overfitting_lengths": _overfitting_figures.lengths(table),
    }


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "l2_prevents_overfitting": "Above: training and held-out loss, and lengths of the training targets an example, "
        "markers at the least mean. Below: held-out bits an example that the strength of the least evidence saves over "
        f"λ = {said['weakest']}; the grey band is {said['close']} bits either way, the vertical line is at "
        f"{said['many']} examples a parameter. Means and 95 % intervals of {said['splits']} splits.",
        "l2_prevents_overfitting_lengths": "Above: the effective share of the weights on the digits. Below: what each "
        "code says of the strength on a smaller table, and the held-out loss, bits an example over the least of each "
        "split.",
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    cells = _gains.gains(table)
    real, shuffled = _gains.real(cells), cells[cells["shuffled"]]
    ridge = real[real["family"] == "ridge"]
    said = {
        "splits": str(table["seed"].nunique()), "strengths": str(table["strength"].nunique()),
        "weakest": _text.significant(1)(table["strength"].min()), "strongest": f"{table['strength'].max():g}",
        "hidden": str(_overfitting.HIDDEN), "close": f"{CLOSE:g}", "many": f"{MANY:g}",
        "kept_claimed": _text.percent()(KEPT),
        "sizes": _text.listed([str(n) for n in sorted(real["n"].unique())]),
        "largest_known": str(cells["n"].max()), "most_shuffled": str(MOST_SHUFFLED),
        "true_weights": str(TRUE_WEIGHTS), "true_noise": f"{TRUE_NOISE:g}",
        "unconverged": str(int((~table["converged"]).sum())), "trained": _text.thousands(len(table)),
        "shuffled_saved": _over_splits(shuffled, "oracle_bits", 1),
        "shuffled_oracle": _over_splits(shuffled, "beside_oracle_bits"),
        "shuffled_evidence": _over_splits(shuffled, "beside_evidence_bits"),
        "shuffled_strongest": _over_splits(shuffled, "strongest_bits"),
        "table": _shown(real), "known": _shown(cells[cells["table"].isin(TRUTHS)]),
        "codes": _choices(table), "steps": _text.interval(_gains.steps(real), _text.percent()),
        "determined": _text.interval(_gains.kept(ridge[ridge["per"] > 1.0]), _text.percent()),
    }  # fmt: skip
    for family, part in real.groupby("family", sort=False):
        said |= {f"{family}_{name}": value for name, value in _of_family(part).items()}
    return {**said, **_by_fit(cells)}


def verdict(table: pd.DataFrame) -> str:
    cells = _gains.gains(table)
    real, shuffled, said = _gains.real(cells), cells[cells["shuffled"]], numbers(table)
    falling = {family: plot.mean_interval(_gains.falls(part))[2] < 0.0 for family, part in real.groupby("family")}
    held = [all(falling.values()), _most_where_many(real) < CLOSE, _gains.kept(real).mean() >= KEPT, _nothing(shuffled)]
    lead = "Yes" if all(held) else f"Only in part: {sum(held)} of {len(held)} parts of the claim hold"
    return " ".join([
        f"{lead}.", _falling(falling, said), _where_many(real), _kept(real), _of_shuffled(held[3], said),
        _scale(real, said),
    ])  # fmt: skip


def _falling(falling: dict[str, bool], said: dict[str, str]) -> str:
    ranks = _text.listed([f"{said[f'{family}_falls']} for {FAMILIES[family]}" for family in falling])
    verb = "falls" if all(falling.values()) else "need not fall"
    return (
        f"Over tables and sizes together, what the penalty saves {verb} as examples a parameter grow (rank correlation "
        f"{ranks}); from one size of a table to the next it falls in {said['steps']} % of the steps."
    )


def _most_where_many(real: pd.DataFrame) -> float:
    """The largest mean over splits of what the oracle saves, where examples are many beside parameters."""
    many = real[_per(real) >= MANY]
    return float(many.groupby(["family", "table", "n"])["oracle_bits"].mean().max()) if len(many) else 0.0


def _per(cells: pd.DataFrame) -> pd.Series:
    """Examples a parameter, the same for all splits of a table."""
    return cells.groupby(["family", "table", "n"])["per"].transform("mean").round(6)


def _where_many(real: pd.DataFrame) -> str:
    many = real[_per(real) >= MANY].groupby(["family", "table", "n"])["oracle_bits"].mean()
    if many.empty:
        return f"No table has {MANY:g} examples a parameter."
    family, name, n = many.idxmax()
    return (
        f"From {MANY:g} examples a parameter on, the oracle saves less than {CLOSE:g} bits an example on "
        f"{(many < CLOSE).sum()} of {len(many)} tables and sizes, and {_text.fixed(2)(many.max())} on the worst "
        f"({FAMILIES[family]}, {NAMES.get(name, name)}, n = {n})."
    )


def _kept(real: pd.DataFrame) -> str:
    parts = real.groupby("family", sort=False)
    each = _text.listed([
        f"{_text.interval(_gains.kept(part), _text.percent())} % for {FAMILIES[family]}" for family, part in parts
    ])  # fmt: skip
    pooled = _text.interval(_gains.kept(real), _text.percent())
    return f"The least evidence keeps {pooled} % of what the oracle saves: {each}."


def _nothing(shuffled: pd.DataFrame) -> bool:
    """Of shuffled targets: nothing is saved beside a constant forecast, and the strongest penalty is as good as any."""
    by_split = shuffled.groupby("seed")
    means = by_split[["beside_oracle_bits", "strongest_bits"]].mean().mean()
    return bool((means < CLOSE).all() and by_split["beside_evidence_bits"].mean().mean() <= 0.0)


def _of_shuffled(nothing: bool, said: dict[str, str]) -> str:
    return (
        f"Of shuffled targets {'nothing' if nothing else 'something'} is learnt: the evidence's strength saves "
        f"{said['shuffled_evidence']} bits beside the constant forecast, the strongest penalty costs "
        f"{said['shuffled_strongest']} over the best of the grid."
    )


def _scale(real: pd.DataFrame, said: dict[str, str]) -> str:
    """Of classes: what remains where both models have the temperature that is best on the held-out examples."""
    classes = real[real["direction_bits"].notna()]
    if not {"logistic", "mlp"} <= set(classes["family"]):
        return ""
    means = classes.groupby("family")[["direction_bits", "evidence_bits"]].mean()
    mostly = (means["direction_bits"] < 0.5 * means["evidence_bits"]).all()
    return (
        f"What is saved in classification is {'mostly' if mostly else 'not only'} scale: with both models at the "
        f"temperature that is best on the held-out examples, {said['logistic_direction']} of {said['logistic_saved']} "
        f"bits are left for logistic regression and {said['mlp_direction']} of {said['mlp_saved']} for perceptrons, "
        f"and errors fall by {said['logistic_error']} and {said['mlp_error']} points."
    )


def _over_splits(cells: pd.DataFrame, column: str, digits: int = 3) -> str:
    """Mean over tables and sizes of a split, with its interval over splits."""
    return _text.interval(cells.groupby("seed")[column].mean(), _text.fixed(digits))


def _of_family(part: pd.DataFrame) -> dict[str, str]:
    said = {
        "falls": _text.interval(_gains.falls(part), _text.fixed(2)),
        "kept": _text.interval(_gains.kept(part), _text.percent()),
        "saved": _over_splits(part, "evidence_bits"), "oracle": _over_splits(part, "oracle_bits"),
        "error": _text.interval(100.0 * part.groupby("seed")["evidence_error"].mean(), _text.fixed(1)),
    }  # fmt: skip
    return said if part["direction_bits"].isna().all() else {**said, "direction": _over_splits(part, "direction_bits")}


def _by_fit(cells: pd.DataFrame) -> dict[str, str]:
    """What is saved of classes where nearly no penalty fits the training labels perfectly, and where it does not."""
    classes = cells[~cells["shuffled"] & (cells["family"] != "ridge")]
    perfect = classes["none_train_bits"] < FITTED
    three = _text.fixed(3)
    return {
        "fitted": f"{FITTED:g}",
        "fitted_share": _text.percent()(perfect.mean()),
        "fitted_saved": three(classes.loc[perfect, "evidence_bits"].mean()),
        "unfitted_saved": three(classes.loc[~perfect, "evidence_bits"].mean()),
        "fitted_many": str(int((perfect & (classes["per"] >= MANY)).sum())),
        "fitted_many_saved": three(classes.loc[perfect & (classes["per"] >= MANY), "evidence_bits"].mean()),
        "unfitted_many_saved": three(classes.loc[~perfect & (classes["per"] >= MANY), "evidence_bits"].mean()),
    }


def _choices(table: pd.DataFrame) -> str:
    """What the strength of each code's shortest length costs on held-out data over the oracle's, a row a code."""
    rows = table[~table["shuffled"] & ~table["table"].isin(TRUTHS)]
    found = []
    for column, name in CODES.items():
        if column not in rows:
            continue
        coded = rows[rows[column].notna()]
        for family, part in coded.groupby("family", sort=False):
            sets = part.groupby(_gains.CELL)
            least = part.loc[sets[column].idxmin()].set_index(_gains.CELL)["test_bits"]
            excess = least - sets["test_bits"].min()
            per_split = excess.groupby("seed").mean()
            found.append({
                "family": FAMILIES[family], "code": name, "sets": len(excess),
                "excess, bits": _text.interval(per_split, _text.fixed(3)), "worst": excess.max(),
            })  # fmt: skip
    shown = pd.DataFrame(found).sort_values(["family", "code"])
    formats = {"family": str, "code": str, "sets": str, "excess, bits": str, "worst": _text.fixed(2)}
    return _text.table(shown, formats)


def _shown(cells: pd.DataFrame) -> str:
    """A row a family, table and size: what is saved, and what is left of the weights."""
    found = []
    for (family, name, n), part in cells.groupby(["family", "table", "n"], sort=False):
        found.append({
            "family": FAMILIES[family], "table": NAMES.get(name, name), "n": n, "n / d": part["per"].mean(),
            "none": part["none_bits"].mean(), "oracle": _text.interval(part["oracle_bits"], _text.fixed(3)),
            "evidence": _text.interval(part["evidence_bits"], _text.fixed(3)),
            "direction": part["direction_bits"].mean(), "λ": part["evidence_strength"].median(),
            "effective": part["left"].mean(),
        })  # fmt: skip
    two, three = _text.fixed(2), _text.fixed(3)
    formats = {
        "family": str, "table": str, "n": str, "n / d": two, "none": two, "oracle": str, "evidence": str,
        "direction": three, "λ": _text.significant(1), "effective": _text.percent(),
    }  # fmt: skip
    return _text.table(pd.DataFrame(found), formats)


if __name__ == "__main__":
    _command.main(__file__)
