"""The front door: importing it imports nothing heavy, every name leads somewhere, and types agree with what runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mdl

#: Packages that nobody should wait for who does not use them.
HEAVY = (
    "constriction", "h5py", "joblib", "lightning", "matplotlib", "numpy", "onnx", "onnxruntime", "pandas", "pyarrow",
    "rich", "scipy", "sklearn", "sympy", "torch", "typer",
)  # fmt: skip
MEASURE = "mdl.decode(mdl.encode({'a': [0.5, 0.25]})); mdl.measure({'a': [0.5, 0.25]}, prior=mdl.Laplace(), step=0.5)"
NEEDED = {"constriction", "numpy", "scipy"}


def imported(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has imported after the code."""
    program = f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_mdl_imports_nothing_heavy() -> None:
    assert imported("import mdl; dir(mdl)") == set()


def test_measuring_and_coding_import_what_they_need_and_no_more() -> None:
    assert imported(f"import mdl; {MEASURE}") == NEEDED


def test_the_probe_sees_what_is_imported() -> None:
    assert imported("import pandas") >= {"pandas", "numpy"}


@pytest.mark.parametrize("name", mdl.__all__)
def test_every_name_leads_to_a_documented_thing(name) -> None:
    assert getattr(mdl, name).__doc__
    assert name in dir(mdl)


def test_types_names_and_homes_agree() -> None:
    """What a type checker reads is what is imported when it is asked for."""
    tree = ast.parse(Path(mdl.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == {name: f"mdl.{home}" for name, home in mdl._HOMES.items()}
    assert sorted(typed) == sorted(mdl.__all__)


def test_rooms_are_at_hand_and_other_names_are_not() -> None:
    assert mdl.rates.__name__ == "mdl.rates"
    with pytest.raises(AttributeError, match="no attribute 'lenght'"):
        mdl.lenght  # noqa: B018
