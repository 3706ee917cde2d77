"""What a dataset consists of, counted in one walk over its heads; no picture is decoded.

Text, licences, versions and bytes are counted over all heads. Numbers are kept of at most
`MAX_MEASURED` heads at even distances, so that memory is bounded: a hundred thousand heads take
about as much as twenty thousand.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from infer.datasheet_people import MAX_PEOPLE, People
from infer.datasheet_weights import NONE, Comparison, DrawCounter, is_ours
from infer.judges import Done
from infer.judges_views import direction_deg
from synth.collection import Collection
from synth.dataset import Dataset
from synth.dataset_report import absent_heads
from synth.errors import RecordError
from synth.imported import ImportConfig, is_imported
from synth.record import HeadRecord, ShardReader
from synth.spec import AssetRef, check_schema

MAX_MEASURED = 20_000
"""Heads whose numbers, colours and timings are kept: every k-th of the dataset."""
LOOKS_JUDGED = 4
"""Heads of one identity that judges look at where they do not look at all."""
MAX_CAMERAS = 3000
"""Cameras drawn on the map; more would only make it black."""

_POOLED = {"identity.shape": "sculpted controls", "expression.actions": "facial actions"}
"""Mappings with many labels, counted together."""
_OF_ANY_HEAD = ("light", "render", "user_parts")
"""Sections of the spec that also apply to whole heads of a user's own."""
_LEFT_OUT = ("assets", "cameras", "index", "schema", "seed", "identity.identity_id")


@dataclass(frozen=True, slots=True)
class HeadPlace:
    """Where a head lies, so that its pictures can be read later."""

    spec_id: str
    index: int
    identity_id: str
    shard: Path


@dataclass(eq=False)
class DatasetFacts:
    """Counts and values over all heads that are there.

    Attributes:
        imported: the heads were made elsewhere, and nothing is known of how.
        places: one per head, in order.
        identities: their ids.
        ours: how many heads are built by Headloom, see `is_ours`; only of these the spec's person,
            look and expression are counted, as they do not apply to the others.
        measured: how many of them have their numbers in the fields marked with a star.
        splits: heads by split.
        words: per text field of the spec, by dotted name, how often each value occurs; a section
            that a head lacks (no glasses) counts as "none".
        numbers: * per number of the spec its values.
        actions: * per facial action its values above 0.
        colours: * per palette name the colours seen, linear RGB: "hair", "iris".
        cameras: * (azimuth from the front, elevation) in degrees, at most `MAX_CAMERAS`.
        timings_s: * per step of rendering, seconds of each head.
        bytes_by_kind: stored bytes, see `HeadRecord.bytes_by_kind`.
        views: how many there are.
        passes: ground truth that any head stores.
        assets: everything the heads are made of, and how many heads use it.
        versions: of the software, as the heads say, and how many heads say so.
        devices: what they were rendered on.
        comparisons: attributes drawn beside their configured weights.
        people: shapes of the identities, of the first `MAX_PEOPLE` where there are more.
        absent, absent_for: heads that the shards account for and do not hold, by kind and by
            reason, see `synth.dataset_report.absent_heads`.
    """

    imported: bool = False
    places: list[HeadPlace] = field(default_factory=list)
    identities: set[str] = field(default_factory=set)
    ours: int = 0
    measured: int = 0
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
    comparisons: list[Comparison] = field(default_factory=list)
    people: People = field(default_factory=People)
    absent: Counter = field(default_factory=Counter)
    absent_for: Counter = field(default_factory=Counter)

    @property
    def heads(self) -> int:
        return len(self.places)

    def values(self, name: str) -> np.ndarray:
        """[N] float32: a number of the spec over the measured heads; empty if there is none."""
        return np.array(self.numbers.get(name, ()), np.float32)

    def counts(self, name: str) -> dict[str, int]:
        """How often each value of a text field occurs, the most frequent first."""
        return dict(self.words.get(name, Counter()).most_common())


