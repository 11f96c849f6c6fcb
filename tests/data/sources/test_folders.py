from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tessera.data import Loader, images, texts
from tessera.errors import BatchError, DataError, EmptyDatasetError, MissingDependencyError, SettingError


@pytest.fixture
def pictures(tmp_path):
    for label, name in enumerate(("ape", "bear")):
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = np.full((6, 8, 3), 50 * label + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_images_and_their_classes(pictures):
    data = images(pictures)
    assert data.source.classes == ["ape", "bear"]
    for workers in (0, 2):
        with Loader(data, 3, workers=workers) as loader:
            for image, label in loader:
                assert image.dtype == torch.uint8
                assert image.shape[1:] == (3, 6, 8)
                assert torch.equal(image[:, 0, 0, 0] // 50, label)


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("gray", 1), ("RGBA", 4)])
def test_sizes_and_modes(pictures, mode, channels):
    image, _ = images(pictures, size=(5, 4), mode=mode)[0]
    assert image.shape == (channels, 5, 4)
    assert image.is_contiguous()


def test_a_folder_without_classes(pictures):
    image = images(pictures / "ape")[2]
    assert image.flatten().unique().tolist() == [2]


@pytest.mark.parametrize("content", [b"", b"not an image", "truncated"])
def test_a_corrupt_image_names_its_file_and_can_be_left_out(pictures, content):
    path = pictures / "bear" / "1.png"
    path.write_bytes(path.read_bytes()[:50] if content == "truncated" else content)
    with pytest.raises(DataError, match=r"^Reading .*bear/1\.png \(position \d of epoch 0\) failed"):
        list(Loader(images(pictures), 4))
    loader = Loader(images(pictures), 4, on_error="skip")
    assert sum(len(label) for _, label in loader) == 7
    assert "bear/1.png" in loader.skipped[0]


def test_an_empty_subfolder_keeps_its_number(pictures):
    (pictures / "ant").mkdir()
    (pictures / ".thumbnails").mkdir()
    data = images(pictures)
    assert data.source.classes == ["ant", "ape", "bear"]
    assert {data[number][1] for number in range(len(data))} == {1, 2}


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_values_that_do_not_fit_are_not_cut_off(tmp_path, dtype):
    path = tmp_path / "deep.tiff"
    Image.fromarray(np.full((2, 3), 1000, dtype)).save(path)
    with pytest.raises(DataError, match=rf"^{path} has values of more than 8 bits"):
        list(Loader(images(tmp_path), 1))


def test_images_of_several_sizes(pictures):
    Image.new("RGB", (3, 3)).save(pictures / "ape" / "9.png")
    with pytest.raises(BatchError, match="could not be joined to a batch"):
        list(Loader(images(pictures), 9))
    assert len(list(Loader(images(pictures, size=(4, 4)), 9))) == 1


def test_what_makes_no_sense(pictures, monkeypatch):
    with pytest.raises(SettingError, match="^mode='CMYK'"):
        images(pictures, mode="CMYK")
    for size in (3, (3,), (0, 3), (1.5, 2)):
        with pytest.raises(SettingError, match="^size="):
            images(pictures, size=size)
    with pytest.raises(EmptyDatasetError):
        texts(pictures)
    with pytest.raises(SettingError, match="^by='word'"):
        texts(pictures, by="word")
    (pictures / "loose.png").write_bytes(b"")
    with pytest.raises(SettingError, match=r"loose\.png lies beside the subfolders"):
        images(pictures)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match="^Pillow is not installed"):
        images(pictures)


def test_texts_by_file(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("häuser\nzwei", encoding="utf-8")
    (tmp_path / "b" / "2.txt").write_text("", encoding="utf-8")
    assert list(Loader(texts(tmp_path), 2, shuffle=False, collate=list)) == [[("häuser\nzwei", 0), ("", 1)]]


LINES = {
    "a.txt": ("one\ntwo\n", ["one", "two"]),
    "b.txt": ("", []),
    "c.txt": ("no end", ["no end"]),
    "d.txt": ("\r\nwindows\r\n\n", ["", "windows", ""]),
    "e.txt": ("ü\n€\n", ["ü", "€"]),
}


def test_texts_by_line(tmp_path):
    for name, (content, _) in LINES.items():
        (tmp_path / name).write_bytes(content.encode())
    data = texts(tmp_path, by="line")
    expected = [line for _, lines in LINES.values() for line in lines]
    assert [data[number] for number in range(len(data))] == expected
    assert data.source.name(2) == f"{tmp_path / 'c.txt'}, line 1"
    assert data.source.name(4) == f"{tmp_path / 'd.txt'}, line 2"


def test_endings_are_one_or_several(tmp_path):
    (tmp_path / "a.MD").write_text("a")
    assert texts(tmp_path, suffixes=".md")[0] == texts(tmp_path, suffixes=[".txt", ".MD"])[0] == "a"


def test_a_line_that_is_no_text_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\xfe\nfine\n")
    loader = Loader(texts(tmp_path, by="line"), 4, shuffle=False, on_error="skip", collate=list)
    assert list(loader) == [["fine", "fine"]]
    assert "a.txt, line 2" in loader.skipped[0]
    assert "UnicodeDecodeError" in loader.skipped[0]
