"""Baselines against lengths worked out by hand, by scipy, and by the compressors themselves."""

from __future__ import annotations

import lzma
import math
import sys
import zlib

import numpy as np
import pytest
from scipy import stats

import mdl
from mdl.errors import DataError, MdlError, QuantizationError
from mdl.lengths import baselines
from mdl.quantize import FloatFormat, UniformGrid

RNG = np.random.default_rng(0)
WEIGHTS = {"a": RNG.normal(0, 0.1, (40, 50)), "steps": np.arange(100), "b": RNG.normal(0, 0.4, 300).astype(np.float32)}
COUNT = 2300
STEP = 2.0**-5


def _rounded(step=STEP):
    return np.concatenate([np.rint(WEIGHTS[name].ravel().astype(float) / step) for name in ("a", "b")])


@pytest.mark.parametrize("labels", [["x", "y", "x", "x"], [0, 1, 1, 1], [True, False, True, True]], ids=str)
def test_labels_of_two_kinds_cost_a_bit_each(labels):
    length = baselines.uniform_labels(labels)
    assert length.bits == pytest.approx(4.0)
    assert not length.realised


@pytest.mark.parametrize(("labels", "classes", "bits"), [([3, 3, 3], 8, 9.0), ([5], None, 0.0), ([], None, 0.0)])
def test_labels_cost_their_share_of_the_classes(labels, classes, bits):
    assert baselines.uniform_labels(labels, classes).bits == pytest.approx(bits)


def test_fewer_classes_than_labels_are_refused():
    with pytest.raises(DataError, match="at least the 3 that occur, got 2"):
        baselines.uniform_labels([0, 1, 2], classes=2)


def test_targets_cost_the_logarithm_of_the_multiples_in_their_range():
    y = np.array([-1.0, 0.25, 2.75])  # -4 .. 11 quarters
    assert baselines.uniform_targets(y, 0.25).bits == pytest.approx(3 * 4.0)
    finer = baselines.uniform_targets(y, 0.25 / 1024).bits
    assert finer - 3 * 10.0 == pytest.approx(3 * math.log2(15), abs=1e-3)


@pytest.mark.parametrize(
    ("y", "resolution"), [([0.0, math.nan], 1.0), ([math.inf], 1.0), ([1.0], 0.0), ([1.0], math.nan)]
)
def test_targets_that_are_no_numbers_are_refused(y, resolution):
    with pytest.raises(DataError, match="finite"):
        baselines.uniform_targets(y, resolution)


@pytest.mark.parametrize(
    ("name", "width"), [("float32", 32), ("float16", 16), ("bfloat16", 16), ("float8_e4m3fn", 8), ("float8_e5m2", 8)]
)
def test_literal_weights_have_the_width_of_their_format(name, width):
    length = baselines.literal(WEIGHTS, name)
    assert length.part_bits() == pytest.approx({"weights": width * COUNT, "buffers": 100 * 64})
    assert length.realised


@pytest.mark.parametrize("name", ["float16", "float8_e4m3fn"])
def test_a_weight_beyond_the_format_is_refused_by_name(name):
    with pytest.raises(QuantizationError, match=r"tensor 'big'.*beyond its largest"):
        baselines.literal({"small": [1.0], "big": [1e6]}, name)


def _by_hand(step, kind):
    symbols = _rounded(step).astype(kind)
    return symbols.view(np.uint8).reshape(COUNT, -1).T.tobytes()


