"""The parts of a head that come from a user's own assets instead of Headloom's builders."""

from __future__ import annotations

import re
from dataclasses import dataclass

ASSET_KINDS = ("head", "hair", "garment", "skin", "hdri")
"""What an asset of a user can be. Environment maps stand in `Light.hdri`, the others here."""

_USER_ASSET = re.compile(r"[a-z0-9][a-z0-9_-]*:[a-z0-9][a-z0-9_.-]*")


def check_asset_id(name: str, asset_id: str | None) -> None:
    """Raise `ValueError` unless it is None or reads `pack:item`."""
    if asset_id is not None and not _USER_ASSET.fullmatch(asset_id):
        raise ValueError(f"{name}: {asset_id!r} is not an asset id such as 'studio:anna'")


@dataclass(frozen=True)
class UserParts:
    """Asset ids (`pack:item`) of what replaces a part of the head; None is ours.

    Attributes:
        head: a whole head or bust. It is rendered as it was given: the identity's shape, skin,
            eyes, hair, expression, pose, clothes and accessories of the spec do not apply.
        hair: scalp hair, fitted to the head of the spec.
        garment: clothes, fitted to its body.
        skin: albedo of head, neck and body; relief, shine and light under the skin stay ours.
    """

    head: str | None = None
    hair: str | None = None
    garment: str | None = None
    skin: str | None = None

    def __post_init__(self) -> None:
        for kind, asset_id in self.by_kind().items():
            check_asset_id(f"user_parts.{kind}", asset_id)
        others = [kind for kind, asset_id in self.by_kind().items() if asset_id and kind != "head"]
        if self.head and others:
            raise ValueError(
                f"user_parts: the whole head {self.head!r} is rendered as given and takes no "
                f"{others[0]} of another asset; set one of them to null"
            )

    def by_kind(self) -> dict[str, str | None]:
        """The asset id of each kind of part."""
        return {"head": self.head, "hair": self.hair, "garment": self.garment, "skin": self.skin}

    def ids(self) -> tuple[str, ...]:
        """The assets that are used."""
        return tuple(asset_id for asset_id in self.by_kind().values() if asset_id)
