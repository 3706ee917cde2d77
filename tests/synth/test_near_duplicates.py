"""Near-duplicates among all heads: none is missed, whatever the fingerprints are like."""

from __future__ import annotations

import numpy as np
import pytest

from synth import near_duplicates
from synth.errors import InputError
from synth.near_duplicates import later_copies, near_pairs
from synth.quality import distance


def prints(count: int, seed: int = 0) -> np.ndarray:
    """[count, 256] uint8, as varied as pictures are: a few ways to differ, and noise."""
    rng = np.random.default_rng(seed)
    ways = rng.normal(size=(count, 20)) @ rng.normal(size=(20, 256)) * 8
    return (128 + ways + rng.normal(size=(count, 256))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("limit", [1.8, 30.0])
def test_pairs_are_those_of_comparing_all(limit, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_BLOCK", 16)
    monkeypatch.setattr(near_duplicates, "_WINDOW", 40)
    heads = prints(150)
    for copy, original in ((149, 3), (90, 3), (20, 140)):
        heads[copy] = heads[original] ^ 1
    texts = [head.tobytes().hex() for head in heads]
    expected = {
        (i, j): distance(texts[i], texts[j])
        for i in range(150)
        for j in range(i + 1, 150)
        if distance(texts[i], texts[j]) < limit
    }
    found = near_pairs(heads, limit)
    assert [pair[:2] for pair in found] == sorted(expected)
    assert [pair[2] for pair in found] == pytest.approx([expected[p[:2]] for p in found])
    assert {(3, 90), (3, 149), (20, 140)} <= {pair[:2] for pair in found}


def test_what_lies_on_the_limit_is_no_duplicate():
    heads = np.full((2, 256), 100, np.uint8)
    heads[1] += 2  # exactly 2 apart
    assert near_pairs(heads, 2.0) == [] and near_pairs(heads, 2.01) == [(0, 1, 2.0)]
    assert near_pairs(heads[:0], 2.0) == near_pairs(heads[:1], 2.0) == []


def test_the_first_of_a_group_is_kept():
    """As in a shard: a head is compared with those that are kept, so a chain breaks."""
    chain = [(0, 2, 1.0), (2, 5, 1.5), (5, 7, 1.1), (1, 7, 1.7)]
    assert later_copies(chain) == {2: (0, 1.0), 7: (1, 1.7)}


def test_a_copy_far_away_is_found_among_many():
    heads = prints(20_000)
    heads[19_999] = heads[5]
    assert [pair[:2] for pair in near_pairs(heads, 1.8)] == [(5, 19_999)]


def test_heads_that_all_look_alike_are_no_list(monkeypatch):
    monkeypatch.setattr(near_duplicates, "MAX_PAIRS", 1000)
    with pytest.raises(InputError, match=r"more than 1,000 pairs .* smaller --distance"):
        near_pairs(np.full((20_000, 256), 7, np.uint8), 1.8)
