"""Which objective keeps a net that computes a rule exactly, and can length find such a net?

Binary addition and a^n b^n, each by a small recurrent net with hand-made weights. From there gradients of
cross-entropy, alone or with L1 or L2, and a search for the shortest weights and strings under the rational code of Lan
et al.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses import _command, _exact_search, _text
from analyses._exact_nets import GO_ON, LENGTH, LONG, LONG_COUNT, MARGIN, STEEPNESS, TASKS
from analyses._exact_search import EVALUATIONS, Searching, Training
from mdl import plot

CLAIM = (
    "As published for binary addition: from a net that computes the rule exactly, training by cross-entropy alone "
    "keeps the rule, L1 and L2 destroy it, and the shortest weights and strings under the rational code keep it. The "
    "same holds for a^n b^n. A search by length from an empty net finds an exact one, and gradients from random "
    "weights do not."
)
SIZES, SEEDS = (20, 200), 5
SEARCHED = {"addition": 4, "anbn": 10}  # searches from an empty net
STRINGS = 100  # of those
CERTAIN = 48.0  # margin of the counter whose strings are compared with the optimum
ELSEWHERE = 100  # added to their seeds: the schedule of temperatures was chosen on others
STARTS = {"addition": ("exact", "near", "random"), "anbn": ("exact", "near", "saturated", "random")}
NAMES = {"addition": "binary addition", "anbn": "aⁿbⁿ"}
PENALTIES = ("L1", "L2")
PUBLISHED = {"cross-entropy": "5/5", "L1": "2/5", "L2": "0/5", "MDL": "5/5"}  # Abudy et al. 2025, binary addition


def measure(options: _command.Options) -> pd.DataFrame:
    sizes, seeds = (SIZES[:1], range(options.seed, options.seed + 1)) if options.quick else (
        SIZES, range(options.seed, options.seed + SEEDS)
    )  # fmt: skip
    starts = dict.fromkeys(TASKS, ("exact", "random")) if options.quick else STARTS
    trainings = [Training(t, n, s, start) for t in TASKS for start in starts[t] for n in sizes for s in seeds]
    kept = [Searching(t, n, s, "exact", EVALUATIONS["exact"] // (10 if options.quick else 1))
            for t in TASKS for n in sizes for s in seeds]  # fmt: skip
    found = [
        Searching(task, STRINGS, options.seed + ELSEWHERE + k, "empty", 800 if options.quick else EVALUATIONS["empty"])
        for task, count in SEARCHED.items()
        for k in range(1 if options.quick else count)
    ]
    measured = [options.rows(_exact_search.train, trainings), options.rows(_exact_search.search, [*kept, *found])]
    controls = options.rows(_exact_search.facts, [CERTAIN])
    return pd.concat([*map(_short, measured), controls], ignore_index=True)


def _short(table: pd.DataFrame) -> pd.DataFrame:
    """Nine digits of each number."""
    return table.assign(
        **{name: table[name].map("{:.9g}".format).astype(float) for name in table.select_dtypes("float")}
    )


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    figure, axes = plot.panels(2, 2, width=3.5, height=2.6)
    _draw_kept(table, axes[0, 0])
    _draw_reach(table, axes[0, 1])
    _draw_lengths(table, axes[1, 0])
    _draw_traces(table, axes[1, 1])
    return {"exact_solutions": figure}


def _draw_kept(table: pd.DataFrame, ax: Axes) -> None:
    runs = _trained(table, "addition", ("exact", "near"))
    for k, penalty in enumerate(PENALTIES):
        for start, line in {"exact": "-", "near": "--"}.items():
            part = runs[(runs["objective"] == penalty) & (runs["start"] == start)]
            share = part.groupby("strength")["kept"].mean()
            ax.plot(share.index, 100.0 * share, line, color=plot.COLOURS[k], marker=plot.MARKERS[k], markersize=4,
                    label=f"{penalty}, from {start}")  # fmt: skip
    mdl = _searched(table, "addition", "exact")["kept"].mean()
    for k, (name, share) in enumerate({"cross-entropy": _share(runs, "cross-entropy"), "MDL": mdl}.items(), 2):
        ax.axhline(100.0 * share, color=plot.COLOURS[k], linestyle=plot.DASHES[k], label=name, zorder=1)
    ax.set(xscale="log", ylim=(-4, 108), xlabel="strength, nats a symbol", ylabel="runs that keep the rule, %")
    ax.set_title("(a) binary addition")
    ax.legend(loc="lower left", handlelength=3.0)


def _draw_reach(table: pd.DataFrame, ax: Axes) -> None:
    runs = _trained(table, "anbn", ("exact", "saturated"))
    for k, penalty in enumerate(PENALTIES):
        for start, line in {"exact": "-", "saturated": "--"}.items():
            part = runs[(runs["objective"] == penalty) & (runs["start"] == start)]
            if len(part):
                reach = part.groupby("strength")["reach"].median()
                ax.plot(reach.index, 1.0 + reach, line, color=plot.COLOURS[k], marker=plot.MARKERS[k], markersize=4,
                        label=f"{penalty}, {start}")  # fmt: skip
    plain = runs[runs["objective"] == "cross-entropy"].groupby("start", sort=False)["reach"].median()
    for start, reach in plain.items():
        line = "-" if start == "exact" else "--"
        ax.axhline(1.0 + reach, linestyle=line, color=plot.COLOURS[2], label=f"cross-entropy, {start}", zorder=1)
    mdl = _searched(table, "anbn", "exact")["reach"].median()
    ax.axhline(1.0 + mdl, color=plot.COLOURS[3], linestyle=":", label="MDL", zorder=1)
    ax.set(xscale="log", yscale="log", xlabel="strength, nats a symbol", ylabel="1 + largest n with no error below")
    ax.set_title("(b) aⁿbⁿ")
    ax.set_ylim(0.8, 20000)
    ax.legend(loc="upper center", ncols=2, fontsize=6.5, handlelength=3.0)


def _draw_lengths(table: pd.DataFrame, ax: Axes) -> None:
    found = lengths(table)
    labels = list(dict.fromkeys(found["objective"]))
    for k, (task, part) in enumerate(found.groupby("task", sort=False)):
        for shift, (_, rows) in enumerate(part.groupby("seed")):
            y = [labels.index(name) + 0.3 * k - 0.15 for name in rows["objective"]]
            ax.plot(rows["more_bits"], y, plot.MARKERS[k], color=plot.COLOURS[k], alpha=0.6,
                    label=None if shift else NAMES[task])  # fmt: skip
    ax.axvline(0.0, color="black", linewidth=0.6)
    ax.set_xscale("symlog", linthresh=10)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) + 0.3, -0.5)
    ax.set(xlabel="bits above the exact net", title="(c) length where training ends, rounded")
    ax.set_xlim(-20.0, 2.0 * max(10.0, found["more_bits"].max()))
    ax.legend(loc="lower right", ncols=2)


def _draw_traces(table: pd.DataFrame, ax: Axes) -> None:
    traces = table[(table["part"] == "trace") & (table["start"] == "empty")]
    for k, (task, part) in enumerate(traces.groupby("task", sort=False)):
        ends = _searched(table, task, "empty").set_index("seed")
        for seed, path in part.groupby("seed"):
            more = path["total_bits"] - ends.loc[seed, "exact_bits"]
            ax.plot(path["evaluations"] / 1000.0, more, color=plot.COLOURS[k],
                    linestyle="-" if ends.loc[seed, "kept"] else ":")  # fmt: skip
    ax.axhline(0.0, color="black", linewidth=0.6)
    ax.set(xlabel="thousands of nets tried", ylabel="bits above the exact net")
    ax.set_title("(d) search from an empty net (solid: found)")
    handles = [
        Line2D([], [], color=plot.COLOURS[k], label=NAMES[task]) for k, task in enumerate(traces["task"].unique())
    ]
    ax.legend(handles=handles, loc="center", bbox_to_anchor=(0.25, 0.6))


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "exact_solutions": f"(a) Runs that keep binary addition right on {said['long']} digits, over {said['seeds']} "
        f"samples of each of {said['sizes']} strings, by penalty and strength; cross-entropy alone keeps "
        f"{said['addition_ce']} %, the shortest message {said['addition_mdl']} %. (b) The largest n up to which a net "
        f"for aⁿbⁿ makes no error, of {said['long_count']} tested, medians. (c) Weights and strings under the rational "
        "code, less those of the exact net, weights rounded as is shortest, at the strength with the least total. (d) "
        f"The shortest message of each search from an empty net; {said['anbn_found']} of {said['anbn_searches']} find "
        f"aⁿbⁿ, {said['addition_found']} of {said['addition_searches']} addition."
    }


def _trained(table: pd.DataFrame, task: str, starts: tuple[str, ...]) -> pd.DataFrame:
    chosen = table[(table["part"] == "train") & (table["task"] == task) & table["start"].isin(starts)]
    return chosen.assign(kept=chosen["kept"].astype(bool))


def _searched(table: pd.DataFrame, task: str, start: str) -> pd.DataFrame:
    chosen = table[(table["part"] == "search") & (table["task"] == task) & (table["start"] == start)]
    return chosen.assign(kept=chosen["kept"].astype(bool))


def _share(runs: pd.DataFrame, objective: str, strength: float | None = None) -> float:
    part = runs[runs["objective"] == objective]
    return float((part if strength is None else part[part["strength"] == strength])["kept"].mean())


def lengths(table: pd.DataFrame) -> pd.DataFrame:
    """|H| + |D:H| less the exact net's from exact starts at the smaller size; penalties at their shortest strength."""
    keys = ["task", "seed", "objective"]
    chosen = table[table["part"].isin(["train", "search"]) & (table["start"] == "exact") & (table["n"] == SIZES[0])]
    more = chosen.assign(more_bits=chosen["weights_bits"] + chosen["data_bits"] - chosen["exact_bits"])
    return more.groupby(keys, sort=False)["more_bits"].min().reset_index()


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """Runs and runs that keep the rule, by task, objective, strength and start."""
    runs = table[table["part"].isin(["train", "search"]) & table["start"].isin(["exact", "near", "saturated"])]
    runs = runs.assign(kept=runs["kept"].astype(bool), strength=runs["strength"].fillna(0.0))
    found = runs.groupby(["task", "start", "objective", "strength"], sort=False)["kept"].agg(["sum", "size"])
    return found.reset_index()


