"""`Lifter`: one photo file to one result folder; holds the networks, one per process."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from pathlib import Path
from typing import Any

from infer import artifacts, film, preview
from infer.config import LiftConfig
from infer.photo import file_digest
from infer.ply import write_ply
from infer.predictor import Lifted, Predictor, Progress, no_progress
from infer.preprocess import PreparedPhoto, PreprocessConfig, Preprocessor
from infer.weights import WeightSet, load_weight_set
from synth.config import to_dict


def photo_settings(config: LiftConfig) -> dict[str, Any]:
    """The part of the configuration that changes what a photo becomes."""
    settings = to_dict(config)
    return {k: v for k, v in settings.items() if k not in ("device", "weights", "video")}


class Lifter:
    """Lifts photos into result folders.

    The networks are built when the first photo needs them, so that a second run over finished
    results reads the weights only to compare digests.

    Args:
        config: all that decides the result.
        weights: the models; None reads those that the configuration names.

    Raises:
        CheckpointError: there are no weights.
        DeviceError: the device is not there.
    """

    def __init__(self, config: LiftConfig, weights: WeightSet | None = None) -> None:
        self.config = config
        self.weights = weights or load_weight_set(config.weights)
        self._predictor: Predictor | None = None
        self._preprocessor: Preprocessor | None = None

    @property
    def predictor(self) -> Predictor:
        """The two models on their device, built on first use."""
        if self._predictor is None:
            self._predictor = Predictor(self.weights, self.config)
        return self._predictor

    @property
    def preprocessor(self) -> Preprocessor:
        """Face finder and matte at the size of the diffusion model, built on first use."""
        if self._preprocessor is None:
            size, face = self.predictor.size, self.config.min_face_px
            self._preprocessor = Preprocessor(PreprocessConfig(size=size, min_face_px=face))
        return self._preprocessor

    def key(self, input_digest: str, settings: dict[str, Any]) -> str:
        """Identity of the result of an input under these weights."""
        return artifacts.lift_key(input_digest, settings, self.weights.digests())

    def lift_photo(
        self,
        path: str | Path,
        folder: str | Path,
        *,
        overwrite: bool = False,
        progress: Progress = no_progress,
    ) -> bool:
        """Lift one photo into a folder; nothing is done if its result is there already.

        Args:
            path: of the photo.
            folder: of the result, see `infer.artifacts`; made if missing.
            overwrite: replace the result of another input, configuration or weights.
            progress: told what is being done.

        Returns:
            Whether there was work to do.

        Raises:
            InputError: the photo cannot be used; names the file.
            ConfigError: the folder holds another result and `overwrite` is False.
        """
        input_digest = file_digest(path)
        key = self.key(input_digest, photo_settings(self.config))
        if artifacts.is_done(folder, key, overwrite=overwrite):
            return False
        start = time.perf_counter()
        prepared = self.preprocessor.prepare(path)
        timings = {"prepare_s": time.perf_counter() - start}
        lifted = self.predictor.lift(prepared, progress)
        timings.update(lifted.timings)
        record = photo_record(key, self.config, self.weights, prepared, lifted)

        def write_files(temporary: Path) -> None:
            begin = time.perf_counter()
            preview.write_image(temporary / "input.png", prepared.on_white())
            preview.write_image(temporary / "input_rgba.png", prepared.rgba)
            preview.write_image(temporary / "views.png", preview.strip(list(lifted.views)))
            write_ply(temporary / "head.ply", lifted.gaussians)
            table = self.config.turntable
            progress("turntable", 0, 1)
            frames = preview.turntable(lifted.gaussians, table)
            film.write_mp4(temporary / "turntable.mp4", frames, table.fps)
            spin = frames[:: table.frames // table.spin_frames]
            sheet = preview.sprite_sheet(spin, table.spin_size_px, artifacts.SPIN_COLUMNS)
            preview.write_image(temporary / "spin.jpg", sheet)
            timings["preview_s"] = time.perf_counter() - begin
            timings["total_s"] = time.perf_counter() - start
            record["timings"] = {name: round(value, 4) for name, value in timings.items()}

        artifacts.publish(folder, write_files, record)
        return True


def photo_record(
    key: str, config: LiftConfig, weights: WeightSet, prepared: PreparedPhoto, lifted: Lifted
) -> dict[str, Any]:
    """The content of `lift.json` for a photo, without timings."""
    table = config.turntable
    return {
        "schema": artifacts.SCHEMA,
        "key": key,
        "kind": "photo",
        "input": {
            "path": prepared.photo_name,
            "sha256": prepared.photo_digest,
            "width": prepared.photo_width,
            "height": prepared.photo_height,
            "faces": prepared.face_count,
            "matte": prepared.matte_source,
            "roll_deg": round(prepared.roll_deg, 3),
            "crop_from_photo": prepared.crop_from_photo.tolist(),
        },
        "photo_camera": prepared.photo_camera().to_json(),
        "views": [camera.to_json() for camera in lifted.cameras],
        "gaussians": {"count": lifted.gaussians.count, "predicted": lifted.predicted_count},
        "spin": {
            "file": "spin.jpg",
            "frames": table.spin_frames,
            "columns": artifacts.SPIN_COLUMNS,
            "size_px": table.spin_size_px,
        },
        "config": to_dict(config),
        "weights": weights.record(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of what decides the numbers of a result."""
    packages = ("headloom", "torch", "diffusers", "mediapipe", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return found | {"python": platform.python_version(), "platform": sys.platform}
