"""Minimum description length in machine learning: code lengths of trained models, measured.

>>> import numpy as np, mdl
>>> w = {"layer": np.linspace(-1.0, 1.0, 1001)}
>>> length = mdl.measure(w, prior=mdl.Gaussian(), step=2**-6)
>>> np.array_equal(mdl.decode(mdl.encode(w, prior=mdl.Gaussian(), step=2**-6))["layer"], np.rint(w["layer"] * 64) / 64)
True
"""

from typing import TYPE_CHECKING, Any

from mdl.bounds import Certificate, certificate, certify
from mdl.codes.adaptive import KT
from mdl.codes.scaled import Scaled
from mdl.codes.shortest import Shortest
from mdl.errors import MdlError, MessageError, PlatformError
from mdl.length import CodeLength, compare
from mdl.lengths.evidence import evidence
from mdl.lengths.lattice import encode_lattice, lattice
from mdl.lengths.luckiness import lnml
from mdl.lengths.mml import mml
from mdl.lengths.nml import nml
from mdl.lengths.prequential import decode_prequential, encode_prequential, prequential
from mdl.lengths.refined import encode_refined, refined
from mdl.lengths.relative_entropy import encode_relative_entropy, relative_entropy
from mdl.lengths.two_part import decode, decode_with_data, encode, encode_with_data, measure, two_part
from mdl.lengths.variational import variational
from mdl.models import FeedForward, Model, wrap
from mdl.priors import (
    Cauchy,
    Gaussian,
    GeneralizedGaussian,
    Hashed,
    Laplace,
    Logistic,
    Mixture,
    SpikeAndSlab,
    StudentT,
    Uniform,
)
from mdl.quantize import Codebook, DeadZone, FloatFormat, UniformGrid
from mdl.trellis import Trellis
from mdl.weights import Weights, load, save

if TYPE_CHECKING:
    from mdl.select import MDLLogistic, MDLMLPClassifier, MDLRidge, MDLSearch

__version__ = "0.1.0"

__all__ = [
    "KT",
    "Cauchy",
    "Certificate",
    "CodeLength",
    "Codebook",
    "DeadZone",
    "FeedForward",
    "FloatFormat",
    "Gaussian",
    "GeneralizedGaussian",
    "Hashed",
    "Laplace",
    "Logistic",
    "MDLLogistic",
    "MDLMLPClassifier",
    "MDLRidge",
    "MDLSearch",
    "MdlError",
    "MessageError",
    "Mixture",
    "Model",
    "PlatformError",
    "Scaled",
    "Shortest",
    "SpikeAndSlab",
    "StudentT",
    "Trellis",
    "Uniform",
    "UniformGrid",
    "Weights",
    "certificate",
    "certify",
    "compare",
    "decode",
    "decode_prequential",
    "decode_with_data",
    "encode",
    "encode_lattice",
    "encode_prequential",
    "encode_refined",
    "encode_relative_entropy",
    "encode_with_data",
    "evidence",
    "lattice",
    "lnml",
    "load",
    "measure",
    "mml",
    "nml",
    "prequential",
    "refined",
    "relative_entropy",
    "save",
    "two_part",
    "variational",
    "wrap",
]

_ESTIMATORS = ("MDLLogistic", "MDLMLPClassifier", "MDLRidge", "MDLSearch")


def __getattr__(name: str) -> Any:
    """The estimators derive from scikit-learn's, which is imported only when one of them is asked for."""
    if name in _ESTIMATORS:
        from mdl import select

        return getattr(select, name)
    raise AttributeError(f"module 'mdl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS})
