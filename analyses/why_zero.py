"""Is zero special? A prior of the same width is centred elsewhere.

Ridge and logistic regression on real tables: the centre of a Gaussian prior is moved from zero along straight lines, at
random, towards solutions and away from them. A perceptron's is put on solutions and their symmetric copies. The table
has three parts, named in its first column: ``paths``; ``labellings``, where the capacity of a small logistic regression
is summed over all labellings; ``network``.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses import _centre_networks as nets
from analyses import _centre_summary as summary
from analyses import _command, _text
from analyses._centre_summary import CENTRES, NETWORK_CENTRES, about, above, one, plain, span
from analyses._centre_tasks import DEGREES
from analyses._centres import SIZES, Cell, rows
from analyses._copies import count_bits
from mdl import plot

CLAIM = (
    "A Gaussian prior limits capacity as much wherever it is centred. Its centre moves only the code length and the "
    "held-out loss, and both depend on nothing but the distance from the centre to the solutions: zero beats a random "
    "centre because it is the point that the symmetries of the problem leave in place, and it loses to any centre that "
    "knows something of the solution; once such a centre is paid for, zero wins again."
)
SPLITS = {"diabetes": 10, "breast_cancer": 10, "digits": 8}
SMALL_SPLITS, NETWORK_SPLITS = 6, 8
TABLES = {"diabetes": "diabetes, ridge", "breast_cancer": "breast cancer, logistic", "digits": "digits, softmax"}
_SAME = 1e-7  # bits that rounding errors may make
_RANKED = 0.95  # rank correlation from which on distance is all that matters


def measure(options: _command.Options) -> pd.DataFrame:
    first = options.seed
    if options.quick:
        cells = [Cell("paths", table, first, quick=True) for table in ("diabetes", "breast_cancer")]
        cells += [Cell("labellings", "breast_cancer", first, quick=True)]
        return options.rows(rows, [*cells, Cell("network", nets.SAMPLED, first, quick=True)])
    cells = [Cell("paths", table, first + k) for table, splits in SPLITS.items() for k in range(splits)]
    cells += [Cell("labellings", "breast_cancer", first + k) for k in range(SMALL_SPLITS)]
    cells += [Cell("network", table, first + k) for table in nets.SIZES for k in range(NETWORK_SPLITS)]
    return options.rows(rows, cells)


# --- figures ----------------------------------------------------------------------------------------------------------


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"why_zero": _paths_figure(summary.extras(table)), "why_zero_capacity": _capacity_figure(table)}


def _network_names(table: pd.DataFrame) -> list[str]:
    """Tables that networks learnt: the largest, and the one small enough to sample."""
    return list(dict.fromkeys(table.loc[table["part"] == "network", "table"]))


def _paths_figure(found: pd.DataFrame) -> Figure:
    names = list(dict.fromkeys(found["table"]))
    figure, axes = plot.panels(len(names), 2, width=2.35, height=2.2, sharex=True)
    for column, name in enumerate(names):
        part = found[found["table"] == name]
        for row, y in enumerate(("bits", "test_bits")):
            for place, direction in enumerate(CENTRES):
                own = part[part["direction"] == direction]
                if len(own) and direction != "opposite":
                    plot.plot_lines(own, "radius", y, "direction", labels=CENTRES, first=place, ax=axes[row, column])
            axes[row, column].axhline(0.0, color="black", linewidth=0.6)
        law = part[part["direction"] == "random"].groupby("radius")["law_bits"].mean()
        axes[0, column].plot(law.index, law, "k+", markersize=4, label="random, derived")
        axes[0, column].set_title(TABLES.get(name, name))
        axes[1, column].set_xlabel("distance from zero / ‖solution‖")
    axes[0, 0].set_ylabel("code length − zero's, bits")
    axes[1, 0].set_ylabel("held-out loss − zero's,\nbits/example")
    said = {text: line for ax in axes[0] for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(said.values(), said.keys(), loc="outside upper center", ncols=4)
    return figure


def _capacity_figure(table: pd.DataFrame) -> Figure:
    figure, axes = plot.panels(2, 2, width=3.5, height=2.5)
    _draw_capacity(table, axes[0, 0])
    _draw_names(summary.extras(table), axes[0, 1])
    found = summary.networks(table, _network_names(table)[0])
    _draw_network(found, "bits", axes[1, 0])
    axes[1, 0].set_xlabel("network: code length − zero's, bits")
    _draw_network(found, "test_bits", axes[1, 1])
    axes[1, 1].set_xlabel("network: held-out loss − zero's, bits/example")
    axes[1, 1].tick_params(labelleft=False)
    return figure


def _draw_capacity(table: pd.DataFrame, axes: Axes) -> None:
    said = {"random": "labellings, random", "own": "labellings, own"}
    plot.plot_lines(summary.capacities(table), "radius", "share", "direction", labels=said, ax=axes)
    found = summary.extras(table)
    random = found[found["direction"] == "random"]
    freedoms = {str(name): f"freedom, {plain(name)}" for name in dict.fromkeys(random["table"])}
    freedoms["diabetes"] = "ridge, both"
    plot.plot_lines(random, "radius", "freedom_share", "table", labels=freedoms, first=2, ax=axes)
    axes.set(xlabel="distance from zero / ‖solution‖", ylabel="capacity / capacity about zero", ylim=(0.0, None))
    axes.legend(loc="lower left")


def _draw_names(found: pd.DataFrame, axes: Axes) -> None:
    """Towards and away from another split's solution: what exchanging the names of both classes does."""
    labels = {"named": "classes as named", "exchanged": "names exchanged", "mean": "mean of both"}
    plot.plot_lines(summary.signed(found), "radius", "bits", "names", labels=labels, ax=axes)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set(xlabel="place on the line (breast cancer)", ylabel="code length − zero's, bits")
    axes.legend(loc="upper center")


