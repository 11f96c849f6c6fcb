"""Statistics, batched linear algebra and einsum, all of them right."""

import math

import torch
from tessera import Tensor, dims

B, N, D, K = dims("B N D K")


def covariance_right(x: Tensor["N", "D"]) -> Tensor["D", "D"]:
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1) + torch.cov(x.T)


def batched_covariance_right(x: Tensor["...", "N", "D"]) -> Tensor["...", "D", "D"]:
    centred = x - x.mean(-2, keepdim=True)
    return torch.einsum("...nd,...ne->...de", centred, centred) / (x.shape[-2] - 1)


def whiten_right(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    x = x - x.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x / x.shape[0])
    return x @ vectors * values.clamp(min=1e-6).rsqrt() @ vectors.T


def correlation_right(x: Tensor["N", "D"], y: Tensor["N", "D"]) -> Tensor["D"]:
    x, y = x - x.mean(0), y - y.mean(0)
    return (x * y).sum(0) / (x.norm(dim=0) * y.norm(dim=0))


def mahalanobis_right(x: Tensor["N", "D"], mean: Tensor["D"], precision: Tensor["D", "D"]) -> Tensor["N"]:
    d = x - mean
    return torch.einsum("nd,de,ne->n", d, precision, d) + ((d @ precision) * d).sum(-1)


def gaussian_mixture_right(x: Tensor["N", "D"], means: Tensor["K", "D"], logits: Tensor["K"]) -> Tensor["N"]:
    distance = (x[:, None] - means).square().sum(-1)
    return torch.logsumexp(logits.log_softmax(0) - 0.5 * distance, dim=1)


def em_step(x: Tensor["N", "D"], means: Tensor["K", "D"]) -> Tensor["K", "D"]:
    r = torch.cdist(x, means).neg().softmax(-1)
    return (r.T @ x) / r.sum(0).unsqueeze(-1)


def kmeans(x: Tensor["N", "D"], centres: Tensor["K", "D"], steps: int = 3) -> Tensor["N", torch.int64]:
    for _ in range(steps):
        one_hot = torch.nn.functional.one_hot(torch.cdist(x, centres).argmin(1), len(centres)).to(x)
        centres = one_hot.T @ x / one_hot.sum(0).clamp(min=1)[:, None]
    return torch.cdist(x, centres).argmin(1)


def least_squares_right(x: Tensor["N", "D"], y: Tensor["N"]) -> Tensor["D"]:
    return torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]), x.T @ y)


def ridge_right(x: Tensor[B, N, D], y: Tensor[B, N, K], alpha: float = 0.1) -> Tensor[B, D, K]:
    gram = x.mT @ x + alpha * torch.eye(x.shape[-1])
    return torch.cholesky_solve(x.mT @ y, torch.linalg.cholesky(gram))


def kalman_step(
    x: Tensor["B", "S"], p: Tensor["B", "S", "S"], h: Tensor["O", "S"], z: Tensor["B", "O"]
) -> tuple[Tensor["B", "S"], Tensor["B", "S", "S"]]:
    innovation = h @ p @ h.T + torch.eye(h.shape[0]) * 10
    gain = p @ h.T @ torch.linalg.pinv(innovation)
    x = x + (gain @ (z - x @ h.T).unsqueeze(-1)).squeeze(-1)
    return x, (torch.eye(p.shape[-1]) - gain @ h) @ p


def gaussian_process_right(x: Tensor["N", "D"], y: Tensor["N"], z: Tensor["M", "D"]) -> tuple[Tensor["M"], Tensor["M"]]:
    factor = torch.linalg.cholesky(torch.exp(-torch.cdist(x, x)) + 0.1 * torch.eye(x.shape[0]))
    cross = torch.exp(-torch.cdist(z, x))
    mean = cross @ torch.cholesky_solve(y[:, None], factor)
    half = torch.linalg.solve_triangular(factor, cross.mT, upper=False)
    return mean.squeeze(-1), 1 - half.square().sum(0)


def low_rank_right(x: Tensor["B", "M", "N"], k: int = 3) -> Tensor["B", "M", "N"]:
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    return u[..., :k] * s[..., None, :k] @ vh[..., :k, :]


def power_iteration_right(a: Tensor["N", "N"], v: Tensor["N"], steps: int = 3) -> Tensor[()]:
    for _ in range(steps):
        v = torch.nn.functional.normalize(a @ v, dim=0)
    return v @ a @ v


