"""`HeadDataset`: the rendered heads of a dataset as tensors, one item a head."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from synth.camera import Camera, stack
from synth.color import float_from_rgba8, premultiply, rgba8_from_float, unpremultiply
from synth.config import digest
from synth.errors import InputError, RecordCorrupt, RecordError
from synth.ground_truth import AVERAGED_PASSES, check_passes
from synth.record import HeadRecord, ShardReader
from synth.resample import area_average
from synth.shardcache import ShardCache
from synth.shardlayout import read_footers
from synth.storage import Place, is_local, list_files, place
from synth.survey import SHARD_PATTERN, SHARDS

Split = Literal["train", "val", "test", "all"]

_SHARDS_IN_MEMORY = 256
"""Member tables kept per process; one takes about 10 KB a head."""
_CACHE = ShardCache()


@dataclass(frozen=True)
class HeadInfo:
    """What is known of a head before any picture is decoded.

    Attributes:
        spec_id: id of the head's spec.
        identity_id: id of its identity.
        split: "train", "val" or "test".
        shard: file name of the shard that holds it.
        view_names: name of every view, in the order of the pictures.
        cam_from_world: [V, 4, 4] float32, OpenCV camera frame.
        K: [V, 3, 3] float32 intrinsics in pixels of the dataset's (resized) pictures.
    """

    spec_id: str
    identity_id: str
    split: str
    shard: str
    view_names: tuple[str, ...]
    cam_from_world: Tensor
    K: Tensor


@dataclass(frozen=True)
class HeadItem:
    """One head, or the chosen views of it.

    Attributes:
        rgba: [V, 4, H, W] uint8, display-referred sRGB, straight alpha.
        cam_from_world: [V, 4, 4] float32, OpenCV camera frame.
        K: [V, 3, 3] float32 intrinsics in pixels of `rgba`.
        view_names: name of each of the V views.
        passes: ground truth by name, [V, H, W] or [V, C, H, W], of the type, unit and background
            that `synth.ground_truth.PASSES` states.
    """

    spec_id: str
    identity_id: str
    rgba: Tensor
    cam_from_world: Tensor
    K: Tensor
    view_names: tuple[str, ...]
    passes: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entry:
    """Where a head lies: the shard and the position in it."""

    shard: int
    position: int
    spec_id: str
    identity_id: str
    split: str


class HeadDataset:
    """Map-style dataset over the shards of a rendered dataset; safe for threads and workers.

    Opening reads the footer of every shard, which says whose its heads are (of one that was written
    before footers did, the spec of each head), no picture. The order is that of the shards' names
    and of the heads within them.

    Args:
        root: dataset directory or URL (holds `shards/shard-*.tar`).
        split: which heads, by `HeadRecord.split`.
        size: side in pixels that square pictures are reduced to (area average); None keeps them.
        passes: ground truth to load with the pictures. What lies at pixel centres is reduced by
            taking the pixel nearest to each new centre, never mixed; the rest by area average.
        cache: where shards of an object store are copied to.

    Raises:
        InputError: no shards there, no head in the split, or a pass that does not exist.
        RecordCorrupt, SchemaMismatch: a shard cannot be read.
    """

    def __init__(
        self,
        root: str | Place,
        split: Split = "train",
        size: int | None = None,
        passes: Sequence[str] = (),
        cache: ShardCache = _CACHE,
    ):
        self.root, self.split, self.size, self.passes = place(root), split, size, tuple(passes)
        self._cache = cache
        try:
            check_passes("passes", self.passes)
        except ValueError as error:
            raise InputError(str(error)) from error
        listed = list_files(self.root / SHARDS, SHARD_PATTERN)
        self._files = sorted(listed, key=lambda file: file.name)
        self._shards = [self.root / SHARDS / file.name for file in self._files]
        if not self._shards:
            raise InputError(
                f"{self.root} is not a dataset: no {self.root / SHARDS}/shard-*.tar; "
                f"make one with `headloom render --out {self.root}`"
            )
        self._tables: OrderedDict[int, list[HeadRecord]] = OrderedDict()
        self._lock = threading.Lock()
        every = list(self._entries())
        self._heads = [e for e in every if split == "all" or e.split == split]
        if not self._heads:
            raise InputError(
                f"none of the {len(every)} heads in {self.root} is in the split {split!r}; "
                "render more identities, or train on all of them with --set train.split=all"
            )

    def _entries(self) -> Iterator[_Entry]:
        number = {file.name: i for i, file in enumerate(self._files)}
        for name, footer in read_footers(self.root / SHARDS, list(number)):
            if isinstance(footer, RecordCorrupt):
                raise footer
            shard = number[name]
            people = footer.people
            if len(people) < len(footer.heads):
                people = [record.person for record in ShardReader(self._shards[shard]).heads()]
            for i, (head, person) in enumerate(zip(footer.heads, people, strict=True)):
                yield _Entry(shard, i, head.spec_id, person.identity_id, person.split)

    def __len__(self) -> int:
        return len(self._heads)

    def __getitem__(self, index: int) -> HeadItem:
        """The whole head: `load(index)`."""
        return self.load(index)

    @property
    def dataset_id(self) -> str:
        """SHA-256 of what the items are: spec ids in order, the size and the passes."""
        content = {"heads": [entry.spec_id for entry in self._heads], "size": self.size}
        return digest({**content, "passes": self.passes} if self.passes else content)

    def info(self, index: int) -> HeadInfo:
        """Names and cameras of a head, without decoding a picture."""
        entry, record = self._heads[index], self._record(index)
        cameras = self._cameras(record)
        return HeadInfo(
            spec_id=entry.spec_id,
            identity_id=entry.identity_id,
            split=entry.split,
            shard=record.shard.name,
            view_names=tuple(camera.name for camera in cameras),
            **_matrices(cameras),
        )

    def views_named(self, index: int, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of the views with these names.

        Raises:
            RecordError: the head has no such view; names the spec id, the shard and the views.
        """
        record = self._record(index)
        known = [camera.name for camera in record.cameras]
        missing = [name for name in names if name not in known]
        if missing:
            raise RecordError(
                f"head {record.spec_id} in {record.shard} has no view {', '.join(missing)}; it has "
                f"{', '.join(known)}. Render the dataset with these views"
            )
        return tuple(known.index(name) for name in names)

    def load(self, index: int, views: Sequence[int] | None = None) -> HeadItem:
        """Decode a head.

        Args:
            index: position in the dataset.
            views: positions of the views, in the order wanted; None loads all.

        Raises:
            RecordCorrupt: a picture is missing or damaged; names spec id, shard and file.
            RecordError: the head was rendered without one of the passes.
        """
        entry, record = self._heads[index], self._record(index)
        cameras = self._cameras(record)
        chosen = tuple(range(len(cameras)) if views is None else views)
        pictures = np.stack([self._picture(record, view) for view in chosen])
        cameras = [cameras[view] for view in chosen]
        return HeadItem(
            spec_id=entry.spec_id,
            identity_id=entry.identity_id,
            rgba=torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
            view_names=tuple(camera.name for camera in cameras),
            passes={name: self._pass(record, name, chosen) for name in self.passes},
            **_matrices(cameras),
        )

    def _pass(self, record: HeadRecord, name: str, views: Sequence[int]) -> Tensor:
        """[V, H, W] or [V, C, H, W] of one pass."""
        values = [resize_pass(name, record.pass_image(name, view), self.size) for view in views]
        return torch.from_numpy(np.stack(values))

    def _record(self, index: int) -> HeadRecord:
        entry = self._heads[index]
        path = self._shards[entry.shard]
        if not is_local(path):  # also says that the copy is in use
            path = self._cache.fetch(path, self._files[entry.shard])
        with self._lock:
            table = self._tables.get(entry.shard)
            if table is None:
                table = self._tables[entry.shard] = ShardReader(path).heads()
                if len(self._tables) > _SHARDS_IN_MEMORY:
                    self._tables.popitem(last=False)
            self._tables.move_to_end(entry.shard)
        record = table[entry.position] if entry.position < len(table) else None
        if record is None or record.spec_id != entry.spec_id:
            raise RecordError(
                f"{self._shards[entry.shard]} changed while it was read: head {entry.spec_id} is "
                "gone; start again once nothing writes to the dataset"
            )
        return record

    def _cameras(self, record: HeadRecord) -> list[Camera]:
        if self.size is None:
            return list(record.cameras)
        for camera in record.cameras:
            if camera.width != camera.height or camera.width < self.size:
                raise InputError(
                    f"head {record.spec_id} in {record.shard} is {camera.width} x {camera.height} "
                    f"px, which cannot be reduced to {self.size} x {self.size}; render larger or "
                    "train smaller"
                )
        return [camera.resized(self.size, self.size) for camera in record.cameras]

    def _picture(self, record: HeadRecord, view: int) -> np.ndarray:
        where = f"head {record.spec_id}, {record.spec_id}.rgba_{view:03d}.png in {record.shard}"
        try:
            rgba = record.rgba(view)
        except RecordCorrupt:
            raise
        except (IndexError, OSError, ValueError) as error:
            raise RecordCorrupt(f"{where}: cannot be decoded: {error}") from error
        camera = record.cameras[view]
        if rgba.shape != (camera.height, camera.width, 4):
            raise RecordCorrupt(
                f"{where}: shape {rgba.shape}, its camera has {camera.width} x {camera.height} px"
            )
        return rgba if self.size is None else resize_rgba(rgba, self.size)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_tables": OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _matrices(cameras: Sequence[Camera]) -> dict[str, Tensor]:
    cam_from_world, intrinsics = stack(cameras)
    return {
        "cam_from_world": torch.from_numpy(cam_from_world).to(torch.float32),
        "K": torch.from_numpy(intrinsics).to(torch.float32),
    }


