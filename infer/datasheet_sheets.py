"""Draws the pictures of the datasheet from a dataset and what the judges said about it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from infer.datasheet_data import DatasetFacts, HeadPlace, open_head, spaced
from infer.datasheet_pictures import (
    Figure,
    Pictures,
    colourise,
    columns_of,
    cut_out,
    fit,
    front_view,
    mosaic,
    on_grey,
    portrait,
    tile,
    write_jpeg,
)
from infer.datasheet_weights import NONE, text_of
from infer.judges import Done
from infer.judges_identity import Pair
from infer.judges_landmarks import computed_landmarks, stored_landmarks
from infer.judges_verdicts import Failure, Judgement, LandmarkExample
from synth.headmodel import HeadModel
from synth.record import HeadRecord

MAX_FRONTS, MAX_COLUMNS = 48, 8
MAX_ROWS_OF_LOOKS = 6
MAX_FAILURES = 24
FRONT_PX, VIEW_PX, LOOK_PX, TILE_PX = 256, 160, 192, 320
HEADS_WITH_ALL_VIEWS, TRUTH_CANDIDATES = 3, 16

_TRUTH_COLOUR, _SEEN_COLOUR = (0.95, 0.35, 0.10), (0.10, 0.55, 0.95)


@dataclasses.dataclass(frozen=True)
class Artist:
    """Draws into a folder.

    Args:
        facts: where the heads lie.
        out: folder of the page.
        done: told after each picture file.
    """

    facts: DatasetFacts
    out: Path
    done: Done = lambda _: None

    def draw(self, judgement: Judgement | None) -> Pictures:
        """All pictures; those about judges need a judgement."""
        fronts = spaced(self.facts.places, MAX_FRONTS)
        pictures = Pictures(
            fronts=self._fronts(fronts),
            shown=len(fronts),
            views=tuple(map(self._all_views, spaced(self.facts.places, HEADS_WITH_ALL_VIEWS))),
            looks=self._looks(),
            passes=tuple(self._passes()),
        )
        if judgement is None:
            return pictures
        identity = judgement.identity
        return dataclasses.replace(
            pictures,
            landmarks=tuple(map(self._landmarks, judgement.examples)),
            failures=tuple(map(self._failure, judgement.failures[:MAX_FAILURES])),
            look_alikes=self._pairs("alike", identity.look_alikes if identity else ()),
            strangers=self._pairs("strange", identity.strangers if identity else ()),
        )

    def _find(self, spec_id: str) -> HeadRecord:
        return open_head(next(p for p in self.facts.places if p.spec_id == spec_id))

    def _write(self, name: str, image: np.ndarray, caption: str = "") -> Figure:
        write_jpeg(self.out / name, image)
        self.done(1)
        return Figure(name, caption)

    def _fronts(self, places: Sequence[HeadPlace]) -> Figure:
        tiles = [portrait(open_head(place), FRONT_PX) for place in places]
        return self._write("fronts.jpg", mosaic(tiles, columns_of(len(tiles), MAX_COLUMNS)))

    def _all_views(self, place: HeadPlace) -> Figure:
        head = open_head(place)
        tiles = [tile(head, view, VIEW_PX) for view in range(head.view_count)]
        sheet = mosaic(tiles, columns_of(len(tiles), MAX_COLUMNS))
        return self._write(f"views/{place.index:06d}.jpg", sheet)

    def _looks(self) -> tuple[Figure, ...]:
        """A row of several looks for each of some identities; none if each has one look."""
        looks: dict[str, list[HeadPlace]] = defaultdict(list)
        for place in self.facts.places:
            looks[place.identity_id].append(place)
        several = [places[:MAX_COLUMNS] for places in looks.values() if len(places) > 1]
        figures = []
        for number, row in enumerate(spaced(several, MAX_ROWS_OF_LOOKS)):
            tiles = [portrait(open_head(place), LOOK_PX) for place in row]
            sheet = mosaic(tiles, columns_of(len(tiles), MAX_COLUMNS))
            figures.append(self._write(f"looks/{number}.jpg", sheet))
        return tuple(figures)

    def _passes(self) -> list[Figure]:
        """The front view of one head in every pass, beside its picture.

        It is the first that wears glasses or a hat, of `TRUTH_CANDIDATES` at even distances: on a
        bare head the passes under them show nothing new.
        """
        if not self.facts.passes:
            return []
        heads = [open_head(place) for place in spaced(self.facts.places, TRUTH_CANDIDATES)]
        head = next(filter(_is_covered, heads), heads[0])
        view = front_view(head)
        alpha = head.rgba(view)[..., 3] / 255.0
        figures = [self._write("passes/rgba.jpg", tile(head, view, TILE_PX), "picture")]
        for name in head.passes:
            picture = colourise(name, head.pass_image(name, view), alpha)
            caption = name.replace("_", " ")
            figures.append(self._write(f"passes/{name}.jpg", fit(picture, TILE_PX), caption))
        return figures

    def _landmarks(self, example: LandmarkExample) -> Figure:
        """The face with true landmarks and those of mediapipe."""
        head = self._find(example.spec_id)
        view = front_view(head)
        camera = head.cameras[view]
        truth = stored_landmarks(head) or computed_landmarks(head.spec, HeadModel.load())
        pixels, _ = camera.project(truth.points)
        unit_px = truth.eye_distance_px(camera)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        middle, reach = (low + high) / 2, 0.68 * float((high - low).max())
        scale = TILE_PX / (2 * reach)
        picture = cut_out(on_grey(head.rgba(view)), middle, reach, TILE_PX)
        for name, pixel in zip(truth.names, pixels):
            place = (pixel - middle + reach) * scale
            if name in example.offsets:
                seen = place + np.array(example.offsets[name]) * unit_px * scale
                _dot(picture, seen, 2.0, _SEEN_COLOUR)
            _dot(picture, place, 2.0, _TRUTH_COLOUR)
        caption = f"{example.rank}: {100 * example.error:.1f} % (head {head.index})"
        name = example.rank.partition(" ")[0]
        return self._write(f"landmarks/{name}.jpg", picture, caption)

    def _failure(self, failure: Failure) -> Figure:
        head = self._find(failure.spec_id)
        name = f"failures/{failure.index:06d}_{failure.judge}_{failure.view:03d}.jpg"
        caption = f"head {failure.index}: {failure.reason}"
        return self._write(name, tile(head, failure.view, TILE_PX), caption)

    def _pairs(self, name: str, pairs: Sequence[Pair]) -> tuple[Figure, ...]:
        figures = []
        for number, pair in enumerate(pairs):
            heads = [self._find(pair.first), self._find(pair.second)]
            tiles = [portrait(head, FRONT_PX) for head in heads]
            caption = f"{pair.distance:.2f}: " + " and ".join(
                f"head {head.index} ({head.split})" for head in heads
            )
            figures.append(self._write(f"pairs/{name}_{number}.jpg", mosaic(tiles, 2), caption))
        return tuple(figures)


def _is_covered(head: HeadRecord) -> bool:
    parts = ("accessories.glasses", "accessories.headwear")
    return any(text_of(head.spec_data, part) != NONE for part in parts)


def _dot(picture: np.ndarray, place: np.ndarray, radius: float, colour: Sequence[float]) -> None:
    """Paint a soft disc at (x, y) pixels."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    cover = np.clip(radius + 0.5 - np.hypot(x - place[0], y - place[1]), 0, 1)[..., None]
    picture[:] = picture * (1 - cover) + np.array(colour, np.float32) * cover
