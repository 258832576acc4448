"""Code lengths add up, turn into bits in one place, and refuse to be negative."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.length import HEADER, CodeLength, compare
from tests.laws import SEARCH

parts = st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.0, 1e12)), max_size=8)


@SEARCH
@given(parts)
def test_total_is_the_exact_sum_of_the_parts(pairs: list[tuple[str, float]]) -> None:
    length = CodeLength(tuple(pairs))
    assert length.nats == pytest.approx(float(sum(map(Fraction, (v for _, v in pairs)))), rel=1e-15)
    assert math.isclose(sum(length.part(name) for name in "abcd"), length.nats, rel_tol=1e-14)
    assert length.part("not there") == 0.0


@SEARCH
@given(parts, parts)
def test_messages_one_after_the_other_add(a: list[tuple[str, float]], b: list[tuple[str, float]]) -> None:
    both = CodeLength(tuple(a)) + CodeLength(tuple(b))
    for name in "abcd":
        assert math.isclose(
            both.part(name), CodeLength(tuple(a)).part(name) + CodeLength(tuple(b)).part(name), rel_tol=1e-14
        )


def test_units_are_nats_bits_and_bytes() -> None:
    length = CodeLength((("data", 1.0),))
    assert (length.nats, length.bits, length.bytes) == (1.0, 1.0 / math.log(2.0), 1.0 / (8.0 * math.log(2.0)))
    assert length.part_bits() == {"data": length.bits}
    assert CodeLength.from_bits({"data": 24.0}).bytes == 3.0


def test_equal_names_merge_in_message_order() -> None:
    length = CodeLength((("b", 1.0), ("a", 2.0), ("b", 4.0)))
    assert length.parts == (("b", 5.0), ("a", 2.0))
    assert length == CodeLength.of({"b": 5.0, "a": 2.0}) == CodeLength.of([("b", 5.0), ("a", 2.0)])


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_a_sum_is_realised_only_if_both_are(first: bool, second: bool) -> None:
    total = CodeLength.of({"a": 1.0}, realised=first) + CodeLength.from_bits({"b": 1.0}, realised=second)
    assert total.realised is (first and second)


@pytest.mark.parametrize("nats", [-1e-9, math.nan, -math.inf], ids=str)
@pytest.mark.parametrize("make", [CodeLength.of, CodeLength.from_bits, lambda p: CodeLength(tuple(p.items()))])
def test_what_no_message_takes_is_refused(make: Any, nats: float) -> None:
    with pytest.raises(ValueError, match="part 'weights': expected a length >= 0 nats, got"):
        make({"data": 1.0, "weights": nats})


def test_headers_do_not_count_in_comparisons() -> None:
    stands_alone, shared = CodeLength.of({HEADER: 100.0, "data": 5.0}, realised=True), CodeLength.of({"data": 6.0})
    assert stands_alone < shared
    assert not shared < stands_alone
    assert stands_alone.comparable == CodeLength.of({"data": 5.0}, realised=True)
    assert min(shared, stands_alone) is stands_alone


def test_text_and_html_name_every_part_and_the_kind() -> None:
    length = CodeLength.from_bits({"weights<1>": 1234.5, "data": 0.25}, realised=True)
    assert str(length).splitlines() == [
        "weights<1>    1,234.5 bits",
        "data              0.2 bits",
        "total         1,234.8 bits  (realised)",
    ]
    table = length._repr_html_()
    assert "weights&lt;1&gt;" in table
    assert "<th>realised</th>" in table
    assert table.count("<tr>") == 4
    assert str(CodeLength(())) == "total    0.0 bits  (ideal)"


def test_json_holds_total_kind_and_parts() -> None:
    length = CodeLength.from_bits({"weights": 3.0, "data": 5.0})
    assert json.loads(json.dumps(length.as_dict())) == {
        "total_bits": pytest.approx(8.0),
        "realised": False,
        "parts": {"weights": pytest.approx(3.0), "data": pytest.approx(5.0)},
    }


def test_compare_puts_the_best_first_and_measures_from_it() -> None:
    table = compare(
        {
            "long": CodeLength.from_bits({HEADER: 1.0, "data": 9.0}),
            "short": CodeLength.from_bits({HEADER: 90.0, "weights": 2.0, "data": 4.0}, realised=True),
            "tied": CodeLength.from_bits({"data": 9.0}),
        }
    )
    assert table.index.tolist() == ["short", "long", "tied"]
    assert table["total_bits"].tolist() == pytest.approx([6.0, 9.0, 9.0])
    assert table["difference_bits"].tolist() == pytest.approx([0.0, 3.0, 3.0])
    assert table["realised"].tolist() == [True, False, False]
    assert table["weights_bits"].isna().tolist() == [False, True, True]
    assert "header_bits" not in table


def test_compare_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one code length"):
        compare({})