def resize_pass(name: str, values: np.ndarray, size: int | None) -> np.ndarray:
    """A pass with its channels first, reduced to `size` pixels unless that is None.

    Args:
        name: of `synth.ground_truth.PASSES`.
        values: what `HeadRecord.pass_image` returned.
        size: new height and width in pixels.

    Returns:
        [size, size] or [C, size, size].
    """
    if values.ndim == 3 and name != "coverage":
        values = values.transpose(2, 0, 1)
    height, width = values.shape[-2:]
    if size is None or (height, width) == (size, size):
        return np.ascontiguousarray(values)
    if name in AVERAGED_PASSES:
        last = values.transpose(1, 2, 0)
        if name == "albedo":
            last = unpremultiply(area_average(premultiply(last), size, size))
        else:
            last = area_average(last, size, size)
        return np.ascontiguousarray(last.transpose(2, 0, 1))
    rows = ((np.arange(size) + 0.5) * height / size).astype(int)
    columns = ((np.arange(size) + 0.5) * width / size).astype(int)
    return np.ascontiguousarray(values[..., rows[:, None], columns[None]])


def resize_rgba(rgba: np.ndarray, size: int) -> np.ndarray:
    """Reduce a picture by area averaging with associated alpha, in display space.

    Each new pixel is the exact average over its footprint; transparent pixels lend no colour.

    Args:
        rgba: [H, W, 4] uint8, straight alpha.
        size: new height and width in pixels, at most H and W.
    """
    height, width = rgba.shape[:2]
    if (height, width) == (size, size):
        return rgba
    associated = premultiply(float_from_rgba8(rgba))
    return rgba8_from_float(unpremultiply(area_average(associated, size, size)))
