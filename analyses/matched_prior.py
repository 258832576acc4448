"""Do we do best where the prior is concentrated around the true values?

Teachers with known weights, drawn from a known prior, label examples by their own probabilities; the prior of students
is swept through the teachers' in scale, centre and shape. Then digits: the prior is centred on the solution of a
related task. The table's parts, named in its first column: ``ridge`` (closed forms), ``scale``, ``centre``, ``shape``,
``network scale``, ``network centre``; ``pairs`` and ``networks`` are real.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses import _command, _teachers, _text, _transfer
from analyses import _prior_summary as summary
from analyses._centre_summary import above, span
from mdl import plot

CLAIM = (
    "Over teachers drawn from a known prior, mean code length and mean held-out loss are both least at the true "
    "scale, the true shape and the true centre. On real digits a prior centred on the weights of a related task makes "
    "labels shorter and predictions better than one centred at zero, the more so the fewer the examples; charged for, "
    "it gains nothing, and an unrelated centre gains nothing either."
)
TEACHERS, NETWORKS, PAIRS, REAL_NETWORKS = 40, 16, 16, 6
RELATED = {"pairs": ("same task", "turned images", "one class shared"), "networks": ("same task", "other classes")}
UNRELATED = ("permuted pixels", "shuffled labels")


def measure(options: _command.Options) -> pd.DataFrame:
    quick = options.quick
    counts = (1, 1, 1, 1) if quick else (TEACHERS, NETWORKS, PAIRS, REAL_NETWORKS)
    teachers, networks, pairs, real = (range(options.seed, options.seed + count) for count in counts)
    sizes = _teachers.SIZES[-1:] if quick else _teachers.SIZES
    sweeps = [(part, n) for part in ("ridge", "scale", "centre") for n in sizes]
    cells = [_teachers.Cell(part, seed, n) for part, n in sweeps for seed in teachers]
    size, shapes = _teachers.SHAPE_SIZE, list(_teachers.shapes(1.0))[: 1 if quick else None]
    cells += [_teachers.Cell("shape", seed, size, shape) for shape in shapes for seed in teachers]
    size, parts = _teachers.NETWORK_SIZE, ("network scale", "network centre")
    cells += [_teachers.Cell(part, seed, size, quick=quick) for part in parts for seed in networks]
    digits = [_transfer.Cell("pairs", seed, quick) for seed in pairs]
    digits += [_transfer.Cell("networks", seed, quick) for seed in real]
    return pd.concat(
        [options.rows(_teachers.rows, cells), options.rows(_transfer.rows, digits)], ignore_index=True
    )  # fmt: skip


# --- figures ----------------------------------------------------------------------------------------------------------


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {"matched_prior": _teachers_figure(table), "matched_prior_real": _real_figure(table)}


def _teachers_figure(table: pd.DataFrame) -> Figure:
    figure, axes = plot.panels(4, 2, width=1.85, height=2.3)
    titles = ("scale, linear", "centre, linear", "scale, network", "centre, network")
    for column, (part, title) in enumerate(zip(summary.SWEEPS, titles, strict=True)):
        rows = summary.swept(table, part)
        _draw_lengths(rows, part, axes[0, column])
        _draw_losses(rows, part, axes[1, column])
        for ax in axes[:, column]:
            ax.axvline(1.0, color="black", linewidth=0.6)
            _scale_axis(ax, part)
        axes[0, column].set_title(title)
        axes[1, column].set_xlabel("scale / true scale" if "scale" in part else "centre / true centre")
    axes[0, 0].set_ylabel("code length −\nmatched prior's, bits")
    axes[1, 0].set_ylabel("held-out bits/example\nover the teacher's")
    said = {text: line for ax in axes.ravel() for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend([said[text] for text in sorted(said, key=len)], sorted(said, key=len), ncols=4,
                  loc="outside upper center")  # fmt: skip
    return figure


def _scale_axis(axes: Axes, part: str) -> None:
    if "scale" in part:
        axes.set_xscale("log", base=2)
        axes.set_xticks([0.25, 0.5, 1.0, 2.0, 4.0])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()


def _draw_lengths(rows: pd.DataFrame, part: str, axes: Axes) -> None:
    """Evidence at each number of examples; for the network its estimate at one mode as well."""
    x = "ratio" if "scale" in part else "shift"
    for place, (n, own) in enumerate(rows.groupby("n")):
        first = 2 * place + 4 * _is_network(part)
        plot.plot_lines(own.assign(line=f"{n:g} examples"), x, "extra_bits", "line", first=first, ax=axes)
        if _is_network(part):
            mode = own.assign(line=f"{n:g} examples, one mode by Laplace's method")
            plot.plot_lines(mode, x, "extra_laplace_bits", "line", first=6, ax=axes)


def _draw_losses(rows: pd.DataFrame, part: str, axes: Axes) -> None:
    """By an average over the posterior, and by its mode alone."""
    x = "ratio" if "scale" in part else "shift"
    for place, (n, own) in enumerate(rows.groupby("n")):
        first, said = 2 * place + 4 * _is_network(part), f"{n:g} examples"
        plot.plot_lines(own.assign(line=said), x, "excess_bits", "line", first=first, ax=axes)
        mode = own.assign(line=f"{said}, mode alone")
        plot.plot_lines(mode, x, "plugged_excess_bits", "line", first=first + 1, ax=axes)
    axes.set_ylim(0.0, None)


def _is_network(part: str) -> bool:
    return part.startswith("network")


def _real_figure(table: pd.DataFrame) -> Figure:
    figure, axes = plot.panels(3, 2, width=2.4, height=2.3)
    gain, loss = "labels' gain over zero, bits", "held-out loss of the {}\n− zero's, bits/example"
    drawn = {"gain_bits": gain, "loss_bits": loss.format("mode")}
    for row, (part, title) in enumerate({"pairs": "two digits, logistic", "networks": "five digits, network"}.items()):
        for column, (of, said) in enumerate(drawn.items()):
            _draw_gains(summary.gains(table, part), of, axes[row, column])
            axes[row, column].set_title(title)
            axes[row, column].set_ylabel(said)
    _draw_gains(summary.gains(table, "pairs"), "averaged_loss_bits", axes[0, 2])
    axes[0, 2].set(title="two digits, logistic", ylabel=loss.format("average"))
    for ax in axes.ravel()[:5]:
        ax.set_xlabel("examples")
    _draw_modes(summary.gains(table, "networks"), axes[1, 2])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def _draw_gains(found: pd.DataFrame, of: str, axes: Axes) -> None:
    found = found[found[of].notna()]
    for place, name in enumerate([*RELATED["pairs"], "other classes", *UNRELATED]):
        own = found[found["centre"] == name]
        if len(own):
            plot.plot_lines(own, "n", of, "centre", first=place, markers=True, ax=axes)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(found["n"].unique()))
    axes.xaxis.set_major_formatter("{x:g}")


def _draw_modes(found: pd.DataFrame, axes: Axes) -> None:
    """At the fewest examples, what centres gain at one mode and with all modes."""
    few = found[found["n"] == found["n"].min()]
    names = list(dict.fromkeys(few["centre"]))
    for k, (of, said) in enumerate({"gain_bits": "one mode", "sampled_gain_bits": "all modes"}.items()):
        for place, name in enumerate(names):
            mean, low, high = plot.mean_interval(few.loc[few["centre"] == name, of])
            at = place + 0.15 * (1 - 2 * k)
            axes.plot([low, high], [at, at], color=plot.COLOURS[k])
            axes.plot([mean], [at], plot.MARKERS[k], color=plot.COLOURS[k], label=said if place == 0 else None)
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_yticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    axes.set(
        title=f"network, {few['n'].min():g} examples",
        xlabel="labels' gain over zero, bits",
        ylim=(-0.6, len(names) - 0.4),
    )
    axes.legend(loc="upper right")


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "matched_prior": "Students' priors swept through the one that their teachers were drawn from: what the code "
        "takes more than under the true prior (above), and held-out loss beyond the teacher's own (below), by an "
        f"average over the posterior and by its mode alone. Means and 95 % intervals over {said['teachers']} teachers "
        f"({said['networks']} networks).",
        "matched_prior_real": "A prior centred on the solution of another task, both sides knowing it, beside one "
        "centred at zero; scales fitted to each. Left, and below on the right: the code; elsewhere held-out loss. "
        f"Means and 95 % intervals over {said['pairs']} draws of classes and examples (networks: "
        f"{said['real_networks']}).",
    }


# --- numbers ----------------------------------------------------------------------------------------------------------


def numbers(table: pd.DataFrame) -> dict[str, str]:
    counts = table.groupby("part")["seed"].nunique()
    pairs = summary.gains(table, "pairs")
    return {
        "teachers": str(counts["scale"]), "networks": str(counts["network scale"]), "pairs": str(counts["pairs"]),
        "real_networks": str(counts["networks"]), "weights": str(_teachers.WEIGHTS), "scale": f"{_teachers.SCALE:g}",
        "sizes": _text.listed([str(n) for n in _teachers.SIZES]), "shape_size": str(_teachers.SHAPE_SIZE),
        "away": f"{_teachers.AWAY:g}", "units": str(_teachers.HIDDEN), "inputs": str(_teachers.INPUTS),
        "network_scale": f"{_teachers.NETWORK_SCALE:g}", "network_size": str(_teachers.NETWORK_SIZE),
        "source": str(2 * _transfer.SOURCE), "network_source": str(5 * _transfer.SOURCE),
        "degrees": f"{_transfer.DEGREES:g}", "real_units": str(_transfer.UNITS),
        "least_table": summary.least_table(table), "ridge_table": summary.ridge_table(table),
        "shape_table": summary.shape_table(table, "bits", 2),
        "beaten": _beaten(table),
        "shape_loss_table": summary.shape_table(table, "excess_bits", 4),
        "pairs_table": summary.gains_table(pairs),
        "networks_table": summary.gains_table(summary.gains(table, "networks")),
        "late": _late(pairs, "turned images"), "late_same": _late(pairs, "same task"),
        "right": _right(pairs, "gain_bits", "loss_bits"),
        "right_average": _right(pairs, "sampled_gain_bits", "averaged_loss_bits"),
        "zero_averaged": _averaged(table), "sampled_sizes": _text.listed([str(n) for n in _transfer.SAMPLED["pairs"]]),
        "network_sampled_size": str(_transfer.SAMPLED["networks"][0]),
        **_single(table), **_off(table), **_mirror(table), **_network_gains(table),
    }  # fmt: skip


def _beaten(table: pd.DataFrame) -> str:
    """Students of another shape whose mean code is shorter than that of the teacher's shape, and by how much, bits."""
    found = summary.shape_differences(table, "bits")
    students = [name for name in found.columns if name not in ("teacher", "seed")]
    shorter = [
        f"{student} for {teacher} by {_text.interval(-part[student], _text.significant(1))} bits"
        for teacher, part in found.groupby("teacher", sort=False)
        for student in students
        if part[student].mean() < 0.0
    ]
    return _text.listed(shorter) if shorter else "none"


