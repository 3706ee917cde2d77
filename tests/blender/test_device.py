"""Which device Cycles gets: chosen by kind, asserted, never replaced.

Blender's preferences are faked, after bpy 4.5 (scripts/addons_core/cycles/properties.py): no
machine has all of these GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import get_args

import pytest

from synth.blender_scenes.device import cpu_name, use_device
from synth.errors import DeviceError
from synth.launch import Device


@dataclass
class Entry:
    type: str
    name: str
    use: bool = True
    present: bool = True


@dataclass
class Preferences:
    """`CyclesPreferences`: an enum of drivable kinds, and a list that is filled by a refresh."""

    found: list[Entry]
    kinds: tuple[str, ...] = ("NONE", "CUDA", "OPTIX", "HIP", "ONEAPI")
    devices: list[Entry] = field(default_factory=list)
    _kind: str = "NONE"

    @property
    def compute_device_type(self) -> str:
        return self._kind

    @compute_device_type.setter
    def compute_device_type(self, kind: str) -> None:
        if kind not in self.kinds:
            raise TypeError(f'enum "{kind}" not found in {self.kinds}')
        self._kind = kind

    def refresh_devices(self) -> None:
        self.devices = self.found

    def has_active_device(self) -> bool:
        return any(e.use and e.present for e in self.devices if e.type == self._kind)


def machine() -> list[Entry]:
    """Two NVIDIA GPUs (each is listed as CUDA and as OptiX), and one of every other maker."""
    gpus = [Entry(kind, f"L4 {n}", use=False) for n in (0, 1) for kind in ("CUDA", "OPTIX")]
    return [*gpus, Entry("CPU", "EPYC"), Entry("HIP", "W7900"), Entry("ONEAPI", "Arc A770")]


@pytest.mark.parametrize(
    ("device", "name"),
    [("OPTIX", "L4 0, L4 1"), ("CUDA", "L4 0, L4 1"), ("HIP", "W7900"), ("ONEAPI", "Arc A770")],
)
def test_devices_of_the_kind_are_used_and_no_others(device, name):
    scene = SimpleNamespace(cycles=SimpleNamespace(device="CPU"))
    preferences = Preferences(machine())
    assert use_device(scene, preferences, device) == name
    assert scene.cycles.device == "GPU"
    assert preferences.compute_device_type == device
    assert {e.type for e in preferences.devices if e.use} == {device}  # and not the CPU beside it


def test_every_device_of_the_command_line_is_tested_above():
    assert set(get_args(Device)) == {"CPU", "OPTIX", "CUDA", "HIP", "ONEAPI"}


def test_the_cpu_starts_no_driver():
    scene = SimpleNamespace(cycles=SimpleNamespace(device="GPU"))
    assert use_device(scene, None, "CPU") == cpu_name()
    assert scene.cycles.device == "CPU"


@pytest.mark.parametrize(
    ("preferences", "message"),
    [
        (Preferences(machine(), kinds=("NONE", "CUDA")), "cannot render on 'HIP' here"),
        (Preferences([Entry("CPU", "EPYC")]), "no HIP device for Cycles; Blender sees: CPU EPYC"),
        (Preferences([]), "Blender sees: nothing"),
        (Preferences([Entry("HIP", "gone", present=False)]), "gone but none is active for HIP"),
    ],
)
def test_a_device_that_is_not_there_is_refused(preferences, message):
    scene = SimpleNamespace(cycles=SimpleNamespace(device="CPU"))
    with pytest.raises(DeviceError, match=message):
        use_device(scene, preferences, "HIP")


def test_a_cpu_without_a_name_is_a_cpu(tmp_path):
    (tmp_path / "x86").write_text("processor\t: 0\nmodel name\t: AMD EPYC 7R13 Processor\n")
    (tmp_path / "arm").write_text("processor\t: 0\nBogoMIPS\t: 243.75\n")
    assert cpu_name(tmp_path / "x86") == "AMD EPYC 7R13 Processor"
    assert cpu_name(tmp_path / "arm") == "CPU"
