"""How scripts are written: losses with state, samplers, schedules, tables of decoders, adapters, meters, masks."""

from __future__ import annotations

import contextlib
import copy
import math
import random
import types
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.contracts.odd.recorder import grid, odd


class Adapter(nn.Module):
    """Low-rank, merged into the weight and taken out again."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.merged = layer, False
        self.down = nn.Parameter(torch.full((1, 3), 0.5))
        self.up = nn.Parameter(torch.full((3, 1), 0.25))

    def forward(self, x):
        if self.merged:
            return self.layer(x)
        return self.layer(x) + x @ self.down.t() @ self.up.t()

    def merge(self):
        with torch.no_grad():
            self.layer.weight += (self.up @ self.down) * (-1 if self.merged else 1)
        self.merged = not self.merged


@odd
def adapter_is_merged_and_taken_out(r):
    torch.manual_seed(0)
    module = Adapter(nn.Linear(3, 3))
    f = r.compile(module)
    f(grid())
    for _ in range(2):
        module.merge()
        f(grid())
    r.see(module.layer.weight, module.merged)


class Decoder(nn.Module):
    """Writes keys into a table at a position that is a number."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.zeros(6, 3))
        self.position = 0

    def forward(self, x):
        n = x.shape[0]
        if self.position + n > len(self.table):
            self.table = torch.cat([self.table, torch.zeros_like(self.table)])
        self.table[self.position : self.position + n] = x
        self.position += n
        return self.table[: self.position].mean(0)


@odd
def decoder_fills_a_table(r):
    module = Decoder()
    f = r.compile(module)
    for n in (2, 1, 1, 2, 2):
        f(grid()[:n])
        r.see(module.position, module.table.shape)
    r.see(module.table)


class Meters(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(()))
        self.count = 0
        self.best = math.inf
        self.history = {}

    def forward(self, x, name="loss"):
        value = x.square().mean()
        self.total += value.detach()
        self.count += x.numel()
        self.best = min(self.best, value.item())
        self.history.setdefault(name, []).append(round(value.item(), 4))
        return value / self.count


@odd
def meters_of_a_loss(r):
    module = Meters()
    f = r.compile(module)
    f(grid())
    f(grid() * 0.1, name="small")
    f(grid())
    r.see(module.total, module.count, module.best, module.history)


@odd
def augmentation_by_chance(r):
    def flip(x):
        return x.flip(-1)

    def noise(x):
        return x + torch.randn_like(x) * 0.1

    def scale(x):
        return x * random.uniform(0.9, 1.1)

    def f(x, p):
        used = []
        for step in random.sample([flip, noise, scale], k=2):
            if random.random() < p:
                x = step(x)
                used.append(step.__name__)
        if np.random.rand() > 0.5:
            used.append("mix")
            x = x.roll(1, 0)
        return x, used

    f = r.compile(f)
    for _ in range(4):
        f(grid(), 0.7)


@odd
def sampler_with_temperature(r):
    generator = torch.Generator().manual_seed(3)

    def f(logits, temperature, k):
        if temperature == 0:
            return logits.argmax(-1)
        values, places = (logits / temperature).topk(k)
        chosen = torch.multinomial(values.softmax(-1), 1, generator=generator)
        return places.gather(-1, chosen).squeeze(-1)

    f = r.compile(f)
    f(grid(), 1.0, 2)
    f(grid(), 0.5, 3)
    f(grid(), 0, 3)
    f(grid(), 1.0, 2)
    r.see(generator.get_state().sum())


@odd
def schedule_of_a_closure(r):
    steps = [0]

    def rate():
        steps[0] += 1
        warm = min(1.0, steps[0] / 3)
        return warm * 0.5 * (1 + math.cos(math.pi * steps[0] / 10))

    f = r.compile(lambda x: x * rate())
    for _ in range(5):
        f(grid())
    r.see(steps)


@odd
def layers_dropped_by_position(r):
    torch.manual_seed(0)
    blocks = nn.ModuleList([nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)) for _ in range(3)])

    def f(x, keep):
        outputs = {}
        for name, block in blocks.named_children():
            if int(name) not in keep:
                continue
            x = x + block(x)
            outputs[name] = x
        return x, outputs

    f = r.compile(f)
    f(grid(), [0, 1, 2])
    f(grid(), {1})
    blocks.eval()
    f(grid(), (2, 0))
    blocks[2].train()
    f(grid(), (2, 0))


@odd
def checkpointed_with_state(r):
    torch.manual_seed(0)
    layer, calls = nn.Linear(3, 3), []

    def block(x):
        calls.append(x.shape[0])
        return F.dropout(layer(x).tanh(), 0.5)

    f = r.compile(lambda x: checkpoint(block, x, use_reentrant=False) + 1)
    f(grid())
    if r.way != "step":
        f(grid().requires_grad_())
    r.see(len(calls) > 0)


@odd
def weights_are_averaged(r):
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    average = torch.optim.swa_utils.AveragedModel(module)

    def f(x):
        y = module(x)
        average.update_parameters(module)
        return y, average(x)

    f = r.compile(f)
    f(grid())
    with torch.no_grad():
        module.weight.add_(1)
    f(grid())
    r.see(average.n_averaged, dict(average.state_dict()))


@odd
def hooks_collect_activations(r):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    kept, handles = {}, []

    @contextlib.contextmanager
    def watching(*names):
        for name in names:
            layer = module.get_submodule(name)
            handles.append(layer.register_forward_hook(lambda m, a, y, name=name: kept.__setitem__(name, y.detach())))
        try:
            yield kept
        finally:
            while handles:
                handles.pop().remove()

    f = r.compile(module)
    f(grid())
    with watching("0", "2"):
        f(grid())
    r.see(dict(kept))
    kept.clear()
    f(grid())
    with watching("1"):
        f(-grid())
    r.see(kept)


