from __future__ import annotations

import random

import pytest

from tessera.errors import AnnotationError
from tessera.shapes.size import Dim, Operation, dims, evaluate, names, read_size


@pytest.mark.parametrize(
    "text", ["B", "512", "2*H", "S + 1", "B*S", "(S + 1)*B", "D//H", "S - (T - 1)", "S%8", "a - b - c"]
)
def test_a_size_is_written_as_it_was_read(text):
    assert str(read_size(text)) == text


def test_arithmetic_of_dims_is_the_arithmetic_of_their_text():
    B, S, H = dims("B S H")
    assert read_size("2*H + 1") == 2 * H + 1
    assert read_size("(B*S - H)//2") == (B * S - H) // 2
    assert read_size("7 - S%3") == 7 - S % 3


def test_random_arithmetic_computes_what_python_computes():
    draw = random.Random(0)

    def expression(depth):
        if depth == 0 or draw.random() < 0.2:
            return draw.choice(["B", "S", "H", "2", "3"])
        return f"({expression(depth - 1)} {draw.choice(['+', '-', '*'])} {expression(depth - 1)})"

    numbers = {"B": 5, "S": 11, "H": 3}
    for _ in range(200):
        text = expression(3)
        size = read_size(text)
        assert evaluate(size, numbers) == eval(text, {}, numbers)
        assert evaluate(read_size(str(size)), numbers) == evaluate(size, numbers), "brackets are kept where they matter"


def test_a_part_of_a_size_may_have_a_minus_before_it():
    assert evaluate(read_size("S + -S % 16"), {"S": 37}) == 48
    assert evaluate(read_size("2*(-S + T)"), {"S": 3, "T": 5}) == 4
    assert evaluate(read_size(str(read_size("S + -S % 16"))), {"S": 37}) == 48
    with pytest.raises(AnnotationError):
        read_size("-1")


def test_names_are_in_order_and_what_is_not_bound_has_no_number():
    assert names(read_size("2*H + B*H")) == ("H", "B", "H")
    assert evaluate(read_size("B + 1"), {}) is None
    assert evaluate(Operation("//", Dim("B"), 0), {"B": 4}) is None


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("B S", 'Write each size by itself: Tensor["B", "S"].'),
        ("B,", 'Write for example Tensor["B"].'),
        ("2H", 'Write for example Tensor["2*H"].'),
        ("2-", 'Write for example Tensor["n2"].'),
        ("f(x)", 'Write for example Tensor["f_x"].'),
        ("", 'Write for example Tensor["B", 512].'),
        ("__import__('os')", "Write for example"),
        ("True", "Write for example"),
        ("1.5", "Write for example"),
    ],
)
def test_what_is_no_size_is_said_with_the_nearest_one(text, fix):
    with pytest.raises(AnnotationError, match="was written as a size of a tensor") as caught:
        read_size(text)
    assert fix in str(caught.value)


def test_dims_gives_one_or_several():
    assert dims("B") == Dim("B")
    assert dims("B, S D") == (Dim("B"), Dim("S"), Dim("D"))
    for wrong in ("", "2", "B class", "B-S"):
        with pytest.raises(AnnotationError):
            dims(wrong)
