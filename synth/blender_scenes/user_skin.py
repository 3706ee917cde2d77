"""A user's skin: its picture becomes the albedo, all else stays as the spec bakes it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import bpy
import numpy as np
from scipy.ndimage import map_coordinates

from synth.asset_store import StoredAsset
from synth.asset_template import MAKEHUMAN_OFFSET, MAKEHUMAN_SCALE
from synth.blender_scenes.skin_atlas import SkinAtlas
from synth.blender_scenes.skin_bake import BakedSkin
from synth.blender_scenes.skin_tone import melanin_of
from synth.color import linear_from_srgb
from synth.errors import AssetError
from synth.hairline import scalp_cover
from synth.headmodel import HeadModel
from synth.spec import HeadSpec

_NECK_Z = (0.735, 0.775)
_LAYOUTS = ("makehuman", "headloom")


def with_texture(
    baked: BakedSkin, atlas: SkinAtlas, *, asset: StoredAsset, spec: HeadSpec, model: HeadModel
) -> BakedSkin:
    """The same skin in the colours of a user's picture, which also bring lips, brows and makeup.

    Only the scalp under hair is still painted, or it would shine through in the picture's colours.

    Args:
        baked: as the spec describes it.
        atlas: the one that it was baked for.
        asset: a skin from the store.
        model: the head model.

    Raises:
        AssetError: the picture cannot be read.
    """
    picture, layout = read_picture(asset.path), asset.record.layout
    vertex_uv, texel_uv = _vertex_uv(model), _texel_uv(model, atlas)
    texels, vertices = _sample(picture, texel_uv, layout), _sample(picture, vertex_uv, layout)
    if layout == "headloom":
        below = ~_in_window(vertex_uv)
        neck = ~below & (model.canonical[:, 2] > _NECK_Z[0]) & (model.canonical[:, 2] < _NECK_Z[1])
        vertices[below] = np.median(vertices[neck], axis=0)
        texels[~_in_window(texel_uv)] = np.median(vertices[neck], axis=0)
    hair = np.array(spec.hair.colour.albedo) * 0.8 + 0.02  # as on our own skin
    scalp = scalp_cover(model.canonical, model.masks["scalp_sd"], spec.hair)
    vertices = _mixed(vertices, hair, scalp)
    texels = _mixed(texels, hair, atlas.sample(scalp))
    return dataclasses.replace(
        baked,
        albedo=atlas.image(np.clip(texels, 0.003, 1.0).astype(np.float32)),
        vertex_albedo=np.clip(vertices, 0.003, 1.0),
    )


def _mixed(colour: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    return colour + (other - colour) * np.clip(share, 0, 1)[:, None]


def picture_melanin(picture: np.ndarray, layout: str, model: HeadModel) -> float:
    """Melanin of skin as dark as forehead and cheeks of a picture [H, W, 3]."""
    face = np.maximum(model.masks["forehead"], model.masks["cheek"]) > 0.5
    colours = _sample(picture, _vertex_uv(model)[face], layout)
    return melanin_of(np.median(colours, axis=0))


def read_picture(path: Path) -> np.ndarray:
    """[H, W, 3] float32 linear, row 0 is v = 0.

    Raises:
        AssetError: Blender reads no pixels from it.
    """
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError as error:
        raise AssetError(f"{path.name}: {error}") from error
    width, height = image.size
    if not width or image.channels < 3:
        raise AssetError(f"{path.name}: not a colour picture that Blender can read")
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    encoded = pixels.reshape(height, width, image.channels)[..., :3]
    bpy.data.images.remove(image)
    return linear_from_srgb(encoded).astype(np.float32)


def _sample(picture: np.ndarray, uv: np.ndarray, layout: str) -> np.ndarray:
    """Colours [N, 3] at coordinates [N, 2] in the window of the head."""
    if layout not in _LAYOUTS:
        raise AssetError(f"unknown layout {layout!r} of a skin; known: {', '.join(_LAYOUTS)}")
    if layout == "makehuman":
        uv = uv * MAKEHUMAN_SCALE + np.array(MAKEHUMAN_OFFSET)
    height, width = picture.shape[:2]
    rows, columns = uv[:, 1] * height - 0.5, uv[:, 0] * width - 0.5
    return np.stack(
        [
            map_coordinates(picture[..., c], [rows, columns], order=1, mode="nearest")
            for c in range(3)
        ],
        axis=-1,
    )


def _in_window(uv: np.ndarray) -> np.ndarray:
    return ((uv >= 0) & (uv <= 1)).all(axis=1)


def _vertex_uv(model: HeadModel) -> np.ndarray:
    """[V, 2]; at a seam one of the two."""
    uv = np.zeros((len(model.canonical), 2))
    uv[model.faces.ravel()] = model.uv.reshape(-1, 2)
    return uv


def _texel_uv(model: HeadModel, atlas: SkinAtlas) -> np.ndarray:
    """[N, 2] for every texel, by the face that it shows."""
    order = np.lexsort(model.faces.T[::-1])
    rows = np.ascontiguousarray(model.faces[order].astype(np.int32))
    wanted = np.ascontiguousarray(atlas.corners.astype(np.int32))
    kind = np.dtype([(f"c{i}", np.int32) for i in range(4)])
    position = np.searchsorted(rows.view(kind).ravel(), wanted.view(kind).ravel())
    uv = model.uv[order[position]]
    return np.einsum("nk,nkc->nc", atlas.weights, uv)
