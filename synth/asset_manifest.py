"""`assets.yaml`: what a folder of a user's assets holds, under which licence, and how it lies.

    name: studio                      # assets are called studio:anna, studio:loft ...
    licence: CC-BY-4.0                # of every item that names none; SPDX, or {name, file}
    source: https://example.org/heads
    items:
      anna:
        kind: head
        file: anna.glb
        materials: {"Hair*": hair, Shirt: clothes}
      loft: {kind: hdri, file: loft.exr, licence: CC0-1.0}

Keys are strict. Paths are relative to the folder and never leave it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import yaml

from synth.asset_alignment import Alignment
from synth.config import did_you_mean, from_dict
from synth.errors import AssetError, ConfigError

MANIFEST_NAME = "assets.yaml"

Kind = Literal["head", "hair", "garment", "skin", "hdri"]
MaterialClass = Literal[
    "skin", "eyes", "cornea", "mouth", "teeth", "tongue", "hair", "brows", "lashes", "beard",
    "clothes", "glasses", "lenses", "headwear", "earrings",
]  # fmt: skip
"""What the surface of a material is, for masks."""

MESH_SUFFIXES = (".glb", ".gltf", ".fbx", ".obj", ".blend")
SUFFIXES: dict[str, tuple[str, ...]] = {
    "head": MESH_SUFFIXES,
    "hair": (*MESH_SUFFIXES, ".abc"),
    "garment": MESH_SUFFIXES,
    "skin": (".png", ".jpg", ".jpeg"),
    "hdri": (".exr", ".hdr"),
}
"""File formats of each kind of asset."""

RESERVED_NAMES = ("ours", "bpy", "anny", "headloom")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

SPDX = (
    "0BSD", "AFL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "Artistic-2.0",
    "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-3.0",
    "CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
    "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-2.0", "GPL-2.0-only",
    "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-3.0-only",
    "LGPL-3.0-or-later", "MIT", "MPL-2.0", "ODbL-1.0", "OFL-1.1", "PDDL-1.0", "Unlicense", "WTFPL",
    "Zlib",
)  # fmt: skip
"""Licences that need no text beside their name (spdx.org/licenses)."""


@dataclass(frozen=True)
class CustomLicence:
    """A licence that SPDX does not list: its name and the file with its text."""

    name: str
    file: str

    @property
    def spdx(self) -> str:
        """A `LicenseRef-` id, the way SPDX writes a licence of one's own."""
        return "LicenseRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", self.name).strip("-")


@dataclass(frozen=True)
class ItemEntry:
    """One asset of a manifest.

    Attributes:
        kind: what it is.
        file: relative path; textures and buffers that it names are found by themselves.
        licence: SPDX id, or a name and a file with the text; None is the manifest's.
        source: where it comes from, for the dataset's datasheet; None is the manifest's.
        attribution: whom to name, as the licence asks; None is the manifest's.
        tags: free words for choosing (`studio:#female`).
        align: how it lies; by default a head is found by its face, hair and garments are taken to
            be modelled on the template.
        materials: class of the surface by name of the material (`*` and `?` match); others are
            "skin" on a head, "hair" on hair, "clothes" on a garment.
        objects: for a .blend with more in it: names of the objects to take (`*` and `?` match).
        layout: of a skin: texture coordinates of our head atlas, or of MakeHuman's body.
    """

    kind: Kind
    file: str
    licence: CustomLicence | str | None = None
    source: str | None = None
    attribution: str | None = None
    tags: tuple[str, ...] = ()
    align: Alignment = field(default_factory=Alignment)
    materials: dict[str, MaterialClass] = field(default_factory=dict)
    objects: tuple[str, ...] = ()
    layout: Literal["headloom", "makehuman"] = "makehuman"

    def __post_init__(self) -> None:
        suffixes = SUFFIXES[self.kind]
        if PurePosixPath(self.file).suffix.lower() not in suffixes:
            raise ValueError(f"file: {self.file!r} of a {self.kind} must be {', '.join(suffixes)}")
        if self.kind in ("skin", "hdri") and (self.materials or self.objects):
            raise ValueError(f"materials and objects belong to meshes, not to a {self.kind}")
        if self.kind in ("skin", "hdri") and self.align != Alignment():
            raise ValueError(f"a {self.kind} has no alignment")
        for tag in self.tags:
            if not _NAME.fullmatch(tag):
                raise ValueError(f"tags: {tag!r} must match {_NAME.pattern}")


@dataclass(frozen=True)
class Manifest:
    """A folder of assets; see the head of this module."""

    name: str
    items: dict[str, ItemEntry]
    licence: CustomLicence | str | None = None
    source: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in RESERVED_NAMES:
            raise ValueError(
                f"name: {self.name!r} must match {_NAME.pattern} and not be one of "
                f"{', '.join(RESERVED_NAMES)}"
            )
        if not self.items:
            raise ValueError("items: there are none")
        for name, item in self.items.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"items: {name!r} must match {_NAME.pattern}")
            self.licence_of(item, f"items.{name}")

    def licence_of(self, item: ItemEntry, where: str = "item") -> CustomLicence | str:
        """The licence of an item.

        Raises:
            ValueError: neither the item nor the manifest names one, or it is not known.
        """
        licence = item.licence if item.licence is not None else self.licence
        if licence is None:
            raise ValueError(
                f"{where}: no licence; give the item or the whole manifest one (SPDX id, or "
                "{name: ..., file: ...} with the text)"
            )
        if isinstance(licence, str) and licence not in SPDX:
            hint = did_you_mean(licence, SPDX)
            raise ValueError(
                f"{where}.licence: {licence!r} is no SPDX id that is known here{hint}; for any "
                "other licence give {name: ..., file: ...} with its text"
            )
        return licence


def load_manifest(folder: str | Path) -> Manifest:
    """Read `assets.yaml` of a folder and check that its files are there.

    Raises:
        AssetError: no manifest, or a file that is missing or lies outside the folder.
        ConfigError: a key or a value of the manifest does not fit; names its path.
    """
    folder = Path(folder)
    path = folder / MANIFEST_NAME
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AssetError(
            f"{folder} has no {MANIFEST_NAME}; docs/assets.md shows what belongs into it"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    manifest = from_dict(Manifest, data, str(path))
    for name, item in manifest.items.items():
        inside(folder, item.file, f"{path}: items.{name}.file")
        licence = manifest.licence_of(item)
        if isinstance(licence, CustomLicence):
            inside(folder, licence.file, f"{path}: licence of {name}")
    return manifest


def inside(folder: Path, relative: str, where: str) -> Path:
    """The file at a relative path of a folder.

    Raises:
        AssetError: it is not there, or it lies outside the folder (links are followed).
    """
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise AssetError(f"{where}: {relative!r} lies outside {folder}; copy it into the folder")
    if not path.is_file():
        raise AssetError(f"{where}: no such file: {folder / relative}")
    return path
