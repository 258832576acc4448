"""Why do small weights make a short message: because units stay in their linear range?

Networks of sigmoid, tanh and ReLU units, and a linear model that has no units, at every L2 strength: how far units bend
over the data, and what the weights take. Then ReLU networks whose units are stretched without a change of the function.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _files, _text, _units
from mdl import plot
from mdl.training import HIDDEN

CLAIM = (
    "Small weights make a short message because units stay in their linear range: as the strength grows, sigmoid, tanh "
    "and ReLU units alike bend less over the data, and their weights take fewer bits for that reason, so that the "
    "weights of a linear model, which has no units, are shortened less. L2 leaves every ReLU unit balanced, and no "
    "rescaling of its layers makes the message shorter."
)
STRENGTHS = tuple(float(f"{10.0**e:.3g}") for e in np.arange(-5.0, -0.9, 0.5))
RESCALED = (1e-4, 1e-3, 1e-2)
SEEDS = 5
NAMES = {"mlp-logistic": "sigmoid", "mlp-tanh": "tanh", "mlp-relu": "ReLU", "logistic": "linear model"}
HIDDEN_MODELS = [model for model in NAMES if model != "logistic"]
#: What rescaling is to change or not, by its column.
MEASURES = {
    "two_part_bits": "two-part, a step a tensor", "one_step_bits": "two-part, one step",
    "faithful_bits": "faithful file",
    "evidence_trained_bits": "evidence, trained prior", "evidence_bits": "evidence, one scale",
    "evidence_tensor_bits": "weights' evidence, a scale a tensor", "relative_precision_bits": "relative precision",
    "data_bits": "data given the model", "squared_norm": "squared norm", "spectral": "spectral norms",
    "trace": "Gauss-Newton trace", "path_norm": "path norm", "fisher_rao": "Fisher-Rao norm",
    "patterns": "activation patterns",
}  # fmt: skip
_HEADINGS = {
    "squared_norm": "squared norm", "flat": "saturated", "unlinear": "not affine",
    "faithful_weights_bits": "faithful file, weights", "evidence_weights_bits": "evidence, weights",
    "evidence_bits": "evidence, all", "test_bits": "test loss",
}  # fmt: skip
_FILES = ("two_part_bits", "one_step_bits", "faithful_bits", "evidence_trained_bits")  # codes of the trained network
_NEGLIGIBLE = 0.01  # of a length: the best of several factors gains something by chance
_SAME = 1e-6  # a relative change below this is none: the table holds six digits


def measure(options: _command.Options) -> pd.DataFrame:
    strengths, seeds, table = ((1e-3, 1e-1), 2, "wine") if options.quick else (STRENGTHS, SEEDS, "digits")
    cells = [
        _units.Cell(table, model, strength, seed, strength in RESCALED and (not options.quick or seed == options.seed))
        for model in NAMES
        for strength in strengths
        for seed in range(options.seed, options.seed + seeds)
    ]
    return options.rows(_units.rows, cells)


def _networks(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["kind"] == "network"].dropna(axis=1, how="all")


# --- figures ----------------------------------------------------------------------------------------------------------


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"why_small": _strengths_figure(_networks(table)), "why_small_rescaling": _rescaling_figure(table)}


def _strengths_figure(networks: pd.DataFrame) -> Figure:
    figure, axes = plot.panels(3, 2, width=2.45, height=2.2, sharex=True)
    hidden = networks[networks["model"] != "logistic"]
    panels = {
        "bend": ("bend, share of a unit's variance", hidden),
        "flat": ("saturated or inactive, share", hidden),
        "gradient": ("gradient of an example, nats", hidden),
        "evidence_bits": ("evidence, bits", networks),
        "faithful_weights_bits": ("faithful file, bits of weights", networks),
        "patterns": ("activation patterns an example", hidden),
    }
    for ax, (column, (label, part)) in zip(axes.flat, panels.items(), strict=True):
        plot.plot_lines(part, "strength", column, "model", labels=NAMES, minimum=column == "evidence_bits", ax=ax)
        ax.set(xscale="log", ylabel=label)
        if column in ("gradient", "evidence_bits"):
            ax.set_yscale("log")
    axes[1, 0].set_yticks([1000, 2000, 5000], ["1,000", "2,000", "5,000"])
    axes[1, 0].yaxis.minorticks_off()
    axes[1, 1].set_ylim(bottom=0.0)
    for ax in axes[1]:
        ax.set_xlabel("strength λ, an example")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _rescaling_figure(table: pd.DataFrame) -> Figure:
    """Each measure as a multiple of what it is for the network as trained."""
    figure, axes = plot.panels(2, width=3.6, height=3.3, sharey=True)
    ratios = _ratios(table)
    ratios = ratios[ratios["strength"] == _shown_strength(table)]
    shown = ["two_part_bits", "faithful_bits", "evidence_trained_bits", "evidence_bits", "evidence_tensor_bits",
             "relative_precision_bits", "squared_norm", "trace"]  # fmt: skip
    long = ratios.melt(["rescaling", "size", "seed"], shown, "measure", "ratio")
    ticks = {"units": (0.0, *_units.SPREADS), "layer": (*_units.FACTORS, 1.0)}
    labels = {"units": "spread of random factors, one a unit (s.d. of ln)", "layer": "factor of the whole first layer"}
    for ax, kind in zip(axes[0], ticks, strict=True):
        start = {"trained": 0.0 if kind == "units" else 1.0}
        part = long[long["rescaling"].isin([kind, "trained"])]
        part = part.assign(size=part["size"].where(part["rescaling"] == kind, start["trained"]))
        for k, column in enumerate(shown):
            own = part[part["measure"] == column]
            plot.plot_lines(own, "size", "ratio", "measure", labels=MEASURES, markers=True, first=k, ax=ax)
        ax.set(yscale="log", xlabel=labels[kind])
        if kind == "layer":
            ax.set_xscale("log", base=2)
    axes[0, 0].set_ylabel("multiple of the trained network's")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "why_small": f"Networks of {said['hidden']} hidden units and a linear model, {said['n']} images of digits: "
        f"means and 95 % intervals over {said['seeds']} splits. Units count by the variance that they add to the "
        "scores; the markers are at the least evidence.",
        "why_small_rescaling": "ReLU networks that compute the same function, at strength "
        f"{said['shown_strength']}: what each measure becomes, as a multiple of that of the trained network; means and "
        f"95 % intervals over {said['seeds']} splits. What does not depend on a unit's scale stays at one.",
    }


# --- strengths --------------------------------------------------------------------------------------------------------


def numbers(table: pd.DataFrame) -> dict[str, str]:
    networks = _networks(table)
    return {
        "n": _text.thousands(networks["n"].iloc[0]), "hidden": str(HIDDEN), "seeds": str(networks["seed"].nunique()),
        "strengths": str(networks["strength"].nunique()), "weakest": f"{networks['strength'].min():g}",
        "strongest": f"{networks['strength'].max():g}", "flat": _text.percent()(_units.FLAT),
        "slack": _text.fixed(2)(_files.FAITHFUL_BITS),
        "converged": _text.percent()(networks["converged"].mean()),
        **{f"{_key(model)}_{name}": text for model in NAMES for name, text in _path(networks, model).items()},
        **_balance(networks), **_scales(table), "strengths_table": _by_strength(networks),
        "rescaling_table": _rescaling_table(table),
    }  # fmt: skip


def _key(model: str) -> str:
    return NAMES[model].lower().replace(" ", "_")


def _best(networks: pd.DataFrame, model: str) -> float:
    """The strength of the least mean evidence."""
    own = networks[networks["model"] == model]
    return float(own.groupby("strength")["evidence_bits"].mean().idxmin())


def _at(networks: pd.DataFrame, model: str, strength: float, column: str) -> pd.Series:
    """By seed."""
    own = networks[(networks["model"] == model) & (networks["strength"] == strength)]
    return own.set_index("seed")[column]


def _kept(networks: pd.DataFrame, model: str, column: str, strength: float | None = None) -> pd.Series:
    """What is left of a column between the weakest strength and that of the least evidence, or another, by seed."""
    weakest = networks["strength"].min()
    end = _best(networks, model) if strength is None else strength
    return _at(networks, model, end, column) / _at(networks, model, weakest, column)


def _path(networks: pd.DataFrame, model: str) -> dict[str, str]:
    weakest, best, strongest = networks["strength"].min(), _best(networks, model), networks["strength"].max()
    percent = _text.percent()
    said = {"best": f"{best:.2g}"}
    for column in ("faithful_weights_bits", "evidence_weights_bits"):
        said[f"{column.removesuffix('_weights_bits')}_kept"] = _text.interval(_kept(networks, model, column), percent)
    if model == "logistic":
        return said
    for column in ("bend", "flat", "unlinear", "minority", "patterns"):
        for place, strength in {"weak": weakest, "best": best, "strong": strongest}.items():
            said[f"{column}_{place}"] = _text.interval(_at(networks, model, strength, column), _text.percent(1))
    return {
        **said, "bend_kept": _text.interval(_kept(networks, model, "bend"), percent),
        "together": _text.interval(_together(networks, model, "faithful_weights_bits"), _text.fixed(2)),
        "together_evidence": _text.interval(_together(networks, model, "evidence_weights_bits"), _text.fixed(2)),
    }  # fmt: skip


def _together(networks: pd.DataFrame, model: str, column: str) -> pd.Series:
    """Spearman's correlation over strengths of how far units bend with what the weights take, by seed."""
    own = networks[networks["model"] == model]
    return pd.Series({
        seed: part["bend"].rank().corr(part[column].rank()) for seed, part in own.groupby("seed")
    })  # fmt: skip


