"""Random trees: normals that repeat everywhere, paths that decode, a search that comes near the evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mdl.codes import tree_search
from mdl.codes.random import LEAST_TILT, Basis, Branches, RandomTree, Tree, normals, trimmed
from mdl.codes.tree_search import search
from mdl.curvature import Conditional
from mdl.errors import CodeError

RNG = np.random.default_rng(8)
TOLD = RandomTree(2.0, (16,))
LONGER = -5  # sixteenths: 60 bits, about what the data tell


def philox(key: tuple[int, int], block: int) -> list[int]:
    """Philox4x64-10 in Python's own integers, from Salmon et al. 2011: one block of four 64-bit words."""
    mask, counter = (1 << 64) - 1, [block, 0, 0, 0]
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [(b >> 64) ^ counter[1] ^ k0, b & mask, (a >> 64) ^ counter[3] ^ k1, a & mask]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return counter


@pytest.mark.parametrize("columns", [1, 3, 4, 5, 9])
def test_normals_are_those_of_the_document(columns: int) -> None:
    """Written from docs/format.md, the generator included."""
    words = [word for block in range(1, 12) for word in philox((5, 7), block)]
    per_row = -(-columns // 4)
    for row in range(3):
        numbers = [w >> 16 * k & 0xFFFF for w in words[row * per_row : (row + 1) * per_row] for k in range(4)]
        quantiles = [round(stats.norm.ppf((i + 0.5) / 65536) * 4096) / 4096 for i in numbers[:columns]]
        assert normals(5, 7, 3, columns)[row].tolist() == quantiles


@pytest.mark.parametrize("first", [0, 1, 2, 3, 1000, 65_535])
def test_a_row_of_a_table_is_found_without_the_others(first: int) -> None:
    np.testing.assert_array_equal(normals(3, 1, 1, 6, first=first)[0], normals(3, 1, 65_536, 6)[first])


def test_normals_are_normal() -> None:
    table = normals(0, 0, 1 << 16, 3)
    for column in table.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(table.T) - np.eye(3)).max() < 0.015
    assert np.abs(np.corrcoef(table[:, 0], normals(0, 1, 1 << 16, 1)[:, 0])[0, 1]) < 0.015


def basis(units: int = 1) -> tuple[Any, Basis]:
    inputs = np.random.default_rng(8).normal(0.0, 1.0, (50, 6)) * [3.0, 2.0, 1.0, 0.5, 0.1, 0.0]
    return inputs, Basis.of(inputs, units)


