"""Every analysis runs, and leaves what it says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ANALYSES = sorted(path.stem for path in (Path(__file__).parents[1] / "analyses").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_runs_quickly_and_leaves_table_and_figure(name, tmp_path, capsys) -> None:
    importlib.import_module(f"analyses.{name}").main(["--quick", "--out", str(tmp_path)])
    assert len(capsys.readouterr().out) > 200
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} >= {".csv", ".pdf", ".png"}


def test_both_analyses_of_the_spine_are_there() -> None:
    assert {"l2_sweep", "l2_is_a_prior"} <= set(ANALYSES)
