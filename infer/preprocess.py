"""From a photo to the input of the models: the canonical crop, upright, matted, RGBA8.

`Preprocessor` reads the file, finds the face, cuts the crop that `infer.framing` describes and
mattes it. It keeps the transform, so that a result can be put back into the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from infer import matte
from infer.faces import Face, FaceFinder
from infer.framing import (
    crop_from_face,
    hull_mask,
    inside_photo,
    photo_camera,
    shrink,
    transform_points,
    warp,
)
from infer.photo import Photo, photo_from_array, read_photo
from synth.camera import Camera
from synth.color import rgba8_from_float
from synth.errors import InputError

_MATTE_SIDE_PX = 512
"""The crop is matted at this size or the output's, whichever is larger."""


@dataclass(frozen=True)
class PreprocessConfig:
    """How a photo is prepared.

    Attributes:
        size: side of the square output in pixels; the models decide it.
        min_face_px: a face narrower than this in the photo is refused.
        max_faces: how many faces of a photo are looked at to choose the most prominent.
        max_side_px: larger photos are reduced to this longer side before anything else.
    """

    size: int = 512
    min_face_px: int = 32
    max_faces: int = 8
    max_side_px: int = 2048

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"size {self.size} px is too small; use at least 16")
        if self.max_side_px < 256:
            raise ValueError(f"max_side_px {self.max_side_px} is too small; use at least 256")


@dataclass(frozen=True, eq=False)
class PreparedPhoto:
    """A photo in the canonical framing.

    Attributes:
        rgba: [size, size, 4] uint8, sRGB, straight alpha, background transparent.
        crop_from_photo: [3, 3] float64 similarity, homogeneous pixels of the upright photo at its
            full size to pixels of `rgba` (first pixel centre at 0.5, 0.5 in both).
        landmarks: [478, 2] float64, the face's landmarks in pixels of `rgba`.
        face_count: how many faces the photo shows; the most prominent one was taken.
        roll_deg: how far the eye line was turned, clockwise in the photo positive.
        matte_source: `"segmentation"`, or `"photo"` if the file came with its own alpha.
        photo_name: file path or label.
        photo_width: width of the upright photo in pixels.
        photo_height: height likewise.
        photo_digest: SHA-256 of the photo's bytes.
    """

    rgba: np.ndarray
    crop_from_photo: np.ndarray
    landmarks: np.ndarray
    face_count: int
    roll_deg: float
    matte_source: Literal["segmentation", "photo"]
    photo_name: str
    photo_width: int
    photo_height: int
    photo_digest: str

    @property
    def size(self) -> int:
        """Side of the crop in pixels."""
        return self.rgba.shape[0]

    def on_white(self) -> np.ndarray:
        """[size, size, 3] uint8: the crop composited on white."""
        rgba = self.rgba.astype(np.float64) / 255.0
        colour = rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]
        return rgba8_from_float(colour)

    def photo_camera(self) -> Camera:
        """The camera that sees the lifted head where the photo shows it, in photo pixels.

        It stands at the canonical front position and carries the crop: focal length and principal
        point in photo pixels (the latter usually off the middle) and the roll. A photo does not
        tell its own focal length, so distance and angle of view are those of the training rig.
        """
        return photo_camera(self.crop_from_photo, self.size, self.photo_width, self.photo_height)


