"""Every optimizer beside its twin: step for step, with every option, on whatever can be a parameter.

First torch.optim's, eagerly, in float64; then the whole-step program beside the eager optimizer, where no schedule and
no change of a hyper-parameter compiles again. Optax's twins are in `tests/optim/test_against_optax.py`.
"""

from __future__ import annotations

import copy
import inspect
import io
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tessera
from tessera import optim
from tests.optim.parity import assert_close, assert_same_state

# The product of NAdam's weights is a float32 number near 1/2, and its distance from 1 divides: a last bit of it shows.
TOLERANCES = {optim.NAdam: 1e-11}
SHAPES = [(), (5,), (3, 4), (6, 2), (4, 3, 3, 3), (2, 0), (1,), (2, 3, 4)]
STEPS = 36


class Row(NamedTuple):
    """An optimizer with options, and the twin with options of the same meaning."""

    ours: type[optim.Optimizer]
    twin: type[torch.optim.Optimizer]
    options: dict[str, Any]
    shapes: Sequence[tuple[int, ...]] = SHAPES

    @property
    def tolerance(self) -> float:
        return TOLERANCES.get(self.ours, 1e-12)

    def __str__(self) -> str:
        return " ".join([self.ours.__name__, *(f"{name}={value}" for name, value in self.options.items())])


