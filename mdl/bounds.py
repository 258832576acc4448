"""From a code length to a certificate on the test error: Occam's razor as a theorem.

A model that was written as a message of L nats had a share exp(-L) of a prior before the data came, whatever the data
were. So with probability 1 - delta over n independent examples, *all* models that messages can describe obey at once

    distance(training error, test error) <= (L + ln 1/delta) / n,

and so does the one that was chosen, however it was chosen. This is PAC-Bayes with a point posterior, whose divergence
from the prior is L. The methods differ in the distance, all of them upper limits of a mean of n values in [0, 1]:

- ``binomial``: the binomial tail itself; the sharpest, for losses of 0 and 1 only (Langford 2005, Occam's razor bound);
- ``kl``: the binary relative entropy, which is Chernoff's bound on that tail (Langford & Seeger 2001);
- ``catoni``: for each of 16 fixed inverse temperatures a line below the kl, the best of which is taken, ln 16 nats
  charged (Catoni 2007);
- ``mcallester``: the root of half the right side, which is Pinsker's bound on the kl (McAllester 1999).

``certificate`` takes a length, ``certify`` a trained model. The examples must be independent and must not have served
to choose what no message tells: the architecture, the scaling of the inputs. A choice among K of those costs ln K
(``candidates``).
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from mdl.codes import message
from mdl.codes.scheme import PriorLike
from mdl.errors import DataError, MdlError
from mdl.length import HEADER, LN2, CodeLength
from mdl.likelihoods import Bernoulli, Categorical, Symbols
from mdl.masses import Array
from mdl.models import Model, to_indices
from mdl.priors import Gaussian
from mdl.trials import Grid, Trials, default_step
from mdl.weights import Weights

#: Inverse temperatures of Catoni's bound, fixed before any data: octaves.
TEMPERATURES = 2.0 ** np.arange(-8, 8)

_SEAM_BITS = 64.0  # how far the writer's split of one coder's state between model and data may be off
_STEPS = np.outer(2.0 ** np.arange(-2, 8), [0.75, 1.0]).ravel()  # tried by ``certify``, times the default
_END = 45.0  # log odds beyond which a probability is 1 to a float
_ROUNDING = 1e-14  # what floating point may take off the right side


@dataclass(frozen=True)
class Certificate:
    """With probability 1 - delta over the training examples, the expected loss is at most ``bound``.

    ``bound``, ``training_error`` (of the model as it is in the message) and ``upper`` (the largest loss) are in the
    loss's unit; ``length`` is all that is paid for: the message's parts, ``delimiter``, ``candidates`` and so on.
    """

    bound: float
    method: str
    delta: float
    n: int
    training_error: float
    length: CodeLength
    upper: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Everything, the length as its bits and its parts."""
        names = ("bound", "method", "delta", "n", "training_error", "upper")
        return {**{name: getattr(self, name) for name in names}, **self.length.as_dict()}

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.length._repr_html_()}"

    def __str__(self) -> str:
        return (
            f"expected loss <= {self.bound:.4g} with probability {1 - self.delta:g} ({self.method}; "
            f"{self.training_error:.4g} on {self.n:,} training examples, {self.length.bits:,.1f} bits)"
        )


