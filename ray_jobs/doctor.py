"""`headloom doctor`: what works on this machine, what does not, and the remedy.

Every check is cheap and changes nothing. Packages that could take the interpreter down
(Blender with a missing system library, for one) are tried in a process of their own.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Status = Literal["ok", "warning", "failed"]
Stage = Literal["setup", "render", "train", "lift", "cluster"]

SYSTEM_LIBRARIES: dict[str, str] = {
    "libGL.so.1": "libgl1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libXrender.so.1": "libxrender1",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
"""Shared libraries that a bare Debian lacks, with their package: what the wheel of bpy links
against, and the last one for OpenCV, which mediapipe brings along."""

_PROBE_SECONDS = 120


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was looked at.
        status: "ok", "warning" (works, with a limit) or "failed".
        detail: what was found.
        stage: the part of Headloom that needs it.
        remedy: what to do; empty when nothing is needed.
    """

    name: str
    status: Status
    detail: str
    stage: Stage
    remedy: str = ""


def run_checks(*, quick: bool = False) -> list[Check]:
    """Run all checks, the ones that others depend on first.

    Args:
        quick: skip those that start another process (Blender, mediapipe).
    """
    checks = [_python(), _hardware(), _disk()]
    libraries = _libraries(SYSTEM_LIBRARIES)
    checks += [libraries]
    checks += [_package(*row) for row in _PACKAGES]
    checks += [_torch_device(), _job_server()]
    if not quick and libraries.status == "ok":  # without them the probes say less, less clearly
        checks += [_probe(*row) for row in _PROBES]
        checks += [_gpus(_probe("GPUs for rendering", _GPU_PROBE, "render"))]
    return checks


def report(checks: Iterable[Check]) -> str:
    """The checks as an aligned table, with a closing line."""
    checks = list(checks)
    marks = {"ok": "ok  ", "warning": "note", "failed": "FAIL"}
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{marks[check.status]}  {check.name:<{width}}  {check.detail}")
        if check.remedy:
            lines.append(f"{'':<{width + 8}}-> {check.remedy}")
    failed = [check for check in checks if check.status == "failed"]
    if failed:
        stages = ", ".join(sorted({check.stage for check in failed}))
        lines.append(f"\n{len(failed)} problem(s); affected: {stages}.")
    else:
        lines.append("\nEverything Headloom needs is here.")
    return "\n".join(lines)


def missing_packages(libraries: dict[str, str]) -> list[str]:
    """Debian packages of those shared libraries (name -> package) that cannot be loaded."""
    missing = []
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        return Check("Python", "ok", version, "setup")
    remedy = "install Python 3.11 and make the environment with it: bpy 4.5 has no other wheel"
    return Check("Python", "failed", version, "setup", remedy)


def _hardware() -> Check:
    cores = len(os.sched_getaffinity(0))
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    detail = f"{cores} cores, {gibibytes:.0f} GiB of memory"
    if gibibytes < 4:
        remedy = "a render worker takes about 1.6 GiB; render with --workers 1"
        return Check("Machine", "warning", detail, "render", remedy)
    return Check("Machine", "ok", detail, "setup")


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    remedy = "" if free > 5 else "free some space: the environment takes 5 GiB, a head 1-20 MB"
    return Check(
        "Disk", "warning" if remedy else "ok", f"{free:.0f} GiB free here", "setup", remedy
    )


def _libraries(libraries: dict[str, str]) -> Check:
    missing = missing_packages(libraries)
    if not missing:
        return Check("System libraries", "ok", "all found", "render")
    remedy = f"sudo apt-get install -y {' '.join(missing)}"
    detail = f"{len(missing)} missing, without which neither Blender nor the face models start"
    return Check("System libraries", "failed", detail, "render", remedy)


_PACKAGES: tuple[tuple[str, str, Stage], ...] = (
    ("bpy", "bpy", "render"),
    ("anny", "anny", "render"),
    ("ray", "ray", "cluster"),
    ("torch", "torch", "train"),
    ("diffusers", "diffusers", "train"),
    ("gsplat", "gsplat", "train"),
    ("numba", "numba", "train"),
    ("mediapipe", "mediapipe", "lift"),
    ("imageio-ffmpeg", "imageio_ffmpeg", "lift"),
)


