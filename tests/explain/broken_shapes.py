"""Broken programs: shapes that do not go together."""

import torch
from torch import nn

from tests.explain.program import broken, grid

# -- matrix products ----------


@broken("Shape Error", "nn.Linear(4, 3)", lambda: {"fc": nn.Linear(6, 3)}, layer="fc")
def linear_width(self, x):
    return self.fc(x)  # here


@broken("Shape Error", "self.fc(x.transpose(-2, -1))", lambda: {"fc": nn.Linear(2, 3)}, layer="fc")
def linear_turned(self, x):
    return self.fc(x)  # here


@broken("Shape Error", "x.flatten(1)", lambda: {"fc": nn.Linear(48, 3)}, lambda: (grid(2, 3, 4, 4),), "fc")
def linear_not_flattened(self, x):
    return self.fc(x)  # here


@broken(
    "Shape Error",
    "nn.Linear(3, 5)",
    lambda: {"body": nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(7, 5))},
    layer="body.2",
)
def linear_in_a_sequential(self, x):
    return self.body(x)  # here


@broken("Shape Error", "q @ k.transpose(-2, -1)", inputs=lambda: (grid(2, 5, 8), grid(2, 5, 8)))
def scores_not_transposed(self, q, k):
    return (q @ k).softmax(-1)  # here


@broken("Shape Error", "k.transpose(-2, -1)", inputs=lambda: (grid(2, 3, 5, 8), grid(2, 3, 7, 8)))
def matmul_function(self, q, k):
    return torch.matmul(q, k)  # here


@broken("Shape Error", "b.unsqueeze(1)", inputs=lambda: (grid(2, 3, 5, 8), grid(2, 8, 4)))
def matmul_batches(self, a, b):
    return a @ b  # here


@broken("Shape Error", "torch.matmul(a, b)", inputs=lambda: (grid(2, 3, 4), grid(4, 5)))
def mm_of_a_batch(self, a, b):
    return torch.mm(a, b)  # here


@broken("Shape Error", "b.transpose(-2, -1)", inputs=lambda: (grid(2, 3, 4), grid(2, 5, 4)))
def bmm_inner(self, a, b):
    return torch.bmm(a, b)  # here


@broken("Shape Error", "x * scale", inputs=lambda: (grid(2, 4), torch.tensor(2.0)))
def matmul_by_a_number(self, x, scale):
    return x @ scale  # here


@broken("Shape Error", "k.transpose(1, 2)", inputs=lambda: (grid(2, 5, 8), grid(2, 8, 7)))
def einsum_letters(self, q, k):
    return torch.einsum("bid,bjd->bij", q, k)  # here


@broken("Shape Error", "'abcd' in place of 'bid'", inputs=lambda: (grid(2, 3, 5, 8), grid(2, 7, 8)))
def einsum_dims(self, q, k):
    return torch.einsum("bid,bjd->bij", q, k)  # here


@broken("Argument Error", "torch.einsum", inputs=lambda: (grid(2, 3),))
def einsum_terms(self, q):
    return torch.einsum("ij,jk->ik", q)  # here


@broken("Shape Error", "with 4 instead of 5 rows", inputs=lambda: (grid(3), grid(2, 4), grid(5, 3)), first=False)
def addmm_inner(self, beta, x, w):
    return torch.addmm(beta, x, w)  # here


@broken(
    "Shape Error",
    "nn.Bilinear(4, 3, 2)",
    lambda: {"mix": nn.Bilinear(5, 3, 2)},
    lambda: (grid(2, 4), grid(2, 3)),
    "mix",
)
def bilinear(self, x, y):
    return self.mix(x, y)  # here


# -- element by element ----------


@broken("Shape Error", "b.unsqueeze(-1)", inputs=lambda: (grid(4, 3), grid(4)))
def add_a_row_for_a_column(self, a, b):
    return a + b  # here


@broken("Shape Error", "b.transpose(-2, -1)", inputs=lambda: (grid(4, 3), grid(3, 4)))
def multiply_turned(self, a, b):
    return a * b  # here


@broken("Shape Error", "b[:4]", inputs=lambda: (grid(4), grid(5)))
def subtract_lengths(self, a, b):
    return torch.sub(a, b)  # here


@broken("Shape Error", "mask.unsqueeze(1)", inputs=lambda: (grid(2, 3, 5, 5), grid(2, 5, 5) > 0))
def where_mask(self, x, mask):
    return torch.where(mask, x, 0.0)  # here


@broken("Shape Error", "x = x + torch.cat([y, y])", inputs=lambda: (torch.zeros(4), grid(1, 4)))
def add_in_place_grows(self, x, y):
    x = x.clone()
    x += torch.cat([y, y])  # here
    return x


@broken("Shape Error", "x.transpose(-2, -1)", inputs=lambda: (grid(3, 2), grid(2, 3)), first=False)
def compare_shapes(self, x, y):
    return (x == y).float()  # here


@broken("Shape Error", "bias.unsqueeze(-1)", inputs=lambda: (grid(2, 3, 8, 8), grid(2, 3, 1)), first=False)
def image_bias(self, x, bias):
    return torch.add(x, bias)  # here


