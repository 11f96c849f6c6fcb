from tests.explain.told import check, of


@of(
    "linear_width",
    "linear_turned",
    "linear_not_flattened",
    "linear_in_a_sequential",
    "scores_not_transposed",
    "matmul_function",
    "matmul_batches",
    "mm_of_a_batch",
    "bmm_inner",
    "matmul_by_a_number",
    "einsum_letters",
    "einsum_dims",
    "einsum_terms",
    "addmm_inner",
    "bilinear",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
