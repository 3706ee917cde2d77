"""The canonical framing: where the models expect a face, and how to bring a photo there.

The models saw heads through one camera (`synth.camera.canonical_six()[0]`), scaled and centred
alike (chin to crown 1.13 scene units). One similarity transform, found from the face landmarks,
brings a photo to the same framing, so that a lifted head comes out at the origin at its usual size.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage, spatial

from infer import faces
from synth.camera import Camera, canonical_six
from synth.color import premultiply, rgba8_from_float, unpremultiply

# Where mediapipe finds the landmarks of our own front renders, in units of the image side.
# Mean over 8 heads of the default configuration (seed 5, 320 px; in brackets the standard deviation
# between people), by tests/bench/measure_framing.py. The geometry agrees: over 40 heads the chin
# projects to 0.686 (0.007) and the middle of the pupils to 0.426 (0.018).
FACE_CENTRE_X = 0.5
"""Middle between the two sides of the face (0.008): it stays near the axis when a head turns."""
EYE_Y = 0.4260
"""Middle of the outer eye corners (0.017)."""
CHIN_Y = 0.6828
"""Lowest point of the chin (0.008)."""
EYE_DISTANCE = 0.1924
"""Between the outer eye corners, in 3D (0.010)."""
EYE_TO_LIP = 0.1575
"""From the middle of the eyes to the top of the upper lip, in 3D (0.012)."""
FACE_HEIGHT = 0.3752
"""From the top of the forehead to the chin, in 3D (0.015)."""
FACE_WIDTH = 0.2880
"""Between the two sides of the face, in 3D (0.011)."""


def crop_from_face(landmarks: np.ndarray) -> np.ndarray:
    """The similarity that brings a face to the framing of the training views.

    Roll comes from the line of the outer eye corners. The scale is the geometric mean of four
    lengths, taken in 3D so that a turned face keeps its size, over their canonical values. The
    middle between the face's two sides goes to the canonical column, and the mean height of eyes
    and chin to its canonical row.

    Args:
        landmarks: [478, 3] float, mediapipe's face mesh in pixels.

    Returns:
        [3, 3] float64, homogeneous pixels to the square crop with side 1.
    """

    def point(index: int) -> np.ndarray:
        return landmarks[index].astype(np.float64)

    def length(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b))

    right_eye, left_eye = point(faces.RIGHT_EYE_OUTER), point(faces.LEFT_EYE_OUTER)
    right_side, left_side = point(faces.RIGHT_SIDE), point(faces.LEFT_SIDE)
    eyes, chin = (right_eye + left_eye) / 2, point(faces.CHIN)
    ratios = (
        length(right_eye, left_eye) / EYE_DISTANCE,
        length(eyes, point(faces.UPPER_LIP_TOP)) / EYE_TO_LIP,
        length(point(faces.FOREHEAD_TOP), chin) / FACE_HEIGHT,
        length(right_side, left_side) / FACE_WIDTH,
    )
    side_px = float(np.exp(np.mean(np.log(ratios))))  # side of the crop, in pixels of the photo
    along = left_eye[:2] - right_eye[:2]
    cos, sin = along / np.linalg.norm(along)
    upright_from_photo = np.array([[cos, sin], [-sin, cos]]) / side_px
    sides_x = upright_from_photo @ ((right_side + left_side) / 2)[:2]
    eyes_y, chin_y = upright_from_photo @ eyes[:2], upright_from_photo @ chin[:2]
    unit_from_photo = np.eye(3)
    unit_from_photo[:2, :2] = upright_from_photo
    unit_from_photo[0, 2] = FACE_CENTRE_X - sides_x[0]
    unit_from_photo[1, 2] = (EYE_Y + CHIN_Y) / 2 - (eyes_y[1] + chin_y[1]) / 2
    return unit_from_photo


def photo_camera(
    crop_from_photo: np.ndarray, crop_px: int, photo_width: int, photo_height: int
) -> Camera:
    """The canonical front camera, expressed in the pixels of the uncropped photo.

    With photo_from_crop = [sR, t; 0, 1] and K = [fI, c; 0, 1], the product photo_from_crop K
    equals [sfI, sRc + t; 0, 1] [R, 0; 0, 1]: new intrinsics times a roll of the camera.

    Args:
        crop_from_photo: [3, 3] similarity in pixels.
        crop_px: side of the crop.
        photo_width: in pixels.
        photo_height: in pixels.
    """
    front = canonical_six(crop_px)[0]
    photo_from_crop = np.linalg.inv(crop_from_photo)
    scale = float(np.sqrt(np.linalg.det(photo_from_crop[:2, :2])))
    roll = np.eye(4)
    roll[:2, :2] = photo_from_crop[:2, :2] / scale
    intrinsics = np.diag([front.K[0, 0] * scale, front.K[1, 1] * scale, 1.0])
    intrinsics[:2, 2] = transform_points(photo_from_crop, front.K[None, :2, 2])[0]
    return Camera("photo", roll @ front.cam_from_world, intrinsics, photo_width, photo_height)


def transform_points(target_from_source: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply an affine [3, 3] transform to points [N, 2]."""
    return points @ target_from_source[:2, :2].T + target_from_source[:2, 2]


