"""Why shorter explanations, and not explanations whose SHA-256 is near some string of bits?

Codes with the same Kraft sum that put their short codewords elsewhere: near zero, as universal integer codes do, in the
order of a hash, far from zero. How does length under each rank trained models, what does a search for the shortest
model find, and how large is the constant that separates two such codes?
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses import _command, _razed, _razors, _shortest, _text
from analyses import _razor_spans as _spans
from mdl import plot

CLAIM = (
    "Kraft's inequality does not single out short weights. Under a Gaussian code and under universal codes of the "
    "integers the shorter of two trained models predicts better; under the same masses dealt out by SHA-256 length "
    "says no more than the data part alone, and in the reverse order less than chance. The shortest explanation under "
    "a hashed order overfits. The invariance theorem does not help, since its constant exceeds most differences of "
    "length between trained models."
)
SPLITS, SHUFFLED = 10, 5
UNIT = f" {_razors.SCALE:g}"
ORDERS = ("Gaussian", "hashed", "reversed")
SHOWN = {
    "Gaussian" + UNIT: "Gaussian", "Elias delta": "Elias delta", "log*": "log*", "rational": "rational",
    "uniform": "uniform (data alone)", "hashed" + UNIT: "hashed", _razed.DEALT: "hashed whole models",
    "reversed" + UNIT: "reversed",
}  # fmt: skip
DIGITS = "digits"
PROGRAM = "program, SHA-256 given"
_SEARCHED = {"breast_cancer": "cancer", DIGITS: "digits"}
_DRAWN = ("tag and salt", PROGRAM, "program, SHA-256 spelled out")


def measure(options: _command.Options) -> pd.DataFrame:
    first = options.seed
    tables = ["wine"] if options.quick else list(_razed.EXAMPLES)
    splits = {"true": 1, "shuffled": 1} if options.quick else {"true": SPLITS, "shuffled": SHUFFLED}
    cells = [
        _razed.Cell(name, labels, first + k, listed=labels == "true" and not k)
        for name in tables
        for labels, count in splits.items()
        for k in range(count)
    ]
    sizes = (_shortest.SHOWN,) if options.quick else _shortest.SIZES
    searches = [
        _shortest.Search(table, labels, n, first + k, 1 if options.quick else _shortest.SWEEPS)
        for table in _SEARCHED
        for labels, tried in {"true": sizes, "shuffled": (_shortest.SHOWN,)}.items()
        for n in tried
        for k in range(splits["shuffled" if options.quick else labels])
    ]
    parts = [
        options.rows(_razed.rows, cells),
        options.rows(_shortest.rows, searches),
        options.rows(_razed.law, [(first, 40 if options.quick else 400)]),
        options.rows(_razed.facts, [first]),
    ]
    return pd.concat(parts, ignore_index=True)


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    figure, axes = plot.panels(2, 2, width=3.5, height=2.7)
    _draw_ranks(table, axes[0, 0])
    _draw_kept(table, axes[0, 1])
    _draw_sizes(table, axes[1, 0])
    _draw_sweeps(table, axes[1, 1])
    return {"arbitrary_razor": figure, "arbitrary_razor_models": _draw_models(table)}


def _draw_ranks(table: pd.DataFrame, ax: Axes) -> None:
    for k, code in enumerate(SHOWN):
        for shift, (labels, colour) in enumerate({"true": plot.COLOURS[0], "shuffled": plot.COLOURS[1]}.items()):
            span = _spans.span(_spans.within(table, code, labels)["tau"])
            y = k + 0.24 * shift - 0.12
            ax.plot([span.low, span.high], [y, y], color=colour)
            ax.plot([span.mean], [y], plot.MARKERS[shift], color=colour, label=f"{labels} labels" if not k else None)
    ax.axvline(0.0, color="black", linewidth=0.6)
    ax.set_yticks(range(len(SHOWN)), list(SHOWN.values()))
    ax.invert_yaxis()
    ax.set(xlabel="Kendall's τ of total length and test loss", title="(a) ranks of trained models")
    ax.set_xlim(-1.2, 1.05)
    ax.legend(loc="upper left", handlelength=1.0, borderaxespad=0.0)


def _draw_kept(table: pd.DataFrame, ax: Axes) -> None:
    kept = table[(table["part"] == "kept") & (table["labels"] == "true")]
    chosen = kept[kept["constant_bits"].isin(_razed.CONSTANTS)]
    plot.plot_lines(chosen, "constant_bits", "kept", "table", ax=ax, labels={"breast_cancer": "breast cancer"})
    for name, bits in _spans.constants(table).items():
        if name in _DRAWN:
            ax.axvline(bits, color="0.5", linewidth=0.7)
            side, top = (1, 0.68) if bits < 100.0 else (-1, 1.0)  # where no line passes
            ax.annotate(name, (bits, top), (2 * side, 0), textcoords="offset points", rotation=90, size=6, va="top",
                        ha="left" if side > 0 else "right")  # fmt: skip
    ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="constant between two languages, bits")
    ax.set(ylabel="pairs whose order is kept", title="(b) what the invariance theorem protects")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.06), frameon=True, edgecolor="none", framealpha=1.0)
    ax.set_xlim(0.7, 2e6)


def _draw_sizes(table: pd.DataFrame, ax: Axes) -> None:
    plot.plot_lines(_spans.ends(table, DIGITS), "n", "test_bits", "code", ax=ax, markers=True)
    ax.axhline(1.0, color="black", linewidth=0.6)
    ax.set(xscale="log", yscale="log", xlabel="training examples", ylabel="test loss, bits an example")
    ax.set_title("(c) shortest model that a search finds")
    _plain(ax, sorted(_spans.ends(table, DIGITS)["n"].unique()))
    ax.set_ylim(top=4.0 * ax.get_ylim()[1])  # room for the legend
    ax.legend(loc="upper right", ncols=2)


def _draw_sweeps(table: pd.DataFrame, ax: Axes) -> None:
    chosen = _spans.searches(table, DIGITS)
    paths = chosen[(chosen["n"] == _shortest.SHOWN) & (chosen["code"] != "reversed")]
    plot.plot_lines(paths, "sweep", "test_bits", "code", ax=ax, labels={c: f"{c}, test" for c in _shortest.CODES})
    for k, (_, path) in enumerate(paths.groupby("code", sort=False)):
        mean = path.groupby("sweep")["data_bits"].mean() / _shortest.SHOWN
        ax.plot(mean.index, mean, color=plot.COLOURS[k], linestyle=plot.DASHES[k], linewidth=0.7, alpha=0.7)
    ax.set(xlabel="sweeps of the search", ylabel="loss, bits an example", ylim=(0.0, None))
    ax.set_title(f"(d) the search at {_shortest.SHOWN} examples")
    ax.legend(loc="upper left")


def _plain(ax: Axes, ticks: list[float]) -> None:
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def _draw_models(table: pd.DataFrame) -> Figure:
    figure, axes = plot.panels(3, width=2.4, height=2.5, sharey=True)
    models = table[table["part"] == "model"]
    models = models[models["table"] == (DIGITS if DIGITS in set(models["table"]) else models["table"].iloc[0])]
    for ax, order in zip(axes[0], ORDERS, strict=True):
        for k, (name, part) in enumerate(models.groupby("architecture", sort=False)):
            total = part[f"{order.lower()}_bits"] / part["weights"]
            ax.plot(total, part["test_bits"], plot.MARKERS[k], color=plot.COLOURS[k], label=name, alpha=0.7)
        ax.set(yscale="log", title=order, xlabel="total length, bits a weight")
    low, high = models["test_bits"].min(), models["test_bits"].max()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if 0.9 * low <= tick <= 1.1 * high]
    axes[0, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0, 0].minorticks_off()
    axes[0, 0].set_ylabel("test loss, bits an example")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = _said(table)
    return {
        "arbitrary_razor": "(a) Kendall's rank correlation of total length and test loss among models of one "
        f"architecture, under codes with Kraft sum one: Gaussian {said['tau_gaussian']}, hashed {said['tau_hashed']}, "
        f"reversed {said['tau_reversed']} (means over {said['splits']} splits of {said['tables']} tables, 95 % "
        "intervals over splits). (b) Share of pairs of models of one architecture whose order under the Gaussian code "
        "no language within so many bits of it can turn round. (c) Test loss of the shortest model that coordinate "
        "descent finds, odd or even digits. (d) The same by sweeps; the training loss is thin.",
        "arbitrary_razor_models": f"{said['shown']} models of one split of the {said['shown_table']}: test loss "
        "against the total length under a Gaussian code, under its masses in hash order (of one salt), and in reverse "
        "order.",
    }


def parts(table: pd.DataFrame) -> dict[str, bool]:
    """Each part of the claim, and whether its interval says so."""
    taus = {code: _spans.span(_spans.within(table, code)["tau"]) for code in SHOWN}
    hashed, uniform = (_spans.within(table, code)["tau"] for code in ("hashed" + UNIT, "uniform"))
    sizes = sorted(_spans.ends(table, DIGITS)["n"].unique())
    return {
        "under the Gaussian code shorter is better": taus["Gaussian" + UNIT].low > 0.0,
        "under every universal code shorter is better": all(taus[code].low > 0.0 for code in _razors.universal()),
        "a hashed length says no more than the data part": _spans.span(hashed - uniform).low <= 0.0,
        "a reversed length says less than chance": taus["reversed" + UNIT].high < 0.0,
        "the search under a hashed order overfits": all(
            _spans.more(table, name, n, "test_bits").low > 0.0 for name in _SEARCHED for n in sizes
        ),
        "the constant exceeds most differences": _spans.kept_share(table, _spans.constants(table)[PROGRAM]).high < 0.5,
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    sizes = {f"{short}_sizes": _sizes_table(table, name) for name, short in _SEARCHED.items()}
    return {**_said(table), **sizes, "ranks": _ranks_table(table)}


def _said(table: pd.DataFrame) -> dict[str, str]:
    """All numbers but the tables."""
    return {**_setup(table), **_rank_numbers(table), **_search_numbers(table), **_theory_numbers(table)}


def _setup(table: pd.DataFrame) -> dict[str, str]:
    ranks = table[(table["part"] == "rank") & (table["labels"] == "true")]
    whole = ranks[(ranks["architecture"] == "all") & (ranks["code"] == "uniform")]
    models = table[table["part"] == "model"]
    shown = DIGITS if DIGITS in set(models["table"]) else models["table"].iloc[0]
    return {
        "tables": str(ranks["table"].nunique()), "splits": str(ranks["seed"].nunique()),
        "shuffled_splits": str(table[(table["part"] == "rank") & (table["labels"] == "shuffled")]["seed"].nunique()),
        "models": _text.thousands(whole["models"].sum()), "salts": str(_razors.SALTS),
        "examples": _text.listed([f"{n} of {name.replace('_', ' ')}" for name, n in _razed.EXAMPLES.items()]),
        "strengths": str(len(_razed.STRENGTHS)), "weakest": f"{_razed.STRENGTHS[0]:g}",
        "strongest": f"{_razed.STRENGTHS[-1]:g}", "widths": _text.listed([str(w) for w in _razed.WIDTHS]),
        "starts": str(_razed.STARTS), "step": f"{_razors.GRID.step:g}", "levels": str(_razors.SYMBOLS.size),
        "reach": f"{_razors.REACH * _razors.GRID.step:g}", "clipped": _text.thousands(models["clipped"].sum()),
        "told": str(len(_razors.TOLD)), "scales": _text.listed([f"{scale:g}" for scale in _razors.SCALES]),
        "shown": str(int((models["table"] == shown).sum())), "shown_table": shown.replace("_", " "),
    }  # fmt: skip


def _rank_numbers(table: pd.DataFrame) -> dict[str, str]:
    gaussian, hashed, uniform, turned = (
        _spans.within(table, code) for code in ("Gaussian" + UNIT, "hashed" + UNIT, "uniform", "reversed" + UNIT)
    )
    shuffled = [_spans.span(_spans.within(table, code, "shuffled")["tau_error"]) for code in SHOWN]
    fixed = _text.fixed(2)
    return {
        "tau_gaussian": _spans.span(gaussian["tau"]).said(), "tau_hashed": _spans.span(hashed["tau"]).said(),
        "tau_dealt": _spans.span(_spans.within(table, _razed.DEALT)["tau"]).said(),
        "tau_told": _spans.span(_spans.within(table, "Gaussian, scale told")["tau"]).said(),
        "tau_uniform": _spans.span(uniform["tau"]).said(), "tau_reversed": _spans.span(turned["tau"]).said(),
        "tau_universal": _text.between(*_ends_of([_spans.within(table, c)["tau"].mean() for c in _razors.universal()])),
        "hashed_less_uniform": _spans.span(hashed["tau"] - uniform["tau"]).said(),
        "gaussian_less_uniform": _spans.span(gaussian["tau"] - uniform["tau"]).said(),
        "salts_sd": fixed(hashed["tau_sd"].mean()),
        "shuffled_errors": _text.between(*_ends_of([span.mean for span in shuffled])),
        "shuffled_clear": str(sum(span.low > 0.0 or span.high < 0.0 for span in shuffled)),
        "codes": str(len(SHOWN)),
    }  # fmt: skip


def _ends_of(values: list[float]) -> tuple[str, str]:
    return _text.fixed(2)(min(values)), _text.fixed(2)(max(values))


def _ranks_table(table: pd.DataFrame) -> str:
    """A row a code: rank correlations within and across architectures, and what taking the shortest costs."""
    true = table[(table["part"] == "rank") & (table["labels"] == "true")]
    rows = []
    for code in true["code"].unique():
        within, across = _spans.within(table, code), _spans.across(table, code)
        rows.append(
            {
                "code": code, "τ within": _spans.span(within["tau"]).said(),
                "τ across": _spans.span(across["tau"]).said(), "τ of errors": _spans.span(within["tau_error"]).said(),
                "excess within": _spans.span(within["excess"]).said(),
                "excess across": _spans.span(across["excess"]).said(),
            }
        )  # fmt: skip
    return _text.table(pd.DataFrame(rows), dict.fromkeys(rows[0], str))


def _search_numbers(table: pd.DataFrame) -> dict[str, str]:
    n = _shortest.SHOWN
    said = {"sizes": _text.listed([f"{size:g}" for size in sorted(_spans.ends(table, DIGITS)["n"].unique())])}
    for name, short in _SEARCHED.items():
        ends, noise = (_spans.ends(table, name, labels) for labels in ("true", "shuffled"))
        for code in _shortest.CODES:
            of = ends[(ends["n"] == n) & (ends["code"] == code)].set_index(["table", "seed"])
            key = code.lower()
            said[f"{short}_{key}_test"] = _spans.span(of["test_bits"]).said()
            said[f"{short}_{key}_total"] = _text.thousands(of["total_bits"].mean())
            of = noise[noise["code"] == code].set_index(["table", "seed"])
            said[f"{short}_{key}_noise"] = _text.thousands(of["total_bits"].mean())
        said[f"{short}_more_test"] = _spans.more(table, name, n, "test_bits").said()
        said[f"{short}_more_total"] = _spans.more(table, name, n, "total_bits").said(1)
    return {**said, "sweeps": str(_shortest.SWEEPS), "search_salts": str(_shortest.SALTS), "search_n": str(n)}


def _sizes_table(table: pd.DataFrame, name: str) -> str:
    """A row a sample size: totals and test losses by code, and the difference that the order makes."""
    ends = _spans.ends(table, name)
    rows = []
    for n, part in ends.groupby("n"):
        by = part.groupby("code")[["total_bits", "test_bits"]].mean()
        row = {"examples": f"{n:g}"}
        for code in _shortest.CODES:
            total, test = _text.thousands(by.loc[code, "total_bits"]), _text.fixed(2)(by.loc[code, "test_bits"])
            row[code] = f"{total}; {test}"
        rows.append({**row, "hashed less Gaussian": _spans.more(table, name, int(n), "test_bits").said()})
    return _text.table(pd.DataFrame(rows), dict.fromkeys(rows[0], str))


def _theory_numbers(table: pd.DataFrame) -> dict[str, str]:
    law, kraft = (table[table["part"] == part] for part in ("law", "kraft"))
    found = _spans.constants(table)
    hashed, gaussian = (_spans.within(table, code + UNIT)["excess"] for code in ("hashed", "Gaussian"))
    gap = (hashed - gaussian).groupby("table").mean()
    gap = gap[gap > 0.0]  # where the hash chooses better, no number of examples is enough
    said = {}
    for name, bits in found.items():
        key = name.replace("program, ", "").replace("-", "").replace(" ", "_").lower()
        said[f"constant_{key}"] = _text.thousands(bits)
        said[f"kept_{key}"] = _percents(_spans.kept_share(table, bits))
        said[f"needed_{key}"] = _text.between(
            *(_text.significant(1)(n) for n in (2.0 * bits / gap).agg(["min", "max"]))
        )
    return {
        **said,
        "law_expected": _text.fixed(1)(law["expected_bits"].iloc[0]),
        "law_found": _text.between(*_ends_of(law["bits_per_weight"].to_list())),
        "law_errors": _text.fixed(1)(((law["bits_per_weight"] - law["expected_bits"]) / law["error_bits"]).abs().max()),
        "law_salts": _text.thousands(law["salts"].iloc[0]), "law_models": str(len(law)),
        "kraft": _text.significant(1)((kraft["kraft"] - 1.0).abs().max()),
    }  # fmt: skip


def _percents(span: _spans.Span) -> str:
    mean, low, high = map(_text.percent(1), span)
    return f"{mean} ({low} to {high})"


def verdict(table: pd.DataFrame) -> str:
    found, said = parts(table), _said(table)
    failed = [name for name, holds in found.items() if not holds]
    lead = "Yes" if not failed else f"In part: {sum(found.values())} of {len(found)} parts of the claim hold"
    denied = f"; not that {_text.listed(failed)}" if failed else ""
    return (
        f"{lead}{denied}. Kendall's τ of total length and test loss is {said['tau_gaussian']} under the Gaussian "
        f"code, {said['tau_universal']} under universal codes on the same grid, {said['tau_uniform']} for the data "
        f"part alone, {said['tau_hashed']} under hashed orders, {said['tau_dealt']} if the Gaussian lengths are dealt "
        f"out among the models by the SHA-256 of their weights, and {said['tau_reversed']} under the reversed order"
        f"{_which(table)}. A search at {said['search_n']} examples finds totals that differ by "
        f"{said['digits_more_total']} bits (digits) "
        f"and {said['cancer_more_total']} (breast cancer) between hashed and Gaussian order, and the hashed ones lose "
        f"{said['digits_more_test']} and {said['cancer_more_test']} bits a test example more. A program that deals out "
        f"masses by SHA-256 takes {said['constant_sha256_given']} bits, which leaves the order of "
        f"{said['kept_sha256_given']} % of pairs of models protected."
    )


def _which(table: pd.DataFrame) -> str:
    """Which codes rank better than the data part alone."""
    uniform = _spans.within(table, "uniform")["tau"]
    codes = [*_razors.universal(), "Gaussian, scale told", *(f"Gaussian {scale:g}" for scale in _razors.SCALES)]
    better = [code for code in codes if _spans.span(_spans.within(table, code)["tau"] - uniform).low > 0.0]
    return (
        f"; of {len(codes)} codes that are shortest at zero, {_text.listed(better) or 'none'} beat the data part alone"
    )


if __name__ == "__main__":
    _command.main(__file__)
