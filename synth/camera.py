"""Cameras: the one convention of Headloom, and the only file that flips an axis.

Camera frame: OpenCV (x right, y down, z forward). World: right-handed, +Z up, the head stands at
the origin and looks along -Y, so a camera in front of it is at azimuth -90 degrees, measured from
+X towards +Y. Pixel (0, 0) has its centre at (0.5, 0.5).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

RADIUS = 2.7
"""Distance of the default cameras from the origin, in scene units (FaceLift's rig)."""
FOV_DEG = 50.0
"""Full horizontal and vertical field of view of the default cameras (f = 548.9938 px at 512)."""

CANONICAL_VIEWS: tuple[tuple[str, float], ...] = (
    ("front", -90.0),
    ("front_right", -135.0),
    ("right", 180.0),
    ("back", 90.0),
    ("left", 0.0),
    ("front_left", -45.0),
)
"""Name and azimuth in degrees of the six views of the diffusion model; sides are the subject's."""

_OPENCV_FROM_BLENDER_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
"""The camera of Blender and OpenGL looks along -z with +y up; its own inverse."""

_CANONICAL_TOLERANCE = 1e-3
"""Largest difference from a canonical view: scene units, radians, shares of the focal length."""
_RIGID_TOLERANCE = 1e-4
"""Float32 matrices that went through text are rigid to 1e-6; a scale or a shear is not."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        name: free label, for example `"front"`.
        cam_from_world: [4, 4] float64, maps homogeneous world points to the OpenCV camera frame.
        K: [3, 3] float64 intrinsics in pixels.
        width: image width in pixels.
        height: image height in pixels.
    """

    name: str
    cam_from_world: np.ndarray
    K: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "cam_from_world", _matrix(self.cam_from_world, 4))
        object.__setattr__(self, "K", _matrix(self.K, 3))

    @property
    def world_from_cam(self) -> np.ndarray:
        """[4, 4] float64, the rigid inverse of `cam_from_world`."""
        rotation, translation = self.cam_from_world[:3, :3], self.cam_from_world[:3, 3]
        inverse = np.eye(4)
        inverse[:3, :3] = rotation.T
        inverse[:3, 3] = -rotation.T @ translation
        return inverse

    @property
    def position(self) -> np.ndarray:
        """[3] float64, the camera centre in world coordinates."""
        return self.world_from_cam[:3, 3]

    @property
    def fov_x_deg(self) -> float:
        """Full horizontal field of view in degrees."""
        return math.degrees(2 * math.atan2(self.width / 2, self.K[0, 0]))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project world points into the image.

        Args:
            points: [N, 3] float, world coordinates.

        Returns:
            pixels [N, 2] (x, y) and depth [N], the distance along the camera's z axis; a point
            behind the camera has a negative depth and no meaningful pixel.
        """
        in_camera = points @ self.cam_from_world[:3, :3].T + self.cam_from_world[:3, 3]
        depth = in_camera[:, 2]
        homogeneous = in_camera @ self.K.T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = homogeneous[:, :2] / homogeneous[:, 2:]
        return pixels, depth

    def unproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """The inverse of `project`.

        Args:
            pixels: [N, 2] float, x and y.
            depth: [N] float, distance along the camera's z axis.

        Returns:
            [N, 3] float64, world coordinates.
        """
        rays = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        in_camera = rays @ np.linalg.inv(self.K).T * np.asarray(depth)[:, None]
        return in_camera @ self.cam_from_world[:3, :3] + self.position

    def resized(self, width: int, height: int) -> Camera:
        """The same view sampled with another number of pixels."""
        scale = np.diag([width / self.width, height / self.height, 1.0])
        return dataclasses.replace(self, K=scale @ self.K, width=width, height=height)

    def blender_world_from_cam(self) -> np.ndarray:
        """[4, 4] float64, the pose of a camera that looks along -z with +y up.

        It is `matrix_world` of `bpy` objects and the `transform_matrix` of NeRF, nerfstudio and
        OpenGL.
        """
        return self.world_from_cam @ _OPENCV_FROM_BLENDER_CAMERA

    def colmap_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """COLMAP's pose: the world-to-camera rotation and translation.

        Returns:
            unit quaternion [4] float64 (w, x, y, z; Hamilton) with w >= 0, and translation [3].
        """
        return _quaternion(self.cam_from_world[:3, :3]), self.cam_from_world[:3, 3].copy()

    def to_json(self) -> dict[str, Any]:
        """Plain data for `cameras.json`."""
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "K": self.K.tolist(),
            "cam_from_world": self.cam_from_world.tolist(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Camera:
        """The inverse of `to_json`."""
        return cls(
            name=data["name"],
            cam_from_world=np.array(data["cam_from_world"], dtype=np.float64),
            K=np.array(data["K"], dtype=np.float64),
            width=int(data["width"]),
            height=int(data["height"]),
        )


def _matrix(value: Any, size: int) -> np.ndarray:
    matrix = np.array(value, dtype=np.float64)
    if matrix.shape != (size, size):
        raise ValueError(f"expected a {size} x {size} matrix, got shape {matrix.shape}")
    matrix.setflags(write=False)
    return matrix


def camera_from_blender(
    world_from_cam: np.ndarray, *, fov_x_deg: float, width: int, height: int, name: str = ""
) -> Camera:
    """A camera from a Blender object's `matrix_world` (no scale) and its horizontal angle."""
    K = intrinsics(fov_x_deg, width, height)
    return camera_from_opengl(world_from_cam, K, width=width, height=height, name=name)


