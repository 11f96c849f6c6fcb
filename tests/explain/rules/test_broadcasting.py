from tests.explain.told import check, of


@of(
    "add_a_row_for_a_column",
    "multiply_turned",
    "subtract_lengths",
    "where_mask",
    "add_in_place_grows",
    "compare_shapes",
    "image_bias",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
