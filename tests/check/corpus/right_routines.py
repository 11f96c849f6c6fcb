"""Longer routines with the less common operations, all of them right."""

import math
from typing import Optional

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch.func import grad, jacrev, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Pairs = Tensor["B", "S", "2*D"]
B, S, D = dims("B S D")


def complex_rotary_right(x: Pairs) -> Pairs:
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    s, d = x.shape[1:]
    angles = torch.outer(torch.arange(s), 1.0 / 10000 ** (torch.arange(0, d, 2) / d))
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(2).type_as(x)


def per_sample_gradients_right(x: Tensor["B", "D"], y: Tensor["B"], w: Tensor["D"]) -> Tensor["B", "D"]:
    def loss(w, x, y):
        return (x @ w - y) ** 2

    return vmap(grad(loss), in_dims=(None, 0, 0))(w, x, y)


def mapped_products_right(a: Tensor["B", "N", "D"], b: Tensor["D", "B", "M"]) -> Tensor["B", "N", "M"]:
    return vmap(lambda u, v: u @ v, in_dims=(0, 1))(a, b)


def jacobian_right(x: Tensor["D"], w: Tensor["D", "H"]) -> Tensor["H", "D"]:
    return jacrev(lambda v: torch.tanh(v @ w))(x)


def interpolated_right(x: Tensor["B", "N"], positions: Tensor["B", "M"]) -> Tensor["B", "M"]:
    low = positions.floor().long().clamp(0, x.shape[1] - 2)
    return torch.lerp(x.gather(1, low), x.gather(1, low + 1), positions - low)


def bucket_means_right(x: Tensor["N"], edges: Tensor["K"], values: Tensor["N", "D"]) -> Tensor["K+1", "D"]:
    which = torch.bucketize(x, edges.sort().values)
    k = edges.shape[0] + 1
    total = torch.zeros(k, values.shape[1]).index_add(0, which, values)
    return total / torch.bincount(which, minlength=k).clamp(min=1)[:, None]


def unpooled_right(x: Tensor["B", "C", "2*H", "2*W"]) -> Tensor["B", "C", "2*H", "2*W"]:
    small, index = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(small, index, 2, output_size=x.shape)


def halved_pyramid_right(x: Tensor["B", 3, 64, 64]) -> list[Tensor["B", 3, 64, 64]]:
    size, levels = x.shape[-2:], [x]
    for _ in range(3):
        levels.append(F.interpolate(levels[-1], scale_factor=0.5, mode="bilinear"))
    return [F.interpolate(level, size=size) for level in levels]


def blurred_right(x: Tensor["B", "C", "H", "W"], sigma: float = 1.0, radius: int = 2) -> Tensor["B", "C", "H", "W"]:
    t = torch.arange(-radius, radius + 1) / sigma
    kernel = torch.exp(-t.square() / 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (radius, radius, 0, 0), mode="reflect"), kernel, groups=x.shape[1])
    return F.conv2d(F.pad(x, (0, 0, radius, radius), mode="reflect"), kernel.mT, groups=x.shape[1])


def image_patches_right(x: Tensor["B", 3, "8*H", "8*W"]) -> Tensor["B", "H*W", 192]:
    return F.unfold(x, kernel_size=8, stride=8).mT


def patches_there_and_back(x: Tensor["B", 3, "4*H", "4*W"]) -> Tensor["B", 3, "4*H", "4*W"]:
    columns = F.unfold(x, 4, stride=4)
    return F.fold(columns, x.shape[2:], 4, stride=4)


def spectrum_filter_right(x: Tensor["B", "H", "W"], mask: Tensor["H", "W"]) -> Tensor["B", "H", "W"]:
    f = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1)) * mask
    return torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:]) + torch.fft.ifft2(f).real


def packed_right(x: Tensor["B", "T", 6], w: Tensor[6, "H"]) -> Tensor["B", "T", "H"]:
    lengths = torch.full((x.shape[0],), x.shape[1])
    sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    padded, _ = pad_packed_sequence(sequence, batch_first=True, total_length=x.shape[1])
    return padded @ w


