"""Commands that show what was measured elsewhere: a page of HTML, the length that a training log holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdl.cli.options import Json, Out, Priors, Quiet, Step, print_json

if TYPE_CHECKING:
    from mdl.lengths.prequential import LoggedLength


def prequential_log(
    file: Annotated[Path, typer.Argument(help="A loss a batch: .csv with a header, or .jsonl.")],
    loss: Annotated[str | None, typer.Option(help="Column. Default: loss, train_loss, ...")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Column with the examples that a row is of, or their number. Default: batch_size."),
    ] = None,
    step: Annotated[str | None, typer.Option(help="Column. Default: step, global_step, ..., if there is one.")] = None,
    epoch: Annotated[str | None, typer.Option(help="Column. Default: epoch, if there is one.")] = None,
    unit: Annotated[Literal["nats", "bits"], typer.Option(help="Of the losses; torch and Keras have nats.")] = "nats",
    reduction: Annotated[Literal["mean", "sum"], typer.Option(help="Of the losses over a batch.")] = "mean",
    every: Annotated[int, typer.Option(help="Steps that a row is the mean of.")] = 1,
    examples: Annotated[int | None, typer.Option(help="In the training set: refuse a log of more.")] = None,
    tail: Annotated[float, typer.Option(help="Share of the examples, the last, whose loss is final.")] = 0.05,
    final_loss: Annotated[float | None, typer.Option(help="An example, instead: that on held-out data.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it: name of a PDF and PNG, without suffix.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prequential length from a training log: what each batch cost before the learner was updated by it."""
    from mdl.lengths import prequential

    constant = int(size) if size is not None and size.isdecimal() else size
    log = prequential.LossLog.read(file, loss=loss, size=constant, step=step, epoch=epoch)
    found = prequential.prequential_log(
        log, unit=unit, reduction=reduction, every=every, examples=examples, tail=tail, final_loss=final_loss
    )
    files = [] if plot is None else _drawn(found, plot)
    if json:
        more: dict[str, Any] = {"files": files} if files else {}
        print_json({**found.as_dict(), "skipped_rows": log.skipped, **more})
    elif not quiet:
        print(found)
        if log.skipped:
            print(f"left out: {log.skipped} rows without a training loss")


def _drawn(found: LoggedLength, path: Path) -> list[str]:
    from mdl import plot

    return [str(file) for file in plot.save_figure(plot.plot_log(found.table()).figure, path)]


def report(
    source: Annotated[Path, typer.Argument(help="A file of weights, or the folder or CSV of a sweep.")],
    out: Out,
    prior: Priors = None,
    step: Step = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """One page of HTML about weights or a sweep: tables and figures, nothing loaded from elsewhere."""
    from mdl import report as reports

    said = reports.write(source, out, prior or (), step)
    if json:
        print_json({"kind": said, "file": str(out), "bytes": out.stat().st_size})
    elif not quiet:
        print(f"page {out}, of {'a sweep' if said == 'sweep' else 'weights'}")
