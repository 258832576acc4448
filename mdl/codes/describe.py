"""Priors, quantisers, likelihoods and codes as bits: what a decoder is told, each bit under the name it is charged to.

A thing is its tag (which class of its role) and then its fields: integers, reals, texts, tuples of reals, or further
things. The format is append-only: a new class takes the next tag of its role, none changes its own.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from mdl import likelihoods, priors, quantize, trellis
from mdl.codes import Code, adaptive, contextual, curved, discretized, integers, random, scaled
from mdl.codes.coder import Bits, Coder
from mdl.codes.numbers import integer_bits, natural_bits, read_integer, read_natural, read_real, real_bits
from mdl.codes.prefix import IntegerCode
from mdl.errors import CodeError, MdlError, MessageError
from mdl.length import LN2
from mdl.priors import Gaussian, Prior
from mdl.quantize import Quantizer

_NOTHING: Mapping[str, object] = types.MappingProxyType({})
Described = list[tuple[str, Bits]]

#: By role, the usual ones first: their tags are short. Append only.
FAMILIES: Mapping[str, tuple[type, ...]] = {
    "prior": (
        priors.Gaussian, priors.Laplace, priors.StudentT, priors.SpikeAndSlab, priors.Mixture,
        priors.GeneralizedGaussian, priors.Cauchy, priors.Logistic, priors.Uniform, priors.Hashed,
    ),
    "quantizer": (
        quantize.UniformGrid, trellis.Trellis, random.RandomTree, curved.CurvedGrid, quantize.DeadZone,
        quantize.Codebook, quantize.FloatFormat,
    ),
    "code": (
        discretized.Discretized, integers.Signed, integers.EliasDelta, curved.ByStep, scaled.ScaledMatrix,
        adaptive.Dirichlet, adaptive.TwoLevel, integers.EliasGamma, integers.EliasOmega, integers.LogStar,
        integers.GolombRice, integers.Fibonacci, integers.Rational, contextual.ContextualMatrix,
    ),
    "likelihood": (likelihoods.Bernoulli, likelihoods.Categorical, likelihoods.Gaussian, likelihoods.Poisson),
}  # fmt: skip
_MAX_DEPTH = 4
_MAX_TUPLE = 1 << 16
_TAGS = {family: (tag, role) for role, families in FAMILIES.items() for tag, family in enumerate(families)}
_ROLES: dict[Any, str] = {Gaussian: "prior", Prior: "prior", Quantizer: "quantizer", Code: "code", IntegerCode: "code"}
_CHARGED_TO = {"prior": "prior", "quantizer": "quantizer", "likelihood": "likelihood", "code": "support"}


def describe(thing: object, known: Collection[str] = (), depth: int = 0) -> Described:
    """``(part, bits)`` in reading order; fields named in ``known`` are told apart from it and left out.

    Raises
    ------
    CodeError
        For what the format cannot say: a class without a tag, an open parameter, things too deep in one another.
    """
    family: Any = type(thing)
    if family not in _TAGS:
        raise CodeError(f"{family.__name__} has no tag in the format: only registered classes can be written")
    if depth > _MAX_DEPTH:
        raise CodeError(f"{family.__name__}: expected it at most {_MAX_DEPTH} deep in other things, got {depth}")
    tag, role = _TAGS[family]
    part = _CHARGED_TO[role]
    parts: Described = [("choice", natural_bits(tag))]
    for name, kind in _fields(family):
        value = getattr(thing, name)
        if name in known:
            continue
        if value is None:
            raise CodeError(f"{family.__name__}: {name} is open; fit it first, or give it")
        if kind in _WRITERS:
            parts.append((part, _WRITERS[kind](value)))
        else:
            parts += describe(value, known, depth + 1)
    return parts


def charged(thing: object) -> Iterator[tuple[str, float]]:
    """``(part, nats)`` of telling a thing."""
    return ((part, bits.size * LN2) for part, bits in describe(thing))


def read(coder: Coder, role: str, known: Mapping[str, object] = _NOTHING, depth: int = 0) -> Any:
    """Read what ``describe`` wrote of a prior, quantizer, code or likelihood; MessageError if it is none."""
    tag, families = read_natural(coder), FAMILIES[role]
    if tag >= len(families) or depth > _MAX_DEPTH:
        raise MessageError(f"expected a {role}, got tag {tag} of {len(families)} at depth {depth}")
    family: Any = families[tag]
    fields = {
        name: known[name]
        if name in known
        else _READERS[field](coder)
        if field in _READERS
        else read(coder, _ROLES[field], known, depth + 1)
        for name, field in _fields(family)
    }
    for name, field in _fields(family):
        if field is IntegerCode and not isinstance(fields[name], IntegerCode):
            raise MessageError(f"{family.__name__}: expected a code for integers, got {fields[name]}")
    try:
        return family(**fields)
    except (MdlError, OverflowError) as error:
        raise MessageError(f"the message describes an impossible {family.__name__}: {error}") from error


@functools.cache
def _fields(family: Any) -> tuple[tuple[str, Any], ...]:
    """Name and type of each field, with 'or None' (open until fitted) removed."""
    hints = typing.get_type_hints(family)
    return tuple((f.name, _closed(hints[f.name])) for f in dataclasses.fields(family))


def _closed(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return hint


def fixed_bits(value: int, width: int) -> Bits:
    """``value`` as ``width`` bits, the most significant first."""
    return np.array([value >> shift & 1 for shift in reversed(range(width))], np.uint8)


def bits_value(bits: Bits) -> int:
    """The number that ``fixed_bits`` wrote."""
    return int("".join(map(str, bits.tolist())) or "0", 2)


def text_bits(text: str) -> Bits:
    """Length in bytes, then UTF-8."""
    raw = np.frombuffer(text.encode(), np.uint8)
    return np.concatenate([natural_bits(raw.size), np.unpackbits(raw)])


def read_text(coder: Coder) -> str:
    """Read what ``text_bits`` wrote."""
    try:
        return np.packbits(coder.pop_bits(8 * read_natural(coder))).tobytes().decode()
    except UnicodeDecodeError as error:
        raise MessageError("a text in the message is not UTF-8") from error


def _several_bits(values: tuple[Any, ...], one: Callable[[Any], Bits]) -> Bits:
    if len(values) > _MAX_TUPLE:
        raise CodeError(f"expected at most {_MAX_TUPLE} numbers, got {len(values)}")
    return np.concatenate([natural_bits(len(values)), *map(one, values)])


def _read_several(coder: Coder, one: Callable[[Coder], Any]) -> tuple[Any, ...]:
    size = read_natural(coder)
    if size > min(_MAX_TUPLE, coder.bits_left):  # a number takes at least one bit
        raise MessageError(f"expected at most {_MAX_TUPLE} numbers, got {size}")
    return tuple(one(coder) for _ in range(size))


_WRITERS: dict[Any, Any] = {
    int: integer_bits, float: real_bits, str: text_bits,
    tuple[int, ...]: functools.partial(_several_bits, one=integer_bits),
    tuple[float, ...]: functools.partial(_several_bits, one=real_bits),
}  # fmt: skip
_READERS: dict[Any, Any] = {
    int: read_integer, float: read_real, str: read_text,
    tuple[int, ...]: functools.partial(_read_several, one=read_integer),
    tuple[float, ...]: functools.partial(_read_several, one=read_real),
}  # fmt: skip
