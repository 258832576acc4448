"""Does a short code foretell generalisation?

Perceptrons that differ in one hyper-parameter, on four tables: how often a code length, a norm, a margin, a sharpness
or the fit alone orders the gap between test and training loss, and the test loss itself, and in which environments not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _files, _ordering, _stars, _text
from analyses import _generalisation as of
from analyses._generalisation import CODES, GAP, LOSS, PLAIN, RETRAINED, TRAINING, Result
from analyses._ordering import Span
from mdl import plot

CLAIM = (
    "Of two networks that differ in one hyper-parameter the one whose labels take more bits beyond its training loss "
    "has the larger gap between test and training loss, more often than by any norm, margin, sharpness or count, or by "
    "the training loss alone; the one with the shorter total has the smaller test loss, more often than by the "
    "training loss; and some code length is right for most pairs of every environment."
)
STARS, SHUFFLED = 9, 1  # a table
_QUICK = ("strength",)


def measure(options: _command.Options) -> pd.DataFrame:
    def seeds(count: int) -> range:
        return range(options.seed, options.seed + count)

    stars = [_stars.Star(table, seed) for table in _stars.SIZES for seed in seeds(STARS)]
    stars += [_stars.Star(table, seed, shuffled=True) for table in _stars.SIZES for seed in seeds(SHUFFLED)]
    quick = [_stars.Star("wine", seed, seed == options.seed, _QUICK, 60) for seed in seeds(3)]
    return options.rows(_stars.rows, quick if options.quick else stars)


# --- figures ----------------------------------------------------------------------------------------------------------


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    results = [Result.of(table, target) for target in (GAP, LOSS)]
    return {
        "length_and_generalisation": _errors_figure(results),
        "length_and_generalisation_where": _where_figure(results),
    }


def _colour(name: str) -> str:
    return plot.COLOURS[0 if name in CODES else 4 if name in PLAIN else 1]


def _errors_figure(results: list[Result]) -> Figure:
    figure, axes = plot.panels(2, width=3.5, height=4.1, sharey=True)
    order = results[0].summary["measure"].tolist()
    places, colours = np.arange(len(order)), [_colour(name) for name in order]
    for ax, result in zip(axes[0], results, strict=True):
        found = result.summary.set_index("measure").loc[order]
        ax.hlines(places, found["mean_low"], found["mean_high"], color=colours, linewidth=1.3)
        ax.scatter(found["mean"], places, color=colours, s=16, zorder=3)
        ax.scatter(found["worst"], places, facecolor="white", edgecolor=colours, marker="D", s=16, zorder=3)
        ax.axvline(0.5, color="#666666", linewidth=0.8, linestyle=(0, (1, 2)))
        ax.set(xlim=(-0.02, 1.04), xlabel="sign error", title=f"order of the {result.target}")
    axes[0, 0].set_yticks(places, order)
    axes[0, 0].invert_yaxis()
    kinds = {"code length": 0, "other measure": 1, "fit alone, or chance": 4}
    for label, k in kinds.items():
        axes[0, 0].plot([], [], color=plot.COLOURS[k], marker="o", markersize=4, label=label)
    axes[0, 0].plot([], [], "D", color="#666666", markerfacecolor="white", markersize=4, label="worst environment")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _where_figure(results: list[Result]) -> Figure:
    """Sign error of every measure for every hyper-parameter, mean over tables."""
    figure, axes = plot.panels(2, width=3.5, height=4.1, sharey=True)
    order = results[0].summary["measure"].tolist()
    for ax, result in zip(axes[0], results, strict=True):
        errors = result.by_hyperparameter[order].T
        ax.imshow(errors, cmap="PuOr_r", vmin=0.0, vmax=1.0, aspect="auto")
        ax.set_xticks(range(errors.shape[1]), errors.columns, rotation=40, ha="right")
        ax.grid(False)
        ax.set_title(f"order of the {result.target}: errors, %")
        for (row, column), value in np.ndenumerate(errors.to_numpy()):
            if np.isnan(value):
                continue
            shade = "white" if abs(value - 0.5) > 0.35 else "black"
            ax.text(column, row, f"{100.0 * value:.0f}", ha="center", va="center", fontsize=6, color=shade)
    axes[0, 0].set_yticks(range(len(order)), order)
    return figure


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "length_and_generalisation": "Share of pairs that a measure orders wrongly: mean over environments (a table "
        f"and the hyper-parameter that is changed) with 95 % intervals over {said['stars']} stars, and the worst "
        f"environment. {said['networks']} networks; of {said['pairs']} pairs those that differ by more than chance, "
        f"{said['sure_gap']} % for the gap and {said['sure_loss']} % for the loss.",
        "length_and_generalisation_where": "Share of pairs that a measure orders wrongly, per cent, by the "
        "hyper-parameter that is changed: mean over tables. 50 is chance, or no difference seen.",
    }


# --- words ------------------------------------------------------------------------------------------------------------


def numbers(table: pd.DataFrame) -> dict[str, str]:
    networks, pairs = of.networks_of(table), of.pairs_of(table)
    gap, loss = (Result.of(table, target) for target in (GAP, LOSS))
    share = _text.percent()
    return {
        "networks": _text.thousands(len(networks)), "pairs": _text.thousands(len(pairs)),
        "stars": str(networks.groupby(["table", "seed"]).ngroups), "tables": str(networks["table"].nunique()),
        "gap_environments": str(len(gap.pairs.names)), "loss_environments": str(len(loss.pairs.names)),
        "sure_gap": share(len(gap.pairs.errors) / len(pairs)), "sure_loss": share(len(loss.pairs.errors) / len(pairs)),
        "steps": str(_stars.STEPS), "iterations": str(_stars.ITERATIONS), "fewest": str(_ordering.FEWEST),
        "faithful": _text.fixed(2)(_files.FAITHFUL_BITS), "noise": share(_stars.NOISE_SCALE), "codes": str(len(CODES)),
        **_levels(), **_compared(gap), **_compared(loss), **_controls(table, gap, loss), **_trivial(networks),
        "gap_table": _shown(gap), "loss_table": _shown(loss), "others_table": _others(table, gap, loss),
    }  # fmt: skip


def _levels() -> dict[str, str]:
    def said(values: tuple[object, ...]) -> str:
        return _text.listed([f"{value:g}" if isinstance(value, float) else str(value) for value in values])

    sizes = "; ".join(f"{said(counts)} ({name})" for name, counts in _stars.SIZES.items())
    return {f"level_{name}": said(levels) for name, levels in _stars.LEVELS.items()} | {"level_size": sizes}


def _is_other(name: str) -> bool:
    return name not in CODES and name not in PLAIN


def _best(result: Result, keep: Callable[[str], bool]) -> pd.Series:
    """The row of the least mean sign error among some measures."""
    found = result.summary
    return found[found["measure"].map(keep)].iloc[0]


def _said(span: Span, digits: int = 2) -> str:
    value, low, high = map(_text.fixed(digits), span)
    return f"{value} ({low} to {high})"


def _of(row: pd.Series, what: str = "mean") -> str:
    return _said(Span(row[what], row[f"{what}_low"], row[f"{what}_high"]))


def _row(result: Result, name: str) -> pd.Series:
    return result.summary.set_index("measure").loc[name]


def _beating(result: Result) -> list[str]:
    """Codes with fewer errors than the training loss has, by an interval that excludes none."""
    return [name for name in CODES if result.less(name, TRAINING).high < 0.0]


def _robust(result: Result, *, codes: bool) -> list[str]:
    """Measures that are right for most pairs of every environment."""
    found = result.summary
    right = found.loc[(found["worst"] < 0.5) & (found["measure"] != "random"), "measure"]
    return [name for name in right if (name in CODES) == codes]


def _or_none(names: list[str]) -> str:
    return "; ".join(names) if names else "none"  # a name may have a comma


def _compared(result: Result) -> dict[str, str]:
    code, other = _best(result, CODES.__contains__), _best(result, _is_other)
    single = _best(result, lambda name: name in CODES and name != RETRAINED)
    where = result.by_hyperparameter.fillna(0.0)
    said = {
        "code": code["measure"], "code_error": _of(code), "code_worst": _text.fixed(2)(code["worst"]),
        "code_tau": _of(code, "tau"), "code_fails": where[code["measure"]].idxmax(),
        "code_fails_error": _text.fixed(2)(where[code["measure"]].max()),
        "single": single["measure"], "single_error": _of(single), "single_tau": _of(single, "tau"),
        "single_fails": where[single["measure"]].idxmax(),
        "single_fails_error": _text.fixed(2)(where[single["measure"]].max()),
        "single_less_other": _said(result.less(single["measure"], other["measure"])),
        "single_less_fit": _said(result.less(single["measure"], TRAINING)),
        "other": other["measure"], "other_error": _of(other), "other_tau": _of(other, "tau"),
        "fit_error": _of(_row(result, TRAINING)), "fit_worst": _text.fixed(2)(_row(result, TRAINING)["worst"]),
        "less_other": _said(result.less(code["measure"], other["measure"])),
        "less_fit": _said(result.less(code["measure"], TRAINING)),
        "beating": _or_none(_beating(result)), "beating_count": str(len(_beating(result))),
        "robust_codes": _or_none(_robust(result, codes=True)), "robust_others": _or_none(_robust(result, codes=False)),
    }  # fmt: skip
    return {f"{'gap' if result.target == GAP else 'loss'}_{key}": text for key, text in said.items()}


def _controls(table: pd.DataFrame, gap: Result, loss: Result) -> dict[str, str]:
    """A random measure; labels that are all random: what the gap then is, and which codes claim to compress them."""
    random = of.networks_of(table, shuffled=True)
    error_gap, certain = of.target_of(random, of.ERROR_GAP), 1.0 - 1.0 / random["classes"] - random["train_error"]
    uniform = random["n"] * np.log2(random["classes"])
    below = {name: float((random[column] < uniform).mean()) for name, column in CODES.items()}
    least = {name: float((random[column] / uniform).min()) for name, column in CODES.items()}
    honest = [name for name, share in below.items() if share == 0.0]
    return {
        "random_error": _of(_row(gap, "random")), "random_tau": _of(_row(gap, "random"), "tau"),
        "random_loss_error": _of(_row(loss, "random")),
        "shuffled_networks": str(len(random)), "shuffled_off": _text.significant(1)((error_gap - certain).abs().max()),
        "honest": _or_none(honest),
        "dishonest": _or_none(
            [f"{name} ({_text.percent()(below[name])} %, {_text.fixed(3)(least[name])})"
             for name in CODES if name not in honest]
        ),
    }  # fmt: skip


def _trivial(networks: pd.DataFrame) -> dict[str, str]:
    """How many networks the shortest file does not compress the labels with."""
    uniform = networks["n"] * np.log2(networks["classes"])
    trivial = (networks["two_part_bits"] >= uniform).groupby(networks["table"]).mean()
    return {"trivial": _text.listed([f"{_text.percent()(share)} % ({name})" for name, share in trivial.items()])}


def _shown(result: Result) -> str:
    fixed = _text.fixed(2)
    found = result.summary
    said = {what: [_of(row, what) for _, row in found.iterrows()] for what in ("mean", "tau")}
    rows = found[["measure", "worst"]].assign(**{"mean sign error": said["mean"], "Kendall's tau": said["tau"]})
    return _text.table(rows, {"measure": str, "mean sign error": str, "worst": fixed, "Kendall's tau": str})


def _others(table: pd.DataFrame, gap: Result, loss: Result) -> str:
    """Mean sign errors for all pairs, and for errors instead of losses."""
    results = {
        "gap": gap, "gap, all pairs": Result.of(table, GAP, 0.0), of.ERROR_GAP: Result.of(table, of.ERROR_GAP),
        "loss": loss, "loss, all pairs": Result.of(table, LOSS, 0.0), of.ERROR: Result.of(table, of.ERROR),
    }  # fmt: skip
    rows = pd.DataFrame(
        {name: dict(zip(result.names, result.mean[0], strict=True)) for name, result in results.items()}
    )
    rows = rows.sort_values("gap").rename_axis("measure").reset_index()
    return _text.table(rows, {"measure": str, **dict.fromkeys(results, _text.fixed(2))})


def verdict(table: pd.DataFrame) -> str:
    gap, loss = (Result.of(table, target) for target in (GAP, LOSS))
    holds = [_wins(gap), loss.less(_best(loss, CODES.__contains__)["measure"], TRAINING).high < 0.0,
             bool(_robust(gap, codes=True) or _robust(loss, codes=True))]  # fmt: skip
    some = f"No, {sum(holds)} of {len(holds)} parts of the claim hold" if any(holds) else "No"
    return f"{'Yes' if all(holds) else some}. {_first(gap)} {_second(loss)} {_third(gap, loss)}"


def _wins(result: Result) -> bool:
    """Whether the best code has fewer errors than the best other measure and the training loss, beyond chance."""
    code, other = _best(result, CODES.__contains__)["measure"], _best(result, _is_other)["measure"]
    return result.less(code, other).high < 0.0 and result.less(code, TRAINING).high < 0.0


def _first(gap: Result) -> str:
    said = _compared(gap)
    return (
        f"Among codes {said['gap_code']} orders the gap with the fewest errors, a share of {said['gap_code_error']}, "
        f"against {said['gap_other_error']} of {said['gap_other']}, the best other measure (difference "
        f"{said['gap_less_other']}), and {said['gap_fit_error']} of the training loss alone (difference "
        f"{said['gap_less_fit']}); {said['gap_beating_count']} of {len(CODES)} codes beat the latter. "
        f"Of the codes that look at the trained network alone the best is {said['gap_single']} with "
        f"{said['gap_single_error']}, {said['gap_single_less_other']} beside the best other measure."
    )


def _second(loss: Result) -> str:
    said = _compared(loss)
    return (
        f"The test loss is ordered best by {said['loss_code']}, {said['loss_code_error']}, against "
        f"{said['loss_fit_error']} of the training loss and {said['loss_other_error']} of {said['loss_other']}; of a "
        f"trained network alone by {said['loss_single']}, {said['loss_single_error']}, "
        f"{said['loss_single_less_other']} beside {said['loss_other']}."
    )


def _third(gap: Result, loss: Result) -> str:
    """Who is right for most pairs of every environment."""
    said = {result.target: (_robust(result, codes=True), _robust(result, codes=False)) for result in (gap, loss)}
    each = [f"for the {target} {_or_none(codes)} among codes and {_or_none(others)} among other measures"
            for target, (codes, others) in said.items()]  # fmt: skip
    return f"Right for most pairs of every environment: {'; '.join(each)}."


if __name__ == "__main__":
    _command.main(__file__)
