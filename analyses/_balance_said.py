"""Numbers and tables of :mod:`analyses.balanced_reliance`, as its page prints them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analyses import _balance_found as found_in
from analyses import _text
from analyses._balance import ALIKE, APART
from analyses._balance_facts import EQUAL, LEVEL
from analyses._balance_found import GROUP, RIVALS, TITLES, UNITS
from analyses._penalty_paths import PENALTIES
from mdl import plot

SHOWN = {"none": "no penalty", "L2": "L2", "L1": "L1"}
_LEAST = 1e-16  # what is smaller is rounding and no more


def tiny(value: float) -> str:
    """A deviation that is due to rounding."""
    return _text.significant(1)(max(value, _LEAST))


def plain(name: str) -> str:
    return TITLES.get(name, name)


def counted(found: pd.DataFrame) -> str:
    """``higher in 3 and lower in 12 of 18 groups``."""
    signs = found_in.signs(found)
    return f"higher in {signs.above} and lower in {signs.below} of {signs.groups} groups"


def spread(found: pd.DataFrame, digits: int = 2) -> str:
    """The least and the greatest mean difference of a group."""
    means = found.groupby(GROUP)["difference"].mean()
    return _text.between(*map(_text.fixed(digits), (means.min(), means.max())))


def model_numbers(table: pd.DataFrame, levels: pd.DataFrame) -> dict[str, str]:
    """Differences at equal training loss."""
    said = {}
    for rival in RIVALS:
        for quantity, digits in {"pr": 2, "lost_bits": 2, "reliance": 2, "test_bits": 3}.items():
            found = found_in.differences(levels, quantity, rival)
            said |= {f"{quantity}_{rival.lower()}": counted(found),
                     f"{quantity}_{rival.lower()}_by": spread(found, digits)}  # fmt: skip
    groups, shuffled = found_in.models(table), found_in.shuffled_lost(table)
    networks = groups[(groups["model"] == "network") & (groups["penalty"] != "none") & (groups["layer"] == 0.0)]
    return said | {
        "splits": str(groups["seed"].nunique()), "level": f"{LEVEL:g}",
        "levels": _text.listed([f"{level:g}" for level in found_in.LEVELS]),
        "disagreeing": str(found_in.disagreeing(levels)),
        "unfinished": _text.percent()(1.0 - float(networks["converged"].astype(float).mean())),
        "shuffled_lost": _text.listed([
            f"{_text.interval(own, _text.fixed(2))} ({plain(name)})"
            for name, own in shuffled.groupby("table", sort=False)
        ]),
        "normal_pr": _text.fixed(2)(2.0 / np.pi), "uniform_pr": _text.fixed(2)(0.75),
        "alike": f"{ALIKE:g}", "apart": f"{APART:g}", "balance_table": balance_table(levels, "pr", 3),
        "lost_table": balance_table(levels, "lost_bits", 3), "links_table": links_table(levels),
        **_random_lost(levels),
        "pairs_table": pairs_table(levels), **_ends(table), **_controls(table),
    }  # fmt: skip


def _random_lost(levels: pd.DataFrame) -> dict[str, str]:
    """What a random input of every neuron is worth beside the strongest, at the level shown."""
    own = levels[(levels["labels"] == "true") & (levels["level"] == LEVEL)]
    means = own.groupby([*GROUP, "penalty"])[["random_lost_bits", "lost_bits"]].mean().dropna()
    return {
        "random_lost": _text.between(*(_text.fixed(3)(end) for end in means["random_lost_bits"].agg(["min", "max"]))),
        "random_less": f"{int((means['random_lost_bits'] < means['lost_bits']).sum())} of {len(means)}",
    }


def _ends(table: pd.DataFrame) -> dict[str, str]:
    """What the whole path of L2 changes in softmax regression: balance, and the largest weight."""
    said = {}
    for inputs in ("standardised", "whitened"):
        ratio, largest = (found_in.ends(table, inputs, quantity) for quantity in ("pr", "largest"))
        means = ratio.groupby("table", sort=False)[["weakest", "strongest"]].mean()
        said[f"ends_{inputs}"] = _text.listed([
            f"{_text.fixed(2)(row['weakest'])} to {_text.fixed(2)(row['strongest'])} ({plain(str(name))})"
            for name, row in means.iterrows()
        ])  # fmt: skip
        times = (largest["weakest"] / largest["strongest"]).groupby(largest["table"]).mean()
        said[f"shrunk_{inputs}"] = _text.between(*(_text.significant(2)(end) for end in (times.min(), times.max())))
    return said


def _controls(table: pd.DataFrame) -> dict[str, str]:
    """More steps of the optimiser, and starts without a penalty."""
    longer, starts = table[table["part"] == "longer"], table[table["part"] == "starts"]
    change = (longer["longer_pr"] - longer["pr"]).groupby(longer["seed"]).mean()
    small = (starts["small_start_pr"] - starts["pr"]).groupby(starts["table"], sort=False)
    return {
        "longer": _text.interval(change, _text.fixed(3)),
        "longer_most": _text.fixed(3)((longer["longer_pr"] - longer["pr"]).abs().max()),
        "small_start": _text.listed(
            [f"{_text.interval(own, _text.fixed(2))} ({plain(str(name))})" for name, own in small]
        ),
    }


def balance_table(levels: pd.DataFrame, quantity: str, digits: int) -> str:
    """Each penalty's mean at the level shown; L2 less each of the others, mean over the levels that both reach."""
    own = levels[(levels["labels"] == "true") & (levels["level"] == LEVEL)]
    means = own.pivot_table(index=GROUP, columns="penalty", values=quantity, sort=False, dropna=False)
    fixed = _text.fixed(digits)
    rows = []
    for key, row in _in_order(means).iterrows():
        cells = dict(zip(("table", "units", "inputs"), (plain(str(key[0])), *key[1:]), strict=True))
        cells |= {SHOWN[penalty]: fixed(row.get(penalty, np.nan)) for penalty in PENALTIES}
        rows.append(cells)
    frame = pd.DataFrame(rows)
    for rival in RIVALS:
        found = found_in.differences(levels, quantity, rival).groupby(GROUP)["difference"]
        said = {key: _text.interval(values, fixed) for key, values in found}
        frame[f"L2 − {SHOWN[rival]}"] = [said.get(key, "–") for key in _in_order(means).index]
    return _cells(frame)


