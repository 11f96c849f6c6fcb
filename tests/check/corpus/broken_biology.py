"""Cells, genes and proteins, each with one line wrong."""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import nn

import tessera as ts
from tessera import Tensor

N, L, G, C, D = ts.dims("N L G C D")

LETTERS, AMINO = 4, 21


class WrongMotifScanner(nn.Module):
    """Looks for short patterns on both strands of DNA."""

    def __init__(self, motifs=64, length=15):
        super().__init__()
        self.scan = nn.Conv1d(LETTERS, motifs, length, padding=length // 2)
        self.out = nn.Linear(motifs, 1)

    def forward(self, dna: Tensor["N", "L", 4]) -> Tensor["N"]:
        forward = self.scan(dna.transpose(1, 2))
        backward = self.scan(dna.flip(1, 2).transpose(1, 2))
        best = torch.maximum(forward, backward).amax(dim=1)  # BUG
        return self.out(best).squeeze(-1)  # HURTS


def wrong_normalise_counts(counts: Tensor[C, G], target: float = 1e4) -> Tensor[C, G]:
    """Every cell has as many counts as every other."""
    depth = counts.sum(dim=1)  # BUG
    return torch.log1p(counts / depth * target)  # HURTS


class WrongOuterProductMean(nn.Module):
    def __init__(self, msa=64, hidden=16, pair=32):
        super().__init__()
        self.left = nn.Linear(msa, hidden)
        self.right = nn.Linear(msa, hidden)
        self.out = nn.Linear(hidden * hidden, pair)

    def forward(self, msa: Float[torch.Tensor, "seqs res 64"]) -> Float[torch.Tensor, "res res 32"]:
        left, right = self.left(msa), self.right(msa)
        outer = torch.einsum("sic,sje->ijce", left, right) / msa.shape[0]
        return self.out(outer.flatten(1))  # BUG


class WrongCellVAE(nn.Module):
    """Counts of genes to a small code and back."""

    def __init__(self, genes=2000, hidden=128, code=10, batches=4):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(genes, hidden), nn.ReLU(), nn.Linear(hidden, 2 * code))
        self.batch = nn.Embedding(batches, 8)
        self.decode = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, genes))  # BUG

    def forward(self, counts: Tensor["C", 2000], batch: Tensor["C", torch.int64]) -> Tensor["C", 2000]:
        mean, log_var = self.encode(torch.log1p(counts)).chunk(2, dim=-1)
        code = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        rate = self.decode(torch.cat([code, self.batch(batch)], dim=-1))  # HURTS
        return F.softplus(rate)


class Structure(NamedTuple):
    atoms: Tensor["N", "L", 3, 3]
    present: Tensor["N", "L", torch.bool]


def wrong_backbone_frames(s: Structure) -> tuple[Tensor["N", "L", 3, 3], Tensor["N", "L", 3]]:
    """Gram-Schmidt on the atoms N, CA, C."""
    n, ca, c = s.atoms.unbind(dim=1)  # BUG
    e1 = F.normalize(c - ca, dim=-1)
    u = n - ca
    e2 = F.normalize(u - (u * e1).sum(-1, keepdim=True) * e1, dim=-1)
    e3 = torch.linalg.cross(e1, e2)
    return torch.stack([e1, e2, e3], dim=-1), ca


def wrong_distogram_loss(
    logits: Tensor["N", "L", "L", 37], where: Tensor["N", "L", 3], present: Tensor["N", "L", torch.bool]
) -> Tensor[()]:
    edges = torch.linspace(2, 22, 36)
    distance = (where[:, :, None] - where[:, None]).norm(dim=-1)
    bins = (distance[..., None] > edges).sum(dim=-1)
    loss = F.cross_entropy(logits, bins, reduction="none")  # BUG
    pairs = present[:, :, None] & present[:, None]
    return (loss * pairs).sum() / pairs.sum()


class WrongCodonTranslator(nn.Module):
    """Three letters a token."""

    def __init__(self, width=48, heads=6):
        super().__init__()
        self.codon = nn.Embedding(64, width)
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
        self.out = nn.Linear(width, AMINO)

    def forward(self, dna: Int[torch.Tensor, "n 300"]) -> Float[torch.Tensor, "n 100 21"]:
        triples = dna.view(dna.shape[0], 3, -1)  # BUG
        tokens = triples[..., 0] * 16 + triples[..., 1] * 4 + triples[..., 2]
        x = self.codon(tokens)
        x = x + self.attend(x, x, x, need_weights=False)[0]
        return self.out(x)


def wrong_pseudobulk(expression: Tensor[C, G], kind: Tensor[C, torch.int64], kinds: int = 12) -> Tensor[12, G]:
    """The mean of all cells of one kind."""
    member = F.one_hot(kind, kinds).to(expression.dtype)
    total = member.T @ expression
    return total / member.sum(dim=1, keepdim=True).clamp(min=1)  # BUG


class WrongVariantEffect(nn.Module):
    """How much one letter changes what a model says."""

    def __init__(self, dim=32, layers=3):
        super().__init__()
        self.embed = nn.Linear(LETTERS, dim)
        self.blocks = nn.ModuleList(nn.Conv1d(dim, dim, 3, padding=2**i, dilation=2**i) for i in range(layers))
        self.score = nn.Linear(dim, 1)

    def track(self, dna):
        x = self.embed(dna).transpose(1, 2)
        for block in self.blocks:
            x = x + F.gelu(block(x))
        return self.score(x.mean(dim=1))  # BUG

    def forward(self, reference: Tensor[N, 101, 4], changed: Tensor[N, 101, 4]) -> Tensor[N]:
        return (self.track(changed) - self.track(reference)).squeeze(-1)


def wrong_contact_precision(
    score: Float[torch.Tensor, "l l"], contact: Bool[torch.Tensor, "l l"], top: int = 50
) -> Float[torch.Tensor, ""]:
    far = torch.ones_like(contact).triu(6)
    score = score.masked_fill(~far, -1e9)
    best = score.flatten().topk(top).indices
    right = contact.gather(0, best)  # BUG
    return right.float().mean()


SIZES = {"wrong_contact_precision": {"l": (11, 13, 9)}}


PROGRAMS = [
    WrongMotifScanner,
    wrong_normalise_counts,
    WrongOuterProductMean,
    WrongCellVAE,
    wrong_backbone_frames,
    wrong_distogram_loss,
    WrongCodonTranslator,
    wrong_pseudobulk,
    WrongVariantEffect,
    wrong_contact_precision,
]
