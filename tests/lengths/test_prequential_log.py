"""Lengths off training logs: against the library's own prequential length, sums by hand, and logs that hold none."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from mdl import plot
from mdl.errors import DataError
from mdl.length import LN2
from mdl.lengths.prequential import LossLog, prequential, prequential_log
from mdl.likelihoods import Categorical
from mdl.models import FeedForward
from tests.laws import SEARCH

X, Y = load_digits(n_class=4).data[:300] / 16.0, load_digits(n_class=4).target[:300]
ENDS = (*range(16, 300, 16), 300)


def zero_model() -> FeedForward:
    return FeedForward({"layers.0.weight": np.zeros((64, 4)), "layers.0.bias": np.zeros(4)}, Categorical(4))


def updated(model: FeedForward, X: Any, y: Any) -> FeedForward:
    """One step of gradient descent on the mean loss of a batch."""
    logits = model.predict(X)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True) - np.eye(4)[y]
    weight = model.weights["layers.0.weight"] - 0.5 * X.T @ p / len(y)
    return model.with_weights({"layers.0.weight": weight, "layers.0.bias": model.weights["layers.0.bias"]})


def write_log(path: Path) -> None:
    """What a training loop writes: loss first, then the update."""
    model, rows = zero_model(), []
    for step, (start, end) in enumerate(zip((0, *ENDS), ENDS, strict=False)):
        logits = model.predict(X[start:end])
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(end - start), Y[start:end]]
        rows.append({"step": step, "loss": float(losses.mean()), "batch_size": end - start, "epoch": 0})
        model = updated(model, X[start:end], Y[start:end])
    if path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_the_log_of_a_learner_has_its_prequential_length(tmp_path: Path, name: str) -> None:
    write_log(tmp_path / name)
    logged = prequential_log(LossLog.read(tmp_path / name))
    own = prequential(
        lambda X, y, start: updated(start or zero_model(), X, y), X, Y, blocks=ENDS, replay=0.0, classes=range(4)
    )
    assert logged.nats == pytest.approx(own.nats, rel=1e-9)
    np.testing.assert_allclose(logged.batch_nats, own.block_nats, rtol=1e-9)
    assert logged.examples == 300
    assert not logged.realised


LOSSES = st.lists(st.tuples(st.floats(0.0, 50.0), st.integers(1, 512)), min_size=1, max_size=40)


@SEARCH
@given(LOSSES, st.floats(0.0, 1.0))
def test_units_and_reductions_agree_and_areas_add_up(rows: list[tuple[float, int]], tail: float) -> None:
    losses, sizes = (np.array(column) for column in zip(*rows, strict=True))
    length = prequential_log(LossLog(losses, sizes), tail=tail)
    assert length.nats == pytest.approx(math.fsum(a * b for a, b in rows))
    for other in (
        prequential_log(LossLog(losses / LN2, sizes), unit="bits", tail=tail),
        prequential_log(LossLog(losses * sizes, sizes), reduction="sum", tail=tail),
    ):
        assert other.nats == pytest.approx(length.nats)
        assert other.final_nats == pytest.approx(length.final_nats)
    by_hand = math.fsum(n * (loss - length.final_nats) for loss, n in rows)
    assert length.absorbed_nats == pytest.approx(by_hand, abs=1e-9 * (1.0 + length.nats))
    assert losses.min() * (1 - 1e-12) <= length.final_nats <= losses.max() * (1 + 1e-12)


def test_the_final_loss_is_that_of_the_tail_and_has_an_error() -> None:
    log = LossLog([4.0] * 90 + [1.0, 3.0] * 5, sizes=2)
    length = prequential_log(log, tail=0.1)
    assert length.final_nats == 2.0
    assert length.final_error_nats == pytest.approx(np.std([1.0, 3.0] * 5, ddof=1) / math.sqrt(10))
    assert length.absorbed_nats == pytest.approx(200 * 3.8 - 200 * 2.0)
    assert length.absorbed_error_nats == 200 * length.final_error_nats
    assert prequential_log(log, tail=0.0).final_nats == 3.0
    given = prequential_log(log, final_loss=2.0 / LN2, unit="nats")
    assert given.final_nats == 2.0 / LN2
    assert json.dumps(given.as_dict(), allow_nan=False)  # an error that is not known is null


def test_what_was_checked_and_what_is_assumed_is_said() -> None:
    bare = dict(prequential_log(LossLog([1.0, 1.0], 4)).assumptions)
    assert not any(bare.values())
    full = prequential_log(LossLog([1.0, 1.0], 4, steps=[1, 2], epochs=[0, 0]), examples=8)
    checked = [claim for claim, ok in full.assumptions if ok]
    assert [claim.split(" ")[0] for claim in checked] == ["all", "every"]
    text = str(full)
    assert text.count("checked: ") == 2
    for word in ("before the update", "weight decay", "dropout", "augmentation", "losses are nats, means over a batch"):
        assert word in text


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"steps": [1, 2, 2]}, {}, "step 2 occurs twice"),
        ({"steps": [0, 1, 3]}, {}, "got 3 after 1"),
        ({"steps": [5, 6, 7]}, {}, "from the first batch on, got 5"),
        ({"steps": [1, 2, 1]}, {}, "step 1 comes after 2"),
        ({"steps": [10, 20, 30]}, {}, "first batch"),
        ({"steps": [10, 20, 25]}, {"every": 10}, "one every 10, got 25 after 20"),
        ({"epochs": [0, 0, 1]}, {}, "epochs: expected a single one"),
        ({"epochs": [0.5, 1.0, 1.5]}, {}, "epochs: expected a single one"),
        ({}, {"examples": 11}, "at most 11 in a single epoch, the log has 12"),
        ({}, {"every": 0}, "every: expected"),
        ({}, {"tail": 1.5}, "tail: expected"),
        ({}, {"final_loss": math.nan}, "final_loss: expected"),
        ({}, {"unit": "bytes"}, "nats or bits"),
        ({}, {"reduction": "none"}, "mean or sum"),
    ],
)
def test_a_log_of_which_the_sum_is_no_length_is_refused(columns: Any, options: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        prequential_log(LossLog([3.0, 2.0, 1.0], 4, **columns), **options)


@pytest.mark.parametrize(
    "columns", [{"steps": [10, 20, 30]}, {"steps": [9, 19, 29], "epochs": [0.3, 0.6, 1.0]}, {"epochs": [1, 1, 1]}]
)
def test_a_row_may_be_a_mean_over_steps_of_a_single_epoch(columns: Any) -> None:
    assert prequential_log(LossLog([3.0, 2.0, 1.0], 40, **columns), every=10).nats == 240.0


@pytest.mark.parametrize(
    ("losses", "sizes", "said"),
    [
        ([1.0, math.nan], 4, "1 of 2 are NaN or infinite, the first is nan in row 2"),
        ([1.0, math.inf], 4, "NaN or infinite"),
        ([1.0, -0.5], 4, "got -0.5 in row 2: a density"),
        ([], 4, "at least one"),
        ([[1.0]], 4, "shape"),
        ([1.0], 0, "at least one example"),
        ([1.0], 2.5, "whole numbers"),
        ([1.0, 2.0], [4], "one for each of 2 losses"),
    ],
)
def test_numbers_that_are_no_losses_are_refused(losses: Any, sizes: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        LossLog(losses, sizes)


@pytest.mark.parametrize(
    ("name", "text", "options", "said"),
    [
        ("a.csv", "step,loss\n0,1\n", {}, "size: expected a column batch_size"),
        ("a.csv", "step,value\n0,1\n", {"size": 3}, "loss: expected a column loss"),
        ("a.csv", "loss,train_loss\n1,1\n", {"size": 3}, "got loss and train_loss; say which"),
        ("a.csv", "loss\n1\n", {"size": 3, "loss": "x"}, "expected a column 'x'"),
        ("a.csv", "loss\n1\nten\n", {"size": 3}, "line 3: loss: expected a number, got 'ten'"),
        ("a.csv", "loss\n1\nnan\n", {"size": 3}, "NaN or infinite"),
        ("a.csv", "loss,b\n1,2,3\n", {"size": 3}, "expected 2 cells, got more"),
        ("a.csv", "loss,batch_size\n1,\n", {}, "line 2: batch_size: expected a number"),
        ("a.csv", "", {}, "at least one row"),
        ("a.csv", "loss\n\"\"\n", {"size": 3}, "got none"),
        ("a.jsonl", "{\"loss\": 1}\n[1]\n", {"size": 3}, "line 2: expected a JSON object"),
        ("a.jsonl", "{\"loss\": NaN}\n", {"size": 3}, "NaN or infinite"),
        ("a.jsonl", "{\"loss\": true}\n", {"size": 3}, "expected a number, got True"),
        ("a.jsonl", "[" * 100000, {"size": 3}, "line 1: expected a JSON object"),
        ("a.jsonl", "{\"loss\": 1" + "0" * 400 + "}\n", {"size": 3}, "expected a number"),
        ("a.txt", "loss\n1\n", {}, "ends in one of .csv"),
        ("missing.csv", None, {}, "cannot be read"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_files_that_are_no_logs_are_refused_by_name(
    tmp_path: Path, name: str, text: Any, options: Any, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        LossLog.read(tmp_path / name, **options)
    assert name in str(caught.value)


def test_rows_of_validation_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,train_loss,val_loss\n0,0,2.0,\n0,1,1.0,\n0,1,,0.9\n")
    log = LossLog.read(tmp_path / "metrics.csv", size=8)
    assert (log.skipped, log.losses.tolist()) == (1, [2.0, 1.0])
    assert prequential_log(log).nats == 24.0


def test_the_figure_shades_the_area_above_the_final_loss() -> None:
    length = prequential_log(LossLog([3.0, 2.0, 1.0], [1, 2, 4]), unit="bits", tail=0.0)
    axes = plot.plot_log(length.table())
    assert plot.plot_log(length.table(), ax=axes) is axes
    (shaded, _) = axes.collections
    corners = shaded.get_paths()[0].vertices
    x, y = corners[:, 0], corners[:, 1]
    area = 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    assert area == pytest.approx(length.absorbed_nats / LN2)


def test_a_notebook_shows_parts_and_assumptions() -> None:
    shown = prequential_log(LossLog([3.0, 2.0], 4))._repr_html_()
    assert shown.count("<li>assumed: ") == 6
    assert "<td>data</td>" in shown
    assert "8 examples" in shown