@odd
def state_dict_hooks_and_casts(r):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    f = r.compile(module)
    f(grid())
    saved = copy.deepcopy(module.state_dict())
    module.double()
    f(grid().double())
    module.float()
    module.load_state_dict({k: v * 2 for k, v in saved.items()})
    f(grid())
    module.load_state_dict(saved, assign=True)
    f(grid())
    module.apply(lambda layer: nn.init.ones_(layer.weight) if hasattr(layer, "weight") else None)
    f(grid())


@odd
def loss_with_moving_weights(r):
    weights = torch.ones(3)

    def f(x, target):
        nonlocal weights
        loss = F.cross_entropy(x, target, weight=weights, label_smoothing=0.1)
        counts = torch.bincount(target, minlength=3)
        weights = weights * 0.9 + counts * 0.1
        return loss

    f = r.compile(f)
    for target in ([0, 1], [2, 2], [1, 1]):
        f(grid(), torch.tensor(target))
    r.see(weights)


@odd
def warnings_of_losses(r):
    def f(x, y):
        return F.mse_loss(x, y), F.kl_div(x.log_softmax(-1), x.softmax(-1))

    f = r.compile(f)
    f(grid(), grid())
    f(grid(), torch.ones(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(grid(), torch.ones(3))


@odd
def optimizer_inside_of_the_function(r):
    if r.way == "step":
        f = r.compile(lambda x: x * 2)
        f(grid())
        return
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)

    def f(x):
        optimizer.zero_grad()
        loss = (x @ w - 1).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach(), w.grad.clone()

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    optimizer.param_groups[0]["lr"] = 0.0
    f(grid())
    r.see(w.detach(), len(optimizer.state))


@odd
def adversarial_step_on_the_input(r):
    torch.manual_seed(0)
    module = nn.Linear(3, 1)

    def f(x, eps):
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_(True)
            slope = torch.autograd.grad(module(leaf).sum(), leaf)[0]
        attacked = (x + eps * slope.sign()).clamp(0, 5).detach()
        return module(attacked), attacked.requires_grad

    f = r.compile(f)
    f(grid(), 0.1)
    f(grid(), 0.5)


@odd
def recurrent_state_carried_by_hand(r):
    torch.manual_seed(0)
    cell = nn.GRUCell(3, 4)
    state = types.SimpleNamespace(h=None, steps=0)

    def f(x, done):
        if state.h is None or done:
            state.h = x.new_zeros(x.shape[0], 4)
        state.h = cell(x, state.h.detach())
        state.steps += 1
        return state.h * 2

    f = r.compile(f)
    f(grid(), False)
    f(grid(), False)
    f(grid(), True)
    f(grid()[:1], True)
    r.see(state.h, state.steps)


@odd
def masks_built_once_and_shared(r):
    masks = {}

    class Attention(nn.Module):
        def __init__(self, heads):
            super().__init__()
            self.heads = heads

        def forward(self, x):
            n = x.shape[0]
            key = (self.heads, n)
            if key not in masks:
                masks[key] = torch.full((n, n), -math.inf).triu(1)
            return F.softmax(x @ x.t() + masks[key], -1) @ x

    module = nn.Sequential(Attention(1), Attention(2), Attention(1))
    f = r.compile(module)
    f(grid())
    f(torch.ones(4, 3))
    masks[1, 2].zero_()
    f(grid())
    r.see(masks)


@odd
def distributions_of_torch(r):
    def f(x, scale):
        normal = torch.distributions.Normal(x, scale)
        drawn = normal.rsample()
        categorical = torch.distributions.Categorical(logits=x)
        return drawn, normal.log_prob(drawn), categorical.sample(), categorical.entropy(), repr(normal)[:6]

    f = r.compile(f)
    f(grid(), 1.0)
    f(grid(), torch.full((3,), 0.5))
    f(grid(), -1.0)


@odd
def inference_mode_around_a_part(r):
    torch.manual_seed(0)
    module = nn.Linear(3, 3)

    @torch.inference_mode()
    def features(x):
        return module(x).relu()

    def f(x):
        y = features(x)
        return y + 0, y.is_inference(), torch.is_inference_mode_enabled()

    f = r.compile(f)
    f(grid())
    if r.way != "step":
        f(grid().requires_grad_())


@odd
def arrays_of_arguments_become_tensors(r):
    def f(batch):
        tensors = {k: torch.as_tensor(v) for k, v in batch.items()}
        scale = np.float32(batch["x"].mean())
        return tensors["x"] * scale, tensors["y"].dtype, float(scale), np.asarray(tensors["x"]).sum().dtype.name

    f = r.compile(f)
    f({"x": np.ones((2, 3), np.float32), "y": [1, 2]})
    f({"x": np.arange(6.0), "y": [1.0]})


@odd
def parameters_made_in_the_forward(r):
    class Grows(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.ParameterDict()

        def forward(self, x, name):
            if name not in self.weights:
                self.weights[name] = nn.Parameter(torch.full((3,), float(len(self.weights) + 1)))
                self.register_buffer(f"seen_{name}", torch.tensor(x.shape[0]))
            return x * self.weights[name]

    module = Grows()
    f = r.compile(module)
    for name in ("a", "b", "a"):
        f(grid(), name)
    r.see(dict(module.state_dict()))
