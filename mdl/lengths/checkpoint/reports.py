"""A length with what it is the length of, as people and programs read it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mdl.length import CodeLength
from mdl.tables import to_html

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Report:
    """A length with what it is the length of.

    ``loss`` is what a calibration expects the quantised weights to lose, nats an example, to second order. ``tensors``
    has a row ``(name, weights, bits, mse)`` for every tensor of floats if they were asked for.
    """

    length: CodeLength
    weights: int
    mse: float
    loss: float | None = None
    data: bytes = b""
    tensors: tuple[tuple[str, int, float, float], ...] = ()

    @property
    def bits_per_weight(self) -> float:
        """Everything but the header, a weight; 0 if there are none."""
        return self.length.comparable.bits / self.weights if self.weights else 0.0

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        about = {"weights": self.weights, "bits_per_weight": self.bits_per_weight, "mse": self.mse}
        if self.loss is not None:
            about["loss"] = self.loss
        rows = [dict(zip(("name", "weights", "bits", "mse"), row, strict=True)) for row in self.tensors]
        return {**about, **self.length.as_dict(), **({"tensors": rows} if rows else {})}

    def table(self) -> pd.DataFrame:
        """``tensors`` as a table: ``name``, ``weights``, ``bits``, ``bits_per_weight``, ``mse``."""
        import pandas as pd

        rows = [(name, n, bits, bits / max(n, 1), mse) for name, n, bits, mse in self.tensors]
        return pd.DataFrame(rows, columns=["name", "weights", "bits", "bits_per_weight", "mse"])

    def without_tensors(self) -> Report:
        """The same in brief."""
        return replace(self, tensors=())

    def _repr_html_(self) -> str:
        about = str(self.without_tensors()).splitlines()[-1]
        rows = to_html(self.table()) if self.tensors else ""
        return f"<p>{about}</p>{self.length._repr_html_()}{rows}"

    def __str__(self) -> str:
        lines = [f"{name}: {bits:,.1f} bits, {bits / max(n, 1):.4f} a weight" for name, n, bits, _ in self.tensors]
        about = f"{self.weights:,} weights, {self.bits_per_weight:.4f} bits a weight, mean squared error {self.mse:.4g}"
        if self.loss is not None:
            about += f", expected loss {self.loss:.4g} nats an example"
        return "\n".join([*lines, str(self.length), about])