class Preprocessor:
    """Prepares photos; holds the face and segmentation networks, one per process.

    Args:
        config: sizes and limits.

    Raises:
        DeviceError: mediapipe does not load.
    """

    def __init__(self, config: PreprocessConfig | None = None) -> None:
        self.config = config or PreprocessConfig()
        self._finder = FaceFinder(max_faces=self.config.max_faces)
        self._segmenter = matte.PersonSegmenter()

    def prepare(self, image: str | Path | np.ndarray | Photo) -> PreparedPhoto:
        """Crop and matte one photo.

        Args:
            image: file path, array ([H, W], [H, W, 3] or [H, W, 4]; uint8, uint16 or float in
                [0, 1]) or a photo that was read before.

        Raises:
            InputError: not an image, too small, or without a usable face; names the file.
        """
        photo = self.read(image)
        found = self.find_faces(photo)
        face = found[0]
        return self.crop(photo, face, crop_from_face(face.landmarks), face_count=len(found))

    def read(self, image: str | Path | np.ndarray | Photo) -> Photo:
        """Read an image without looking at it yet.

        Raises:
            InputError: not an image, or too small.
        """
        if isinstance(image, Photo):
            return image
        if isinstance(image, np.ndarray):
            return photo_from_array(image, max_side_px=self.config.max_side_px)
        return read_photo(image, max_side_px=self.config.max_side_px)

    def find_faces(self, photo: Photo) -> list[Face]:
        """The faces of a photo, the most prominent first; never empty.

        Raises:
            InputError: no face, or only one that is too small; names the file.
        """
        found = self._finder.find(_on_grey(photo))
        if not found:
            raise InputError(
                f"{photo.name}: no face found; use a photo in which one face is well visible, "
                "from the front or half from the side"
            )
        x0, _, x1, _ = found[0].box
        width_px = (x1 - x0) * photo.full_width / photo.rgb.shape[1]
        if width_px < self.config.min_face_px:
            raise InputError(
                f"{photo.name}: the face is only {width_px:.0f} px wide, at least "
                f"{self.config.min_face_px} are needed; use a larger photo"
            )
        return found

    def crop(
        self, photo: Photo, face: Face, unit_from_photo: np.ndarray, *, face_count: int = 1
    ) -> PreparedPhoto:
        """Cut the canonical crop by a known transform (a video smooths it over time first).

        Args:
            photo: what to cut from.
            face: its face.
            unit_from_photo: [3, 3] similarity from pixels of `photo.rgb` to the crop with side 1.
            face_count: passed on to the result.
        """
        size = self.config.size
        work_px = max(size, _MATTE_SIDE_PX)
        crop_from_work_photo = np.diag([work_px, work_px, 1.0]) @ unit_from_photo
        colour = warp(photo.rgb, crop_from_work_photo, work_px).astype(np.float64) / 255.0
        landmarks = transform_points(crop_from_work_photo, face.landmarks[:, :2])
        face_hull = hull_mask(landmarks, work_px)
        if photo.alpha is not None:
            alpha = warp(photo.alpha, crop_from_work_photo, work_px).astype(np.float32) / 255.0
            source: Literal["segmentation", "photo"] = "photo"
        else:
            probability = self._probability(photo, crop_from_work_photo, work_px)
            alpha = matte.refine(colour, probability, face_hull)
            source = "segmentation"
        alpha = alpha * inside_photo(crop_from_work_photo, work_px, photo.rgb.shape[1])
        colour = matte.clean_edge_colours(colour, alpha)
        rgba = shrink(np.concatenate([colour, alpha[..., None]], axis=-1), size)

        reduced_from_full = np.diag(
            [photo.rgb.shape[1] / photo.full_width, photo.rgb.shape[0] / photo.full_height, 1.0]
        )
        crop_from_photo = np.diag([size, size, 1.0]) @ unit_from_photo @ reduced_from_full
        return PreparedPhoto(
            rgba=rgba,
            crop_from_photo=crop_from_photo,
            landmarks=landmarks * (size / work_px),
            face_count=face_count,
            roll_deg=-float(np.degrees(np.arctan2(unit_from_photo[1, 0], unit_from_photo[0, 0]))),
            matte_source=source,
            photo_name=photo.name,
            photo_width=photo.full_width,
            photo_height=photo.full_height,
            photo_digest=photo.digest,
        )

    def _probability(self, photo: Photo, crop_from_photo: np.ndarray, crop_px: int) -> np.ndarray:
        """Segment the part of the photo under the crop, then bring the result into the crop.

        The network sees real pixels only, not the repeated ones beyond the photo's edges.
        """
        corners = np.array([[0, 0], [crop_px, 0], [0, crop_px], [crop_px, crop_px]], float)
        in_photo = transform_points(np.linalg.inv(crop_from_photo), corners)
        height, width = photo.rgb.shape[:2]
        left, top = np.clip(np.floor(in_photo.min(0)).astype(int), 0, [width - 1, height - 1])
        right, bottom = np.clip(np.ceil(in_photo.max(0)).astype(int), 1, [width, height])
        probability = self._segmenter.probability(photo.rgb[top:bottom, left:right])
        shift = np.eye(3)
        shift[:2, 2] = left, top
        as_bytes = rgba8_from_float(probability)
        return warp(as_bytes, crop_from_photo @ shift, crop_px).astype(np.float32) / 255.0


def _on_grey(photo: Photo) -> np.ndarray:
    if photo.alpha is None:
        return photo.rgb
    alpha = photo.alpha[..., None].astype(np.float32) / 255.0
    return (photo.rgb * alpha + 128.0 * (1.0 - alpha)).astype(np.uint8)


def prepare(
    image: str | Path | np.ndarray, config: PreprocessConfig | None = None
) -> PreparedPhoto:
    """Prepare one photo; for more than one keep a `Preprocessor`.

    Raises:
        InputError: not an image, too small, or without a usable face.
    """
    return Preprocessor(config).prepare(image)
