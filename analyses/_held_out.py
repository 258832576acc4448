"""What strengths, alone or averaged, cost on held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analyses._problems import Drawn
from mdl.length import LN2
from mdl.masses import Array
from mdl.select.candidates import Candidates
from mdl.select.held_out import dealt, held_out


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Forecasts of the held-out targets by each of k strengths.

    ``log_p`` (k, m, classes) of classes, or (k, m) densities of numbers, whose ``means`` (k, m) and ``y`` (m,) say the
    error.
    """

    log_p: Array
    means: Array | None
    y: NDArray[Any]

    @classmethod
    def of(cls, candidates: Candidates, drawn: Drawn) -> HeldOut:
        """Of candidates, which are trained for it.

        The noise of a regression at each strength is the root mean square of its errors in ten-fold cross-validation:
        a strength that fits the training data too well is not punished for believing it.
        """
        if candidates.classes:
            outputs = [model.predict(drawn.X_test) for model in candidates.models]
            logits = [np.stack([np.zeros(len(f)), f], 1) if f.ndim == 1 else f for f in outputs]
            return cls(special.log_softmax(np.stack(logits), axis=2), None, drawn.y_test)
        means = np.stack([model.predict(drawn.X_test) for model in candidates.models])
        nats = held_out(candidates, dealt(candidates, 10)) / candidates.n
        variance = candidates.precision**2 * np.exp(2.0 * nats - 1.0) / (2.0 * np.pi)  # which has these nats
        log_p = -0.5 * (drawn.y_test - means) ** 2 / variance[:, None] - 0.5 * np.log(2.0 * np.pi * variance)[:, None]
        return cls(log_p, means, drawn.y_test)

    @property
    def _of_targets(self) -> Array:
        """Ln probability of what came, (k, m)."""
        return self.log_p if self.means is not None else self.log_p[:, np.arange(self.y.size), self.y]

    def bits(self, shares: Array) -> float:
        """Bits an example, of the mixture with these shares (k,) of the strengths."""
        mixed = special.logsumexp(self._of_targets, axis=0, b=shares[:, None])
        return -float(mixed.mean()) / LN2

    def error(self, shares: Array) -> float:
        """Rate of wrong classes, or root mean square of the numbers."""
        if self.means is not None:
            return float(np.sqrt(np.mean((self.y - shares @ self.means) ** 2)))
        mixed = np.tensordot(shares, np.exp(self.log_p), 1)
        return float(np.mean(mixed.argmax(axis=1) != self.y))

    def each(self) -> tuple[Array, Array]:
        """Bits and errors of each strength alone, (k,) each."""
        alone = np.eye(len(self.log_p))
        return np.array([self.bits(one) for one in alone]), np.array([self.error(one) for one in alone])
