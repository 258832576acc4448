"""Several instances of every prior, quantiser and code that exists: found by walking the modules, never listed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pytest

import mdl.codes
from mdl import likelihoods, trellis
from mdl import priors as families
from mdl import quantize as grids
from mdl.codes import adaptive, contextual, integers, labels, random, scaled
from mdl.codes.discretized import Discretized

T = TypeVar("T")

# --- discovery --------------------------------------------------------------------------------------------------------


def modules(root: ModuleType) -> list[ModuleType]:
    """A module, and all modules below it if it is a package."""
    below = pkgutil.walk_packages(getattr(root, "__path__", []), root.__name__ + ".")
    return [root, *(importlib.import_module(found.name) for found in below)]


def classes(root: ModuleType, protocol: type) -> list[type]:
    """Every public class defined below ``root`` that has the protocol's members, by name; no bare base classes."""
    members = [name for name in vars(protocol) if not name.startswith("_")]
    found = {
        cls
        for module in modules(root)
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and not name.startswith("_") and cls is not protocol
        if all(hasattr(cls, member) for member in members)
    }
    bases = {cls for cls in found if any(cls in other.__mro__[1:] for other in found)}
    concrete = {cls for cls in found if cls not in bases or dataclasses.is_dataclass(cls)}
    return sorted(concrete, key=lambda cls: cls.__name__)


def instances(found: Iterable[type], examples: Mapping[type, list[T]]) -> list[T]:
    """The examples of every class found; LookupError for a class that has none."""
    known = list(found)
    missing = [cls.__name__ for cls in known if not examples.get(cls)]
    if missing:
        raise LookupError(f"write an example for {', '.join(missing)} in tests/examples.py")
    return [example for cls in known for example in examples[cls]]


def cases(laws: Callable[[Any], Iterable[Callable[[Any], None]]], examples: Iterable[Any]) -> list[Any]:
    """``pytest.param(law, example)`` of every law that applies to every example, with an id that reads."""
    return [
        pytest.param(law, example, id=f"{law.__name__}-{label(example)}")
        for example in examples
        for law in laws(example)
    ]


def label(example: Any) -> str:
    """A short name of an instance, or of the first of a tuple."""
    text = repr(example[0] if isinstance(example, tuple) else example)
    return text if len(text) <= 90 else text[:87] + "..."


# --- examples ---------------------------------------------------------------------------------------------------------

PRIORS: dict[type, list[Any]] = {
    families.Gaussian: [
        families.Gaussian(1.0),
        families.Gaussian(2.0**-9),
        families.Gaussian(0.37, loc=0.11),
    ],
    families.Laplace: [families.Laplace(1.0), families.Laplace(0.02, loc=-0.3)],
    families.Logistic: [families.Logistic(1.0), families.Logistic(0.7, loc=3.0)],
    families.Cauchy: [families.Cauchy(1.0), families.Cauchy(1e-3, loc=0.01)],
    families.StudentT: [
        families.StudentT(1.0, df=0.3),
        families.StudentT(1.0, df=4.0),
        families.StudentT(0.3, loc=-0.2, df=2.5),
        families.StudentT(0.25, df=1000.0),
    ],
    families.GeneralizedGaussian: [
        families.GeneralizedGaussian(1.0, shape=0.5),
        families.GeneralizedGaussian(1.0, shape=1.0),
        families.GeneralizedGaussian(0.4, loc=0.1, shape=1.3),
        families.GeneralizedGaussian(0.5, shape=8.0),
    ],
    families.Uniform: [families.Uniform(1.0), families.Uniform(0.3, loc=-1.1)],
    families.SpikeAndSlab: [
        families.SpikeAndSlab(0.3, families.Gaussian(1.0)),
        families.SpikeAndSlab(0.05, families.Laplace(0.2)),
        families.SpikeAndSlab(1.0, families.StudentT(1.0, df=3.0)),
        families.SpikeAndSlab(0.5, families.Mixture(1, (1.0,), (0.5,), (2.0,))),
    ],
    families.Mixture: [
        families.Mixture(1, (1.0,), (0.0,), (1.0,)),
        families.Mixture(3, (0.7, 0.2, 0.1), (0.0, -0.5, 0.3), (0.1, 0.7, 1.9)),
    ],
    families.Hashed: [
        families.Hashed(families.Gaussian(1.0)),
        families.Hashed(families.StudentT(0.1, df=2.0), salt=-7),
    ],
}

