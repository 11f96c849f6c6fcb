from tests.explain.told import check, of


@of(
    "view_sizes",
    "view_leftover",
    "view_of_a_transposed",
    "reshape_two_unknown",
    "reshape_by_a_tuple",
    "expand_sizes",
    "expand_fewer",
    "permute_fewer",
    "permute_more",
    "transpose_dim",
    "softmax_dim",
    "mean_dim",
    "squeeze_dim",
    "split_sizes",
    "unflatten_sizes",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
