"""``python -m tests.fuzz.one READER [--cases N] [--seed S] [--guided]``: a reader against damaged files; one JSON line.

A case passes when the reader gives something or an ``MdlError`` within a second and 200 MB. The first that fails ends
the run with status 1, or a signal where a library of C crashes or hangs; its file stays in the folder that is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from mdl.errors import MdlError
from tests.fuzz.mutate import several
from tests.fuzz.readers import READERS, Reader

SECONDS, MEGABYTES = 1.0, 200.0
HANG = 20  # seconds by the clock, on a machine that does other things too


class FailedError(Exception):
    """A case that a reader fails on."""


def peak() -> float:
    """The most memory that this process has held since ``forget``, MB; ever, where the system cannot forget."""
    try:
        (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def forget() -> None:
    """Begin anew with the memory that is held now: otherwise what one case takes hides what the next does."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def judge(reader: Reader, path: Path) -> tuple[bool, float, float]:
    """Whether the reader gave something, its seconds, and by how many MB its memory grew."""
    forget()
    before, began = peak(), time.process_time()
    signal.alarm(HANG)  # ends the process, also inside a library of C
    try:
        reader.read(path)
        accepted = True
    except MdlError as error:
        accepted = False
        if not str(error).strip():
            raise FailedError(f"{path}: an error without words") from error
    except BaseException as error:
        raise FailedError(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
    seconds, grown = time.process_time() - began, peak() - before
    if seconds > SECONDS or grown > MEGABYTES:
        raise FailedError(f"{path}: {seconds:.2f} s and {grown:.0f} MB")
    return accepted, seconds, grown


def put(data: bytes, path: Path) -> None:
    """A new file: ext4 waits for the disk where one is cut to be written again."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def warm(reader: Reader, seeds: list[bytes], path: Path) -> None:
    """Whole files are read; what is imported and kept on the way is nobody's fault."""
    for seed in seeds:
        put(seed, path)
        reader.read(path)


def loop(reader: Reader, path: Path, cases: int, seed: int) -> dict[str, float]:
    """Cases at random."""
    rng, accepted, slowest, largest = random.Random(seed), 0, 0.0, 0.0
    seeds = list(reader.seeds(path.parent))
    warm(reader, seeds, path)
    began = time.perf_counter()
    for _ in range(cases):
        put(several(reader.mutate, seeds, rng), path)
        gave, seconds, grown = judge(reader, path)
        accepted, slowest, largest = accepted + gave, max(slowest, seconds), max(largest, grown)
    rate = cases / (time.perf_counter() - began)
    return {"cases": cases, "accepted": accepted, "per_second": round(rate), "slowest": round(slowest, 3),
            "megabytes": round(largest)}  # fmt: skip


def arguments(about: str | None) -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    """The command."""
    given = arguments(__doc__)
    reader, folder = READERS[given.reader], Path(tempfile.mkdtemp(prefix=f"mdl-{given.reader}-"))
    warnings.simplefilter("error")
    try:
        print(
            json.dumps(
                {"reader": given.reader, **loop(reader, folder / f"case{reader.suffix}", given.cases, given.seed)}
            )
        )
    except FailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