_INT32 = 2**31 - 1

QUANTIZERS: dict[type, list[tuple[Any, float]]] = {  # with the largest weight that the laws may use
    grids.UniformGrid: [(grids.UniformGrid(step), step * (_INT32 - 1)) for step in (2.0**-6, 0.1, 3.7e-5, 1e200)],
    grids.DeadZone: [
        (grids.DeadZone(step, rounding), step * (_INT32 - 2))
        for step, rounding in ((2.0**-6, 0.375), (0.1, 0.5), (0.3, 0.01), (1e-3, 0.3))
    ],
    grids.Codebook: [
        (grids.Codebook(levels), 1e3) for levels in ((0.25,), (-1.0, 1.0), (-3.3, -1.0, 0.0, 0.01, 0.1, 7.0))
    ],
    grids.FloatFormat: [
        (grids.FloatFormat(name), grids.FloatFormat(name).largest)
        for name in ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
    ],
    trellis.Trellis: [
        (trellis.Trellis(step, states), step * (_INT32 - 2**12)) for step, states in ((0.25, 4), (0.1, 8), (1e-3, 256))
    ],
}


@dataclasses.dataclass(frozen=True, eq=False)
class Cycled:
    """Labels under predictions that repeat for as long as the message is: the laws write messages of any length."""

    likelihood: Any
    predictions: Any
    lo: int
    hi: int

    def _of(self, count: int) -> labels.Labels:
        rows = np.arange(count) % len(self.predictions)
        return labels.Labels(self.likelihood, np.asarray(self.predictions)[rows], self.lo, self.hi)

    def nats(self, symbols: Any) -> Any:
        return self._of(len(symbols)).nats(symbols)

    def push(self, coder: Any, symbols: Any) -> None:
        self._of(len(symbols)).push(coder, symbols)

    def pop(self, coder: Any, count: int) -> Any:
        return self._of(count).pop(coder, count)


CodeCase = tuple[Any, range, tuple[int, ...]]  # a code, symbols that the laws may use, symbols that it must refuse


def _from_lo_to_hi(code: Any) -> CodeCase:
    return code, range(code.lo, code.hi + 1), (code.lo - 1, code.hi + 1)


def _positive(code: Any) -> CodeCase:
    return code, range(1, 2**31), (0, -1, -(2**31))


def _any(code: Any) -> CodeCase:
    return code, range(-(2**31), 2**31), ()


def _discretized() -> list[CodeCase]:
    """Every prior on a grid; then every quantiser, narrow and wide alphabets, and cells 60 scales out."""
    prior, grid = families.Gaussian(1.0), grids.UniformGrid
    uniform, others = PRIORS[families.Uniform][0], [p[-1] for f, p in PRIORS.items() if f is not families.Uniform]
    codes = [
        Discretized(uniform, grid(0.125), -7, 7),
        *(Discretized(p, grid(0.05), -60, 60) for p in others),
        Discretized(prior, grid(0.5), 3, 3),
        Discretized(prior, grid(0.5), -1, 120),
        Discretized(families.Laplace(1.0), grid(2.0**-9), -(2**15), 2**15 - 1),
        Discretized(families.Cauchy(1.0), grid(2.0**-12), -(2**22), 2**22),
        Discretized(families.Hashed(prior), grid(0.01), -900, 900),
        Discretized(prior, grids.DeadZone(0.3), -20, 20),
        Discretized(prior, grids.Codebook((-2.0, -0.5, 0.0, 0.1, 3.0)), 0, 4),
        Discretized(prior, grids.FloatFormat("float8_e4m3fn"), -126, 126),
        Discretized(families.StudentT(0.1, df=3.0), grids.FloatFormat("bfloat16"), -17000, 17000),
        Discretized(prior, grids.FloatFormat("float32"), -1_090_000_000, 1_090_000_000),
    ]
    return [_from_lo_to_hi(code) for code in codes]