def rows() -> list[Row]:
    twins = torch.optim
    matrices = [(3, 4), (6, 2), (1, 5), (4, 4)]
    full = [shape for shape in SHAPES if 0 not in shape]  # torch's Adafactor divides by the size
    table: list[tuple[Any, Any, list[dict[str, Any]]]] = [
        (
            optim.SGD,
            twins.SGD,
            [
                {},
                {"lr": 1},
                {"lr": 0.1, "momentum": 0.9},
                {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
                {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
                {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
            ],
        ),
        (
            optim.Adam,
            twins.Adam,
            [
                {},
                {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.1},
                {"lr": 0.1, "betas": (0.0, 0.9), "amsgrad": True},
                {"lr": 0.1, "maximize": True},
                {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
            ],
        ),
        (
            optim.AdamW,
            twins.AdamW,
            [
                {},
                {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.3},
                {"lr": 0.1, "amsgrad": True, "weight_decay": 0.0},
                {"lr": 1, "betas": (0.0, 0.5), "maximize": True},
            ],
        ),
        (
            optim.NAdam,
            twins.NAdam,
            [
                {},
                {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "momentum_decay": 0.1},
                {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
                {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
            ],
        ),
        (
            optim.RAdam,
            twins.RAdam,
            [
                {},
                {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1},
                {"lr": 0.1, "betas": (0.8, 0.6)},  # never rectified
                {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
            ],
        ),
        (
            optim.RMSProp,
            twins.RMSprop,
            [
                {},
                {"lr": 0.1, "alpha": 0.7, "eps": 1e-3, "weight_decay": 0.1},
                {"lr": 0.1, "centered": True, "momentum": 0.7},
                {"lr": 0.1, "momentum": 0.7, "maximize": True},
            ],
        ),
        (
            optim.Adagrad,
            twins.Adagrad,
            [
                {},
                {"lr": 0.1, "lr_decay": 0.1, "eps": 1e-3, "weight_decay": 0.1},
                {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True},
            ],
        ),
        (
            optim.Adadelta,
            twins.Adadelta,
            [{}, {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}, {"maximize": True, "rho": 0.0}],
        ),
    ]
    listed = [Row(ours, twin, options) for ours, twin, many in table for options in many]
    listed += [
        Row(optim.Adafactor, twins.Adafactor, options, full)
        for options in (
            {},
            {"lr": 0.5, "beta2_decay": -0.5, "eps": (1e-4, 1e-2), "d": 2.0, "weight_decay": 0.1},
            {"lr": 1, "maximize": True},
        )
    ]
    listed += [
        Row(optim.Muon, twins.Muon, options, matrices)
        for options in (
            {},
            {"lr": 0.1, "weight_decay": 0.3, "momentum": 0.5, "nesterov": False},
            {"lr": 0.1, "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 3, "eps": 1e-3},
            {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"},
        )
    ]
    return listed


ROWS = rows()
every = pytest.mark.parametrize("row", ROWS, ids=str)


def parameters(shapes: Sequence[tuple[int, ...]]) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(3)
    params = [nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64)) for shape in shapes]
    if len(shapes[-1]) == 4:
        params[-1].data = params[-1].data.to(memory_format=torch.channels_last)
    return params


def give_gradients(params: Sequence[Tensor], step: int) -> None:
    """Random ones; some parameters have none at some steps, the second never has any."""
    draw = torch.Generator().manual_seed(1000 + step)
    scale = 10.0 ** float(torch.randint(-2, 2, (), generator=draw))
    for index, param in enumerate(params):
        grad = torch.randn(param.shape, generator=draw, dtype=param.dtype) * scale
        present = index != 1 and (step + index) % 4 != 3
        param.grad = grad if present else None


def groups(params: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    """Two, of which one has a learning rate of its own."""
    return [{"params": list(params[::2])}, {"params": list(params[1::2]), "lr": 0.05}]


Change = Callable[[int, torch.optim.Optimizer], None]


def nothing(_: int, __: torch.optim.Optimizer) -> None:
    pass


def assert_agree(row: Row, change: Change = nothing, steps: int = STEPS) -> None:
    params = parameters(row.shapes)
    twins = copy.deepcopy(params)
    ours, theirs = row.ours(groups(params), **row.options), row.twin(groups(twins), **row.options)
    for step in range(steps):
        for each, optimizer in ((params, ours), (twins, theirs)):
            give_gradients(each, step)
            change(step, optimizer)
            optimizer.step()
        for index, (mine, its) in enumerate(zip(params, twins, strict=True)):
            assert_close(mine.detach(), its.detach(), f"step {step}, parameter {index}", row.tolerance)
    known = {index for index, state in ours.state_dict()["state"].items() if state}
    unknown = {index for index, state in theirs.state_dict()["state"].items() if "step" in state and state["step"] > 0}
    assert known >= unknown


@every
def test_steps_are_the_twins(row):
    assert_agree(row)


@every
def test_defaults_and_the_order_of_arguments_are_the_twins(row):
    ours, twin = (inspect.signature(kind.__init__).parameters for kind in (row.ours, row.twin))
    assert {name: twin[name].default for name in ours} == {name: ours[name].default for name in ours}
    implementation = {"foreach", "capturable", "differentiable", "fused"}
    assert list(ours) == [name for name in twin if name in ours]
    assert twin.keys() - ours.keys() <= implementation


@every
def test_training_goes_on_in_the_twin_and_back(row):
    """Ten steps in one, its state_dict through a file into the other, ten steps there, and back."""
    for first, second in ((row.ours, row.twin), (row.twin, row.ours), (row.ours, row.ours)):
        params = parameters(row.shapes)
        reference = copy.deepcopy(params)
        constant = row.twin(groups(reference), **row.options)
        optimizer = first(groups(params), **row.options)
        for step in range(30):
            if step in {10, 20}:
                file = io.BytesIO()
                torch.save(optimizer.state_dict(), file)
                file.seek(0)
                optimizer = (second if step == 10 else first)(groups(params), lr=0.7)
                optimizer.load_state_dict(torch.load(file, weights_only=True))
            for each, its in ((params, optimizer), (reference, constant)):
                give_gradients(each, step)
                its.step()
        for index, (mine, theirs) in enumerate(zip(params, reference, strict=True)):
            assert_close(mine.detach(), theirs.detach(), f"parameter {index}", row.tolerance)


@every
def test_changed_hyper_parameters_hold_from_the_next_step(row):
    def change(step: int, optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            group["lr"] *= 0.9
            if step % 5 == 4 and "weight_decay" in group:
                group["weight_decay"] = 0.01 * step

    assert_agree(row, change)


@every
def test_states_have_the_twins_names_and_values(row):
    params = parameters([shape for shape in row.shapes if 0 not in shape])
    twins = copy.deepcopy(params)
    ours, theirs = row.ours(params, **row.options), row.twin(twins, **row.options)
    for step in range(7):
        for each, optimizer in ((params, ours), (twins, theirs)):
            for index, param in enumerate(each):
                param.grad = torch.full_like(param, 0.1 * (step + index))
            optimizer.step()
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("row", [row for row in ROWS if row.ours not in {optim.Adafactor, optim.Muon}], ids=str)
def test_complex_parameters_are_two_numbers_each(row):
    """Beside a real one in the same group, as torch has them."""
    draw = torch.Generator().manual_seed(2)
    params = [nn.Parameter(torch.randn(4, generator=draw, dtype=dtype)) for dtype in (torch.complex128, torch.float64)]
    twins = copy.deepcopy(params)
    ours, theirs = row.ours(params, **row.options), row.twin(twins, **row.options)
    for step in range(12):
        for index, (mine, its) in enumerate(zip(params, twins, strict=True)):
            mine.grad = torch.randn(4, generator=torch.Generator().manual_seed(step), dtype=mine.dtype)
            its.grad = mine.grad.clone()
            assert_close(torch.view_as_real(mine + 0j), torch.view_as_real(its + 0j), f"step {step}, {index}", 1e-11)
        ours.step()
        theirs.step()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_is_the_twins_to_its_rounding(row, dtype):
    """Parameters of two dtypes in one optimizer; state and updates have the dtype of their parameter."""
    params = [nn.Parameter(param.detach().to(dtype)) for param in parameters(row.shapes)]
    params += [nn.Parameter(param.detach().to(torch.float64)) for param in parameters(row.shapes)]
    twins = copy.deepcopy(params)
    ours, theirs = (
        row.ours(params, **row.options),
        row.twin(twins, foreach=False, **row.options)
        if ("foreach" in inspect.signature(row.twin.__init__).parameters)
        else row.twin(twins, **row.options),
    )
    for step in range(8):
        for each, optimizer in ((params, ours), (twins, theirs)):
            draw = torch.Generator().manual_seed(step)
            for param in each:
                param.grad = torch.randn(param.shape, generator=draw, dtype=torch.float64).to(param.dtype)
            optimizer.step()
    epsilon = torch.finfo(dtype).eps
    for mine, its in zip(params, twins, strict=True):
        assert mine.dtype == its.dtype
        change = 0.2 if row.ours is optim.Muon else 64 * epsilon
        assert_close(mine.detach(), its.detach(), str(mine.dtype), 1e-11 if mine.dtype == torch.float64 else change)
        state = ours.state[mine]
        assert all(state[name].dtype == value.dtype for name, value in theirs.state[its].items())


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")
@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.ours is optim.Adagrad and "weight_decay" not in row.options], ids=str
)
def test_sparse_gradients_are_the_twins(row):
    tables = [nn.Embedding(6, 3, sparse=True, dtype=torch.float64) for _ in range(2)]
    tables[1].load_state_dict(tables[0].state_dict())
    optimizers = [kind(t.parameters(), **row.options) for kind, t in zip((row.ours, row.twin), tables, strict=True)]
    for step in range(6):
        for table, optimizer in zip(tables, optimizers, strict=True):
            optimizer.zero_grad()
            table(torch.tensor([step % 6, 1, 1])).square().sum().backward()
            optimizer.step()
    assert_close(tables[0].weight.detach(), tables[1].weight.detach(), "table", 1e-12)


# -- inside the whole-step program -------------------------------------------------------------------------------------

Make = Callable[[nn.Module], optim.Optimizer]

# Each with settings that take its branches; a schedule stands where a learning rate does.
OPTIMIZERS: dict[str, Callable[[nn.Module, Any], optim.Optimizer]] = {
    "SGD": lambda net, lr: optim.SGD(net, lr, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda net, lr: optim.Adam(net, lr, weight_decay=0.1),
    "AdamW": lambda net, lr: optim.AdamW(net, lr, weight_decay=0.1),
    "AMSGrad": lambda net, lr: optim.AMSGrad(net, lr),
    "NAdam": lambda net, lr: optim.NAdam(net, lr, weight_decay=0.1),
    "RAdam": lambda net, lr: optim.RAdam(net, lr, (0.9, 0.95)),
    "RMSProp": lambda net, lr: optim.RMSProp(net, lr, centered=True, momentum=0.5),
    "Adagrad": lambda net, lr: optim.Adagrad(net, lr, lr_decay=0.1),
    "Adadelta": lambda net, lr: optim.Adadelta(net, lr),
    "Adafactor": lambda net, lr: optim.Adafactor(net, lr, weight_decay=0.1),
    "Lion": lambda net, lr: optim.Lion(net, lr, weight_decay=0.1),
    "LAMB": lambda net, lr: optim.LAMB(net, lr, weight_decay=0.1),
    "LARS": lambda net, lr: optim.LARS(net, lr, weight_decay=0.1, trust_coefficient=0.1),
    "Muon": lambda net, lr: optim.Muon(net, lr),
    "SOAP": lambda net, lr: optim.SOAP(net, lr, precondition_frequency=3),
    "ScheduleFreeAdamW": lambda net, lr: optim.ScheduleFreeAdamW(net, lr, weight_decay=0.1),
}
SCHEDULES = {
    "number": 0.01,
    "constant": optim.constant(0.01),
    "linear": optim.linear(0.02, 0.0, 250, 10),
    "cosine": optim.cosine_decay(0.02, 250, 0.1),
    "warm-up and cosine": optim.warmup_cosine_decay(0.0, 0.02, 20, 250),
    "restarts": optim.cosine_restarts(0.02, 20, 2),
    "exponential": optim.exponential_decay(0.02, 50, 0.5, staircase=True),
    "polynomial": optim.polynomial_decay(0.02, 0.001, 2.0, 250),
    "one cycle": optim.one_cycle(0.02, 280),
    "piecewise constant": optim.piecewise_constant(0.02, {100: 0.5, 200: 0.1}),
    "piecewise linear": optim.piecewise_linear({0: 0.0, 50: 0.02, 250: 0.0}),
    "joined": optim.join([optim.linear(0.0, 0.02, 20), optim.exponential_decay(0.02, 50, 0.5)], [20]),
    "a user's own": lambda step: 0.02 / (1 + step / 100),
    "plateau": optim.reduce_on_plateau(0.02, patience=2, factor=0.5),
    "plateau of a schedule": optim.reduce_on_plateau(optim.cosine_decay(0.02, 250), patience=2, factor=0.5),
}
CHAINS: dict[str, Callable[[], optim.GradientTransformation]] = {
    "A9": lambda: optim.chain(
        optim.clip_by_global_norm(1.0), optim.rmsprop(optim.cosine_decay(0.01, 60)), optim.accumulate(4)
    ),
    "skipped": lambda: optim.chain(optim.adamw(0.01), optim.skip_if_not_finite(3), optim.clip_by_value(0.1)),
    "sharpness-aware": lambda: optim.chain(optim.sgd(0.05, 0.9), optim.sharpness_aware(0.1)),
    "by name": lambda: optim.partition({"bias$": optim.sgd(0.05, 0.9), "": optim.adamw(0.01)}),
    "frozen": lambda: optim.chain(optim.adamw(0.01), optim.freeze("^0")),
    "averages": lambda: optim.chain(optim.adamw(0.01), optim.lookahead(3), optim.ema_weights(0.9)),
    "adaptively clipped": lambda: optim.chain(optim.clip_adaptively(0.01), optim.sgd(0.1)),
    "noise": lambda: optim.chain(optim.add_noise(0.01), optim.sgd(0.05)),
    "bfloat16 state": lambda: optim.bfloat16_state(optim.adamw(0.01)),
    "masked decay": lambda: optim.chain(
        optim.scale_by_adam(), optim.add_decayed_weights(0.1, "weight"), optim.scale_by_learning_rate(0.01)
    ),
    "gathered, skipped and averaged": lambda: optim.chain(
        optim.skip_if_not_finite(), optim.accumulate(2), optim.lamb(0.01), optim.ema_weights()
    ),
}


def square() -> nn.Module:
    """One square matrix, whose gradient leaves no null space for SOAP to choose a basis of."""
    torch.manual_seed(0)
    return nn.Linear(3, 3, bias=False).double()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def assert_the_program_is_the_optimizer(
    make: Make, change: Change = nothing, steps: int = 40, tolerance: float = 1e-9, model: Any = square
) -> None:
    """Through `tessera.train_step`, compiled once, beside ``step()`` of an optimizer made alike.

    Muon rounds to bfloat16, elsewhere in a fused kernel, and multiplies small singular values by up to 3.4445^5 = 485:
    each of its steps is compared, and the next begins at the eager one's weights and state.
    """
    nets = [model(), model()]
    eager, ours = map(make, nets)
    step = tessera.train_step(nets[1], F.mse_loss, ours)
    draw = torch.Generator().manual_seed(5)
    for number in range(steps):
        x, y = (torch.randn(8, 3, generator=draw, dtype=torch.float64) for _ in range(2))
        for optimizer in (eager, ours):
            change(number, optimizer)
        eager.zero_grad()
        loss = F.mse_loss(nets[0](x), y)
        loss.backward()
        eager.step()
        found = step(x, y)
        assert_close(found, loss.detach(), f"loss of step {number}", tolerance)
        if isinstance(ours, optim.Muon):
            follow(ours, eager, f"step {number}", tolerance)
    for name, value in nets[0].state_dict().items():
        assert_close(nets[1].state_dict()[name], value, name, tolerance)
    assert len(step.report.compilations) == 1
    assert step.report.rung.startswith("whole step"), str(step.report)
    assert_same_state(ours, eager, tolerance)


def follow(ours: torch.optim.Optimizer, eager: torch.optim.Optimizer, place: str, tolerance: float) -> None:
    for mine, theirs in zip(ours.param_groups[0]["params"], eager.param_groups[0]["params"], strict=True):
        assert_close(mine.detach(), theirs.detach(), place, tolerance)
        with torch.no_grad():
            mine.copy_(theirs)
            for name, value in eager.state[theirs].items():
                ours.state[mine][name].copy_(value)


def tolerance_of(name: str) -> float:
    return {"Muon": 0.05, "NAdam": 1e-6, "bfloat16 state": 1e-2}.get(name, 1e-9)  # bfloat16, float32, bfloat16 inside


def observing(step: int, optimizer: torch.optim.Optimizer) -> None:
    if step and step % 5 == 0:
        optimizer.observe(1.0 + step // 50 % 2)


def one_by_default(names: Sequence[str], default: str) -> list[Any]:
    return [name if name == default else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", one_by_default(list(OPTIMIZERS), "AdamW"))
def test_no_change_of_a_number_compiles_again(name):
    """Every float of every group, at every step, to 0 as well; the learning rate was a whole number at first."""

    def change(step: int, optimizer: torch.optim.Optimizer) -> None:
        dice = random.Random(step)
        for group in optimizer.param_groups:
            for key, value in group.items():
                if key in {"lr", "weight_decay"}:
                    group[key] = 0.0 if step % 7 == 3 else 0.02 * dice.random()
                elif key in {"momentum", "alpha", "rho"} and value:
                    group[key] = 0.5 + 0.4 * dice.random()
                elif key == "betas":
                    group[key] = (0.5 + 0.4 * dice.random(), 0.9 + 0.09 * dice.random())
                elif key == "eps" and isinstance(value, float):
                    group[key] = 1e-8 * (1 + dice.random())

    assert_the_program_is_the_optimizer(lambda net: OPTIMIZERS[name](net, 1), change, tolerance=tolerance_of(name))


@pytest.mark.parametrize("schedule", one_by_default(list(SCHEDULES), "one cycle"))
@pytest.mark.parametrize("name", one_by_default(list(OPTIMIZERS), "Adafactor"))
def test_every_schedule_in_every_optimizer_compiles_once(name, schedule):
    """300 steps."""
    lr = SCHEDULES[schedule]
    change = observing if isinstance(lr, optim.ReduceOnPlateau) else nothing
    assert_the_program_is_the_optimizer(lambda net: OPTIMIZERS[name](net, lr), change, 300, tolerance_of(name))


@pytest.mark.parametrize("chain", one_by_default(list(CHAINS), "A9"))
def test_compositions_are_inside_the_program(chain):
    assert_the_program_is_the_optimizer(
        lambda net: optim.Optimizer(net, CHAINS[chain]()), tolerance=tolerance_of(chain), model=network
    )


def test_every_optimizer_that_torch_has_as_well_is_a_row():
    kinds = {kind for kind in vars(optim).values() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)}
    theirs = {name.lower() for name in dir(torch.optim)}
    assert {kind for kind in kinds if kind.__name__.lower() in theirs} - {optim.Optimizer} == {row.ours for row in ROWS}
