"""Does an L2 penalty lower capacity while leaving flexibility?

Linear models on small samples: degrees of freedom, the complexity of luckiness NML and the fit of shuffled labels
against the strength, how much of the change in held-out loss each explains on tables left out, and other ways to the
same capacity: few principal or random directions of the inputs, penalties about other centres.
"""

from __future__ import annotations

import functools

import pandas as pd
from matplotlib.figure import Figure

from analyses import _capacity, _capacity_figures, _command, _explained, _text
from analyses._capacity import CENTRE_STRENGTH, CENTRES, DIRECTIONS, SHUFFLINGS, STRENGTHS
from analyses._capacity_figures import FAMILIES, part_of
from analyses._explained import BOTH, CAPACITIES, MEASURES, Findings, by_table
from analyses._nested import Cell, Table

CLAIM = (
    "An L2 penalty lowers capacity while leaving flexibility: when it has halved the fit of random labels it keeps at "
    "least three quarters of the fit of true ones; how far a measure of capacity has fallen explains at least half of "
    "the change in held-out loss on tables left out; and models brought to the same degrees of freedom in other ways "
    "have the same held-out loss, to 0.01 bits an example."
)
KEPT = 0.75
EXPLAINED = 0.5
SAME = 0.01  # bits an example
CENTRED_AT = 0.1  # the strength at which centres are compared
SIZES = (30, 100)
SPLITS = 5
TABLES = {
    "ridge": (
        Table("diabetes"), Table("digits", 28), Table("breast_cancer", 3), Table("wine", 0), Table("keel:vehicle", 11),
        Table("keel:sonar", 30), Table("keel:heart", 7), Table("keel:ionosphere", 13),
    ),
    "logistic": (
        Table("breast_cancer"), Table("wine"), Table("iris"), Table("keel:sonar"), Table("keel:ionosphere"),
        Table("keel:heart"), Table("keel:spambase"), Table("keel:vehicle"), Table("keel:german"),
    ),
}  # fmt: skip
_QUICK = [
    Cell(family, Table(name, column, shuffled), 30, 0)
    for family, name, column in (
        ("logistic", "iris", None), ("logistic", "breast_cancer", None), ("ridge", "diabetes", None),
        ("ridge", "wine", 0),
    )
    for shuffled in (False, True)
]  # fmt: skip


def measure(options: _command.Options) -> pd.DataFrame:
    return options.rows(_capacity.rows, _QUICK if options.quick else _cells(options.seed))


def _cells(seed: int) -> list[Cell]:
    return [
        Cell(family, Table(table.name, table.column, shuffled), n, split)
        for family, tables in TABLES.items()
        for table in tables
        for shuffled in (False, True)
        for n in (SIZES[:1] if shuffled else SIZES)
        for split in range(seed, seed + SPLITS)
        if 2 * n <= table.most  # others say where a centre is
    ]


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {
        "limited_capacity": _capacity_figures.answers(table),
        "limited_capacity_paths": _capacity_figures.paths(table),
    }