_LOGITS = np.random.default_rng(5).normal(0.0, 2.0, (37, 4))

CODES: dict[type, list[CodeCase]] = {
    Discretized: _discretized(),
    integers.EliasGamma: [_positive(integers.EliasGamma())],
    integers.EliasDelta: [_positive(integers.EliasDelta())],
    integers.EliasOmega: [_positive(integers.EliasOmega())],
    integers.Fibonacci: [_positive(integers.Fibonacci())],
    integers.LogStar: [_positive(integers.LogStar())],
    integers.GolombRice: [
        (integers.GolombRice(0), range(300), (-1, 2**18)),
        (integers.GolombRice(5), range(2**14), (-1, 2**23)),
        (integers.GolombRice(31), range(2**31), (-1, -(2**31))),
    ],
    integers.Rational: [_any(integers.Rational(denominator)) for denominator in (1, 720, 2**16 + 1)],
    integers.Signed: [
        _any(integers.Signed(integers.EliasDelta())),
        _any(integers.Signed(integers.LogStar())),
        (integers.Signed(integers.GolombRice(1)), range(-200, 200), (-(2**18) - 1, 2**18)),
    ],
    adaptive.Dirichlet: [
        _from_lo_to_hi(code)
        for code in (
            adaptive.KT(0, 1),
            adaptive.Dirichlet(-3, 9),
            adaptive.Dirichlet(7, 7),
            adaptive.KT(-(2**12), 2**12),
        )
    ],
    adaptive.TwoLevel: [
        _any(adaptive.TwoLevel(integers.Signed(integers.EliasDelta()))),
        (adaptive.TwoLevel(adaptive.KT(-3, 3)), range(-3, 5), (-4, 5)),
    ],
    scaled.ScaledMatrix: [
        _from_lo_to_hi(code)
        for code in (
            scaled.ScaledMatrix(families.Gaussian(1.0), grids.UniformGrid(1.0), 4, 7),
            scaled.ScaledMatrix(families.StudentT(0.1, df=3.0), grids.UniformGrid(0.05), 8, 100),
            scaled.ScaledMatrix(families.Laplace(1.0), trellis.Trellis(0.5, 8), 10, 1),
        )
    ],
    contextual.ContextualMatrix: [
        _from_lo_to_hi(code)
        for code in (
            contextual.ContextualMatrix(1, 10, 28),
            contextual.ContextualMatrix(9, 70, 0),
            contextual.ContextualMatrix(127, 100, 3),
        )
    ],
    random.Branches: [(random.Branches(bits), range(1 << bits), (-1, 1 << bits)) for bits in (1, 2, 16)],
    labels.Labels: [
        _from_lo_to_hi(Cycled(likelihoods.Bernoulli(), _LOGITS[:, 0], 0, 1)),
        _from_lo_to_hi(Cycled(likelihoods.Categorical(4), _LOGITS, 0, 3)),
        _from_lo_to_hi(Cycled(likelihoods.Gaussian(0.5, scale=3.0), _LOGITS[:, 0], -25, 90)),
        _from_lo_to_hi(Cycled(likelihoods.Gaussian(0.001, scale=1.0), _LOGITS[:, 0], -9000, 9000)),
        _from_lo_to_hi(Cycled(likelihoods.Poisson(), _LOGITS[:, 0], 0, 300)),
    ],
}


def priors() -> list[Any]:
    """Priors without open parameters."""
    return instances(classes(families, families.Prior), PRIORS)


def quantizers() -> list[tuple[Any, float]]:
    """Quantisers, each with the largest weight that the laws may use."""
    return instances([*classes(grids, grids.Quantizer), *classes(trellis, grids.Quantizer)], QUANTIZERS)


def codes() -> list[CodeCase]:
    """Codes, each with symbols that the laws may use, and symbols that it must refuse."""
    return instances(classes(mdl.codes, mdl.codes.Code), CODES)
