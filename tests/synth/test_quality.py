"""Quality control: limits are kept to, near-duplicates found, and defaults let good heads pass."""

from __future__ import annotations

import re

import numpy as np
import pytest

from synth.camera import orbit
from synth.config import load_config
from synth.errors import ConfigError
from synth.quality import (
    Quality,
    QualityConfig,
    QualityControl,
    distance,
    fingerprint,
    front_view,
    measure,
)
from synth.sample import DatasetConfig

SIZE = 64
FRONT = orbit(-90.0, 0.0, size=SIZE, name="front")
BACK = orbit(90.0, 0.0, size=SIZE, name="back")


def head(seed=0, *, level=140, top=False, burnt_share=0.0) -> np.ndarray:
    """A disc of blocks, [SIZE, SIZE, 4] uint8."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(-30, 30, (8, 8)), np.ones((SIZE // 8, SIZE // 8), int))
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    inside = np.hypot(x - SIZE / 2, y - SIZE / 2) < 0.4 * SIZE
    if top:
        inside |= (np.abs(x - SIZE / 2) < 4) & (y < SIZE / 2)
    rgba[inside, :3] = np.clip(level + blocks, 0, 255)[inside, None]
    rgba[inside & (rng.random((SIZE, SIZE)) < burnt_share), 0] = 255
    rgba[inside, 3] = 255
    return rgba


def judged(picture, config=None, skin_pixels=1200) -> str | None:
    quality = measure([BACK, FRONT], [head(9), picture], {"exposure": {"skin_pixels": skin_pixels}})
    return QualityControl(config or QualityConfig()).judge("a", quality)


def test_a_good_head_passes():
    assert judged(head()) is None


@pytest.mark.parametrize(
    ("picture", "skin_pixels", "reason"),
    [
        (head(level=25), 1200, r"face_luminance 0\.0\d+ is not within 0.03 and 0.7"),
        (head(level=250), 1200, "face_luminance 0.[89]"),
        (head(burnt_share=0.2), 1200, r"burnt 0\.[12]\d+ is not within 0 and 0.05"),
        (head(top=True), 1200, "top_alpha 0.125 is not within 0 and 0.02"),
        (head(), 300, "skin 0.1875 is not within 0.25 and 1"),
    ],
)
def test_each_limit_is_kept_to_and_named(picture, skin_pixels, reason):
    assert re.search(reason, judged(picture, skin_pixels=skin_pixels))


def test_limits_come_from_the_configuration():
    assert judged(head(top=True), QualityConfig(max_top_alpha=0.2)) is None
    assert judged(head(), QualityConfig(face_luminance=(0.5, 0.7))) is not None


def test_what_was_not_measured_is_not_judged():
    quality = measure([BACK], [head(level=1)], {})
    assert quality == Quality()
    assert QualityControl(QualityConfig()).judge("a", quality) is None


def test_the_front_view_is_found_by_name_or_by_its_place():
    slanted = orbit(-100.0, 5.0, size=SIZE, name="ring0_000")
    assert front_view([BACK, slanted, FRONT]) == 2
    assert front_view([BACK, slanted]) == 1
    assert front_view([BACK]) is None


def test_the_later_of_two_heads_that_are_alike_is_rejected():
    control = QualityControl(QualityConfig())
    noisy = head(0).astype(int) + np.random.default_rng(5).integers(-3, 4, (SIZE, SIZE, 4))
    noisy = np.where(head(0)[..., 3:] > 0, noisy.clip(0, 255), 0).astype(np.uint8)
    verdicts = [
        control.judge(name, Quality(fingerprint=fingerprint(picture)))
        for name, picture in (("a", head(0)), ("b", head(1)), ("c", noisy), ("d", noisy))
    ]
    assert verdicts[:2] == [None, None]
    assert all("near-duplicate of head a: distance" in verdict for verdict in verdicts[2:])
    everything = QualityControl(QualityConfig(min_distance=0.0))
    assert [everything.judge(n, Quality(fingerprint="00" * 256)) for n in "ab"] == [None, None]


def test_a_head_that_was_rejected_stands_in_nobodys_way():
    control = QualityControl(QualityConfig())
    same = fingerprint(head())
    assert control.judge("a", Quality(burnt=0.9, fingerprint=same)).startswith("burnt")
    assert control.judge("b", Quality(fingerprint=same)) is None


def test_a_head_is_no_duplicate_of_itself():
    """Its first try may have failed after it was judged."""
    control = QualityControl(QualityConfig())
    quality = Quality(fingerprint=fingerprint(head()))
    assert [control.judge("a", quality), control.judge("a", quality)] == [None, None]


def test_a_fingerprint_is_what_the_documentation_says():
    """Frozen: fingerprints of old shards are compared with new ones."""
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:2, 2:4] = (255, 0, 0, 255)  # fills the second cell of the first row
    rgba[2:4, :1] = (0, 0, 0, 255)  # fills half of the first cell of the second row
    values = np.frombuffer(bytes.fromhex(fingerprint(rgba)), np.uint8).reshape(16, 16)
    assert (values[0, 1], values[1, 0]) == (54, 128)
    assert np.count_nonzero(values != 255) == 2
    assert distance("00" * 256, "10" * 256) == pytest.approx(16)
    assert fingerprint(rgba[:15]) is None


def test_the_configuration_is_checked():
    with pytest.raises(ConfigError, match=r"quality.*max_burnt: 2.0 is not a probability"):
        load_config(DatasetConfig, overrides=["quality.max_burnt=2"])
    with pytest.raises(ConfigError, match=r"min_distance: 300.0 is not in"):
        load_config(DatasetConfig, overrides=["quality.min_distance=300"])
    assert load_config(DatasetConfig, overrides=["quality=null"]).quality is None
