"""The least versions that pyproject.toml allows, as constraints for pip: what ``make oldest`` installs."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

TOLD = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def main() -> None:
    """To standard output, a line a package."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["onnx"], *extras["compressors"]]:
        if found := TOLD.match(requirement):
            sys.stdout.write(f"{found[1]}=={found[2]}\n")


if __name__ == "__main__":
    main()
