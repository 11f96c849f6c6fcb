"""Functions that own their layers, each with one bug of shape; decorated when asked for, as that may raise already."""

import tessera
from tessera.nn import functional as F
import torch
from tessera import Tensor, dims

B, S = dims("B S")


def perceptron(x: Tensor["B", 64]) -> Tensor["B", 10]:
    x = tessera.nn.linear(x, 128).relu()
    x = tessera.nn.linear(x, 32).relu()
    return tessera.nn.linear(x, 12)  # BUG


def own_class(x: Tensor["B", 512]) -> Tensor["B", 128]:
    h = tessera.nn.Linear(512, 256)(x).relu()
    return tessera.nn.Linear(512, 128)(h)  # BUG


def skip(x: Tensor["B", 64]) -> Tensor["B", 64]:
    h = tessera.nn.linear(x, 256).relu()
    h = tessera.nn.linear(h, 32)  # BUG
    return x + h  # HURTS


def conv_net(x: Tensor["B", 1, 28, 28]) -> Tensor["B", 10]:
    x = F.max_pool2d(tessera.nn.conv2d(x, 8, 3, padding=1).relu(), 2)
    x = F.max_pool2d(tessera.nn.conv2d(x, 16, 3, padding=1).relu(), 2)
    x = tessera.nn.linear(x, 10)  # BUG
    return x


def attention_own(x: Tensor[B, S, 64]) -> Tensor[B, S, 64]:
    q, k, v = tessera.nn.linear(x, 192).chunk(3, dim=-1)
    weights = (q @ k.transpose(1, 2) / 8).softmax(-1)
    return tessera.nn.linear(v @ weights, 64)  # BUG


def stack_of_blocks(x: Tensor["B", "S", 32]) -> Tensor["B", "S", 32]:
    for width in (32, 48, 32):  # BUG
        x = x + tessera.nn.linear(tessera.nn.layer_norm(x), width)  # HURTS
    return x


def text(ids: Tensor["B", "S", torch.int64]) -> Tensor["B", 5]:
    x = tessera.nn.embedding(ids, 100, 32)
    h = tessera.nn.linear(x, 64).tanh()
    return tessera.nn.linear(h.amax(dim=0), 5)  # BUG


def series(x: Tensor["B", 4, "T"]) -> Tensor["B", 8, "T"]:
    x = tessera.nn.conv1d(x, 16, 5, padding=2).relu()
    return tessera.nn.conv1d(x, 8, 5, padding=1)  # BUG


def wrong_promise(x: Tensor["B", 512]) -> Tensor["B", 256]:
    return x  # BUG


def gated(x: Tensor["B", "S", 32], context: Tensor["B", 16]) -> Tensor["B", "S", 32]:
    gate = tessera.nn.linear(context, 32).sigmoid()
    return x * gate  # BUG


def two_heads(x: Tensor["B", 24]) -> tuple[Tensor["B", 3], Tensor["B"]]:
    h = tessera.nn.linear(x, 48).relu()
    return tessera.nn.linear(h, 3), tessera.nn.linear(h, 1)  # BUG


def train_step_loss(x: Tensor["B", 24], y: Tensor["B"]) -> Tensor[()]:
    prediction = tessera.nn.linear(x, 1)
    loss = F.mse_loss(prediction.squeeze(-1), y, reduction="none")  # BUG
    return loss


PROGRAMS = [
    lambda: tessera.function(perceptron),
    lambda: tessera.function(own_class),
    lambda: tessera.function(skip),
    lambda: tessera.function(conv_net),
    lambda: tessera.function(attention_own),
    lambda: tessera.function(stack_of_blocks),
    lambda: tessera.function(text),
    lambda: tessera.function(series),
    lambda: tessera.function(wrong_promise),
    lambda: tessera.function(gated),
    lambda: tessera.function(two_heads),
    lambda: tessera.function(train_step_loss),
]
