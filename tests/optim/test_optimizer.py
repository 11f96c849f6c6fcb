import copy
import functools
import io

import pytest
import torch
from torch import nn

from tessera.errors import LossError, OptimizerError
from tessera.optim import (
    LAMB,
    LARS,
    SGD,
    SOAP,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    ScheduleFreeAdamW,
    accumulate,
    adam,
    add_decayed_weights,
    bfloat16_state,
    chain,
    clip_by_global_norm,
    cosine_decay,
    ema_weights,
    lion,
    lookahead,
    partition,
    rmsprop,
    scale_by_learning_rate,
    sgd,
    skip_if_not_finite,
)
from tests.optim.parity import Model, assert_close, assert_same, train

EVERY = {
    "SGD": lambda params, **more: SGD(params, lr=0.02, momentum=0.9, **more),
    "SGD dampened": lambda params, **more: SGD(params, lr=0.02, momentum=0.9, dampening=0.5, **more),
    "Adam": lambda params, **more: Adam(params, lr=0.02, amsgrad=True, **more),
    "AdamW": lambda params, **more: AdamW(params, lr=0.02, **more),
    "RMSProp": lambda params, **more: RMSProp(params, lr=0.02, momentum=0.5, centered=True, **more),
    "Lion": lambda params, **more: Lion(params, lr=0.02, **more),
    "NAdam": lambda params, **more: NAdam(params, lr=0.02, **more),
    "RAdam": lambda params, **more: RAdam(params, lr=0.02, **more),
    "Adagrad": lambda params, **more: Adagrad(params, lr=0.5, **more),
    "Adadelta": lambda params, **more: Adadelta(params, lr=20.0, **more),
    "Adafactor": lambda params, **more: Adafactor(params, lr=0.1, **more),
    "LAMB": lambda params, **more: LAMB(params, lr=0.05, **more),
    "LARS": lambda params, **more: LARS(params, lr=0.02, trust_coefficient=0.5, **more),
    "SOAP": lambda params, **more: SOAP(params, lr=0.05, precondition_1d=True, precondition_frequency=2, **more),
    "ScheduleFreeAdamW": lambda params, **more: ScheduleFreeAdamW(params, lr=0.05, **more),
    "wrapped": lambda params: Optimizer(params, chain(clip_by_global_norm(1.0), adam(0.02))),
    "wrapped by shape": lambda params: Optimizer(
        params, partition([(lambda p: p.ndim == 1, lion(0.02)), (lambda p: True, adam(0.02))])
    ),
    "wrapped, gathered and averaged": lambda params: Optimizer(
        params, chain(sgd(0.05, 0.9), skip_if_not_finite(), lookahead(3), ema_weights(), accumulate(1))
    ),
    "wrapped, in bfloat16": lambda params: Optimizer(params, bfloat16_state(adam(0.02))),
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
NAMED = {name: make for name, make in EVERY.items() if not name.startswith("wrapped")}
named = pytest.mark.parametrize("make", NAMED.values(), ids=NAMED)


@every
def test_descends_a_quadratic(make):
    param = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = make([param])
    losses = [float(optimizer.step((param * torch.tensor([1.0, 3.0])).square().sum())) for _ in range(200)]
    assert losses[-1] < 0.01 * losses[0]


@every
def test_updates_in_place_and_state_keeps_its_identity(make):
    model = Model()
    optimizer = make(model)
    params = list(model.parameters())
    train(model, optimizer, range(2))
    places = [p.data_ptr() for p in params]
    tables = {p: optimizer.state[p] for p in params if p in optimizer.state}
    tensors = {(p, name): value for p, table in tables.items() for name, value in table.items()}
    groups = optimizer.param_groups
    assert tensors
    train(model, optimizer, range(2, 5))
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, range(5, 7))
    assert [p.data_ptr() for p in params] == places
    assert optimizer.param_groups is groups
    for (param, name), value in tensors.items():
        assert optimizer.state[param] is tables[param]
        assert optimizer.state[param][name] is value
        assert not value.requires_grad


@every
def test_a_parameter_without_gradient_is_left_alone(make):
    model = Model()
    optimizer = make(model)
    train(model, optimizer, [0, 1])  # `sometimes` has a gradient at step 0 alone
    before, unused = model.sometimes.detach().clone(), model.unused.detach().clone()
    state = {name: value.clone() for name, value in optimizer.state[model.sometimes].items()}
    train(model, optimizer, [3])
    assert torch.equal(model.sometimes, before)
    assert torch.equal(model.unused, unused)
    assert model.unused not in optimizer.state
    for name, value in state.items():
        assert torch.equal(optimizer.state[model.sometimes][name], value)


