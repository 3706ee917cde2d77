"""The doctor names what is missing, and how to get it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from ray_jobs import doctor


def test_a_missing_library_becomes_an_apt_line(monkeypatch):
    def load(name):
        if name in ("libSM.so.6", "libXi.so.6"):
            raise OSError(name)

    monkeypatch.setattr(doctor.ctypes, "CDLL", load)
    check = doctor._libraries(doctor.SYSTEM_LIBRARIES)
    assert check.status == "failed" and check.detail.startswith("2 missing")
    assert check.remedy == "sudo apt-get install -y libsm6 libxi6"


def test_nothing_is_started_that_cannot_start(monkeypatch):
    monkeypatch.setattr(doctor, "missing_packages", lambda _: ["libgl1"])
    monkeypatch.setattr(doctor, "_probe", lambda *_: pytest.fail("a library is missing"))
    failed = [check.name for check in doctor.run_checks() if check.status == "failed"]
    assert failed == ["System libraries"]


def test_this_machine_passes_the_quick_checks():
    checks = doctor.run_checks(quick=True)
    assert [c.name for c in checks if c.status == "failed"] == []
    assert "Everything Headloom needs is here." in doctor.report(checks)


def test_a_probe_that_dies_is_reported_with_its_last_words():
    def run(*_, **__):
        return SimpleNamespace(returncode=-11, stdout="", stderr="ImportError: libGL.so.1\n")

    check = doctor._probe("Blender starts", "import bpy", "render", run)
    assert check.status == "failed" and check.detail == "ImportError: libGL.so.1"
    text = doctor.report([check])
    assert "FAIL  Blender starts" in text and "affected: render" in text


def test_a_probe_that_hangs_is_reported():
    def run(*_, **__):
        raise subprocess.TimeoutExpired("x", 1)

    assert doctor._probe("x", "", "render", run).status == "failed"


# what bpy 4.5 offers, see scripts/addons_core/cycles/properties.py
FAKE_BPY = """
from types import SimpleNamespace as N
class Preferences:
    devices = []
    def refresh_devices(self):
        self.devices = [N(type=kind, name=name) for kind, name in %s]
context = N(preferences=N(addons={"cycles": N(preferences=Preferences())}))
"""


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([("CPU", "EPYC"), ("CUDA", "L4"), ("OPTIX", "L4")], "CUDA L4, OPTIX L4"),
        ([("CPU", "EPYC")], "none, rendering on the CPU"),
    ],
)
def test_gpus_are_those_that_blender_finds(tmp_path, monkeypatch, found, text):
    (tmp_path / "bpy.py").write_text(FAKE_BPY % repr(found))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = doctor._probe("GPUs for rendering", doctor._GPU_PROBE, "render")
    assert (check.status, check.detail) == ("ok", text)


@pytest.mark.parametrize(
    ("vendor", "kind", "found", "status", "remedy"),
    [
        ("0x10de", "0x030200", "CUDA L4, OPTIX L4", "ok", ""),
        ("0x10de", "0x030000", "none, rendering on the CPU", "warning", "nvidia-smi"),
        ("0x10de", "0x030200", "CUDA L4", "warning", "graphics"),
        ("0x10de", "0x040300", "none, rendering on the CPU", "ok", ""),  # its sound
        ("0x1002", "0x030000", "none, rendering on the CPU", "ok", ""),  # in an AMD processor
    ],
)
def test_a_gpu_that_blender_cannot_use_is_a_note(tmp_path, vendor, kind, found, status, remedy):
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    check = doctor._gpus(doctor.Check("GPUs", "ok", found, "render"), tmp_path)
    assert check.status == status and remedy in check.remedy
    assert bool(check.remedy) == (status == "warning")


def test_a_driver_that_takes_blender_down_leaves_the_cpu(tmp_path):
    check = doctor._gpus(doctor.Check("GPUs", "failed", "exit code -11", "render"), tmp_path)
    assert check.status == "warning" and "--device CPU" in check.remedy


def test_a_missing_package_names_the_repair(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    check = doctor._package("bpy", "bpy", "render")
    assert check.status == "failed" and "make setup" in check.remedy


def test_the_wrong_python_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    assert doctor._python().status == "failed"


def test_a_missing_job_server_is_a_note(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    check = doctor._job_server()
    assert check.status == "warning" and "headloom[cluster]" in check.remedy
