"""Schemes: the shortest is chosen, equal codings are told once, and what a reader would refuse is not written."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl import priors
from mdl.codes.adaptive import KT, TwoLevel
from mdl.codes.coder import Coder
from mdl.codes.discretized import Discretized
from mdl.codes.fitted import fit_scheme
from mdl.codes.integers import EliasDelta, EliasGamma, Fibonacci, Signed
from mdl.codes.scheme import BUFFERS, FREE, INTEGER_CODING, WEIGHTS, Coding, Histogram, Scheme
from mdl.errors import MessageError, QuantizationError, WeightsError
from mdl.length import LN2
from mdl.priors import Gaussian, Laplace
from mdl.quantize import Codebook, DeadZone, FloatFormat, UniformGrid
from tests import examples
from tests.laws import SEARCH

RNG = np.random.default_rng(21)
GRID = UniformGrid(0.125)
NARROW, WIDE = RNG.normal(0.0, 0.3, 400), RNG.normal(0.0, 5.0, (20, 20))


def coded(prior: Any, quantizer: Any = GRID, lo: int = -9, hi: int = 9) -> Coding:
    return Coding(quantizer, Discretized(prior, quantizer, lo, hi))


def bits_of(scheme: Scheme) -> int:
    return sum(chunk.size for _, chunk in scheme.description())


def read_back(scheme: Scheme) -> Scheme:
    coder = Coder()
    coder.push_bits(np.concatenate([chunk for _, chunk in scheme.description()]))
    reader = Coder.from_bytes(coder.to_bytes())
    found = Scheme.read(reader, list(scheme.codings))
    assert reader.finished
    return found


# --- description ------------------------------------------------------------------------------------------------------

PALETTE = [
    coded(Gaussian(1.0)),
    coded(Gaussian(2.0)),
    coded(Gaussian(1.0), UniformGrid(0.5)),
    coded(Laplace(1.0), DeadZone(0.5)),
    Coding(GRID, Signed(EliasDelta())),
    Coding(GRID, TwoLevel(KT(-3, 2))),
    Coding(Codebook((-1.0, 0.0, 3.0)), KT(0, 2)),
    Coding(FloatFormat("float16"), Signed(Fibonacci())),
    Coding(None, Signed(EliasDelta())),
    Coding(None, Discretized(Gaussian(9.0), UniformGrid(1.0), -5, 5)),
]


@SEARCH
@given(st.lists(st.sampled_from(PALETTE), min_size=1, max_size=25))
def test_what_is_described_is_read(codings: list[Coding]) -> None:
    scheme = Scheme({f"t{k}": coding for k, coding in enumerate(codings)})
    found = read_back(scheme)
    assert list(found.codings) == list(scheme.codings)
    for name, coding in scheme.codings.items():
        assert (found.codings[name].quantizer, found.codings[name].code) == (coding.quantizer, coding.code)


def test_equal_codings_and_quantizers_are_told_once() -> None:
    one = bits_of(Scheme({"a": coded(Gaussian(1.0))}))
    again = bits_of(Scheme({"a": coded(Gaussian(1.0)), "b": coded(Gaussian(1.0))}))
    other = bits_of(Scheme({"a": coded(Gaussian(1.0)), "b": coded(Gaussian(1.0), UniformGrid(0.25))}))
    same_grid = bits_of(Scheme({"a": coded(Gaussian(1.0)), "b": coded(Gaussian(2.0 * math.pi))}))
    assert again == one + 4  # "the latest one"
    assert one < other < 2 * one + 4
    assert same_grid - one < 120


def test_a_thousand_codings_are_described_quickly() -> None:
    scheme = Scheme({f"t{k}": coded(Gaussian(1.0 + k / 1024)) for k in range(1000)})
    start = time.perf_counter()
    scheme.description()
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize("digits", ["1", "0100", "1" + "0" * 12], ids=["coding 1 of 0", "coding 1, later", "cut"])
def test_references_to_what_has_not_come_are_refused(digits: str) -> None:
    coder = Coder()
    coder.push_bits(np.array([int(d) for d in digits], np.uint8))
    with pytest.raises(MessageError):
        Scheme.read(Coder.from_bytes(coder.to_bytes()), ["a"])


# --- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "shared"),
    [
        ({"a": NARROW, "b": NARROW[::-1].copy()}, True),
        ({"a": NARROW, "b": WIDE}, False),
        ({"a": np.zeros(0), "b": NARROW}, True),
    ],
    ids=["alike", "scales apart", "one empty"],
)
def test_one_prior_for_all_or_one_a_tensor_whichever_is_shorter(tensors: Any, shared: bool) -> None:
    scheme = fit_scheme(tensors, dict.fromkeys(tensors, GRID), Gaussian())
    a, b = (scheme.codings[name].code for name in tensors)
    assert (a == b) == shared
    each = {name: fit_scheme({name: w}, {name: GRID}, Gaussian()).codings[name] for name, w in tensors.items()}
    whole = np.concatenate([w.ravel() for w in tensors.values()])
    together = fit_scheme({"all": whole}, {"all": GRID}, Gaussian()).codings["all"]
    other = Scheme(each if shared else dict.fromkeys(tensors, together))
    assert scheme.length(tensors).nats <= other.length(tensors).nats


@pytest.mark.parametrize("name", sorted(priors.BY_NAME))
def test_parameters_are_rounded_to_what_they_are_worth(name: str) -> None:
    """Shorter than all digits of the fit, and not by luck: about half a bit of log n a parameter, not 53 bits."""
    tensors = {"w": RNG.normal(0.0, 0.3, 300)}
    scheme = fit_scheme(tensors, {"w": GRID}, priors.BY_NAME[name])
    code = scheme.codings["w"].code
    assert isinstance(code, Discretized)
    counted = Histogram.of(GRID, tensors["w"])
    w, counts, width = counted.cells(GRID)
    exact = dataclasses.replace(code, prior=priors.BY_NAME[name].fit(w, counts, width))
    unrounded = Scheme({"w": Coding(GRID, exact)}).length(tensors)
    assert scheme.length(tensors).nats <= unrounded.nats
    reals = sum(isinstance(p, float) and p != 0.0 for p in code.prior.parameters)
    assert scheme.length(tensors).part_bits()["prior"] <= 26 * reals + 30


def test_a_given_parameter_is_kept_to_the_last_bit() -> None:
    code = fit_scheme({"w": NARROW}, {"w": GRID}, Gaussian(math.pi, loc=0.1)).codings["w"].code
    assert isinstance(code, Discretized)
    assert code.prior == Gaussian(math.pi, loc=0.1)
    assert (code.lo, code.hi) == (GRID.quantize(NARROW).min(), GRID.quantize(NARROW).max())


def test_each_tensor_is_charged_to_its_part() -> None:
    tensors = {"w": NARROW, "bias": np.array([0.3, -2.0]), "steps": np.array([7, -1])}
    scheme = fit_scheme(tensors, {"w": GRID}, Gaussian(), free={"bias": UniformGrid(0.5)})
    assert [coding.part for coding in scheme.codings.values()] == [WEIGHTS, FREE, BUFFERS]
    assert list(scheme.codings) == list(tensors)
    parts = scheme.length(tensors).part_bits()
    assert set(parts) == {"choice", "quantizer", "prior", "support", WEIGHTS, FREE, BUFFERS}
    delta = Signed(EliasDelta())
    assert parts[FREE] == pytest.approx(sum(delta.lengths([1, -4])))
    assert parts[BUFFERS] == pytest.approx(sum(delta.lengths([7, -1])))
    assert parts[WEIGHTS] == pytest.approx(scheme.codings["w"].code.nats(GRID.quantize(NARROW)).sum() / LN2)


def test_a_family_of_codes_in_place_of_a_prior() -> None:
    assert fit_scheme({"w": NARROW}, {"w": GRID}, KT).codings["w"].code == KT(*Histogram.of(GRID, NARROW).ends)


# --- symbols and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", examples.quantizers(), ids=examples.label)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_quantised_tensors_are_what_the_quantizer_says(case: tuple[Any, float], dtype: Any) -> None:
    quantizer, reach = case
    tensor = (RNG.normal(0.0, 1.0, (5, 7)) * min(reach / 8, 4.0)).astype(dtype)
    coding = Coding(quantizer, Signed(EliasDelta()))
    expected = np.asarray(quantizer.dequantize(quantizer.quantize(tensor.astype(float)))).astype(dtype)
    restored = Scheme({"w": coding}).quantized({"w": tensor})["w"]
    assert restored.dtype == dtype
    assert restored.shape == (5, 7)
    assert restored.tobytes() == expected.tobytes()
    difference = expected.astype(float) - tensor.astype(float)
    assert coding.squared_error(tensor) == pytest.approx(float((difference**2).sum()), rel=1e-12)


def written(coding: Coding, tensor: Any) -> Coder:
    coder = Coder()
    coding.write(coder, tensor)
    return Coder.from_bytes(coder.to_bytes())


@pytest.mark.parametrize("size", [0, 3, 9000], ids=["none", "fewer than levels", "more than levels"])
@pytest.mark.parametrize("case", examples.quantizers(), ids=examples.label)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_tensors_are_read_as_their_symbols_are_restored(case: tuple[Any, float], size: int, dtype: Any) -> None:
    quantizer, reach = case
    tensor = (RNG.normal(0.0, 1.0, size) * min(reach / 8, 4.0)).astype(dtype)
    lo, hi = Histogram.of(quantizer, tensor).ends
    if hi - lo > 1 << 16:
        tensor = tensor[:200]  # no tensor has more weights than so many levels, and each takes milliseconds
    coding = coded(Gaussian(2.0), quantizer, lo, hi)
    symbols = coding.symbols(tensor)
    read = coding.read(written(coding, tensor), tensor.dtype, tensor.shape)
    assert read.dtype == dtype
    assert read.tobytes() == coding.restore(symbols, tensor.dtype, tensor.shape).tobytes()


def test_levels_beyond_the_dtype_matter_only_where_they_occur() -> None:
    """As where tensors of several dtypes share a code."""
    coding = coded(Gaussian(20000.0), UniformGrid(1000.0), -70, 70)
    tensor = np.round(np.linspace(-65.0, 65.0, 400)) * 1000.0
    half = tensor.astype(np.float16)
    assert coding.read(written(coding, half), half.dtype, (400,)).tolist() == half.tolist()
    tensor[7] = 70000.0
    with pytest.raises(WeightsError, match=r"tensor 'w'.*beyond the largest float16"):
        coding.read(written(coding, tensor), half.dtype, (400,), "w")


@pytest.mark.parametrize("lo", [-(2**31), 2**31 - 9])
def test_levels_at_the_ends_of_32_bits(lo: int) -> None:
    coding = coded(Gaussian(1e9), UniformGrid(1.0), lo, lo + 8)
    tensor = np.arange(lo, lo + 9, dtype=np.float64)
    tensor[tensor == -(2.0**31)] += 1.0  # a symbol that no grid gives a weight
    assert coding.read(written(coding, tensor), tensor.dtype, (9,)).tolist() == tensor.tolist()


def test_integers_by_a_code_of_a_prior() -> None:
    tensor = RNG.integers(-9, 10, 400).astype(np.int8)
    coding = Coding(None, Discretized(Gaussian(5.0), UniformGrid(1.0), -9, 9))
    assert coding.read(written(coding, tensor), tensor.dtype, (20, 20)).tolist() == tensor.reshape(20, 20).tolist()
    with pytest.raises(WeightsError, match=r"tensor 'w'.*got float32"):
        coding.read(written(coding, tensor), np.dtype(np.float32), (400,), "w")


@pytest.mark.parametrize("spread", [10, 10**7], ids=["dense", "sparse"])
def test_histograms(spread: int) -> None:
    """Both ways of counting, more than one chunk, and merged."""
    w = RNG.integers(-spread, spread, 300_001).astype(np.float64)
    one = Histogram.of(UniformGrid(1.0), w)
    two = Histogram.merge([Histogram.of(UniformGrid(1.0), part) for part in (w[:7], w[7:], w[:0])])
    symbols, counts = np.unique(w.astype(np.int64), return_counts=True)
    for found in (one, two):
        assert found.symbols.tolist() == symbols.tolist()
        assert found.counts.tolist() == counts.tolist()
        assert found.ends == (symbols[0], symbols[-1])


def test_lengths_by_histogram_are_lengths_by_symbol() -> None:
    for coding in (coded(Gaussian(1.0), lo=-99, hi=99), Coding(GRID, Signed(EliasGamma())), Coding(GRID, KT(-40, 40))):
        counted = Histogram.of(GRID, NARROW)
        expected = float(coding.code.nats(coding.symbols(NARROW)).sum())
        assert coding.nats(NARROW, "w", counted) == pytest.approx(expected, rel=1e-12)
        assert coding.nats(NARROW, "w", None) == pytest.approx(expected, rel=1e-12)


REFUSED: list[tuple[str, Coding, Any, type, str]] = [
    ("a NaN", Coding(GRID, KT(0, 1)), np.array([0.0, np.nan]), QuantizationError, "1 of 2"),
    ("a step too small", Coding(UniformGrid(1e-12), KT(0, 1)), np.ones(2), QuantizationError, "too small"),
    ("a step too large", Coding(UniformGrid(1000.0), KT(0, 99)), np.array([65504.0], np.float16), WeightsError,
     "beyond the largest float16"),
    ("float8 overflow", Coding(UniformGrid(600.0), KT(0, 9)), np.array([448], ml_dtypes.float8_e4m3fn), WeightsError,
     "beyond the largest float8_e4m3fn"),
    ("integers beyond 32 bits", INTEGER_CODING, np.array([2**31]), WeightsError, "within 32 bits"),
    ("unsigned beyond 32 bits", INTEGER_CODING, np.array([2**64 - 1], np.uint64), WeightsError, "within 32 bits"),
    ("floats as integers", INTEGER_CODING, np.array([0.5]), WeightsError, "got float64"),
    ("integers by a grid", Coding(GRID, KT(0, 99)), np.array([5]), WeightsError, "got int64"),
]  # fmt: skip


@pytest.mark.parametrize(("coding", "tensor", "error", "says"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_no_reader_gets_back_is_refused_by_name(coding: Coding, tensor: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=f"(?s)tensor 'layer.0'.*{says}"):
        coding.symbols(tensor, "layer.0")


@pytest.mark.parametrize(
    ("coding", "symbol", "dtype"),
    [
        (INTEGER_CODING, 256, np.uint8),
        (INTEGER_CODING, -1, np.uint64),
        (INTEGER_CODING, 2, np.bool_),
        (Coding(UniformGrid(1e300), KT(0, 1)), 2**31 - 1, np.float64),
        (Coding(UniformGrid(1.0), KT(0, 1)), 70000, np.float16),
    ],
    ids=["uint8", "uint64", "bool", "float64", "float16"],
)
def test_symbols_that_the_dtype_has_no_value_for_are_refused(coding: Coding, symbol: int, dtype: Any) -> None:
    with pytest.raises(WeightsError, match="beyond the largest"):
        coding.restore(np.array([0, symbol], np.int32), np.dtype(dtype), (2,), "w")


def test_a_scale_just_beyond_a_power_of_two_is_told_to_the_bits_that_pay() -> None:
    w = RNG.normal(0.0, 1.05, 100_000)
    (coding,) = fit_scheme({"w": w}, {"w": GRID}, Gaussian()).codings.values()
    assert isinstance(coding.code, Discretized)
    assert 1.03 < coding.code.prior.scale < 1.065
