"""Tiny models with random weights, one of each architecture, with a call and the sizes that may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Job = tuple[nn.Module, Any, dict[str, dict[int, str]]]
TEXT = {0: "B", 1: "S"}
IMAGE = {0: "B"}
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def ids(*shape: int) -> torch.Tensor:
    return torch.randint(1, 50, shape)


def mlp() -> Job:
    layers = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(), nn.BatchNorm1d(16), nn.Linear(16, 3))
    return layers, (torch.randn(4, 8),), {"input": IMAGE}


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1)
        self.head = nn.Linear(24, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embedding(tokens))[0])


def lstm() -> Job:
    return Tagger(), (ids(2, 6),), {"tokens": TEXT}


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.out = nn.Conv2d(11, 1, 1)

    def forward(self, image: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        found = functional.silu(self.norm(self.down(image)))
        found = self.middle(found) * noise[:, None, None, None].sigmoid()
        found = functional.interpolate(self.up(found), size=image.shape[-2:], mode="bilinear")
        return self.out(torch.cat([found, image], 1))


def unet() -> Job:
    return UNet(), (torch.randn(2, 3, 16, 16), torch.rand(2)), {"image": IMAGE, "noise": IMAGE}


class Experts(nn.Module):
    """Two of four experts for each token, every expert computed and weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.weight = nn.Parameter(torch.randn(4, 8, 8) / 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        scores, chosen = self.gate(x).softmax(-1).topk(2, -1)
        weights = torch.zeros(*x.shape[:-1], 4).scatter(-1, chosen, scores / scores.sum(-1, keepdim=True))
        answers = torch.einsum("bsd,edf->bsef", x, self.weight).relu()
        return {"y": (answers * weights[..., None]).sum(-2), "chosen": chosen}


def moe() -> Job:
    return Experts(), (torch.randn(2, 6, 8),), {"x": TEXT}


def gpt2() -> Job:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=50, n_positions=64, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    call = {"input_ids": ids(2, 6), "use_cache": False}
    return GPT2LMHeadModel(config), call, {"input_ids": TEXT}


def llama() -> Job:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=50, num_key_value_heads=1, max_position_embeddings=64, **SMALL)
    call = {"input_ids": ids(2, 6), "attention_mask": torch.ones(2, 6, dtype=torch.long), "use_cache": False}
    return LlamaForCausalLM(config), call, {"input_ids": TEXT, "attention_mask": TEXT}


def bert() -> Job:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=50, max_position_embeddings=64, **SMALL)
    call = {"input_ids": ids(2, 6), "attention_mask": torch.ones(2, 6, dtype=torch.long)}
    return BertForSequenceClassification(config), call, {"input_ids": TEXT, "attention_mask": TEXT}


def t5() -> Job:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)
    call = {"input_ids": ids(2, 6), "decoder_input_ids": ids(2, 4), "use_cache": False}
    return T5ForConditionalGeneration(config), call, {"input_ids": TEXT, "decoder_input_ids": {0: "B", 1: "T"}}


def vit() -> Job:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(image_size=16, patch_size=4, **SMALL)), *_images()


def resnet() -> Job:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return ResNetForImageClassification(config), *_images()


def convnext() -> Job:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1], patch_size=2)
    return ConvNextForImageClassification(config), *_images()


def whisper() -> Job:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=50,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=8,
        max_source_positions=10,
        max_target_positions=32,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    )
    call = {"input_features": torch.randn(2, 8, 20), "decoder_input_ids": ids(2, 4), "use_cache": False}
    return WhisperForConditionalGeneration(config), call, {"input_features": IMAGE, "decoder_input_ids": TEXT}


def _images() -> tuple[Any, dict[str, dict[int, str]]]:
    return {"pixel_values": torch.randn(2, 3, 16, 16)}, {"pixel_values": IMAGE}


ARCHITECTURES: dict[str, Callable[[], Job]] = {
    each.__name__: each for each in (gpt2, llama, bert, t5, vit, resnet, convnext, lstm, unet, moe, whisper, mlp)
}
