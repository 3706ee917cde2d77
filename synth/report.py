"""Pictures of a dataset for people: the contact sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import imageio.v3 as iio
import numpy as np

from synth import storage
from synth.color import over, rgba8_from_float
from synth.dataset import Dataset
from synth.errors import RecordError
from synth.record import HeadRecord
from synth.resample import area_average
from synth.storage import Place

SIDE_VIEWS = ("right", "back", "left")
"""Shown small under the front view, as far as a head has them."""

MAX_CARDS = 200
"""Heads that fit on a sheet: about a gigabyte while it is drawn."""

_PAGE = 0.91
_CARD = 1.0
_LARGEST_FRONT_PX = 384


def contact_sheet(dataset: Dataset, path: Place, max_heads: int = 24) -> Place:
    """Write a sheet of the first heads: the front view on white, three sides small below it.

    Args:
        dataset: at least one head must be rendered.
        path: the PNG to write.
        max_heads: stop after this many heads.

    Returns:
        the path.

    Raises:
        RecordError: the dataset has no heads yet.
    """
    heads = list(islice(dataset.heads(), max_heads))
    if not heads:
        raise RecordError(f"{dataset.root}: no heads are rendered yet, so there is nothing to show")
    return sheet_of(heads, path)


def sheet_of(heads: Iterable[HeadRecord], path: Place) -> Place:
    """Write a sheet of some heads, at least one; see `contact_sheet`."""
    cards = [_card(head) for head in heads]
    sheet = _grid(cards, columns_for(len(cards)))
    with storage.write(path) as file:
        file.write(iio.imwrite("<bytes>", rgba8_from_float(sheet), extension=".png"))
    return path


def columns_for(count: int) -> int:
    """Columns of a sheet: rows that are full or nearly so, wider than high, at most eight."""
    choices = range(1, min(count, 8) + 1)

    def badness(columns: int) -> tuple[int, float]:
        rows = -(-count // columns)
        return rows * columns - count, abs(columns / rows - 2.0)

    return min(choices, key=lambda c: (badness(c)[0] + 1.5 * badness(c)[1], -c))


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite on white.

    Args:
        rgba: [H, W, 4] uint8, sRGB, straight alpha.

    Returns:
        [H, W, 3] float32 in [0, 1], sRGB.
    """
    return over(rgba, "white")


def _card(head: HeadRecord) -> np.ndarray:
    """[h, w, 3]: a large front view over a strip of small sides."""
    names = [camera.name for camera in head.cameras]
    front = names.index("front") if "front" in names else 0
    picture = on_white(head.rgba(front))
    size = min(picture.shape[0], _LARGEST_FRONT_PX)
    rows = [area_average(picture, size, size) if picture.shape[0] > size else picture]
    sides = [names.index(name) for name in SIDE_VIEWS if name in names]
    if sides:
        small = size // len(SIDE_VIEWS)
        strip = np.full((small, size, 3), _CARD)
        for place, view in enumerate(sides):
            strip[:, place * small : (place + 1) * small] = area_average(
                on_white(head.rgba(view)), small, small
            )
        rows.append(strip)
    return np.concatenate(rows)


def _grid(cards: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """White cards on a light page with even gaps."""
    height, width = np.max([card.shape[:2] for card in cards], axis=0)
    gap = max(4, width // 24)
    rows = -(-len(cards) // columns)
    sheet = np.full((gap + rows * (height + gap), gap + columns * (width + gap), 3), _PAGE)
    for number, card in enumerate(cards):
        top = gap + number // columns * (height + gap)
        left = gap + number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = _CARD
        sheet[top : top + card.shape[0], left : left + card.shape[1]] = card
    return sheet
