"""Which other files a mesh file names, read before any importer opens it.

An importer follows whatever path a file contains. What a file may name is therefore looked at
first: everything must lie in the asset's folder.
"""

from __future__ import annotations

import json
import re
import struct
import urllib.parse
from pathlib import Path

from synth.asset_manifest import inside
from synth.errors import AssetError

MAX_FILE_BYTES = 2 * 1024**3
"""No file of an asset may be larger."""

_GLB_MAGIC, _GLB_JSON = 0x46546C67, 0x4E4F534A
_MTL_MAP = re.compile(r"^\s*(map_\w+|bump|norm|disp|decal|refl)\s+(.+)$", re.IGNORECASE)
_MTL_OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-boost": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1,
    "-clamp": 1, "-bm": 1, "-imfchan": 1, "-type": 1,
}  # fmt: skip


def referenced_files(path: Path, folder: Path) -> tuple[Path, ...]:
    """The files that a .gltf, .glb or .obj needs beside itself; none for other formats.

    Args:
        path: the mesh file.
        folder: what it may not leave.

    Raises:
        AssetError: a file is missing, lies outside the folder, or is too large; or the mesh file
            cannot be read.
    """
    check_size(path)
    suffix = path.suffix.lower()
    if suffix in (".gltf", ".glb"):
        names = _gltf_uris(path)
    elif suffix == ".obj":
        return _obj_files(path, folder)
    else:
        names = []
    return tuple(_beside(path, folder, name) for name in names)


def check_size(path: Path) -> None:
    """Raise `AssetError` for a file that is larger than any asset should be."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise AssetError(
            f"{path}: {size / 1e9:.1f} GB, at most {MAX_FILE_BYTES / 1e9:.1f} GB; "
            "thin the mesh out or scale its textures down"
        )


def _beside(path: Path, folder: Path, name: str) -> Path:
    """A file named relative to another one; absolute names lie outside by definition."""
    name = name.replace("\\", "/")
    found = inside(folder, str((path.parent / name).absolute()), f"{path.name} names")
    check_size(found)
    return found


def _gltf_uris(path: Path) -> list[str]:
    data = _gltf_json(path)
    uris = []
    for section in ("buffers", "images"):
        for entry in data.get(section) or []:
            uri = entry.get("uri") if isinstance(entry, dict) else None
            if isinstance(uri, str) and not uri.startswith("data:"):
                if re.match(r"[a-z][a-z0-9+.-]+:", uri, re.IGNORECASE):
                    raise AssetError(
                        f"{path}: names {uri!r}, which is not a file beside it; copy it there"
                    )
                uris.append(urllib.parse.unquote(uri))
    return uris


def _gltf_json(path: Path) -> dict:
    raw = path.read_bytes()
    try:
        if path.suffix.lower() == ".glb":
            magic, _, _, length, kind = struct.unpack_from("<5I", raw)
            if magic != _GLB_MAGIC or kind != _GLB_JSON:
                raise ValueError("it does not start like a GLB file")
            raw = raw[20 : 20 + length]
        data = json.loads(raw)
        if not isinstance(data, dict):
            raise ValueError("its JSON is not an object")
        return data
    except (ValueError, struct.error) as error:  # UnicodeDecodeError is a ValueError
        raise AssetError(f"{path} is not glTF: {error}") from error


def _obj_files(path: Path, folder: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        libraries = [line[6:].strip() for line in file if line.startswith("mtllib")]
    for library in dict.fromkeys(libraries):
        material_file = _beside(path, folder, library)
        found.append(material_file)
        for line in material_file.read_text(encoding="utf-8", errors="replace").splitlines():
            match = _MTL_MAP.match(line)
            if match:
                found.append(_beside(material_file, folder, _without_options(match[2])))
    return tuple(dict.fromkeys(found))


def _without_options(text: str) -> str:
    """The file name after the options of a map statement; names may hold spaces."""
    words = text.strip().split(" ")
    while words and words[0] in _MTL_OPTIONS:
        words = words[1 + _MTL_OPTIONS[words[0]] :]
    return " ".join(words)
