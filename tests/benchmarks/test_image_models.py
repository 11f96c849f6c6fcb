from __future__ import annotations

import pytest
import torch

from benchmarks.image_models import CLASSES, Residuals, ResNet, ViT, perceptron

RESNET_50 = Residuals(blocks=(3, 4, 6, 3), kernels=(1, 3, 1), growth=4, stem=(7, 2, 3), pools=True)


def test_a_resnet_50_is_that_of_the_paper():
    with torch.device("meta"):
        model = ResNet(RESNET_50)
    head = 2048 * CLASSES + CLASSES
    assert sum(p.numel() for p in model.parameters()) - head == 25_557_032 - (2048 * 1000 + 1000)
    assert model(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, CLASSES)


def test_every_stage_but_the_first_begins_with_a_stride():
    assert RESNET_50.strides() == [1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("model", [ResNet(Residuals((4, 8), (1, 1))), ViT(1, 24, 3)], ids=["resnet", "vit"])
def test_images_become_scores(model):
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, CLASSES)


def test_flat_images_become_scores():
    assert perceptron(16)(torch.randn(2, 784)).shape == (2, CLASSES)
