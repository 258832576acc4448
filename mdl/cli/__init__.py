"""The command line: arguments in, tables and files out; no arithmetic.

Exit status 0 when done, 2 on bad input with one line on stderr that says what is wrong.
"""

from __future__ import annotations

import json as json_
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdl.cli import coding, showing
from mdl.cli.coding import Calibrate, DeadZone, Format, Levels, Scales, States, TargetBits, TargetLoss, TargetMse
from mdl.cli.options import Backend, Json, Out, Priors, Quiet, Scheduler, Step, print_json
from mdl.errors import MdlError

if TYPE_CHECKING:
    from mdl.codes.scheme import PriorLike
    from mdl.codes.shortest import Shortest
    from mdl.lengths.checkpoint import Report
    from mdl.rates import Grids
    from mdl.source import Source

_SUMMARY = (
    "model", "prior", "strength", "model_bits", "data_bits", "total_bits", "test_error", "best_strength", "excess_bits",
)  # fmt: skip

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Minimum description length of trained models: measure, encode, decode, sweep, ladder, select, report.",
)
app.command("report")(showing.report)
app.command("prequential-log")(showing.prequential_log)

File = Annotated[Path, typer.Argument(help=".safetensors, .npz, .pt, .onnx, .weights.h5, or a sharded index.")]


