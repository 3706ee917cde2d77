"""Reading photographs: any common file becomes upright 8-bit sRGB, or an `InputError` says why."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from synth.color import rgba8_from_float
from synth.errors import InputError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""File names that a folder is searched for; a file named directly may be anything Pillow reads."""
MIN_SIDE_PX = 64
"""Photos with a shorter side are refused: a face in them cannot be lifted."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photograph.

    Attributes:
        name: file path, or a label for an image that never was a file; used in messages.
        rgb: [H, W, 3] uint8, display-referred sRGB, upright (EXIF orientation applied).
        alpha: [H, W] uint8 when the file has real transparency (a cut-out), else None.
        full_width: width of the upright photo in pixels before it was reduced for work.
        full_height: height likewise.
        digest: SHA-256 of the file's bytes (of the pixels for an array), 64 hexadecimal digits.
    """

    name: str
    rgb: np.ndarray
    alpha: np.ndarray | None
    full_width: int
    full_height: int
    digest: str


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror or error}") from error


def read_photo(path: str | Path, *, max_side_px: int = 2048) -> Photo:
    """Read a photograph from a file.

    Args:
        path: any still image that Pillow decodes; grey, palette, RGBA, CMYK and 16-bit files are
            converted, an embedded colour profile is applied, the EXIF orientation is honoured.
        max_side_px: larger photos are reduced to this longer side.

    Raises:
        InputError: not readable, not an image, or too small; names the file.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror or error}") from error
    with warnings.catch_warnings():
        # The size is checked against our own limit; damaged EXIF blocks do not concern us.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        image = _decode(data, path)
    digest = hashlib.sha256(data).hexdigest()
    return _photo(str(path), image, digest, max_side_px)


def photo_from_array(image: np.ndarray, name: str = "array", *, max_side_px: int = 2048) -> Photo:
    """Take a photograph from memory.

    Args:
        image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; uint8, uint16 or float in [0, 1]; sRGB.
        name: label for messages.
        max_side_px: larger photos are reduced to this longer side.

    Raises:
        InputError: another shape or type, NaN, or too small.
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(
            f"{name}: expected an [H, W], [H, W, 3] or [H, W, 4] image, got shape {np.shape(image)}"
        )
    if array.dtype == np.uint16:
        array = _uint8_from_uint16(array)
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{name}: the image contains NaN or infinity")
        array = rgba8_from_float(array)
    elif array.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8, uint16 or float pixels, got {array.dtype}")
    digest = hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()
    return _photo(name, Image.fromarray(np.ascontiguousarray(array)), digest, max_side_px)


def _decode(data: bytes, path: Path) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        icc_profile = image.info.get("icc_profile")
        image = ImageOps.exif_transpose(image)
        image.load()
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image, or of a kind that cannot be read") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too many pixels, reduce it first ({error})") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged image ({error})") from error
    return _to_srgb(image, icc_profile)


def _to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bit_grey(image)
    mode = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "L": "RGB"}.get(image.mode)
    if icc_profile and mode:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode=mode)
        except (ImageCms.PyCMSError, OSError):
            return image  # a damaged profile: viewers show the plain pixels too
    return image


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    top = 255.0 if values.max(initial=0.0) <= 255.0 else 65535.0
    return Image.fromarray(rgba8_from_float(values / top))


def _uint8_from_uint16(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _photo(name: str, image: Image.Image, digest: str, max_side_px: int) -> Photo:
    full_width, full_height = image.size
    if min(full_width, full_height) < MIN_SIDE_PX:
        raise InputError(
            f"{name}: {full_width} x {full_height} pixels is too small; "
            f"the shorter side needs at least {MIN_SIDE_PX}"
        )
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    image = image.convert("RGBA" if has_alpha else "RGB")
    if max(image.size) > max_side_px:
        image.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    alpha = array[..., 3] if has_alpha and array[..., 3].min() < 250 else None
    return Photo(name, np.ascontiguousarray(array[..., :3]), alpha, full_width, full_height, digest)
