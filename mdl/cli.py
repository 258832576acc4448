"""The command line: arguments in, tables and files out; no arithmetic.

Exit status 0 when done, 2 on bad input with one line on stderr that says what is wrong.
"""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdl.errors import MdlError

if TYPE_CHECKING:
    from mdl.codes.scheme import PriorLike
    from mdl.codes.shortest import Shortest
    from mdl.rates import Grids
    from mdl.trials import Grid
    from mdl.weights import Weights

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Minimum description length of trained models: measure, encode, decode, sweep, ladder, select, figures.",
)

Priors = Annotated[
    list[str] | None, typer.Option("--prior", "-p", help="A prior or code by name; repeat it to compare several.")
]
Step = Annotated[float | None, typer.Option(help="Width of the cells. Default: about 1/16 of the rms weight.")]
Format = Annotated[str | None, typer.Option("--format", help="Round to a float format instead, such as bfloat16.")]
Levels = Annotated[int | None, typer.Option(help="Round to a codebook of so many levels a tensor instead (k-means).")]
DeadZone = Annotated[float | None, typer.Option(help="Rounding offset below 1/2: a wider zero cell.")]
States = Annotated[int | None, typer.Option(help="Trellis-coded quantisation with 4 to 256 states: less error a bit.")]
Scales = Annotated[bool, typer.Option("--scales", help="Scales of their own for rows and columns, where that pays.")]
TargetMse = Annotated[float | None, typer.Option(help="The coarsest step with at most this mean squared error.")]
TargetBits = Annotated[float | None, typer.Option(help="The finest step with at most so many bits a weight.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
File = Annotated[Path, typer.Argument(help=".safetensors, .npz, .pt, .onnx, or a sharded index.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write.")]


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
    tensors: Annotated[bool, typer.Option("--tensors", help="A row for every tensor.")] = False,
    curve: Annotated[
        Path | None, typer.Option(help="Bits against error over steps instead: a table here, and its figure beside it.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ideal length of the weights in FILE under one prior or several."""
    from mdl import length, weights
    from mdl.lengths import two_part

    loaded = weights.load(file)
    priors = {name: _prior(name, scales) for name in prior or ["gaussian"]}
    if curve is not None:
        if any(given is not None for given in (step, format_, levels, target_mse, target_bits)):
            raise MdlError(
                "--curve: expected no step, float format, codebook or target beside it: it tries steps itself"
            )
        _curves(loaded, priors, _grids(states, dead_zone), curve, json, quiet)
        return
    reports = {}
    for name, one in priors.items():
        grid = _grid(loaded, one, step, format_, levels, dead_zone, states, target_mse, target_bits)
        reports[name] = two_part.report(loaded, one, grid, tensors=tensors)
    best = min(reports, key=lambda name: reports[name].length.comparable.nats)
    if json:
        others = {name: report.as_dict() for name, report in reports.items()} if len(reports) > 1 else None
        _print_json({"prior": best, **reports[best].as_dict(), **({"priors": others} if others else {})})
    elif not quiet:
        print(reports[best])
        if len(reports) > 1:
            print(length.compare({name: report.length for name, report in reports.items()}).round(1).to_string())


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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the weights in FILE, quantised, as a .mdl message."""
    from mdl import files, weights
    from mdl.lengths import two_part

    loaded, one = weights.load(file), _prior(prior, scales)
    grid = _grid(loaded, one, step, format_, levels, dead_zone, states, target_mse, target_bits)
    report = two_part.report(loaded, one, grid, realise=True)
    files.write_atomically(out, lambda stream: stream.write(report.data))
    if json:
        _print_json({"prior": prior, **report.as_dict(), "file": str(out), "file_bytes": len(report.data)})
    elif not quiet:
        print(report)


@app.command()
def decode(
    message: Annotated[Path, typer.Argument(help="A .mdl file.")],
    out: Out,
    inputs: Annotated[Path | None, typer.Option(help="X as .npy: decode the labels as well.")] = None,
    labels: Annotated[Path | None, typer.Option(help="File for the labels, .npz.")] = None,
    max_weights: Annotated[int | None, typer.Option(help="Refuse to make more weights than so many.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a .mdl message and write its weights as .safetensors or .npz; with --inputs, its labels too."""
    from mdl import weights
    from mdl.lengths import two_part

    if (inputs is None) != (labels is None):
        raise MdlError("decode: expected --inputs and --labels together, got only one of them")
    data = message.read_bytes()
    if inputs is None or labels is None:
        decoded = two_part.decode(data, max_weights)
    else:
        (X,) = weights.load(inputs).values()
        model, y = two_part.decode_with_data(data, X)
        decoded = model.weights
        weights.save({"y": y}, labels)
    weights.save(decoded, out)
    if json:
        _print_json({"weights": decoded.count, "tensors": len(decoded), "file": str(out)})
    elif not quiet:
        print(decoded)


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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train at many L2 strengths, code under every prior, and draw lengths against strength."""
    from mdl import datasets, plot, training
    from mdl import sweep as sweeps

    loaded = datasets.load(dataset, target=target)
    table = sweeps.sweep(
        loaded,
        models=model or training.default_models(loaded),
        strengths=sweeps.default_strengths(strengths),
        seeds=range(seed, seed + seeds),
        priors=prior,
        out=out,
        n_jobs=jobs,
        progress=not (quiet or json),
    )
    plot.save_figure(plot.sweep_figure(table), out / "sweep")
    best = sweeps.summary(table)
    if json:
        _print_json({"rows": len(table), "folder": str(out), "best": json_.loads(best.to_json(orient="records"))})
    elif not quiet:
        print(best.to_string(index=False))
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
        _print_json({"folder": str(out), "rungs": json_.loads(table.to_json(orient="records"))})
    elif not quiet:
        print(ladders.shown(table))
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

    loaded = datasets.load(dataset, target=target)
    found = tables.search(loaded, model, tables.grid(strengths), code, eta, seed)
    table = pd.DataFrame(found.results_)[["strength", "bits", "weight"]]
    if json:
        about = {"code": found.code, "strength": found.strength_, "parameters": found.best_params_}
        _print_json({**about, "strengths": json_.loads(table.to_json(orient="records"))})
    elif not quiet:
        print(table.to_string(index=False, formatters={"bits": "{:.1f}".format, "weight": "{:.3f}".format}))
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
        _print_json({"files": files})
    elif not quiet:
        print("\n".join(files))


def _prior(name: str, scales: bool = False) -> PriorLike | Shortest:
    from mdl import priors
    from mdl.codes import families
    from mdl.codes.scaled import Scaled
    from mdl.codes.shortest import Shortest

    known: dict[str, Any] = {**priors.BY_NAME, **families.BY_NAME, "shortest": Shortest()}
    if name not in known:
        raise MdlError(f"--prior: expected one of {', '.join(known)}, got {name!r}")
    if scales and name not in priors.BY_NAME:
        raise MdlError(f"--scales: expected a prior with a scale, got {name!r}")
    return Scaled(known[name]) if scales else known[name]


def _grids(states: int | None, dead_zone: float | None) -> Grids:
    """Quantizers by their step."""
    import functools

    from mdl.quantize import DeadZone, UniformGrid
    from mdl.trellis import Trellis

    if states is not None and dead_zone is not None:
        raise MdlError("expected at most one of --states and --dead-zone")
    if states is not None:
        return functools.partial(Trellis, states=states)
    return UniformGrid if dead_zone is None else functools.partial(DeadZone, rounding=dead_zone)


def _grid(
    loaded: Weights, prior: PriorLike | Shortest, step: float | None, format_: str | None, levels: int | None,
    dead_zone: float | None, states: int | None, target_mse: float | None, target_bits: float | None,
) -> Grid:  # fmt: skip
    from mdl import rates
    from mdl.lengths import two_part
    from mdl.quantize import Codebook, FloatFormat

    given = {"--step": step, "--format": format_, "--levels": levels, "--target-mse": target_mse,
             "--target-bits": target_bits}  # fmt: skip
    if sum(option is not None for option in given.values()) > 1:
        raise MdlError(f"expected at most one of {', '.join(given)}")
    if states is not None and (format_ is not None or levels is not None):
        raise MdlError("--states: expected a step or a target beside it, got a float format or a codebook")
    if format_ is not None:
        return FloatFormat(format_)
    if levels is not None:
        return {name: Codebook.fit(tensor, levels) for name, tensor in loaded.floats.items()}
    grids = _grids(states, dead_zone)
    if target_mse is not None:
        return rates.for_error(loaded, target_mse, prior, grids)
    if target_bits is not None:
        return rates.for_bits(loaded, target_bits, prior, grids)
    return grids(two_part.default_step(loaded) if step is None else step)


def _curves(
    loaded: Weights, priors: dict[str, PriorLike | Shortest], grids: Grids, out: Path, json: bool, quiet: bool
) -> None:
    """A row a prior and step, as CSV, and the figure."""
    import pandas as pd

    from mdl import files, plot, rates

    table = pd.concat([rates.curve(loaded, prior, grids).assign(prior=name) for name, prior in priors.items()])
    files.write_atomically(out, lambda stream: stream.write(table.to_csv(index=False).encode()))
    drawn = plot.save_figure(plot.plot_rates(table).figure, out.with_suffix(""))
    if json:
        _print_json({"curve": json_.loads(table.to_json(orient="records")), "files": [str(out), *map(str, drawn)]})
    elif not quiet:
        print(table.to_string(index=False))


def _print_json(value: dict[str, Any]) -> None:
    print(json_.dumps(value, allow_nan=False))


def main() -> None:
    """The console script."""
    try:
        app()
    except (MdlError, OSError) as error:
        print(f"mdl: {error}", file=sys.stderr)
        sys.exit(2)
