"""``python -m tests.fuzz.guided READER [--cases N] [--seed S]``: as ``one``, but atheris chooses what is mutated next.

It watches which branches of ``mdl`` a case reaches, and keeps what reaches new ones; what is printed is libFuzzer's.
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mdl"]):
    from tests.fuzz import one
    from tests.fuzz.readers import READERS, Reader


def fuzz(reader: Reader, path: Path, cases: int, seed: int) -> None:
    """Cases out of what the mutations here make; it ends the process."""
    grown = path.parent / "grown"
    grown.mkdir()
    with atheris.instrument_imports(include=["mdl"]):  # what readers import when they need it
        seeds = list(reader.seeds(path.parent))
        one.warm(reader, seeds, path)
    for number, data in enumerate(seeds):
        (grown / str(number)).write_bytes(data)

    def judged(data: bytes) -> None:
        one.put(data, path)
        one.judge(reader, path)

    def mutated(data: bytes, most: int, number: int) -> bytes:
        return reader.mutate(data, random.Random(number))[:most]

    options = [f"-runs={cases}", f"-seed={seed + 1}", "-max_len=100000", "-timeout=60", "-rss_limit_mb=0",
               f"-artifact_prefix={path.parent}/", str(grown)]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], judged, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    asked = one.arguments(__doc__)
    warnings.simplefilter("error")
    folder = Path(tempfile.mkdtemp(prefix=f"mdl-{asked.reader}-"))
    fuzz(READERS[asked.reader], folder / f"case{READERS[asked.reader].suffix}", asked.cases, asked.seed)
