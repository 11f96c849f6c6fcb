"""Modules that change between calls: hooks, lists, modes, sharing, buffers, their own forward."""

from __future__ import annotations

import functools

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def filled(module, value=0.25):
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.full_like(p, value) + torch.arange(p.numel()).reshape(p.shape) * 0.01)
    return module


@odd
def hooks_come_and_go_modules(r):
    log = []
    net = filled(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)))
    g = r.compile(net)
    g(grid())
    h = net[0].register_forward_hook(lambda m, a, o: log.append(tuple(o.shape)) or o * 2)
    g(grid())
    p = net[2].register_forward_pre_hook(lambda m, a: (a[0] + 1,))
    g(grid())
    k = net.register_forward_hook(lambda m, a, kw, o: o - 1, with_kwargs=True)
    g(grid())
    for handle in (h, p, k):
        handle.remove()
        g(grid())
    r.see(log, net)


@odd
def full_backward_hooks(r):
    log = []
    net = filled(nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)))
    net[0].register_full_backward_hook(lambda m, gi, go: log.append(("0", tuple(go[0].shape))))
    net[2].register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
    net[0].weight.register_hook(lambda g: g * 3)
    g = r.compile(net)
    y = g(grid())
    if r.way != "step":
        y.sum().backward()
        r.see([p.grad for p in net.parameters()])
    g(grid(0.5))
    r.see(log, net)


@odd
def list_grows(r):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([filled(nn.Linear(3, 3))])
            self.by_name = nn.ModuleDict({"a": filled(nn.Linear(3, 3), 0.1)})
            self.skip = set()

        def forward(self, x):
            for i, layer in enumerate(self.layers):
                if i not in self.skip:
                    x = layer(x)
            for name, layer in self.by_name.items():
                x = x + layer(x) * len(name)
            return x

    net = Net()
    g = r.compile(net)
    g(grid())
    if r.way != "step":
        net.layers.append(filled(nn.Linear(3, 3), 0.3))
        g(grid())
        net.by_name["long"] = filled(nn.Linear(3, 3), 0.2)
        g(grid())
        del net.layers[0]
        g(grid())
        net.by_name.pop("a")
        g(grid())
    net.skip.add(0)
    g(grid())
    r.see(sorted(net.state_dict()))


@odd
def train_eval_and_norm(r):
    net = nn.Sequential(filled(nn.Linear(3, 4)), nn.BatchNorm1d(4), nn.Dropout(0.5))
    g = r.compile(net)
    g(grid())
    g(grid(0.1))
    net.eval()
    g(grid())
    net[2].train()
    g(grid())
    net.train()
    net[1].momentum = None
    g(grid())
    net[1].eval()
    g(grid())
    r.see(net, net[1].num_batches_tracked)


@odd
def parameters_shared(r):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = filled(nn.Linear(3, 3, bias=False))
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight
            self.c = self.a

        def forward(self, x):
            return self.b(self.a(x)) + self.c(x) + x @ self.a.weight.t()

    net = Tied()
    g = r.compile(net)
    g(grid())
    g(grid())
    r.see(net, net.b.weight is net.a.weight)
    if r.way != "step":
        net.b.weight = nn.Parameter(torch.ones(3, 3))
        g(grid())
        net.c = filled(nn.Linear(3, 3), 0.9)
        g(grid())
        r.see(net)


@odd
def forward_reassigned(r):
    net = filled(nn.Linear(3, 3))
    g = r.compile(net)
    g(grid())
    old = net.forward
    net.forward = lambda x: old(x) * 2
    g(grid())
    net.forward = functools.partial(lambda scale, x: old(x) * scale, 3)
    g(grid())
    del net.forward
    g(grid())
    net.__class__.extra = 1
    g(grid())
    del net.__class__.extra


@odd
def data_swapped(r):
    net = filled(nn.Linear(3, 2))
    g = r.compile(net)
    g(grid())
    net.weight.data = torch.ones(2, 3)
    g(grid())
    with torch.no_grad():
        net.bias.copy_(torch.tensor([5.0, 6.0]))
    g(grid())
    net.load_state_dict({"weight": torch.eye(2, 3), "bias": torch.zeros(2)})
    g(grid())
    net.weight.data.mul_(2)
    g(grid())
    torch.nn.init.constant_(net.bias, -1)
    g(grid())
    r.see(net)


@odd
def buffers_and_plain_tensors(r):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("queue", torch.zeros(4, 3))
            self.register_buffer("ptr", torch.zeros(1, dtype=torch.long), persistent=False)
            self.plain = torch.ones(3)
            self.ema = None

        def forward(self, x):
            ptr = int(self.ptr)
            n = x.shape[0]
            self.queue[ptr : ptr + n] = x.detach()
            self.ptr[0] = (ptr + n) % 4
            mean = x.detach().mean(0)
            self.ema = mean if self.ema is None else 0.5 * self.ema + 0.5 * mean
            self.plain += 1
            return x @ self.queue.t() + self.plain.sum() + self.ema.sum()

    net = Net()
    g = r.compile(net)
    for s in (1.0, 2.0, 3.0):
        g(grid(s))
    r.see(net, net.ptr, net.ema, net.plain)


@odd
def state_dict_inside(r):
    net = filled(nn.Linear(3, 3))
    teacher = filled(nn.Linear(3, 3), 0.0)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.teacher = net, teacher.requires_grad_(False)

        def forward(self, x):
            with torch.no_grad():
                for (name, p), q in zip(self.net.named_parameters(), self.teacher.parameters(), strict=True):
                    q.lerp_(p, 0.5 if name == "weight" else 0.1)
                target = self.teacher(x)
            return self.net(x) - target

    g = r.compile(Both())
    for _ in range(3):
        g(grid())
    r.see(net, teacher)
