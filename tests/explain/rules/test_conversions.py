from tests.explain.told import check, of


@of("unpack_a_shape", "truth_of_several", "number_of_several", "loop_over_a_number")
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
