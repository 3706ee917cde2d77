"""`HeadSpec`: everything that decides one rendered head, as frozen dataclasses and JSON.

The spec is the truth; the seed is only where it came from. Two equal specs give equal pixels, so a
user may edit any value by hand, render again and know what changed. Colours are linear RGB in
[0, 1] unless a name says otherwise; lengths are metres on the model, scene units for cameras and
lights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from synth import camera as camera_module
from synth.camera import Camera
from synth.config import digest, from_dict, to_dict
from synth.errors import ConfigError, SchemaMismatch, SpecError
from synth.spec_assets import UserParts
from synth.spec_person import (
    BEARD_STYLES,
    HAIR_STYLES,
    BrowShape,
    Expression,
    Eyes,
    FacialHair,
    Gaze,
    Hair,
    HairColour,
    HeadPose,
    Identity,
    Makeup,
    Rgb,
    Skin,
    Teeth,
)
from synth.spec_scene import AreaLight, Light, OrbitCamera, RenderSettings, Sky
from synth.spec_wear import (
    EARRINGS,
    FABRICS,
    GARMENTS,
    GLASSES_SHAPES,
    HEADWEAR,
    PATTERNS,
    UNDER_GARMENTS,
    Accessories,
    Clothes,
    Earrings,
    Glasses,
    Headwear,
)

__all__ = [
    "BEARD_STYLES",
    "EARRINGS",
    "FABRICS",
    "GARMENTS",
    "GLASSES_SHAPES",
    "HAIR_STYLES",
    "HEADWEAR",
    "PATTERNS",
    "SCHEMA",
    "UNDER_GARMENTS",
    "Accessories",
    "AreaLight",
    "AssetRef",
    "BrowShape",
    "Clothes",
    "Earrings",
    "Expression",
    "Eyes",
    "FacialHair",
    "Gaze",
    "Glasses",
    "Hair",
    "HairColour",
    "HeadPose",
    "HeadSpec",
    "Headwear",
    "Identity",
    "Light",
    "Makeup",
    "OrbitCamera",
    "RenderSettings",
    "Rgb",
    "Skin",
    "Sky",
    "Teeth",
    "UserParts",
]

SCHEMA = 2
"""Version of the JSON layout; raised when an older reader could no longer understand it."""


@dataclass(frozen=True)
class AssetRef:
    """An asset the head is made of: id, SHA-256 of its bytes and licence (SPDX)."""

    asset_id: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class HeadSpec:
    """All that decides one rendered head."""

    seed: int
    index: int
    identity: Identity
    expression: Expression
    gaze: Gaze
    pose: HeadPose
    skin: Skin
    eyes: Eyes
    hair: Hair
    facial_hair: FacialHair
    clothes: Clothes
    accessories: Accessories
    light: Light
    cameras: tuple[OrbitCamera, ...]
    render: RenderSettings
    assets: tuple[AssetRef, ...] = ()
    user_parts: UserParts = field(default_factory=UserParts)
    schema: int = SCHEMA

    @property
    def spec_id(self) -> str:
        """Id of the head, `spec_id_of` its data."""
        return spec_id_of(self)

    def resolved_cameras(self) -> tuple[Camera, ...]:
        """The cameras as matrices, at the size of the render settings."""
        return tuple(
            camera_module.orbit(
                c.azimuth_deg,
                c.elevation_deg,
                radius=c.radius,
                fov_deg=c.fov_deg,
                size=self.render.size,
                name=c.name,
            )
            for c in self.cameras
        )

    def to_json_dict(self) -> dict[str, Any]:
        """Plain data for `spec.json`."""
        return to_dict(self)

    @classmethod
    def from_json_dict(cls, data: dict[str, Any]) -> HeadSpec:
        """The inverse of `to_json_dict`.

        Raises:
            SchemaMismatch: written by another version of the layout.
            SpecError: a key or a value does not fit.
        """
        check_schema(data)
        try:
            return from_dict(cls, data, "spec")
        except ConfigError as error:
            raise SpecError(str(error)) from error


def spec_id_of(data: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the canonical JSON of a spec or its data."""
    return digest(data)[:16]


def check_schema(data: Any) -> None:
    """Raise `SchemaMismatch` unless plain data is a spec of this version of the layout."""
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise SchemaMismatch(
            f"head spec has schema {schema!r}, this version reads {SCHEMA}; "
            "render it with the version of Headloom that wrote it"
        )
