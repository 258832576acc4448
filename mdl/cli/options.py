"""Options that several commands have, and how they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Priors = Annotated[
    list[str] | None, typer.Option("--prior", "-p", help="A prior or code by name; repeat it to compare several.")
]
Step = Annotated[float | None, typer.Option(help="Width of the cells. Default: about 1/16 of the rms weight.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Backend = Annotated[str, typer.Option(help="loky: processes here; dask: the workers of a cluster.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of the cluster's scheduler, such as tcp://host:8786.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write.")]


def print_json(value: dict[str, Any]) -> None:
    """One object, strictly JSON."""
    print(json.dumps(value, allow_nan=False))
