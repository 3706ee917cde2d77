"""Any common picture file becomes upright sRGB, anything else one sentence with its name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from infer.photo import photo_from_array, read_photo
from synth.errors import InputError


@pytest.fixture
def corner() -> np.ndarray:
    """A grey picture 96 wide and 80 high whose upper left corner is red."""
    image = np.full((80, 96, 3), 100, np.uint8)
    image[:20, :20] = (200, 0, 0)
    return image


def test_exif_orientation_is_applied(tmp_path, corner):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned; a viewer turns it 90 degrees clockwise
    Image.fromarray(corner).save(tmp_path / "turned.png", exif=exif)
    photo = read_photo(tmp_path / "turned.png")
    assert (photo.full_width, photo.full_height) == (80, 96)
    assert tuple(photo.rgb[5, -5]) == (200, 0, 0)
    assert tuple(photo.rgb[5, 5]) == (100, 100, 100)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path, corner, mode):
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    Image.fromarray(corner).convert(mode).save(path)
    photo = read_photo(path)
    assert photo.rgb.shape == (80, 96, 3)
    assert photo.rgb.dtype == np.uint8
    assert photo.alpha is None  # opaque alpha is no cut-out
    if mode not in ("1", "P"):
        assert abs(int(photo.rgb[70, 70, 0]) - 100) < 6


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path):
    values = np.full((80, 96), 100 * 257, np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert read_photo(tmp_path / "deep.png").rgb[40, 40].tolist() == [100, 100, 100]
    assert photo_from_array(values).rgb[40, 40].tolist() == [100, 100, 100]


def test_a_cut_out_keeps_its_alpha(tmp_path, corner):
    alpha = np.zeros((80, 96, 1), np.uint8)
    alpha[20:60, 20:60] = 255
    Image.fromarray(np.concatenate([corner, alpha], -1)).save(tmp_path / "cut.png")
    photo = read_photo(tmp_path / "cut.png")
    assert photo.alpha is not None
    assert photo.alpha[40, 40] == 255
    assert photo.alpha[0, 0] == 0


def test_a_huge_photo_is_reduced_and_remembers_its_size(tmp_path):
    Image.new("RGB", (3000, 1000), (9, 9, 9)).save(tmp_path / "wide.png")
    photo = read_photo(tmp_path / "wide.png", max_side_px=300)
    assert photo.rgb.shape == (100, 300, 3)
    assert (photo.full_width, photo.full_height) == (3000, 1000)


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear Sir")
    with pytest.raises(InputError, match=r"letter\.jpg: not an image"):
        read_photo(tmp_path / "letter.jpg")
    with pytest.raises(InputError, match=r"absent\.png: cannot read"):
        read_photo(tmp_path / "absent.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:400])
    with pytest.raises(InputError, match=r"half\.jpg"):
        read_photo(tmp_path / "half.jpg")
    Image.new("RGB", (40, 200)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match=r"small\.png: 40 x 200 pixels is too small"):
        read_photo(tmp_path / "small.png")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((80, 80, 2), np.uint8), "shape"),
        (np.zeros((80, 80, 3), np.int64), "int64"),
        (np.full((80, 80, 3), np.nan), "NaN"),
    ],
)
def test_bad_arrays_are_refused(array, reason):
    with pytest.raises(InputError, match=reason):
        photo_from_array(array)