def _draw_network(found: pd.DataFrame, of: str, axes: Axes) -> None:
    names = [name for name in NETWORK_CENTRES if name in set(found["direction"])]
    for place, name in enumerate(names):
        mean, low, high = plot.mean_interval(found.loc[found["direction"] == name, of])
        colour, marker = (plot.COLOURS[1], "o") if mean > 0.0 else (plot.COLOURS[0], "s")
        axes.plot([low, high], [place, place], color=colour)
        axes.plot([mean], [place], marker, color=colour)
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_yticks(range(len(names)), [NETWORK_CENTRES[name] for name in names])
    axes.grid(visible=False, axis="y")


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "why_zero": "A Gaussian prior of the same width, its centre moved from zero in several directions: what that "
        "adds to the code length (above; both sides know the centre) and to the held-out loss (below). Crosses: the "
        f"length expected for a random direction. Means and 95 % intervals over splits: {said['splits']}.",
        "why_zero_capacity": "Above, left: capacity as a share of that about zero, by the sum over all labellings "
        "(centres at random, and towards the solution) and by effective degrees of freedom (at random). Right: the "
        "code length on the line through zero, 0, and another split's solution, 1, with the names of the two classes "
        "as they are and exchanged. Below: a network of the digits about other centres, its length at one mode; "
        f"circles are more than about zero, squares less; intervals over {said['network_splits']} splits.",
    }


# --- numbers and verdict ----------------------------------------------------------------------------------------------


def numbers(table: pd.DataFrame) -> dict[str, str]:
    found, paths = summary.extras(table), table[table["part"] == "paths"]
    counts = paths.groupby("table", sort=False)["seed"].nunique()
    return {
        "splits": _text.listed([f"{count} ({plain(name)})" for name, count in counts.items()]),
        "sizes": _text.listed([f"{SIZES[str(name)]} ({plain(name)})" for name in counts.index]),
        "small_splits": str(table[table["part"] == "labellings"]["seed"].nunique()),
        "degrees": f"{DEGREES:g}", "examples": _text.fixed(0)(table["examples"].max()),
        "largest": f"{paths['radius'].max():g}",
        "ridge_spread": _tiny(summary.ridge_spread(table)), "law_error": _tiny(summary.ridge_error(found)),
        "exchanged": _tiny(summary.exchanged_error(table)), "laplace": span(_laplace(found), 1),
        "effective": _text.significant(1)(100.0 * table["effective"].min()),
        "effective_half": _text.significant(1)(100.0 * table["effective"].median()),
        "mean_of_names": _mean_of_names(found), "tasks": span(summary.tasks(found), 1),
        "table": summary.centres_table(found), "law_table": summary.law_table(found),
        "correlation_table": summary.correlation_table(table), **_shares(table, found), **_of_networks(table),
    }  # fmt: skip