def _single(table: pd.DataFrame) -> dict[str, str]:
    """On how many teachers alone the shortest code is within one step of the true scale, per cent."""
    rows, said = table[table["part"] == "scale"], {}
    for n, part in rows.groupby("n"):
        own = part.pivot_table("bits", "seed", "step").idxmin(axis=1)
        said[f"single_{n:g}"] = _text.percent()((own.abs() <= 1.0).mean())
    least = {"effective": table, "effective_true": rows[rows["step"] == 0.0]}
    return said | {name: _text.significant(1)(100.0 * part["effective"].min()) for name, part in least.items()}


def _off(table: pd.DataFrame) -> dict[str, str]:
    """What a scale that is twice or half the true one costs, bits."""
    rows, said = summary.swept(table, "scale"), {}
    for n, part in rows.groupby("n"):
        for name, step in {"double": 2.0, "half": -2.0}.items():
            said[f"{name}_{n:g}"] = span(part.loc[part["step"] == step, "extra_bits"], 1)
    return said


def _mirror(table: pd.DataFrame) -> dict[str, str]:
    """The network's code about the negated true centre less that about the true one, bits: they are one function."""
    rows = summary.swept(table, "network centre")
    negated = rows[rows["shift"] == -1.0]
    zero = rows.loc[rows["shift"] == 0.0, "extra_bits"]
    return {
        "mirror": "–" if negated.empty else span(negated["extra_bits"], 1),
        "network_zero": "–" if zero.empty else span(zero, 1),
    }