def collect_facts(dataset: Dataset, done: Done = lambda _: None) -> DatasetFacts:
    """Walk over a dataset.

    Args:
        dataset: with at least one head.
        done: told the number of heads seen so far.

    Raises:
        RecordError: no heads are rendered yet.
        RecordCorrupt: a record is damaged.
        SchemaMismatch: the specs are of another version.
    """
    facts = DatasetFacts(imported=all(isinstance(s.config, ImportConfig) for s in dataset.sources))
    # imported heads, a choice of heads and heads of several configurations were drawn by none
    drawn = not (facts.imported or isinstance(dataset, Collection))
    draws = DrawCounter(dataset.config) if drawn else None
    every = -(-dataset.head_count() // MAX_MEASURED)
    for head in dataset.heads():
        spec, meta = head.spec_data, head.meta
        if not is_imported(spec):
            check_schema(spec)
        if draws is not None:
            draws.add(head.index, spec)
        _count(facts, head, spec, meta)
        if (facts.heads - 1) % every == 0:
            _measure(facts, head, spec, meta)
        done(facts.heads)
    if not facts.places:
        raise RecordError(f"{dataset.root}: no heads are rendered yet, nothing to report")
    facts.absent, facts.absent_for = absent_heads(dataset)
    if draws is not None:
        facts.comparisons = draws.comparisons()
    return facts


def spaced(items: Sequence, count: int) -> list:
    """At most `count` items at even distances, the first one first."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def judged_places(places: Sequence[HeadPlace], count: int) -> list[HeadPlace]:
    """The heads that judges look at: all, or of a large dataset about `count`, by a fixed rule.

    Identities at even distances, and of each up to `LOOKS_JUDGED` heads at even distances: enough
    pairs of one identity and of two.
    """
    if len(places) <= count:
        return list(places)
    people: dict[str, list[HeadPlace]] = defaultdict(list)
    for place in places:
        people[place.identity_id].append(place)
    looks = [spaced(heads, LOOKS_JUDGED) for heads in people.values()]
    mean = sum(map(len, looks)) / len(looks)
    return [place for heads in spaced(looks, max(1, round(count / mean))) for place in heads]


def open_head(place: HeadPlace) -> HeadRecord:
    """The record of a head that was counted."""
    heads = ShardReader(place.shard).heads()
    return next(head for head in heads if head.spec_id == place.spec_id)


Data = Mapping[str, Any]
"""JSON of a record as it stands: building a whole spec would take ten times as long."""


def _count(facts: DatasetFacts, head: HeadRecord, spec: Data, meta: Data) -> None:
    """What is counted over all heads."""
    person = spec["identity"]
    identity = person["identity_id"]
    facts.places.append(HeadPlace(head.spec_id, head.index, identity, head.shard))
    facts.splits[head.split] += 1
    if identity not in facts.identities:
        facts.identities.add(identity)
        if len(facts.people) < MAX_PEOPLE and is_ours(spec):
            facts.people.add(identity, person["phenotype"] | person["shape"])
    facts.ours += is_ours(spec)
    for name, value in _applied(spec):
        if isinstance(value, str):
            facts.words[name][value] += 1
    sizes = head.bytes_by_kind
    facts.bytes_by_kind.update(sizes)
    facts.views += head.view_count
    if not sizes.keys() <= {*facts.passes, "rgba", "records"}:
        facts.passes = tuple(sorted({*facts.passes, *sizes} - {"rgba", "records"}))
    facts.assets.update(AssetRef(**asset) for asset in spec.get("assets", ()))
    facts.versions.update(meta.get("versions", {}).items())
    facts.devices[meta.get("device", "not recorded")] += 1


def _measure(facts: DatasetFacts, head: HeadRecord, spec: Data, meta: Data) -> None:
    """What is kept of some heads."""
    facts.measured += 1
    for name, value in _applied(spec):
        if not isinstance(value, str):
            facts.numbers[name].append(value)
    if is_ours(spec):
        for action, value in spec["expression"]["actions"].items():
            if value > 0:
                facts.actions[action].append(value)
        hair, eyes = spec["hair"]["colour"], spec["eyes"]
        facts.colours["hair"][hair["name"]].append(hair["albedo"])
        facts.colours["iris"][eyes["iris_name"]].append(eyes["iris_light"])
    if len(facts.cameras) < MAX_CAMERAS:
        room = MAX_CAMERAS - len(facts.cameras)
        facts.cameras += [direction_deg(camera) for camera in head.cameras[:room]]
    for step, seconds in meta.get("timings_s", {}).items():
        facts.timings_s[step].append(seconds)


def _applied(spec: Data) -> Iterator[tuple[str, str | float]]:
    """The fields of a spec that decided its pictures."""
    applies = ("",) if is_ours(spec) else _OF_ANY_HEAD
    return ((name, value) for name, value in _fields(spec) if name.startswith(applies))


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
        yield prefix, NONE
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