@every
def test_a_saved_state_resumes_bit_for_bit_and_holds_no_classes(make):
    model = Model()
    optimizer = make(model)
    train(model, optimizer, range(4))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed_model = copy.deepcopy(model)
    resumed = make(resumed_model)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for step in range(4, 8):
        train(model, optimizer, [step])
        train(resumed_model, resumed, [step])
    for mine, theirs in zip(model.parameters(), resumed_model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@every
def test_updates_need_no_values(make):
    """On the meta device there are none, so an `.item()` or an `if` on one would raise."""
    params = [nn.Parameter(torch.empty(shape, device="meta", dtype=torch.bfloat16)) for shape in ((2, 3), ())]
    optimizer = make(params)
    optimizer.initialise_state(params)
    (part,) = optimizer.parts()
    states = [optimizer.state[p] for p in part.params]
    updates, new_states = part.transformation.update([torch.empty_like(p) for p in part.params], states, part.params)
    assert [(u.shape, u.dtype) for u in updates] == [(p.shape, p.dtype) for p in params]
    for old, new in zip(states, new_states, strict=True):
        assert {name: (v.shape, v.dtype) for name, v in new.items()} == {n: (v.shape, v.dtype) for n, v in old.items()}


@named
def test_hyper_parameters_may_be_tensors(make):
    model = Model()
    twins_model = copy.deepcopy(model)
    ours, with_tensors = make(model), make(twins_model)
    for group in with_tensors.param_groups:
        for name, value in group.items():
            if isinstance(value, float) and value:
                group[name] = torch.tensor(value, dtype=torch.float64)
            elif name == "betas":
                group[name] = tuple(torch.tensor(beta, dtype=torch.float64) for beta in value)
    train(model, ours, range(10))
    train(twins_model, with_tensors, range(10))
    assert_same(twins_model, model)


@named
def test_torchs_schedulers_and_hooks_work(make):
    model = Model()
    optimizer = make(model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    for step in range(2):
        train(model, optimizer, [step])
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * optimizer.param_groups[0]["initial_lr"])
    assert calls == ["before", "after"] * 2
    before = model.weight.detach().clone()
    optimizer.param_groups[0]["lr"] = 0.0
    train(model, optimizer, [2])
    # Past steps go on in LARS, whose momentum has the rate inside, and the average in ScheduleFreeAdamW comes nearer.
    assert torch.equal(model.weight, before) != isinstance(optimizer, LARS | ScheduleFreeAdamW)


def test_one_cycle_also_drives_the_momentum():
    model = Model()
    twins_model = copy.deepcopy(model)
    pairs = [(model, SGD(model, momentum=0.9)), (twins_model, torch.optim.SGD(twins_model.parameters(), momentum=0.9))]
    for each, optimizer in pairs:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=10)
        for step in range(9):
            train(each, optimizer, [step])
            scheduler.step()
    assert_same(model, twins_model)


def test_step_takes_nothing_a_function_or_a_loss():
    models = [Model() for _ in range(3)]
    plain, closed, given = (Adam(model, lr=0.01) for model in models)
    for step in range(5):
        train(models[0], plain, [step])

        def closure(step=step):
            closed.zero_grad()
            loss = models[1].loss(step)
            loss.backward()
            return loss

        with torch.no_grad():
            by_closure = closed.step(closure=closure)
        by_loss = given.step(models[2].loss(step))
        assert torch.equal(by_closure, by_loss)
        assert by_closure.requires_grad
        assert not by_loss.requires_grad
    assert plain.step() is None
    assert_same(models[1], models[2])


def test_a_loss_replaces_old_gradients():
    param = nn.Parameter(torch.tensor(1.0))
    param.grad = torch.tensor(100.0)
    SGD([param], lr=0.5).step(param * 3)
    assert param.item() == -0.5


class Deferred:
    def train_with(self, optimizer, *, whole):
        return ("trained by", optimizer, whole)


class OwnStep(SGD):
    def step(self, closure=None):
        return super().step(closure)


def hooked(optimizer):
    optimizer.register_step_post_hook(lambda *_: None)


def replaced(optimizer):
    optimizer.step = functools.partial(optimizer.step)