def _late(pairs: pd.DataFrame, name: str) -> str:
    """What the last doubling of the examples adds to a centre's gain, bits."""
    sizes = sorted(pairs["n"].unique())[-2:]
    own = pairs[pairs["centre"] == name].pivot_table("gain_bits", "seed", "n")
    return span(own[sizes[-1]] - own[sizes[0]], 1)


def _right(pairs: pd.DataFrame, gain: str, loss: str) -> str:
    """How often the shorter of zero's code and a related centre's predicts better, per cent, over draws."""
    own = pairs[pairs["centre"].isin(RELATED["pairs"]) & pairs[gain].notna()]
    right = (own[gain] > 0.0) == (own[loss] < 0.0)
    return span(100.0 * right.groupby(own["seed"]).mean(), 0)


def _averaged(table: pd.DataFrame) -> str:
    """What averaging over the posterior about zero adds to the mode's held-out loss on pairs, bits an example."""
    zero = table[(table["part"] == "pairs") & (table["centre"] == "zero")]
    return span((zero["averaged_test_bits"] - zero["test_bits"]).groupby(zero["seed"]).mean(), 3)


def _network_gains(table: pd.DataFrame) -> dict[str, str]:
    """What centres gain over zero at the fewest examples: at one mode, and with all modes."""
    found, said = summary.gains(table, "networks"), {}
    few = found[found["n"] == _transfer.SAMPLED["networks"][0]]
    for key, name in {"same": "same task", "classes": "other classes", "permuted": "permuted pixels"}.items():
        own = few[few["centre"] == name]
        said |= {f"mode_{key}": span(own["gain_bits"], 1), f"all_{key}": span(own["sampled_gain_bits"], 1)}
    return said