def _by_strength(networks: pd.DataFrame) -> str:
    mean = networks.groupby(["model", "strength"], sort=False).mean(numeric_only=True).reset_index()
    mean["units"] = mean["model"].map(NAMES)
    mean = mean.rename(columns=_HEADINGS)
    percent, bits = _text.percent(1), _text.thousands
    formats = {
        "units": str, "strength": _text.significant(2), "squared norm": bits, "bend": percent,
        "saturated": percent, "not affine": percent, "patterns": percent, "gradient": _text.significant(2),
        "faithful file, weights": bits, "evidence, weights": bits, "evidence, all": bits,
        "test loss": _text.fixed(3),
    }  # fmt: skip
    return _text.table(mean, formats)


# --- balance and rescaling --------------------------------------------------------------------------------------------


def _balance(networks: pd.DataFrame) -> dict[str, str]:
    """How far units are from balance, beside what the trainer's last gradient allows."""
    relu = networks[networks["model"] == "mlp-relu"]
    others = networks[networks["model"].isin(["mlp-tanh", "mlp-logistic"])]
    small = _text.significant(1)
    return {
        "imbalance": _text.percent(2)(relu["imbalance"].max()),
        "imbalance_median": _text.percent(2)(relu["imbalance"].median()),
        "imbalance_others": _text.percent()(others["imbalance"].median()),
        "unexplained": small(relu["unexplained"].max()),
        "unexplained_others": _text.percent()(others["unexplained"].median()),
    }


