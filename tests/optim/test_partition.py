import copy

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import (
    Optimizer,
    accumulate,
    adafactor,
    adamw,
    add_decayed_weights,
    chain,
    clip_by_global_norm,
    cosine_decay,
    ema_weights,
    identity,
    linear,
    lion,
    masked,
    partition,
    reduce_on_plateau,
    scale,
    schedule_free_adamw,
    sgd,
)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()


X = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(5, 3)


def test_each_parameter_is_trained_as_by_its_own_optimizer():
    net = network()
    twin = copy.deepcopy(net)
    ours = Optimizer(net, partition({"bias$": sgd(0.1, momentum=0.9), "^2": lion(0.01), "": adamw(0.05)}))
    biases = [p for name, p in twin.named_parameters() if name.endswith("bias")]
    references = [
        Optimizer(biases, sgd(0.1, momentum=0.9)),
        Optimizer([twin[2].weight], lion(0.01)),
        Optimizer([twin[0].weight, twin[4].weight], adamw(0.05)),
    ]
    for _ in range(8):
        ours.step(net(X).square().sum())
        twin.zero_grad()
        twin(X).square().sum().backward()
        for reference in references:
            reference.step()
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert set(ours.state[net[2].weight]) == {"exp_avg"}
    assert set(ours.state[net[2].bias]) == {"momentum_buffer"}


def test_other_members_of_a_chain_see_all_parameters():
    net = network()
    twin = copy.deepcopy(net)
    tx = chain(clip_by_global_norm(0.1), partition([(lambda p: p.ndim > 1, sgd(0.1)), (lambda p: True, sgd(0.2))]))
    ours = Optimizer(net.parameters(), tx)  # no names are needed
    for _ in range(3):
        ours.step(net(X).square().sum())
        twin.zero_grad()
        twin(X).square().sum().backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
        with torch.no_grad():
            for p in twin.parameters():
                p.sub_((0.1 if p.ndim > 1 else 0.2) * p.grad)
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


def test_it_can_be_nested_gathered_and_averaged():
    inner = partition({"weight": adamw(0.05), "": sgd(0.1)})
    tx = chain(partition({"^4": scale(0.0), "": chain(inner, ema_weights(0.5))}), accumulate(2))
    net = network()
    before = copy.deepcopy(net)
    ours = Optimizer(net, tx)
    for _ in range(4):
        ours.step(net(X).square().sum())
    assert torch.equal(net[4].weight, before[4].weight)
    assert "ema" in ours.state[net[0].bias]
    trained = net[0].bias.detach().clone()
    with ours.averaged_weights():
        assert not torch.equal(net[0].bias, trained)


def test_a_state_goes_through_a_file():
    make = lambda net: Optimizer(net, partition({"bias$": sgd(0.1, momentum=0.9), "": adamw(0.05)}))  # noqa: E731
    net = network()
    ours = make(net)
    ours.step(net(X).square().sum())
    copied = copy.deepcopy(net)
    resumed = make(copied)
    resumed.load_state_dict(copy.deepcopy(ours.state_dict()))
    for each, optimizer in ((net, ours), (copied, resumed)):
        optimizer.step(each(X).square().sum())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), copied.parameters(), strict=True))
    assert ours.state_dict()["param_groups"][0]["param_names"] == [name for name, _ in net.named_parameters()]


def test_names_are_those_of_the_model_that_is_trained():
    make = lambda net: Optimizer(net, partition({"^0": scale(-0.1), "": scale(0.0)}))  # noqa: E731
    net = network()
    inside = nn.ModuleDict({"model": copy.deepcopy(net)})
    saved = make(inside).state_dict()
    assert saved["param_groups"][0]["param_names"][0] == "model.0.weight"
    optimizer = make(net)
    for state in (saved, {**saved, "param_groups": [{"params": saved["param_groups"][0]["params"]}]}):
        optimizer.load_state_dict(copy.deepcopy(state))
        assert optimizer.param_groups[0]["param_names"][0] == "0.weight"
        before = copy.deepcopy(net)
        optimizer.step(net(X).square().sum())
        assert not torch.equal(net[0].weight, before[0].weight)


def test_modules_that_are_added_have_names():
    net = network()
    optimizer = Optimizer(net[0], partition({"bias": scale(0.0), "": scale(-0.1)}))
    optimizer.add_param_group({"params": net[2]})
    before = copy.deepcopy(net)
    optimizer.step(net(X).square().sum())
    assert torch.equal(net[2].bias, before[2].bias)
    assert not torch.equal(net[2].weight, before[2].weight)


def test_parameters_without_gradient_keep_the_others_names_straight():
    net = network()
    optimizer = Optimizer(net, partition({"^0": scale(0.0), "^4": scale(-1.0), "": scale(0.0)}))
    before = copy.deepcopy(net)
    optimizer.step(net[4](torch.ones(1, 4).double()).sum())
    assert torch.equal(net[0].weight, before[0].weight)
    torch.testing.assert_close(net[4].bias, before[4].bias - 1)


