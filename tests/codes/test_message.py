"""Messages: read back exactly, by the library, by another process, and by a reader written from the document."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import mdl
from mdl import likelihoods, models, priors
from mdl.codes import discretized, message, random
from mdl.codes.contextual import ContextualMatrix
from mdl.codes.families import BY_NAME as CODES
from mdl.codes.fitted import fit_scheme
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.message import DTYPES, DataPart, Message, parse, write
from mdl.codes.scaled import ScaledMatrix
from mdl.codes.scheme import Coding, Scheme
from mdl.errors import MdlError, MessageError, PlatformError, WeightsError
from mdl.lengths.two_part import decode_with_data, encode_with_data
from mdl.quantize import FloatFormat, UniformGrid
from mdl.trellis import Trellis
from tests import examples
from tests.codes import reference

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "format.md").read_text()
RNG = np.random.default_rng(31)
WEIGHTS = {"hidden": RNG.normal(0.0, 0.3, (30, 20)).astype(np.float32), "out": RNG.laplace(0.0, 0.1, 77)}
GRID = UniformGrid(2.0**-5)


def checked(tensors: Any, scheme: Scheme, data: DataPart | None = None) -> tuple[bytes, Message]:
    """Written and read; the laws of every message hold."""
    written, length = write(tensors, scheme, data)
    assert length.realised
    assert length.bits == pytest.approx(8 * len(written), rel=1e-12), "the parts are the bytes"
    ideal = message.ideal(tensors, scheme, data)
    assert not ideal.realised
    assert 8 * len(written) <= ideal.bits * 1.0002 + 64.0
    assert set(ideal.part_bits()) <= set(length.part_bits())
    assert write(tensors, scheme, data)[0] == written
    read = parse(written, None if data is None else lambda architecture, found: data.predictions)
    same(read.tensors, scheme.quantized(tensors))
    return written, read


def same(got: Any, expected: Any) -> None:
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype, name
        assert got[name].shape == tensor.shape, name
        assert got[name].tobytes() == tensor.tobytes(), name


def fitted(tensors: Any, prior: Any = priors.Gaussian(), quantizer: Any = GRID) -> Scheme:  # noqa: B008
    return fit_scheme(
        tensors, dict.fromkeys((n for n, t in tensors.items() if t.dtype.kind not in "biu"), quantizer), prior
    )


# --- tensors ----------------------------------------------------------------------------------------------------------

TENSORS: dict[str, Any] = {
    "no tensors": {},
    "scalars": {"w": np.array(0.5), "n": np.array(-3), "flag": np.array(True)},
    "one element": {"w": np.array([[[-2.25]]])},
    "no elements": {"w": np.zeros((0, 3)), "n": np.zeros((2, 0), np.int32), "v": np.ones(2)},
    "zeros": {"w": np.zeros((40, 50))},
    "constant": {"w": np.full(1000, 3.0), "n": np.full(7, -9)},
    "largest integers": {"n": np.array([-(2**31), 2**31 - 1]), "m": np.array([2**31 - 1], np.uint64)},
    "names": {"ключ": np.ones(1), "層.0/weight": np.ones(1), "🙂" * 99: np.ones(1), " \n": np.ones(1)},
    "a long name": {"x" * 100_000: np.ones(1)},
    "32 dimensions": {"w": np.ones((1,) * 30 + (2, 3))},
    "far from zero": {"w": RNG.normal(1e6, 1.0, 200)},
    "not contiguous": {"w": RNG.normal(0.0, 1.0, (8, 6)).T, "v": RNG.normal(0.0, 1.0, 60)[::-2]},
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors(case: str) -> None:
    checked(TENSORS[case], fitted(TENSORS[case]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(dtype: Any) -> None:
    values = np.clip(RNG.normal(0.0, 40.0, 300), 0 if dtype.kind in "bu" else -99, 99)
    tensors = {"a": values.astype(dtype), "b": values[:6].reshape(2, 3).astype(dtype)}
    checked(tensors, fitted(tensors, quantizer=UniformGrid(2.0)))


def test_the_document_lists_the_dtypes() -> None:
    rows = "\n".join(f"| {tag} | {dtype.name} |" for tag, dtype in enumerate(DTYPES))
    assert rows in DOCUMENT, rows
    assert [dtype.name for dtype in DTYPES] == list(reference.DTYPES)


@pytest.mark.parametrize("prior", [*priors.BY_NAME, *CODES])
def test_every_prior_and_family_fitted_to_weights(prior: str) -> None:
    chosen: Any = priors.BY_NAME.get(prior) or CODES[prior]
    checked(WEIGHTS, fitted(WEIGHTS, chosen))


@pytest.mark.parametrize("prior", examples.priors(), ids=examples.label)
def test_every_prior_as_given(prior: Any) -> None:
    """Weights near its centre on a grid that resolves it; one scheme for all tensors, and one each."""
    spread = prior.parameters[0] if not isinstance(prior, priors.SpikeAndSlab | priors.Mixture) else 0.3
    loc = getattr(prior, "loc", 0.0)
    tensors = {name: loc + spread * RNG.uniform(-0.9, 0.9, 120) for name in "ab"}
    checked(tensors, fitted(tensors, prior, UniformGrid(spread / 8)))


@pytest.mark.parametrize("case", examples.quantizers(), ids=examples.label)
def test_every_quantizer(case: Any) -> None:
    quantizer, reach = case
    spread = min(reach / 20, 0.5 if reach == 1e3 or isinstance(quantizer, FloatFormat) else 40 * quantizer.step)
    tensors = {"w": RNG.normal(0.0, spread, 150)}
    checked(tensors, fitted(tensors, quantizer=quantizer))


TOLD = [case for case in examples.codes() if type(case[0]) not in (examples.Cycled, random.Branches)]


@pytest.mark.parametrize("case", TOLD, ids=examples.label)
def test_every_code(case: Any) -> None:
    """Of integers that are coded as they are."""
    code, symbols, _ = case
    near = np.clip(RNG.geometric(0.1, 200) - 5, symbols.start, symbols.stop - 1)
    far = RNG.integers(symbols.start, symbols.stop, 3)
    tensors = {"n": np.concatenate([near, far]), "m": near.astype(np.int32)}
    written, _ = write(tensors, Scheme(dict.fromkeys(tensors, Coding(None, code))))
    same(parse(written).tensors, tensors)


def test_a_thousand_tensors_with_codes_of_their_own() -> None:
    tensors = {f"layer.{k}": RNG.normal(0.0, 1.0, k % 5) for k in range(1000)}
    codes = [discretized.Discretized(priors.Gaussian(1.0 + k % 700 / 64), GRID, -200, 200) for k in range(1000)]
    scheme = Scheme({name: Coding(GRID, code) for name, code in zip(tensors, codes, strict=True)})
    same(parse(write(tensors, scheme)[0]).tensors, scheme.quantized(tensors))


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"w": np.ones((1,) * 33)}, "at most 32 dimensions"),
        ({"": np.ones(1)}, "expected a name"),
        ({"a\0": np.ones(1)}, "expected a name"),
        ({"w": np.ones(1, np.longdouble)}, "has no tag"),
    ],
    ids=["dimensions", "no name", "NUL", "dtype"],
)
def test_what_a_reader_would_refuse_is_not_written(tensors: Any, says: str) -> None:
    code = discretized.Discretized(priors.Gaussian(1.0), GRID, 0, 32)
    with pytest.raises(WeightsError, match=says):
        write(tensors, Scheme({name: Coding(GRID, code) for name in tensors}))


def test_a_reader_may_allow_less() -> None:
    written, _ = write(WEIGHTS, fitted(WEIGHTS))
    same(parse(written, max_weights=677).tensors, parse(written).tensors)
    with pytest.raises(MessageError, match="would make 677 weights, more than the 676 allowed"):
        parse(written, max_weights=676)


# --- the document -----------------------------------------------------------------------------------------------------

SMALL = {
    "a": RNG.normal(0.0, 1.0, (7, 5)).astype(np.float32),
    "b": np.array(3.0),
    "n": np.arange(-3, 5),
    "flags": np.array([True, False, True]),
    "nothing": np.zeros((0, 3), np.float16),
    "bf": RNG.normal(0.0, 2.0, 9).astype(ml_dtypes.bfloat16),
}


@pytest.mark.parametrize(
    ("prior", "step"),
    [
        (priors.Gaussian(), 0.25),
        (priors.Gaussian(), 0.001),
        (priors.Gaussian(1.5, loc=0.3), 1 / 3),
        (priors.Laplace(), 0.01),
        (priors.Laplace(0.7, loc=-0.1), 2.0**-14),  # more than 2^16 levels
        (mdl.KT, 0.05),
        (CODES["elias-delta"], 0.01),
        (priors.Gaussian(), Trellis(0.25, 4)),
        (priors.Laplace(), Trellis(0.05, 256)),
    ],
    ids=["gaussian", "fine", "elsewhere", "laplace", "wide", "kt", "elias-delta", "trellis", "trellis of 256"],
)
def test_a_reader_written_from_the_document_gets_the_same_tensors(prior: Any, step: Any) -> None:
    tensors, _ = reference.decode(mdl.encode(SMALL, prior, step))
    expected = mdl.decode(mdl.encode(SMALL, prior, step))
    assert list(tensors) == list(expected)
    for name, (dtype, shape, values) in tensors.items():
        assert (dtype, shape) == (expected[name].dtype.name, expected[name].shape)
        same({name: np.array(values, np.float64).astype(dtype).reshape(shape)}, {name: expected[name]})


@pytest.mark.parametrize("step", [4.0, 2.0, 1.0, 0.8, 0.3, 0.05], ids="{:g} scales".format)
def test_a_reader_written_from_the_document_reads_words(step: float) -> None:
    """Long enough for words of several letters, with letters left over at most; at some steps few buckets are."""
    w = RNG.normal(0.0, 1.0, 33003)
    tensors, _ = reference.decode(mdl.encode({"w": w}, mdl.Gaussian(), step))
    np.testing.assert_array_equal(np.array(tensors["w"].values), np.rint(w / step) * step)


@pytest.mark.parametrize("prior", [priors.Gaussian(), priors.Laplace()])
@pytest.mark.parametrize("step", [0.1, Trellis(0.1, 8), Trellis(2.0, 64)])
def test_a_reader_written_from_the_document_reads_scales(prior: Any, step: Any) -> None:
    """More than one run of a trellis, and rows and columns of scales that are worth telling."""
    w = RNG.normal(0.0, 1.0, (60, 40)) * np.geomspace(0.1, 3.0, 60)[:, None] * np.geomspace(0.5, 2.0, 40)
    data = mdl.encode({"w": w}, mdl.Scaled(prior), step)
    assert len(data) < 0.97 * len(mdl.encode({"w": w}, prior, step))
    tensors, _ = reference.decode(data)
    np.testing.assert_array_equal(np.array(tensors["w"].values), mdl.decode(data)["w"].ravel())


@pytest.mark.parametrize("shape", [(60, 40), (2, 40000)], ids=str)
@pytest.mark.parametrize("spread", [0.02, 1.0], ids="{:g} of the usual scale".format)
def test_a_reader_written_from_the_document_reads_far_weights(shape: tuple[int, int], spread: float) -> None:
    """Tails of short and of long runs, among few levels and among many, and one level that has most of the mass."""
    rng = np.random.default_rng(17)
    w = rng.laplace(0.0, spread, shape) * np.geomspace(0.1, 3.0, shape[0])[:, None]
    w.ravel()[::53] = rng.normal(0.0, 60.0, w.ravel()[::53].size)
    codes = [ScaledMatrix(priors.Laplace(scale), mdl.UniformGrid(0.25), 10, shape[1]) for scale in (0.05, 0.5)]
    for code in codes:
        data, _ = write({"w": w}, Scheme({"w": Coding(mdl.UniformGrid(0.25), code)}))
        tensors, _ = reference.decode(data)
        np.testing.assert_array_equal(np.array(tensors["w"].values), np.rint(w.ravel() * 4.0) / 4.0)
        np.testing.assert_array_equal(mdl.decode(data)["w"].ravel(), np.rint(w.ravel() * 4.0) / 4.0)


def test_golden_bytes_of_a_trellis_with_scales() -> None:
    w = np.outer([1.0, 0.1, 4.0], np.linspace(-1.0, 1.0, 9)).astype(np.float32)
    golden = bytes.fromhex(GOLDEN_TRELLIS)
    coding = Coding(Trellis(0.125, 8), ScaledMatrix(priors.Gaussian(0.125), Trellis(0.125, 8), 6, 9))
    written, _ = write({"w": w}, Scheme({"w": coding}))
    assert written == golden, written.hex(" ")
    read = mdl.decode(golden)["w"]
    assert np.abs(read - w).max() < 0.125
    for data in (golden, bytes.fromhex(OTHER_SCALES)):
        tensors, _ = reference.decode(data)
        np.testing.assert_array_equal(np.array(tensors["w"].values, np.float32), read.ravel())
        np.testing.assert_array_equal(mdl.decode(data)["w"], read)


GOLDEN_TRELLIS = """
93 4d 44 4c 01 ed 18 62 1c 1a 22 3b 8a b0 8b 2c ad 49 bf 4a
e2 8b 75 c2 52 99 48 cd 91 96 44 12 39 f2 43 80 0f 04 df 1c
73 dd e2 2a 4e 69 d3 9c 0b c9 ec 04 de 4a a2 c4 a7 88 23
"""
#: The same weights, by a writer that chose another exponent.
OTHER_SCALES = """
93 4d 44 4c 01 4e c3 93 48 1a 22 3b 8a b0 8a bd d9 fb 1b 4a
e2 8b 75 c2 52 99 40 cc 91 96 04 12 39 f2 43 80 0f 04 df 1c
73 dd e2 2a 34 a4 d1 31 b4 10 ee e6 b7 e1 a4 2a c1 c7 1d
"""


@pytest.mark.parametrize("step", [0.5, Trellis(0.25, 8)])
@pytest.mark.parametrize("width", [0, 6])
def test_a_reader_written_from_the_document_reads_contexts(step: Any, width: int) -> None:
    w = np.round(np.cumsum(RNG.normal(0.0, 1.0, (36, 70)), axis=0))
    data = mdl.encode({"w": w}, mdl.Contextual(width=width), step)
    assert len(data) < 0.97 * len(mdl.encode({"w": w}, mdl.Gaussian(), step))
    tensors, _ = reference.decode(data)
    np.testing.assert_array_equal(np.array(tensors["w"].values), mdl.decode(data)["w"].ravel())


def test_golden_bytes_of_contexts() -> None:
    symbols = np.array([[0, 0, 1, 1], [0, 1, 2, -1], [0, 2, 2, -2], [1, -2, 0, 0], [0, -1, 1, 0]], np.float32)
    golden = bytes.fromhex(GOLDEN_CONTEXTS)
    written, _ = write({"w": symbols}, Scheme({"w": Coding(UniformGrid(1.0), ContextualMatrix(2, 4, 3))}))
    assert written == golden, written.hex(" ")
    np.testing.assert_array_equal(mdl.decode(golden)["w"], symbols)
    assert reference.decode(golden)[0]["w"].values == symbols.ravel().tolist()


GOLDEN_CONTEXTS = """
93 4d 44 4c 01 89 9e 02 9e 0d 22 3b 8a b9 af 0e 34 17 fe c9
9a 42 f0 d2 f3 e5 a2 59 f6 8c 6e 25
"""


def test_a_reader_written_from_the_document_gets_the_same_labels() -> None:
    X = RNG.normal(0.0, 1.0, (150, 4))
    weights = {"layers.0.weight": RNG.normal(0.0, 1.0, (4, 1)), "layers.0.bias": np.array([0.3])}
    model = models.FeedForward(weights, likelihoods.Bernoulli())
    y = (RNG.random(150) < 1 / (1 + np.exp(-model.predict(X)))).astype(int)

    def predict(architecture: str, tensors: dict[str, reference.Tensor]) -> list[float]:
        assert architecture == "feedforward identity"
        w, (b,) = tensors["layers.0.weight"].values, tensors["layers.0.bias"].values
        return [sum(a * c for a, c in zip(row, w, strict=True)) + b for row in X.tolist()]

    _, labels = reference.decode(encode_with_data(model, X, y, quantizer=2.0**-4), predict)
    assert labels == y.tolist()


EXAMPLE = {"w": np.array([0.5, -0.25, 0.0, 1.0], np.float32), "n": np.array(3)}


def example() -> tuple[bytes, Any]:
    grid = UniformGrid(0.25)
    codes = {
        "w": Coding(grid, discretized.Discretized(priors.Gaussian(0.5), grid, -1, 4)),
        "n": Coding(None, Signed(EliasDelta())),
    }
    return write(EXAMPLE, Scheme(codes))


def test_golden_bytes_are_those_of_the_document() -> None:
    """The hex dump; and the bits of the table, in its order, are those of the bit lane."""
    dump = bytes.fromhex("".join(re.findall(r"^    [0-9a-f]{4}  ((?:[0-9a-f]{2} ?)+)$", DOCUMENT, re.MULTILINE)))
    bits = "".join(re.findall(r"^\| `([01 ]+)` \|", DOCUMENT, re.MULTILINE)).replace(" ", "")
    written, _ = example()
    assert dump == written, written.hex(" ")
    lane = "".join(f"{byte:08b}" for byte in dump[10 : 10 + dump[9]])
    assert bits == lane, lane
    tensors, _ = reference.decode(dump)
    assert tensors["w"].values == EXAMPLE["w"].tolist()
    assert tensors["n"].values == [3]


# --- labels -----------------------------------------------------------------------------------------------------------

N = 90
LIKELIHOODS: dict[str, tuple[Any, Any, Any]] = {
    "Bernoulli": (likelihoods.Bernoulli(), RNG.normal(0.0, 2.0, N), RNG.integers(0, 2, N)),
    "Categorical": (likelihoods.Categorical(5), RNG.normal(0.0, 2.0, (N, 5)), RNG.integers(0, 5, N)),
    "Gaussian": (likelihoods.Gaussian(0.01, scale=1.5), RNG.normal(0.0, 2.0, N), RNG.integers(-600, 600, N)),
    "Poisson": (likelihoods.Poisson(), RNG.normal(1.0, 1.0, N), RNG.integers(0, 9, N)),
    "one class only": (likelihoods.Categorical(5), RNG.normal(0.0, 2.0, (N, 5)), np.full(N, 3)),
    "no examples": (likelihoods.Poisson(), np.zeros(0), np.zeros(0, int)),
}


@pytest.mark.parametrize("case", LIKELIHOODS)
def test_labels_of_every_likelihood(case: str) -> None:
    likelihood, predictions, symbols = LIKELIHOODS[case]
    data = DataPart("any text: \N{GREEK SMALL LETTER LAMDA}", likelihood, predictions, symbols.astype(np.int32))
    written, read = checked(WEIGHTS, fitted(WEIGHTS), data)
    assert read.labels is not None
    assert np.array_equal(read.labels, likelihood.from_symbols(symbols))
    assert (read.architecture, read.likelihood) == (data.architecture, likelihood)
    assert parse(written).labels is None, "without predictions the labels stay unread"


def labelled() -> bytes:
    likelihood, predictions, symbols = LIKELIHOODS["Gaussian"]
    return write(WEIGHTS, fitted(WEIGHTS), DataPart("", likelihood, predictions, symbols.astype(np.int32)))[0]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda p: p[::-1], PlatformError, "other inputs X"),
        (lambda p: p + 0.001, PlatformError, "other inputs X"),
        (lambda p: p[:-1], MessageError, "90 labels"),
        (lambda p: np.zeros((N, 2)), MessageError, "expected .n,. finite predictions"),
        (lambda p: np.full(N, np.nan), MessageError, "finite"),
        (lambda p: np.array(1.0), MessageError, "90 labels"),
    ],
    ids=["other order", "a little off", "one row less", "columns", "NaN", "a number"],
)
def test_other_predictions_are_refused(change: Any, error: type, says: str) -> None:
    predictions = LIKELIHOODS["Gaussian"][1]
    with pytest.raises(error, match=says):
        parse(labelled(), lambda architecture, tensors: change(predictions))


def test_another_arithmetic_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    written, _ = write(WEIGHTS, fitted(WEIGHTS))
    exact = special.log_ndtr
    monkeypatch.setattr("mdl.masses.special.log_ndtr", lambda x: exact(x) * (1.0 + 1e-6))
    discretized._log_masses.cache_clear()
    discretized._alphabet.cache_clear()
    with pytest.raises(PlatformError, match="another arithmetic"):
        parse(written)
    discretized._log_masses.cache_clear()
    discretized._alphabet.cache_clear()
    monkeypatch.undo()
    same(parse(written).tensors, fitted(WEIGHTS).quantized(WEIGHTS))


# --- a second process -------------------------------------------------------------------------------------------------

SECOND = """
import hashlib, sys
import numpy as np
import mdl
folder = sys.argv[1]
for kind in ("ridge", "logistic", "mlp"):
    data = open(f"{folder}/{kind}.mdl", "rb").read()
    model, y = mdl.decode_with_data(data, np.load(f"{folder}/{kind}.X.npy"))
    np.savez(f"{folder}/{kind}.npz", y=y, **model.weights)