def _package(distribution: str, module: str, stage: Stage) -> Check:
    if importlib.util.find_spec(module) is None:
        remedy = "run `make setup` (or pip install -c constraints.txt -e .)"
        return Check(distribution, "failed", "not installed", stage, remedy)
    return Check(distribution, "ok", importlib.metadata.version(distribution), stage)


def _torch_device() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check(
            "Device for training", "failed", "torch is not installed", "train", "make setup"
        )
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Check("Device for training", "ok", f"CUDA: {names}", "train")
    detail = "CPU (no CUDA device is visible): the tiny and mini presets"
    return Check("Device for training", "ok", detail, "train")


def _job_server() -> Check:
    """What `headloom submit` and the dashboard need beyond Ray's core."""
    if importlib.util.find_spec("aiohttp") and importlib.util.find_spec("opencensus"):
        return Check("Ray's dashboard and jobs", "ok", "installed", "cluster")
    remedy = "for headloom submit and a cluster's head node: pip install 'headloom[cluster]'"
    return Check("Ray's dashboard and jobs", "warning", "not installed", "cluster", remedy)


_BLENDER_PROBE = """
import bpy, os
bpy.context.scene.render.engine = "CYCLES"
print("Blender", bpy.app.version_string, "with Cycles", flush=True)
os._exit(0)
"""
_GPU_PROBE = """
import bpy, os
preferences = bpy.context.preferences.addons["cycles"].preferences
preferences.refresh_devices()  # loads every driver there is
gpus = [f"{d.type} {d.name}" for d in preferences.devices if d.type != "CPU"]
print(", ".join(gpus) or "none, rendering on the CPU", flush=True)
os._exit(0)
"""
_FACE_PROBE = """
import mediapipe
import pathlib
root = pathlib.Path(mediapipe.__file__).parent / "modules"
models = ["face_landmark/face_landmark_with_attention.tflite",
          "selfie_segmentation/selfie_segmentation.tflite"]
missing = [m for m in models if not (root / m).is_file()]
assert not missing, f"models are missing from the wheel: {missing}"
print("face landmarks and matte, models in the wheel")
"""
_VIDEO_PROBE = """
import imageio_ffmpeg, subprocess
out = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-encoders"],
                     capture_output=True, text=True, check=True).stdout
assert "libx264" in out, "the bundled ffmpeg has no libx264"
print("ffmpeg with libx264")
"""
_PROBES: tuple[tuple[str, str, Stage], ...] = (
    ("Blender starts", _BLENDER_PROBE, "render"),
    ("Face models", _FACE_PROBE, "lift"),
    ("Video encoder", _VIDEO_PROBE, "lift"),
)


def _gpus(found: Check, pci: Path = Path("/sys/bus/pci/devices")) -> Check:
    """What Cycles found, against the NVIDIA GPUs on the bus; none is needed."""
    if found.status == "failed":
        remedy = "its driver takes Blender down: mend or remove it; --device CPU is not affected"
        return replace(found, status="warning", remedy=remedy)
    on_bus = any(
        (device / "vendor").read_text().strip() == "0x10de"
        and (device / "class").read_text().startswith("0x03")  # a display controller
        for device in pci.glob("*")
    )
    if on_bus and "OPTIX" not in found.detail:
        remedy = (
            "there is an NVIDIA GPU without OptiX: nvidia-smi tells whether its driver works; a "
            "container needs NVIDIA's toolkit, with graphics among NVIDIA_DRIVER_CAPABILITIES"
        )
        return replace(found, status="warning", remedy=remedy)
    return found


def _probe(
    name: str, code: str, stage: Stage, run: Callable[..., object] = subprocess.run
) -> Check:
    """Run a few lines in another interpreter; the last line it prints is the detail."""
    try:
        result = run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        remedy = "try again on an idle machine"
        return Check(name, "failed", f"no answer in {_PROBE_SECONDS} s", stage, remedy)
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    if result.returncode == 0 and lines:
        return Check(name, "ok", lines[-1], stage)
    errors = [line for line in result.stderr.splitlines() if line.strip()]
    detail = errors[-1] if errors else f"exit code {result.returncode}"
    remedy = "install what the message names; `make setup` repairs the Python packages"
    return Check(name, "failed", detail, stage, remedy)