def camera_from_opengl(
    world_from_cam: np.ndarray, K: np.ndarray, *, width: int, height: int, name: str = ""
) -> Camera:
    """The inverse of `Camera.blender_world_from_cam`.

    Args:
        world_from_cam: [4, 4], no scale; the `transform_matrix` of NeRF and nerfstudio.
        K: [3, 3] intrinsics in pixels, the centre of the first pixel at (0.5, 0.5).
    """
    opencv = np.asarray(world_from_cam, dtype=np.float64) @ _OPENCV_FROM_BLENDER_CAMERA
    rotation, position = opencv[:3, :3], opencv[:3, 3]
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = rotation.T
    cam_from_world[:3, 3] = -rotation.T @ position
    return Camera(name, cam_from_world, K, width, height)


def is_rigid(matrix: np.ndarray) -> bool:
    """Whether a [4, 4] matrix is a rotation (no mirror, scale or shear) and a translation."""
    rotation = matrix[:3, :3]
    return bool(
        np.isfinite(matrix).all()
        and np.abs(rotation @ rotation.T - np.eye(3)).max() < _RIGID_TOLERANCE
        and np.linalg.det(rotation) > 0
        and np.abs(matrix[3] - (0, 0, 0, 1)).max() < _RIGID_TOLERANCE
    )


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion [4] (w, x, y, z), w >= 0, of a rotation matrix [3, 3].

    The eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix ("New method for
    extracting the quaternion from a rotation matrix", 2000): exact for rotations by half a turn,
    where formulas that divide by w fail.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    quaternion = np.linalg.eigh(symmetric)[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


def intrinsics(fov_deg: float, width: int, height: int) -> np.ndarray:
    """[3, 3] intrinsics with the principal point in the middle and square pixels.

    Args:
        fov_deg: full field of view across the width, in degrees.
    """
    focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
    return np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def look_at(
    position: Iterable[float],
    target: Iterable[float] = (0.0, 0.0, 0.0),
    *,
    fov_deg: float = FOV_DEG,
    width: int = 512,
    height: int = 512,
    name: str = "",
) -> Camera:
    """A camera without roll at `position` that looks at `target`, with world +Z up.

    Raises:
        ValueError: the camera sits on its target or looks straight along Z.
    """
    position, target = np.array(tuple(position), float), np.array(tuple(target), float)
    forward = target - position
    distance = np.linalg.norm(forward)
    if distance < 1e-9:
        raise ValueError(f"camera {name!r} sits on its target {target.tolist()}")
    forward /= distance
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-9:
        raise ValueError(f"camera {name!r} looks straight along the Z axis, so 'up' is undefined")
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = np.stack([right, down, forward])
    cam_from_world[:3, 3] = -cam_from_world[:3, :3] @ position
    return Camera(name, cam_from_world, intrinsics(fov_deg, width, height), width, height)


def orbit_position(azimuth_deg: float, elevation_deg: float, radius: float) -> np.ndarray:
    """[3] point on the sphere around the origin; azimuth from +X towards +Y, elevation up."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return radius * np.array(
        [
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )


def orbit(
    azimuth_deg: float,
    elevation_deg: float,
    *,
    radius: float = RADIUS,
    fov_deg: float = FOV_DEG,
    size: int = 512,
    name: str = "",
) -> Camera:
    """A square camera on the sphere around the origin that looks at the origin without roll."""
    position = orbit_position(azimuth_deg, elevation_deg, radius)
    return look_at(position, fov_deg=fov_deg, width=size, height=size, name=name)


def canonical_six(size: int = 512) -> tuple[Camera, ...]:
    """The six views of the diffusion model, in its order: `CANONICAL_VIEWS`."""
    return tuple(orbit(azimuth, 0.0, size=size, name=name) for name, azimuth in CANONICAL_VIEWS)


def find_canonical(cameras: Iterable[Camera]) -> dict[str, int]:
    """Which cameras are the six views of the diffusion model, told by pose and intrinsics alone.

    Returns:
        position in `cameras` by the name in `CANONICAL_VIEWS`, in that order; a view that no camera
        is has no entry.
    """
    cameras = tuple(cameras)
    wanted = canonical_six()
    found = {}
    for view in wanted:
        for position, camera in enumerate(cameras):
            if _same_view(view.resized(camera.width, camera.height), camera):
                found[view.name] = position
                break
    return found


def _same_view(one: Camera, other: Camera) -> bool:
    """Same pose, focal length and centre, up to `_CANONICAL_TOLERANCE`."""
    focal = one.K[0, 0]
    return bool(
        np.abs(one.cam_from_world - other.cam_from_world).max() < _CANONICAL_TOLERANCE
        and np.abs(one.K - other.K).max() < _CANONICAL_TOLERANCE * focal
    )


def ring(count: int, elevation_deg: float, size: int = 512, **options: float) -> tuple[Camera, ...]:
    """`count` cameras at equal steps of azimuth, the first in front of the face."""
    return tuple(
        orbit(-90.0 + 360.0 * i / count, elevation_deg, size=size, name=f"ring_{i:03d}", **options)
        for i in range(count)
    )


def stack(cameras: Iterable[Camera]) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of several cameras: cam_from_world [V, 4, 4] and K [V, 3, 3], float64."""
    cameras = tuple(cameras)
    return np.stack([c.cam_from_world for c in cameras]), np.stack([c.K for c in cameras])