# --- verdict ----------------------------------------------------------------------------------------------------------


def held(table: pd.DataFrame) -> dict[str, bool]:
    """Each part of the claim, and whether it held: a place within one step of the grid, an interval clear of zero."""
    length, loss = (max(_steps_from_truth(table, of)) for of in ("bits", "excess_bits"))
    shape_length, shape_loss = (summary.shape_differences(table, of) for of in ("bits", "excess_bits"))
    real = {part: summary.gains(table, part) for part in ("pairs", "networks")}
    related = [part for name, found in real.items() for part in _of_centres(found, RELATED[name])]
    unrelated = [part for found in real.values() for part in _of_centres(found, UNRELATED)]
    growth = [
        _growth(found[found["centre"] == name]) for part, found in real.items() for name in RELATED[part]
    ]  # fmt: skip
    paid = [part for found in real.values() for _, part in found.groupby(["centre", "n"])]
    return {
        "teachers: length is least at the true scale and centre": length <= 1,
        "teachers: loss is least at the true scale and centre": loss <= 1,
        "teachers: length is least under the true shape": _own_is_least(shape_length),
        "teachers: loss is least under the true shape": _own_is_least(shape_loss),
        "digits: a related centre makes labels shorter": all(above(part["gain_bits"]) for part in related),
        "digits: a related centre predicts better by its mode": all(above(-part["loss_bits"]) for part in related),
        "digits: a related centre predicts better by the average": all(
            above(-values) for values in _measured(related, "averaged_loss_bits")
        ),
        "digits: labels gain more the fewer the examples": all(above(-change) for change in growth),
        "digits: charged for, it gains nothing": not any(above(-part["paid_bits"]) for part in paid),
        "digits: an unrelated centre gains nothing at one mode": not any(
            above(part["gain_bits"]) for part in unrelated
        ),
        "digits: an unrelated centre gains nothing with all modes": not any(
            above(values) for values in _measured(unrelated, "sampled_gain_bits")
        ),
    }


