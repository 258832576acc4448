"""Runs the examples of a page, in order, and keeps what they print; an example that fails is an error.

``{run}`` is Python, ``{shell}`` a command a line. All of a page share one namespace and one empty folder.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```\{(run|shell)\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)


class ExampleError(ValueError):
    """An example that did not do what its page says."""


@dataclass
class Examples:
    """Those of one page."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp()))
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def __post_init__(self) -> None:
        """The folder goes with the examples."""
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def run(self, code: str) -> str:
        """What the code prints, and the value of its last line if that is an expression."""
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            exec(compile(tree, "<example>", "exec"), self.names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "<example>", "eval"), self.names)  # noqa: S307
                if value is not None:
                    printed.write(f"{value if hasattr(value, '_repr_html_') else repr(value)}\n")
        return printed.getvalue()

    def shell(self, command: str, status: int = 0) -> str:
        """What the command prints; ExampleError if it ends with another status."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
        done = subprocess.run(
            shlex.split(command), cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != status:
            raise ExampleError(f"{command}: expected status {status}, got {done.returncode}\n{done.stderr}")
        return done.stdout + (done.stderr if status else "")


def blocks(page: str) -> list[tuple[str, int, str]]:
    """``(kind, expected status, code)`` of every example of a page, for running them without Sphinx."""
    found = []
    for kind, options, code in _BLOCK.findall(page):
        status = re.search(r":status: (\d+)", options)
        found.append((kind, int(status[1]) if status else 0, code))
    return found


def commands(block: str) -> list[str]:
    """A command a line."""
    return [line for line in block.splitlines() if line.strip()]
