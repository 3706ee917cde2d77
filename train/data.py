"""`HeadDataset`: the rendered heads of a dataset as tensors, one item a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

Split = Literal["train", "val", "test", "all"]


@dataclass(frozen=True)
class HeadInfo:
    """What is known of a head before any picture is decoded.

    Attributes:
        spec_id: id of the head's spec.
        identity_id: id of its identity; splits hash it.
        shard: file name of the shard that holds it.
        view_names: name of every view, in the order of the pictures.
        cam_from_world: [V, 4, 4] float32, OpenCV camera frame.
        K: [V, 3, 3] float32 intrinsics in pixels of the dataset's (resized) pictures.
    """

    spec_id: str
    identity_id: str
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
    """

    spec_id: str
    identity_id: str
    rgba: Tensor
    cam_from_world: Tensor
    K: Tensor
    view_names: tuple[str, ...]


class HeadDataset:
    """Map-style dataset over the shards of a rendered dataset; safe for threads and workers.

    Args:
        root: dataset directory (holds `shards/*.tar`).
        split: which identities; by hash of the identity.
        size: side in pixels that pictures are reduced to (area average); None keeps them.

    Raises:
        InputError: no shards there, or no head in the split.
    """

    def __init__(self, root: str | Path, split: Split = "train", size: int | None = None):
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> HeadItem:
        """The whole head: `load(index)`."""
        return self.load(index)

    def info(self, index: int) -> HeadInfo:
        """Names and cameras of a head, without decoding a picture."""
        raise NotImplementedError

    def views_named(self, index: int, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of the views with these names.

        Raises:
            RecordError: the head has no such view; names the spec id, the shard and the views.
        """
        raise NotImplementedError

    def load(self, index: int, views: Sequence[int] | None = None) -> HeadItem:
        """Decode a head.

        Args:
            index: position in the dataset.
            views: positions of the views, in the order wanted; None loads all.

        Raises:
            RecordCorrupt: a picture is missing or damaged; names spec id, shard and file.
        """
        raise NotImplementedError
