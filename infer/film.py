"""Films in and out: the ffmpeg that ships inside imageio-ffmpeg, spoken to through its pipes.

imageio's own wrapper leaves its pipes open until they are collected and loses what ffmpeg said
went wrong; both matter in a run over a thousand files.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np

from synth.config import sync_directory
from synth.errors import DeviceError, InputError

_REMEDY = "reinstall the encoder with: pip install --force-reinstall imageio-ffmpeg"


def ffmpeg_path() -> str:
    """The bundled ffmpeg program.

    Raises:
        DeviceError: it is missing; says what to install.
    """
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise DeviceError(f"ffmpeg is missing ({error}); {_REMEDY}") from error


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Encode a film that every browser and player opens: H.264, yuv420p.

    Args:
        path: of the `.mp4` file; it appears only when complete.
        frames: [H, W, 3] uint8 each, sRGB, all of one size, H and W even.
        fps: frames per second.

    Returns:
        How many frames were written.

    Raises:
        DeviceError: the encoder is missing or fails; says what to install.
        ValueError: no frames, an odd size, or frames of different sizes.
    """
    path, program = Path(path), ffmpeg_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp.mp4")
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"{path}: a film needs at least one frame")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"{path}: H.264 needs even sizes, got frames of {width} x {height}")
    # crf 18 cannot be told from the original; faststart lets a browser play while it loads;
    # bitexact leaves out dates and versions, so the same frames give the same bytes.
    command = [
        program, "-y", "-loglevel", "error",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}",
        "-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-threads", "1",
        "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact",
        str(temporary),
    ]  # fmt: skip
    try:
        count = _feed(command, path, first, iterator)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the house rule names os.replace
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _feed(command: list[str], path: Path, first: np.ndarray, rest: Iterator[np.ndarray]) -> int:
    count = 0
    with tempfile.TemporaryFile() as log:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log) as process:
            assert process.stdin is not None
            try:
                frame: np.ndarray | None = first
                while frame is not None:
                    if frame.shape != first.shape or frame.dtype != np.uint8:
                        raise ValueError(
                            f"{path}: frame {count} is {frame.dtype} {frame.shape}, the first "
                            f"is uint8 {first.shape}"
                        )
                    process.stdin.write(np.ascontiguousarray(frame).tobytes())
                    count += 1
                    frame = next(rest, None)
                process.stdin.close()
            except BrokenPipeError:
                pass  # ffmpeg gave up; its exit code and log say why
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise DeviceError(f"{path}: encoding H.264 failed: {_tail(log)}; {_REMEDY}")
    return count


def read_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Decode a video, frame by frame at its constant rate, upright.

    Args:
        path: any video that ffmpeg decodes.

    Yields:
        [H, W, 3] uint8, sRGB.

    Raises:
        InputError: not a video; names the file.
    """
    options = ["-fps_mode", "cfr", "-f", "image2pipe", "-c:v", "ppm"]
    with _decoder(path, options) as (stream, check):
        count = 0
        while (frame := _read_ppm(stream)) is not None:
            yield frame
            count += 1
        check(count)


def frames_per_second(path: str | Path) -> float:
    """Frame rate of a video.

    Raises:
        InputError: not a video; names the file.
    """
    with _decoder(path, ["-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe"]) as (
        stream,
        check,
    ):
        header = stream.readline().decode("ascii", "replace").split()
        stream.read()
        check(len(header))
    rates = [word[1:].split(":") for word in header if word[0] == "F"]
    numerator, denominator = (int(number) for number in rates[0])
    return numerator / denominator


@contextmanager
def _decoder(path: str | Path, options: list[str]) -> Iterator[tuple[IO[bytes], object]]:
    """ffmpeg's output, and a check to call at its end with the number of things read."""
    command = [
        ffmpeg_path(), "-loglevel", "error", "-nostdin", "-i", str(path), "-an", *options, "-",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)

        def check(count: int) -> None:
            if process.wait() != 0 or count == 0:
                raise InputError(
                    f"{path}: not a video that can be decoded: {_tail(log) or 'it has no frames'}"
                )

        try:
            assert process.stdout is not None
            yield process.stdout, check
        finally:  # also when the caller has seen enough frames
            process.stdout.close()
            process.kill()
            process.wait()


def _read_ppm(stream: IO[bytes]) -> np.ndarray | None:
    """One binary PPM picture (`P6`, width, height, 255, pixels), or None at the end."""
    if stream.readline() != b"P6\n":
        return None
    width, height = (int(word) for word in stream.readline().split())
    stream.readline()  # the largest value, 255
    data = stream.read(width * height * 3)
    if len(data) < width * height * 3:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return " ".join(line.strip() for line in lines[-2:])