def warp(image: np.ndarray, crop_from_photo: np.ndarray, crop_px: int) -> np.ndarray:
    """Resample an image into the square crop; beyond its edges the border pixels repeat.

    Args:
        image: [H, W] or [H, W, 3] uint8.
        crop_from_photo: [3, 3] similarity, pixel centres at +0.5 in both.
        crop_px: side of the result.

    Returns:
        [crop_px, crop_px(, 3)] uint8; where the crop shrinks the photo, the photo is first reduced
        by area averaging so that nothing aliases.
    """
    scale = float(np.sqrt(abs(np.linalg.det(crop_from_photo[:2, :2]))))
    reduction = max(int(1.0 / scale), 1)
    picture = Image.fromarray(np.ascontiguousarray(image))
    if reduction > 1:
        picture = picture.reduce(reduction)
    source = np.asarray(picture, dtype=np.float32)
    source_from_crop = np.diag([1 / reduction, 1 / reduction, 1.0]) @ np.linalg.inv(crop_from_photo)
    rows, columns = np.mgrid[0:crop_px, 0:crop_px] + 0.5
    at = transform_points(source_from_crop, np.stack([columns.ravel(), rows.ravel()], 1)) - 0.5
    coordinates = at[:, ::-1].T
    planes = source[..., None] if source.ndim == 2 else source
    sampled = [
        ndimage.map_coordinates(planes[..., c], coordinates, order=1, mode="nearest")
        for c in range(planes.shape[2])
    ]
    result = np.stack(sampled, -1).reshape(crop_px, crop_px, planes.shape[2])
    result = (np.clip(result, 0.0, 255.0) + 0.5).astype(np.uint8)
    return result[..., 0] if image.ndim == 2 else result


def inside_photo(crop_from_photo: np.ndarray, crop_px: int, photo_width: int) -> np.ndarray:
    """How far each pixel of the crop lies inside the photo; the lower edge does not count.

    Below the photo the chest goes on by repetition of its last row, as it runs out of the frame in
    the training views. Repeated columns beside a photo, or hair above it, would only look odd.

    Args:
        crop_from_photo: [3, 3] similarity in pixels.
        crop_px: side of the crop.
        photo_width: in pixels.

    Returns:
        [crop_px, crop_px] float32, 1 inside and 0 outside, soft over one pixel.
    """
    photo_from_crop = np.linalg.inv(crop_from_photo)
    rows, columns = np.mgrid[0:crop_px, 0:crop_px] + 0.5
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    x, y = transform_points(photo_from_crop, centres).T
    distance = np.minimum(np.minimum(x, photo_width - x), y)
    crop_px_per_photo_px = 1.0 / np.sqrt(np.linalg.det(photo_from_crop[:2, :2]))
    inside = np.clip(distance * crop_px_per_photo_px + 0.5, 0.0, 1.0)
    return inside.reshape(crop_px, crop_px).astype(np.float32)


def hull_mask(points: np.ndarray, size: int) -> np.ndarray:
    """[size, size] bool: pixels inside the convex hull of the landmarks."""
    hull = spatial.ConvexHull(points)
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    mask = np.ones((size, size), bool)
    for normal_x, normal_y, offset in hull.equations:
        mask &= normal_x * columns + normal_y * rows + offset <= 0
    return mask


def shrink(rgba: np.ndarray, size: int) -> np.ndarray:
    """[W, W, 4] float straight alpha to [size, size, 4] uint8, averaging premultiplied colour."""
    if rgba.shape[0] != size:
        associated = premultiply(rgba).astype(np.float32)
        planes = [
            Image.fromarray(np.ascontiguousarray(associated[..., c])).resize(
                (size, size), Image.Resampling.BOX
            )
            for c in range(4)
        ]
        rgba = unpremultiply(np.stack([np.asarray(plane) for plane in planes], -1))
    rgba = np.where(rgba[..., 3:] * 255.0 < 0.5, 0.0, rgba)  # no colour under transparent pixels
    return rgba8_from_float(rgba)
