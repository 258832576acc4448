"""The table of docs/howto/models.md is what comes out, and the examples of that page run."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.models import graphs, table

PAGE = table.TABLE.with_name("models.md")
COMMITTED = list(csv.reader(table.TABLE.read_text("utf-8").splitlines()))


@pytest.mark.parametrize("kind", table.KINDS, ids=lambda kind: kind.name)
def test_a_row_of_the_table_is_what_comes_out(kind) -> None:
    """``python -m tests.models.table`` writes it anew."""
    if not kind.can_run:
        pytest.skip(f"needs {kind.needs}")
    (row,) = (row for row in COMMITTED if row[0] == kind.name)
    assert table.row(kind) == row


def test_the_table_has_a_row_for_every_kind_and_no_other() -> None:
    assert [tuple(COMMITTED[0]), *(row[0] for row in COMMITTED[1:])] == [
        table.HEADER,
        *(kind.name for kind in table.KINDS),
    ]


def test_the_same_weights_take_the_same_bits_whatever_they_come_in() -> None:
    perceptrons = [row for row in COMMITTED[1:10] if "bfloat16" not in row[0]]
    assert len({row[5] for row in perceptrons}) == 1


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch) -> None:
    """Those in plain Python blocks need packages that the documentation is built without."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    graphs.save(tmp_path / "model.onnx", dict(zip(table.LAYERS, table.trained("mlp").values(), strict=True)))
    names: dict[str, object] = {}
    blocks = re.findall(r"^```(?:python|\{run\})\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 4
    for block in blocks:
        exec(block, names)
