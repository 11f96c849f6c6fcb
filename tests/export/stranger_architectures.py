"""A third list: looked at once when the export was thought to be done, to count what a stranger would meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tests.export.architectures import IMAGE, SMALL, TEXT, Job, ids


def distilbert() -> Job:
    from transformers import DistilBertConfig, DistilBertForTokenClassification

    config = DistilBertConfig(vocab_size=50, max_position_embeddings=64, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
    return DistilBertForTokenClassification(config), *_text()


def electra() -> Job:
    from transformers import ElectraConfig, ElectraForPreTraining

    config = ElectraConfig(vocab_size=50, embedding_size=8, max_position_embeddings=64, **SMALL)
    return ElectraForPreTraining(config), *_text()


def opt() -> Job:
    """Positions counted in the mask."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=32,
        max_position_embeddings=64,
        word_embed_proj_dim=8,
        do_layer_norm_before=True,
    )
    return OPTForCausalLM(config), *_text(use_cache=False)


def falcon() -> Job:
    """Biases that grow with the distance, one head for keys and values."""
    from transformers import FalconConfig, FalconForCausalLM

    config = FalconConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        alibi=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return FalconForCausalLM(config), *_text(use_cache=False)


def segformer() -> Job:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[3, 3],
        strides=[2, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=8,
    )
    images = {0: "B", 2: "H", 3: "W"}
    return (
        SegformerForSemanticSegmentation(config),
        {"pixel_values": torch.randn(2, 3, 16, 24)},
        {"pixel_values": images},
    )


def wav2vec2() -> Job:
    """Convolutions over a wave of any length, with a weight that is normed, then attention."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(
        vocab_size=20,
        conv_dim=[8, 8],
        conv_kernel=[4, 3],
        conv_stride=[2, 2],
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        num_feat_extract_layers=2,
        **SMALL,
    )
    return Wav2Vec2ForCTC(config), {"input_values": torch.randn(2, 40)}, {"input_values": {0: "B", 1: "T"}}


class Detector(nn.Module):
    """Learnt queries ask the places of an image of any size (Carion et al., 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 8, 4, stride=4)
        self.rows, self.columns = nn.Parameter(torch.randn(32, 4)), nn.Parameter(torch.randn(32, 4))
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
        self.queries = nn.Parameter(torch.randn(5, 8))
        self.classes, self.boxes = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.backbone(image)
        high, wide = x.shape[-2:]
        rows = self.rows[:high].unsqueeze(1).repeat(1, wide, 1)
        columns = self.columns[:wide].unsqueeze(0).repeat(high, 1, 1)
        places = torch.cat([rows, columns], -1).flatten(0, 1)
        seen = x.flatten(2).permute(0, 2, 1) + places
        found = self.transformer(seen, self.queries.unsqueeze(0).repeat(len(image), 1, 1))
        return {"logits": self.classes(found), "boxes": self.boxes(found).sigmoid()}


def detr() -> Job:
    return Detector(), (torch.randn(2, 3, 16, 24),), {"image": {0: "B", 2: "H", 3: "W"}}


class Translator(nn.Module):
    """A GRU reads, another writes and looks back (Bahdanau et al., 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(50, 8), nn.Embedding(50, 8)
        self.reads, self.writes = nn.GRU(8, 6, batch_first=True, bidirectional=True), nn.GRU(8, 12, batch_first=True)
        self.head = nn.Linear(24, 50)

    def forward(self, source: torch.Tensor, target: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        seen, last = self.reads(self.source(source))
        written, _ = self.writes(self.target(target), torch.cat([last[0], last[1]], -1)[None])
        scores = torch.bmm(written, seen.transpose(1, 2)).masked_fill(~real[:, None], float("-inf"))
        return self.head(torch.cat([written, scores.softmax(-1) @ seen], -1))


def translator() -> Job:
    real = torch.arange(6) < torch.tensor([6, 4])[:, None]
    dims = {"source": TEXT, "target": {0: "B", 1: "T"}, "real": TEXT}
    return Translator(), {"source": ids(2, 6), "target": ids(2, 4), "real": real}, dims


class PointNet(nn.Module):
    """Sets of any number of points: a turn that is learnt, a network for each point, a maximum over all."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Sequential(
            nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten()
        )
        self.matrix = nn.Linear(8, 9)
        self.each = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.LeakyReLU(0.2))
        self.head = nn.Linear(16, 4)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        turned = torch.baddbmm(points.transpose(1, 2), self.matrix(self.turn(points.mT)).view(-1, 3, 3), points.mT)
        return self.head(self.each(turned).amax(-1)).log_softmax(-1)


def pointnet() -> Job:
    return PointNet(), (torch.randn(2, 7, 3),), {"points": {0: "B", 1: "N"}}


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.across = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU("tanh"), nn.Linear(16, 8))
        self.along, self.norm = nn.Sequential(nn.Linear(16, 32), nn.Mish(), nn.Linear(32, 16)), nn.RMSNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.patches(image).flatten(2).mT
        x = x + self.along(self.norm(x).mT).mT
        x = x + self.across(x)
        return self.head(x.mean(1))


def mixer() -> Job:
    return Mixer(), (torch.randn(2, 3, 16, 16),), {"image": IMAGE}


class Autoencoder(nn.Module):
    """Variational: a sample while it trains, the mean afterwards; it also tells how far it is from the prior."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ELU(), nn.Flatten(), nn.Linear(4 * 16, 6))
        self.decoder = nn.Sequential(
            nn.Linear(3, 64), nn.ELU(), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 1, 4, 2, 1)
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, spread = self.encoder(image).chunk(2, -1)
        drawn = mean + torch.randn_like(mean) * (spread / 2).exp() if self.training else mean
        away = -0.5 * (1 + spread - mean.square() - spread.exp()).sum(-1)
        return self.decoder(drawn).sigmoid(), away


def vae() -> Job:
    return Autoencoder(), (torch.rand(2, 1, 8, 8),), {"image": IMAGE}


class Router(nn.Module):
    """Tokens sent to experts by a loop in Python over what was chosen, as many write it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 8)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, 8)
        weights, chosen = functional.softmax(self.gate(flat), -1).topk(2, -1)
        answer = torch.zeros_like(flat)
        for at, expert in enumerate(self.experts):
            token, place = torch.where(chosen == at)
            answer.index_add_(0, token, expert(flat[token]) * weights[token, place, None])
        return answer.view_as(x)


def router() -> Job:
    return Router(), (torch.randn(2, 6, 8),), {"x": TEXT}


def _text(**more: Any) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    call = {"input_ids": ids(2, 6), "attention_mask": torch.ones(2, 6, dtype=torch.long), **more}
    return call, {"input_ids": TEXT, "attention_mask": TEXT}


STRANGERS: dict[str, Callable[[], Job]] = {
    each.__name__: each
    for each in (
        distilbert,
        electra,
        opt,
        falcon,
        segformer,
        wav2vec2,
        detr,
        translator,
        pointnet,
        mixer,
        vae,
        router,
    )
}
