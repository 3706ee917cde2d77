"""What a dataset consists of, counted in one walk over its heads; no picture is decoded."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infer.judges import Done
from infer.judges_views import direction_deg
from synth.dataset import Dataset, split_of
from synth.errors import RecordError
from synth.record import HeadRecord, ShardReader
from synth.shardlayout import read_footer
from synth.spec import AssetRef

MAX_CAMERAS = 3000
"""Cameras drawn on the map; more would only make it black."""

_POOLED = {"identity.shape": "sculpted controls", "expression.actions": "facial actions"}
"""Mappings with many labels, counted together."""
_LEFT_OUT = ("assets", "cameras", "index", "schema", "seed", "identity.identity_id")


@dataclass(frozen=True)
class HeadPlace:
    """Where a head lies, so that its pictures can be read later."""

    spec_id: str
    index: int
    identity_id: str
    shard: int


@dataclass(eq=False)
class DatasetFacts:
    """Counts and values over all heads that are there.

    Attributes:
        places: one per head, in order.
        splits: heads by split.
        words: per text field of the spec, by dotted name, how often each value occurs; a section
            that a head lacks (no glasses) counts as "none".
        numbers: per number of the spec its values.
        actions: per facial action its values above 0.
        colours: per palette name the colours seen, linear RGB: "hair", "iris".
        cameras: (azimuth from the front, elevation) in degrees, at most `MAX_CAMERAS`.
        timings_s: per step of rendering, seconds of each head.
        bytes_by_kind: stored bytes of "rgba", of each pass, and of "records" (all JSON).
        views: how many there are.
        passes: ground truth that any head stores.
        assets: everything the heads are made of, and how many heads use it.
        versions: of the software, as the heads say, and how many heads say so.
        devices: what they were rendered on.
    """

    places: list[HeadPlace] = field(default_factory=list)
    splits: Counter = field(default_factory=Counter)
    words: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    numbers: dict[str, array] = field(default_factory=lambda: defaultdict(lambda: array("f")))
    actions: dict[str, array] = field(default_factory=lambda: defaultdict(lambda: array("f")))
    colours: dict[str, dict[str, list]] = field(
        default_factory=lambda: {"hair": defaultdict(list), "iris": defaultdict(list)}
    )
    cameras: list[tuple[float, float]] = field(default_factory=list)
    timings_s: dict[str, array] = field(default_factory=lambda: defaultdict(lambda: array("f")))
    bytes_by_kind: Counter = field(default_factory=Counter)
    views: int = 0
    passes: tuple[str, ...] = ()
    assets: Counter = field(default_factory=Counter)
    versions: Counter = field(default_factory=Counter)
    devices: Counter = field(default_factory=Counter)

    @property
    def heads(self) -> int:
        return len(self.places)

    @property
    def identities(self) -> int:
        return len({place.identity_id for place in self.places})

    def values(self, name: str) -> np.ndarray:
        """[N] float32: a number of the spec over all heads; empty if there is none."""
        return np.array(self.numbers.get(name, ()), np.float32)

    def counts(self, name: str) -> dict[str, int]:
        """How often each value of a text field occurs, the most frequent first."""
        return dict(self.words.get(name, Counter()).most_common())


def committed_heads(dataset: Dataset) -> int:
    """How many heads are in place, from the ends of the shards."""
    return sum(len(read_footer(path).indices) for path in shard_paths(dataset))


def shard_paths(dataset: Dataset) -> list:
    """The shard files, in order."""
    return sorted(dataset.shard_directory.glob("shard-*.tar"))


def collect_facts(dataset: Dataset, done: Done = lambda _: None) -> DatasetFacts:
    """Walk over a dataset.

    Args:
        dataset: with at least one head.
        done: told the number of heads seen so far.

    Raises:
        RecordError: no heads are rendered yet.
        RecordCorrupt: a record is damaged.
    """
    facts = DatasetFacts()
    for number, path in enumerate(shard_paths(dataset)):
        for head in ShardReader(path).heads():
            _add(facts, head, number)
            done(facts.heads)
    if not facts.places:
        raise RecordError(f"{dataset.root}: no heads are rendered yet, nothing to report")
    return facts


def open_head(dataset: Dataset, place: HeadPlace) -> HeadRecord:
    """The record of a head that was counted."""
    heads = ShardReader(shard_paths(dataset)[place.shard]).heads()
    return next(head for head in heads if head.spec_id == place.spec_id)


def _add(facts: DatasetFacts, head: HeadRecord, shard: int) -> None:
    spec = head.spec
    identity = spec.identity.identity_id
    facts.places.append(HeadPlace(head.spec_id, head.index, identity, shard))
    facts.splits[split_of(identity)] += 1
    for name, value in _fields(spec.to_json_dict()):
        if isinstance(value, str):
            facts.words[name][value] += 1
        else:
            facts.numbers[name].append(value)
    for action, value in spec.expression.actions.items():
        if value > 0:
            facts.actions[action].append(value)
    facts.colours["hair"][spec.hair.colour.name].append(spec.hair.colour.albedo)
    facts.colours["iris"][spec.eyes.iris_name].append(spec.eyes.iris_light)
    room = MAX_CAMERAS - len(facts.cameras)
    facts.cameras += [direction_deg(camera) for camera in head.cameras[:room]]
    for step, seconds in head.meta.get("timings_s", {}).items():
        facts.timings_s[step].append(seconds)
    kinds = {name: _kind(name) for name in head.members}
    for name, member in head.members.items():
        facts.bytes_by_kind[kinds[name]] += member.size
    facts.views += head.view_count
    facts.passes = tuple(sorted({*facts.passes, *kinds.values()} - {"rgba", "records"}))
    facts.assets.update(spec.assets)
    facts.versions.update(head.meta.get("versions", {}).items())
    facts.devices[head.meta.get("device", "not recorded")] += 1


def _kind(member: str) -> str:
    """What a file of a head holds: "rgba", the name of a pass, or "records" for all JSON."""
    stem, _, extension = member.partition(".")
    if extension == "json":
        return "records"
    return stem.rpartition("_")[0] or stem


def _fields(value: Any, prefix: str = "") -> Iterator[tuple[str, str | float]]:
    """Text and numbers of a spec by dotted name; colours and lists of sections are left."""
    if prefix in _LEFT_OUT:
        return
    if prefix in _POOLED:
        yield from ((_POOLED[prefix], float(number)) for number in value.values())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _fields(item, f"{prefix}.{key}" if prefix else key)
    elif value is None:
        yield prefix, "none"
    elif isinstance(value, bool):
        yield prefix, "yes" if value else "no"
    elif isinstance(value, str):
        yield prefix, value
    elif isinstance(value, int | float):
        yield prefix, float(value)
    elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        yield f"{prefix} (count)", float(len(value))


def licences(facts: DatasetFacts) -> list[tuple[AssetRef, int]]:
    """Every asset and the number of heads that use it, the most used first."""
    return sorted(facts.assets.items(), key=lambda item: (-item[1], item[0].asset_id))
