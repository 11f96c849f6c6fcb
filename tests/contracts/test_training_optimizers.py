"""Every optimizer of torch.optim, optimizers that users write, and torch's schedulers: the weights are eager's."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn, optim

import tessera
from tests.contracts.against_eager import PIECES, WHOLE, Job, adamw, assert_trains_like_eager, mlp, vectors

# Every optimizer with settings that take all its branches. None: whichever rung.
SETTINGS = [
    (optim.Adadelta, {"lr": 0.5, "weight_decay": 0.1}, WHOLE),
    (optim.Adadelta, {"maximize": True}, WHOLE),
    (optim.Adafactor, {"lr": 0.01, "weight_decay": 0.1}, None),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.1}, WHOLE),
    (optim.Adam, {"lr": 0.01, "weight_decay": 0.1}, WHOLE),
    (optim.Adam, {"lr": 0.01, "amsgrad": True, "maximize": True}, WHOLE),
    (optim.Adam, {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}, WHOLE),
    (optim.Adam, {"lr": 0.01, "foreach": True}, WHOLE),
    (optim.Adam, {"lr": 0.01, "fused": True}, WHOLE),
    (optim.AdamW, {"lr": 0.01, "betas": (0.0, 0.9)}, WHOLE),
    (optim.AdamW, {"lr": 1, "amsgrad": True}, WHOLE),
    (optim.Adamax, {"lr": 0.01, "weight_decay": 0.1}, WHOLE),
    (optim.ASGD, {"lr": 0.1, "weight_decay": 0.1, "t0": 2, "lambd": 0.1}, WHOLE),
    (optim.NAdam, {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}, WHOLE),
    (optim.RAdam, {"lr": 0.1, "weight_decay": 0.1}, WHOLE),
    (optim.RMSprop, {"lr": 0.01, "centered": True, "momentum": 0.9, "weight_decay": 0.1}, WHOLE),
    (optim.RMSprop, {"lr": 0.01}, WHOLE),
    (optim.Rprop, {"lr": 0.01}, WHOLE),
    (optim.SGD, {"lr": 0.1}, WHOLE),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, WHOLE),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}, WHOLE),
]
# fp32 step sizes inside an fp64 model: Inductor keeps them in double where eager rounds.
ROUNDED = {optim.ASGD: 1e-6}


@pytest.mark.parametrize(
    ("kind", "settings", "rung"), SETTINGS, ids=[f"{kind.__name__} {' '.join(s)}" for kind, s, _ in SETTINGS]
)
def test_optimizers_of_torch(kind, settings, rung):
    assert_trains_like_eager(
        Job(
            name=kind.__name__,
            module=lambda: nn.Linear(5, 3),  # two tensors: every formula is compiled for each
            optimizer=lambda net: kind(net.parameters(), **settings),
            batches=lambda: vectors(*[8] * 8),
            tolerance=ROUNDED.get(kind, 1e-9),
            rung=rung or "",
            compilations=1 if rung else None,
        )
    )


def test_every_optimizer_of_torch_is_here():
    elsewhere = {optim.LBFGS, optim.SparseAdam, getattr(optim, "Muon", None), optim.Optimizer}
    kinds = {k for k in vars(optim).values() if isinstance(k, type) and issubclass(k, optim.Optimizer)}
    assert kinds - elsewhere == {kind for kind, _, _ in SETTINGS}


def test_muon():
    kind = pytest.importorskip("torch.optim", reason="a torch without Muon").Muon
    assert_trains_like_eager(
        Job(
            name="Muon",
            optimizer=lambda net: kind([net[0].weight, net[2].weight], lr=0.1),
            tolerance=5e-3,  # its orthogonalisation runs in bfloat16
            rung="",
        )
    )


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adagrad, optim.SparseAdam])
def test_sparse_gradients(kind):
    def batches():
        draw = torch.Generator().manual_seed(7)
        return [
            (torch.randint(0, 11, (4, 2), generator=draw), torch.randn(4, 10, generator=draw).double())
            for _ in range(3)
        ]

    assert_trains_like_eager(
        Job(
            name="sparse",
            module=lambda: nn.Sequential(nn.Embedding(11, 5, sparse=True), nn.Flatten()),
            batches=batches,
            optimizer=lambda net: kind(net.parameters(), lr=0.1),
            clip_norm=None,
            rung="",
        )
    )


# -- optimizers that users write -------------------------------------------------------------------------------------


class Momentum(optim.Optimizer):
    """Momentum in the usual style; each variant below keeps some state where only Python sees it."""

    def __init__(self, parameters, lr=0.01):
        parameters = list(parameters)
        super().__init__(parameters, {"lr": lr})
        self.beta, self.calls, self.history, self.dice = 0.9, 0, [], random.Random(0)
        self.parameters = parameters
        self.sums = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, closure=None):
        self.before()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].mul_(self.beta).add_(p.grad)
                p.add_(state["momentum"], alpha=-self.rate(group, p))
        self.after()

    def before(self):
        pass

    def after(self):
        pass

    def rate(self, group, p):
        return group["lr"]


class CountsInTheGroup(Momentum):
    def before(self):
        self.param_groups[0]["step"] = self.param_groups[0].get("step", 0) + 1

    def rate(self, group, p):
        return group["lr"] / group["step"]


class AdaptsItsGroup(Momentum):
    def before(self):
        self.param_groups[0]["d"] = self.param_groups[0].get("d", 1.0) * 0.5

    def rate(self, group, p):
        return group["lr"] * group["d"]


class CountsOnItself(Momentum):
    def before(self):
        self.calls += 1
        self.history.append(self.calls)

    def rate(self, group, p):
        return group["lr"] * len(self.history) / self.calls**2


class CountsOnItsClass(Momentum):
    calls_of_all = 0

    def __init__(self, parameters):
        type(self).calls_of_all = 0
        super().__init__(parameters)

    def before(self):
        type(self).calls_of_all += 1

    def rate(self, group, p):
        return group["lr"] / type(self).calls_of_all


class CountsInPythonState(Momentum):
    def rate(self, group, p):
        self.state[p]["step"] = self.state[p].get("step", 0) + 1
        return group["lr"] / self.state[p]["step"]


class ThrowsDice(Momentum):
    def rate(self, group, p):
        return group["lr"] * self.dice.random()


class DrawsNoise(Momentum):
    def after(self):
        for p in self.parameters:
            p.add_(torch.randn_like(p), alpha=0.01)


class KeepsItsOwnTensors(Momentum):
    def after(self):
        for p, total in zip(self.param_groups[0]["params"], self.sums, strict=True):
            total.mul_(0.9).add_(p.grad)
            p.add_(total, alpha=-0.01)


class KeepsItsOwnList(Momentum):
    def after(self):
        for p in self.parameters:
            p.mul_(0.99)


class KeepsGlobalState(Momentum):
    def after(self):
        shared = self.state["shared"]
        shared["n"] = shared.get("n", torch.zeros(())) + 1
        for p in self.parameters:
            p.mul_(1 - 0.01 * shared["n"])

    def state_dict(self):
        return {"state": {}, "param_groups": []}


class AssignsData(Momentum):
    def after(self):
        for p in self.parameters:
            p.data = p.data * 0.99


class UsesNumpy(Momentum):
    def after(self):
        for p in self.parameters:
            p.copy_(torch.from_numpy(p.detach().numpy() * 0.99))


class BranchesOnTheGradient(Momentum):
    def rate(self, group, p):
        return 0.01 if p.grad.norm() > 0.3 else 0.02


class NormalisesByItem(Momentum):
    def before(self):
        self.norm = sum(float(p.grad.pow(2).sum()) for p in self.parameters) ** 0.5

    def rate(self, group, p):
        return group["lr"] / self.norm


class EditsGradients(Momentum):
    def before(self):
        for p in self.parameters:
            p.grad.mul_(0.5)
            p.grad = p.grad + 0.1 * p


class ClampsAfterAdam(optim.Adam):
    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.clamp_(-0.2, 0.2)


class Lookahead(optim.Optimizer):
    """Zhang et al. 2019: slow weights around another optimizer."""

    def __init__(self, parameters):
        self.base = optim.Adam(parameters, lr=0.01)
        super().__init__(self.base.param_groups, {})
        self.slow = [p.detach().clone() for p in self.param_groups[0]["params"]]
        self.calls = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.base.step()
        self.calls += 1
        if self.calls % 2 == 0:
            for p, slow in zip(self.param_groups[0]["params"], self.slow, strict=True):
                slow.add_(p - slow, alpha=0.5)
                p.copy_(slow)

    def zero_grad(self, set_to_none=True):
        self.base.zero_grad(set_to_none)


def _with_decay(step):
    import functools

    @functools.wraps(step)
    def decorated(self, *args):
        step(self, *args)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.mul_(0.99)

    return decorated


class DecoratedAdam(optim.Adam):
    step = _with_decay(optim.Adam.step)


STRANGERS = [
    Momentum,
    CountsInTheGroup,
    AdaptsItsGroup,
    CountsOnItself,
    CountsOnItsClass,
    CountsInPythonState,
    ThrowsDice,
    DrawsNoise,
    KeepsItsOwnTensors,
    KeepsItsOwnList,
    KeepsGlobalState,
    AssignsData,
    UsesNumpy,
    BranchesOnTheGradient,
    NormalisesByItem,
    EditsGradients,
    ClampsAfterAdam,
    Lookahead,
    DecoratedAdam,
]


@pytest.mark.parametrize("kind", STRANGERS)
def test_optimizers_of_users(kind):
    step = assert_trains_like_eager(
        Job(
            name=kind.__name__,
            optimizer=lambda net: kind(net.parameters()),
            batches=lambda: vectors(*[8] * 5),
            rung="",
        )
    )
    assert step.report.rung.startswith(WHOLE) or kind.__name__ in step.report.step_downs[0].reason


def test_a_users_optimizer_obeys_its_attributes():
    def edit(step, net, optimizers):
        optimizers[0].beta = 0.9 - 0.1 * step

    assert_trains_like_eager(Job(name="beta", optimizer=lambda net: Momentum(net.parameters()), edit=edit, rung=""))


# -- schedulers ------------------------------------------------------------------------------------------------------


SCHEDULERS = {
    "warm-up and cosine": lambda o: optim.lr_scheduler.SequentialLR(
        o,
        [optim.lr_scheduler.LinearLR(o, 0.01, 1.0, 100), optim.lr_scheduler.CosineAnnealingLR(o, 900)],
        milestones=[100],
    ),
    "LambdaLR": lambda o: optim.lr_scheduler.LambdaLR(o, lambda step: min(step / 50, (50 / (step + 1)) ** 0.5)),
    "OneCycleLR": lambda o: optim.lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=1001),
    "CosineAnnealingWarmRestarts": lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 50),
    "ReduceLROnPlateau": lambda o: optim.lr_scheduler.ReduceLROnPlateau(o, patience=2, threshold=0.1),
    "CyclicLR of SGD": lambda o: optim.lr_scheduler.CyclicLR(o, 0.001, 0.1, step_size_up=20),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_thousand_steps_under_a_schedule(name):
    """Batches of 32 and, every tenth step, of 17: at most two Programs, and eager's weights."""
    draw = torch.Generator().manual_seed(3)
    batches = [
        (torch.randn(n, 5, generator=draw).double(), torch.randn(n, 3, generator=draw).double())
        for n in ([32] * 9 + [17]) * 2
    ]

    def train(make_step):
        torch.manual_seed(0)
        net = mlp().double()
        optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9) if "SGD" in name else adamw(net)
        scheduler = SCHEDULERS[name](optimizer)
        step = make_step(net, optimizer)
        for index in range(1000):
            loss = step(*batches[index % 20])
            scheduler.step(*([float(loss)] if name == "ReduceLROnPlateau" else []))
        return net, optimizer, step

    def eagerly(net, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    net, optimizer, _ = train(eagerly)
    ours, our_optimizer, step = train(lambda n, o: tessera.train_step(n, F.mse_loss, o))
    assert our_optimizer.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
    torch.testing.assert_close(dict(ours.named_parameters()), dict(net.named_parameters()), rtol=1e-9, atol=1e-9)
    assert len(step.report.compilations) <= 2, str(step.report)
    assert step.report.rung.startswith(WHOLE)


def test_one_parameter_in_two_optimizers_is_an_error():
    net = mlp()
    with pytest.raises(tessera.errors.OptimizerError, match="two|both|twice|several"):
        tessera.train_step(net, F.mse_loss, [optim.SGD(net.parameters(), lr=0.1), optim.Adam(net[2].parameters())])


def test_parameters_of_another_model_are_an_error():
    with pytest.raises(tessera.errors.OptimizerError, match=r"4 of the 4 parameters of this AdamW"):
        tessera.train_step(mlp(), F.mse_loss, adamw(mlp()))


def test_pieces_are_what_a_stranger_gets():
    step = assert_trains_like_eager(
        Job(name="stranger", optimizer=lambda net: CountsOnItself(net.parameters()), rung=PIECES)
    )
    assert step.report.step_downs[0].instead
