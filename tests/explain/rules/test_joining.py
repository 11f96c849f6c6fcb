from tests.explain.told import check, of


@of(
    "cat_along_the_wrong_dim",
    "cat_other_rank",
    "cat_dim_out_of_range",
    "cat_of_nothing",
    "stack_of_lengths",
    "hstack_or_stack",
    "cat_of_numbers",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
