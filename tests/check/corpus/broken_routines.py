"""Longer routines with the less common operations, each with one bug of shape."""

import math
from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch.func import grad, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Pairs = Tensor["B", "S", "2*D"]
B, S, D = dims("B S D")


def complex_rotary(x: Pairs) -> Pairs:
    b, s, d = x.shape
    pairs = torch.view_as_complex(x.reshape(b, s, d // 2, 2))
    angles = torch.outer(torch.arange(s), 1.0 / 10000 ** (torch.arange(0, d, 2) / d))
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(1, 2)  # BUG


def per_sample_gradients(x: Tensor["B", "D"], y: Tensor["B"], w: Tensor["D"]) -> Tensor["B", "D"]:
    def loss(w, x, y):
        return (x @ w - y) ** 2

    return vmap(grad(loss), in_dims=(None, 0, 0), out_dims=1)(w, x, y)  # BUG


def mapped_products(a: Tensor["B", "N", "D"], b: Tensor["B", "D", "M"]) -> Tensor["B", "N", "M"]:
    return vmap(torch.mm, in_dims=(0, 2))(a, b)  # BUG


def jacobian_rows(x: Tensor["B", "D"], w: Tensor["D", "H"]) -> Tensor["B", "H", "D"]:
    hidden = torch.tanh(x @ w)
    slope = 1 - hidden**2
    return slope[:, :, None] * w  # BUG


def interpolated(x: Tensor["B", "N"], positions: Tensor["B", "M"]) -> Tensor["B", "M"]:
    low = positions.floor().long().clamp(0, x.shape[1] - 2)
    fraction = positions - low
    left = x.gather(1, low)
    right = x.gather(1, low[:, 1:])  # BUG
    return torch.lerp(left, right, fraction)  # HURTS


def bucket_means(x: Tensor["N"], edges: Tensor["K"], values: Tensor["N", "D"]) -> Tensor["K+1", "D"]:
    which = torch.bucketize(x, edges.sort().values)
    total = torch.zeros(edges.shape[0], values.shape[1])  # BUG
    return total.index_add(0, which, values)  # HURTS


def unpooled(x: Tensor["B", "C", "2*H", "2*W"]) -> Tensor["B", "C", "2*H", "2*W"]:
    small, index = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(small, index, 2, stride=1)  # BUG


def halved_pyramid(x: Tensor["B", 3, 64, 64]) -> list[Tensor["B", 3, "H", "W"]]:
    levels = [x]
    for _ in range(2):
        x = F.interpolate(x, scale_factor=0.5, mode="bilinear")
        levels.append(x)
    sized = [F.interpolate(level, size=x.shape[1:]) for level in levels]  # BUG
    return sized


def blurred(x: Tensor["B", "C", "H", "W"], sigma: float = 1.0) -> Tensor["B", "C", "H", "W"]:
    t = torch.arange(-2, 3) / sigma
    kernel = torch.exp(-t.square() / 2)
    kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(padded, kernel.expand(1, x.shape[1], 5, 5), groups=x.shape[1])  # BUG


def image_patches(x: Tensor["B", 3, "8*H", "8*W"]) -> Tensor["B", "H*W", 192]:
    return F.unfold(x, kernel_size=8, stride=8)  # BUG


def spectrum_filter(x: Tensor["B", "H", "W"], mask: Tensor["H", "W"]) -> Tensor["B", "H", "W"]:
    f = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
    f = f * mask.T  # BUG
    return torch.fft.ifft2(torch.fft.ifftshift(f, dim=(-2, -1))).real


def packed(x: Tensor["B", "T", 6], w: Tensor[6, "H"]) -> Tensor["B", "T", "H"]:
    lengths = torch.full((x.shape[0],), x.shape[1])
    sequence = pack_padded_sequence(x, lengths, batch_first=True)
    padded, _ = pad_packed_sequence(sequence)  # BUG
    return padded @ w


def orthogonalised(x: Tensor["M", "N"], rank: int = 3) -> Tensor["M", 3]:
    q, _ = torch.linalg.qr(x @ torch.randn(x.shape[0], rank))  # BUG
    return q


def matrix_flow(a: Tensor["B", "N", "N"], x: Tensor["B", "N"]) -> Tensor["B", "N"]:
    return torch.linalg.matrix_exp(a) @ x  # BUG


def log_density(x: Tensor["B", "D"], mean: Tensor["K", "D"], factor: Tensor["K", "D", "D"]) -> Tensor["B", "K"]:
    diff = x[:, None] - mean
    solved = torch.linalg.solve(factor @ factor.mT + torch.eye(x.shape[1]), diff.unsqueeze(-1)).squeeze(-1)
    _, logdet = torch.linalg.slogdet(factor @ factor.mT + torch.eye(x.shape[1]))
    return -0.5 * ((diff * solved).sum(-1) + logdet[:, None] + x.shape[1] * math.log(2 * math.pi))  # BUG


def half_of_the_best(scores: Tensor["B", "2*N"]) -> Tensor["B", "N"]:
    return scores.topk(scores.shape[0] // 2, dim=1).values  # BUG


def along_dim(x: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    order = x.norm(dim=-1).argsort(dim=1)
    return torch.take_along_dim(x, order, dim=1)  # BUG


def placed(grid: Tensor["H", "W"], rows: Tensor["N", torch.int64], values: Tensor["N"]) -> Tensor["H", "W"]:
    return grid.index_copy(0, rows[:1], values[:1])  # BUG


def narrowed(x: Tensor["B", "S+4"]) -> Tensor["B", "S"]:
    return x.narrow(1, 2, x.shape[1] - 2)  # BUG


def column_stacked(a: Tensor["N"], b: Tensor["N", "D"]) -> Tensor["N", "D+1"]:
    return torch.hstack([a, b])  # BUG


def chunked_loss(x: Tensor["4*N", "D"], w: Tensor["D", "V"], y: Tensor["4*N", torch.int64]) -> Tensor[()]:
    total = torch.zeros(())
    for part, labels in zip(x.chunk(4), y.chunk(2), strict=False):  # BUG
        total = total + F.cross_entropy(part @ w, labels, reduction="sum")  # HURTS
    return total / x.shape[0]


def rollout(
    state: Tensor["B", 4], a: Tensor[4, 4], b: Tensor[4, 2], actions: Tensor["T", "B", 2]
) -> Tensor["T", "B", 4]:
    states = []
    for action in actions:
        state = state @ a.T + action @ b  # BUG
        states.append(state)
    return torch.stack(states)


def newton(x: Tensor["B", "N"], a: Tensor["N", "N"], steps: int = 3) -> Tensor["B", "N"]:
    hessian = a @ a.T + torch.eye(a.shape[0])
    for _ in range(steps):
        gradient = x @ hessian
        x = x - torch.linalg.solve(hessian, gradient)  # BUG
    return x


def edit_distance(a: Tensor["B", "N"], b: Tensor["B", "M"]) -> Tensor["B"]:
    row = torch.arange(b.shape[1] + 1).float().expand(a.shape[0], -1)
    for i in range(a.shape[1]):
        cells = [row[:, 0] + 1]
        for j in range(b.shape[1]):
            change = row[:, j] + (a[:, i] != b[:, j]).float()
            cells.append(torch.minimum(change, torch.minimum(row[:, j + 1], cells[-1]) + 1))
        row = torch.stack(cells, dim=1)
    return row[-1]  # BUG


def pooled_by_mask(x: Tensor["B", "S", "D"], mask: Optional[Tensor["B", "S", torch.bool]] = None) -> Tensor["B", "D"]:
    if mask is None:
        mask = torch.ones(x.shape[1], dtype=torch.bool)  # BUG
    kept = mask.unsqueeze(-1)
    return (x * kept).sum(1) / kept.sum(1)  # HURTS


def attention_rollout(maps: list[Tensor["B", "H", "S", "S"]]) -> Tensor["B", "S", "S"]:
    joint = torch.eye(maps[0].shape[-1])
    for layer in maps:
        mean = layer.mean(2)  # BUG
        joint = (mean + torch.eye(mean.shape[-1])) / 2 @ joint  # HURTS
    return joint


def speculative(
    draft: Tensor["B", "K", "V"], target: Tensor["B", "K+1", "V"], ids: Tensor["B", "K", torch.int64]
) -> Tensor["B", "K"]:
    p = target.softmax(-1).amax(-1)  # BUG
    q = draft.softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    return (p / q).clamp(max=1)  # HURTS


PROGRAMS = [
    complex_rotary,
    per_sample_gradients,
    mapped_products,
    jacobian_rows,
    interpolated,
    bucket_means,
    unpooled,
    halved_pyramid,
    blurred,
    image_patches,
    spectrum_filter,
    packed,
    orthogonalised,
    matrix_flow,
    log_density,
    half_of_the_best,
    along_dim,
    placed,
    narrowed,
    column_stacked,
    chunked_loss,
    rollout,
    newton,
    edit_distance,
    pooled_by_mask,
    attention_rollout,
    speculative,
]
SIZES = {
    "half_of_the_best": {"B": (6, 8, 4), "N": (13, 11, 17)},
    "orthogonalised": {"M": (23, 17, 19), "N": (11, 12, 13)},
}