def conjugate_gradient(a: Tensor["N", "N"], b: Tensor["N"]) -> Tensor["N"]:
    a = a @ a.T + torch.eye(len(b))
    x = torch.zeros_like(b)
    r = p = b - a @ x
    for _ in range(min(4, b.numel())):
        step = r.dot(r) / (p @ a @ p)
        x, new = x + step * p, r - step * (a @ p)
        p = new + new.dot(new) / r.dot(r) * p
        r = new
    return x


def vectors_and_matrices(v: Tensor["K"], a: Tensor["B", "K", "N"], w: Tensor["N"]) -> Tensor["B"]:
    return v @ a @ w


def bilinear_right(x: Tensor["B", "I"], w: Tensor["O", "I", "J"], y: Tensor["B", "J"]) -> Tensor["B", "O"]:
    return torch.einsum("bi,oij,bj->bo", x, w, y) + torch.nn.functional.bilinear(x, y, w)


def tucker_right(
    core: Tensor["P", "Q", "R"], a: Tensor["I", "P"], b: Tensor["J", "Q"], c: Tensor["L", "R"]
) -> Tensor["I", "J", "L"]:
    first = torch.tensordot(a, core, dims=1)
    second = torch.tensordot(first, b, dims=([1], [1]))
    return torch.tensordot(second, c, dims=([1], [1]))


def kronecker(a: Tensor["M", "N"], b: Tensor["P", "Q"]) -> Tensor["M*P", "N*Q"]:
    return torch.kron(a, b) + torch.einsum("mn,pq->mpnq", a, b).reshape(a.shape[0] * b.shape[0], -1)


def batched_outer_right(x: Tensor["B", "M"], y: Tensor["B", "N"]) -> Tensor["B", "M", "N"]:
    return x.unsqueeze(-1) * y.unsqueeze(-2) + torch.bmm(x[:, :, None], y[:, None, :])


def trace_right(x: Tensor["B", "N", "N"]) -> Tensor["B"]:
    return x.diagonal(dim1=-2, dim2=-1).sum(-1) + torch.einsum("bii->b", x)


def diagonal_matrices(x: Tensor["B", "N"]) -> Tensor["B", "N", "N"]:
    return torch.diag_embed(x) + x[..., None] * torch.eye(x.shape[-1])


def standardise_right(x: Tensor["N", "D"]) -> Tensor["N", "D"]:
    std, mean = torch.std_mean(x, dim=0, keepdim=True)
    return (x - mean) / (std + 1e-8)


def running_mean_right(mean: Tensor["D"], x: Tensor["N", "D"], momentum: float = 0.1) -> Tensor["D"]:
    return mean.mul_(1 - momentum).add_(x.mean(0), alpha=momentum)


def histogram_right(x: Tensor["N"], edges: Tensor["K+1"]) -> Tensor["K"]:
    inside = (x[:, None] >= edges[:-1]) & (x[:, None] < edges[1:])
    return inside.sum(0) / x.shape[0]


def bootstrap_right(x: Tensor["N", "D"], draws: int = 50) -> tuple[Tensor["D"], Tensor["D"]]:
    index = torch.randint(x.shape[0], (draws, x.shape[0]))
    means = x[index].mean(dim=1)
    return means.mean(0), means.quantile(0.9, dim=0)


def ranks(x: Tensor["B", "N"]) -> Tensor["B", "N"]:
    return x.argsort(-1).argsort(-1).float() / (x.shape[-1] - 1)


def median_deviation(x: Tensor["B", "N"]) -> Tensor["B"]:
    middle = x.median(dim=-1, keepdim=True).values
    return (x - middle).abs().median(dim=-1)[0]


def polynomial_features(x: Tensor["N"], degree: int = 3) -> Tensor["N", 4]:
    return torch.stack([x**k for k in range(degree + 1)], dim=-1) + torch.vander(x, degree + 1)


def pair_features(x: Tensor["N", "D"]) -> Tensor["N", "D*D"]:
    return (x[:, :, None] * x[:, None, :]).flatten(1) / math.sqrt(x.shape[1])


PROGRAMS = [
    covariance_right,
    batched_covariance_right,
    whiten_right,
    correlation_right,
    mahalanobis_right,
    gaussian_mixture_right,
    em_step,
    kmeans,
    least_squares_right,
    ridge_right,
    kalman_step,
    gaussian_process_right,
    low_rank_right,
    power_iteration_right,
    conjugate_gradient,
    vectors_and_matrices,
    bilinear_right,
    tucker_right,
    kronecker,
    batched_outer_right,
    trace_right,
    diagonal_matrices,
    standardise_right,
    running_mean_right,
    histogram_right,
    bootstrap_right,
    ranks,
    median_deviation,
    polynomial_features,
    pair_features,
]
