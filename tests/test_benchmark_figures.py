"""The figures of the page of benchmarks are those of its tables."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from PIL import Image

from mdl import plot
from tests.benchmarks import figures
from tests.test_analyses import differing


def test_figures_redrawn_are_the_committed_ones(tmp_path) -> None:
    for path in figures.draw(tmp_path):
        there = figures.COMMITTED / path.name
        assert there.is_file()
        if path.suffix == ".png" and Image.open(there).text["Software"] == f"matplotlib {mpl.__version__}":
            assert differing(path, there) <= 10


def test_another_share_makes_another_figure(tmp_path) -> None:
    table = pd.read_csv(figures.COMMITTED / "rate.csv")
    changed = table.assign(share=table["share"].where(table.index != 0, 0.9))
    _, png = plot.save_figure(figures.rate(changed), tmp_path / "rate")
    assert differing(png, figures.COMMITTED / "rate.png") > 10