def parts(table: pd.DataFrame) -> dict[str, bool]:
    """Each part of the claim: from the exact nets themselves, over all strings; penalties at every strength."""
    found = kept(table)
    found = found[found["start"] == "exact"]
    every = {key: bool((part["sum"] == part["size"]).all()) for key, part in found.groupby(["task", "objective"])}
    none = {key: bool((part["sum"] == 0).all()) for key, part in found.groupby(["task", "objective"])}
    said = {}
    for task, name in NAMES.items():
        said[f"cross-entropy keeps {name}"] = every[task, "cross-entropy"]
        for penalty in PENALTIES:
            said[f"{penalty} destroys {name} at every strength"] = none[task, penalty]
        said[f"the shortest message keeps {name}"] = every[task, "MDL"]
        said[f"a search from an empty net finds {name}"] = bool(_searched(table, task, "empty")["kept"].any())
        random = _trained(table, task, ("random",))["kept"]
        said[f"gradients from random weights never find {name}"] = not random.any()
    return said


def numbers(table: pd.DataFrame) -> dict[str, str]:
    runs = table[table["part"] == "train"]
    said = {
        "steepness": f"{STEEPNESS:g}", "margin": f"{MARGIN:g}", "length": str(LENGTH), "long": str(LONG),
        "long_count": str(LONG_COUNT), "go_on": "two thirds" if GO_ON == 2.0 / 3.0 else f"{GO_ON:.3f}",
        "sizes": _text.listed([f"{n:g}" for n in sorted(runs["n"].unique())]), "seeds": str(runs["seed"].nunique()),
        "iterations": str(_exact_search.ITERATIONS), "near": f"{_exact_search.NEAR:g}",
        "random": f"{_exact_search.RANDOM:g}", "denominator": str(_exact_search.CODE.denominator),
        "denominators": str(len(_exact_search.DENOMINATORS)), "saturated": f"{_exact_search.SATURATED:g}",
        "weakest": f"{_exact_search.STRENGTHS[0]:g}", "strongest": f"{_exact_search.STRENGTHS[-1]:g}",
        "strings": str(STRINGS), "certain": f"{CERTAIN:g}", "kept": _kept_table(table), "published": _published(table),
        "weights_addition": str(TASKS["addition"].size), "weights_anbn": str(TASKS["anbn"].size),
        **_controls(table),
    }  # fmt: skip
    for task in TASKS:
        said |= {f"{task}_{name}": value for name, value in _of_task(table, task).items()}
    return said