@pytest.mark.parametrize(("units", "coordinates"), [(1, 5), (2, 5), (3, 10)])
def test_a_basis_is_orthonormal_and_diagonal(units: int, coordinates: int) -> None:
    inputs, found = basis(units)
    assert found.eigenvalues.size == coordinates  # the null direction is left out, and what all units share
    assert (np.diff(found.eigenvalues) <= 1e-9).all()
    maps = np.stack([found.weights(z).ravel() for z in np.eye(coordinates)])
    np.testing.assert_allclose(maps @ maps.T, np.eye(coordinates), atol=1e-12)
    gram = np.kron(inputs.T @ inputs, np.eye(units))
    np.testing.assert_allclose(maps @ gram @ maps.T, np.diag(found.eigenvalues), atol=1e-9)
    if units > 1:
        np.testing.assert_allclose(found.weights(RNG.normal(size=coordinates)).sum(axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("tilt", [-3, 0, 2])
def test_a_tilted_prior_has_the_same_variance_in_all_directions_together(tilt: int, units: int) -> None:
    """Written from docs/format.md."""
    inputs, straight = basis(units)
    found = straight.tilted(tilt)
    maps = np.stack([found.weights(z).ravel() for z in np.eye(found.eigenvalues.size)])
    lengths = (maps**2).sum(axis=1)
    assert lengths.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(
        lengths / lengths[0], (straight.eigenvalues / straight.eigenvalues[0]) ** (0.75 + tilt / 4)
    )
    gram = np.kron(inputs.T @ inputs, np.eye(units))
    np.testing.assert_allclose(maps @ gram @ maps.T, np.diag(found.eigenvalues), atol=1e-9)
    z = RNG.normal(size=found.eigenvalues.size)
    np.testing.assert_allclose(found.coordinates(found.weights(z)), z, atol=1e-12)


def bound(told: RandomTree = TOLD) -> Tree:
    inputs, _ = basis()
    return told.bind(inputs, (6, 1))


def test_what_a_path_draws_is_what_its_state_draws_in_the_tables() -> None:
    """The writer looks coordinates up in tables of all states; the reader follows one path."""
    tree = bound()
    branches = RNG.integers(0, 4, tree.count)
    state, z = np.zeros((), np.int64), np.full(tree.due.size, np.nan)
    for step, branch in enumerate(branches.tolist()):
        state = tree.follow(state, branch)
        if tree.drawn(step).stop > tree.drawn(step).start:
            z[tree.drawn(step)] = tree.draws(step)[int(state)]
    np.testing.assert_array_equal(tree.coordinates(branches), z)
    np.testing.assert_allclose(tree.dequantize(branches), tree.basis.weights(z).ravel(), atol=2.0**-11)


def test_a_weight_of_nothing_has_no_sign() -> None:
    """A constant input leaves its weight at a rounding error, whose sign differs between processors."""
    tree = bound()
    branches = np.random.default_rng(0).integers(0, 4, tree.count)
    signs = set()
    for tiny in (1e-20, -1e-20):
        nearly = replace(tree, basis=replace(tree.basis, vectors=tiny * tree.basis.vectors))
        signs |= set(np.signbit(nearly.basis.weights(nearly.coordinates(branches))).ravel().tolist())
        weights = nearly.dequantize(branches)
        assert not weights.any()
        assert not np.signbit(weights).any()
    assert signs == {False, True}


def test_coordinates_are_drawn_in_order_and_all_of_them() -> None:
    tree = bound()
    drawn = [tree.drawn(step) for step in range(tree.count)]
    assert [k for piece in drawn for k in range(piece.start, piece.stop)] == list(range(tree.due.size))
    assert tree.due.min() > 4  # the lead
    early = bound(replace(TOLD, settings=(16, 0, -4)))
    assert (early.due >= tree.due).all()
    assert early.due[0] > tree.due[0]


def test_the_length_of_a_path_follows_from_inputs_and_settings() -> None:
    """Written from docs/format.md."""
    inputs, found = basis()
    for sixteenths, octave, tilt in ((0, 0, 0), (5, -2, -3), (-9, 3, 1)):
        tree = RandomTree(2.0, trimmed(sixteenths, octave, 0, tilt)).bind(inputs, (6, 1))
        tilted = found.eigenvalues ** (1.75 + tilt / 4) / (found.eigenvalues ** (0.75 + tilt / 4)).mean()
        natural = 0.5 * np.log2(1.0 + 2.0 ** (octave - 6) * 4.0 * tilted).sum()
        assert tree.count == math.ceil((8 + natural * 2.0 ** (sixteenths / 16)) / 2)
    assert TOLD.bind(0.0 * inputs, (6, 1)).count == 4  # the lead alone
    assert RandomTree(1e300, (900, 900)).bind(inputs, (6, 1)).count == 1 << 13


def test_branches_cost_their_bits_and_other_seeds_are_other_trees() -> None:
    assert TOLD.code.nats(np.zeros(30, np.int32)).sum() == pytest.approx(60 * math.log(2.0))
    other = bound(replace(TOLD, settings=(16, 0, 0, 0, 1)))
    path = np.zeros(other.count, np.int32)
    assert not np.allclose(other.coordinates(path), bound().coordinates(path))


@pytest.mark.parametrize(
    "change",
    [{"settings": (901,)}, {"settings": (0, 1000)}, {"settings": (0, 0, -8)}, {"settings": (0, 0, 0, -4)},
     {"settings": (0, 0, 0, 0, -1)}, {"settings": (1, 0)}, {"settings": (0, 0, 0, 0, 1, 1)},
     {"scale": 0.0}, {"scale": math.nan}],
    ids=str,
)  # fmt: skip
def test_impossible_trees_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CodeError, match="RandomTree"):
        replace(TOLD, **change)


@pytest.mark.parametrize("bits", [0, 17])
def test_impossible_branches_are_refused(bits: int) -> None:
    with pytest.raises(CodeError, match="1 to 16"):
        Branches(bits)


class Quadratic:
    """Data whose length is a parabola: its evidence is known exactly. A model of it may ``flatten`` its curvature."""

    def __init__(self, bend: Any, optimum: Any, flatten: float = 1.0) -> None:
        self.bend, self.optimum, self.flatten = bend, optimum, flatten

    def nats(self, z: Any) -> float:
        return 0.5 * float((z - self.optimum) @ self.bend @ (z - self.optimum))

    @property
    def start(self) -> Any:
        return self.given(np.zeros(len(self.optimum)), 0)

    def given(self, z: Any, first: int, near: object = None) -> Any:
        """Exact at z."""
        z, rest = z.copy(), slice(first, None)
        posterior = self.bend[rest, rest] + 0.25 * np.eye(len(z) - first)
        z[rest] = np.linalg.solve(posterior, self.bend[rest] @ self.optimum - self.bend[rest, :first] @ z[:first])
        nats = self.nats(z) + 0.125 * float(z[rest] @ z[rest]) + 0.5 * float(np.linalg.slogdet(4.0 * posterior)[1])
        flat = self.flatten * self.bend
        sites: Any = None
        covariance = np.linalg.inv(flat[rest, rest] + 0.25 * np.eye(len(z) - first))
        return Conditional(sites, z, covariance, self.bend @ (z - self.optimum), flat, nats)

    def evidence_nats(self) -> float:
        return float(self.start.nats)


def correlated(size: int, flatten: float = 1.0) -> Quadratic:
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(200, size)) @ np.diag(np.geomspace(1.0, 0.05, size))
    _, _, vectors = np.linalg.svd(inputs)
    turned = inputs @ vectors.T  # in the tree's own basis, then a little off it
    mixed = turned + 0.2 * turned @ rng.normal(size=(size, size))
    return Quadratic(mixed.T @ mixed / 4.0, rng.normal(0.0, 2.0, size), flatten)


