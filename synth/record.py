"""Shards: several rendered heads in one tar file, written in one step and checked to the last byte.

A shard is an uncompressed tar that WebDataset reads as it is; the sample key is the spec id:

    <spec_id>.spec.json      the `HeadSpec`
    <spec_id>.cameras.json   one camera per view (`Camera.to_json`)
    <spec_id>.rgba_000.png   ...; RGBA8, display-referred sRGB, straight alpha
    <spec_id>.<pass>_000.png ...   optional ground truth; `synth.ground_truth.PASSES`
    <spec_id>.landmarks.npz  optional points of the head; `synth.landmarks.HeadLandmarks`
    <spec_id>.meta.json      timings, versions, device, SHA-256 of the raw pixels of each view
    __headloom__/members.json   name, offset, size and SHA-256 of every member above
    __headloom__/shard.json     which heads, which are absent and why, and the SHA-256 of
                                members.json; small, always last

WebDataset skips the two members in `__headloom__/`. Planning reads the last one only, so a dataset
of a million heads is listed without touching pixels; training reads members by offset.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import imageio.v3 as iio
import numpy as np

from synth.camera import Camera
from synth.config import canonical_json, rename_into_place
from synth.errors import RecordCorrupt, RecordError
from synth.ground_truth import PASSES, decode
from synth.imported import ImportedSpec, is_imported
from synth.landmarks import HeadLandmarks
from synth.record_files import check_head, encode_pass, encode_png
from synth.shardlayout import (
    BLOCK,
    END_OF_ARCHIVE,
    FOOTER_NAME,
    MAX_REASON,
    MEMBERS_NAME,
    AbsentHead,
    AbsentKind,
    HeadEntry,
    Member,
    Person,
    footer_bytes,
    read_index,
    read_member,
    tar_header,
    verify_member,
)
from synth.spec import HeadSpec, spec_id_of
from synth.splits import Split
from synth.storage import Place, is_local, local_copy, place
from synth.unfinished import temporary_name

# ---------------------------------------------------------------------------------------- writing


class ShardWriter:
    """Writes a shard to a temporary file and puts it in place in one step.

    Use it as a context manager: leaving the block commits, an exception leaves nothing behind. A
    process killed in the middle leaves a temporary file that `remove_stale_temporaries` recognises
    by the dead process in its name.

    Args:
        path: final name of the shard; its directory must exist.
        dataset_id: id of the dataset, kept in the footer.
    """

    def __init__(self, path: str | Path, *, dataset_id: str = ""):
        self.path = Path(path)
        self._dataset_id = dataset_id
        self._members: list[Member] = []
        self._heads: list[HeadEntry] = []
        self._people: list[Person] = []
        self._absent: list[AbsentHead] = []
        self.temporary = self.path.parent / temporary_name(self.path.name)
        self._file: IO[bytes] | None = self.temporary.open("xb")

    def add_head(
        self,
        spec: HeadSpec | ImportedSpec,
        cameras: Sequence[Camera],
        rgba: Sequence[np.ndarray],  # per view [H, W, 4] uint8, sRGB, straight alpha
        passes: Mapping[str, Sequence[bytes | np.ndarray]] | None = None,
        meta: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Append one head.

        Args:
            spec: the spec that was rendered, or what is known of an imported head.
            cameras: one camera per view, in the order of `rgba`.
            rgba: the pictures.
            passes: per name one array (uint8 or uint16 becomes PNG, float becomes NPY) or one
                encoded PNG or NPY per view.
            meta: plain data; `view_count` and `pixel_sha256` are added.
            files: by name and extension the bytes of further files of the whole head.

        Raises:
            RecordError: counts, shapes or dtypes that do not fit, or a head added twice.
        """
        key = spec.spec_id
        self._require_new(key)
        check_head(spec, cameras, rgba, passes or {})
        pixel_sha256 = [hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest() for v in rgba]
        members = {
            "spec.json": _json_bytes(spec),
            "cameras.json": _json_bytes([camera.to_json() for camera in cameras]),
            **{f"rgba_{i:03d}.png": encode_png(view) for i, view in enumerate(rgba)},
        }
        for name, values in (passes or {}).items():
            for i, value in enumerate(values):
                data, extension = encode_pass(value, f"{key}.{name}_{i:03d}")
                members[f"{name}_{i:03d}.{extension}"] = data
        members |= files or {}
        added = {"view_count": len(rgba), "pixel_sha256": pixel_sha256}
        members["meta.json"] = _json_bytes({**(meta or {}), **added})
        for name, data in members.items():  # only now: a head that cannot be encoded leaves nothing
            self._append(f"{key}.{name}", data)
        self._heads.append(HeadEntry(key, spec.index))
        split = spec.split if isinstance(spec, ImportedSpec) else None
        self._people.append(Person.of(spec.identity.identity_id, split))

    def copy_head(
        self, head: HeadRecord, keep: Callable[[str], bool] = lambda suffix: True
    ) -> None:
        """Append a head of another shard, byte for byte.

        Args:
            head: all of it is read before anything is written.
            keep: which of its files, by name and extension.

        Raises:
            RecordError: the head is already in this shard.
            RecordCorrupt: a file of it does not match its digest.
        """
        self._require_new(head.spec_id)
        files = {suffix: head.read(suffix) for suffix in head.members if keep(suffix)}
        for suffix, data in files.items():
            self._append(f"{head.spec_id}.{suffix}", data)
        self._heads.append(HeadEntry(head.spec_id, head.index))
        self._people.append(head.person)

    def add_absent(
        self, spec: HeadSpec | ImportedSpec | AbsentHead, kind: AbsentKind, reason: str
    ) -> None:
        """Note in the footer that the shard does without a head.

        Args:
            spec: names the head.
            kind: "failed" or "rejected".
            reason: why; cut to `MAX_REASON` characters.

        Raises:
            RecordError: the head is already in this shard.
        """
        self._require_new(spec.spec_id)
        self._absent.append(AbsentHead(spec.spec_id, spec.index, kind, reason[:MAX_REASON]))

    def commit(self) -> None:
        """Write the closing members, flush to the disk, rename into place."""
        file = self._open_file()
        index = canonical_json(self._members).encode()
        self._append(MEMBERS_NAME, index)
        footer = footer_bytes(self._dataset_id, self._heads, index, self._absent, self._people)
        self._append(FOOTER_NAME, footer)
        file.write(END_OF_ARCHIVE)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self._file = None
        rename_into_place(self.temporary, self.path)

    def abort(self) -> None:
        """Remove everything written so far."""
        try:
            if self._file is not None:
                self._file.close()  # writes what it holds back, which a full disk refuses again
        finally:
            self._file = None
            self.temporary.unlink(missing_ok=True)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abort()
            return
        try:
            self.commit()
        except BaseException:
            self.abort()
            raise

    def _append(self, name: str, data: bytes) -> None:
        file = self._open_file()
        file.write(tar_header(name, len(data)))
        self._members.append(Member(name, file.tell(), len(data), hashlib.sha256(data).hexdigest()))
        file.write(data + b"\0" * (-len(data) % BLOCK))

    def _require_new(self, spec_id: str) -> None:
        if any(head.spec_id == spec_id for head in (*self._heads, *self._absent)):
            raise RecordError(f"head {spec_id} is already in this shard")

    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise RecordError(f"{self.path}: this writer is closed")
        return self._file


