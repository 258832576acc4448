"""Descriptions: every registered class comes back equal, and no bits make anything else than an error."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl import likelihoods, priors, quantize, trellis
from mdl.codes import adaptive, curved, describe, discretized, integers, random
from mdl.codes.coder import Coder
from mdl.codes.describe import FAMILIES, bits_value, fixed_bits, read, read_text, text_bits
from mdl.codes.labels import Labels
from mdl.codes.numbers import natural_bits
from mdl.errors import CodeError, MessageError
from tests import examples
from tests.laws import SEARCH

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()

LIKELIHOODS = [
    likelihoods.Bernoulli(),
    likelihoods.Categorical(10),
    likelihoods.Gaussian(0.25, scale=3.5),
    likelihoods.Poisson(),
]
SHAPED = [
    random.RandomTree(1.5, (-7, -1, 2, 3)),
    curved.CurvedGrid(3.0, (0.5, 0.25)),
    curved.ByStep(priors.Gaussian(1.0), reach=2.5),
]
NOT_TOLD = {examples.Cycled, random.Branches}  # what they are follows from what is told


def registered() -> list[Any]:
    """An instance or more of every class that can be described."""
    codes = [case[0] for case in examples.codes() if type(case[0]) not in NOT_TOLD]
    return [*examples.priors(), *(case[0] for case in examples.quantizers()), *codes, *LIKELIHOODS, *SHAPED]


def reader(*chunks: Any) -> Coder:
    coder = Coder()
    coder.push_bits(np.concatenate([*chunks, np.empty(0, np.uint8)]))
    return Coder.from_bytes(coder.to_bytes())


def role(thing: object) -> str:
    return role_of(type(thing))


def role_of(family: type) -> str:
    return next(role for role, families in FAMILIES.items() if family in families)


def bits(thing: object) -> list[Any]:
    return [chunk for _, chunk in describe.describe(thing)]


@pytest.mark.parametrize("thing", registered(), ids=examples.label)
def test_what_is_described_is_read(thing: Any) -> None:
    coder = reader(*bits(thing))
    assert read(coder, role(thing)) == thing
    assert coder.bits_left < 8


def test_every_class_that_a_message_may_hold_has_a_tag() -> None:
    found = {
        *examples.classes(priors, priors.Prior),
        *examples.classes(quantize, quantize.Quantizer),
        trellis.Trellis,
        *examples.classes(likelihoods, likelihoods.Likelihood),
        *(type(case[0]) for case in examples.codes()),
        *map(type, SHAPED),
    }
    tagged = [family for families in FAMILIES.values() for family in families]
    assert found - NOT_TOLD - {Labels} == set(tagged)
    assert {type(thing) for thing in registered()} == set(tagged)
    assert len(set(tagged)) == len(tagged), "one role each"


def test_the_document_lists_tags_and_fields() -> None:
    numbers = {int: "integer", float: "real", tuple[int, ...]: "integers", tuple[float, ...]: "reals"}
    kinds: Any = {**numbers, str: "text", **describe._ROLES}
    rows = []
    for role_, families in FAMILIES.items():
        for number, family in enumerate(families):
            fields = ", ".join(f"`{name}` {kinds[kind]}" for name, kind in describe._fields(family))
            rows.append(f"| {role_} | {number} | `{family.__name__}` | {fields or 'none'} |")
    assert "\n".join(rows) in DOCUMENT, "\n".join(rows)


@pytest.mark.parametrize(
    ("thing", "spelt"),
    [
        (priors.Gaussian(1.0), "1 1011 0"),
        (priors.Laplace(0.5, loc=-1.0), "0100 1010100 1111"),
        (quantize.UniformGrid(2.0**-4), "1 10100100000"),
        (integers.Signed(integers.EliasDelta()), "0100 0101"),
        (adaptive.KT(-1, 2), "01110 0100 01101 1010100"),
        (likelihoods.Poisson(), "01100"),
    ],
    ids=examples.label,
)
def test_known_bits(thing: Any, spelt: str) -> None:
    """Written by hand from docs/format.md."""
    assert "".join(str(bit) for chunk in bits(thing) for bit in chunk.tolist()) == spelt.replace(" ", "")


@pytest.mark.parametrize(
    ("thing", "parts"),
    [
        (priors.StudentT(1.0, 0.0, 3.0), ["choice", "prior", "prior", "prior"]),
        (quantize.DeadZone(0.5), ["choice", "quantizer", "quantizer"]),
        (likelihoods.Gaussian(1.0, 2.0), ["choice", "likelihood", "likelihood"]),
        (
            discretized.Discretized(priors.Laplace(1.0), quantize.UniformGrid(0.5), -1, 1),
            ["choice", "choice", "prior", "prior", "choice", "quantizer", "support", "support"],
        ),
    ],
    ids=examples.label,
)
def test_each_bit_is_charged_to_its_part(thing: Any, parts: list[str]) -> None:
    assert [part for part, _ in describe.describe(thing)] == parts


def test_what_is_known_is_left_out() -> None:
    grid = quantize.UniformGrid(0.5)
    code = adaptive.TwoLevel(discretized.Discretized(priors.Laplace(1.0), grid, -1, 1))
    short = [chunk for _, chunk in describe.describe(code, known=["quantizer"])]
    assert sum(map(len, bits(code))) - sum(map(len, short)) == sum(map(len, bits(grid)))
    assert read(reader(*short), "code", {"quantizer": grid}) == code


# --- what cannot be described -----------------------------------------------------------------------------------------


class Foreign:
    pass


def _nested(depth: int) -> Any:
    code: Any = adaptive.KT(0, 1)
    for _ in range(depth):
        code = adaptive.TwoLevel(code)
    return code


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (Foreign(), "Foreign has no tag"),
        (priors.Gaussian(), "Gaussian: scale is open"),
        (priors.Hashed(priors.Mixture(2)), "Mixture: weights is open"),
        (likelihoods.Gaussian(1.0), "Gaussian: scale is open"),
        (quantize.Codebook(tuple(map(float, range(2**16 + 1)))), "at most 65536 numbers, got 65537"),
        (_nested(5), "at most 4 deep"),
    ],
    ids=["foreign", "open", "open inside", "open likelihood", "too many levels", "too deep"],
)
def test_what_no_reader_would_take_is_not_written(thing: Any, says: str) -> None:
    with pytest.raises(CodeError, match=says):
        describe.describe(thing)


def test_the_deepest_that_is_written_is_read() -> None:
    assert read(reader(*bits(_nested(4))), "code") == _nested(4)


ONES = np.ones(80, np.uint8)


def tag(family: type) -> Any:
    return natural_bits(FAMILIES[role_of(family)].index(family))


HOSTILE: dict[str, tuple[str, list[Any]]] = {
    "no bits": ("prior", []),
    "no such tag": ("prior", [natural_bits(10), ONES]),
    "another role": ("likelihood", [tag(quantize.FloatFormat), ONES]),
    "priors 100 deep": ("prior", [tag(priors.Hashed)] * 100),
    "codes 100 deep": ("code", [tag(integers.Signed)] * 100),
    "spikes 100 deep": ("prior", [np.concatenate([tag(priors.SpikeAndSlab), fixed_bits(0b1010100, 7)])] * 100),
    "a codebook of 10^9 levels": ("quantizer", [tag(quantize.Codebook), natural_bits(10**9), ONES]),
    "a descending codebook": ("quantizer", [tag(quantize.Codebook), fixed_bits(0b0101_1011_0, 9), ONES]),
    "a scale of 0": ("prior", [tag(priors.Gaussian), fixed_bits(0, 2)]),
    "a signed code of signed symbols": ("code", [tag(integers.Signed), tag(integers.Rational), natural_bits(2)]),
    "a real beyond doubles": ("prior", [tag(priors.Gaussian), fixed_bits(2, 2), natural_bits(0), natural_bits(4000)]),
    "an unknown format name": ("quantizer", [tag(quantize.FloatFormat), text_bits("float33")]),
    "a name that is no text": ("quantizer", [tag(quantize.FloatFormat), natural_bits(1), fixed_bits(255, 8)]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bits_are_refused(case: str) -> None:
    expected, chunks = HOSTILE[case]
    with pytest.raises(MessageError):
        read(reader(*chunks), expected)


@SEARCH
@given(st.sampled_from(["prior", "quantizer", "code", "likelihood"]), st.binary(max_size=60))
def test_random_bits_are_refused_or_make_what_can_be_described(expected: str, noise: bytes) -> None:
    try:
        thing = read(reader(np.unpackbits(np.frombuffer(noise, np.uint8))), expected)
    except MessageError:
        return
    assert role(thing) == expected
    assert read(reader(*bits(thing)), expected) == thing


# --- fields -----------------------------------------------------------------------------------------------------------


@SEARCH
@given(st.text(max_size=50))
def test_texts(text: str) -> None:
    assert read_text(reader(text_bits(text))) == text


def test_a_text_of_a_gigabyte_is_refused_before_it_is_made() -> None:
    with pytest.raises(MessageError, match="expected 8000000000 more bits"):
        read_text(reader(natural_bits(10**9), ONES))


@pytest.mark.parametrize(("value", "width"), [(0, 0), (0, 1), (5, 3), (2**32 - 1, 32)])
def test_fixed_widths(value: int, width: int) -> None:
    assert fixed_bits(value, width).size == width
    assert bits_value(fixed_bits(value, width)) == value


def test_reals_come_back_to_the_last_bit() -> None:
    prior = priors.Gaussian(math.pi, loc=-1e-300 / 3)
    assert read(reader(*bits(prior)), "prior") == prior
