import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import SGD, Adam
from tessera.optim.parameter_groups import checked_group, parameter_groups


def test_a_module_an_iterable_pairs_and_groups_are_taken():
    linear = nn.Linear(2, 1)
    params = list(linear.parameters())
    assert parameter_groups(linear) == params
    assert parameter_groups(iter(params)) == params
    assert SGD(linear.named_parameters()).param_groups[0]["param_names"] == ["weight", "bias"]
    assert SGD(linear).param_groups[0]["params"] == params
    assert SGD([{"params": linear.weight}, {"params": linear.bias}]).param_groups[1]["params"] == [linear.bias]
    assert SGD([{"params": linear}]).param_groups[0]["params"] == params


def test_schedulers_and_users_keep_their_own_things_in_a_group():
    group = {"params": [nn.Parameter(torch.ones(1))], "max_momentum": 0.9, "lr_scale": 2.0, "name": "head"}
    optimizer = SGD([group])
    assert optimizer.param_groups[0]["name"] == "head"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            nn.ReLU(),
            (
                "A ReLU without parameters was passed to an optimizer. An optimizer needs at least one parameter. "
                "Pass a module that has parameters; "
                "an iterator such as model.parameters() is empty once it has been used."
            ),
        ),
        (
            [],
            (
                "An empty list was passed to an optimizer. An optimizer needs at least one parameter. Pass a "
                "module that has parameters; an iterator such as model.parameters() is empty once it has been used."
            ),
        ),
        (
            torch.ones(2, 3),
            (
                "A single tensor of shape [2, 3] was passed to an optimizer. An optimizer takes a module, an "
                "iterable of parameters or a list of parameter groups. Write [tensor], or pass the module itself."
            ),
        ),
        (
            [{"params": {nn.Parameter(torch.ones(1))}}],
            (
                "A set of parameters was passed to an optimizer. Parameters come in an order that is the same in every "
                "run. Write a list instead."
            ),
        ),
        (
            ["weight"],
            (
                "'weight' was passed as the parameter at position 0. An optimizer trains tensors. "
                "Pass the module itself, or model.parameters()."
            ),
        ),
        (
            [{"lr": 0.1}],
            (
                "{'lr': 0.1} was passed as a parameter group. A parameter group is a dict with the key \"params\". "
                'Write for example {"params": model.head.parameters(), "lr": 1e-4}.'
            ),
        ),
        (
            [{"params": [nn.Parameter(torch.ones(1))], "wieght_decay": 0.0}],
            (
                "A parameter group has the key 'wieght_decay'. This optimizer's hyper-parameters are lr, betas, eps, "
                "weight_decay, amsgrad, maximize, decoupled_weight_decay. Write 'weight_decay'."
            ),
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(params, message):
    with pytest.raises(OptimizerError) as caught:
        Adam(params)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [("learning_rate", 1e-4, "lr"), ("wd", 0.1, "weight_decay"), ("Weight_Decay", 0.1, "weight_decay")],
)
def test_what_other_libraries_call_a_hyper_parameter_is_refused_in_a_group(key, value, meant):
    with pytest.raises(OptimizerError, match=f"^A parameter group has the key '{key}'. .* Write '{meant}'.$"):
        Adam([{"params": [nn.Parameter(torch.ones(1))], key: value}])


def test_a_key_of_the_users_own_stays():
    group = {"params": [nn.Parameter(torch.ones(1))], "decay": True, "lr_scale": 0.5, "name": "head"}
    assert Adam([group]).param_groups[0].items() >= {"decay": True, "lr_scale": 0.5, "name": "head"}.items()


@pytest.mark.parametrize("params", [None, nn.Linear, "weight", 3])
def test_what_is_no_collection_is_refused(params):
    with pytest.raises(
        OptimizerError, match=r"was passed to an optimizer\. .* Pass the module itself, such as Net\(\) and not Net\.$"
    ):
        Adam(params)


def test_a_computed_tensor_is_refused():
    weight = nn.Parameter(torch.ones(2))
    doubled = weight * 2
    with pytest.raises(OptimizerError) as caught:
        Adam([weight, doubled])
    assert str(caught.value) == (
        "The parameter at position 1 is the result of a computation (MulBackward0). "
        "An optimizer trains leaf tensors: only they keep a gradient. "
        "Write torch.nn.Parameter(tensor.detach()), or pass the tensor it was computed from."
    )


def test_a_tensor_passed_twice_is_refused():
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(OptimizerError) as caught:
        checked_group({"params": [weight, weight]}, {})
    assert str(caught.value) == (
        "The parameter at position 1 was passed twice in one group. "
        "Each parameter belongs to an optimizer once. "
        "Pass the module itself, or leave the second one out."
    )


def test_a_subclass_may_take_what_it_likes():
    class Mine(SGD):
        def __init__(self, params, **settings):
            super().__init__(params, lr=settings["speed"])

    assert Mine([nn.Parameter(torch.ones(1))], speed=0.5).param_groups[0]["lr"] == 0.5
