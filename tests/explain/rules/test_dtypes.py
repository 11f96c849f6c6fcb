from tests.explain.told import check, of


@of(
    "double_input",
    "integer_input",
    "image_of_bytes",
    "matmul_dtypes",
    "mean_of_integers",
    "softmax_of_integers",
    "minus_a_mask",
    "difference_of_masks",
    "divide_in_place",
    "invert_floats",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
