"""Functions that own their layers, all of them right; decorated when asked for, as that checks them already."""

import tessera
from tessera.nn import functional as F
import torch
from tessera import Tensor, dims

B, S = dims("B S")


def perceptron_right(x: Tensor["B", 64]) -> Tensor["B", 10]:
    for width in (128, 32):
        x = tessera.nn.linear(x, width).relu()
    return tessera.nn.linear(x, 10, name="head")


def own_class_right(x: Tensor["B", "D_in", 512]) -> Tensor["B", "D_in", 128]:
    h = tessera.nn.Linear(512, 256)(x).relu()
    return tessera.nn.Linear(256, 128)(h)


def skip_right(x: Tensor["...", 64]) -> Tensor["...", 64]:
    return x + tessera.dropout(tessera.nn.linear(tessera.nn.linear(x, 256).relu(), 64), 0.1)


def conv_net_right(x: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
    for channels in (8, 16):
        x = F.max_pool2d(tessera.nn.batch_norm(tessera.nn.conv2d(x, channels, 3, padding=1)).relu(), 2)
    return tessera.nn.linear(x.flatten(1), 10)


def attention_own_right(x: Tensor[B, S, 64], heads: int = 4) -> Tensor[B, S, 64]:
    b, s, d = x.shape
    q, k, v = (tessera.nn.linear(x, d, bias=False).view(b, s, heads, -1).transpose(1, 2) for _ in range(3))
    mixed = F.scaled_dot_product_attention(q, k, v)
    return tessera.nn.linear(mixed.transpose(1, 2).reshape(b, s, d), d)


def stack_of_blocks_right(x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
    for _ in range(3):
        h = tessera.nn.rms_norm(x)
        x = x + tessera.nn.linear(F.silu(tessera.nn.linear(h, 96)) * tessera.nn.linear(h, 96), 32)
    return x


def text_right(ids: Tensor["B", "S", torch.int64]) -> Tensor["B", 5]:
    x = tessera.nn.embedding(ids, 100, 32)
    return tessera.nn.linear(tessera.nn.linear(x, 64).tanh().amax(dim=1), 5)


def series_right(x: Tensor["B", 4, "T"]) -> Tensor["B", 8, "T"]:
    x = tessera.nn.conv1d(x, 16, 5, padding=2).relu()
    return tessera.nn.conv1d(x, 8, 5, padding=2)


def gated_right(x: Tensor["B", "S", 32], context: Tensor["B", 16]) -> Tensor["B", "S", 32]:
    return x * tessera.nn.linear(context, 32).sigmoid().unsqueeze(1)


def block(x, width):
    return tessera.nn.layer_norm(x + tessera.nn.linear(tessera.nn.linear(x, width).relu(), x.shape[-1]))


def with_helper(x: Tensor["B", 24]) -> tuple[Tensor["B", 3], Tensor["B"]]:
    h = block(block(x, 48), 96)
    return tessera.nn.linear(h, 3), tessera.nn.linear(h, 1).squeeze(-1)


def loss_of_function(x: Tensor["B", 24], y: Tensor["B"]) -> Tensor[()]:
    return F.mse_loss(tessera.nn.linear(x, 1).squeeze(-1), y)


PROGRAMS = [
    lambda: tessera.function(perceptron_right),
    lambda: tessera.function(own_class_right),
    lambda: tessera.function(skip_right),
    lambda: tessera.function(conv_net_right),
    lambda: tessera.function(attention_own_right),
    lambda: tessera.function(stack_of_blocks_right),
    lambda: tessera.function(text_right),
    lambda: tessera.function(series_right),
    lambda: tessera.function(gated_right),
    lambda: tessera.function(with_helper),
    lambda: tessera.function(loss_of_function),
]