def certificate(
    length: CodeLength,
    training_error: float,
    n: int,
    *,
    delta: float = 0.05,
    method: str = "kl",
    candidates: int = 1,
    header: bool = False,
    upper: float = 1.0,
) -> Certificate:
    """A bound on the expected loss of the model in a message.

    The code must have been fixed before the sample: a length under a code that is shaped by the training inputs (a
    curved lattice, a random tree) is no length here.

    Parameters
    ----------
    length
        Of the message, realised. Labels are no part of the model: ``data`` is left out, and as the writer's split of
        a joint message is not exact to the bit, 64 bits are charged (``seam``). ``certify`` writes the model alone.
    training_error, n
        Mean loss of the *coded* model on the n independent training examples, 0 to ``upper``: its error rate, or the
        mean of a loss such as bits clipped at ``upper``.
    delta, method
        Probability that the bound does not hold, between 0 and 1; one of ``METHODS``.
    candidates
        Among how many alternatives this one was chosen with the same examples, as far as no message tells: ln
        ``candidates`` nats. What the message tells (steps, priors, their parameters) is paid for already.
    header
        Charge names, shapes and framing as well. Else the architecture must have been fixed before the examples came.
    upper
        The largest loss.

    Returns
    -------
    Certificate
        Its length has a part ``delimiter``: a reader knows where the message ends by framing alone, so that of each
        length of b bits there may be 2^b messages, and b itself is told by a prior proportional to 1 / (b + 1)^2.
        That is 2 log2(b + 1) + 0.72 bits; Lotfi et al. charge 2 log2 b, with which the prior's sum would be above 1.

    Raises
    ------
    MdlError
        If the length is ideal, or a number is out of its range.

    Examples
    --------
    >>> length = CodeLength.from_bits({"weights": 900.0, "header": 300.0}, realised=True)
    >>> print(certificate(length, training_error=0.02, n=60_000))
    expected loss <= 0.04765 with probability 0.95 (kl; 0.02 on 60,000 training examples, 920.3 bits)

    References
    ----------
    Langford (2005), "Tutorial on practical prediction theory for classification"; Lotfi et al. (2022), "PAC-Bayes
    compression bounds so tight that they can explain generalization".
    """
    if method not in METHODS:
        raise MdlError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if not 0.0 < upper < math.inf:
        raise MdlError(f"upper: expected a positive finite loss, got {upper}")
    _check_count("candidates", candidates)
    paid = _paid(length, header) + CodeLength((("candidates", math.log(candidates)),), realised=True)
    if method == "catoni":
        paid += CodeLength((("temperature", math.log(TEMPERATURES.size)),), realised=True)
    bound = upper * METHODS[method](training_error / upper, paid.nats, n, delta)
    return Certificate(bound, method, delta, n, training_error, paid, upper)


def _paid(length: CodeLength, header: bool) -> CodeLength:
    if not (length.realised and length.nats < math.inf):
        kind = "an infinite one" if length.realised else "an ideal one"
        raise MdlError(f"length: expected a realised one, of a message that was written and decodes; got {kind}")
    left_out = {"data"} if header else {"data", HEADER}
    kept = CodeLength(tuple(part for part in length.parts if part[0] not in left_out), realised=True)
    if length.part("data"):
        kept += CodeLength.from_bits({"seam": _SEAM_BITS}, realised=True)
    delimiter = 2.0 * math.log(math.ceil(kept.bits - 1e-6) + 1) + math.log(math.pi**2 / 6.0)
    return kept + CodeLength((("delimiter", delimiter),), realised=True)


def certify(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
    *,
    clip_bits: float | None = None,
    **options: Any,
) -> Certificate:
    """The certificate of a trained classifier: its weights are quantised, written alone, read back and tried.

    Parameters
    ----------
    model
        What :func:`mdl.wrap` returns, with two or more classes.
    X, y
        (n, features) training inputs and (n,) labels.
    prior
        A prior, whose open parameters are fitted and charged, or a family of codes.
    quantizer
        As in :func:`mdl.two_part`. By default the step, of twenty, with the smallest bound: the message tells which, so
        that the search is paid for.
    clip_bits
        Bound the expected -log2 probability of the label, clipped at so many bits, instead of the error rate.
    options
        ``delta``, ``method``, ``candidates``, ``header`` of :func:`certificate`.

    Raises
    ------
    DataError, MdlError
        If the model is no classifier; if an option is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> X, y = load_digits(return_X_y=True)
    >>> certify(wrap(LogisticRegression(C=0.01).fit(X / 16, y)), X / 16, y).bound < 0.9  # the best constant guess
    True
    """
    trials = Trials(model, X, y)
    start = default_step(Weights({name: w for name, w in trials.tensors.items() if name not in model.free}))
    grids: list[Grid] = (start * _STEPS).tolist() if quantizer is None else [quantizer]

    def on(grid: Grid) -> Certificate:
        found = trials.on(grid, prior)
        data, length = message.write(found.tensors, found.scheme)
        coded = model.with_weights(message.parse(data).tensors)
        losses = errors(coded, X, y) if clip_bits is None else clipped_bits(coded, X, y, clip_bits)
        upper = 1.0 if clip_bits is None else clip_bits
        return certificate(length, min(float(losses.mean()), upper), losses.size, upper=upper, **options)

    return min(map(on, grids), key=lambda found: found.bound)


