"""The L2 strength chosen by code length from the training data alone: estimators in scikit-learn's conventions."""

from mdl.select.candidates import STRENGTHS, Candidates
from mdl.select.codes import CODES, code_lengths
from mdl.select.estimators import MDLLogistic, MDLMLPClassifier, MDLRidge
from mdl.select.search import MDLSearch

__all__ = [
    "CODES",
    "STRENGTHS",
    "Candidates",
    "MDLLogistic",
    "MDLMLPClassifier",
    "MDLRidge",
    "MDLSearch",
    "code_lengths",
]
