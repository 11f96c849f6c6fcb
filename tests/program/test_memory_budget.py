import pytest

from tessera.errors import SettingError
from tessera.program import MemoryBudget, in_words, resolve_memory_budget

GOOD = {
    "24GiB": MemoryBudget(size=24 << 30),
    "1.5 GB": MemoryBudget(size=1_500_000_000),
    "512MiB": MemoryBudget(size=512 << 20),
    0.5: MemoryBudget(share=0.5),
    1: MemoryBudget(share=1.0),
    "auto": MemoryBudget(),
}


@pytest.mark.parametrize("given", GOOD, ids=str)
def test_what_it_means(given):
    budget = resolve_memory_budget(given)
    assert budget == GOOD[given]
    assert budget.automatic == (given == "auto")
    assert resolve_memory_budget(budget) is budget


def test_none_is_none():
    assert resolve_memory_budget(None) is None


@pytest.mark.parametrize(
    "given",
    ["", "much", "24", "24 gigs", "-1GiB", "0MiB", 0, -0.5, float("nan"), True, 7, 2.5, 1e400, -1e400, [1]],
    ids=str,
)
def test_anything_else_is_an_error_with_an_example_that_works(given):
    with pytest.raises(SettingError) as caught:
        resolve_memory_budget(given)
    example = caught.value.fix.split("memory_budget=")[1].split("'")[1]
    assert resolve_memory_budget(example).size > 0
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize(
    ("given", "meant"), [(2.5, "2.5GiB"), (7, "7GiB"), (24 << 30, "24GiB"), (1.5e9, "1430.6MiB")], ids=str
)
def test_the_advice_is_what_was_probably_meant(given, meant):
    with pytest.raises(SettingError, match=f"Write memory_budget='{meant}', or memory_budget=0.5 for half"):
        resolve_memory_budget(given)


@pytest.mark.parametrize("size", [1, 1023, 10240, 123_456_789, 24 << 30, (24 << 30) + 1], ids=str)
def test_words_are_read_back_as_no_less(size):
    read = resolve_memory_budget(in_words(size)).size
    assert size <= read <= 1.02 * size + 1