def total(width: int, seeds: range, size: int = 24, flatten: float = 1.0) -> tuple[float, float]:
    """Mean length of path and data, and the evidence, bits."""
    data = correlated(size, flatten)
    inputs = np.random.default_rng(4).normal(size=(200, size)) @ np.diag(np.geomspace(1.0, 0.05, size))
    lengths = []
    for seed in seeds:
        tree = RandomTree(2.0, trimmed(LONGER, 6, 0, LEAST_TILT, seed)).bind(inputs, (size, 1))
        branches = search(tree, data, width)
        assert branches.shape == (30,)
        lengths.append(60 + data.nats(tree.coordinates(branches)) / math.log(2.0))
    return float(np.mean(lengths)), data.evidence_nats() / math.log(2.0)


def test_the_search_comes_near_the_evidence() -> None:
    """Within a sixth of it here, while a sample of the prior costs several times as much; a wide search is better."""
    wide, evidence = total(4096, range(3))
    narrow, _ = total(8, range(3))
    assert evidence < wide < 7 / 6 * evidence
    assert narrow > 1.5 * wide
    blind = [correlated(24).nats(2.0 * z) for z in np.random.default_rng(1).normal(size=(50, 24))]
    assert min(blind) / math.log(2.0) > 5.0 * evidence


def test_what_one_path_promises_of_another_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models with too little curvature promise too much of what is far from them; several together do not."""
    monkeypatch.setattr(tree_search, "_STEPS", 2)
    checked, _ = total(256, range(3), flatten=0.1)
    monkeypatch.setattr(tree_search, "_TRIED", 1)
    trusted, _ = total(256, range(3), flatten=0.1)
    assert checked < 0.9 * trusted