@pytest.mark.parametrize(
    ("kind", "prepare", "whole"),
    [
        (SGD, lambda _: None, True),
        (SGD, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1), True),
        (SGD, hooked, False),
        (SGD, replaced, False),
        (OwnStep, lambda _: None, False),
    ],
    ids=["plain", "scheduled", "hooked", "replaced", "subclass"],
)
def test_a_deferred_loss_runs_the_step_itself_and_whole_where_step_only_updates(kind, prepare, whole):
    optimizer = kind(Model())
    prepare(optimizer)
    assert optimizer.step(Deferred()) == ("trained by", optimizer, whole)


@pytest.mark.parametrize("kind", [SGD, OwnStep])
def test_hooks_run_once_a_step(kind):
    model, calls = Model(), []
    SGD(model)  # an optimizer of the base class, which torch would have wrapped as well
    optimizer = kind(model)
    optimizer.register_step_pre_hook(lambda _, args, named: calls.append(("before", len(args), list(named))))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.step()
    optimizer.step(closure=lambda: None)
    assert calls == [("before", 1, []), "after", ("before", 1, ["closure"]), "after"]


def test_a_profiler_sees_the_step():
    model = Model()
    optimizer = SGD(model)
    with torch.profiler.profile(acc_events=True) as profile:
        train(model, optimizer, [0])
    assert "Optimizer.step#SGD.step" in {event.key for event in profile.key_averages()}


def test_initialise_state_makes_what_is_missing():
    model = Model()
    optimizer = Adam(model)
    optimizer.initialise_state()
    assert not optimizer.state
    optimizer.initialise_state([model.weight])
    state = optimizer.state[model.weight]
    assert {name: (value.dtype, value.shape) for name, value in state.items()} == {
        "step": (torch.float32, ()),
        "exp_avg": (torch.float64, (3, 4)),
        "exp_avg_sq": (torch.float64, (3, 4)),
    }
    kept = dict(state)
    optimizer.param_groups[0]["amsgrad"] = True
    optimizer.initialise_state([model.weight])
    assert state.pop("max_exp_avg_sq").shape == (3, 4)
    assert all(state[name] is value for name, value in kept.items())
    assert list(optimizer.state) == [model.weight]


def test_a_wrapped_transformation_sees_all_groups_as_one_list():
    first, second = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    optimizer = Optimizer(
        [{"params": [first]}, {"params": [second]}], chain(clip_by_global_norm(1.0), scale_by_learning_rate(1.0))
    )
    optimizer.step((3.0 * first + 4.0 * second).sum())
    expected = -torch.tensor([3.0, 4.0], dtype=torch.float64) / (5 + 1e-6)
    assert_close(torch.cat([first, second]).detach(), expected, "clipped")


def test_a_wrapped_transformation_is_its_named_twin():
    pairs = {
        SGD: sgd(0.02, 0.9, 0.1, 0.01),
        Adam: adam(0.02, weight_decay=0.01),
        RMSProp: rmsprop(0.02, momentum=0.5),
        Lion: lion(0.02, weight_decay=0.1),
    }
    settings = {SGD: (0.9, 0.1, 0.01), Adam: ((0.9, 0.999), 1e-8, 0.01), RMSProp: (0.99, 1e-8, 0, 0.5)}
    for kind, transformation in pairs.items():
        model, twins_model = Model(), Model()
        train(model, Optimizer(model, transformation), range(6))
        train(twins_model, kind(twins_model, 0.02, *settings.get(kind, ((0.9, 0.99), 0.1))), range(6))
        assert_same(model, twins_model)


def test_a_schedule_goes_on_for_all_parameters_alike():
    model = Model()
    lr = cosine_decay(0.1, decay_steps=10)
    optimizer = AdamW(model, lr=lr)
    twins_model = Model()
    twin = torch.optim.AdamW(twins_model.parameters(), lr=0.1)
    for step in range(12):
        twin.param_groups[0]["lr"] = float(lr(torch.tensor(float(step), dtype=torch.float64)))
        train(model, optimizer, [step])
        train(twins_model, twin, [step])
    assert_same(model, twins_model)
    assert {name: value.item() for name, value in optimizer.state[model.sometimes].items() if value.ndim == 0} == {
        "step": 6,  # it had a gradient every other time
        "step_1": 11,
    }


@every
def test_what_a_new_optimizer_loads_has_no_part_in_gradients(make):
    model, fresh = Model(), Model()
    optimizer, resumed = make(model), make(fresh)
    train(model, optimizer, range(2))
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.state
    for state in copy.deepcopy(resumed.state).values():  # which torch refuses for what has a gradient's history
        assert not any(value.requires_grad for value in state.values() if isinstance(value, torch.Tensor))


