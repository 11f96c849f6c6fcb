"""Modules: attributes, buffers, lists and hooks that change between calls."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 3)
        self.scale, self.act, self.extra = 1.0, torch.tanh, None
        self.register_buffer("count", torch.zeros(()))
        self.layers = nn.ModuleList([nn.Linear(3, 3)])
        self.seen = []

    def forward(self, x):
        self.count += 1
        y = self.b(self.act(self.a(x))) * self.scale
        for layer in self.layers:
            y = layer(y)
        if self.training:
            y = y + 1
        if self.extra is not None:
            y = y + self.extra
        return y


@odd
def attribute_of_a_module(r):
    net = Net()
    f = r.compile(net)
    for net.scale in (1.0, 2.0, 3, torch.tensor(4.0), True):
        f(grid())
    r.see(net.count)


@odd
def function_on_a_module_replaced(r):
    net = Net()
    f = r.compile(net)
    for net.act in (torch.tanh, torch.relu, lambda x: x * 2, nn.GELU(), F.silu):
        f(grid())


@odd
def training_flag(r):
    net = Net()
    f = r.compile(net)
    for mode in (True, False, True):
        net.train(mode)
        f(grid())
    net.a.training = False
    f(grid())


@odd
def buffer_reassigned(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.count = torch.tensor(10.0)
    f(grid())
    net.count = torch.zeros(3)
    f(grid())
    r.see(net.count)


@odd
def parameter_replaced(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.a.weight = nn.Parameter(torch.ones(4, 3))
    f(grid())
    net.a.weight.data.zero_()
    f(grid())
    net.a.bias = None
    f(grid())
    with torch.no_grad():
        net.b.weight.fill_(2)
    f(grid())
    r.see(net)


@odd
def parameter_frozen(r):
    net = Net()
    f = r.compile(net)
    x = grid().requires_grad_()
    f(x)
    net.a.weight.requires_grad_(False)
    f(x)
    net.requires_grad_(False)
    f(x)
    net.requires_grad_(True)
    f(x)


@odd
def module_list_edited(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.layers.append(nn.Linear(3, 3))
    f(grid())
    net.layers[0] = nn.Identity()
    f(grid())
    del net.layers[1]
    f(grid())
    net.layers.insert(0, nn.Tanh())
    f(grid())


@odd
def layer_replaced(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.a = nn.Linear(3, 4, bias=False)
    f(grid())
    net.a = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    f(grid())
    net.add_module("a", nn.Linear(3, 4))
    f(grid())


@odd
def extra_changes_type(r):
    net = Net()
    f = r.compile(net)
    for net.extra in (None, 1.0, torch.ones(3), None, 2):
        f(grid())


@odd
def forward_replaced_on_the_object(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.forward = lambda x: x * 100
    f(grid())
    del net.forward
    f(grid())
    net.a.forward = lambda x: torch.ones(2, 4)
    f(grid())


@odd
def forward_replaced_on_the_class(r):
    class Own(nn.Module):
        def forward(self, x):
            return x * 2

    net = Own()
    f = r.compile(net)
    f(grid())
    Own.forward = lambda self, x: x * 3
    f(grid())


@odd
def hooks_come_and_go(r):
    net, log = Net(), []
    f = r.compile(net)
    f(grid())
    one = net.a.register_forward_hook(lambda m, i, o: o * 2)
    f(grid())
    two = net.register_forward_pre_hook(lambda m, i: log.append("pre") or (i[0] + 1,))
    f(grid())
    one.remove()
    f(grid())
    two.remove()
    three = net.b.register_full_backward_hook(lambda m, gi, go: log.append("back"))
    f(grid().requires_grad_())
    three.remove()
    f(grid())
    r.see(log)


@odd
def hook_for_all_modules(r):
    net, log = Net(), []
    f = r.compile(net)
    f(grid())
    handle = nn.modules.module.register_module_forward_hook(
        lambda m, i, o: log.append(type(m).__name__) if isinstance(m, nn.Linear) else None
    )
    f(grid())
    handle.remove()
    f(grid())
    r.see(log)


@odd
def hook_that_keeps_activations(r):
    net, kept = Net(), {}
    net.a.register_forward_hook(lambda m, i, o: kept.__setitem__("a", o.detach()))
    f = r.compile(net)
    for _ in range(3):
        f(grid())
        r.see(kept)


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.calls, self.history, self.last = nn.Linear(3, 3), 0, [], None

    def forward(self, x):
        self.calls += 1
        y = self.layer(x) * self.calls
        self.history.append(self.calls)
        if self.last is not None:
            y = y + self.last.detach()
        self.last = y
        return y


@odd
def module_that_remembers(r):
    net = Stateful()
    f = r.compile(net)
    for _ in range(4):
        f(grid())
        r.see(net.calls, net.history, net.last)
    net.last = None
    f(grid())


class Dynamic(nn.Module):
    def __init__(self):
        super().__init__()
        self.names = ["a", "b"]
        self.a, self.b, self.c = nn.Linear(3, 3), nn.Tanh(), nn.ReLU()

    def forward(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x

    def __getattr__(self, name):
        if name == "missing":
            return nn.Identity()
        return super().__getattr__(name)


@odd
def module_with_getattr(r):
    net = Dynamic()
    f = r.compile(net)
    f(grid())
    net.names.append("missing")
    f(grid())
    net.names = ["c"]
    f(grid())
    net.names[0] = "nowhere"
    f(grid())


class MakesLayers(nn.Module):
    def forward(self, x):
        if not hasattr(self, "layer"):
            self.layer = nn.Linear(x.shape[-1], 2)
        return self.layer(x)


@odd
def module_that_makes_layers(r):
    net = MakesLayers()
    f = r.compile(net)
    f(grid())
    f(grid())
    r.see([name for name, _ in net.named_parameters()])


@odd
def lazy_layer(r):
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    f = r.compile(lambda x: net(x))
    f(grid())
    f(grid())
    r.see([tuple(p.shape) for p in net.parameters()])


@odd
def batch_norm_statistics(r):
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))
    f = r.compile(net)
    f(grid())
    f(grid(2))
    net.eval()
    f(grid())
    net[0].momentum = None
    net.train()
    f(grid())
    net[0].track_running_stats = False
    f(grid())
    f(torch.ones(1, 3))
    r.see(net)


@odd
def dropout_of_a_module(r):
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 3))
    f = r.compile(net)
    f(grid())
    net[0].p = 0.1
    f(grid())
    net[0].p = 0
    f(grid())
    net.eval()
    f(grid())


@odd
def state_dict_loaded(r):
    net = Net()
    f = r.compile(net)
    before = copy.deepcopy(net.state_dict())
    f(grid())
    net.load_state_dict({k: v * 2 for k, v in before.items()})
    f(grid())
    net.load_state_dict(before, assign=True)
    f(grid())


@odd
def module_cast(r):
    net = nn.Linear(3, 3)
    f = r.compile(lambda x: net(x))
    f(grid())
    net.double()
    f(grid().double())
    f(grid())
    net.bfloat16()
    f(grid().bfloat16())
    net.float()
    f(grid())


@odd
def module_deep_copied(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    other = r.compile(copy.deepcopy(net))
    with torch.no_grad():
        net.a.weight.zero_()
    f(grid())
    other(grid())


@odd
def module_deep_copied_inside(r):
    net = nn.Linear(3, 3)

    def f(x):
        twin = copy.deepcopy(net)
        return twin(x) - net(x)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def shared_weights(r):
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    net = nn.Sequential(a, b)
    f = r.compile(net)
    f(grid())
    b.weight = a.weight
    f(grid())
    with torch.no_grad():
        a.weight.mul_(2)
    f(grid())
    b.weight = nn.Parameter(torch.ones(3, 3))
    f(grid())


@odd
def parametrized(r):
    net = nn.Linear(3, 3)
    f = r.compile(lambda x: net(x))
    f(grid())
    nn.utils.parametrizations.weight_norm(net)
    f(grid())
    nn.utils.parametrize.remove_parametrizations(net, "weight")
    f(grid())


@odd
def spectral_norm(r):
    net = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    f = r.compile(net)
    for mode in (True, True, False, True):
        net.train(mode)
        f(grid())
    r.see(net)


class Returns(nn.Module):
    def __init__(self):
        super().__init__()
        self.kind, self.w = 0, nn.Parameter(torch.ones(3))

    def forward(self, x, **options):
        y = x * self.w
        return [y, {"y": y, **options}, (y, [y]), None, "text", y.sum().item(), self, self.w][self.kind]


@odd
def output_changes_type(r):
    net = Returns()
    f = r.compile(net)
    for net.kind in range(8):
        f(grid(), a=1)


@odd
def parameters_edited_by_the_forward(r):
    net = nn.Linear(3, 3)

    def f(x):
        with torch.no_grad():
            net.weight.clamp_(-0.1, 0.1)
            net.bias.copy_(net.bias * 0.5)
        return net(x)

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(net)


@odd
def register_inside(r):
    class Own(nn.Module):
        def forward(self, x):
            self.register_buffer("mean", x.mean(0))
            return x - self.mean

    net = Own()
    f = r.compile(net)
    f(grid())
    f(grid(2))
    r.see(net)


@odd
def children_walked(r):
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 3)))

    def f(x):
        for name, module in net.named_modules():
            if isinstance(module, nn.Linear):
                x = module(x) + len(name)
        return x, sum(p.numel() for p in net.parameters()), [n for n, _ in net.named_parameters()]

    f = r.compile(f)
    f(grid())
    net.append(nn.Linear(3, 3))
    f(grid())


@odd
def parameter_list_and_dict(r):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.ps = nn.ParameterList([torch.ones(3), torch.ones(3) * 2])
            self.pd = nn.ParameterDict({"a": torch.ones(3)})
            self.md = nn.ModuleDict({"x": nn.Linear(3, 3)})

        def forward(self, x, key):
            for p in self.ps:
                x = x * p
            return self.md[key](x) + self.pd["a"]

    net = Own()
    f = r.compile(net)
    f(grid(), "x")
    net.md["y"] = nn.Identity()
    f(grid(), "y")
    net.pd["a"] = nn.Parameter(torch.zeros(3))
    net.ps.append(torch.ones(3) * 3)
    f(grid(), "x")
    f(grid(), "z")


@odd
def weights_swapped_between_calls(r):
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    f = r.compile(lambda m, x: m(x))
    f(a, grid())
    f(b, grid())
    f(a.double(), grid().double())
    f(nn.Identity(), grid())
    f(a.float(), grid())


@odd
def embedding_out_of_range(r):
    net = nn.Embedding(4, 3)
    f = r.compile(lambda i: net(i))
    f(torch.tensor([0, 3]))
    f(torch.tensor([4]))
    f(torch.tensor([-1]))
    f(torch.tensor([1]))


@odd
def wrong_shapes_given(r):
    net = nn.Linear(3, 2)
    f = r.compile(lambda x: net(x))
    f(grid())
    f(torch.ones(2, 4))
    f(torch.ones(2, 3, dtype=torch.int64))
    f("text")
    f()
    f(grid())


@odd
def recurrent_state(r):
    cell = nn.GRU(3, 4, batch_first=True)
    state = None

    def f(x):
        nonlocal state
        y, state = cell(x, state)
        state = state.detach()
        return y

    f = r.compile(f)
    for _ in range(3):
        f(torch.ones(2, 5, 3))
        r.see(state)
