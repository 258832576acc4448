"""What the table of moved centres says: what each adds to zero, in numbers and in Markdown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from analyses import _text
from mdl import plot
from mdl.length import LN2

CENTRES = {
    "random": "random",
    "shuffled": "shuffled labels' solution",
    "renamed": "other split's, classes renamed",
    "rotated": "turned images' solution",
    "other": "other split's solution",
    "own": "its own solution (oracle)",
    "opposite": "other split's, negated",
}
NETWORK_CENTRES = {
    "random": "random", "shuffled": "shuffled labels", "rotated": "turned images",
    "other, searched elsewhere": "other split, searched\nfrom another start", "other": "other split",
    "copy": "other split, units\npermuted, signs turned", "own seed": "another start (oracle)",
}  # fmt: skip
_AT_ZERO = ["bits", "test_bits", "test_error", "freedom", "sampled_bits", "averaged_test_bits"]
_OF_NETWORKS = ["bits", "test_bits", "test_error", "freedom", "sampled_bits", "averaged_test_bits", "random_left_bits"]


def extras(table: pd.DataFrame) -> pd.DataFrame:
    """What each centre of the paths adds to zero's, a row a split, direction and radius: draws are averaged."""
    paths = table[table["part"] == "paths"].reset_index(drop=True)
    starts = paths[paths["radius"] == 0.0].groupby(["table", "seed"])[[*_AT_ZERO, "distance", "scale"]].first()
    zero = starts.loc[pd.MultiIndex.from_frame(paths[["table", "seed"]])].reset_index(drop=True)
    found = paths[["table", "seed", "direction", "radius", "angle_cosine"]].copy()
    for name in _AT_ZERO:
        found[name] = paths[name] - zero[name]
    found["derived_bits"] = paths["derived_bits"] - zero["bits"]
    # over directions: the penalty of the way, times the share of weights that the data determine
    way = (paths["radius"] * zero["distance"] / zero["scale"]) ** 2 / 2.0 / LN2
    found["law_bits"] = way * zero["freedom"] / paths["weights"]
    found["two_part_bits"] = paths["two_part_bits"] - paths["zero_two_part_bits"]
    found["sent_bits"] = paths["sent_bits"] - zero["bits"]
    found["labels_bits"] = paths["labels_bits"] + found["bits"]
    found["paid_bits"] = paid(found["sent_bits"], found["labels_bits"])
    found["own_scale_bits"] = paths["own_scale_bits"] - zero["bits"]
    found["own_scale_test_bits"] = paths["own_scale_test_bits"] - zero["test_bits"]
    found["freedom_share"] = paths["freedom"] / zero["freedom"]
    return found.groupby(["table", "seed", "direction", "radius"], sort=False).mean().reset_index()


def paid(sent: pd.Series, labels: pd.Series) -> pd.Series:
    """The shorter of two ways to tell a centre; which of the two it is takes a bit."""
    return np.fmin(sent, labels) + (sent.notna() & labels.notna())


def one(found: pd.DataFrame, name: str, direction: str, radius: float = 1.0) -> pd.DataFrame:
    """A row a split."""
    return found[(found["table"] == name) & (found["direction"] == direction) & (found["radius"] == radius)]


def capacities(table: pd.DataFrame) -> pd.DataFrame:
    """Luckiness NML's complexity over all labellings, as a share of that about zero; draws are averaged."""
    small = table[table["part"] == "labellings"]
    zero = small[small["radius"] == 0.0].groupby("seed")["lnml_complexity_bits"].first()
    share = small["lnml_complexity_bits"].to_numpy() / zero.loc[small["seed"]].to_numpy()
    return small.assign(share=share).groupby(["seed", "direction", "radius"])["share"].mean().reset_index()


def share(table: pd.DataFrame, direction: str, radius: float | None = None) -> pd.Series:
    """Of the capacity about zero, at the largest radius if none is given; a number a split."""
    small = capacities(table)
    at = small["radius"].max() if radius is None else radius
    return small.loc[(small["direction"] == direction) & (small["radius"] == at), "share"]