def _of_networks(table: pd.DataFrame) -> dict[str, str]:
    """Of the largest table, and of the one whose modes are all sampled."""
    names, rows = _network_names(table), table[table["part"] == "network"]
    large, small = (summary.networks(table, name) for name in (names[0], nets.SAMPLED))
    lengths = summary.network_lengths(table)
    return {
        "network_splits": str(rows["seed"].nunique()), "network_size": str(nets.SIZES["digits"]),
        "small_network_size": str(nets.SIZES[nets.SAMPLED]), "units": str(nets.HIDDEN), "searches": str(nets.SEARCHES),
        "copies": _tiny(float((lengths["copy"] - lengths["other"]).abs().max())),
        "searched": span((lengths["other, searched elsewhere"] - lengths["other"]).loc[names[0]], 1),
        "copies_bits": _text.fixed(1)(count_bits(nets.HIDDEN)),
        "separation": _text.fixed(1)(rows.loc[rows["table"] == names[0], "separation"].min()),
        "network_random": span(about(large, "random", "bits"), 0),
        "network_random_loss": span(about(large, "random", "test_bits"), 2),
        "network_counted": span(about(large, "random", "bits") + count_bits(nets.HIDDEN), 0),
        "network_other": span(about(large, "other", "bits"), 0),
        "network_other_loss": span(about(large, "other", "test_bits"), 2),
        "sampled_random": span(about(small, "random", "sampled_bits"), 1),
        "sampled_other": span(about(small, "other", "sampled_bits"), 1),
        "one_mode_random": span(about(small, "random", "bits"), 1),
        "one_mode_other": span(about(small, "other", "bits"), 1),
        "averaged_random": span(about(small, "random", "averaged_test_bits"), 3),
        "averaged_other": span(about(small, "other", "averaged_test_bits"), 3),
        "fitted_zero": _zeros(rows, names[0]),
        "fitted_random": span(about(large, "random", "random_left_bits"), 2),
        "fitted_other": span(about(large, "other", "random_left_bits"), 2),
        "network_table": summary.network_table(large), "small_network_table": summary.network_table(small),
    }  # fmt: skip


def _zeros(rows: pd.DataFrame, name: str) -> str:
    """Bits an example that are left of random labels about zero."""
    zero = rows[(rows["direction"] == "zero") & (rows["table"] == name)]
    return span(zero["random_left_bits"], 2)


def _tiny(bits: float) -> str:
    """A difference that is due to rounding; none is told below what twelve digits of the table hold."""
    return _text.significant(1)(max(bits, 1e-9))


def _shares(table: pd.DataFrame, found: pd.DataFrame) -> dict[str, str]:
    """Capacity about other centres, per cent of that about zero."""
    return {
        "share_near": span(100.0 * summary.share(table, "random", 1.0), 0),
        "share_far": span(100.0 * summary.share(table, "random"), 0),
        "share_own": span(100.0 * summary.share(table, "own"), 0),
        "freedom_near": span(100.0 * one(found, "breast_cancer", "random")["freedom_share"], 1),
        "freedom_opposite": span(100.0 * one(found, "breast_cancer", "opposite")["freedom_share"], 0),
        "freedom_other": span(100.0 * one(found, "breast_cancer", "other")["freedom_share"], 0),
    }


def _laplace(found: pd.DataFrame) -> pd.Series:
    """How much more Laplace's method adds for the farthest random centre than sampling does, bits."""
    far = one(found, "breast_cancer", "random", found["radius"].max())
    return far["bits"] - far["sampled_bits"]


def _mean_of_names(found: pd.DataFrame) -> str:
    """What the mean over both names adds at the least distance from zero that was tried, bits."""
    signed = summary.signed(found)
    mean = signed[(signed["names"] == "mean") & (signed["radius"] > 0.0)]
    return span(mean.loc[mean["radius"] == mean["radius"].min(), "bits"], 2)