def test_a_schedule_survives_saving_and_loading():
    model = Model()
    optimizer = AdamW(model, lr=cosine_decay(0.1, decay_steps=10))
    train(model, optimizer, range(3))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert saved["param_groups"][0]["lr"]["schedule"] == "CosineDecay"
    resumed_model = copy.deepcopy(model)
    resumed = AdamW(resumed_model)
    resumed.load_state_dict(saved)
    assert resumed.param_groups[0]["lr"] == cosine_decay(0.1, decay_steps=10)
    train(model, optimizer, range(3, 6))
    train(resumed_model, resumed, range(3, 6))
    assert_same(resumed_model, model)


def test_complex_parameters_are_torchs():
    for kind, twin, setting in (
        (SGD, torch.optim.SGD, {"momentum": 0.9}),
        (Adam, torch.optim.Adam, {"amsgrad": True}),
        (RMSProp, torch.optim.RMSprop, {"centered": True, "momentum": 0.5}),
    ):
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(3, dtype=torch.complex128, generator=generator)
        mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
        optimizers = [(mine, kind([mine], lr=0.05, **setting)), (theirs, twin([theirs], lr=0.05, **setting))]
        for param, optimizer in optimizers:
            for _ in range(8):
                optimizer.zero_grad()
                (param - (1 + 2j)).abs().square().sum().backward()
                optimizer.step()
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)


def test_sparse_gradients_are_torchs():
    embedding = nn.Embedding(5, 3, sparse=True, dtype=torch.float64)
    twin = copy.deepcopy(embedding)
    for module, optimizer in (
        (embedding, SGD(embedding, lr=0.1)),
        (twin, torch.optim.SGD(twin.parameters(), lr=0.1)),
    ):
        for _ in range(3):
            optimizer.zero_grad()
            module(torch.tensor([1, 1, 3])).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(embedding.weight, twin.weight, rtol=1e-12, atol=0)


def test_a_deep_copy_trains_on_its_own():
    model = Model()
    optimizer = Optimizer(model, adam(0.1))
    train(model, optimizer, range(2))
    weight = model.weight.detach().clone()
    copied_model, copied = copy.deepcopy((model, optimizer))
    train(copied_model, copied, range(2, 4))
    assert torch.equal(model.weight, weight)
    train(model, optimizer, range(2, 4))
    assert_same(model, copied_model)


