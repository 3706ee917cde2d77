"""A video, frame by frame: a sequence of splat files and a film beside the input.

Two things keep it steady: the crop follows landmarks smoothed over time, and every frame starts
from the same noise. A result folder holds

    frames/0000.ply ...   the Gaussians of each lifted frame; a frame with a PLY is finished
    frames/0000.png ...   its prepared input on white
    plan.json             the key and the crop of every frame; written first
    lifted.mp4            input and rendering side by side
    lift.json             written last
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy import ndimage

from infer import artifacts, film, preview
from infer.config import VideoConfig
from infer.faces import Face
from infer.framing import crop_from_face
from infer.photo import Photo, file_digest, photo_from_array
from infer.ply import read_ply, write_ply
from infer.predictor import Progress, no_progress
from infer.preprocess import Preprocessor
from synth.camera import orbit
from synth.config import atomic_write, to_dict
from synth.errors import ConfigError, InputError

if TYPE_CHECKING:
    from infer.lifter import Lifter

PLAN = "plan.json"


@dataclass(frozen=True, eq=False)
class Track:
    """The face through a video.

    Attributes:
        frame_indices: which frames of the file are lifted, [T].
        landmarks: [T, 478, 3] float64, smoothed, in pixels of the (reduced) frames.
        found: [T] bool, whether the face was seen in the frame itself; elsewhere the landmarks are
            interpolated between neighbours.
        fps: lifted frames per second of video.
    """

    frame_indices: tuple[int, ...]
    landmarks: np.ndarray
    found: np.ndarray
    fps: float


def read_frames(path: str | Path, config: VideoConfig) -> Iterator[tuple[int, Photo]]:
    """The frames of a video that are to be lifted, one after the other.

    Args:
        path: of the video.
        config: which frames.

    Yields:
        (index in the file, frame).

    Raises:
        InputError: not a video that ffmpeg can read; names the file.
    """
    count = 0
    for index, frame in enumerate(film.read_frames(path)):
        if config.max_frames is not None and count >= config.max_frames:
            return
        if index % config.every == 0:
            yield index, photo_from_array(frame, f"{path}, frame {index}")
            count += 1


def track_face(path: str | Path, preprocessor: Preprocessor, config: VideoConfig) -> Track:
    """Find the face in every frame and smooth its landmarks over time.

    Of several faces the most prominent of the first frame is followed: in each frame the one
    nearest to where it was.

    Raises:
        InputError: not a video, or no frame shows a face.
    """
    indices: list[int] = []
    seen: list[np.ndarray | None] = []
    last: Face | None = None
    for index, frame in read_frames(path, config):
        try:
            faces = preprocessor.find_faces(frame)
        except InputError:
            faces = []  # bridged from the neighbours below; all frames empty is an error
        if faces:
            last = faces[0] if last is None else min(faces, key=lambda f: _distance(f, last))
        indices.append(index)
        seen.append(last.landmarks if faces and last is not None else None)
    found = np.array([landmarks is not None for landmarks in seen])
    if not found.any():
        raise InputError(f"{path}: no face found in any of its {len(seen)} frames")
    fps = film.frames_per_second(path) / config.every
    landmarks = smooth_landmarks(_interpolate(seen, found), config.smoothing_s * fps)
    return Track(tuple(indices), landmarks, found, fps)


def _distance(face: Face, other: Face | None) -> float:
    assert other is not None
    return float(np.linalg.norm(face.landmarks.mean(0)[:2] - other.landmarks.mean(0)[:2]))


def _interpolate(seen: list[np.ndarray | None], found: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(found)
    values = np.stack([landmarks for landmarks in seen if landmarks is not None])
    times = np.arange(len(seen))
    after = np.clip(np.searchsorted(known, times), 0, len(known) - 1)
    before = np.clip(np.searchsorted(known, times, side="right") - 1, 0, len(known) - 1)
    span = np.maximum(known[after] - known[before], 1)
    weight = np.clip((times - known[before]) / span, 0.0, 1.0)[:, None, None]
    return values[before] * (1 - weight) + values[after] * weight


def smooth_landmarks(landmarks: np.ndarray, sigma_frames: float) -> np.ndarray:
    """Smooth landmarks over time with a Gaussian; 0 leaves them as they are.

    Args:
        landmarks: [T, 478, 3] float.
        sigma_frames: standard deviation in frames.
    """
    if sigma_frames <= 0:
        return landmarks
    return ndimage.gaussian_filter1d(landmarks, sigma_frames, axis=0, mode="nearest")


def video_settings(lifter: Lifter) -> dict[str, Any]:
    """The part of the configuration that changes what a video becomes."""
    settings = to_dict(lifter.config)
    return {name: value for name, value in settings.items() if name not in ("device", "weights")}


def lift_video(
    lifter: Lifter,
    path: str | Path,
    folder: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> bool:
    """Lift a video into a folder; a second call goes on where the first stopped.

    Args:
        lifter: holds the models.
        path: of the video.
        folder: of the result; made if missing.
        overwrite: replace the result of another input, configuration or weights.
        progress: told of every frame.

    Returns:
        Whether there was work to do.

    Raises:
        InputError: the video cannot be used; names it.
        ConfigError: the folder holds another result and `overwrite` is False.
    """
    path, folder = Path(path), Path(folder)
    input_digest = file_digest(path)
    key = lifter.key(input_digest, video_settings(lifter))
    if artifacts.is_done(folder, key, overwrite=overwrite):
        return False
    progress("face track", 0, 1)
    track = _plan(lifter, path, folder, key, overwrite)
    frames = folder / "frames"
    (folder / artifacts.RECORD).unlink(missing_ok=True)
    lifted = _lift_frames(lifter, path, track, frames, progress)
    progress("film", 0, 1)
    _write_film(lifter, track, frames, folder / "lifted.mp4")
    record = {
        "schema": artifacts.SCHEMA,
        "key": key,
        "kind": "video",
        "input": {"path": str(path), "sha256": input_digest, "fps": track.fps},
        "frames": len(track.frame_indices),
        "frames_without_face": [
            index for index, found in zip(track.frame_indices, track.found) if not found
        ],
        "frames_lifted_in_last_run": lifted,
        "config": to_dict(lifter.config),
        "weights": lifter.weights.record(),
    }
    artifacts.write_record(folder, record)
    return True


def _plan(lifter: Lifter, path: Path, folder: Path, key: str, overwrite: bool) -> Track:
    """The track of the video, from `plan.json` if an earlier run got that far."""
    file = folder / PLAN
    if file.is_file():
        plan = json.loads(file.read_text(encoding="utf-8"))
        if plan["key"] == key:
            landmarks = np.load(folder / "landmarks.npy")
            return Track(
                tuple(plan["frame_indices"]), landmarks, np.array(plan["found"]), plan["fps"]
            )
        if not overwrite:
            raise ConfigError(
                f"{folder} holds a video begun with key {plan['key'][:12]}, now it would be "
                f"{key[:12]} (another input, configuration or weights); choose another --out, or "
                "replace it with --overwrite"
            )
        file.unlink()
    for old in (folder / "frames").glob("*.p[ln][yg]"):  # of no plan, or of the one replaced
        old.unlink()
    track = track_face(path, lifter.preprocessor, lifter.config.video)
    with atomic_write(folder / "landmarks.npy") as output:
        np.save(output, track.landmarks)
    plan = {
        "key": key,
        "frame_indices": track.frame_indices,
        "found": track.found.tolist(),
        "fps": track.fps,
    }
    with atomic_write(file) as output:
        output.write(json.dumps(plan).encode())
    return track


def _lift_frames(lifter: Lifter, path: Path, track: Track, frames: Path, progress: Progress) -> int:
    """Lift every frame that has no PLY yet; returns how many were lifted."""
    lifted = 0
    if all((frames / f"{t:04d}.ply").is_file() for t in range(len(track.frame_indices))):
        return 0
    for t, (index, frame) in enumerate(read_frames(path, lifter.config.video)):
        if t >= len(track.frame_indices) or index != track.frame_indices[t]:
            raise InputError(f"{path}: it decodes to other frames than before; use --overwrite")
        progress("frames", t, len(track.frame_indices))
        splat = frames / f"{t:04d}.ply"
        if splat.is_file():
            continue
        face = Face(track.landmarks[t])
        prepared = lifter.preprocessor.crop(frame, face, crop_from_face(face.landmarks))
        preview.write_image(frames / f"{t:04d}.png", prepared.on_white())
        write_ply(splat, lifter.predictor.lift(prepared).gaussians)
        lifted += 1
    return lifted


def _write_film(lifter: Lifter, track: Track, frames: Path, path: Path) -> None:
    video, size = lifter.config.video, lifter.config.turntable.size_px

    def pictures() -> Iterator[np.ndarray]:
        for t in range(len(track.frame_indices)):
            phase = 2 * math.pi * t / (track.fps * video.sway_period_s)
            azimuth = -90.0 + video.sway_deg * math.sin(phase)
            camera = orbit(azimuth, 0.0, size=size)
            gaussians = read_ply(frames / f"{t:04d}.ply")
            rendering = next(iter(preview.render_views(gaussians, (camera,))))
            with Image.open(frames / f"{t:04d}.png") as picture:
                crop = picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
            yield np.concatenate([np.asarray(crop), rendering], axis=1)

    film.write_mp4(path, pictures(), track.fps)