def _ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Every measure as a multiple of that of the trained network."""
    rescaled = table[table["kind"] == "rescaled"].reset_index(drop=True)
    trained = rescaled[rescaled["rescaling"] == "trained"].set_index(["strength", "seed"])[list(MEASURES)]
    where = pd.MultiIndex.from_frame(rescaled[["strength", "seed"]])
    ratios = rescaled[list(MEASURES)] / trained.loc[where].to_numpy()
    return pd.concat([rescaled[["strength", "seed", "rescaling", "size"]], ratios], axis=1)


def _shown_strength(table: pd.DataFrame) -> float:
    """Of those that are rescaled, the one whose trained networks have the shortest file."""
    trained = table[table["rescaling"] == "trained"]
    return float(trained.groupby("strength")["two_part_bits"].mean().idxmin())


def unmoved(table: pd.DataFrame, kind: str) -> list[str]:
    """Columns that no rescaling of a kind changes."""
    ratios = _ratios(table)
    own = ratios[ratios["rescaling"] == kind]
    return [column for column in MEASURES if (own[column] - 1.0).abs().max() <= 10.0 * _SAME]


def _gain(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Bits that the best factor of the first layer wins over the trained network, and that factor, a row a network."""
    own = table[table["rescaling"].isin(["trained", "layer"])]
    bits = own.pivot_table(column, ["strength", "seed"], "size")
    gain = bits[1.0] - bits.min(axis=1)
    return pd.DataFrame({"bits": gain, "share": gain / bits[1.0], "factor": bits.idxmin(axis=1)})


