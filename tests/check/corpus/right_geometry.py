"""Rotations, cameras, grids of physics and neural fields, all of them right."""

import torch
import torch.nn.functional as F
from tessera import Tensor, dims
from torch import nn

N, H, W = dims("N H W")


def rotation_z_right(angle: Tensor["..."]) -> Tensor["...", 3, 3]:
    c, s = angle.cos(), angle.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = [torch.stack(row, dim=-1) for row in ([c, -s, zero], [s, c, zero], [zero, zero, one])]
    return torch.stack(rows, dim=-2)


def rotate_points_right(points: Tensor["B", "N", 3], rotation: Tensor["B", 3, 3]) -> Tensor["B", "N", 3]:
    return points @ rotation.mT


def rotate_one(point: Tensor[3], rotations: Tensor["B", 3, 3]) -> Tensor["B", 3]:
    return rotations @ point


def look_at_right(eye: Tensor["B", 3], target: Tensor["B", 3], up: Tensor[3]) -> Tensor["B", 3, 3]:
    forward = F.normalize(target - eye, dim=-1)
    side = torch.linalg.cross(forward, up[None], dim=-1)
    above = torch.linalg.cross(side, forward)
    return torch.stack([side, above, -forward], dim=1)


def face_normals_right(vertices: Tensor["V", 3], faces: Tensor["F", 3, torch.int64]) -> Tensor["F", 3]:
    a, b, c = vertices[faces].unbind(1)
    normals = torch.linalg.cross(b - a, c - a)
    return normals / normals.norm(dim=-1, keepdim=True)


def vertex_normals(vertices: Tensor["V", 3], faces: Tensor["F", 3, torch.int64]) -> Tensor["V", 3]:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = torch.cross(b - a, c - a, dim=1)
    out = torch.zeros_like(vertices)
    for corner in faces.T:
        out = out.index_add(0, corner, normal)
    return F.normalize(out)


def quaternion_product_right(p: Tensor["...", 4], q: Tensor["...", 4]) -> Tensor["...", 4]:
    w, v = p.split([1, 3], dim=-1)
    s, u = q.split((1, 3), -1)
    real = w * s - (v * u).sum(-1, keepdim=True)
    return torch.cat([real, w * u + s * v + torch.linalg.cross(v, u)], dim=-1)


def quaternion_to_matrix_right(q: Tensor["B", 4]) -> Tensor["B", 3, 3]:
    w, x, y, z = F.normalize(q, dim=-1).T
    rows = (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w))
    rows += (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w))
    rows += (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y))
    return torch.stack(rows, dim=-1).reshape(q.shape[:-1] + (3, 3))


def homogeneous_right(points: Tensor["N", 3], transform: Tensor[4, 4]) -> Tensor["N", 3]:
    padded = F.pad(points, (0, 1), value=1.0)
    return (padded @ transform.T)[:, :3]


def affine_inverse(m: Tensor["B", 3, 4]) -> Tensor["B", 3, 4]:
    r, t = m[..., :3], m[..., 3:]
    return torch.cat([r.mT, -r.mT @ t], dim=-1)


def project_right(points: Tensor["N", 3], camera: Tensor[3, 3]) -> Tensor["N", 2]:
    pixels = (camera @ points.T).T
    return pixels[:, :2] / pixels[:, 2:]


def skew_right(v: Tensor["B", 3]) -> Tensor["B", 3, 3]:
    out = v.new_zeros(len(v), 3, 3)
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    return out - out.transpose(1, 2)


def chamfer_right(a: Tensor["B", "N", 3], b: Tensor["B", "M", 3]) -> Tensor["B"]:
    distance = torch.cdist(a, b)
    return distance.amin(2).mean(1) + distance.min(dim=1)[0].mean(-1)


def procrustes_right(x: Tensor["N", 3], y: Tensor["N", 3]) -> tuple[Tensor[3, 3], Tensor[3]]:
    mx, my = x.mean(0), y.mean(0, keepdim=True)
    u, _, vh = torch.linalg.svd((x - mx).T @ (y - my))
    r = u @ vh
    return r, my[0] - mx @ r


