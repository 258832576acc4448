"""Normalised maximum likelihood: the code whose regret against the best parameter in hindsight is always the same.

p(y | θ̂(y)) is divided by its sum over all y, the normaliser C; ln C is the model class's complexity. Where C would be
infinite the parameter is restricted to a range, not the data: data whose estimate lies outside are coded under the end
of the range, so that every y has a code and C >= 1. A range that is given was agreed on beforehand; one that is chosen
to hold the data is told, and charged as the part ``range``.
"""

from mdl.lengths.nml.discrete import bernoulli, geometric, multinomial, poisson
from mdl.lengths.nml.gaussian import gaussian_location, linear_regression
from mdl.lengths.nml.linear import asymptotic, nml

__all__ = [
    "asymptotic",
    "bernoulli",
    "gaussian_location",
    "geometric",
    "linear_regression",
    "multinomial",
    "nml",
    "poisson",
]
