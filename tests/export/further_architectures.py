"""Architectures that no line of the export was written for: what a stranger brings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tests.export.architectures import IMAGE, SMALL, TEXT, Job, ids


def qwen2() -> Job:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(vocab_size=50, num_key_value_heads=1, max_position_embeddings=64, **SMALL)
    return Qwen2ForCausalLM(config), *_text(use_cache=False)


def mixtral() -> Job:
    """A router that sends tokens to experts: how many go where is data."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=50,
        num_key_value_heads=1,
        max_position_embeddings=64,
        num_local_experts=4,
        sliding_window=None,
        **SMALL,
    )
    return MixtralForCausalLM(config), *_text(use_cache=False)


def mamba() -> Job:
    """A selective state space: a recurrence over the sequence."""
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4, time_step_rank=4)
    return MambaForCausalLM(config), {"input_ids": ids(2, 6), "use_cache": False}, {"input_ids": TEXT}


def modernbert() -> Job:
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    config = ModernBertConfig(
        vocab_size=50,
        max_position_embeddings=64,
        local_attention=4,
        global_attn_every_n_layers=2,
        pad_token_id=0,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1),
        **SMALL,
    )
    return ModernBertForMaskedLM(config), *_text()


def bart() -> Job:
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=50,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    inputs, dims = _text(use_cache=False)
    inputs["decoder_input_ids"], dims["decoder_input_ids"] = ids(2, 4), {0: "B", 1: "T"}
    return BartForConditionalGeneration(config), inputs, dims


def swin() -> Job:
    """Attention in windows that are shifted and rolled."""
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[2, 1], num_heads=[2, 2], window_size=4)
    return SwinForImageClassification(config), {"pixel_values": torch.randn(2, 3, 16, 16)}, {"pixel_values": IMAGE}


def clip() -> Job:
    """Two towers, and a similarity of every text with every image."""
    from transformers import CLIPConfig, CLIPModel

    text = {"vocab_size": 50, "max_position_embeddings": 32, "eos_token_id": 2, "bos_token_id": 0, **SMALL}
    config = CLIPConfig(text_config=text, vision_config={"image_size": 16, "patch_size": 4, **SMALL}, projection_dim=8)
    inputs, dims = _text()
    inputs["pixel_values"], dims["pixel_values"] = torch.randn(3, 3, 16, 16), {0: "images"}
    return CLIPModel(config), inputs, dims


class WaveNet(nn.Module):
    """Gated causal convolutions of growing reach over a time of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 8, 1)
        self.gates = nn.ModuleList(nn.Conv1d(8, 16, 2, dilation=2**at) for at in range(4))
        self.mixes = nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(4))
        self.last = nn.Conv1d(8, 10, 1)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        x = self.first(wave[:, None])
        total: Any = 0
        for gate, mix in zip(self.gates, self.mixes, strict=True):
            a, b = gate(functional.pad(x, (gate.dilation[0], 0))).chunk(2, 1)
            y = mix(a.tanh() * b.sigmoid())
            x, total = x + y, total + y
        return self.last(total.relu()).log_softmax(1)


def wavenet() -> Job:
    return WaveNet(), (torch.randn(2, 24),), {"wave": {0: "B", 1: "T"}}


class GraphConvolution(nn.Module):
    """Kipf and Welling (2017), its sums by index_add: nodes and edges are as many as there are."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 3)])

    def forward(self, x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(target, dtype=x.dtype)
        degree = torch.ones(x.shape[0]).scatter_add(0, target, ones)
        norm = degree.rsqrt()
        for at, layer in enumerate(self.layers):
            y = layer(x) * norm[:, None]
            y = y.index_add(0, target, y[source]) * norm[:, None]
            x = y.relu() if at == 0 else y
        return x


def gcn() -> Job:
    edges = {0: "edges"}
    call = {"x": torch.randn(5, 4), "source": torch.randint(0, 2, (8,)), "target": torch.randint(0, 2, (8,))}
    return GraphConvolution(), call, {"x": {0: "nodes"}, "source": edges, "target": edges}


class Diffusion(nn.Module):
    """A U-Net that is told the time by sines, with attention at its lowest floor; images of any even size."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 8))
        self.inside, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.norm, self.attention = nn.GroupNorm(4, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, image: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        steps = torch.exp(-math.log(1e4) * torch.arange(4) / 4)
        angles = t[:, None].float() * steps[None]
        told = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        high = functional.silu(self.inside(image)) + told[:, :, None, None]
        low = self.norm(self.down(high))
        flat = low.flatten(2).transpose(1, 2)
        low = low + self.attention(flat, flat, flat, need_weights=False)[0].transpose(1, 2).reshape(low.shape)
        up = functional.interpolate(low, scale_factor=2, mode="nearest")
        return self.out(torch.cat([up, high], 1))


def diffusion() -> Job:
    return Diffusion(), (torch.randn(2, 3, 8, 8), torch.tensor([3, 700])), {"image": IMAGE, "t": IMAGE}


class Perceiver(nn.Module):
    """A few learnt questions to a long input, then attention among them."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(3, 8))
        self.ask = nn.MultiheadAttention(8, 2, kdim=5, vdim=5, batch_first=True)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.think = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, ignored: torch.Tensor) -> torch.Tensor:
        questions = self.questions.expand(x.shape[0], -1, -1)
        found, _ = self.ask(questions, x, x, key_padding_mask=ignored)
        return self.head(self.think(found).mean(1))


def perceiver() -> Job:
    ignored = torch.zeros(2, 7, dtype=torch.bool)
    return Perceiver(), (torch.randn(2, 7, 5), ignored), {"x": TEXT, "ignored": TEXT}


class Squeezed(nn.Module):
    """Mobile inverted blocks with squeeze and excitation, for images of any height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.wide = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.SiLU())
        self.depth = nn.Sequential(
            nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish()
        )
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1))
        self.narrow = nn.Sequential(nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        y = self.depth(self.wide(x))
        return self.head(x + self.narrow(y * self.squeeze(y).sigmoid()))


def efficientnet() -> Job:
    return Squeezed(), (torch.randn(2, 3, 12, 16),), {"image": {0: "B", 2: "H", 3: "W"}}


def _text(**more: Any) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    call = {"input_ids": ids(2, 6), "attention_mask": torch.ones(2, 6, dtype=torch.long), **more}
    return call, {"input_ids": TEXT, "attention_mask": TEXT}


FURTHER: dict[str, Callable[[], Job]] = {
    each.__name__: each
    for each in (qwen2, mixtral, mamba, modernbert, bart, swin, clip, wavenet, gcn, diffusion, perceiver, efficientnet)
}
