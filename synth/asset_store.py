"""The store of a user's assets: content-addressed, so that a dataset names exactly what it used.

    STORE/packs/studio.json              names of the pack's items -> digests
    STORE/objects/<digest>/asset.json    the record; its SHA-256 is the digest
    STORE/objects/<digest>/files/...     the files, whose digests the record lists
    STORE/objects/<digest>/preview.png   a look at it, no part of the digest

A record says everything that a renderer needs, alignment and licence included: whatever changes in
it makes it another asset. On a cluster the store lies on a path that all machines share.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from synth.config import atomic_write, canonical_json, from_dict
from synth.errors import AssetError, ConfigError
from synth.lock import exclusive
from synth.spec import AssetRef
from synth.unfinished import remove_stale_temporaries, temporary_name

DEFAULT_STORE = Path("~/.local/share/headloom/assets")
RECORD_NAME, PREVIEW_NAME = "asset.json", "preview.png"
RECORD_SCHEMA = 1


@dataclass(frozen=True)
class StoredFile:
    """A file of an asset: path below `files/`, digest and size."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class AssetRecord:
    """`asset.json`.

    Attributes:
        asset_id: `pack:item`.
        kind: one of `spec_assets.ASSET_KINDS`.
        file: the main file, a path below `files/`.
        files: all files, sorted by path.
        licence: SPDX id, `LicenseRef-...` for one of the user's own.
        licence_file: its text below `files/`, or None.
        source, attribution: for the datasheet.
        tags: free words.
        target_from_asset: rows of the 4 x 4 similarity to the frame of the kind (canonical frame
            for heads, template for hair and garments).
        aligned_by: "matrix", "landmarks", "axes", "face" or "template".
        materials: class of the surface by pattern of material names.
        objects: patterns of the objects to take from a .blend; empty takes all.
        layout: texture layout of a skin.
        landmarks: canonical frame, by name; only those that the manifest gave.
        melanin: of a head or a skin, estimated from its albedo; it decides how it is exposed.
    """

    asset_id: str
    kind: str
    file: str
    files: tuple[StoredFile, ...]
    licence: str
    licence_file: str | None = None
    source: str = ""
    attribution: str = ""
    tags: tuple[str, ...] = ()
    target_from_asset: tuple[tuple[float, ...], ...] = ()
    aligned_by: str = ""
    materials: dict[str, str] = field(default_factory=dict)
    objects: tuple[str, ...] = ()
    layout: str = ""
    landmarks: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    melanin: float | None = None
    schema: int = RECORD_SCHEMA

    @property
    def digest(self) -> str:
        """SHA-256 of the record as it is stored, 64 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()

    @property
    def ref(self) -> AssetRef:
        """What a spec says about the asset."""
        return AssetRef(self.asset_id, self.digest, self.licence)

    def matrix(self) -> np.ndarray:
        """[4, 4] target_from_asset."""
        return np.array(self.target_from_asset)


@dataclass(frozen=True)
class StoredAsset:
    """An asset in the store: its record and where its files lie."""

    record: AssetRecord
    folder: Path

    @property
    def path(self) -> Path:
        """The main file."""
        return self.folder / "files" / self.record.file

    @property
    def preview(self) -> Path:
        """A picture of it; may be missing."""
        return self.folder / PREVIEW_NAME

    def verify(self) -> None:
        """Check every byte against the record.

        Raises:
            AssetError: a file is missing or changed; names both digests.
        """
        for stored in self.record.files:
            path = self.folder / "files" / stored.path
            try:
                found = _sha256(path)
            except FileNotFoundError:
                raise AssetError(
                    f"{self.record.asset_id}: {path} is missing from the store; add it again"
                ) from None
            if found != stored.sha256:
                raise AssetError(
                    f"{self.record.asset_id}: {path} was changed: its SHA-256 is {found[:16]}, "
                    f"recorded is {stored.sha256[:16]}; remove the asset and add it again"
                )


class AssetStore:
    """A store at a folder, which is made when the first asset is added.

    Args:
        root: the folder; `~` is the home of whoever asks.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root).expanduser()

    # --------------------------------------------------------------------------------- reading

    def ids(self) -> tuple[str, ...]:
        """All asset ids, sorted."""
        return tuple(
            f"{pack}:{item}" for pack in self.packs() for item in sorted(self._items(pack))
        )

    def packs(self) -> tuple[str, ...]:
        """Names of the packs, sorted."""
        return tuple(sorted(path.stem for path in self.root.glob("packs/*.json")))

    def assets(self) -> Iterator[StoredAsset]:
        """All assets, in the order of their ids."""
        return (self.get(asset_id) for asset_id in self.ids())

    def get(self, asset_id: str) -> StoredAsset:
        """An asset by its id; its bytes are not checked, see `StoredAsset.verify`.

        Raises:
            AssetError: there is none, or its record is damaged.
        """
        pack, _, item = asset_id.partition(":")
        digest = self._items(pack).get(item)
        if digest is None:
            known = ", ".join(self.ids()) or "none"
            raise AssetError(
                f"no asset {asset_id!r} in the store {self.root} (there: {known}); add its folder "
                "with `headloom assets add`, or give the right store by `--set assets.store=DIR`"
            )
        return self.by_digest(digest, asset_id)

    def by_digest(self, digest: str, asset_id: str = "") -> StoredAsset:
        """An asset by its digest.

        Raises:
            AssetError: there is none, or its record is damaged.
        """
        folder = self.root / "objects" / digest
        try:
            text = (folder / RECORD_NAME).read_bytes()
        except FileNotFoundError:
            raise AssetError(f"{asset_id or digest}: the store has lost {folder}") from None
        found = hashlib.sha256(text).hexdigest()
        if found != digest:
            raise AssetError(
                f"{asset_id}: {folder / RECORD_NAME} was changed: its SHA-256 is {found[:16]}, the "
                f"asset is {digest[:16]}; remove the asset and add it again"
            )
        try:
            return StoredAsset(from_dict(AssetRecord, json.loads(text), RECORD_NAME), folder)
        except ConfigError as error:
            raise AssetError(
                f"{asset_id}: {folder / RECORD_NAME} was written by another version of Headloom "
                f"({error}); add the asset again"
            ) from error

    def _items(self, pack: str) -> dict[str, str]:
        try:
            return json.loads(self._pack_path(pack).read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise AssetError(f"{self._pack_path(pack)} is damaged: {error}") from error

    def _pack_path(self, pack: str) -> Path:
        return self.root / "packs" / f"{pack}.json"

    # --------------------------------------------------------------------------------- changing

    def add(
        self,
        record: AssetRecord,  # its `files` are filled in here
        files: Mapping[str, Path],
        preview: bytes | None = None,
        *,
        replace_other: bool = False,
    ) -> StoredAsset:
        """Put an asset into the store; the same one again changes nothing.

        Args:
            record: what is known about it.
            files: where each file of it lies now, by its path below `files/`.
            preview: a PNG.
            replace_other: an asset of this name with other content is replaced.

        Raises:
            AssetError: the name is taken by other content; names both digests.
        """
        objects = self.root / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        with exclusive(self.root):
            remove_stale_temporaries(objects)
            unfinished = objects / temporary_name("asset")
            try:
                stored = tuple(
                    _copy(files[name], unfinished / "files", name) for name in sorted(files)
                )
                record = replace(record, files=stored)
                self._claim(record, replace_other)
                with atomic_write(unfinished / RECORD_NAME) as file:
                    file.write(canonical_json(record).encode())
                if preview is not None:
                    (unfinished / PREVIEW_NAME).write_bytes(preview)
                folder = objects / record.digest
                if not folder.exists():
                    unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
            pack, _, item = record.asset_id.partition(":")
            self._write_items(pack, {**self._items(pack), item: record.digest})
            self._remove_unnamed()
        return self.get(record.asset_id)

    def _claim(self, record: AssetRecord, replace_other: bool) -> None:
        pack, _, item = record.asset_id.partition(":")
        before = self._items(pack).get(item)
        if before not in (None, record.digest) and not replace_other:
            raise AssetError(
                f"{record.asset_id} is in the store {self.root} with other content: "
                f"{before[:16]} there, {record.digest[:16]} now; remove it first, replace it with "
                "--replace, or give the new one another name"
            )

    def remove(self, name: str) -> tuple[str, ...]:
        """Remove `pack:item`, or a whole `pack`; returns the ids that are gone.

        Raises:
            AssetError: there is no such asset.
        """
        pack, _, item = name.partition(":")
        items = self._items(pack)
        gone = [item] if item else list(items)
        if not items or (item and item not in items):
            known = ", ".join((*self.packs(), *self.ids())) or "none"
            raise AssetError(f"nothing named {name!r} in the store {self.root}; known: {known}")
        with exclusive(self.root):
            self._write_items(pack, {k: v for k, v in items.items() if k not in gone})
            self._remove_unnamed()
        return tuple(f"{pack}:{name}" for name in gone)

    def _write_items(self, pack: str, items: dict[str, str]) -> None:
        if not items:
            self._pack_path(pack).unlink(missing_ok=True)
            return
        with atomic_write(self._pack_path(pack)) as file:
            file.write(json.dumps(items, indent=1, sort_keys=True).encode())

    def _remove_unnamed(self) -> None:
        """Objects that no name refers to any more."""
        named = {digest for pack in self.packs() for digest in self._items(pack).values()}
        for folder in (self.root / "objects").iterdir():
            if len(folder.name) == 64 and folder.name not in named:
                shutil.rmtree(folder)


@functools.cache
def verified(root: Path, asset_id: str) -> StoredAsset:
    """An asset whose every byte was checked, once per process.

    Raises:
        AssetError: it is missing or changed.
    """
    asset = AssetStore(root).get(asset_id)
    asset.verify()
    return asset


def _copy(source: Path, folder: Path, name: str) -> StoredFile:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return StoredFile(name, _sha256(target), target.stat().st_size)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
