"""Tables in a terminal and on a page: what is too wide gives way without breaking a number, and nothing is obeyed."""

from __future__ import annotations

import html
import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mdl import tables

TABLE = pd.DataFrame(
    {
        "name": ["encoder.layer.11.attention.self.query.weight", "b"],
        "weights": [1234567, 8],
        "total_bits": [7654321.26, 0.5],
        "mse": [1.234e-06, np.nan],
        "ok": [True, False],
    }
)
NUMBERS = ("1,234,567", "7,654,321.3", "1.234e-06", "0.5")


def printed(table: pd.DataFrame, width: int, terminal: bool = True, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    tables.show(table, console=console, **options)  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [24, 30, 44, 52, 60, 80, 200])
def test_no_number_is_broken_and_no_line_is_longer_than_the_terminal(width: int) -> None:
    text = printed(TABLE, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for number in NUMBERS:
        assert number in text
    assert "".join(re.findall(r"[a-z0-9.]+", text)).count("total") >= 1


def test_where_there_is_no_terminal_nothing_is_broken() -> None:
    head, rule, first, second = printed(TABLE, 20, terminal=False).splitlines()
    assert head.split() == ["name", "weights", "total", "bits", "mse", "ok"]
    assert set(rule) == {"─"}
    assert first.split() == ["encoder.layer.11.attention.self.query.weight", *NUMBERS[:3], "yes"]
    assert second.split() == ["b", "8", "0.5", "no"]


def test_a_spare_column_goes_before_rows_become_blocks() -> None:
    wide = TABLE.assign(bar="#" * 30)
    assert "#" * 30 in printed(wide, 100, spare="bar")
    narrow = printed(wide, 54, spare="bar")
    assert "#" not in narrow
    assert narrow.split()[:6] == ["name", "weights", "total", "bits", "mse", "ok"]
    assert "#" in printed(wide, 54)


def test_the_best_stands_out() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    tables.show(TABLE, best=[1], console=console)
    plain, marked = console.file.getvalue().splitlines()[-2:]  # type: ignore[attr-defined]
    assert "\x1b[1;32m" in marked
    assert "\x1b[1;32m" not in plain


@pytest.mark.parametrize("width", [12, 80])
def test_a_terminal_obeys_no_name(width: int) -> None:
    names = ["\x1b[2J\x1b]0;t\x07", "[bold red]x[/]", "[/nothing]", "\u202eabc", "a\nb", ":smile:"]
    table = pd.DataFrame({"na\x1bme": names, "bits": [1.0] * len(names)})
    text = printed(table, width)
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    joined = re.sub(r"\s", "", text)
    assert "[boldred]x[/]" in joined if width == 12 else "[bold red]x[/]" in text
    assert ":smile:" in joined


def test_html_keeps_exact_numbers_and_escapes_everything() -> None:
    table = pd.DataFrame({"<i>": ["<b>&amp;\x00"], "x_bits": [1 / 3], "n": [np.int64(3)]})
    text = tables.to_html(table, best=[0], caption="<caption>")
    assert re.findall('value="([^"]*)"', text) == [repr(1 / 3), "3"]
    assert "<b>" not in text
    assert "<i>" not in text
    assert html.escape("<b>&amp;\\x00") in text
    assert html.escape("<caption>") in text
    assert text.count('class="best"') == 1
