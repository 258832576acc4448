"""Figures of a sweep: every prior is drawn, minima are marked where they are, and files repeat byte for byte."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mdl
from mdl import plot

STRENGTHS = np.logspace(-4, 0, 5)


def _table() -> pd.DataFrame:
    rows = [
        {
            "dataset": "toy", "task": "classification", "model": model, "strength": strength, "seed": seed,
            "prior": prior, "uniform_bits": 500.0,
            "model_bits": 100.0 - 10 * k + seed, "data_bits": 50.0 + 5 * k**2,
            "total_bits": 150.0 - 10 * k + 5 * k**2 + seed + 20 * p,
            "test_bits_per_example": 0.5 + 0.1 * (k - 2) ** 2, "test_error": 0.1 + 0.01 * k,
            "trained_test_bits_per_example": 0.4 + 0.1 * (k - 3) ** 2,
            "trained_test_error": 0.08 + 0.01 * (k - 1) ** 2,
        }
        for model in ("logistic", "mlp-relu")
        for k, strength in enumerate(STRENGTHS)
        for seed in range(3)
        for p, prior in enumerate(("gaussian", "laplace", "hashed"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _marked(axes) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() not in ("None", "", None)]


def test_the_figure_has_a_column_a_model_and_units_on_every_axis() -> None:
    figure = plot.sweep_figure(_table())
    panels = [axes for axes in figure.axes if axes.get_subplotspec().rowspan.start == 2]
    assert {axes.get_title() for axes in figure.axes} >= {"toy: logistic regression", "toy: mlp-relu"}
    assert "bits" in panels[0].get_ylabel()
    assert "λ" in panels[0].get_xlabel()


def test_every_prior_is_drawn_and_its_minimum_marked() -> None:
    table = _table()
    part = table[table["model"] == "logistic"]
    axes = plot.plot_totals(part)
    assert axes.get_legend_handles_labels()[1] == ["gaussian", "laplace", "hashed"]
    expected = part.groupby(["prior", "strength"])["total_bits"].mean().unstack().idxmin(axis=1)
    assert _marked(axes) == [expected[p] for p in ("gaussian", "laplace", "hashed")]
    assert len({str(line.get_linestyle()) + str(line._unscaled_dash_pattern) for line in axes.lines[::2]}) == 3


def test_held_out_losses_have_their_minima_marked_and_legends_name_both_models() -> None:
    axes = plot.plot_held_out(_table())
    (right,) = (other for other in axes.figure.axes if other is not axes)
    assert _marked(axes) == [STRENGTHS[3], STRENGTHS[2]]
    assert _marked(right) == [STRENGTHS[1], STRENGTHS[0]]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["bits, trained", "bits, coded", "error, trained", "error, coded"]
    assert right.lines[0].get_ydata().min() == pytest.approx(8.0)  # per cent


def test_a_line_through_every_panel_joins_the_shortest_total() -> None:
    table = _table()
    shortest = table[table["prior"] == "gaussian"].groupby("strength")["total_bits"].mean().idxmin()
    panels = plot.sweep_figure(table).axes
    drawn = [axes for axes in panels for line in axes.lines if list(line.get_xdata()) == [shortest, shortest]]
    assert len(drawn) == 6


def test_given_axes_are_used_and_returned() -> None:
    axes = plot.plot_held_out(_table())
    assert plot.plot_lengths(_table(), ax=axes) is axes


def test_compare_draws_the_best_on_top() -> None:
    a = mdl.CodeLength.from_bits({"weights": 10.0, "data": 5.0})
    b = mdl.CodeLength.from_bits({"weights": 2.0, "data": 6.0})
    axes = plot.compare(mdl.compare({"a": a, "b": b}))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert max(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx(15.0)


def test_files_are_the_same_bytes_again(tmp_path) -> None:
    first = [path.read_bytes() for path in plot.save_figure(plot.sweep_figure(_table()), tmp_path / "a")]
    again = [path.read_bytes() for path in plot.save_figure(plot.sweep_figure(_table()), tmp_path / "b")]
    assert first == again
    assert first[0].startswith(b"%PDF")
    assert first[1].startswith(b"\x89PNG")


def test_a_ladder_has_a_row_a_rung_and_fills_what_is_a_file() -> None:
    rows = [
        ("float32", "literal", 9000.0, None),
        ("grid", "two-part file", 700.0, 702.0),
        ("evidence", "Bayesian", 400.0, None),
    ]
    table = pd.DataFrame(rows, columns=["rung", "kind", "ideal_bits", "realised_bits"])
    axes = plot.plot_ladder(table.assign(dataset="toy", model="logistic", strength=0.1))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["evidence", "grid", "float32"]
    filled = {
        c.get_label(): bool(c.get_facecolors()[:, 3].all())
        for c in axes.collections
        if not c.get_label().startswith("_")
    }
    assert filled == {"literal": False, "two-part file": True, "Bayesian": False}
    figure = plot.ladder_figure(table.assign(dataset="toy", model="logistic", strength=0.1))
    assert "toy: logistic regression, λ = 0.1" in {ax.get_title() for ax in figure.axes}


def test_random_labels_are_drawn_for_each_code() -> None:
    rows = [(rung, labels, seed, share + 0.01 * seed) for rung in ("grid", "evidence")
            for labels, share in (("true", 0.3), ("shuffled", 1.2)) for seed in range(2)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["rung", "labels", "seed", "share"])
    axes = plot.plot_random_labels(table)
    assert axes.get_legend_handles_labels()[1] == ["true labels", "shuffled labels"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["grid", "evidence"]


def test_the_parts_of_a_message_beside_what_it_predicts() -> None:
    left, right = plot.parts_figure(_table(), "logistic").axes
    assert _marked(left) == [STRENGTHS[1]]
    assert _marked(right) == [STRENGTHS[3], STRENGTHS[2]]
    assert right.get_legend_handles_labels()[1] == ["as trained", "as coded"]


def _gaps() -> pd.DataFrame:
    rows = [("net", prior, 10, k, 4.0**-k) for prior in ("Gaussian", "Laplace", "Uniform") for k in range(5)]
    return pd.DataFrame(rows, columns=["model", "prior", "weights", "halvings", "gap_nats_per_weight"])


def test_gaps_are_drawn_for_every_prior_that_has_one() -> None:
    (axes,) = plot.gap_figure(_gaps()).axes
    assert axes.get_legend_handles_labels()[1] == ["Gaussian", "Laplace", "slope 2"]
    assert "nats" in axes.get_ylabel()


def test_a_png_names_what_drew_it(tmp_path) -> None:
    _, png = plot.save_figure(plot.gap_figure(_gaps()), tmp_path / "a")
    assert Image.open(png).text["Software"] == f"matplotlib {mpl.__version__}"


def test_lines_are_means_with_students_interval_and_the_least_is_marked() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    cells = [(x, by, seed) for x in (0.1, 1.0, 10.0) for by in ("a", "b") for seed in range(5)]
    table = pd.DataFrame(cells, columns=["x", "by", "seed"]).assign(y=rng.normal(size=len(cells)))
    axes = plot.plot_lines(table, "x", "y", "by", labels={"a": "the first"}, minimum=True)
    first = table[table["by"] == "a"].groupby("x")["y"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), first.mean())
    values = table["y"][:5].to_numpy()
    ends = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    np.testing.assert_allclose(plot.mean_interval(values)[1:], ends)
    assert [text.get_text() for text in axes.legend().get_texts()] == ["the first", "b"]
    assert axes.lines[1].get_xdata() == [first.mean().idxmin()]


def test_one_value_is_its_own_interval_and_none_has_none() -> None:
    assert plot.mean_interval([2.0]) == (2.0, 2.0, 2.0)
    assert np.isnan(plot.mean_interval([np.nan])).all()


def _examples() -> dict[str, tuple[object, ...]]:
    """What each plot is called with; one that is not here fails the tests below."""
    two = mdl.compare({name: mdl.CodeLength.from_bits({"data": bits}) for name, bits in (("a", 9.0), ("b", 5.0))})
    log = mdl.prequential_log(mdl.LossLog([3.0, 2.0, 1.0], sizes=4)).table()
    tensors = pd.DataFrame({"name": ["a", "b"], "weights": [4, 2], "bits": [9.0, 5.0]})
    rungs = {"rung": ["a"], "kind": ["literal"], "ideal_bits": [9.0], "realised_bits": [None]}
    bounds = {"dataset": ["a"], "bound": [0.2], "test_error": [0.1], "training_error": [0.0]}
    labels = {"rung": ["a"], "labels": ["true"], "seed": [0], "share": [0.3]}
    chosen = {"selector": ["a"], "best_strength": [0.1], "strength": [0.01]}
    excess = {"family": ["a"], "selector": ["b"], "way": ["chosen"], "mean": [0.1], "low": [0.0], "high": [0.2]}
    return {
        "compare": (two,),
        "plot_certificates": (pd.DataFrame(bounds),),
        "plot_choices": (pd.DataFrame(chosen),),
        "plot_excess": (pd.DataFrame(excess),),
        "plot_gap": (_gaps(),),
        "plot_held_out": (_table(),),
        "plot_ladder": (pd.DataFrame(rungs),),
        "plot_lengths": (_table(),),
        "plot_lines": (_table(), "strength", "total_bits"),
        "plot_log": (log,),
        "plot_random_labels": (pd.DataFrame(labels),),
        "plot_ranks": (pd.Series({"a": 1.0, "b": 2.0}), 0.5),
        "plot_rates": (pd.DataFrame({"prior": ["a", "a"], "mse": [1e-3, 1e-4], "bits_per_weight": [2.0, 4.0]}),),
        "plot_tensors": (tensors,),
        "plot_totals": (_table(),),
    }


PLOTS = [name for name in plot.__all__ if name == "compare" or name.startswith("plot_")]


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_takes_axes_and_returns_them(name: str) -> None:
    draw, arguments = getattr(plot, name), _examples()[name]
    figure, ((left, right),) = plot.panels(2)
    assert draw(*arguments, ax=right) is right
    assert not left.has_data()
    assert right.has_data()
    own = draw(*arguments)
    assert own.figure is not figure
    own.figure.canvas.draw()


def test_what_draws_is_a_plot_or_a_whole_figure() -> None:
    others = {"mean_interval", "own_axes", "panels", "save_figure", "styled"}
    drawing = {name for name in plot.__all__ if callable(getattr(plot, name)) and name not in others}
    assert {name for name in drawing if not name.endswith("_figure")} == set(PLOTS)
