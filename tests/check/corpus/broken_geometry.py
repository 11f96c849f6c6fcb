"""Rotations, cameras, grids of physics and neural fields, each with one bug of shape."""

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

N, H, W = dims("N H W")


def rotation_z(angle: Tensor["B"]) -> Tensor["B", 3, 3]:
    c, s = angle.cos(), angle.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = [torch.stack(row, dim=-1) for row in ([c, -s, zero], [s, c, zero], [zero, zero, one])]
    return torch.stack(rows, dim=0)  # BUG


def rotate_points(points: Tensor["B", "N", 3], rotation: Tensor["B", 3, 3]) -> Tensor["B", "N", 3]:
    return rotation @ points  # BUG


def look_at(eye: Tensor["B", 3], target: Tensor["B", 3], up: Tensor[3]) -> Tensor["B", 3, 3]:
    forward = F.normalize(target - eye, dim=-1)
    side = torch.linalg.cross(forward, up.expand_as(forward))
    above = torch.linalg.cross(side, forward)
    return torch.cat([side, above, -forward], dim=-1)  # BUG


def face_normals(vertices: Tensor["V", 3], faces: Tensor["F", 3, torch.int64]) -> Tensor["F", 3]:
    a, b, c = vertices[faces].unbind(1)
    normals = torch.linalg.cross(b - a, c - a)
    return normals / normals.norm(dim=0)[:, None]  # BUG


def quaternion_product(p: Tensor["B", 4], q: Tensor["B", 4]) -> Tensor["B", 4]:
    w, v = p[:, :1], p[:, 1:]
    s, u = q[:, 0], q[:, 1:]  # BUG
    real = w * s - (v * u).sum(-1, keepdim=True)
    imaginary = w * u + s * v + torch.linalg.cross(v, u)  # HURTS
    return torch.cat([real, imaginary], dim=-1)


def quaternion_to_matrix(q: Tensor["B", 4]) -> Tensor["B", 3, 3]:
    w, x, y, z = F.normalize(q, dim=-1).unbind(0)  # BUG
    rows = (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w))
    rows += (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w))
    rows += (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y))
    return torch.stack(rows, dim=-1).view(-1, 3, 3)


def homogeneous(points: Tensor["N", 3], transform: Tensor[4, 4]) -> Tensor["N", 3]:
    padded = torch.cat([points, torch.ones(points.shape[0])], dim=1)  # BUG
    return (padded @ transform.T)[:, :3]


def project(points: Tensor["N", 3], camera: Tensor[3, 3]) -> Tensor["N", 2]:
    pixels = points @ camera.T
    return pixels[:, :2] / pixels[:, 2]  # BUG


def skew(v: Tensor["B", 3]) -> Tensor["B", 3, 3]:
    x, y, z = v.unbind(-1)
    zero = torch.zeros(3)  # BUG
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)  # HURTS


def chamfer(a: Tensor["B", "N", 3], b: Tensor["B", "M", 3]) -> Tensor["B"]:
    distance = torch.cdist(a, b)
    return distance.amin(2).mean(1) + distance.amin(1)  # BUG


def procrustes(x: Tensor["N", 3], y: Tensor["N", 3]) -> Tensor[3, 3]:
    x, y = x - x.mean(0), y - y.mean(0)
    u, _, vh = torch.linalg.svd(x @ y.T)  # BUG
    return u @ vh


def laplacian(u: Tensor[H, W], dx: float = 0.1) -> Tensor[H, W]:
    inner = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
    return u + inner / dx**2  # BUG


def central_difference(u: Tensor["B", "N"], dx: float = 0.1) -> Tensor["B", "N-2"]:
    return (u[:, 2:] - u[:, :-1]) / (2 * dx)  # BUG


def heat(u: Tensor["N"], steps: int = 4) -> Tensor["N"]:
    for _ in range(steps):
        change = u[2:] - 2 * u[1:-1] + u[:-2]
        u = torch.cat([u[:1], u[1:-1] + 0.1 * change])  # BUG
    return u


def divergence(field: Tensor["B", 2, "H", "W"]) -> Tensor["B", "H-1", "W-1"]:
    u, v = field.unbind(1)
    du = u[:, :, 1:] - u[:, :, :-1]
    dv = v[:, 1:, :] - v[:, :-1, :]
    return du[:, 1:, :] + dv  # BUG


def sample_grid(image: Tensor["B", "C", "H", "W"], grid: Tensor["B", "N", 2]) -> Tensor["B", "C", "N"]:
    out = F.grid_sample(image, grid.unsqueeze(1), align_corners=False)
    return out.squeeze(3)  # BUG


def coordinates(h: Tensor["H"], w: Tensor["W"]) -> Tensor["H", "W", 2]:
    y, x = torch.meshgrid(h, w, indexing="xy")  # BUG
    return torch.stack([x, y], dim=-1)


class NeuralField(nn.Module):
    def __init__(self, levels: int = 6):
        super().__init__()
        self.levels = levels
        self.net = nn.Sequential(nn.Linear(3 * 2 * levels, 64), nn.ReLU(), nn.Linear(64, 4))  # BUG

    def encode(self, x):
        parts = [x]
        for level in range(self.levels):
            parts += [torch.sin(2**level * x), torch.cos(2**level * x)]
        return torch.cat(parts, -1)

    def forward(self, x: Tensor["R", "S", 3]) -> tuple[Tensor["R", "S", 3], Tensor["R", "S"]]:
        out = self.net(self.encode(x))  # HURTS
        return out[..., :3].sigmoid(), out[..., 3].relu()


def render(rgb: Tensor["R", "S", 3], sigma: Tensor["R", "S"], delta: Tensor["R", "S"]) -> Tensor["R", 3]:
    alpha = 1 - torch.exp(-sigma * delta)
    passed = torch.cumprod(1 - alpha[:, :-1], dim=1)  # BUG
    weights = alpha * passed  # HURTS
    return (weights[..., None] * rgb).sum(1)


PROGRAMS = [
    rotation_z,
    rotate_points,
    look_at,
    face_normals,
    quaternion_product,
    quaternion_to_matrix,
    homogeneous,
    project,
    skew,
    chamfer,
    procrustes,
    laplacian,
    central_difference,
    heat,
    divergence,
    sample_grid,
    coordinates,
    NeuralField,
    render,
]