def errors(model: Model, X: ArrayLike, y: ArrayLike) -> Array:
    """(n,) ones where the likeliest class is not the label, else zeros; DataError if the model is no classifier.

    Examples
    --------
    >>> from mdl.models import FeedForward
    >>> model = FeedForward({"layers.0.weight": [[1.0]], "layers.0.bias": [0.0]}, Bernoulli())
    >>> errors(model, [[-1.0], [2.0]], [0, 0]).tolist()
    [0.0, 1.0]
    """
    logits, labels = _predicted(model, X, y)
    guesses = logits > 0.0 if logits.ndim == 1 else logits.argmax(axis=1)
    return (guesses != labels).astype(np.float64)


def clipped_bits(model: Model, X: ArrayLike, y: ArrayLike, clip_bits: float) -> Array:
    """(n,) -log2 probabilities of the labels, at most ``clip_bits``; DataError if the model is no classifier.

    Examples
    --------
    >>> from mdl.models import FeedForward
    >>> model = FeedForward({"layers.0.weight": [[30.0]], "layers.0.bias": [0.0]}, Bernoulli())
    >>> clipped_bits(model, [[0.0], [2.0]], [0, 0], clip_bits=8.0).tolist()
    [1.0, 8.0]
    """
    if not 0.0 < clip_bits < math.inf:
        raise MdlError(f"clip_bits: expected a positive finite number, got {clip_bits}")
    logits, labels = _predicted(model, X, y)
    return np.minimum(-model.likelihood.log_prob(logits, labels) / LN2, clip_bits)


def _predicted(model: Model, X: ArrayLike, y: ArrayLike) -> tuple[Array, Symbols]:
    if not isinstance(model.likelihood, Bernoulli | Categorical):
        raise DataError(f"expected a classifier, got a model with the likelihood {type(model.likelihood).__name__}")
    logits, targets = model.predict(X), to_indices(model, y)
    labels = model.likelihood.fit(logits, targets).to_symbols(targets)
    if not labels.size == len(logits) > 0:
        raise DataError(f"expected a label for each row of X, got {labels.size} and {len(logits)}")
    return logits, labels


def kl_bound(mean: float, nats: float, n: int, delta: float = 0.05) -> float:
    """The largest p with n kl(mean || p) <= nats + ln 1/delta: an upper limit for means of n values in [0, 1].

    Parameters
    ----------
    mean, n
        Mean loss on the examples, 0 to 1, and their number.
    nats
        Length of the model, and whatever else is paid for.
    delta
        Probability that the bound does not hold.

    Raises
    ------
    MdlError
        If one of them is out of its range.

    Examples
    --------
    >>> round(kl_bound(0.1, 50.0, n=1000), 4)
    0.2243

    References
    ----------
    Langford & Seeger (2001), "Bounds for averaging classifiers"; Maurer (2004), "A note on the PAC Bayesian theorem".
    """
    right = _right_side(mean, nats, n, delta)
    if mean in (0.0, 1.0):
        return -math.expm1(-right) if mean == 0.0 else 1.0
    start = float(special.logit(mean))

    def excess(x: float) -> float:
        ones, zeros = _log_expit(start) - _log_expit(x), _log_expit(-start) - _log_expit(-x)
        return mean * ones + (1.0 - mean) * zeros - right - _ROUNDING

    return _largest(excess, start)