def networks(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """What each centre of the network of a table adds to zero's, a row a split and centre."""
    found = table[(table["part"] == "network") & (table["table"] == name)].dropna(axis=1, how="all")
    columns = [column for column in _OF_NETWORKS if column in found]
    zero = found[found["direction"] == "zero"].set_index("seed")[columns]
    differences = found[columns].to_numpy() - zero.loc[found["seed"]].to_numpy()
    return found.assign(**dict(zip(columns, differences.T, strict=True)))


def about(found: pd.DataFrame, direction: str, of: str) -> pd.Series:
    """A number a split."""
    return found.loc[found["direction"] == direction, of]


def correlations(table: pd.DataFrame, of: str) -> pd.DataFrame:
    """Rank correlation over all centres of a split, with the distance to its own solution and the derived length."""
    paths = table[(table["part"] == "paths") & (table["radius"] > 0.0)]
    found = []
    for (name, seed), part in paths.groupby(["table", "seed"], sort=False):
        own = {x: float(stats.spearmanr(part[x], part[of]).statistic) for x in ("distance", "derived_bits")}
        found.append({"table": name, "seed": seed, **own})
    return pd.DataFrame(found)


def signed(found: pd.DataFrame, name: str = "breast_cancer") -> pd.DataFrame:
    """On the line through zero and the other split's solution: classes as named, names exchanged, and their mean."""
    ahead, back = (found[(found["table"] == name) & (found["direction"] == way)] for way in ("other", "opposite"))
    named = pd.concat([ahead, back[back["radius"] > 0.0].assign(radius=-back["radius"])])[["seed", "radius", "bits"]]
    exchanged = named.assign(radius=-named["radius"])
    mean = pd.concat([named, exchanged]).groupby(["seed", "radius"])["bits"].mean().reset_index()
    parts = {"named": named, "exchanged": exchanged, "mean": mean}
    return pd.concat([part.assign(names=names) for names, part in parts.items()], ignore_index=True)


def ridge_spread(table: pd.DataFrame) -> float:
    """Largest change of ridge's complexity over the centres of a split, from the dense normal density; bits."""
    ridge = table[table["dense_complexity_bits"].notna()]
    return float(ridge.groupby("seed")["dense_complexity_bits"].agg(np.ptp).max())


def ridge_error(found: pd.DataFrame) -> float:
    """Largest difference of ridge's length from the second-order formula, bits."""
    ridge = found[found["table"] == "diabetes"]
    return float((ridge["bits"] - ridge["derived_bits"]).abs().max())


def exchanged_error(table: pd.DataFrame) -> float:
    """Largest difference that exchanging the names and negating the centre makes, bits."""
    return float((table["exchanged_bits"] - table["bits"]).abs().max())


def network_lengths(table: pd.DataFrame) -> pd.DataFrame:
    """Bits, a row a table and split, a column a centre."""
    return table[table["part"] == "network"].pivot_table("bits", ["table", "seed"], "direction")


def tasks(found: pd.DataFrame) -> pd.Series:
    """How many tasks the other split of the last table must serve before its labels are paid for, a number a split."""
    last = one(found, str(found["table"].iloc[-1]), "other")
    return (last["labels_bits"] - last["bits"]) / -last["bits"]


# --- in Markdown ------------------------------------------------------------------------------------------------------


def plain(name: object) -> str:
    """A table's name in prose."""
    return str(name).replace("_", " ")


def centres_table(found: pd.DataFrame) -> str:
    """Every centre at the distance of the solution: what it adds, with intervals."""
    said, small, fine = [], _text.fixed(1), _text.fixed(3)
    for (name, direction), part in found[found["radius"] == 1.0].groupby(["table", "direction"], sort=False):
        said.append({
            "table": plain(name), "centre": CENTRES[str(direction)],
            "cosine": _text.fixed(2)(part["angle_cosine"].mean()),
            "length": _text.interval(part["bits"], small), "held-out loss": _text.interval(part["test_bits"], fine),
            "loss, average": told(part["averaged_test_bits"], fine),
            "errors": fine(part["test_error"].mean()), "freedom": small(part["freedom"].mean()),
            "own scale": told(part["own_scale_bits"], small),
            "two parts": small(part["two_part_bits"].mean()), "paid for": _text.interval(part["paid_bits"], small),
        })  # fmt: skip
    return _text.table(pd.DataFrame(said), dict.fromkeys(said[0], str))


def law_table(found: pd.DataFrame) -> str:
    """Random centres: the length as measured and as derived."""
    random = found[(found["direction"] == "random") & (found["radius"] > 0.0)]
    mean = random.groupby(["table", "radius"], sort=False)[["bits", "derived_bits", "law_bits"]].mean().reset_index()
    names = {"bits": "measured", "derived_bits": "second order", "law_bits": "expected over directions"}
    shown = mean.assign(table=mean["table"].map(plain)).rename(columns=names)
    return _text.table(shown, {"table": str, "radius": "{:g}".format, **dict.fromkeys(names.values(), _text.fixed(1))})


def correlation_table(table: pd.DataFrame) -> str:
    """A row a table and quantity."""
    said, two = [], _text.fixed(2)
    for of, what in {"bits": "code length", "test_bits": "held-out loss"}.items():
        for name, part in correlations(table, of).groupby("table", sort=False):
            said.append({
                "table": plain(name), "of": what, "with distance": _text.interval(part["distance"], two),
                "with derived length": _text.interval(part["derived_bits"], two),
            })  # fmt: skip
    return _text.table(pd.DataFrame(said), dict.fromkeys(said[0], str))


def network_table(found: pd.DataFrame) -> str:
    """A row a centre of one table's networks."""
    said, sampled = [], "sampled_bits" in found
    for name in [name for name in NETWORK_CENTRES if name in set(found["direction"])]:
        part, fine = found[found["direction"] == name], _text.fixed(3)
        row = {
            "centre": NETWORK_CENTRES[name].replace("\n", " "), "length": _text.interval(part["bits"], _text.fixed(0)),
            "held-out loss": _text.interval(part["test_bits"], fine),
            "errors": fine(part["test_error"].mean()), "freedom": _text.fixed(0)(part["freedom"].mean()),
            "distance": _text.fixed(1)(part["distance"].mean()), "moved": _text.fixed(1)(part["moved"].mean()),
            "random labels": told(part["random_left_bits"], fine),
        }  # fmt: skip
        if sampled:
            row |= {
                "length, all modes": told(part["sampled_bits"], _text.fixed(1)),
                "loss, average": told(part["averaged_test_bits"], fine),
            }
        said.append(row)
    return _text.table(pd.DataFrame(said), dict.fromkeys(said[0], str))


def told(values: pd.Series, said: Callable[[float], str]) -> str:
    """Mean and interval; a dash where nothing was measured."""
    return _text.interval(values, said) if values.notna().any() else "–"


def span(values: pd.Series, digits: int) -> str:
    """``mean (low to high)``."""
    return _text.interval(values, _text.fixed(digits))


def above(values: pd.Series) -> bool:
    """Whether the interval of the mean lies above 0."""
    return plot.mean_interval(values)[1] > 0.0