def _of_task(table: pd.DataFrame, task: str) -> dict[str, str]:
    exact, empty = (_searched(table, task, start) for start in ("exact", "empty"))
    runs, random = _trained(table, task, ("exact",)), _trained(table, task, ("random",))
    better = (exact["exact_bits"] - exact["weights_bits"] - exact["data_bits"]).clip(lower=0.0)
    wrong = empty[~empty["kept"]]
    found, percent = empty[empty["kept"]], _text.percent()
    of_length = lengths(table)
    of_length = of_length[of_length["task"] == task].groupby("objective")["more_bits"]
    said = {
        "ce": percent(_share(runs, "cross-entropy")), "mdl": percent(exact["kept"].mean()),
        "found": str(len(found)), "searches": str(len(empty)), "tried": _text.thousands(empty["evaluations"].max()),
        "spared": _text.between(*(_text.fixed(0)(v) for v in (better.min(), better.max()))),
        "mdl_weights": _text.between(*(_text.fixed(0)(v) for v in _ends(exact["weights_bits"]))),
        "wrong_more": _text.fixed(0)((wrong["weights_bits"] + wrong["data_bits"] - wrong["exact_bits"]).min()),
        "random_found": str(int(random["kept"].sum())), "random_runs": str(len(random)),
        "ce_excess": _text.significant(2)(runs[runs["objective"] == "cross-entropy"]["excess_bits"].median()),
        "mdl_excess": _text.significant(2)(exact["excess_bits"].median()),
        "ce_more": _text.thousands(of_length.median()["cross-entropy"]),
        "found_weights": _text.between(*(_text.fixed(0)(v) for v in _ends(found["weights_bits"]))),
        **{f"{penalty.lower()}_kept": _strongest(runs, penalty) for penalty in PENALTIES},
    }  # fmt: skip
    if task == "anbn":
        saturated = _trained(table, task, ("saturated",))
        plain, plain_saturated = (r[r["objective"] == "cross-entropy"] for r in (runs, saturated))
        said |= {
            "ce_reach": _text.between(*(_text.fixed(0)(v) for v in _ends(plain["reach"]))),
            "ce_repaired": percent(plain["repaired"].mean()),
            "repaired_saturated": percent(plain_saturated["repaired"].mean()),
            "ce_saturated": percent(_share(saturated, "cross-entropy")) if len(saturated) else "–",
            **{f"{p.lower()}_saturated": _strongest(saturated, p) if len(saturated) else "–" for p in PENALTIES},
        }
    return said