def binomial_bound(mean: float, nats: float, n: int, delta: float = 0.05) -> float:
    """The largest p under which at most ``mean`` n errors have probability delta exp(-nats): for losses of 0 and 1.

    Parameters and errors as in :func:`kl_bound`; MdlError as well if ``mean`` n is no whole number. It takes time and
    memory proportional to the number of errors.

    Examples
    --------
    >>> round(binomial_bound(0.1, 50.0, n=1000), 4)
    0.2205

    References
    ----------
    Langford (2005), "Tutorial on practical prediction theory for classification".
    """
    right = _right_side(mean, nats, n, delta)
    count = round(mean * n)
    if abs(mean * n - count) > 1e-6:
        raise MdlError(f"binomial: expected a whole number of errors, got {mean} of {n}; for other losses use kl")
    if count in (0, n):
        return -math.expm1(-right) if count == 0 else 1.0
    k = np.arange(count + 1.0)
    choices = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)

    def excess(x: float) -> float:
        log_tail = special.logsumexp(choices + k * _log_expit(x) + (n - k) * _log_expit(-x))
        return -float(log_tail) / n - right - _ROUNDING

    return _largest(excess, -_END)


def catoni_bound(mean: float, nats: float, n: int, delta: float = 0.05) -> float:
    """The least of (1 - exp(-b mean - (nats + ln 1/delta) / n)) / (1 - exp(-b)) over ``TEMPERATURES`` b.

    Parameters and errors as in :func:`kl_bound`, which it approaches. That the best b is chosen after the examples
    came costs ln 16 nats, to be included in ``nats``; :func:`certificate` does so.

    Examples
    --------
    >>> round(catoni_bound(0.1, 50.0 + math.log(16), n=1000), 4)
    0.2282

    References
    ----------
    Catoni (2007), "PAC-Bayesian supervised classification: the thermodynamics of statistical learning".
    """
    right = _right_side(mean, nats, n, delta)
    return min(float(np.min(np.expm1(-TEMPERATURES * mean - right) / np.expm1(-TEMPERATURES))), 1.0)


def mcallester_bound(mean: float, nats: float, n: int, delta: float = 0.05) -> float:
    """``mean`` + sqrt((nats + ln 1/delta) / 2n), at most 1: the simplest and the loosest.

    As :func:`kl_bound` otherwise.

    Examples
    --------
    >>> round(mcallester_bound(0.1, 50.0, n=1000), 4)
    0.2628

    References
    ----------
    McAllester (1999), "Some PAC-Bayesian theorems".
    """
    return min(mean + math.sqrt(_right_side(mean, nats, n, delta) / 2.0), 1.0)


#: Upper limits of an expected loss in [0, 1], by name: functions of its mean, nats, n and delta.
METHODS: dict[str, Callable[[float, float, int, float], float]] = {
    "binomial": binomial_bound,
    "kl": kl_bound,
    "catoni": catoni_bound,
    "mcallester": mcallester_bound,
}


def _right_side(mean: float, nats: float, n: int, delta: float) -> float:
    """(nats + ln 1/delta) / n, everything checked."""
    _check_count("n", n)
    if not 0.0 <= mean <= 1.0:
        raise MdlError(f"training error: expected a mean from 0 to the largest loss, got {mean} of it")
    if not 0.0 <= nats < math.inf:
        raise MdlError(f"nats: expected a finite length >= 0, got {nats}")
    if not 0.0 < delta < 1.0:
        raise MdlError(f"delta: expected a probability between 0 and 1, got {delta}")
    return (nats - math.log(delta)) / n


def _check_count(name: str, count: int) -> None:
    if not (1 <= count < 2**53 and count == int(count)):
        raise MdlError(f"{name}: expected a whole number >= 1, got {count}")


def _log_expit(x: float) -> float:
    return float(special.log_expit(x))


def _largest(excess: Callable[[float], float], start: float) -> float:
    """The probability where an increasing function of its log odds (as sharp near 0 and 1) passes zero; else 1."""
    if excess(_END) < 0.0:
        return 1.0
    return float(special.expit(optimize.brentq(excess, start, _END, xtol=1e-13)))
