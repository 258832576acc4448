"""How weights are to be coded: the options that say it, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdl.errors import MdlError

if TYPE_CHECKING:
    from mdl.curvature import Calibration
    from mdl.lengths.checkpoint import AnyPrior
    from mdl.rates import Grids
    from mdl.source import Source
    from mdl.trials import Grid

Format = Annotated[str | None, typer.Option("--format", help="Round to a float format instead, such as bfloat16.")]
Levels = Annotated[int | None, typer.Option(help="Round to a codebook of so many levels a tensor instead (k-means).")]
DeadZone = Annotated[float | None, typer.Option(help="Rounding offset below 1/2: a wider zero cell.")]
States = Annotated[int | None, typer.Option(help="Trellis-coded quantisation with 4 to 256 states: less error a bit.")]
Scales = Annotated[bool, typer.Option("--scales", help="Scales of their own for rows and columns, where that pays.")]
TargetMse = Annotated[float | None, typer.Option(help="The coarsest step with at most this mean squared error.")]
TargetBits = Annotated[float | None, typer.Option(help="The finest step with at most so many bits a weight.")]
Calibrate = Annotated[
    Path | None, typer.Option(help="What Calibration.save wrote: its tensors are rounded by how much they matter.")
]
TargetLoss = Annotated[
    float | None, typer.Option(help="With --calibrate: nats an example that may be lost, to second order.")
]


def prior(name: str, scales: bool = False) -> AnyPrior:
    """The prior or code of that name."""
    from mdl import priors
    from mdl.codes import families
    from mdl.codes.contextual import Contextual
    from mdl.codes.scaled import Scaled
    from mdl.codes.shortest import Shortest

    known: dict[str, Any] = {**priors.BY_NAME, **families.BY_NAME, "contextual": Contextual(), "shortest": Shortest()}
    if name not in known:
        raise MdlError(f"--prior: expected one of {', '.join(known)}, got {name!r}")
    if scales and name not in priors.BY_NAME:
        raise MdlError(f"--scales: expected a prior with a scale, got {name!r}")
    return Scaled(known[name]) if scales else known[name]


def grids(states: int | None, dead_zone: float | None) -> Grids:
    """Quantizers by their step."""
    import functools

    from mdl.quantize import DeadZone, UniformGrid
    from mdl.trellis import Trellis

    if states is not None and dead_zone is not None:
        raise MdlError("expected at most one of --states and --dead-zone")
    if states is not None:
        return functools.partial(Trellis, states=states)
    return UniformGrid if dead_zone is None else functools.partial(DeadZone, rounding=dead_zone)


def grid(
    loaded: Source, prior: AnyPrior, step: float | None, format_: str | None, levels: int | None,
    dead_zone: float | None, states: int | None, target_mse: float | None, target_bits: float | None,
) -> Grid:  # fmt: skip
    """What the options say weights are rounded to."""
    from mdl import rates, source
    from mdl.quantize import Codebook, FloatFormat
    from mdl.trials import default_step

    given = {"--step": step, "--format": format_, "--levels": levels, "--target-mse": target_mse,
             "--target-bits": target_bits}  # fmt: skip
    if sum(option is not None for option in given.values()) > 1:
        raise MdlError(f"expected at most one of {', '.join(given)}")
    if states is not None and (format_ is not None or levels is not None):
        raise MdlError("--states: expected a step or a target beside it, got a float format or a codebook")
    if format_ is not None:
        return FloatFormat(format_)
    if levels is not None:
        return {name: Codebook.fit(source.sample(loaded, name), levels) for name in source.float_names(loaded)}
    chosen = grids(states, dead_zone)
    if target_mse is not None:
        return rates.for_error(loaded, target_mse, prior, chosen)
    if target_bits is not None:
        return rates.for_bits(loaded, target_bits, prior, chosen)
    return chosen(default_step(loaded) if step is None else step)


def calibration(loaded: Source, file: Path | None, target_loss: float | None) -> Calibration | None:
    """The calibration in a file, at its own price or at that which meets the target."""
    from mdl import rates
    from mdl.curvature import Calibration

    if file is None:
        if target_loss is not None:
            raise MdlError("--target-loss: expected --calibrate beside it, which says what weights matter to")
        return None
    found = Calibration.load(file)
    return found if target_loss is None else rates.for_loss(loaded, target_loss, found)
