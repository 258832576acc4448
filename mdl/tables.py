"""Tables as people read them: in a terminal, in a notebook, on a page."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

_WIDE = 10_000  # columns of something that is no terminal, where nothing has to be broken
_GAP = 2  # between columns
_NARROW = 12  # to which the column of a name may shrink


def cell(value: Any, column: str) -> str:
    r"""A value as it is shown: lengths to a tenth of a bit, other reals to four digits, nothing for NaN.

    Characters that are not printable are escaped: the names of tensors come from files, and a terminal obeys them.

    Examples
    --------
    >>> cell(12345.678, "total_bits"), cell(0.00012345, "mse"), cell(7, "weights"), cell(float("nan"), "mse")
    ('12,345.7', '0.0001234', '7', '')
    >>> cell("a\x1b[2J", "name")
    'a\\x1b[2J'
    """
    if isinstance(value, str):
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}" if column.endswith("bits") and abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,}"


def heading(column: str) -> str:
    """The name of a column in words.

    Examples
    --------
    >>> heading("bits_per_weight")
    'bits per weight'
    """
    return cell(column, "").replace("_", " ")


def show(
    table: pd.DataFrame, best: Collection[Any] = (), spare: str | None = None, console: Console | None = None
) -> None:
    """Print a table; rows whose index is in ``best`` stand out.

    In a terminal that is too narrow headings are broken between words and names anywhere, numbers never; if that does
    not help, the column ``spare`` is left out, and at last every row becomes a block of lines. Where there is no
    terminal, nothing is broken.
    """
    from rich.console import Console

    out = console or Console()
    if out.is_terminal:
        widths = _widths(table, out.width)
        if not widths and spare in table:
            table = table.drop(columns=spare)
            widths = _widths(table, out.width)
        for shown in [_to_rich(table, widths, best)] if widths else _blocks(table, best):
            out.print(shown)
        return
    wide = Console(file=out.file, width=_WIDE, color_system=None, highlight=False)
    with wide.capture() as captured:
        wide.print(_to_rich(table, _widths(table, _WIDE), best))
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _cells(table: pd.DataFrame) -> list[list[str]]:
    """A list of cells a column."""
    return [[cell(value, str(column)) for value in table[column]] for column in table]


def _widths(table: pd.DataFrame, room: int) -> list[int]:
    """Of the columns, so that they fit; nothing if they cannot."""
    from rich.cells import cell_len

    columns = [(heading(str(column)), cells) for column, cells in zip(table, _cells(table), strict=True)]
    wanted = [max(cell_len(text) for text in [title, *cells]) for title, cells in columns]
    least = [max([cell_len(word) for word in title.split()] + [cell_len(c) for c in cells]) for title, cells in columns]
    free = room - _GAP * (len(columns) - 1)
    if sum(wanted) <= free:
        return wanted
    text = [k for k, column in enumerate(table) if not _is_number(table[column])]
    for k in sorted(text, key=lambda k: -least[k]):  # the longest names give way first
        others = sum(least) - least[k]
        least[k] = min(least[k], max(_NARROW, free - others))
    return least if sum(least) <= free else []


def _to_rich(table: pd.DataFrame, widths: Sequence[int], best: Collection[Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for column, width in zip(table, widths, strict=True):
        justify: Any = "right" if _is_number(table[column]) else "left"
        shown.add_column(Text(heading(str(column))), justify=justify, overflow="fold", width=width)
    for index, *row in zip(table.index, *_cells(table), strict=True):
        shown.add_row(*map(Text, row), style="bold green" if index in best else None)
    return shown


def _blocks(table: pd.DataFrame, best: Collection[Any]) -> Iterator[Table]:
    """Every row on its own, a line a cell."""
    from rich.table import Table
    from rich.text import Text

    for index, *row in zip(table.index, *_cells(table), strict=True):
        block = Table.grid(padding=(0, _GAP))
        for column, text in zip(table, row, strict=True):
            block.add_row(Text(heading(str(column))), Text(text, overflow="fold"))
        block.add_row("")
        block.style = "bold green" if index in best else ""
        yield block


def to_html(table: pd.DataFrame, best: Collection[Any] = (), caption: str = "") -> str:
    """A table of HTML, everything in it escaped; a number carries its exact value in ``<data value=...>``.

    Examples
    --------
    >>> import pandas as pd
    >>> to_html(pd.DataFrame({"name": ["<b>"], "bits": [2.5]})).split("<tbody>")[1]
    '<tr><th scope="row">&lt;b&gt;</th><td class="n"><data value="2.5">2.5</data></td></tr></tbody></table>'
    """
    numeric = {column: _is_number(table[column]) for column in table}
    head = "".join(
        f'<th scope="col"{_class("n", numeric[column])}>{html.escape(heading(str(column)))}</th>' for column in table
    )
    rows = []
    for index, row in zip(table.index, table.itertuples(index=False), strict=True):
        cells = [_html_cell(value, str(column), numeric[column]) for column, value in zip(table, row, strict=True)]
        if cells and not next(iter(numeric.values())):
            cells[0] = cells[0].replace("<td>", '<th scope="row">').replace("</td>", "</th>")
        rows.append(f"<tr{_class('best', index in best)}>{''.join(cells)}</tr>")
    said = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _html_cell(value: Any, column: str, numeric: bool) -> str:
    text = html.escape(cell(value, column))
    if numeric and text:
        exact = html.escape(repr(value.item() if hasattr(value, "item") else value))
        text = f'<data value="{exact}">{text}</data>'
    return f"<td{_class('n', numeric)}>{text}</td>"


def _class(name: str, given: bool) -> str:
    return f' class="{name}"' if given else ""


def _is_number(column: Any) -> bool:
    return str(column.dtype.kind) in "iuf"
