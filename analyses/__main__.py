"""``python -m analyses``: every question with its claim and its verdict; ``figures`` redraws from committed tables."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path

from analyses import _catalogue
from mdl.errors import MdlError


def main(arguments: list[str] | None = None) -> None:
    """List, or redraw."""
    parser = argparse.ArgumentParser(prog="python -m analyses", description="The analyses, their claims and verdicts.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    figures = parser.add_subparsers(dest="command").add_parser("figures", help="redraw from the committed tables")
    figures.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    figures.add_argument("--out", type=Path, default=Path("results/figures"), help="folder for PDF and PNG")
    given = parser.parse_args(arguments)
    try:
        if given.command == "figures":
            found = {"files": [str(path) for path in _catalogue.redraw(given.names, given.out)]}
            print(json.dumps(found) if given.json else "\n".join(found["files"]))
        else:
            found = {"analyses": _catalogue.answers()}
            print(json.dumps(found, ensure_ascii=False) if given.json else "\n\n".join(map(_entry, found["analyses"])))
    except (MdlError, OSError) as error:
        print(f"analyses: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _entry(answer: dict[str, str]) -> str:
    """Plain lines, which a pipe and a narrow terminal take too."""
    said = {"claim": answer["claim"], "verdict": answer["verdict"]}
    lines = [
        textwrap.fill(f"{what:<9}{text}", 100, subsequent_indent=" " * 9, break_on_hyphens=False)
        for what, text in said.items()
    ]
    return "\n".join([answer["name"], *(textwrap.indent(line, "  ") for line in lines)])


if __name__ == "__main__":
    main()
