"""A user's whole head in the canonical frame, rendered as it was given."""

from __future__ import annotations

import bpy
import numpy as np

from synth.asset_store import StoredAsset
from synth.blender_scenes.user_images import require_readable
from synth.blender_scenes.user_import import import_asset
from synth.blender_scenes.user_materials import allow_many_layers, complete_materials
from synth.blender_scenes.user_parts import sort_into_parts
from synth.errors import AssetError
from synth.landmarks import DENSE_COUNT, SPARSE_NAMES, Landmarks


def build_user_head(asset: StoredAsset) -> dict[str, tuple[bpy.types.Object, ...]]:
    """Import the head into the current scene.

    Args:
        asset: from the store, its bytes checked.

    Returns:
        Its objects by part; "skin" is what its manifest gives no other class.

    Raises:
        AssetError: the file cannot be used.
    """
    record = asset.record
    imported = import_asset(
        asset.path, asset.folder / "files", asset.record.matrix(), record.objects
    )
    complete_materials(imported.objects)
    parts = sort_into_parts(imported.objects, record.materials, "skin")
    if "skin" not in parts:
        raise AssetError(
            f"{record.asset_id}: its manifest calls every material something else than skin; the "
            "exposure is measured on skin"
        )
    require_readable(record.asset_id)
    allow_many_layers()
    return parts


def user_landmarks(asset: StoredAsset) -> Landmarks:
    """The landmarks that are known of a user's head; NaN where one is not.

    Normals point away from the origin, near enough to tell the far side of the head.
    """
    sparse = np.full((len(SPARSE_NAMES), 3), np.nan)
    for name, point in asset.record.landmarks.items():
        sparse[SPARSE_NAMES.index(name)] = point
    length = np.linalg.norm(sparse, axis=1, keepdims=True)
    nowhere = np.full((DENSE_COUNT, 3), np.nan)
    return Landmarks(sparse, nowhere, sparse / length, nowhere)
