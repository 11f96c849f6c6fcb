"""Statistics, batched linear algebra and einsum, each with one bug of shape."""

import math

import torch
from tessera import Tensor, dims

B, N, D, K = dims("B N D K")


def covariance(x: Tensor["N", "D"]) -> Tensor["D", "D"]:
    centred = x - x.mean(0, keepdim=True)
    return centred @ centred.T / (x.shape[0] - 1)  # BUG


def batched_covariance(x: Tensor["B", "N", "D"]) -> Tensor["B", "D", "D"]:
    centred = x - x.mean(1, keepdim=True)
    return torch.einsum("bnd,bne->de", centred, centred) / (x.shape[1] - 1)  # BUG


def whiten(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    x = x - x.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x / x.shape[0])
    return x @ vectors @ values.rsqrt()  # BUG


def correlation(x: Tensor["N", "D"], y: Tensor["N", "D"]) -> Tensor["D"]:
    x, y = x - x.mean(0), y - y.mean(0)
    top = (x * y).sum(0)
    return top / (x.norm(dim=1) * y.norm(dim=0))  # BUG


def mahalanobis(x: Tensor["N", "D"], mean: Tensor["D"], precision: Tensor["D", "D"]) -> Tensor["N"]:
    d = x - mean
    return torch.einsum("nd,de,ne->ne", d, precision, d)  # BUG


def gaussian_mixture(x: Tensor["N", "D"], means: Tensor["K", "D"], logits: Tensor["K"]) -> Tensor["N"]:
    distance = (x[:, None] - means).square().sum(-1)
    return torch.logsumexp(logits - 0.5 * distance, dim=0)  # BUG


def responsibilities(x: Tensor["N", "D"], means: Tensor["K", "D"]) -> Tensor["K", "D"]:
    r = torch.cdist(x, means).neg().softmax(-1)
    return r.T @ x / r.sum(0)  # BUG


def kmeans_step(x: Tensor["N", "D"], centres: Tensor["K", "D"]) -> Tensor["K", "D"]:
    nearest = torch.cdist(x, centres).argmin(1)
    total = torch.zeros(x.shape).index_add(0, nearest, x)  # BUG
    count = torch.bincount(nearest, minlength=centres.shape[0]).clamp(min=1)
    return total / count[:, None]  # HURTS


def least_squares(x: Tensor["N", "D"], y: Tensor["N"]) -> Tensor["D"]:
    return torch.linalg.solve(x.T @ x, x.T @ y[:, None])  # BUG


def ridge(x: Tensor[B, N, D], y: Tensor[B, N, K], alpha: float = 0.1) -> Tensor[B, D, K]:
    gram = x.mT @ x + alpha * torch.eye(x.shape[1])  # BUG
    return torch.linalg.solve(gram, x.mT @ y)


def kalman_gain(p: Tensor["B", "S", "S"], h: Tensor["O", "S"], r: Tensor["O", "O"]) -> Tensor["B", "S", "O"]:
    innovation = h @ p @ h.T + r
    return h @ p.mT @ torch.linalg.inv(innovation)  # BUG


def gaussian_process(x: Tensor["N", "D"], y: Tensor["N"], z: Tensor["M", "D"]) -> Tensor["M"]:
    k = torch.exp(-torch.cdist(x, x)) + 1e-3 * torch.eye(x.shape[0])
    cross = torch.exp(-torch.cdist(x, z))
    return cross @ torch.linalg.solve(k, y)  # BUG


def low_rank(x: Tensor["B", "M", "N"], k: int = 3) -> Tensor["B", "M", "N"]:
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    return u[..., :k] * s[..., None, :k] @ vh[..., :k]  # BUG


def power_iteration(a: Tensor["N", "N"], v: Tensor["N"], steps: int = 3) -> Tensor[()]:
    for _ in range(steps):
        v = a @ v
        v = v / v.norm()
    return a @ v  # BUG


def quadratic(x: Tensor["B", "D"], a: Tensor["D", "D"]) -> Tensor["B"]:
    return torch.einsum("bd,de,be->be", x, a, x)  # BUG


def bilinear(x: Tensor["B", "I"], w: Tensor["O", "I", "J"], y: Tensor["B", "J"]) -> Tensor["B", "O"]:
    return torch.einsum("bi,oij,bi->bo", x, w, y)  # BUG


def tucker(
    core: Tensor["P", "Q", "R"], a: Tensor["I", "P"], b: Tensor["J", "Q"], c: Tensor["L", "R"]
) -> Tensor["I", "J", "L"]:
    return torch.einsum("pqr,ip,jq,lr->ilj", core, a, b, c)  # BUG


def batched_outer(x: Tensor["B", "M"], y: Tensor["B", "N"]) -> Tensor["B", "M", "N"]:
    return torch.outer(x, y)  # BUG


def trace_of(x: Tensor["B", "N", "N"]) -> Tensor["B"]:
    return x.diagonal().sum(-1)  # BUG


def standardise(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    return (x - x.mean(1)) / (x.std(0) + 1e-8)  # BUG


def running_mean(mean: Tensor["D"], x: Tensor["N", "D"], momentum: float = 0.1) -> Tensor["D"]:
    mean.mul_(1 - momentum).add_(x.mean(1), alpha=momentum)  # BUG
    return mean


def histogram(x: Tensor["N"], edges: Tensor["K+1"]) -> Tensor["K"]:
    inside = (x[:, None] >= edges[:-1]) & (x[:, None] < edges)  # BUG
    return inside.sum(0).float()


def bootstrap(x: Tensor["N", "D"], draws: int = 50) -> Tensor[50, "D"]:
    index = torch.randint(x.shape[0], (draws, x.shape[0]))
    return x[index].mean(dim=0)  # BUG


def silhouette(x: Tensor["N", "D"], scale: Tensor["N", "N"]) -> Tensor["N"]:
    distance = torch.cdist(x, x) / math.sqrt(x.shape[1])
    weights = distance * scale.sum(1)[:, None, None]  # BUG
    return weights.sum(1)


PROGRAMS = [
    covariance,
    batched_covariance,
    whiten,
    correlation,
    mahalanobis,
    gaussian_mixture,
    responsibilities,
    kmeans_step,
    least_squares,
    ridge,
    kalman_gain,
    gaussian_process,
    low_rank,
    power_iteration,
    quadratic,
    bilinear,
    tucker,
    batched_outer,
    trace_of,
    standardise,
    running_mean,
    histogram,
    bootstrap,
    silhouette,
]
