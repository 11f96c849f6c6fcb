from tests.explain.told import check, of


@of(
    "conv_channels",
    "conv_channels_last",
    "conv_of_a_video",
    "conv_kernel_too_large",
    "conv_of_a_sequence",
    "conv_transpose_channels",
    "pool_too_often",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
