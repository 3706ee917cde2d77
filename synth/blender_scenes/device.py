"""Which device Cycles renders on: chosen by name, checked, never replaced by another one.

Imports no Blender: it is given Blender's preferences, so that the choice is tested without a GPU.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from synth.errors import DeviceError
from synth.launch import Device


def use_device(scene: Any, preferences: Any, device: Device) -> str:
    """Make Cycles render on `device` and nothing else.

    Args:
        scene: Blender's scene.
        preferences: those of the add-on `cycles` (Blender 4.5: `CyclesPreferences`).
        device: "CPU", or a kind of GPU; all GPUs of that kind that the process sees are used.

    Returns:
        The names of the devices, for `meta.json`.

    Raises:
        DeviceError: no such device on this machine, or this build of Blender cannot drive it.
    """
    if device == "CPU":
        scene.cycles.device = "CPU"
        return cpu_name()
    try:
        preferences.compute_device_type = device  # an enum of what this build can drive
    except TypeError as error:
        raise DeviceError(f"Blender cannot render on {device!r} here: {error}") from error
    preferences.refresh_devices()
    names = []
    for entry in preferences.devices:
        # Blender offers the CPU beside the GPUs; both together give pixels of neither.
        entry.use = entry.type == device
        if entry.use:
            names.append(entry.name)
    if not names:
        found = sorted({f"{entry.type} {entry.name}" for entry in preferences.devices})
        raise DeviceError(
            f"no {device} device for Cycles; Blender sees: {', '.join(found) or 'nothing'}. "
            "Check the driver and which GPUs the process may see, or render on the CPU"
        )
    scene.cycles.device = "GPU"
    # The list keeps devices that were there once; Cycles would fall back to the CPU in silence.
    if not preferences.has_active_device():
        raise DeviceError(f"Cycles lists {', '.join(names)} but none is active for {device}")
    return ", ".join(names)


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU as the kernel names it, for example "AMD EPYC 7R13 Processor"; or "CPU"."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    return match[1].strip() if match else "CPU"  # ARM kernels name none
