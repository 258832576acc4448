"""Every reader against damaged files: something, or an ``MdlError``, within a second and 200 MB.

Some cases here by hypothesis, which shrinks what it finds; 100,000 a reader by ``make fuzz``; in corpus/ what failed.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdl.errors import MdlError
from tests.fuzz import mutate
from tests.fuzz.one import FailedError, judge, loop, put, warm
from tests.fuzz.readers import CORPUS, READERS, Reader

NAMES = sorted(READERS)
KEPT = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def need(name: str) -> Reader:
    if READERS[name].missing:
        pytest.skip(f"needs {READERS[name].needs}")
    return READERS[name]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory) -> dict[str, tuple[Path, list[bytes]]]:
    """For each reader a path, and whole files, which it reads."""
    found = {}
    for name in NAMES:
        if not READERS[name].missing:
            folder = tmp_path_factory.mktemp(name)
            path = folder / f"case{READERS[name].suffix}"
            found[name] = path, list(READERS[name].seeds(folder))
            warm(READERS[name], found[name][1], path)
    return found


@pytest.mark.parametrize("name", NAMES)
@given(rng=st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_files_give_something_or_our_error(seeded, name, rng) -> None:
    reader = need(name)
    path, seeds = seeded[name]
    put(mutate.several(reader.mutate, seeds, rng), path)
    judge(reader, path)


@pytest.mark.parametrize("name", NAMES)
def test_most_damage_is_refused_and_some_is_not(tmp_path, name) -> None:
    """A reader that refused or took everything would not have been tried."""
    found = loop(need(name), tmp_path / f"case{READERS[name].suffix}", 400, seed=1)
    assert 0 < found["accepted"] < 0.6 * found["cases"]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_failed_does_not(tmp_path, path) -> None:
    """A case is ``corpus/READER/NAME``; none is whole."""
    reader = need(path.parent.name)
    case = tmp_path / f"case{reader.suffix}"
    case.write_bytes(path.read_bytes())
    assert judge(reader, case)[0] is False


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in KEPT) < 300_000


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: [None for _ in range(60_000_000)], " s and .* MB"),
        (lambda path: (_ for _ in ()).throw(MdlError()), "without words"),
    ],
    ids=["foreign error", "slow and large", "silent"],
)
def test_the_judge_is_not_kind(tmp_path, read, said) -> None:
    with pytest.raises(FailedError, match=said):
        judge(Reader(".x", read, lambda _: [], mutate.anyhow), tmp_path / "case.x")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system cannot forget the most memory held")
def test_what_one_case_took_does_not_hide_the_next(tmp_path) -> None:
    reader = Reader(".x", lambda _: np.ones(size), lambda _: [], mutate.anyhow)
    size = 20_000_000
    assert 150.0 < judge(reader, tmp_path / "case.x")[2] < 170.0
    size = 15_000_000
    assert 110.0 < judge(reader, tmp_path / "case.x")[2] < 130.0


@pytest.mark.parametrize("name", NAMES)
def test_mutations_repeat_with_their_seed(seeded, name) -> None:
    need(name)
    _, seeds = seeded[name]
    made = [[mutate.several(READERS[name].mutate, seeds, random.Random(k)) for k in range(30)] for _ in range(2)]
    assert made[0] == made[1]
    assert len({*made[0]} - {*seeds}) > 20
