"""First use as a new user has it: the commands of the README, in an empty environment, on a file of one's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import venv
from pathlib import Path

import numpy as np

import mdl

ROOT = Path(__file__).resolve().parents[2]
AT_MOST = 60.0  # seconds, with a package index at hand


def test_first_use(tmp_path, benchmark, record) -> None:
    (block,) = re.findall(r"## Your own file\n.*?```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    commands = block.splitlines()
    assert len(commands) == 3
    clone = shutil.copytree(ROOT / "mdl", tmp_path / "clone" / "mdl").parent
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    mdl.save({"layer": np.random.default_rng(0).normal(size=(100, 100))}, clone / "model.safetensors")
    venv.create(tmp_path / "env", with_pip=True)
    path = os.pathsep.join([str(tmp_path / "env" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path} | {"PYTHONPATH": "", "VIRTUAL_ENV": str(tmp_path / "env")}

    def run() -> str:
        for command in commands:
            start = time.perf_counter()
            done = subprocess.run(
                command, shell=True, cwd=clone, env=environment, capture_output=True, text=True, check=False
            )
            record(command=command, seconds=time.perf_counter() - start)
            assert done.returncode == 0, done.stderr
        return done.stdout

    start = time.perf_counter()
    printed = benchmark.pedantic(run, rounds=1)
    assert "10,000 weights" in printed
    assert time.perf_counter() - start < AT_MOST
