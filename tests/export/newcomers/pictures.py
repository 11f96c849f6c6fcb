"""Pictures and films: what phones run, what makes them larger, straight, or finds things in them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.export.architectures import IMAGE, Job


class Inverted(nn.Module):
    """Wide, each channel alone, weighed by all, narrow (Howard et al., 2019)."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.body = nn.Sequential(
            nn.Conv2d(narrow, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(inplace=True),
            nn.Conv2d(wide, wide, 5, stride, 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(inplace=True),
        )
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d((1, 1)), nn.Conv2d(wide, 4, 1), nn.ReLU(), nn.Conv2d(4, wide, 1), nn.Hardsigmoid()
        )
        self.last = nn.Sequential(nn.Conv2d(wide, narrow, 1, bias=False), nn.BatchNorm2d(narrow))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        y = self.last(y * self.weigh(y))
        return x + y if self.stride == 1 else y


class MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.blocks = nn.Sequential(Inverted(8, 16, 1), Inverted(8, 16, 2))
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(16, 5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(image)).mean([2, 3]))


def mobilenet() -> Job:
    return MobileNet().to(memory_format=torch.channels_last), (torch.randn(2, 3, 20, 24),), _any_size()


class Larger(nn.Module):
    """Twice the size by depth that becomes width (Shi et al., 2016), on top of a plain enlargement."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2, padding_mode="reflect"),
            nn.Tanh(),
            nn.Conv2d(8, 12, 3, padding=1, padding_mode="replicate"),
            nn.PixelShuffle(2),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        plain = functional.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False)
        return (self.body(image) + plain).clamp(0, 1)


def superresolution() -> Job:
    size = {0: "B", 2: torch.export.Dim("H", min=4), 3: torch.export.Dim("W", min=4)}
    return Larger(), (torch.rand(2, 3, 8, 10),), {"image": size}


class Straightened(nn.Module):
    """A picture is turned by what the picture says (Jaderberg et al., 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.turn = nn.Linear(16, 6)
        self.head = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        theta = self.turn(self.look(image)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
        return self.head(functional.grid_sample(image, grid, align_corners=False))


def straightened() -> Job:
    return Straightened(), (torch.randn(2, 1, 12, 12),), {"image": IMAGE}


class Film(nn.Module):
    """Convolutions over pictures and time."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, 8, (3, 3, 3), padding=1),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d((1, 2, 2)),
            nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0)),
            nn.InstanceNorm3d(8, affine=True),
            nn.SELU(),
        )
        self.head = nn.Linear(8, 4)

    def forward(self, film: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(film).mean(dim=(-3, -2, -1)))


def film() -> Job:
    return Film(), (torch.randn(2, 3, 6, 8, 8),), {"film": {0: "B", 2: "T"}}


class OneLook(nn.Module):
    """Boxes at every place of a grid, as offsets in their cell, and the best of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.SiLU())
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.out = nn.Conv2d(16, 2 * 7, 1)
        self.register_buffer("anchors", torch.tensor([[8.0, 8.0], [16.0, 24.0]]))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.body(image)
        raw = self.out(torch.cat([x, self.pool(x)], 1))
        b, _, h, w = raw.shape
        raw = raw.view(b, 2, 7, h, w).permute(0, 1, 3, 4, 2).contiguous()
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        cell = torch.stack([columns, rows], -1).to(raw.dtype)
        centre = (raw[..., 0:2].sigmoid() * 2 - 0.5 + cell) * 4
        size = (raw[..., 2:4].sigmoid() * 2) ** 2 * self.anchors.view(1, 2, 1, 1, 2)
        boxes = torch.cat([centre - size / 2, centre + size / 2], -1).view(b, -1, 4)
        scores = (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).view(b, -1, 2)
        best, kind = scores.max(-1)
        order = best.topk(5, dim=1).indices
        return {
            "boxes": boxes.gather(1, order[..., None].expand(-1, -1, 4)),
            "scores": best.gather(1, order),
            "kinds": kind.gather(1, order),
        }


def onelook() -> Job:
    size = {0: "B", 2: torch.export.Dim("H", min=8), 3: torch.export.Dim("W", min=8)}
    return OneLook(), (torch.randn(2, 3, 16, 24),), {"image": size}


def _any_size() -> dict[str, dict[int, str]]:
    return {"image": {0: "B", 2: "H", 3: "W"}}