def laplacian_periodic(u: Tensor[H, W], dx: float = 0.1) -> Tensor[H, W]:
    total = -4 * u
    for axis in (0, 1):
        for shift in (-1, 1):
            total = total + u.roll(shift, dims=axis)
    return total / dx**2


def laplacian_padded(u: Tensor["B", H, W]) -> Tensor["B", H, W]:
    p = F.pad(u, (1, 1, 1, 1))
    return p[:, 2:, 1:-1] + p[:, :-2, 1:-1] + p[:, 1:-1, 2:] + p[:, 1:-1, :-2] - 4 * p[:, 1:-1, 1:-1]


def central_difference_right(u: Tensor["B", "N"], dx: float = 0.1) -> Tensor["B", "N-2"]:
    return (u[:, 2:] - u[:, :-2]) / (2 * dx)


def heat_right(u: Tensor["N"], steps: int = 4) -> Tensor["N"]:
    for _ in range(steps):
        change = u[2:] - 2 * u[1:-1] + u[:-2]
        u = torch.cat([u[:1], u[1:-1] + 0.1 * change, u[-1:]])
    return u


def heat_in_place(u: Tensor["N"], steps: int = 4) -> Tensor["N"]:
    u = u.clone()
    for _ in range(steps):
        u[1:-1] += 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def shrinking_stencil(u: Tensor["N+6"]) -> Tensor["N"]:
    for _ in range(3):
        u = (u[2:] + u[:-2]) / 2
    return u


def divergence_right(field: Tensor["B", 2, "H", "W"]) -> Tensor["B", "H-1", "W-1"]:
    u, v = field[:, 0], field[:, 1]
    return u.diff(dim=2)[:, 1:] + torch.diff(v, dim=1)[:, :, 1:]


def sample_grid_right(image: Tensor["B", "C", "H", "W"], grid: Tensor["B", "N", 2]) -> Tensor["B", "C", "N"]:
    return F.grid_sample(image, grid[:, None], align_corners=False).squeeze(2)


def warp(image: Tensor["B", "C", "H", "W"], flow: Tensor["B", 2, "H", "W"]) -> Tensor["B", "C", "H", "W"]:
    h, w = image.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    grid = torch.stack((x, y), dim=-1) + flow.permute(0, 2, 3, 1)
    return F.grid_sample(image, grid, align_corners=True)


def coordinates_right(h: Tensor["H"], w: Tensor["W"]) -> Tensor["H*W", 2]:
    return torch.cartesian_prod(h, w) + torch.stack(torch.meshgrid(h, w, indexing="ij"), -1).view(-1, 2)


class NeuralFieldRight(nn.Module):
    def __init__(self, levels: int = 6):
        super().__init__()
        self.register_buffer("bands", 2.0 ** torch.arange(levels))
        self.net = nn.Sequential(nn.Linear(3 * (2 * levels + 1), 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, x: Tensor["R", "S", 3]) -> tuple[Tensor["R", "S", 3], Tensor["R", "S"]]:
        waves = (x[..., None] * self.bands).flatten(-2)
        out = self.net(torch.cat([x, waves.sin(), waves.cos()], -1))
        return out[..., :3].sigmoid(), out[..., 3].relu()


def render_right(rgb: Tensor["R", "S", 3], sigma: Tensor["R", "S"], delta: Tensor["R", "S"]) -> Tensor["R", 3]:
    alpha = 1 - torch.exp(-sigma * delta)
    passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1]], 1), dim=1)
    return torch.einsum("rs,rsc->rc", alpha * passed, rgb)


PROGRAMS = [
    rotation_z_right,
    rotate_points_right,
    rotate_one,
    look_at_right,
    face_normals_right,
    vertex_normals,
    quaternion_product_right,
    quaternion_to_matrix_right,
    homogeneous_right,
    affine_inverse,
    project_right,
    skew_right,
    chamfer_right,
    procrustes_right,
    laplacian_periodic,
    laplacian_padded,
    central_difference_right,
    heat_right,
    heat_in_place,
    shrinking_stencil,
    divergence_right,
    sample_grid_right,
    warp,
    coordinates_right,
    NeuralFieldRight,
    render_right,
]