weights = dict(np.load(f"{folder}/weights.npz"))
for prior in (mdl.Gaussian(), mdl.Hashed(), mdl.SpikeAndSlab(), mdl.KT):
    print(hashlib.sha256(mdl.encode(weights, prior, step=2**-5)).hexdigest())
"""


def trained(kind: str) -> tuple[Any, Any, Any]:
    from sklearn import datasets, linear_model, neural_network, preprocessing

    loader = {"ridge": datasets.load_diabetes, "logistic": datasets.load_breast_cancer, "mlp": datasets.load_digits}
    X, y = loader[kind](return_X_y=True)
    X, y = preprocessing.minmax_scale(X[:400]), y[:400]
    if kind == "mlp":
        X, y = X[:, ::3], np.array([f"digit {label}" for label in y])  # labels that are no indices
    estimator = {
        "ridge": linear_model.Ridge(1.0),
        "logistic": linear_model.LogisticRegression(C=0.1),
        "mlp": neural_network.MLPClassifier((8,), solver="lbfgs", max_iter=30, random_state=0),
    }[kind]
    return estimator.fit(X, y), X, y


@pytest.fixture(scope="module")
def second_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Messages of three models, and what a process that has only them and X makes of them."""
    folder, made = tmp_path_factory.mktemp("messages"), {}
    for kind in ("ridge", "logistic", "mlp"):
        estimator, X, y = trained(kind)
        np.save(folder / f"{kind}.X.npy", X)
        (folder / f"{kind}.mdl").write_bytes(encode_with_data(mdl.wrap(estimator), X, y, quantizer=2.0**-6))
        made[kind] = (estimator, X, y, folder / f"{kind}.mdl", folder / f"{kind}.npz")
    np.savez(folder / "weights.npz", **WEIGHTS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SECOND, str(folder)],
        cwd=ROOT, env={"PYTHONHASHSEED": "17", "PATH": "", "OMP_NUM_THREADS": "2"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {**made, "digests": done.stdout.split()}


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("kind", ["ridge", "logistic", "mlp"])
def test_a_second_process_gets_exact_labels_and_weights(second_process: Any, kind: str) -> None:
    estimator, X, y, path, result = second_process[kind]
    got = dict(np.load(result))
    assert np.array_equal(got.pop("y"), y)
    model, _ = decode_with_data(path.read_bytes(), X)
    same(got, dict(model.weights))
    for name, tensor in mdl.wrap(estimator).weights.items():
        if name.endswith("weight"):
            same({name: got[name]}, {name: np.rint(tensor * 64.0) / 64.0 + 0.0})
    reported = mdl.two_part(mdl.wrap(estimator), X, y, quantizer=2.0**-6, realised=True)
    assert reported.bytes == pytest.approx(path.stat().st_size, rel=1e-12)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_second_process_writes_the_same_bytes(second_process: Any) -> None:
    chosen: list[Any] = [mdl.Gaussian(), mdl.Hashed(), mdl.SpikeAndSlab(), mdl.KT]
    here = [hashlib.sha256(mdl.encode(WEIGHTS, prior, step=2**-5)).hexdigest() for prior in chosen]
    assert second_process["digests"] == here


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_other_inputs_are_refused(second_process: Any) -> None:
    for kind in ("ridge", "logistic", "mlp"):
        _, X, _, path, _ = second_process[kind]
        for other in (X[::-1], X[:-1], X[:, :-1]):
            with pytest.raises(MessageError):
                decode_with_data(path.read_bytes(), other)
        with pytest.raises(MdlError, match="NaN"):
            decode_with_data(path.read_bytes(), np.full(X.shape, np.nan))
    with pytest.raises(MessageError, match="weights only"):
        decode_with_data(mdl.encode(WEIGHTS), X)
