from tests.explain.told import check, of


@of("lstm_width", "gru_state", "gru_cell_width")
def test_it_says_what_is_wrong_and_what_to_write(program):
    check(program)
