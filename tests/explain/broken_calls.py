"""Broken programs: dtypes, devices, gradients and calls."""

import torch
from torch import nn

from tests.explain.program import broken, grid

# -- dtypes and devices ----------


@broken("Dtype Error", "x.float()", lambda: {"fc": nn.Linear(4, 3)}, lambda: (grid().double(),), "fc")
def double_input(self, x):
    return self.fc(x)  # here


@broken(
    "Dtype Error",
    "tokens.float()",
    lambda: {"fc": nn.Linear(4, 3)},
    lambda: (torch.ones(2, 4, dtype=torch.int64),),
    "fc",
)
def integer_input(self, tokens):
    return self.fc(tokens)  # here


@broken(
    "Dtype Error",
    "x.float()",
    lambda: {"conv": nn.Conv2d(3, 8, 3)},
    lambda: (torch.zeros(1, 3, 8, 8, dtype=torch.uint8),),
    "conv",
)
def image_of_bytes(self, x):
    return self.conv(x)  # here


@broken("Dtype Error", "b.float()", inputs=lambda: (grid(2, 2), grid(2, 2).double()))
def matmul_dtypes(self, a, b):
    return a @ b  # here


@broken("Dtype Error", "x.float()", inputs=lambda: (torch.arange(6).reshape(2, 3),))
def mean_of_integers(self, x):
    return x.mean()  # here


@broken("Dtype Error", "x.float()", inputs=lambda: (torch.arange(6).reshape(2, 3),))
def softmax_of_integers(self, x):
    return torch.softmax(x, -1)  # here


@broken("Dtype Error", "~mask", inputs=lambda: (torch.tensor([True, False]),))
def minus_a_mask(self, mask):
    return -mask  # here


@broken(
    "Dtype Error", "mask.float()", inputs=lambda: (torch.tensor([True, False]), torch.tensor([True, True])), first=False
)
def difference_of_masks(self, mask, other):
    return mask - other  # here


@broken("Dtype Error", "counts.float()", inputs=lambda: (torch.tensor([1, 2]), grid(2)))
def divide_in_place(self, counts, x):
    counts = counts.clone()
    counts /= x  # here
    return counts


@broken("Dtype Error", "x.bool()", inputs=lambda: (grid(4),))
def invert_floats(self, x):
    return ~x  # here


@broken("Device Error", "a.to('meta')", inputs=lambda: (grid(2, 2), torch.empty(2, 2, device="meta")))
def two_devices(self, a, b):
    return torch.cat([a, b])  # here


# -- gradients ----------


@broken("Gradient Error", "torch.no_grad()", lambda: {"fc": nn.Linear(4, 3)})
def leaf_in_place(self, x):
    self.fc.weight += 1  # here
    return self.fc(x)


@broken("Gradient Error", "y.mean().backward()", lambda: {"fc": nn.Linear(4, 3)})
def backward_of_several(self, x):
    y = self.fc(x)
    y.backward()  # here
    return y


@broken("Gradient Error", "retain_graph=True", lambda: {"fc": nn.Linear(4, 3)}, first=False)
def backward_twice(self, x):
    y = self.fc(x).square().sum()
    y.backward()
    y.backward()  # here
    return y


@broken("Gradient Error", "without .detach()", lambda: {"fc": nn.Linear(4, 3)})
def backward_of_nothing(self, x):
    y = self.fc(x).detach().sum()
    y.backward()  # here
    return y


@broken("Gradient Error", "y = y + z", lambda: {"fc": nn.Linear(4, 3)})
def modified_in_place(self, x):
    y = self.fc(x).sigmoid()
    z = y.square().sum()
    y += 1
    z.backward()  # here
    return z


@broken("Gradient Error", "is not None", lambda: {"fc": nn.Linear(4, 3)})
def no_gradient_yet(self, x):
    return self.fc(x) * self.fc.weight.grad.norm()  # here


@broken("Gradient Error", "detach().numpy()", lambda: {"fc": nn.Linear(4, 3)})
def numpy_of_a_result(self, x):
    return self.fc(x).numpy()  # here


@broken("Dtype Error", "float().requires_grad_()", inputs=lambda: (torch.tensor([1, 2]),))
def gradient_of_integers(self, x):
    return x.requires_grad_()  # here


@broken("Gradient Error", "allow_unused=True", lambda: {"fc": nn.Linear(4, 3)})
def gradient_of_the_unused(self, x):
    return torch.autograd.grad(self.fc(x).sum(), self.anchor.weight)  # here


# -- calls ----------


@broken("Argument Error", "self.fc(input)", lambda: {"fc": nn.Linear(4, 3)})
def too_many_arguments(self, x):
    return self.fc(x, x)  # here


@broken("Argument Error", "self.fc(input)", lambda: {"fc": nn.Linear(4, 3)})
def too_few_arguments(self, x):
    return self.fc()  # here


@broken("Argument Error", "key_padding_mask=", lambda: {"attn": nn.MultiheadAttention(4, 2)}, lambda: (grid(5, 2, 4),))
def unknown_keyword(self, x):
    return self.attn(x, x, x, padding_mask=None)[0]  # here


@broken("Argument Error", "torch.stack(xs)", lambda: {"fc": nn.Linear(4, 3)}, layer="fc", first=False)
def list_of_tensors(self, x):
    xs = [x, x]
    return self.fc(xs)  # here


@broken("Argument Error", "return", lambda: {"fc": nn.Linear(4, 3)}, layer="fc")
def forgotten_return(self, x):
    def half(x):
        x / 2

    h = half(x)
    return self.fc(h)  # here


@broken("Argument Error", "torch.from_numpy(x)", lambda: {"fc": nn.Linear(4, 3)}, lambda: (grid().numpy(),), "fc")
def array_of_numpy(self, x):
    return self.fc(x)  # here


@broken("Attribute Error", "self.fc1", lambda: {"fc1": nn.Linear(4, 3)})
def layer_name(self, x):
    return self.fcl(x)  # here


@broken("Attribute Error", "x.unsqueeze(dim)", inputs=lambda: (grid(),))
def tensor_method(self, x):
    return x.expand_dims(1)  # here


@broken("Value Error", ".any()", inputs=lambda: (grid(),), first=False)
def truth_of_several(self, x):
    if x > 0:  # here
        return x
    return -x


@broken("Value Error", ".mean().item()", inputs=lambda: (grid(),))
def number_of_several(self, x):
    return float(x)  # here


@broken("Shape Error", "unsqueeze(0)", inputs=lambda: (torch.tensor(1.0),))
def loop_over_a_number(self, x):
    return [row for row in x]  # here  # noqa: C416 - a loop
