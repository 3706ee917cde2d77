"""One head on its way out: the chosen views, their pictures and points, and files that last."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from synth.camera import CANONICAL_VIEWS, FOV_DEG, RADIUS, Camera, find_canonical
from synth.color import Background, over, rgba8_from_float
from synth.errors import InputError
from synth.landmarks import Visibility
from synth.record import HeadRecord
from synth.record_files import encode_png
from synth.shardlayout import checked
from synth.storage import is_local, read_range

CANONICAL = "canonical"
"""A pattern of its own: the six views of the diffusion model, told by pose."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points on the surface of a head.

    Attributes:
        positions: [N, 3] float64, world coordinates in scene units.
        colours: [N, 3] uint8, sRGB, of the first view that sees the point.
        seen: [V, N] bool, whether a view sees the point.
    """

    positions: np.ndarray
    colours: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class FetchedHead(HeadRecord):
    """A head all of whose files are in memory.

    Attributes:
        start: where `data` begins in the shard.
        data: the files, which lie side by side.
    """

    start: int
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, head: HeadRecord) -> HeadRecord:
        """The head itself if its shard is local; of an object store, in one request for all of its
        files instead of two for each."""
        if is_local(head.shard):
            return head
        start = min(member.offset for member in head.members.values())
        stop = max(member.offset + member.size for member in head.members.values())
        data = read_range(head.shard, start, stop)
        return cls(
            head.shard, head.spec_id, head.index, head.members, head.listed_person, start, data
        )

    def read(self, suffix: str) -> bytes:
        """As `HeadRecord.read`."""
        if suffix not in self.members:
            return super().read(suffix)  # says so
        member = self.members[suffix]
        offset = member.offset - self.start
        return checked(self.data[offset : offset + member.size], member, self.shard)


@dataclass(frozen=True, eq=False)
class HeadExport:
    """A head as an export shows it.

    Attributes:
        record: of the dataset.
        views: positions of the chosen views in the record.
        background: what the pictures are laid over; None keeps them as they are, with alpha.
    """

    record: HeadRecord
    views: tuple[int, ...]
    background: Background | None = None

    @classmethod
    def choose(
        cls, record: HeadRecord, patterns: Sequence[str], background: Background | None
    ) -> HeadExport:
        """The views whose names match any pattern, in the order of the record; all without one.

        Raises:
            InputError: a pattern that no view of the head matches; names the head and its views.
        """
        names = [camera.name for camera in record.cameras]
        chosen: set[int] = set() if patterns else set(range(len(names)))
        for pattern in patterns:
            if pattern == CANONICAL:
                matching = set(find_canonical(record.cameras).values())
            else:
                matching = {i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)}
            if not matching:
                raise InputError(
                    f"head {record.spec_id} in {record.shard} has no view {pattern!r}; it has "
                    f"{', '.join(names)}"
                )
            chosen |= matching
        return cls(record, tuple(sorted(chosen)), background)

    @cached_property
    def cameras(self) -> tuple[Camera, ...]:
        """One a chosen view."""
        return tuple(self.record.cameras[view] for view in self.views)

    def pinhole(self, number: int) -> tuple[float, float, float, float]:
        """fx, fy, cx, cy of a chosen view in pixels, which is all that other formats know.

        Raises:
            InputError: its pixels are skewed.
        """
        camera = self.cameras[number]
        K = camera.K
        if K[0, 1] or K[1, 0]:
            raise InputError(
                f"head {self.record.spec_id} in {self.record.shard}, view {camera.name!r}: its "
                "pixels are skewed, which no layout can say"
            )
        return tuple(map(float, (K[0, 0], K[1, 1], K[0, 2], K[1, 2])))

    def canonical(self) -> HeadExport:
        """The same head with the six views of the diffusion model, in its order.

        Raises:
            InputError: one of them is not among the chosen views; names the head and the view.
        """
        found = find_canonical(self.cameras)
        missing = [name for name, _ in CANONICAL_VIEWS if name not in found]
        if missing:
            raise InputError(
                f"head {self.record.spec_id} in {self.record.shard} has no canonical view "
                f"{', '.join(missing)} (radius {RADIUS}, {FOV_DEG:g} degrees, level with the "
                "head); render with views.canonical, or export another layout"
            )
        views = tuple(self.views[position] for position in found.values())
        return HeadExport(self.record, views, self.background)

    def picture(self, number: int) -> bytes:
        """PNG of a chosen view: the bytes of the shard, or RGB on the background.

        Args:
            number: position among the chosen views.
        """
        view = self.views[number]
        if self.background is None:
            return self.record.read(f"rgba_{view:03d}.png")
        return encode_png(rgba8_from_float(over(self.record.rgba(view), self.background)))

    def mask(self, number: int) -> bytes:
        """PNG, uint8 [H, W]: 255 where a chosen view shows anything of the head, else 0."""
        alpha = self.record.rgba(self.views[number])[..., 3]
        return encode_png(np.where(alpha > 0, 255, 0).astype(np.uint8))

    def has(self, name: str) -> bool:
        """Whether the head was rendered with a pass."""
        return name in self.record.bytes_by_kind

    def points(self) -> Points | None:
        """The landmarks that any chosen view sees; None if the head was rendered without."""
        if not self.has("landmarks"):
            return None
        marks = self.record.landmarks
        positions = np.concatenate([marks.sparse, marks.dense]).astype(np.float64)
        states = np.concatenate([marks.sparse_visibility, marks.dense_visibility], axis=1)
        seen = states[list(self.views)] == Visibility.VISIBLE
        kept = seen.any(axis=0)
        positions, seen = positions[kept], seen[:, kept]
        return Points(positions, self._colours(positions, seen), seen)

    def _colours(self, positions: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """[N, 3] uint8: the pixel that each point falls into in the first view that sees it."""
        colours = np.zeros((len(positions), 3), np.uint8)
        first = seen.argmax(axis=0)
        for number in np.unique(first):
            points = first == number
            camera = self.cameras[number]
            pixels, _ = camera.project(positions[points])
            limits = (camera.width - 1, camera.height - 1)
            column, row = np.clip(np.floor(pixels).astype(int), 0, limits).T
            colours[points] = self.record.rgba(self.views[number])[row, column, :3]
        return colours


def write_file(path: Path, data: bytes | str) -> None:
    """Write a file of a folder that is not in place yet; its bytes are on the disk on return."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
