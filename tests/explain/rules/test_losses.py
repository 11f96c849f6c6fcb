from tests.explain.told import check, of


@of(
    "labels_out_of_range",
    "labels_from_one",
    "labels_ignored",
    "labels_of_another_batch",
    "labels_with_a_dim_more",
    "labels_of_floats",
    "labels_of_tokens",
    "bce_shapes",
    "bce_of_scores",
    "bce_with_logits_shapes",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