def _in_order(means: pd.DataFrame) -> pd.DataFrame:
    order = [(t, u, i) for t in TITLES for u in UNITS for i in ("standardised", "whitened") if (t, u, i) in means.index]
    return means.loc[order]


def links_table(levels: pd.DataFrame) -> str:
    """Rank correlations over a model's neurons of the largest weight with balance, and with the strongest's share."""
    said: dict[tuple[str, str, str], dict[str, str]] = {}
    for quantity, name in {"link_pr": "ratio", "link_reliance": "share"}.items():
        for (key, penalty), values in _links(levels, quantity).items():
            said.setdefault(key, {})[f"{SHOWN[penalty]}, {name}"] = _text.interval(values, _text.fixed(2))
    columns = [f"{SHOWN[penalty]}, {name}" for name in ("ratio", "share") for penalty in PENALTIES]
    rows = [
        {"table": plain(key[0]), "units": key[1], "inputs": key[2], **{name: cells.get(name, "–") for name in columns}}
        for key, cells in sorted(said.items(), key=lambda item: (list(TITLES).index(item[0][0]), item[0][1:]))
    ]
    return _cells(pd.DataFrame(rows, columns=["table", "units", "inputs", *columns]))


def _links(levels: pd.DataFrame, quantity: str) -> dict[tuple[tuple[str, str, str], str], pd.Series]:
    found = found_in.links(levels, quantity)
    return {(tuple(key[:3]), key[3]): own[quantity] for key, own in found.groupby([*GROUP, "penalty"], sort=False)}


def pairs_table(levels: pd.DataFrame) -> str:
    """How far the weights of two inputs are apart, at the level shown."""
    own = levels[(levels["labels"] == "true") & (levels["level"] == LEVEL) & (levels["inputs"] == "standardised")]
    rows = []
    for (name, units), part in own[own["alike_gap"].notna()].groupby(["table", "units"], sort=False):
        row = {"table": plain(str(name)), "units": units}
        for column, said in {"alike_gap": "near copies", "apart_gap": "unlike"}.items():
            means = part.groupby("penalty")[column].mean()
            row |= {f"{said}, {SHOWN[penalty]}": _text.fixed(2)(means.get(penalty, np.nan)) for penalty in PENALTIES}
        rows.append(row)
    return _cells(pd.DataFrame(rows))


def dial_numbers(table: pd.DataFrame) -> dict[str, str]:
    """Known truths."""
    found = table[table["part"] == "dial"]
    ends = {"apart": found["correlation"].min(), "close": found["correlation"].max()}
    said = {
        "draws": str(found["seed"].nunique()), "dial_share": f"{found_in.DIAL_SHOWN:g}",
        "correlation_close": f"{ends['close']:g}",
        "dial_table": dial_table(table),
    }  # fmt: skip
    for end, correlation in ends.items():
        for truth in ("equal", "one"):
            over = found_in.paired(found_in.dial(table, truth), "excess_bits", correlation)
            said[f"over_{truth}_{end}"] = _text.interval(over, _text.fixed(3))
    close = found_in.dial(table, "equal")
    for penalty, part in close[close["correlation"] == ends["close"]].groupby("penalty"):
        said[f"close_pr_{str(penalty).lower()}"] = _text.fixed(2)(part["pr"].mean())
        said[f"close_lost_{str(penalty).lower()}"] = _text.fixed(2)(part["lost_bits"].mean())
    return said