def _ends(values: pd.Series) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _strongest(runs: pd.DataFrame, penalty: str) -> str:
    """The largest strength up to which every run keeps the rule."""
    share = runs[runs["objective"] == penalty].groupby("strength")["kept"].mean()
    whole = share.index[(share == 1.0).cummin()]
    return f"up to a strength of {whole[-1]:g}" if len(whole) else "at no strength"


def _kept_table(table: pd.DataFrame) -> str:
    """A row a task, start and objective, a column a strength."""
    found = kept(table)
    found = found.assign(share=found["sum"].astype(str) + "/" + found["size"].astype(str))
    rows = []
    for (task, start, objective), part in found.groupby(["task", "start", "objective"], sort=False):
        by = part.set_index("strength")["share"]
        strengths = {f"{s:g}": by.get(s, "") for s in _exact_search.STRENGTHS}
        rows.append({"task": NAMES[task], "start": start, "objective": objective, "none": by.get(0.0, ""), **strengths})
    return _text.table(pd.DataFrame(rows), dict.fromkeys(rows[0], str))


def _published(table: pd.DataFrame) -> str:
    """Binary addition from exact nets: published shares, and ours at the weakest and the strongest penalty."""
    found = kept(table)
    found = found[(found["task"] == "addition") & (found["start"] == "exact")]
    rows = []
    for objective, theirs in PUBLISHED.items():
        own = found[found["objective"] == objective].sort_values("strength")
        ours = (own["sum"].astype(str) + "/" + own["size"].astype(str)).to_list()
        rows.append({"objective": objective, "published": theirs, "here": _text.between(ours[0], ours[-1])})
    return _text.table(pd.DataFrame(rows), dict.fromkeys(rows[0], str))


def _controls(table: pd.DataFrame) -> dict[str, str]:
    golden, every, optimum = (table[table["part"] == part] for part in ("golden", "enumerated", "optimum"))
    return {
        **{f"golden_{row.task}": _text.fixed(0)(row.weights_bits) for row in golden.itertuples()},
        "by_hand": _text.significant(1)((golden["weights_bits"] - golden["by_hand_bits"]).abs().max()),
        "enumerated": _text.thousands(every["pairs"].sum()), "enumerated_wrong": _text.thousands(every["wrong"].sum()),
        "enumerated_length": _text.thousands(every["length"].max()),
        "off_optimum": _text.significant(1)((optimum["data_bits"] - optimum["optimum_bits"]).abs().max()),
    }  # fmt: skip


def verdict(table: pd.DataFrame) -> str:
    found, said = parts(table), numbers(table)
    failed = [name for name, holds in found.items() if not holds]
    lead = "Yes" if not failed else f"In part: {sum(found.values())} of {len(found)} parts of the claim hold"
    denied = f"; not that {_text.listed(failed)}" if failed else ""
    return (
        f"{lead}{denied}. Addition: cross-entropy keeps the rule in {said['addition_ce']} % of runs, L1 "
        f"{said['addition_l1_kept']}, L2 {said['addition_l2_kept']}, the shortest message in {said['addition_mdl']} %. "
        f"aⁿbⁿ: cross-entropy in {said['anbn_ce']} % (right to n = {said['anbn_ce_reach']} of {said['long_count']}), "
        f"L1 {said['anbn_l1_kept']}, L2 {said['anbn_l2_kept']}, the shortest message in {said['anbn_mdl']} %. From an "
        f"empty net {said['anbn_found']} of {said['anbn_searches']} searches find aⁿbⁿ and {said['addition_found']} of "
        f"{said['addition_searches']} addition; gradients from random weights find {said['anbn_random_found']} and "
        f"{said['addition_random_found']} of {said['anbn_random_runs']} each."
    )


if __name__ == "__main__":
    _command.main(__file__)
