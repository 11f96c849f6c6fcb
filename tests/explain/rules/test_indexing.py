from tests.explain.told import check, of


@of(
    "masked_fill_shape",
    "masked_fill_dtype",
    "embedding_out_of_range",
    "embedding_counts_from_one",
    "embedding_negative",
    "embedding_of_floats",
    "index_out_of_range",
    "too_many_indices",
    "mask_shape",
    "index_of_floats",
    "index_tensor_out_of_range",
    "index_tensors_side_by_side",
    "gather_dims",
    "gather_out_of_range",
    "gather_floats",
    "index_select_out_of_range",
    "select_out_of_range",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