def _measured(parts: list[pd.DataFrame], of: str) -> list[pd.Series]:
    """Where all modes were sampled."""
    return [part[of] for part in parts if part[of].notna().any()]


def _of_centres(found: pd.DataFrame, names: tuple[str, ...]) -> list[pd.DataFrame]:
    """One piece a number of examples and centre."""
    return [part for _, part in found[found["centre"].isin(names)].groupby(["centre", "n"])]


def _growth(found: pd.DataFrame) -> pd.Series:
    """Gain at the most examples less that at the fewest, a number a draw."""
    own = found.pivot_table("gain_bits", "seed", "n")
    return own[own.columns.max()] - own[own.columns.min()]


def _steps_from_truth(table: pd.DataFrame, of: str) -> list[int]:
    """How many places of the grid lie between the least mean and the truth; -centre is the network's mirror image."""
    found = []
    for part, x in summary.SWEEPS.items():
        places = sorted(table.loc[table["part"] == part, x].unique())
        for at in summary.least(table, part, of).values():
            mirrored = abs(at) if part == "network centre" else at
            found.append(abs(places.index(mirrored) - places.index(summary.TRUE[x])))
    return found


def _own_is_least(found: pd.DataFrame) -> bool:
    means = found.drop(columns="seed").groupby("teacher").mean()
    return all(means.loc[teacher].idxmin() == teacher for teacher in means.index)


def verdict(table: pd.DataFrame) -> str:
    parts, said, pairs = held(table), numbers(table), summary.gains(table, "pairs")
    failed = [name for name, holds in parts.items() if not holds]
    lead = "Yes: all parts hold." if not failed else f"Only in part. Not held: {'; '.join(failed)}."
    few, many, most = pairs["n"].min(), pairs["n"].max(), max(_teachers.SIZES)
    length, loss = (_places(_steps_from_truth(table, of)) for of in ("bits", "excess_bits"))
    best = all(holds for name, holds in parts.items() if "true scale and centre" in name)
    known = f"the true scale and centre are {'the best' if best else 'not always the best'}"
    first, last = pairs[pairs["n"] == few], pairs[pairs["n"] == many]
    return (
        f"{lead} Where the truth is known, {known}: over teachers the mean length is least at most {length} of the "
        f"grid from the truth, the mean loss {loss}. The minimum is flat: a scale twice too wide costs "
        f"{said[f'double_{most}']} bits at {most} examples. Shorter in the mean "
        f"than the true shape: {said['beaten']}. On pairs of digits related centres shorten the labels, by "
        f"{_listed(first, 'gain_bits', 1)} bits at {few:g} examples and {_listed(last, 'gain_bits', 1)} at {many:g}. "
        f"What they do to forecasts depends on who forecasts. The average over the posterior, the code's own forecast, "
        f"changes its held-out loss by {_listed(first, 'averaged_loss_bits', 3)} bits an example at {few:g} examples "
        f"and {_listed(last, 'averaged_loss_bits', 3)} at {many:g}; the mode by {_listed(first, 'loss_bits', 3)} and "
        f"{_listed(last, 'loss_bits', 3)}. The shorter of two codes predicts better on {said['right_average']} % of "
        f"draws by the average and on {said['right']} % by the mode. Hidden units of other classes gain "
        f"{said['mode_classes']} bits for a network's code at one mode, and {said['all_classes']} with all modes."
    )


def _places(steps: list[int]) -> str:
    return f"{max(steps)} place{'' if max(steps) == 1 else 's'}"


def _listed(rows: pd.DataFrame, of: str, digits: int) -> str:
    return _text.listed([f"{span(rows.loc[rows['centre'] == name, of], digits)} ({name})" for name in RELATED["pairs"]])


if __name__ == "__main__":
    _command.main(__file__)
