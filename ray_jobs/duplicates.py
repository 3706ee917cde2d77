"""Heads of a whole dataset that look alike; quality control compares those of one shard only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_jobs.index import parquet_place
from ray_jobs.sampling import LISTED, Selection, table
from synth.errors import InputError
from synth.near_duplicates import later_copies, near_pairs
from synth.quality import FINGERPRINT_SIDE, QualityConfig
from synth.storage import Place

DISTANCE = QualityConfig.min_distance
"""As within a shard, unless told otherwise."""


@dataclass(frozen=True)
class Duplicates:
    """Heads that look like an earlier one; `str` prints them for a person.

    Attributes:
        rows: of each such head `LISTED`, `like` (index of the earlier one), `like_spec_id` and
            `distance`.
        rest: all other heads.
        without: heads without a fingerprint, which are not compared.
        distance: below which two heads are alike.
    """

    rows: tuple[Mapping[str, Any], ...]
    rest: Selection
    without: int
    distance: float

    def to_json(self) -> str:
        """One line for each head."""
        return "\n".join(map(json.dumps, self.rows))

    def __str__(self) -> str:
        lines = table(self.rows) if self.rows else []
        count = f"{len(self.rows)} of {self.rest.of} heads look like an earlier one"
        lines.append(f"{count} (distance below {self.distance:g})")
        if self.without:
            lines.append(f"without a fingerprint, so not compared: {self.without}")
        return "\n".join(lines)


def find_duplicates(index: Place, distance: float = DISTANCE) -> Duplicates:
    """Compare the fingerprints of all heads.

    Args:
        index: `index.parquet`.
        distance: see `synth.quality.distance`; noise of a render is 1 and more, another expression
            3 and more.

    Raises:
        InputError: no head has a fingerprint, or nearly all look alike.
    """
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(**parquet_place(index))
    prints, has_one = [], []
    for batch in file.iter_batches(columns=["fingerprint"]):
        texts = batch["fingerprint"].drop_null().to_pylist()
        known = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8)
        prints.append(known.reshape(-1, FINGERPRINT_SIDE**2))
        has_one.append(batch["fingerprint"].is_valid())
    compared = np.flatnonzero(np.concatenate(has_one))
    if not len(compared):
        raise InputError(
            f"{index.parent}: no head has a fingerprint; heads that were imported, or rendered "
            "with quality=null, have none"
        )
    copies = later_copies(near_pairs(np.concatenate(prints), distance))
    heads = file.read(columns=list(LISTED))
    rows = []
    for later, (earlier, apart) in sorted(copies.items()):
        head, like = (heads.slice(compared[i], 1).to_pylist()[0] for i in (later, earlier))
        like = {"like": like["index"], "like_spec_id": like["spec_id"]}
        rows.append(head | like | {"distance": round(apart, 3)})
    others = np.setdiff1d(np.arange(len(heads)), compared[list(copies)])
    rest = Selection(tuple(heads.take(others).to_pylist()), len(others), len(heads))
    return Duplicates(tuple(rows), rest, len(heads) - len(compared), distance)
