"""`Gaussians`: a set of 3D Gaussians, and the only place where its activations are written.

The stored numbers are the unconstrained ones that a network predicts and a PLY file holds
(Kerbl et al. 2023, section 5.1): scales as logarithms, opacity as a logit, rotation as a quaternion
of any length, colour as spherical-harmonics coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic, 1 / (2 sqrt(pi))."""


def sh0_from_rgb(rgb: Tensor) -> Tensor:
    """Degree-0 SH coefficients of a colour: [..., 3] in [0, 1] -> [..., 3]."""
    return (rgb - 0.5) / SH_C0


def rgb_from_sh0(sh0: Tensor) -> Tensor:
    """Colour of degree-0 SH coefficients, [..., 3], clamped at 0 as every 3DGS viewer does."""
    return (sh0 * SH_C0 + 0.5).clamp_min(0.0)


def logit_from_opacity(opacity: Tensor) -> Tensor:
    """Inverse of the sigmoid; opacities of exactly 0 or 1 give infinities."""
    return torch.logit(opacity)


def rotation_from_quaternion(quats: Tensor) -> Tensor:
    """Rotation matrices of quaternions.

    Args:
        quats: [..., 4] (w, x, y, z), any length; normalised here. A zero quaternion gives a matrix
            that is not a rotation but is finite, and so are its gradients.

    Returns:
        [..., 3, 3], `world_from_local`.
    """
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians, or a batch of sets with N each; all tensors share leading shape and device.

    Attributes:
        means: [..., N, 3] centres, world coordinates in scene units.
        quats: [..., N, 4] rotations `world_from_local` as (w, x, y, z), any length.
        log_scales: [..., N, 3] natural logarithms of the standard deviations in scene units.
        logit_opacities: [..., N] logits of the opacity.
        sh: [..., N, K, 3] spherical-harmonics coefficients, K = 1 for a colour without direction.

    Raises:
        ValueError: a shape, dtype or device does not fit; names the tensor.
    """

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    logit_opacities: Tensor
    sh: Tensor

    def __post_init__(self) -> None:
        leading = self.means.shape[:-1]
        if self.means.ndim < 2 or self.means.shape[-1] != 3:
            raise ValueError(f"means must be [..., N, 3], got {list(self.means.shape)}")
        expected = {"quats": (4,), "log_scales": (3,), "logit_opacities": ()}
        for name, trailing in expected.items():
            shape = getattr(self, name).shape
            if shape != leading + trailing:
                wanted = list(leading + trailing)
                raise ValueError(f"{name} must be {wanted} to fit means, got {list(shape)}")
        shape = self.sh.shape
        if shape[:-2] != leading or self.sh.ndim < 3 or shape[-1] != 3:
            raise ValueError(f"sh must be {[*leading, 'K', 3]} to fit means, got {list(shape)}")
        if shape[-2] not in (1, 4, 9, 16):
            raise ValueError(f"sh must hold 1, 4, 9 or 16 coefficients, got {shape[-2]}")
        for field in fields(self):
            tensor = getattr(self, field.name)
            if not tensor.is_floating_point():
                raise ValueError(f"{field.name} must be a float tensor, got {tensor.dtype}")
            if tensor.device != self.means.device or tensor.dtype != self.means.dtype:
                raise ValueError(
                    f"{field.name} is {tensor.dtype} on {tensor.device}, but means is "
                    f"{self.means.dtype} on {self.means.device}"
                )

    @classmethod
    def from_activated(
        cls, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, rgb: Tensor
    ) -> Gaussians:
        """Gaussians from the quantities a person would type.

        Args:
            means: [..., N, 3], scene units.
            quats: [..., N, 4] (w, x, y, z).
            scales: [..., N, 3] standard deviations > 0, scene units.
            opacities: [..., N] in (0, 1).
            rgb: [..., N, 3] in [0, 1], sRGB.
        """
        sh = sh0_from_rgb(rgb)[..., None, :]
        return cls(means, quats, scales.log(), logit_from_opacity(opacities), sh)

    @property
    def count(self) -> int:
        """N, Gaussians in each set."""
        return self.means.shape[-2]

    @property
    def scales(self) -> Tensor:
        """[..., N, 3] standard deviations in scene units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[..., N] in (0, 1)."""
        return self.logit_opacities.sigmoid()

    @property
    def rotations(self) -> Tensor:
        """[..., N, 3, 3] rotation matrices, `world_from_local`."""
        return rotation_from_quaternion(self.quats)

    def rgb(self) -> Tensor:
        """[..., N, 3] sRGB colour of the degree-0 coefficients; at least 0, may exceed 1."""
        return rgb_from_sh0(self.sh[..., 0, :])

    def map(self, function: Callable[[Tensor], Tensor]) -> Gaussians:
        """Apply a function to every tensor."""
        return Gaussians(*(function(getattr(self, field.name)) for field in fields(self)))

    def to(self, *args: Any, **kwargs: Any) -> Gaussians:
        """`Tensor.to` of every tensor: another device or dtype."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> Gaussians:
        """The same numbers outside the autograd graph."""
        return self.map(Tensor.detach)

    def __getitem__(self, index: Any) -> Gaussians:
        """Index the leading dimensions: `batch[0]` is one set, `one_set[mask]` keeps some of it.

        Raises:
            IndexError: the index would remove the dimension that counts Gaussians.
        """
        if self.means[index].ndim < 2:
            raise IndexError(
                f"index {index!r} leaves a single Gaussian; use a slice such as [i : i + 1]"
            )
        return self.map(lambda tensor: tensor[index])

    @staticmethod
    def cat(parts: Sequence[Gaussians]) -> Gaussians:
        """Join sets of Gaussians along N."""
        if not parts:
            raise ValueError("cannot join an empty list of Gaussians")
        # dimension of N counted from the front: the tensors differ in trailing dimensions
        axis = parts[0].means.ndim - 2
        joined = (
            torch.cat([getattr(part, field.name) for part in parts], dim=axis)
            for field in fields(Gaussians)
        )
        return Gaussians(*joined)

    def validate(self) -> Gaussians:
        """Check that every number is finite (shapes are checked on construction).

        Raises:
            ValueError: names the first tensor with NaN or infinity, and how many there are.
        """
        for field in fields(self):
            tensor = getattr(self, field.name)
            bad = int((~tensor.isfinite()).sum())
            if bad:
                raise ValueError(f"{field.name} holds {bad} non-finite of {tensor.numel()} numbers")
        return self
