"""Tables and numbers of :mod:`analyses.l1_l2_and_the_rest`, part by part."""

from __future__ import annotations

import pandas as pd

from analyses import _text
from analyses._checkpoints import KINDS
from analyses._drawn_weights import RIGHT, TRUTHS
from analyses._named_penalties import PENALTIES, PRIOR_OF
from analyses._prior_lengths import COLUMNS, FRACTION, PRIORS, SHOWN, column

MATRICES = ("embedding", "dense", "convolution")
_SIZES = (256, 4096)  # weights at which small tensors end and large ones begin


def part(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one part."""
    return table[table["part"] == name]


def main_step(table: pd.DataFrame) -> pd.DataFrame:
    """Tensors of checkpoints at the step that most numbers are about."""
    rows = part(table, "checkpoint")
    return rows[rows["fraction"] == FRACTION]


def groups(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Matrices (convolutions and embeddings among them) and vectors, if there are any."""
    matrix = rows["kind"].isin(MATRICES)
    found = {"matrices": rows[matrix], "vectors": rows[~matrix]}
    return {name: some for name, some in found.items() if len(some)}


def excess(rows: pd.DataFrame) -> pd.DataFrame:
    """Bits a weight of each prior above the shortest, a column a prior."""
    bits = rows[COLUMNS]
    return bits.sub(bits.min(axis=1), axis=0).div(rows["n"], axis=0).set_axis(list(PRIORS), axis=1)


def won(rows: pd.DataFrame, prior: str) -> tuple[float, float]:
    """Shares of the tensors, and of their weights, that are shortest under a prior."""
    mine = rows["shortest"] == prior
    return float(mine.mean()), float(rows.loc[mine, "n"].sum() / rows["n"].sum())


def leader(rows: pd.DataFrame, by: str = "n") -> str:
    """The prior that is shortest for most tensors; for most weights with ``by="n"``."""
    return max(PRIORS, key=lambda prior: won(rows, prior)[by == "n"])


def _markdown(frame: pd.DataFrame) -> str:
    """Cells as they are."""
    return _text.table(frame, dict.fromkeys(frame.columns, str))


# --- drawn ------------------------------------------------------------------------------------------------------------


def truth(name: str) -> str:
    """As figures and tables say it."""
    return "mixture, one centre" if name == "mixture" else "mixture, three centres" if name in RIGHT else SHOWN[name]


def confusion(drawn: pd.DataFrame) -> pd.DataFrame:
    """Counts, a row a truth, a column a prior."""
    return pd.crosstab(drawn["truth"], drawn["shortest"]).reindex(
        index=list(TRUTHS), columns=list(PRIORS), fill_value=0
    )


def recovered(drawn: pd.DataFrame) -> pd.Series:
    """Whether the shortest prior is the one drawn from."""
    return drawn["shortest"] == drawn["truth"].replace(RIGHT)


def drawn_numbers(drawn: pd.DataFrame) -> dict[str, str]:
    sizes = sorted(drawn["n"].unique())
    last = drawn[drawn["n"] == sizes[-1]]
    missed, odd = last[~recovered(last)], last[last["truth"].isin(list(RIGHT))]
    known = missed[~missed["truth"].isin(list(RIGHT))]
    margins = [row[column(row["truth"])] - row[column(row["shortest"])] for _, row in known.iterrows()]
    told = (odd[COLUMNS].min(axis=1) - odd["given_bits"]) / odd["n"]
    return {
        "sizes": _text.listed([_text.thousands(n) for n in sizes]),
        "smallest": _text.thousands(sizes[0]), "largest": _text.thousands(sizes[-1]),
        "seeds": str(drawn["seed"].nunique()), "truths": str(drawn["truth"].nunique()),
        "recovered_smallest": _text.percent()(recovered(drawn[drawn["n"] == sizes[0]]).mean()),
        "recovered_largest": _text.percent()(recovered(last).mean()),
        "missed": _text.listed(sorted({truth(name) for name in missed["truth"]})) or "none",
        "told": f"{int((told > 0.0).sum())} of {len(told)}", "told_saved": _text.interval(told, _text.fixed(3)),
        "told_cost": _text.interval((odd[column("mixture")] - odd["given_bits"]) / odd["n"], _text.fixed(3)),
        "odd": _text.listed([truth(name) for name in RIGHT]),
        "missed_known": str(len(known)), "missed_by": _text.thousands(max(margins, default=0.0)),
        "missed_median": _text.fixed(1)(float(pd.Series(margins, dtype=float).median())),
        "recovered_others": _text.percent()(recovered(last[~last["truth"].isin(list(RIGHT))]).mean()),
        "recovered_table": _recovered_table(drawn, sizes), "confusion_table": _confusion_table(last),
    }  # fmt: skip


def _recovered_table(drawn: pd.DataFrame, sizes: list[int]) -> str:
    """Of how many draws the true prior is the shortest, and what a Gaussian and a Laplace cost of most weights."""
    rows = []
    for name in drawn["truth"].unique():
        mine = drawn[drawn["truth"] == name]
        last = mine[mine["n"] == sizes[-1]]
        above = {
            SHOWN[p]: (last[column(p)] - last[column(RIGHT.get(name, name))]) / sizes[-1] for p in PRIOR_OF.values()
        }
        rows.append({
            "drawn from": truth(name),
            **{f"{n:,.0f} weights": int(recovered(mine[mine["n"] == n]).sum()) for n in sizes},
            **{f"{prior} above it": _text.fixed(3)(bits.mean()) for prior, bits in above.items()},
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return _markdown(frame)


def _confusion_table(drawn: pd.DataFrame) -> str:
    counts = confusion(drawn).rename(columns=SHOWN)
    counts.insert(0, "drawn from", [truth(name) for name in counts.index])
    return _text.table(counts, dict.fromkeys(counts.columns, lambda cell: str(cell) if cell else "·"))


# --- checkpoints ------------------------------------------------------------------------------------------------------


def checkpoint_numbers(table: pd.DataFrame) -> dict[str, str]:
    rows, percent, bits = main_step(table), _text.percent(), _text.fixed(3)
    by = groups(rows)
    found = {
        "networks": str(rows["table"].nunique()), "tensors": str(len(rows)),
        "weights": _text.thousands(rows["n"].sum()), "gaussian_tensors": percent(won(rows, "gaussian")[0]),
        "gaussian_weights": percent(won(rows, "gaussian")[1]),
        "winners_table": _winners(rows), "costs_table": _costs(rows), "sizes_table": _by_size(rows),
        "kinds_table": _kinds(rows), "networks_table": _networks(rows),
        "steps_table": _steps(part(table, "checkpoint")),
        "network_interval": _text.interval(_network_means(by["matrices"]), bits),
        "gaussian_cost_weights": bits(float(excess(rows)["gaussian"] @ rows["n"] / rows["n"].sum())),
        "cheapest": SHOWN[excess(by["matrices"]).mean().idxmin()],
        "p_matrices": _text.fixed(2)(by["matrices"]["shape"].median()),
        "p_between": percent(by["matrices"]["shape"].between(1.0, 2.0, inclusive="left").mean()),
        "p_below": percent((by["matrices"]["shape"] < 1.0).mean()),
    }  # fmt: skip
    for name, some in by.items():
        costs, (tensors, weights) = excess(some), won(some, "gaussian")
        centred = (some["gaussian_at_zero_bits"] - some["gaussian_bits"]) / some["n"]
        found |= {
            name: str(len(some)), f"gaussian_{name}": percent(tensors), f"gaussian_{name}_weights": percent(weights),
            f"student_{name}": percent(won(some, "student")[0]), f"centre_{name}": _text.interval(centred, bits),
            **{f"{prior}_cost_{name}": _text.interval(costs[prior], bits) for prior in PRIORS},
        }  # fmt: skip
    return found | _scaled(by["matrices"])


def _network_means(matrices: pd.DataFrame) -> pd.Series:
    """Mean cost of a Gaussian over the matrices of each network."""
    return excess(matrices)["gaussian"].groupby(matrices["table"]).mean()


def _scaled(matrices: pd.DataFrame) -> dict[str, str]:
    """Scales for rows and columns against every prior with one scale."""
    rows = matrices[matrices["scaled_gaussian_bits"].notna()]
    saved = (rows[COLUMNS].min(axis=1) - rows["scaled_gaussian_bits"]) / rows["n"]
    heavier = (rows["scaled_gaussian_bits"] - rows["scaled_student_bits"]) / rows["n"]
    bits = _text.fixed(3)
    return {
        "scaled_matrices": str(len(rows)),
        "scaled_shorter": _text.percent()((saved > 0.0).mean()),
        "scaled_shorter_weights": _text.percent()(rows.loc[saved > 0.0, "n"].sum() / rows["n"].sum()),
        "scaled_saved": _text.interval(saved, bits),
        "scaled_student": _text.interval(heavier, bits),
        "scaled_gaussian": _text.interval((rows["gaussian_bits"] - rows["student_bits"]) / rows["n"], bits),
    }


def _winners(rows: pd.DataFrame) -> str:
    """How many tensors of each kind are shortest under each prior; a share of all weights below."""
    kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()]
    counts = pd.crosstab(rows["kind"], rows["shortest"]).reindex(index=kinds, columns=list(PRIORS), fill_value=0)
    shown = counts.rename(columns=SHOWN)
    shown.insert(0, "kind", kinds)
    shown.loc["all"] = ["all", *counts.sum()]
    shown = shown.astype(str)
    shown.loc["weights"] = ["weights, %", *(_text.percent(1)(won(rows, prior)[1]) for prior in PRIORS)]
    return _markdown(shown)


def _costs(rows: pd.DataFrame) -> str:
    """Bits a weight above the shortest: means with intervals over tensors, and over weights."""
    costs, weights = excess(rows), rows["n"] / rows["n"].sum()
    by = groups(rows)
    frame = pd.DataFrame([
        {"prior": SHOWN[prior],
         **{name: _text.interval(excess(some)[prior], _text.fixed(3)) for name, some in by.items()},
         "mean over weights": _text.fixed(4)(float(costs[prior] @ weights))}
        for prior in costs.mean().sort_values().index
    ])  # fmt: skip
    return _markdown(frame)


def _by_size(rows: pd.DataFrame) -> str:
    """Small, middling and large tensors."""
    small, large = _SIZES
    sizes = {f"below {small}": rows["n"] < small, f"{small} to {large - 1:,}": rows["n"].between(small, large - 1),
             f"{large:,} and more": rows["n"] >= large}  # fmt: skip
    frame = pd.DataFrame([
        {"weights of a tensor": name, "tensors": int(chosen.sum()),
         "shortest under a Gaussian, %": _text.percent()(won(rows[chosen], "gaussian")[0]),
         "shortest for most": SHOWN[leader(rows[chosen], "tensors")],
         "a Gaussian above the shortest": _text.interval(excess(rows[chosen])["gaussian"], _text.fixed(3))}
        for name, chosen in sizes.items() if chosen.any()
    ])  # fmt: skip
    return _markdown(frame)


def _steps(rows: pd.DataFrame) -> str:
    """Whether the winner depends on the step."""
    main = rows.loc[rows["fraction"] == FRACTION, "shortest"].to_numpy()  # tensors are in the same order at every step
    lines = []
    for fraction, some in rows.groupby("fraction", sort=False):
        tensors, weights = won(some, "gaussian")
        same = some["shortest"].to_numpy() == main
        lines.append({
            "step, of the mean deviation": f"1/{round(1 / fraction)}",
            "Gaussian, % of tensors": _text.percent()(tensors), "of weights": _text.percent()(weights),
            "most tensors": SHOWN[leader(some, "tensors")], "most weights": SHOWN[leader(some)],
            "a Gaussian above the shortest": _text.interval(excess(some)["gaussian"], _text.fixed(3)),
            "same winner, %": _text.percent()(same.mean()),
        })  # fmt: skip
    frame = pd.DataFrame(lines)
    return _markdown(frame)


def _kinds(rows: pd.DataFrame) -> str:
    """Tails by kind: medians."""
    frame = pd.DataFrame([
        {"kind": kind, "tensors": len(some), "excess kurtosis": _text.fixed(2)(some["kurtosis"].median()),
         "p of a generalised Gaussian": _text.fixed(2)(some["shape"].median()),
         "degrees of freedom of a Student's t": _text.significant(2)(some["df"].median())}
        for kind, some in rows.groupby("kind", sort=False)
    ])  # fmt: skip
    return _markdown(frame)


def _networks(rows: pd.DataFrame) -> str:
    """Network by network, its matrices."""
    frame = pd.DataFrame([
        {"network": name, "matrices": len(some), "weights": _text.thousands(some["n"].sum()),
         "Gaussian, %": _text.percent()(won(some, "gaussian")[0]), "most matrices": SHOWN[leader(some, "tensors")],
         "most weights": SHOWN[leader(some)],
         "a Gaussian above the shortest": _text.interval(excess(some)["gaussian"], _text.fixed(3))}
        for name, some in groups(rows)["matrices"].groupby("table", sort=False)
    ])  # fmt: skip
    return _markdown(frame)


# --- penalties by name ------------------------------------------------------------------------------------------------


def case(table: str, model: str) -> str:
    """A model of a table."""
    return f"{table.replace('_', ' ')}, {'logistic' if model == 'logistic' else 'perceptron'}"


def gap(rows: pd.DataFrame) -> pd.Series:
    """Bits a weight that a Gaussian takes above a Laplace."""
    return (rows["gaussian_bits"] - rows["laplace_bits"]) / rows["n"]


def right(rows: pd.DataFrame) -> pd.Series:
    """Whether the shorter of a Gaussian's and a Laplace's code is that of the penalty."""
    return (gap(rows) < 0.0) == (rows["penalty"] == "L2")


def chosen(trained: pd.DataFrame) -> pd.DataFrame:
    """Models at the strength that the validation set takes."""
    return trained[trained["chosen"].astype(bool)]


def naming_numbers(trained: pd.DataFrame, control: pd.DataFrame) -> dict[str, str]:
    percent, taken = _text.percent(), chosen(trained)
    found = {
        "named": percent(right(taken).mean()), "named_drawn": percent(right(control).mean()),
        "models": str(len(taken)), "splits": str(trained["seed"].nunique()),
        "strengths": str(trained["strength"].nunique()),
        "weakest": f"{trained['strength'].min():g}", "strongest": f"{trained['strength'].max():g}",
        "unfinished": str(int((~trained["converged"].astype(bool)).sum())), "naming_table": _naming(trained, control),
        "ordered": percent(_ordered(taken)),
        "zeros_l1": percent(taken.loc[taken["penalty"] == "L1", "zeros"].min()),
        "spike_l1": percent((taken.loc[taken["penalty"] == "L1", "shortest"] == "spike").mean()),
        "gaussian_l2": percent((taken.loc[taken["penalty"] == "L2", "shortest"] == "gaussian").mean()),
    }  # fmt: skip
    for penalty in PENALTIES:
        mine = [rows[rows["penalty"] == penalty] for rows in (taken, trained, control)]
        at, path, draws = (percent(right(rows).mean()) for rows in mine)
        name = penalty.lower()
        found |= {f"named_{name}": at, f"named_path_{name}": path, f"named_drawn_{name}": draws}
    return found


def _ordered(taken: pd.DataFrame) -> float:
    """Share of splits on which the model under L1 leans further to a Laplace than the one under L2."""
    gaps = taken.assign(gap=gap(taken)).pivot_table(index=["table", "model", "seed"], columns="penalty", values="gap")
    return float((gaps["L1"] > gaps["L2"]).mean())


def _naming(trained: pd.DataFrame, control: pd.DataFrame) -> str:
    """Model by model, at the strength that the validation set takes."""
    lines = []
    for (table, model, penalty), rows in chosen(trained).groupby(["table", "model", "penalty"], sort=False):
        draws = control[(control["table"] == table) & (control["model"] == model) & (control["penalty"] == penalty)]
        lines.append({
            "model": case(table, model), "penalty": penalty, "weights": _text.thousands(rows["n"].iloc[0]),
            "named right": f"{int(right(rows).sum())} of {len(rows)}",
            "drawn, named right": f"{int(right(draws).sum())} of {len(draws)}",
            "Gaussian less Laplace, bits a weight": _text.interval(gap(rows), _text.fixed(2)),
            "exact zeros, %": _text.percent()(rows["zeros"].mean()),
            "shortest for most": SHOWN[rows["shortest"].mode()[0]],
        })  # fmt: skip
    frame = pd.DataFrame(lines)
    return _markdown(frame)