def orthogonalised_right(x: Tensor["M", "N"], rank: int = 3) -> Tensor["M", 3]:
    q, _ = torch.linalg.qr(x @ torch.randn(x.shape[1], rank))
    return q


def matrix_flow_right(a: Tensor["B", "N", "N"], x: Tensor["B", "N"]) -> Tensor["B", "N"]:
    return torch.einsum("bij,bj->bi", torch.matrix_exp(a), x) + torch.linalg.vecdot(a, x[:, None])


def log_density_right(x: Tensor["B", "D"], mean: Tensor["K", "D"], factor: Tensor["K", "D", "D"]) -> Tensor["B", "K"]:
    covariance = factor @ factor.mT + torch.eye(x.shape[1])
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(x[:, None])


def half_of_the_best_right(scores: Tensor["B", "2*N"]) -> Tensor["B", "N"]:
    return scores.topk(scores.shape[1] // 2, dim=1, sorted=False).values


def along_dim_right(x: Tensor["B", "S", "D"]) -> Tensor["B", "S", "D"]:
    order = x.norm(dim=-1).argsort(dim=1)
    return torch.take_along_dim(x, order[..., None], dim=1)


def placed_right(grid: Tensor["H", "W"], rows: Tensor["N", torch.int64], values: Tensor["N"]) -> Tensor["H", "W"]:
    grid = grid.index_put((rows, torch.zeros_like(rows)), values, accumulate=True)
    return grid.index_copy(0, rows[:1], values[:1, None].expand(-1, grid.shape[1]))


def narrowed_right(x: Tensor["B", "S+4"]) -> Tensor["B", "S"]:
    return x.narrow(1, 2, x.shape[1] - 4) + x[:, 2:-2] + x[:, 4:].roll(1, 1)


def column_stacked_right(a: Tensor["N"], b: Tensor["N", "D"]) -> Tensor["N", "D+1"]:
    return torch.column_stack([a, b]) + torch.hstack([a[:, None], b])


def fancy(x: Tensor["B", "S", 3]) -> Tensor["B", "S", 3]:
    x = x[..., [2, 0, 1]] + x[:, :, torch.tensor([1, 0, 2])]
    first, *middle, last = x.unbind(-1)
    return torch.stack([last, *middle, first], -1)[:, None, ..., None].squeeze(1).squeeze(-1)


def shapes_as_tuples(x: Tensor["B", "S", "2*D"]) -> Tensor["B", "S", 2, "D"]:
    *lead, d = x.shape
    out = x.new_zeros((*lead, 2, d // 2))
    out[..., 0, :] = x[..., : d // 2]
    return out + x.reshape(x.shape[:-1] + (2, d // 2)) + x.reshape(torch.Size([*lead, 2, -1]))


def chunked_loss_right(x: Tensor["4*N", "D"], w: Tensor["D", "V"], y: Tensor["4*N", torch.int64]) -> Tensor[()]:
    total = 0.0
    for part, labels in zip(x.chunk(4), y.chunk(4), strict=True):
        total = total + F.cross_entropy(part @ w, labels, reduction="sum")
    return total / x.shape[0]


def chunked_by_step(x: Tensor["N", "D"], w: Tensor["D", "E"], size: int = 4) -> Tensor["N", "E"]:
    return torch.cat([x[i : i + size] @ w for i in range(0, x.shape[0], size)])


def rollout_right(
    state: Tensor["B", 4], a: Tensor[4, 4], b: Tensor[4, 2], actions: Tensor["T", "B", 2]
) -> Tensor["T+1", "B", 4]:
    states = [state]
    for action in actions:
        states.append(states[-1] @ a.T + action @ b.T)
    return torch.stack(states)


def newton_right(x: Tensor["B", "N"], a: Tensor["N", "N"], steps: int = 3) -> Tensor["B", "N"]:
    hessian = a @ a.T + torch.eye(a.shape[0])
    for _ in range(steps):
        step = torch.linalg.solve(hessian, (x @ hessian).mT).mT
        if step.norm() < 1e-6:
            break
        x = x - step
    return x


def edit_distance_right(a: Tensor["B", "N"], b: Tensor["B", "M"]) -> Tensor["B"]:
    row = torch.arange(b.shape[1] + 1).float().expand(a.shape[0], -1)
    for i in range(a.shape[1]):
        cells = [row[:, 0] + 1]
        for j in range(b.shape[1]):
            change = row[:, j] + (a[:, i] != b[:, j]).float()
            cells.append(torch.minimum(change, torch.minimum(row[:, j + 1], cells[-1]) + 1))
        row = torch.stack(cells, dim=1)
    return row[:, -1]


def pooled_by_mask_right(
    x: Tensor["B", "S", "D"], mask: Optional[Tensor["B", "S", torch.bool]] = None
) -> Tensor["B", "D"]:
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
    kept = mask.unsqueeze(-1)
    return (x * kept).sum(1) / kept.sum(1).clamp(min=1)


def attention_rollout_right(maps: list[Tensor["B", "H", "S", "S"]]) -> Tensor["B", "S", "S"]:
    joint = torch.eye(maps[0].shape[-1]).expand(maps[0].shape[0], -1, -1)
    for layer in maps:
        mean = layer.mean(1) + torch.eye(layer.shape[-1])
        joint = torch.bmm(mean / mean.sum(-1, keepdim=True), joint)
    return joint


def speculative_right(
    draft: Tensor["B", "K", "V"], target: Tensor["B", "K+1", "V"], ids: Tensor["B", "K", torch.int64]
) -> Tensor["B", "K"]:
    p = target[:, :-1].softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    q = draft.softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    return (p / q).clamp(max=1)


def ragged_mean(x: Tensor["N", "D"], mask: Tensor["N", torch.bool]) -> Tensor["D"]:
    kept = x[mask]
    if kept.shape[0] == 0:
        return torch.zeros(x.shape[1])
    return kept.mean(0)


def thresholded(x: Tensor["B", "N"]) -> Tensor["B", "N"]:
    k = max(1, x.shape[1] // 3)
    smallest = x.kthvalue(x.shape[1] - k + 1, dim=1, keepdim=True).values
    return torch.where(x >= smallest, x, torch.zeros(()))


def relative_bias(table: Tensor["H", "2*N-1"], like: Tensor["B", "H", "N", "N"]) -> Tensor["B", "H", "N", "N"]:
    n = like.shape[-1]
    index = torch.arange(n)[:, None] - torch.arange(n) + n - 1
    return like + table[:, index]


def skewed(x: Tensor["B", "S", "S"]) -> Tensor["B", "S", "S"]:
    b, s, _ = x.shape
    return F.pad(x, (1, 0)).view(b, s + 1, s)[:, 1:]


def next_power(x: Tensor["B", "T"]) -> Tensor["B", "T"]:
    t = x.shape[1]
    n = 1 << (t - 1).bit_length()
    return torch.fft.irfft(torch.fft.rfft(F.pad(x, (0, n - t))), n=n)[:, :t] / math.sqrt(n)


PROGRAMS = [
    complex_rotary_right,
    per_sample_gradients_right,
    mapped_products_right,
    jacobian_right,
    interpolated_right,
    bucket_means_right,
    unpooled_right,
    halved_pyramid_right,
    blurred_right,
    image_patches_right,
    patches_there_and_back,
    spectrum_filter_right,
    packed_right,
    orthogonalised_right,
    matrix_flow_right,
    log_density_right,
    half_of_the_best_right,
    along_dim_right,
    placed_right,
    narrowed_right,
    column_stacked_right,
    fancy,
    shapes_as_tuples,
    chunked_loss_right,
    chunked_by_step,
    rollout_right,
    newton_right,
    edit_distance_right,
    pooled_by_mask_right,
    attention_rollout_right,
    speculative_right,
    ragged_mean,
    thresholded,
    relative_bias,
    skewed,
    next_power,
]
