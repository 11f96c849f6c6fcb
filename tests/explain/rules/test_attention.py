from tests.explain.told import check, of


@of(
    "attention_head_dim",
    "attention_groups",
    "attention_padding_mask",
    "attention_mask_of_a_batch",
    "attention_mask_dtype",
    "multihead_width",
    "multihead_padding_mask",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