@pytest.mark.parametrize(
    ("compressor", "size"),
    [
        ("deflate", lambda data: len(zlib.compress(data, 9))),
        ("xz", lambda data: len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))),
        ("zstd", lambda data: len(pytest.importorskip("zstandard").ZstdCompressor(level=22).compress(data))),
        ("brotli", lambda data: len(pytest.importorskip("brotli").compress(data, quality=11))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize(("step", "kind"), [(STEP, np.int8), (2.0**-12, np.int16), (2.0**-22, np.int32)])
def test_compressed_is_what_the_compressor_makes_of_the_byte_planes(compressor, size, step, kind):
    length = baselines.compressed(WEIGHTS, step, compressor)
    assert length.part_bits()["weights"] == pytest.approx(8 * size(_by_hand(step, kind)))
    assert length.realised


def test_the_step_and_the_width_are_charged_as_in_a_message():
    parts = baselines.compressed(WEIGHTS, STEP).part_bits()
    in_message = mdl.measure(WEIGHTS, step=STEP).part_bits()
    assert parts["quantizer"] == in_message["quantizer"]
    assert parts["choice"] == 1 + 2  # the tag of the grid, one of three widths


def test_floats_compress_as_ranks_of_their_format():
    halves = {"w": RNG.normal(size=3000).astype(np.float16)}
    length = baselines.compressed(halves, FloatFormat("float16"), "xz").part_bits()["weights"]
    noise = {"w": np.frombuffer(RNG.bytes(8192), np.int16).astype(float)}
    assert 10 * 3000 < length < 15 * 3000  # ten noisy bits of the significand, few of sign and exponent
    assert baselines.compressed(noise, 1.0, "xz").part_bits()["weights"] > 8 * 8192


def test_planes_pay_off_for_wide_symbols():
    walk = np.cumsum(RNG.integers(-3, 4, 5000)).astype(float)  # high bytes repeat, low bytes do not
    mixed = len(zlib.compress(walk.astype(np.int16).tobytes(), 9))
    assert baselines.compressed({"w": walk}, 1.0, "deflate").part_bits()["weights"] / 8 < mixed


@pytest.mark.parametrize("empty", [{}, {"w": np.empty(0)}, {"n": np.arange(3)}], ids=["none", "empty", "integers"])
def test_models_without_weights_have_lengths(empty):
    assert baselines.compressed(empty, 0.5).part_bits()["weights"] == 0.0
    assert baselines.order0_entropy(empty, 0.5).bits == 0.0
    assert baselines.literal(empty).part_bits()["weights"] == 0.0


def test_an_unknown_compressor_is_refused():
    with pytest.raises(MdlError, match="one of deflate, xz, zstd, brotli, got 'bzip2'"):
        baselines.compressed(WEIGHTS, STEP, "bzip2")


@pytest.mark.parametrize("compressor", ["deflate", "xz", "zstd", "brotli"])
def test_an_impossible_level_is_refused(compressor):
    with pytest.raises(MdlError, match=f"{compressor}.*level"):
        baselines.compressed(WEIGHTS, STEP, compressor, level=4711)


@pytest.mark.parametrize(("compressor", "package"), [("zstd", "zstandard"), ("brotli", "brotli")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, compressor, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MdlError, match=rf"{package} is not installed.*\[compressors\]"):
        baselines.compressed(WEIGHTS, STEP, compressor)


def test_order0_entropy_is_that_of_the_pooled_symbols():
    _, counts = np.unique(_rounded(), return_counts=True)
    length = baselines.order0_entropy(WEIGHTS, UniformGrid(STEP))
    assert length.nats == pytest.approx(COUNT * stats.entropy(counts), rel=1e-12)
    assert not length.realised


@pytest.mark.parametrize("prior", [mdl.Gaussian(), mdl.Laplace(), mdl.StudentT(), mdl.Mixture()], ids=str)
def test_no_fixed_code_is_below_order0_entropy(prior):
    one = {"w": _rounded() * STEP}
    assert mdl.measure(one, prior=prior, step=STEP).part("weights") >= baselines.order0_entropy(one, STEP).nats


def test_bic_approaches_the_evidence_of_a_fair_coin():
    n, ones = 10_000, 4_000
    nats = -(ones * math.log(ones / n) + (n - ones) * math.log(1 - ones / n))
    evidence = math.log(n + 1) + math.log(math.comb(n, ones))  # uniform prior on the bias
    assert baselines.bic(nats, 1, n).nats == pytest.approx(evidence, abs=1.0)
    assert baselines.bic(nats, 1, n).part("data") == nats


def test_aic_costs_a_nat_a_parameter():
    assert baselines.aic(3.0, 4).part("weights") == 4.0


@pytest.mark.parametrize(("parameters", "n"), [(-1, 10), (1, 0)])
def test_impossible_counts_are_refused(parameters, n):
    with pytest.raises(MdlError, match="parameters >= 0 and n >= 1"):
        baselines.bic(1.0, parameters, n)
