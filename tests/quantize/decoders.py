"""Decoders with a cache, each written as somebody writes it: in place, through a view, with a longer tensor, ..."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

CHANNELS, HEADS, LENGTH, TOKENS = 32, 4, 12, 20
Call = tuple[torch.Tensor, torch.Tensor]


class Attention(torch.nn.Module):
    """Attends to what ``kept`` gives it; ``[batch, heads, tokens, channels of a head]``."""

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = torch.nn.Linear(CHANNELS, CHANNELS)
        for name in ("k_cache", "v_cache"):
            self.register_buffer(name, torch.zeros(1, HEADS, LENGTH, CHANNELS // HEADS), persistent=name == "k_cache")

    def kept(self, k: torch.Tensor, v: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.k_cache.index_copy_(2, at, k)
        self.v_cache.index_copy_(2, at, v)
        return self.k_cache, self.v_cache

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        q, k, v = self.mix(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        k, v = self.kept(k, v, at)
        visible = torch.arange(k.shape[2]) <= at[:, None]
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=visible).transpose(1, 2).flatten(2))


class Sliced(Attention):
    """Writes ``cache[:, :, at] = ...``, and through a view."""

    def kept(self, k, v, at):
        self.k_cache[:, :, at] = k
        self.v_cache[0][:, at] = v[0]
        return self.k_cache[:, :, :LENGTH], self.v_cache


class Grown(Attention):
    """Puts a longer tensor in its place."""

    def __init__(self):
        super().__init__()
        self.k_cache, self.v_cache = self.k_cache[:, :, :0], self.v_cache[:, :, :0]

    def kept(self, k, v, at):
        self.k_cache, self.v_cache = torch.cat((self.k_cache, k), 2), torch.cat((self.v_cache, v), 2)
        return self.k_cache, self.v_cache


class Apart(torch.nn.Module):
    """A cache that is a module of its own and is never called: the attention calls its ``update``."""

    def __init__(self):
        super().__init__()
        self.register_buffer("held", torch.zeros(2, 1, HEADS, LENGTH, CHANNELS // HEADS))

    def update(self, k, v, at):
        held = self.held
        held[0][:, :, at] = k
        held[1, :, :, at] = v
        return held.unbind()


class WithModule(Attention):
    """Keeps its rows in ``Apart``."""

    def __init__(self):
        super().__init__()
        del self.k_cache, self.v_cache
        self.cache = Apart()

    def kept(self, k, v, at):
        return self.cache.update(k, v, at)


class Decoder(torch.nn.Module):
    """Two layers of one of them; tokens ``[1, seq]`` and their places ``[seq]`` -> ``[1, seq, TOKENS]``."""

    def __init__(self, attention: type[Attention] = Attention):
        super().__init__()
        self.embed = torch.nn.Embedding(TOKENS, CHANNELS)
        self.layers = torch.nn.ModuleList([attention() for _ in range(2)])
        self.head = torch.nn.Linear(CHANNELS, TOKENS)

    def forward(self, tokens: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = x + layer(x, at)
        return self.head(x)

    def empty(self) -> None:
        for layer in self.layers:
            layer.k_cache.zero_()
            layer.v_cache.zero_()


EVERY = {each.__name__: each for each in (Attention, Sliced, Grown, WithModule)}


def decoder(attention: type[Attention] = Attention) -> Decoder:
    """The same one each time."""
    torch.manual_seed(0)
    return Decoder(attention).eval()


def calls(prompt: int = 4) -> Iterator[Call]:
    """A prompt, and then token after token."""
    tokens = torch.randint(TOKENS, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    yield tokens[:, :prompt], torch.arange(prompt)
    for at in range(prompt, LENGTH):
        yield tokens[:, at : at + 1], torch.tensor([at])


def answers(model: torch.nn.Module) -> torch.Tensor:
    """What it answers to all of them."""
    with torch.no_grad():
        return torch.cat([model(*call) for call in calls()], 1)
