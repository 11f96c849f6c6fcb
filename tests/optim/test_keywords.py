import inspect

import pytest

from tessera import optim
from tessera.errors import OptimizerError
from tessera.optim.keywords import check_keywords, names_checked


@names_checked
def optimizer(lr=0.1, weight_decay=0.0, *, maximize=False):
    """Makes one."""
    return lr, weight_decay, maximize


def refused(given):
    with pytest.raises(OptimizerError) as caught:
        optimizer(**given)
    start = f"optimizer was given {next(iter(given))}={next(iter(given.values()))!r}. "
    assert str(caught.value).startswith(start + "It takes lr, weight_decay, maximize. ")
    return str(caught.value).removeprefix(start + "It takes lr, weight_decay, maximize. ")


def test_known_names_pass():
    assert optimizer(0.2, weight_decay=1.0, maximize=True) == (0.2, 1.0, True)
    assert optimizer.__doc__ == "Makes one."
    assert list(inspect.signature(optimizer).parameters) == ["lr", "weight_decay", "maximize"]


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [("weigth_decay", "weight_decay"), ("maximise", "maximize"), ("learning_rate", "lr"), ("wd", "weight_decay")],
)
def test_the_nearest_name_is_suggested(unknown, meant):
    assert refused({unknown: 1}) == f"Write {meant}=."


def test_what_is_near_nothing_is_left_out():
    assert refused({"temperature": 1}) == "Leave it out."
    assert refused({"eps": 1}) == "Leave it out."  # known elsewhere, and not here


def test_what_chooses_an_implementation_is_left_out():
    assert refused({"fused": True}) == (
        "Leave it out: it chooses one of torch's implementations, and here the compiler chooses."
    )


def test_a_function_that_takes_anything_is_left_alone():
    check_keywords("mine", lambda **settings: settings, {"anything": 1})


def test_every_optimizer_is_checked_in_both_spellings():
    kinds = {
        name: kind
        for name, kind in vars(optim).items()
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind not in {optim.Optimizer, optim.SAM}
    }
    for name, kind in kinds.items():
        with pytest.raises(OptimizerError, match=f"^{kind.__name__} was given learning_rate=0.1. .* Write lr=.$"):
            kind([], learning_rate=0.1)
        makes = next(value for key, value in vars(optim).items() if key.replace("_", "") == name.lower())
        with pytest.raises(OptimizerError, match=f"^{makes.__name__} was given learning_rate=0.1. .* Write lr=.$"):
            makes(learning_rate=0.1)


FUNCTIONS = [
    name
    for name, value in vars(optim).items()
    if inspect.isfunction(value) and value not in {optim.chain, optim.identity}
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_transformation_and_schedule_is_checked(name):
    function = getattr(optim, name)
    known = list(inspect.signature(function).parameters)
    with pytest.raises(OptimizerError, match=f" was given {known[-1]}_=1. .* Write {known[-1]}=.$"):
        function(**{f"{known[-1]}_": 1})


def test_none_is_forgotten():
    assert {"cosine_decay", "join", "linear", "reduce_on_plateau", "accumulate", "partition"} <= set(FUNCTIONS)
    assert not [name for name, value in vars(optim).items() if name.islower() and isinstance(value, type)]