@app.command()
def measure(
    file: File,
    prior: Priors = None,
    step: Step = None,
    format_: Format = None,
    levels: Levels = None,
    dead_zone: DeadZone = None,
    states: States = None,
    scales: Scales = False,
    target_mse: TargetMse = None,
    target_bits: TargetBits = None,
    calibrate: Calibrate = None,
    target_loss: TargetLoss = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="A row for every tensor.")] = False,
    curve: Annotated[
        Path | None, typer.Option(help="Bits against error over steps instead: a table here, and its figure beside it.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ideal length of the weights in FILE under one prior or several."""
    from mdl import length, source
    from mdl.lengths import checkpoint
    from mdl.tables import show

    loaded = source.open_source(file)
    priors = {name: coding.prior(name, scales) for name in prior or ["gaussian"]}
    if curve is not None:
        if any(given is not None for given in (step, format_, levels, target_mse, target_bits, calibrate)):
            raise MdlError(
                "--curve: expected no step, float format, codebook, target or calibration: it tries steps itself"
            )
        _curves(loaded, priors, coding.grids(states, dead_zone), curve, json, quiet)
        return
    reports, calibration = {}, coding.calibration(loaded, calibrate, target_loss)
    for name, one in priors.items():
        grid = coding.grid(loaded, one, step, format_, levels, dead_zone, states, target_mse, target_bits)
        reports[name] = checkpoint.report(loaded, one, grid, calibration, tensors=tensors)
    best = min(reports, key=lambda name: reports[name].length.comparable.nats)
    if json:
        others = {name: report.as_dict() for name, report in reports.items()} if len(reports) > 1 else None
        print_json({"prior": best, **reports[best].as_dict(), **({"priors": others} if others else {})})
    elif not quiet:
        _show(reports[best])
        if len(reports) > 1:
            compared = length.compare({name: report.length for name, report in reports.items()})
            show(compared.reset_index(names="prior"), best=[0])


@app.command()
def encode(
    file: File,
    out: Out,
    prior: Annotated[str, typer.Option("--prior", "-p", help="A prior or code by name.")] = "gaussian",
    step: Step = None,
    format_: Format = None,
    levels: Levels = None,
    dead_zone: DeadZone = None,
    states: States = None,
    scales: Scales = False,
    target_mse: TargetMse = None,
    target_bits: TargetBits = None,
    calibrate: Calibrate = None,
    target_loss: TargetLoss = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one a core. Each holds a part of the weights.")] = 1,
    backend: Backend = "loky",
    scheduler: Scheduler = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the weights in FILE, quantised, as a .mdl message. A long one that was stopped goes on."""
    from mdl import source
    from mdl.lengths import checkpoint

    loaded, one = source.open_source(file), coding.prior(prior, scales)
    grid = coding.grid(loaded, one, step, format_, levels, dead_zone, states, target_mse, target_bits)
    calibration = coding.calibration(loaded, calibrate, target_loss)
    ways: dict[str, Any] = {"n_jobs": jobs, "backend": backend, "scheduler": scheduler}
    report = checkpoint.encode_file(loaded, out, one, grid, calibration, **ways, progress=not (quiet or json))
    if json:
        print_json({"prior": prior, **report.as_dict(), "file": str(out), "file_bytes": out.stat().st_size})
    elif not quiet:
        print(report)


@app.command()
def decode(
    message: Annotated[Path, typer.Argument(help="A .mdl file.")],
    out: Out,
    inputs: Annotated[Path | None, typer.Option(help="X as .npy: decode the labels as well.")] = None,
    labels: Annotated[Path | None, typer.Option(help="File for the labels, .npz.")] = None,
    tensor: Annotated[list[str] | None, typer.Option("--tensor", "-t", help="Only this one; repeatable.")] = None,
    max_weights: Annotated[int | None, typer.Option(help="Refuse to make more weights than so many.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a .mdl message and write its weights as .safetensors or .npz; with --inputs, its labels too."""
    from mdl import weights
    from mdl.lengths import checkpoint, two_part

    if (inputs is None) != (labels is None):
        raise MdlError("decode: expected --inputs and --labels together, got only one of them")
    if inputs is None or labels is None:
        shapes = checkpoint.decode_file(message, out, max_weights, tensor or ())
    else:
        (X,) = weights.load(inputs).values()
        model, y = two_part.decode_with_data(message.read_bytes(), X)
        shapes = model.weights.shapes
        weights.save({"y": y}, labels)
        weights.save(model.weights, out)
    if json:
        print_json({"weights": weights.count_of(shapes), "tensors": len(shapes), "file": str(out)})
    elif not quiet:
        print(weights.shown(shapes))


@app.command()
def sweep(
    dataset: Annotated[
        str, typer.Argument(help="digits, breast_cancer, wine, iris, diabetes, mnist5k, keel:NAME, or a file.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="ridge, logistic, mlp (= mlp-relu), mlp-tanh, mlp-logistic; repeatable."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict, for a file.")] = None,
    prior: Priors = None,
    strengths: Annotated[int, typer.Option(min=2, help="Number of L2 strengths.")] = 25,
    seeds: Annotated[int, typer.Option(min=1, help="Number of splits.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="First of them.")] = 0,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for table and figure; resumes what it holds.")
    ] = Path("results"),
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one a core.")] = -1,
    backend: Backend = "loky",
    scheduler: Scheduler = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train at many L2 strengths, code under every prior, and draw lengths against strength."""
    from mdl import datasets, plot, training
    from mdl import sweep as sweeps
    from mdl.tables import show

    loaded = datasets.load(dataset, target=target)
    table = sweeps.sweep(
        loaded,
        models=model or training.default_models(loaded),
        strengths=sweeps.default_strengths(strengths),
        seeds=range(seed, seed + seeds),
        priors=prior,
        out=out,
        n_jobs=jobs,
        backend=backend,
        scheduler=scheduler,
        progress=not (quiet or json),
    )
    plot.save_figure(plot.sweep_figure(table), out / "sweep")
    best = sweeps.summary(table)
    if json:
        print_json({"rows": len(table), "folder": str(out), "best": json_.loads(best.to_json(orient="records"))})
    elif not quiet:
        show(best[list(_SUMMARY)], best=best.groupby("model")["total_bits"].idxmin().tolist())
        print(f"table {out / 'sweep.csv'} (and .parquet), figure {out / 'sweep.pdf'} (and .png)")


@app.command()
def ladder(
    dataset: Annotated[
        str | None, typer.Argument(help="digits, breast_cancer, wine, iris, diabetes, mnist5k, keel:NAME, or a file.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="As for sweep; or, without DATASET, a file of weights."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict, for a file.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="Per example. Default: that of the least evidence on a coarse grid.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for table and figure.")] = Path("results"),
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one a core.")] = -1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Every code for one model and one data set, from float32 to the evidence: lengths, and which of them are files."""
    from mdl import datasets, files, plot, weights
    from mdl import ladder as ladders
    from mdl.tables import show

    if dataset is None and len(model or []) != 1:
        raise MdlError("ladder: expected a DATASET, or --model with a file of weights")
    out.mkdir(parents=True, exist_ok=True)
    if dataset is None:
        table = ladders.of_weights(weights.load(model[0]))  # type: ignore[index]
    else:
        table = ladders.ladder(
            datasets.load(dataset, target=target), model, strength, seed, n_jobs=jobs, progress=not (quiet or json)
        )
        plot.save_figure(plot.ladder_figure(table), out / "ladder")
    files.write_atomically(out / "ladder.csv", lambda stream: stream.write(table.to_csv(index=False).encode()))
    if json:
        print_json({"folder": str(out), "rungs": json_.loads(table.to_json(orient="records"))})
    elif not quiet:
        show(ladders.shown(table), spare="bar")
        print(f"table {out / 'ladder.csv'}" + ("" if dataset is None else f", figure {out / 'ladder.pdf'} (and .png)"))


@app.command()
def select(
    dataset: Annotated[
        str, typer.Argument(help="digits, breast_cancer, wine, iris, diabetes, mnist5k, keel:NAME, or a file.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="As for sweep. Default: the linear model for the task.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict, for a file.")] = None,
    code: Annotated[str | None, typer.Option(help="evidence, rotated, prequential, two-part, ...")] = None,
    strengths: Annotated[int, typer.Option(min=2, help="Number of L2 strengths from 1e-5 to 10.")] = 13,
    eta: Annotated[float, typer.Option(min=0.0, help="Shares fall as exp(-eta nats).")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of what is random in codes and training.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Code lengths of all examples at every L2 strength, the shortest, and shares for an averaged prediction."""
    import pandas as pd

    from mdl import datasets
    from mdl.select import tables
    from mdl.tables import show

    loaded = datasets.load(dataset, target=target)
    found = tables.search(loaded, model, tables.grid(strengths), code, eta, seed)
    table = pd.DataFrame(found.results_)[["strength", "bits", "weight"]]
    if json:
        about = {"code": found.code, "strength": found.strength_, "parameters": found.best_params_}
        print_json({**about, "strengths": json_.loads(table.to_json(orient="records"))})
    elif not quiet:
        show(table, best=[table["bits"].idxmin()])
        print(f"shortest under {found.code}: strength {found.strength_:g}, {found.best_params_}")


@app.command()
def figures(
    name: Annotated[list[str] | None, typer.Argument(help="Analyses; all of them by default.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for PDF and PNG.")] = Path("results/figures"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Redraw the figures of the analyses from their committed tables; in a checkout of the repository."""
    import importlib

    try:
        catalogue = importlib.import_module("analyses._catalogue")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("analyses"):
            raise
        raise MdlError(
            "figures: expected the analyses beside the library, got none; they are in the repository: run this there"
        ) from error
    files = [str(path) for path in catalogue.redraw(name or (), out)]
    if json:
        print_json({"files": files})
    elif not quiet:
        print("\n".join(files))


def _show(report: Report) -> None:
    """A row a tensor if there are any, the parts, and what they are of."""
    from mdl.tables import show

    if report.tensors:
        show(report.table())
    print(report.without_tensors())


def _curves(
    loaded: Source, priors: dict[str, PriorLike | Shortest], grids: Grids, out: Path, json: bool, quiet: bool
) -> None:
    """A row a prior and step, as CSV, and the figure."""
    import pandas as pd

    from mdl import files, plot, rates
    from mdl.tables import show

    table = pd.concat([rates.curve(loaded, prior, grids).assign(prior=name) for name, prior in priors.items()])
    files.write_atomically(out, lambda stream: stream.write(table.to_csv(index=False).encode()))
    drawn = plot.save_figure(plot.plot_rates(table).figure, out.with_suffix(""))
    if json:
        print_json({"curve": json_.loads(table.to_json(orient="records")), "files": [str(out), *map(str, drawn)]})
    elif not quiet:
        show(table)


def main() -> None:
    """The console script."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # a font it does without is no news
    try:
        app()
    except (MdlError, OSError) as error:
        print(f"mdl: {error}", file=sys.stderr)
        sys.exit(2)
