from tests.explain.told import check, of


@of(
    "layer_norm_width",
    "layer_norm_turned",
    "rms_norm_width",
    "batch_norm_channels",
    "batch_norm_dims",
    "batch_norm_of_one",
    "group_norm_channels",
    "group_norm_groups",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
