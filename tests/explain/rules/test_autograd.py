from tests.explain.told import check, of


@of(
    "leaf_in_place",
    "backward_of_several",
    "backward_twice",
    "backward_of_nothing",
    "modified_in_place",
    "no_gradient_yet",
    "numpy_of_a_result",
    "gradient_of_integers",
    "gradient_of_the_unused",
)
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
