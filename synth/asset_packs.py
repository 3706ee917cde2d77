"""Optional packs: assets of others, fetched by one command that shows the licence first.

A pack is the tarball of a public npm package, named with its digest: what arrives is what was
looked at when the pack was listed here, or nothing. Packs never enter a dataset by themselves.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from synth.asset_manifest import ItemEntry, Manifest
from synth.config import did_you_mean, save_yaml
from synth.errors import AssetError
from synth.unfinished import scratch_directory

MAX_BYTES = 400 * 1024**2
_CHUNK = 1 << 20
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Pack:
    """A pack and where it comes from.

    Attributes:
        name: of the pack; its assets are called `name:item`.
        summary: one line.
        url: of the tarball.
        sha256: of the tarball.
        size_bytes: of the tarball.
        licence: SPDX id of every item.
        licence_note: what else a user should know about the licence, shown before installing.
        source, attribution: for the datasheet.
        unpack: writes the items into a folder; gets the open tarball, returns their manifest
            entries by name.
    """

    name: str
    summary: str
    url: str
    sha256: str
    size_bytes: int
    licence: str
    licence_note: str
    source: str
    attribution: str
    unpack: Callable[[tarfile.TarFile, Path], dict[str, ItemEntry]]

    def notice(self) -> str:
        """What a user is shown before anything is fetched."""
        return (
            f"{self.name}: {self.summary}\n"
            f"  from     {self.url} ({self.size_bytes / 1e6:.1f} MB)\n"
            f"  sha256   {self.sha256}\n"
            f"  licence  {self.licence}: {self.licence_note}\n"
            f"  source   {self.source}"
        )


def _unpack_encoded_maps(archive: tarfile.TarFile, folder: Path) -> dict[str, ItemEntry]:
    """@pmndrs/assets holds each map as a JavaScript module with a base64 data URL."""
    entries = {}
    for member in archive.getmembers():
        match = re.fullmatch(r"package/hdri/([a-z0-9_-]+)\.exr\.js", member.name)
        if not match or not member.isfile():
            continue
        file = archive.extractfile(member)
        assert file is not None  # it is a file
        encoded = re.search(rb"base64,([A-Za-z0-9+/=]+)", file.read())
        if encoded is None:
            raise AssetError(f"{member.name} holds no base64 data")
        (folder / f"{match[1]}.exr").write_bytes(base64.b64decode(encoded[1]))
        entries[match[1]] = ItemEntry(kind="hdri", file=f"{match[1]}.exr")
    return entries


PACKS = {
    "pmndrs": Pack(
        name="pmndrs",
        summary="18 environment maps, 512 x 256",
        url="https://registry.npmjs.org/@pmndrs/assets/-/assets-1.7.0.tgz",
        sha256="152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc",
        size_bytes=13_774_995,
        licence="CC0-1.0",
        licence_note="public domain; no attribution asked for",
        source="npm @pmndrs/assets 1.7.0; the maps are Poly Haven's",
        attribution="Poly Haven",
        unpack=_unpack_encoded_maps,
    ),
}
"""Every pack by name. Others in facts/assets.md have a licence that is not proven; fetch those by
hand and add them with a manifest that says what you know."""


def find_pack(name: str) -> Pack:
    """A pack by name.

    Raises:
        AssetError: there is none; lists those there are.
    """
    if name not in PACKS:
        hint = did_you_mean(name, PACKS)
        raise AssetError(f"no pack named {name!r}{hint}; packs: {', '.join(PACKS)}")
    return PACKS[name]


@contextmanager
def fetched(pack: Pack) -> Iterator[Path]:
    """A folder with the pack's files and its `assets.yaml`, gone afterwards.

    Raises:
        AssetError: it cannot be fetched, is not what was listed, or holds nothing usable.
    """
    with scratch_directory("pack") as directory:
        tarball, folder = directory / "pack.tgz", directory / "files"
        folder.mkdir()
        _download(pack, tarball)
        try:
            with tarfile.open(tarball) as archive:
                entries = pack.unpack(archive, folder)
        except (tarfile.TarError, EOFError) as error:
            raise AssetError(f"{pack.url}: not a tar archive: {error}") from error
        if not entries:
            raise AssetError(f"{pack.url}: it holds none of the files that were expected")
        manifest = Manifest(pack.name, entries, pack.licence, pack.source, pack.attribution)
        save_yaml(manifest, folder / "assets.yaml")
        yield folder


def _download(pack: Pack, target: Path) -> None:
    """Fetch the tarball and check it byte for byte."""
    found, size = hashlib.sha256(), 0
    try:
        # the addresses are constants of this module
        with (
            urllib.request.urlopen(pack.url, timeout=_TIMEOUT_S) as answer,
            target.open("wb") as to,
        ):
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise AssetError(f"{pack.url} is larger than {MAX_BYTES / 1e6:.0f} MB")
                found.update(chunk)
                to.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        raise AssetError(
            f"{pack.url} cannot be fetched: {error}; on a machine without a network, add the files "
            "by hand with `headloom assets add`"
        ) from error
    if found.hexdigest() != pack.sha256:
        raise AssetError(
            f"{pack.url}: its SHA-256 is {found.hexdigest()}, listed is {pack.sha256}; nothing was "
            "installed"
        )
