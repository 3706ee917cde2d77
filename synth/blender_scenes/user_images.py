"""Pictures that a user's materials ask for: inside the asset's folder, readable, not too large."""

from __future__ import annotations

from pathlib import Path

import bpy

from synth.asset_files import check_size
from synth.errors import AssetError

MAX_PIXELS = 16384 * 16384
_IGNORED = ("Render Result", "Viewer Node")


def require_inside(folder: Path, asset: str) -> tuple[Path, ...]:
    """Check every picture of the open file; returns those that lie in files of their own.

    Pixels are loaded when they are first used, so nothing outside the folder has been read yet.

    Args:
        folder: where pictures may lie.
        asset: name for messages.

    Raises:
        AssetError: a picture that is missing, elsewhere, a movie, or too large.
    """
    found = []
    for image in bpy.data.images:
        if image.name in _IGNORED or image.packed_file or image.source in ("GENERATED", "VIEWER"):
            continue
        if image.source in ("MOVIE", "SEQUENCE"):
            raise AssetError(f"{asset}: texture {image.name!r} is a {image.source.lower()}")
        paths = _files_of(image)
        for path in paths:
            _check(path, folder, asset, image.name)
            found.append(path.resolve())
    return tuple(found)


def _files_of(image: bpy.types.Image) -> list[Path]:
    """The file of a picture, or of each of its tiles."""
    absolute = bpy.path.abspath(image.filepath_raw, library=image.library)
    if image.source != "TILED":
        return [Path(absolute)]
    if any(tile in absolute for tile in ("<UDIM>", "<UVTILE>")):
        return [Path(absolute.replace("<UDIM>", str(tile.number))) for tile in image.tiles]
    return [Path(absolute)]


def _check(path: Path, folder: Path, asset: str, name: str) -> None:
    remedy = "pack it into the file (File > External Data > Pack) or put it beside the file"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise AssetError(f"{asset}: texture {name!r} lies outside {folder}: {path}; {remedy}")
    if not path.is_file():
        raise AssetError(f"{asset}: texture {name!r} is not there: {path}; {remedy}")
    check_size(path)


def require_readable(asset: str) -> None:
    """Load every picture that is used once; Cycles would paint a missing one pink.

    Raises:
        AssetError: Blender reads no pixels from it, or it is too large.
    """
    for image in bpy.data.images:
        if image.name in _IGNORED or not image.users:
            continue
        width, height = image.size
        if not width:
            raise AssetError(f"{asset}: Blender reads no pixels from texture {image.name!r}")
        if width * height > MAX_PIXELS:
            raise AssetError(
                f"{asset}: texture {image.name!r} has {width} x {height} pixels, at most "
                f"{MAX_PIXELS} in all"
            )