def dial_table(table: pd.DataFrame) -> str:
    """Balance and loss of both penalties at every share of the way, at the ends of the dial."""
    found = table[table["part"] == "dial"]
    ends = found["correlation"].isin([found["correlation"].min(), found["correlation"].max()])
    keys = ["truth", "correlation", "share", "penalty"]
    means = found[ends].groupby(keys, sort=False)[["pr", "excess_bits", "lost_bits"]].mean().reset_index()
    means = means.sort_values(["truth", "correlation", "share"], kind="stable")
    shown = pd.DataFrame({
        "truth": means["truth"].map({"equal": "all alike", "one": "one input"}),
        "correlation": means["correlation"], "share of the way": means["share"],
        "penalty": means["penalty"].map(SHOWN), "participation ratio": means["pr"],
        "excess loss, bits": means["excess_bits"], "strongest input, bits": means["lost_bits"],
    })  # fmt: skip
    formats: dict[str, Callable[..., str]] = dict.fromkeys(shown.columns[4:], _text.fixed(2))
    plainly: Callable[..., str] = "{:g}".format
    return _text.table(
        shown, {"truth": str, "correlation": plainly, "share of the way": plainly, "penalty": str, **formats}
    )


def length_numbers(table: pd.DataFrame) -> dict[str, str]:
    """Priors, and messages of models."""
    links, found, facts = found_in.length_links(table), found_in.with_lengths(table), found_in.facts(table)
    said = {
        "equal": _text.fixed(3)(EQUAL), "law_error": tiny(facts["law_error_bits"]),
        "law_rank": _each(links, "saved_rank", _text.fixed(2)), "law_same": _shares(links, "saved_same"),
        "fine_rank": _each(links, "fine_saved_rank", _text.fixed(2)),
        "fine_same": _shares(links, "fine_saved_same"), "fine_off": _each(links, "off", _text.fixed(2)),
        "length_models": str(len(found)),
    }  # fmt: skip
    for penalty in PENALTIES:
        own = found[found["penalty"] == penalty]
        said[f"saved_{penalty.lower()}"] = _each(own, "saved", _text.fixed(2))
    rows = table[table["part"] == "facts"]
    for kind in ("penalty", "gaussian", "laplace"):
        names = {name: f"{name}_copies_{kind}_bits" for name in TITLES}
        own = [(plain(name), rows[rows["fact"] == fact]["value"]) for name, fact in names.items()]
        said[f"copies_{kind}_bits"] = _text.listed([
            f"{_text.interval(values, _text.fixed(1))} ({name})" for name, values in own if len(values)
        ])  # fmt: skip
    return said


def _each(found: pd.DataFrame, column: str, said: Callable[[float], str]) -> str:
    """The mean of every table's splits, with its interval over them."""
    means = found.groupby(["table", "seed"], sort=False)[column].mean().groupby("table", sort=False)
    return _text.listed([f"{_text.interval(values, said)} ({plain(str(name))})" for name, values in means])


def _shares(found: pd.DataFrame, column: str) -> str:
    """The mean of every table's splits, per cent."""
    means = found.groupby("table", sort=False)[column].mean()
    return _text.listed([f"{_text.percent()(mean)} ({plain(str(name))})" for name, mean in means.items()])


def fact_numbers(table: pd.DataFrame) -> dict[str, str]:
    """Identities by their largest deviation; ratios by their mean."""
    facts = found_in.facts(table)
    exact = (
        "copies_apart", "copies_merged", "orthonormal_change", "soft_threshold", "softmax_copies_apart",
        "network_copies_apart", "free_difference_moved", "units_contributions", "rotation_l2_moved",
    )  # fmt: skip
    measured = (
        "orthonormal_pr", "orthonormal_l1_pr", "units_pr", "units_other_pr", "rotation_pr", "rotation_other_pr",
        "bound_used", "free_moved",
    )  # fmt: skip
    found = {name: tiny(facts[name]) for name in exact} | {name: _text.fixed(2)(facts[name]) for name in measured}
    return found | {
        "gaussian_even": tiny(abs(facts["gaussian_even_over_one_bits"])),
        "laplace_even": _text.fixed(1)(facts["laplace_even_over_one_bits"]),
        "copies_evidence": tiny(max(value for name, value in facts.items() if name.endswith("copies_evidence"))),
    }


def link_span(levels: pd.DataFrame) -> tuple[float, float]:
    """The least and the greatest mean rank correlation of the largest weight with balance."""
    means = [float(plot.mean_interval(values)[0]) for values in _links(levels, "link_pr").values()]
    return min(means), max(means)


def _cells(frame: pd.DataFrame) -> str:
    """Cells as they are."""
    return _text.table(frame, dict.fromkeys(frame.columns, str))