def _scales(table: pd.DataFrame) -> dict[str, str]:
    rescaled = table[table["kind"] == "rescaled"]
    said = {
        "moved": _text.significant(1)(rescaled["moved"].max()),
        "unmoved_units": _names(unmoved(table, "units")), "unmoved_layer": _names(unmoved(table, "layer")),
        "fooled": _names([c for c in MEASURES if c not in unmoved(table, "units")]),
        "above_uniform": _text.percent()(_above_uniform(table)),
        "spread": f"{_units.SPREADS[-1]:g}", "shown_strength": f"{_shown_strength(table):g}",
        "rescaled_strengths": _text.listed([f"{s:g}" for s in sorted(rescaled["strength"].unique())]),
        "factors": f"{_units.FACTORS[0]:g} to {_units.FACTORS[-1]:g}",
    }  # fmt: skip
    for column in _FILES:
        gain, key = _gain(table, column), column.removesuffix("_bits")
        said[f"{key}_gain"] = _text.interval(gain["bits"], _bits)
        said[f"{key}_factor"] = f"{gain['factor'].mode().iloc[0]:g}"
        said[f"{key}_at_one"] = _text.percent()((gain["factor"] == 1.0).mean())
    for column in ("two_part_bits", "evidence_bits"):
        key = column.removesuffix("_bits")
        said[f"{key}_lost"], said[f"{key}_back"] = _returned(table, column)
    return said


def _bits(value: float) -> str:
    return _text.thousands(round(value) + 0).replace("-", "−")


def _names(columns: list[str]) -> str:
    return "; ".join(MEASURES[column] for column in columns) if columns else "none"  # a name may have a comma


def _above_uniform(table: pd.DataFrame) -> float:
    """Share of networks with random factors whose shortest file is longer than their labels without a model."""
    own = table[table["rescaling"] == "units"]
    return float((own["two_part_bits"] > own["uniform_bits"]).mean())


def _returned(table: pd.DataFrame, column: str) -> tuple[str, str]:
    """Bits that random factors of the widest spread cost, and what of them balancing does not bring back."""
    own = table[table["kind"] == "rescaled"].set_index(["strength", "seed"])
    trained = own.loc[own["rescaling"] == "trained", column]
    spread = own.loc[(own["rescaling"] == "units") & (own["size"] == _units.SPREADS[-1]), column]
    again = own.loc[own["rescaling"] == "balanced", column]
    bits = _bits
    return _text.interval(spread - trained, bits), _text.interval(again - trained, bits)


def _rescaling_table(table: pd.DataFrame) -> str:
    """Multiples of the trained network's, mean over strengths and splits."""
    ratios = _ratios(table)
    asked = {
        "units, least": ("units", _units.SPREADS[0]), "units, most": ("units", _units.SPREADS[-1]),
        "balanced again": ("balanced", _units.SPREADS[-1]), "layer, least": ("layer", _units.FACTORS[0]),
        "layer, most": ("layer", _units.FACTORS[-1]),
    }  # fmt: skip
    rows = {
        name: ratios[(ratios["rescaling"] == kind) & (ratios["size"] == size)][list(MEASURES)].mean()
        for name, (kind, size) in asked.items()
    }
    shown = pd.DataFrame(rows).rename(index=MEASURES).rename_axis("measure").reset_index()
    return _text.table(shown, {"measure": str, **dict.fromkeys(asked, _text.significant(3))})