def test_every_rule_observes_for_its_own_parameters():
    net = network()
    twin = copy.deepcopy(net)
    quick, slow = reduce_on_plateau(0.1, patience=1, factor=0.5), reduce_on_plateau(0.05, patience=3)
    falling = cosine_decay(0.05, 9)
    ours = Optimizer(net, partition({"^0": sgd(quick), "^2": sgd(slow), "": sgd(falling)}))
    references = [
        Optimizer(part, sgd(lr)) for part, lr in zip((twin[0], twin[2], twin[4]), (quick, slow, falling), strict=True)
    ]
    for _ in range(6):
        ours.step(net(X).square().sum())
        ours.observe(1.0)
        twin.zero_grad()
        twin(X).square().sum().backward()
        for reference in references:
            reference.step()
            if reference.observes:
                reference.observe(1.0)
    assert ours.learning_rates() == [rate for reference in references for rate in reference.learning_rates()]
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("rules", ["names", "shapes"])
def test_every_rule_averages_its_own_parameters(rules):
    net = network()
    weights, others = (schedule_free_adamw(0.1, betas=(beta1, 0.9)) for beta1 in (0.5, 0.9))
    tx = {
        "names": {"weight": weights, "": others},
        "shapes": [(lambda p: p.ndim > 1, weights), (lambda p: True, others)],
    }
    optimizer = Optimizer(net, chain(clip_by_global_norm(1.0), partition(tx[rules])))
    for _ in range(4):
        optimizer.step(net(X).square().sum())
    expected = {}
    for name, param in net.named_parameters():
        z, beta1 = optimizer.state[param]["z"], 0.5 if "weight" in name else 0.9
        expected[name] = z + (param.detach() - z) / beta1
    with optimizer.averaged_weights():
        for name, param in net.named_parameters():
            torch.testing.assert_close(param.detach(), expected[name], rtol=1e-14, atol=1e-14)


def test_the_rate_of_a_rule_is_that_of_its_own_updates():
    net = network()
    net[0].requires_grad_(False)
    optimizer = Optimizer(net, partition({"^0": sgd(linear(1.0, 0.0, 10)), "": sgd(linear(0.5, 0.0, 10))}))
    for _ in range(5):
        optimizer.step(net(X).square().sum())
    assert optimizer.learning_rates() == pytest.approx([1.0, 0.3])


def test_masks_see_complex_parameters_as_they_are():
    vector, matrix = (nn.Parameter(torch.randn(shape, dtype=torch.complex128)) for shape in ((3,), (2, 3)))
    real = nn.Parameter(torch.randn(2, 3, dtype=torch.float64))
    twins = [copy.deepcopy(param) for param in (vector, matrix, real)]
    tx = partition([(torch.is_complex, adamw(0.1)), (lambda p: True, adafactor(0.1))])
    ours = Optimizer([vector, matrix, real], chain(add_decayed_weights(0.5, lambda p: p.ndim >= 2), tx))
    references = [
        Optimizer(twins[:1], adamw(0.1)),
        Optimizer(twins[1:2], chain(add_decayed_weights(0.5), adamw(0.1))),
        Optimizer(twins[2:], chain(add_decayed_weights(0.5), adafactor(0.1))),
    ]
    for _ in range(3):
        ours.step(sum(param.abs().square().sum() for param in (vector, matrix, real)))
        for twin, reference in zip(twins, references, strict=True):
            reference.step(twin.abs().square().sum())
    for mine, theirs in zip((vector, matrix, real), twins, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "mask", [lambda p: p.undecayed, lambda p: getattr(p, "undecayed", False), lambda p: p.requires_grad]
)
def test_masks_that_a_compiled_step_would_answer_otherwise_are_refused(mask):
    param = nn.Parameter(torch.ones(2, 3))
    param.undecayed = True
    optimizer = Optimizer([param], masked(sgd(0.1), mask))
    with pytest.raises(OptimizerError, match=r"chooses a parameter of shape \[2, 3\] by more than its shape and dtype"):
        optimizer.step(param.sum())


def test_masked_passes_the_others():
    grads = [torch.ones(2, 2), torch.ones(2)]
    updates, states = masked(scale(3.0), lambda p: p.ndim == 1).update(grads, [{}, {}], grads)
    assert updates[0] is grads[0]
    assert torch.equal(updates[1], torch.full((2,), 3.0))
    assert states == [{}, {}]
    assert masked(identity(), "bias").named(["bias", "weight"]).update(grads, [{}, {}], grads)[0] == grads


@pytest.mark.parametrize("model", [network, lambda: network().parameters()])
def test_a_parameter_that_fits_no_rule_is_named(model):
    source = model()
    named = isinstance(source, nn.Module)
    rules = {"^0": sgd(0.1)} if named else [(lambda p: p.ndim == 1, sgd(0.1))]
    params = list(source.parameters()) if named else list(source)
    optimizer = Optimizer(source if named else params, partition(rules))
    for param in params:
        param.grad = torch.zeros_like(param)
    with pytest.raises(OptimizerError) as caught:
        optimizer.step()
    found = "The parameter '2.weight' fits none" if named else "The parameter of shape [4, 3] fits none"
    assert str(caught.value).startswith(found)
    assert str(caught.value).endswith(
        "Every parameter that has a gradient fits a rule. "
        'End with a rule for all others: partition({..., "": adamw(1e-3)}), or freeze("") for none at all.'
    )


def test_bad_rules_are_refused():
    with pytest.raises(OptimizerError, match=r"^A rule of partition\(\) has the mask '\*', which is no regular"):
        partition({"*": sgd(0.1)})
    with pytest.raises(OptimizerError) as caught:
        partition({"": 0.1})
    assert str(caught.value) == (
        "partition() was given 0.1 for ''. The value of a rule is a gradient transformation. "
        'Write for example partition({"bias$": sgd(0.1), "": adamw(1e-3)}).'
    )
