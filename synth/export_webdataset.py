"""WebDataset: chosen files of chosen heads in tar shards of a chosen size.

The shards have the layout of a dataset's own (`synth.record`), so that every byte of them can be
verified and an interrupted export knows which are whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from synth.errors import HeadloomError, RecordCorrupt
from synth.export_frame import Exported, ExportRequest
from synth.export_head import FetchedHead
from synth.record import HeadRecord, ShardWriter
from synth.shardlayout import BLOCK, read_footer
from synth.survey import shard_name
from synth.unfinished import remove_stale_temporaries

NAME = "webdataset"
SUMMARY = "tar shards of any size with chosen files, for the package webdataset"
_FOLDER = "shards"

CONVENTIONS = """\
Tar shards below `shards/`; the key of a sample is the id of a head.

    import webdataset
    shards = "shards/shard-{000000..000042}.tar"
    for head in webdataset.WebDataset(shards, shardshuffle=False).decode("rgba8"):
        head["__key__"], head["rgba_000.png"], head["cameras.json"]

    # on several machines, each with its RANK and WORLD_SIZE, at least one shard for each:
    webdataset.WebDataset(shards, shardshuffle=100, nodesplitter=webdataset.split_by_node)

- `cameras.json`: per view `K` in pixels (the centre of the first pixel is (0.5, 0.5)) and
  `cam_from_world`, 4 x 4, row-major, to the OpenCV camera (x right, y down, z forward).
- `rgba_000.png` ...: the views in the order of `cameras.json`; RGBA, straight alpha.
- Passes of more than 8 bits (depth) must be decoded from their bytes; units and encodings are those
  of Headloom's docs/dataset_format.md.
- Members below `__headloom__/` are for verification; the package skips them.
"""


def kind_of(suffix: str) -> str:
    """The kind of a head's file: "rgba" of `rgba_003.png`, "spec" of `spec.json`."""
    stem = suffix.partition(".")[0]
    kind, _, number = stem.rpartition("_")
    return kind if number.isdecimal() else stem


class ShardExporter:
    """Writes shards that are not in place; see `synth.export.Exporter`.

    Args:
        out: the export.
        request: its `members` and `shard_size_mb`.
        dataset_id: noted in the shards.
    """

    conventions = CONVENTIONS

    def __init__(self, out: Path, request: ExportRequest, dataset_id: str):
        self._folder = out / _FOLDER
        self._folder.mkdir(exist_ok=True)
        self._kinds, self._size = set(request.members), request.shard_size_mb * 1e6
        self._dataset_id = dataset_id
        self._names: set[str] = set()
        remove_stale_temporaries(self._folder)

    def units(self, heads: Iterable[HeadRecord]) -> Iterator[Sequence[HeadRecord]]:
        """Heads of one shard each: it is closed by the head that makes it large enough."""
        shard: list[HeadRecord] = []
        size = 0
        for head in heads:
            shard.append(head)
            if not self._lacking(head):
                kept = (member for suffix, member in head.members.items() if self._keeps(suffix))
                size += sum(BLOCK + member.size + (-member.size % BLOCK) for member in kept)
            if size >= self._size:
                yield shard
                shard, size = [], 0
        if shard:
            yield shard

    def export(self, number: int, heads: Sequence[HeadRecord]) -> Exported:
        """Write a shard, unless it is there with these heads."""
        path = self._folder / shard_name(number)
        failures = [lack for head in heads if (lack := self._lacking(head))]
        heads = [head for head in heads if not self._lacking(head)]
        if not heads:  # no empty shard; only the last one can be
            return Exported(failures=tuple(failures))
        self._names.add(path.name)
        if _holds(path, heads):
            return Exported.of(heads, written=0, failures=failures)
        copied = []
        with ShardWriter(path, dataset_id=self._dataset_id) as writer:
            for head in heads:
                try:
                    writer.copy_head(FetchedHead.of(head), self._keeps)
                    copied.append(head)
                except HeadloomError as error:
                    failures.append(str(error))
        return Exported.of(copied, written=len(copied), failures=failures)

    def finish(self) -> None:
        """Remove shards behind the last one: the dataset had more heads when they were written,
        and some of these are in the other shards now."""
        for path in self._folder.glob("shard-*.tar"):
            if path.name not in self._names:
                path.unlink()

    def _keeps(self, suffix: str) -> bool:
        return not self._kinds or kind_of(suffix) in self._kinds

    def _lacking(self, head: HeadRecord) -> str:
        """What a head does not have of what is asked for; nothing if it has all."""
        kinds = {kind_of(suffix) for suffix in head.members}
        missing = sorted(self._kinds - kinds)
        if not missing:
            return ""
        has = ", ".join(sorted(kinds))
        return f"head {head.spec_id} in {head.shard} has no {', '.join(missing)}; it has {has}"


def _holds(path: Path, heads: Sequence[HeadRecord]) -> bool:
    """Whether a shard is in place with exactly these heads."""
    try:
        return read_footer(path).spec_ids == tuple(head.spec_id for head in heads)
    except (FileNotFoundError, RecordCorrupt):
        return False