def captions(table: pd.DataFrame) -> dict[str, str]:
    counts = table.groupby("family")["table"].nunique()
    return {
        "limited_capacity": "Left: what is left of capacity and of the fits of true and of random labels. Middle: how "
        "much of the change in held-out loss over the strengths each measure explains by a monotone function that was "
        "fitted on the other tables, with true and with shuffled targets (intervals cut at the left edge). Right: what "
        "models that see few directions of the inputs save over L2 at the same capacity. Means and 95 % intervals over "
        f"tables ({counts['ridge']} of quantities, {counts['logistic']} of classes).",
        "limited_capacity_paths": "What L2 saves on held-out examples over nearly no penalty, in units of its spread "
        "over the strengths, against what is left of the fit of random labels; a line a table, a marker a strength. "
        "With true targets (above) no one function fits the tables; with shuffled ones (below) less is better.",
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    found = _explained.findings(table)
    said = {
        "splits": str(table["seed"].nunique()), "sizes": _text.listed([str(n) for n in sorted(table["n"].unique())]),
        "shuffled_size": str(table.loc[table["shuffled"], "n"].max()), "strengths": str(len(STRENGTHS)),
        "weakest": _text.significant(1)(STRENGTHS[0]), "strongest": f"{STRENGTHS[-1]:g}",
        "shufflings": str(SHUFFLINGS), "centre_strength": f"{CENTRE_STRENGTH:g}", "centred_at": f"{CENTRED_AT:g}",
        "kept_claimed": _text.percent()(KEPT), "explained_claimed": f"{EXPLAINED:g}", "same": f"{SAME:g}",
        "explained": _explained_table(found), "matched": _matched_table(found), "kept": _kept_table(found),
        "centres": _centres_table(table),
    }  # fmt: skip
    for family in FAMILIES:
        said |= {f"{family}_{name}": value for name, value in _of_family(table, found, family).items()}
    return said


def _of_family(table: pd.DataFrame, found: Findings, family: str) -> dict[str, str]:
    two, percent = _text.fixed(2), _text.percent()
    best, r2 = found.best_capacity(family, shuffled=False)
    less = {
        name: _text.interval(_explained.less_is_better(part_of(table, family, shuffled=shuffled), "dof"), two)
        for name, shuffled in {"less": True, "less_true": False}.items()
    }
    gaps = [found.r2_by(family, name, "closer", shuffled=False) for name in CAPACITIES]
    return {
        "tables": str(r2.size), "best": MEASURES[best], "r2": _text.interval(r2, two), "r2_median": two(r2.median()),
        "r2_shuffled": _text.interval(found.best_capacity(family, shuffled=True)[1], two),
        "gap": _text.interval(max(gaps, key=lambda own: own.mean()), two),
        "kept": _text.interval(found.kept_by(family, "L2", shuffled=False), percent),
        "kept_shuffled": _text.interval(found.kept_by(family, "L2", shuffled=True), percent), **less,
    }  # fmt: skip


def verdict(table: pd.DataFrame) -> str:
    found, said = _explained.findings(table), numbers(table)
    flexible = [found.kept_by(family, "L2", shuffled=False).mean() >= KEPT for family in FAMILIES]
    explains = [found.best_capacity(family, shuffled=False)[1].mean() >= EXPLAINED for family in FAMILIES]
    over = [found.over_by(family, "dof", way, shuffled=False).mean() for family in FAMILIES for way in DIRECTIONS]
    held = [all(flexible), all(explains), max(map(abs, over)) < SAME]
    lead = "Yes" if all(held) else f"No, {sum(held)} of {len(held)} parts of the claim hold for both families"
    return " ".join([f"{lead}.", _flexible(found, said), _explains(said), _equal(found), _less(said)])


def _each(said: dict[str, str], key: str) -> str:
    return _text.listed([f"{said[f'{family}_{key}']} for {title}" for family, title in FAMILIES.items()])


def _flexible(found: Findings, said: dict[str, str]) -> str:
    kept = {
        way: [found.kept_by(family, way, shuffled=False).mean() for family in FAMILIES] for way in ("L2", *DIRECTIONS)
    }
    more = [way for way in DIRECTIONS if all(a > b for a, b in zip(kept[way], kept["L2"], strict=True))]
    beside = f"; models of {_text.listed(more)} directions keep more in both families" if more else ""
    return (
        "When the penalty has halved the fit of random labels, it keeps this share of the fit of true ones, per cent: "
        f"{_each(said, 'kept')}{beside}."
    )


def _explains(said: dict[str, str]) -> str:
    parts = [
        f"{said[f'{family}_r2']} for {title} ({said[f'{family}_best']}; median {said[f'{family}_r2_median']})"
        for family, title in FAMILIES.items()
    ]
    return (
        "On tables left out, the capacity that explains most of the change in held-out loss has an R² of "
        f"{_text.listed(parts)}; with shuffled targets, {_each(said, 'r2_shuffled')}."
    )


def _equal(found: Findings) -> str:
    """By how many bits other ways to the same degrees of freedom differ."""
    two, parts = _text.fixed(2), []
    for family, title in FAMILIES.items():
        over = {way: found.over_by(family, "dof", way, shuffled=False) for way in DIRECTIONS}
        parts.append(
            f"{_text.listed([f'{_text.interval(own, two)} ({way})' for way, own in over.items()])} for {title}"
        )
    return f"At equal degrees of freedom, models of few directions save over L2, bits an example: {'; '.join(parts)}."


def _less(said: dict[str, str]) -> str:
    return (
        "With shuffled targets less is better: along the strengths, degrees of freedom and held-out loss have a rank "
        f"correlation of {_each(said, 'less')}, with true targets {_each(said, 'less_true')}."
    )


def _explained_table(found: Findings) -> str:
    """R² on tables left out, a row a family and measure; of both fits together only a function of any shape."""
    two, rows = _text.fixed(2), []
    for family, title in FAMILIES.items():
        for name in [*MEASURES, BOTH]:
            of = functools.partial(found.r2_by, family, name, shape="any" if name == BOTH else "monotone")
            rows.append({
                "family": title, "measure": MEASURES.get(name, name),
                "held-out loss": _text.interval(of("better", shuffled=False), two),
                "any shape": two(found.r2_by(family, name, "better", shuffled=False, shape="any").mean()),
                "gap": _text.interval(of("closer", shuffled=False), two),
                "shuffled": _text.interval(of("better", shuffled=True), two),
            })  # fmt: skip
    return _as_text(rows)


def _matched_table(found: Findings) -> str:
    return _as_text([
        {
            "family": title, "targets": "shuffled" if shuffled else "true", "directions": way,
            **{
                MEASURES[name]: _text.interval(found.over_by(family, name, way, shuffled=shuffled), _text.fixed(2))
                for name in CAPACITIES
            },
        }
        for family, title in FAMILIES.items() for shuffled in (False, True) for way in DIRECTIONS
    ])  # fmt: skip


def _kept_table(found: Findings) -> str:
    return _as_text([
        {
            "family": title, "targets": "shuffled" if shuffled else "true",
            **{
                way: _text.interval(found.kept_by(family, way, shuffled=shuffled), _text.percent())
                for way in ("L2", *DIRECTIONS)
            },
        }
        for family, title in FAMILIES.items() for shuffled in (False, True)
    ])  # fmt: skip


def _centres_table(table: pd.DataFrame) -> str:
    """What another centre saves over zero at one strength, with the same complexity."""
    names = dict(zip(CENTRES, ("of other examples", "random", "opposite"), strict=True))
    rows = []
    for family, title in FAMILIES.items():
        part = part_of(table, family, shuffled=False)
        at = part[(part["way"] == "L2") & (part["strength"] == CENTRED_AT)]
        over = {said: by_table(at[name] - at["test_saved_bits"], at["table"]) for name, said in names.items()}
        rows.append({"family": title, **{said: _text.interval(own, _text.fixed(2)) for said, own in over.items()}})
    return _as_text(rows)


def _as_text(rows: list[dict[str, str]]) -> str:
    return _text.table(pd.DataFrame(rows), dict.fromkeys(rows[0], str))


if __name__ == "__main__":
    _command.main(__file__)