def held(table: pd.DataFrame) -> dict[str, bool]:
    """Each part of the claim, and whether it held."""
    large = summary.networks(table, _network_names(table)[0])
    found, network = summary.extras(table), dict(list(large.groupby("direction")))
    names = list(dict.fromkeys(found["table"]))
    of_random, of_other = ([*(one(found, name, way) for name in names), network[way]] for way in ("random", "other"))
    paid = found[(found["radius"] == 1.0) & (found["direction"] != "own")]
    low, high = plot.mean_interval(summary.share(table, "random"))[1:]
    return {
        "capacity under Gaussian noise": summary.ridge_spread(table) < _SAME,
        "capacity with classes": low <= 1.0 <= high,
        "length by distance alone": _least_correlation(table, "bits") > _RANKED,
        "loss by distance alone": _least_correlation(table, "test_bits") > _RANKED,
        "zero is shorter than random": all(above(part["bits"]) for part in of_random),
        "zero predicts better than random": all(above(part["test_bits"]) for part in of_random),
        "what knows is shorter": all(above(-part["bits"]) for part in of_other),
        "what knows predicts better": all(above(-part["test_bits"]) for part in of_other),
        "zero wins once the centre is paid for": all(
            above(part["paid_bits"]) for _, part in paid.groupby(["table", "direction"])
        ),
    }


def _least_correlation(table: pd.DataFrame, of: str) -> float:
    """Of the means of the tables, with the distance."""
    return float(summary.correlations(table, of).groupby("table")["distance"].mean().min())


def verdict(table: pd.DataFrame) -> str:
    parts, said, found = held(table), numbers(table), summary.extras(table)
    failed = [name for name, holds in parts.items() if not holds]
    lead = "Yes." if not failed else f"Only in part: not held are {_text.listed(failed)}."
    length, loss = (_text.fixed(2)(_least_correlation(table, of)) for of in ("bits", "test_bits"))
    most = summary.capacities(table).groupby(["direction", "radius"])["share"].mean().max()
    more = "no centre that was tried leaves more of it than zero" if most <= 1.0 else "some leave more of it than zero"
    wins = parts["zero wins once the centre is paid for"]
    told = "gains nothing: the best" if wins else "may gain: the best"
    small = about(summary.networks(table, nets.SAMPLED), "random", "sampled_bits")
    decided = "shorter" if above(small) else "longer" if above(-small) else "no shorter"
    return (
        f"{lead} It is not zero that limits capacity. Under Gaussian noise capacity is the same about every centre (to "
        f"{said['ridge_spread']} bits). With classes {more}: a random centre leaves {said['share_near']} % at the "
        f"solution's distance and {said['share_far']} % at {said['largest']} times it. A centre shortens the code by "
        f"pointing along the solution: the solution of another split adds {_each(found, 'other', 'bits', 1)} bits, a "
        f"random centre {_each(found, 'random', 'bits', 1)}. To the held-out loss of the mode they add "
        f"{_each(found, 'other', 'test_bits', 3)}, and {_each(found, 'random', 'test_bits', 3)} bits an example. "
        f"Distance alone does not say it: its rank correlation is {length} with the length and {loss} with the loss "
        f"on the worst table. Who has to be told the centre {told} but the oracle adds {_least_paid(found)} bits. For "
        f"the network of the largest table a random centre adds {said['network_random']} bits at one mode, and "
        f"{said['network_counted']} once the copies of zero's mode are counted; for the smallest, all modes sampled, "
        f"{said['sampled_random']}: zero is {decided} there."
    )


def _each(found: pd.DataFrame, direction: str, of: str, digits: int) -> str:
    names = list(dict.fromkeys(found["table"]))
    return _text.listed([f"{span(one(found, name, direction)[of], digits)} ({plain(name)})" for name in names])


def _least_paid(found: pd.DataFrame) -> str:
    paid = found[(found["radius"] == 1.0) & (found["direction"] != "own")]
    means = paid.groupby(["table", "direction"])["paid_bits"].mean()
    return span(one(found, *means.idxmin())["paid_bits"], 1)


if __name__ == "__main__":
    _command.main(__file__)