@broken("Shape Error", "mask.unsqueeze(1)", inputs=lambda: (grid(2, 3, 5, 5), grid(2, 5, 5) > 0))
def masked_fill_shape(self, scores, mask):
    return scores.masked_fill(mask, float("-inf"))  # here


@broken("Dtype Error", "mask.bool()", inputs=lambda: (grid(2, 5), grid(2, 5).long()))
def masked_fill_dtype(self, scores, mask):
    return scores.masked_fill(mask, 0.0)  # here


# -- side by side ----------


@broken("Shape Error", "torch.cat([a, b], dim=1)", inputs=lambda: (grid(2, 3), grid(2, 4)))
def cat_along_the_wrong_dim(self, a, b):
    return torch.cat([a, b])  # here


@broken("Shape Error", "unsqueeze", inputs=lambda: (grid(2, 3), grid(3)))
def cat_other_rank(self, a, b):
    return torch.cat((a, b), dim=0)  # here


@broken("Index Error", "dim=-1", inputs=lambda: (grid(2, 3), grid(2, 3)))
def cat_dim_out_of_range(self, a, b):
    return torch.cat([a, b], dim=2)  # here


@broken("Argument Error", "if rows else", inputs=lambda: (grid(2, 3),))
def cat_of_nothing(self, x):
    rows = [row for row in x if row.shape[0] > 5]
    return torch.cat(rows)  # here


@broken("Argument Error", "torch.cat([a, b])", inputs=lambda: (grid(2, 3), grid(2, 3)))
def cat_without_a_list(self, a, b):
    return torch.cat(a, b)  # here


@broken("Shape Error", "pad_sequence", inputs=lambda: (grid(3, 4), grid(5, 4)), first=False)
def stack_of_lengths(self, a, b):
    return torch.stack([a, b])  # here


@broken("Shape Error", "torch.cat([a, b], dim=1)", inputs=lambda: (grid(2, 3), grid(2, 4)))
def hstack_or_stack(self, a, b):
    return torch.stack((a, b), dim=1)  # here


@broken("Shape Error", "torch.stack([a, b])", inputs=lambda: (torch.tensor(1.0), torch.tensor(2.0)))
def cat_of_numbers(self, a, b):
    return torch.cat([a, b])  # here


# -- shapes ----------


@broken("Shape Error", "x.view(2, -1)", inputs=lambda: (grid(2, 3, 4, 4),))
def view_sizes(self, x):
    return x.view(2, 50)  # here


@broken("Shape Error", "x.view(2, -1)", inputs=lambda: (grid(2, 3, 4, 4),))
def view_leftover(self, x):
    return x.view(-1, 50)  # here


@broken("Shape Error", "reshape(2, 12)", inputs=lambda: (grid(2, 3, 4),))
def view_of_a_transposed(self, x):
    y = x.transpose(1, 2)
    return y.view(2, 12)  # here


@broken("Shape Error", "x.reshape(", inputs=lambda: (grid(2, 12),))
def reshape_two_unknown(self, x):
    return x.reshape(-1, 3, -1)  # here


@broken("Shape Error", "x.reshape(2, -1)", inputs=lambda: (grid(2, 12),))
def reshape_by_a_tuple(self, x):
    return torch.reshape(x, (2, 5))  # here


@broken("Shape Error", "unsqueeze(-1)", inputs=lambda: (grid(4),))
def expand_sizes(self, x):
    return x.expand(4, 3)  # here


@broken("Shape Error", "expand(2, 3, 4)", inputs=lambda: (grid(2, 3, 4),))
def expand_fewer(self, x):
    return x.expand(3, 4)  # here


@broken("Shape Error", "permute(0, 2, 1)", inputs=lambda: (grid(2, 3, 4),))
def permute_fewer(self, x):
    return x.permute(1, 0)  # here


@broken("Shape Error", "x.unsqueeze(0).permute(0, 3, 1, 2)", inputs=lambda: (grid(5, 4, 3),), first=False)
def permute_more(self, x):
    return x.permute(0, 3, 1, 2)  # here


@broken("Index Error", "x.transpose(1, -1)", inputs=lambda: (grid(2, 3),))
def transpose_dim(self, x):
    return x.transpose(1, 2)  # here


@broken("Index Error", "x.softmax(-1)", inputs=lambda: (grid(2, 3),))
def softmax_dim(self, x):
    return x.softmax(2)  # here


@broken("Index Error", "x.mean(dim=-1)", inputs=lambda: (grid(2, 3),))
def mean_dim(self, x):
    return x.mean(dim=2)  # here


@broken("Index Error", "-1", inputs=lambda: (grid(2, 3),))
def squeeze_dim(self, x):
    return x.squeeze(3)  # here


@broken("Shape Error", "x.split([3, 1], 1)", inputs=lambda: (grid(2, 4),))
def split_sizes(self, x):
    return x.split([3, 2], 1)  # here


@broken("Shape Error", "x.unflatten(1, [-1, 4])", inputs=lambda: (grid(2, 12),))
def unflatten_sizes(self, x):
    return x.unflatten(1, (2, 4))  # here


@broken("Value Error", "b, t = x.shape", inputs=lambda: (grid(3, 4),))
def unpack_a_shape(self, x):
    b, t = x  # here
    return x.view(b * t)
