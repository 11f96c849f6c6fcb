from tests.explain.told import check, of


@of(
    "cat_without_a_list",
    "tuple_of_a_gru",
    "too_many_arguments",
    "too_few_arguments",
    "unknown_keyword",
    "list_of_tensors",
    "forgotten_return",
    "array_of_numpy",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