def _json_bytes(value: Any) -> bytes:
    return canonical_json(value).encode()


# ---------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class HeadRecord:
    """One head of a shard; nothing but the JSON index is read until it is asked for.

    It holds a path, not an open file: it may be pickled and used from any process.
    """

    shard: Place
    spec_id: str
    index: int
    members: dict[str, Member] = field(repr=False)
    listed_person: Person | None  # as the footer says; None in a shard of before it did

    @cached_property
    def spec(self) -> HeadSpec:
        """The spec that was rendered.

        Raises:
            RecordError: the head was imported.
        """
        data = self.spec_data
        if is_imported(data):
            raise RecordError(
                f"head {self.spec_id} in {self.shard} was imported ({data['source']}): how it was "
                "made is not known"
            )
        return HeadSpec.from_json_dict(data)

    @property
    def is_imported(self) -> bool:
        """Whether the head was made elsewhere and has no `HeadSpec`."""
        return is_imported(self.spec_data)

    @property
    def spec_data(self) -> dict[str, Any]:
        """`spec.json` as it stands; for counting over many heads, in a tenth of the time."""
        return self._json("spec.json")

    @property
    def identity_id(self) -> str:
        """Identity of the head."""
        return self.person.identity_id

    @property
    def split(self) -> Split:
        """The split of an imported head as it came, of any other by hash of its identity."""
        return self.person.split

    @cached_property
    def person(self) -> Person:
        """Whose head it is: from the footer, of an older shard from the spec."""
        return self.listed_person or self._person_of_spec()

    def _person_of_spec(self) -> Person:
        data = self.spec_data
        try:
            split = data["split"] if is_imported(data) else None
            return Person.of(str(data["identity"]["identity_id"]), split)
        except (KeyError, TypeError) as error:
            raise RecordCorrupt(
                f"{self.shard}: {self.spec_id}.spec.json names no identity ({error!r})"
            ) from error

    @cached_property
    def cameras(self) -> tuple[Camera, ...]:
        """One camera per view."""
        return tuple(Camera.from_json(data) for data in self._json("cameras.json"))

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Timings, versions, device and `pixel_sha256` of each view."""
        return self._json("meta.json")

    @property
    def view_count(self) -> int:
        return sum(name.startswith("rgba_") for name in self.members)

    @property
    def passes(self) -> tuple[str, ...]:
        """Names of the passes stored per view beside RGBA."""
        stems = (name.partition(".")[0] for name in self.members)
        return tuple(sorted({s.rpartition("_")[0] for s in stems if "_" in s} - {"rgba"}))

    @property
    def bytes_by_kind(self) -> dict[str, int]:
        """Size of what is stored: `rgba`, each pass, `landmarks`, and `records` (all JSON)."""
        sizes: dict[str, int] = {}
        for suffix, member in self.members.items():
            stem, _, extension = suffix.partition(".")
            kind = "records" if extension == "json" else stem.rpartition("_")[0] or stem
            sizes[kind] = sizes.get(kind, 0) + member.size
        return sizes

    @cached_property
    def landmarks(self) -> HeadLandmarks:
        """The points of the head.

        Raises:
            RecordError: the head was rendered without the pass "landmarks".
        """
        self._require("landmarks", "landmarks.npz")
        return HeadLandmarks.from_bytes(self.read("landmarks.npz"))

    def rgba(self, view: int) -> np.ndarray:
        """Picture of one view: [H, W, 4] uint8, display-referred sRGB, straight alpha.

        Raises:
            IndexError: no such view.
            RecordCorrupt: the bytes do not match their digest.
        """
        return self._picture(f"rgba_{view:03d}", view)

    def pass_image(self, name: str, view: int) -> np.ndarray:
        """One view of a pass, in the units and the shape that `ground_truth.PASSES` states.

        A pass that is not in `PASSES` comes back as it is stored.

        Raises:
            IndexError: no such view.
            RecordError: the head was rendered without this pass.
            RecordCorrupt: the bytes do not match their digest.
        """
        if name not in PASSES:
            return self._picture(f"{name}_{view:03d}", view)
        stored = PASSES[name].stored
        self._require(name, f"{stored}_000.png")
        return decode(name, self._picture(f"{stored}_{view:03d}", view), self.cameras[view])

    def read(self, suffix: str) -> bytes:
        """Bytes of the member `<spec_id>.<suffix>`, checked against its digest."""
        if suffix not in self.members:
            raise RecordCorrupt(f"{self.shard}: member {self.spec_id}.{suffix} is missing")
        return read_member(self.shard, self.members[suffix])

    def _require(self, name: str, suffix: str) -> None:
        if suffix not in self.members:
            raise RecordError(
                f"head {self.spec_id} in {self.shard} has no pass {name!r}, it has "
                f"{', '.join(self.passes) or 'none'}; render with --set 'passes=[{name}]'"
            )

    def _picture(self, stem: str, view: int) -> np.ndarray:
        if not 0 <= view < self.view_count:
            raise IndexError(f"head {self.spec_id} has views 0 ... {self.view_count - 1}: {view}")
        if f"{stem}.npy" in self.members:
            return np.load(io.BytesIO(self.read(f"{stem}.npy")), allow_pickle=False)
        image = iio.imread(self.read(f"{stem}.png"), extension=".png", plugin="pillow")
        return np.asarray(image)

    def _json(self, suffix: str) -> Any:
        return json.loads(self.read(suffix))


class ShardReader:
    """Reads a committed shard; opening it reads the footer and the index of the members.

    Raises:
        RecordCorrupt: truncated or damaged; names shard and member.
        SchemaMismatch: written by an incompatible version.
    """

    def __init__(self, path: str | Path):
        self.path = place(path)
        self.footer, self._members = read_index(self.path)

    def heads(self) -> list[HeadRecord]:
        """The heads in the order of the file."""
        groups: dict[str, dict[str, Member]] = {}
        for member in self._members:
            key, _, suffix = member.name.partition(".")
            groups.setdefault(key, {})[suffix] = member
        if tuple(groups) != self.footer.spec_ids:
            raise RecordCorrupt(f"{self.path}: the members do not match the listed heads")
        people = self.footer.people or (None,) * len(groups)
        return [
            HeadRecord(self.path, head.spec_id, head.index, groups[head.spec_id], person)
            for head, person in zip(self.footer.heads, people, strict=True)
        ]

    def verify(self) -> None:
        """Check every byte of the file, and that every head decodes to what it claims to be.

        Raises:
            RecordCorrupt: names the shard and the first member that is wrong.
        """
        if not is_local(self.path):
            with local_copy(self.path) as copy:
                _verify_copy(copy, self.path)
            return
        for member in self._members:
            verify_member(self.path, member)
        for head in self.heads():
            _verify_head(head)


def _verify_copy(copy: Path, path: Place) -> None:
    """Verify a shard that was fetched; messages name where it came from."""
    try:
        ShardReader(copy).verify()
    except RecordError as error:
        raise type(error)(str(error).replace(str(copy), str(path))) from error


def _verify_head(head: HeadRecord) -> None:
    where = f"{head.shard}: head {head.spec_id}"
    # of the text, not of the spec: that has every field that was added since
    if (found := spec_id_of(head.spec_data)) != head.spec_id:
        raise RecordCorrupt(f"{where}: its spec.json hashes to {found}")
    kind = ImportedSpec if is_imported(head.spec_data) else HeadSpec
    if (index := kind.from_json_dict(head.spec_data).index) != head.index:
        raise RecordCorrupt(f"{where}: listed as index {head.index}, spec says {index}")
    if (person := head._person_of_spec()) != head.person:
        raise RecordCorrupt(f"{where}: listed as of {head.person}, spec says {person}")
    count = head.meta["view_count"]
    if not count == head.view_count == len(head.cameras) == len(head.meta["pixel_sha256"]):
        raise RecordCorrupt(f"{where}: {head.view_count} pictures, {len(head.cameras)} cameras")
    for view, camera in enumerate(head.cameras):
        pixels = head.rgba(view)
        if pixels.shape != (camera.height, camera.width, 4) or pixels.dtype != np.uint8:
            raise RecordCorrupt(f"{where}: view {view} is {pixels.dtype} {list(pixels.shape)}")
        if hashlib.sha256(pixels.tobytes()).hexdigest() != head.meta["pixel_sha256"][view]:
            raise RecordCorrupt(f"{where}: pixels of view {view} do not match meta.json")