def test_groups_are_added_with_the_defaults():
    first, second = nn.Parameter(torch.ones(2)), nn.Linear(2, 1)
    optimizer = Adam([first], lr=0.1)
    optimizer.add_param_group({"params": second, "weight_decay": 0.5})
    assert optimizer.param_groups[1]["lr"] == 0.1
    assert optimizer.param_groups[1]["params"] == list(second.parameters())
    before = second.weight.detach().clone()
    optimizer.step(second(first).sum())
    assert not torch.equal(second.weight, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: Adam(p, lr=-0.1),
            "lr=-0.1 was passed. lr is a finite number of at least 0, or a 0-d tensor. Write for example lr=0.001.",
        ),
        (
            lambda p: SGD(p, lr=float("nan")),
            "lr=nan was passed. lr is a finite number of at least 0, or a 0-d tensor. Write for example lr=0.001.",
        ),
        (
            lambda p: AdamW(p, betas=(0.9, 1.0)),
            (
                "betas[1]=1.0 was passed. betas[1] is a number in [0, 1), or a 0-d tensor. "
                "Write for example betas[1]=0.999."
            ),
        ),
        (
            lambda p: Lion(p, betas=0.9),
            "betas=0.9 was passed. betas is a pair of numbers in [0, 1). Write for example betas=(0.9, 0.99).",
        ),
        (
            lambda p: RMSProp(p, momentum=-1),
            (
                "momentum=-1 was passed. momentum is a finite number of at least 0, or a 0-d tensor. "
                "Write for example momentum=0.9."
            ),
        ),
        (
            lambda p: Adam(p, learning_rate=0.1),
            (
                "Adam was given learning_rate=0.1. It takes lr, betas, eps, weight_decay, amsgrad, maximize, "
                "decoupled_weight_decay. Write lr=."
            ),
        ),
        (
            lambda p: SGD(p, weigth_decay=0.1),
            (
                "SGD was given weigth_decay=0.1. It takes lr, momentum, dampening, weight_decay, nesterov, maximize. "
                "Write weight_decay=."
            ),
        ),
        (
            lambda p: Lion(p, fused=True),
            (
                "Lion was given fused=True. It takes lr, betas, weight_decay, maximize. "
                "Leave it out: it chooses one of torch's implementations, and here the compiler chooses."
            ),
        ),
        (
            lambda p: Optimizer(p, 0.1),
            (
                "Optimizer was given 0.1 as its transformation. It is a gradient transformation, such as adam(1e-3) "
                "or a chain of several. "
                "Write for example Optimizer(model, chain(clip_by_global_norm(1.0), adam(1e-3)))."
            ),
        ),
        (
            lambda p: Optimizer([{"params": p, "lr": 0.1}], adam(0.1)),
            (
                "A parameter group of a wrapped transformation has lr. A wrapped transformation has its "
                "hyper-parameters inside, the same for every group. "
                "Use a named optimizer such as tessera.optim.Adam, whose groups have their own."
            ),
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(OptimizerError) as caught:
        make([nn.Parameter(torch.ones(2))])
    assert str(caught.value) == message


def test_a_refused_group_leaves_the_optimizer_as_it_was():
    model = Model()
    optimizer = Adam([model.weight])
    with pytest.raises(OptimizerError, match="lr=-1"):
        optimizer.add_param_group({"params": [model.bias], "lr": -1})
    assert len(optimizer.param_groups) == 1


def test_initialise_state_refuses_foreign_parameters():
    with pytest.raises(OptimizerError) as caught:
        Adam(Model()).initialise_state(Model().parameters())
    assert str(caught.value) == (
        "5 of the parameters belong to another optimizer or to none. "
        "An optimizer keeps state for the parameters it was made with. "
        "Make the optimizer of the model that is trained, or add them with add_param_group."
    )


def test_a_loss_with_dimensions_is_refused():
    param = nn.Parameter(torch.ones(2))
    with pytest.raises(LossError) as caught:
        SGD([param]).step(param * 2)
    assert str(caught.value) == "step() was given a loss of shape [2]. A loss is one number. Write step(loss.mean())."


def test_a_loss_that_depends_on_nothing_is_refused():
    param = nn.Parameter(torch.ones(2))
    with pytest.raises(LossError) as caught:
        SGD([param]).step(param.detach().sum())
    assert str(caught.value) == (
        "step() was given a loss that does not depend on any trainable parameter. "
        "A loss is computed from parameters that require gradients, outside torch.no_grad(). "
        "Compute it from the model's output, without detach() or item()."
    )


def test_a_schedule_with_dimensions_is_refused_and_changes_nothing():
    param = nn.Parameter(torch.ones(2))
    optimizer = SGD([param], lr=lambda step: step.reshape(1))
    with pytest.raises(OptimizerError, match=r"returned a tensor of shape \[1\]"):
        optimizer.step(param.sum())
    assert torch.equal(param, torch.ones(2))


def test_a_float_32_model_follows_torch_in_low_precision_too():
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 2e-2)):
        start = torch.linspace(-1, 1, 8).to(dtype)
        mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
        for param, optimizer in ((mine, AdamW([mine], lr=0.01)), (theirs, torch.optim.AdamW([theirs], lr=0.01))):
            for _ in range(20):
                optimizer.zero_grad()
                (param.square().sum() + param.sum()).backward()
                optimizer.step()
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def test_decay_alone_shrinks_by_the_fraction():
    param = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    Optimizer([param], chain(add_decayed_weights(0.1), scale_by_learning_rate(0.5))).step(0 * param.sum())
    assert_close(param.detach(), torch.tensor([1.9], dtype=torch.float64), "decayed")


def test_a_loss_of_other_parameters_is_refused_and_changes_nothing():
    ours, other = Model(), Model()
    before = copy.deepcopy(ours.state_dict())
    optimizer = Adam(ours)
    with pytest.raises(
        OptimizerError, match="^The loss given to step[(][)] depends on none of the 5 parameters of this Adam"
    ):
        optimizer.step(other.loss(0))
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())
    assert not optimizer.state


def test_a_flag_that_is_no_flag_leaves_the_optimizer_as_it_was():
    weight, late = (nn.Parameter(torch.ones(2)) for _ in range(2))
    with pytest.raises(OptimizerError, match="^amsgrad='no' was passed"):
        AdamW([weight], amsgrad="no")
    optimizer = AdamW([weight])
    with pytest.raises(OptimizerError, match="^maximize=None was passed"):
        optimizer.add_param_group({"params": [late], "maximize": None})
    assert [group["params"] for group in optimizer.param_groups] == [[weight]]
