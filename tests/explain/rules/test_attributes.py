from tests.explain.told import check, of


@of("layer_name", "tensor_method")
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
