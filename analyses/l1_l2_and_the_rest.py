"""Which penalty is which prior, and under which prior are the weights of trained networks shortest?

Every penalty is derived as the code length under a prior. Weights drawn from known priors, weights of models trained
under L1 and under L2, and every tensor of six published networks are then coded under all priors at equal step.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _drawn_weights, _rest_figures, _text, _weights_of_checkpoints
from analyses import _named_penalties as naming
from analyses import _regularisers as regularisers
from analyses import _rest_said as said
from analyses._checkpoints import LEAST, PACKAGES, SMALL
from analyses._prior_lengths import FRACTION, SHOWN
from mdl import plot

CLAIM = (
    "A penalty is the code length under a prior, so that the shortest code names the prior that weights were drawn "
    "from. The matrices of trained networks are rarely shortest under a Gaussian, which is what L2 assumes: fewer than "
    "a quarter of them are, more than half are under Student's t, and the Gaussian costs at least a tenth of a bit a "
    "weight more on average. The shorter of a Gaussian's and a Laplace's code names the penalty, L2 or L1, of nine in "
    "ten models trained at the strength that predicts best."
)
SIZES, SEEDS, SPLITS = (100, 1000, 10_000), 20, 5
_RARELY, _MOSTLY, _DEARER, _NAMED, _RECOVERED = 0.25, 0.5, 0.1, 0.9, 0.95  # what the claim says, and a draw in twenty


def measure(options: _command.Options) -> pd.DataFrame:
    return pd.concat(
        [
            options.rows(_weights_of_checkpoints.rows, [SMALL] if options.quick else list(PACKAGES)),
            options.rows(penalties, [options.seed]),
            options.rows(_drawn_weights.rows, _draws(options)),
            options.rows(naming.rows, _trainings(options)),
        ],
        ignore_index=True,
    )


def penalties(seed: int) -> list[dict[str, object]]:
    """Rows: how far every regulariser is from -ln of its prior."""
    return [{"part": "penalty", **row} for row in regularisers.gaps(seed)]


def _draws(options: _command.Options) -> list[tuple[str, int, int]]:
    sizes, seeds = (SIZES[:1], 1) if options.quick else (SIZES, SEEDS)
    return [(truth, n, options.seed + k) for truth in _drawn_weights.TRUTHS for n in sizes for k in range(seeds)]


def _trainings(options: _command.Options) -> list[naming.Task]:
    if options.quick:
        return [naming.Task("wine", "logistic", None, options.seed, naming.STRENGTHS[-1:])]
    return [naming.Task(*case, options.seed + split) for case in naming.CASES for split in range(SPLITS)]


@plot.styled()
def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {
        "l1_l2_and_the_rest": _rest_figures.checkpoints(said.main_step(table)),
        "l1_l2_and_the_rest_drawn": _rest_figures.confusion(said.part(table, "drawn")),
        "l1_l2_and_the_rest_penalties": _rest_figures.named(said.part(table, "trained"), said.part(table, "control")),
    }


def captions(table: pd.DataFrame) -> dict[str, str]:
    found = numbers(table)
    return {
        "l1_l2_and_the_rest": f"Left: bits a weight that each prior takes above the shortest, means over tensors and "
        f"their 95 % intervals. Right: the prior under which tensors of each kind are shortest. {found['tensors']} "
        f"tensors of {found['networks']} networks, {found['weights']} weights.",
        "l1_l2_and_the_rest_drawn": f"How many of {found['seeds']} draws from a prior (rows) are shortest under each "
        "prior (columns). Bold: the prior that was drawn from.",
        "l1_l2_and_the_rest_penalties": "A Gaussian's length less a Laplace's, against the strength of the penalty in "
        f"training; means and 95 % intervals over {found['splits']} splits. Above the dotted line the code names L1, "
        "below it L2. Last panel: how often that is right at the strength that the validation set takes, and for as "
        "many weights drawn from the two priors.",
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    return {
        "penalties_table": regularisers.table(),
        "regularisers": str(said.part(table, "penalty")["name"].nunique()),
        "penalties_gap": _text.significant(1)(said.part(table, "penalty")["gap_nats"].max()),
        "least": str(LEAST), "fraction": f"1/{round(1 / FRACTION)}",
        "df": f"{_drawn_weights.DF:g}", "shape": f"{_drawn_weights.SHAPE:g}", "density": f"{_drawn_weights.DENSITY:g}",
        "digits_rows": str(naming.CASES[-1][2]),
        **said.drawn_numbers(said.part(table, "drawn")),
        **said.checkpoint_numbers(table),
        **said.naming_numbers(said.part(table, "trained"), said.part(table, "control")),
    }  # fmt: skip


def verdict(table: pd.DataFrame) -> str:
    found = numbers(table)
    parts = [part(table, found) for part in (_of_draws, _of_checkpoints, _of_penalties)]
    holds = [hold for part in parts for hold in part[0]]
    head = "Yes" if all(holds) else "Partly" if any(holds) else "No"
    return f"{head}. " + " ".join(text for _, text in parts)


def _of_draws(table: pd.DataFrame, found: dict[str, str]) -> tuple[list[bool], str]:
    drawn = said.part(table, "drawn")
    holds = bool(said.recovered(drawn[drawn["n"] == drawn["n"].max()]).mean() >= _RECOVERED)
    missed = "" if found["missed"] == "none" else f"; missed at times: {found['missed']}"
    return [holds], (
        f"Of weights drawn from a known prior the shortest code names it in {found['recovered_smallest']} % of draws "
        f"of {found['smallest']} weights and {found['recovered_largest']} % of {found['largest']}{missed}."
    )


def _of_checkpoints(table: pd.DataFrame, found: dict[str, str]) -> tuple[list[bool], str]:
    matrices = said.groups(said.main_step(table))["matrices"]
    gaussian, student = (said.won(matrices, prior)[0] for prior in ("gaussian", "student"))
    holds = [gaussian < _RARELY, student > _MOSTLY, bool(said.excess(matrices)["gaussian"].mean() >= _DEARER)]
    leader = said.leader(matrices, "tensors")
    most = "most of them" if said.won(matrices, leader)[0] > _MOSTLY else "more of them than any other prior, not most"
    return holds, (
        f"A Gaussian is {'rarely' if holds[0] else 'not rarely'} the shortest for matrices of trained networks: for "
        f"{found['gaussian_matrices']} % of {found['matrices']}, with {found['gaussian_matrices_weights']} % of their "
        f"weights. {_capital(SHOWN[leader])} is shortest for {most}, {SHOWN[said.leader(matrices)]} for the most "
        f"weights, Student's t for {found['student_matrices']} % of the matrices. Above the shortest, a Gaussian takes "
        f"{found['gaussian_cost_matrices']} bits a weight on average over matrices, and "
        f"{found['gaussian_cost_weights']} over all weights; over matrices a Laplace "
        f"{found['laplace_cost_matrices']}, a Student's t {found['student_cost_matrices']}, a generalised Gaussian "
        f"{found['generalised_cost_matrices']}."
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _of_penalties(table: pd.DataFrame, found: dict[str, str]) -> tuple[list[bool], str]:
    taken = said.chosen(said.part(table, "trained"))
    holds = bool(said.right(taken).mean() >= _NAMED)
    does = "names" if holds else "does not name"
    return [holds], (
        f"The shorter of a Gaussian's and a Laplace's code {does} the penalty of a trained model: it is right for "
        f"{found['named_l1']} % of models under L1 and {found['named_l2']} % of those under L2, where it is right for "
        f"{found['named_drawn_l1']} % and {found['named_drawn_l2']} % of as many weights drawn from the priors."
    )


if __name__ == "__main__":
    _command.main(__file__)