# --- the verdict ------------------------------------------------------------------------------------------------------


def less_bent(networks: pd.DataFrame) -> list[str]:
    """Models whose units bend less at the strength of the least evidence than at the weakest, beyond chance."""
    return [model for model in HIDDEN_MODELS if plot.mean_interval(_kept(networks, model, "bend"))[2] < 1.0]


def shortened_more(networks: pd.DataFrame, column: str) -> list[str]:
    """Models that keep less of what the weights took than the linear model does, beyond chance, on the same splits."""
    linear = _kept(networks, "logistic", column)
    return [
        model for model in HIDDEN_MODELS if plot.mean_interval(_kept(networks, model, column) - linear)[2] < 0.0
    ]  # fmt: skip


def verdict(table: pd.DataFrame) -> str:
    networks = _networks(table)
    said = numbers(table)
    bent, balance = less_bent(networks), _is_balanced(networks)
    shorter = {c: shortened_more(networks, c) for c in ("faithful_weights_bits", "evidence_weights_bits")}
    longer = [column for column in _FILES if _gain(table, column)["share"].mean() < _NEGLIGIBLE]
    holds = [len(bent) == 3, all(len(models) == 3 for models in shorter.values()), balance, len(longer) == len(_FILES)]
    some = f"No, {sum(holds)} of {len(holds)} parts of the claim hold" if any(holds) else "No"
    return " ".join([
        f"{'Yes' if all(holds) else some}.", _on_units(said, bent), _on_bits(said, shorter),
        f"L2 leaves ReLU units balanced to {said['imbalance']} % of the largest, of which the trainer's last gradient "
        f"explains all but {said['unexplained']}; " + _on_scale(said),
    ])  # fmt: skip


def _is_balanced(networks: pd.DataFrame) -> bool:
    """Whether what ReLU units lack of balance is what training left unfinished."""
    relu = networks[networks["model"] == "mlp-relu"]
    return bool(relu["unexplained"].max() <= 10.0 * _SAME)


def _on_units(said: dict[str, str], bent: list[str]) -> str:
    kept = _text.listed([f"{said[f'{_key(m)}_bend_kept']} % ({NAMES[m]})" for m in HIDDEN_MODELS])
    who = "all three kinds of unit" if len(bent) == 3 else _text.listed([NAMES[m] for m in bent]) or "no kind of unit"
    return (
        f"Between the weakest strength and that of the least evidence {who} bend less; what is left of the bend is "
        f"{kept}. At the strongest penalty ReLU units bend by {said['relu_bend_strong']} % of their variance: they "
        "have a linear range too, where all examples lie on one side of the kink."
    )


def _on_bits(said: dict[str, str], shorter: dict[str, list[str]]) -> str:
    parts = []
    for column, models in shorter.items():
        code = column.removesuffix("_weights_bits")
        kept = _text.listed([f"{said[f'{_key(m)}_{code}_kept']} % ({NAMES[m]})" for m in NAMES])
        who = "all" if len(models) == len(HIDDEN_MODELS) else _text.listed([NAMES[m] for m in models] or ["none"])
        name = "the faithful file" if code == "faithful" else "the evidence"
        parts.append(f"in {name} {kept} of the weights' bits are left, of the networks less than of the linear model "
                     f"in {who}")  # fmt: skip
    return f"Over the same range, {'; '.join(parts)}."


def _on_scale(said: dict[str, str]) -> str:
    keys = {column: column.removesuffix("_bits") for column in _FILES}
    gains = [
        f"{said[f'{key}_gain']} bits in {MEASURES[c]} (mostly at {said[f'{key}_factor']})" for c, key in keys.items()
    ]
    return f"but the best factor of the first layer gains {_text.listed(gains)}."


if __name__ == "__main__":
    _command.main(__file__)
