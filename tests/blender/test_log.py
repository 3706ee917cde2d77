"""What Blender and Cycles print is told apart: memory, a device that fails, a missing file, a fault
of the scene, nothing at all. The texts are those of Cycles (strings of bpy 4.5), filled in."""

from __future__ import annotations

import pytest

from synth.blender_scenes.log import raise_reported
from synth.errors import AssetError, HeadloomError, RenderCrashed, RenderError

MEMORY = [
    "System is out of GPU memory",
    "System is out of GPU and shared host memory",
    "Error: System is out of GPU memory",
    "Malloc returns null: len=7186416 in CDMLoopUV, total 2145859048",
    "Calloc returns null: len=3190672 in face, total 2149293176",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "Failed allocate render result, out of memory",
    "Out of memory in cuStreamCreate(&cuda_stream_, CU_STREAM_NON_BLOCKING) (queue.cpp:21)",
    "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 61.2 MiB for an array",
    "GPU texture allocation failed: Raw handle is null",
    "Memory allocation failed.",
    "Error: Not enough memory to bake 4.",
]
DEVICE = [
    "Illegal address in CUDA queue copy_from_device (integrator_init integrator_shade_surface)",
    "Invalid value in cuMemcpy2DUnaligned_v2(&param) (intern/cycles/device/cuda/device_impl.cpp:9)",
    "Invalid context in cuCtxPopCurrent(NULL) (intern/cycles/device/cuda/util.cpp:31)",
    "Failed to load CUDA kernel from '/lib/kernel_sm_90.cubin.zst' (Invalid image)",
    "Failed to load OptiX kernel from '/lib/kernel_optix.ptx.zst' (OPTIX_ERROR_INTERNAL_ERROR)",
    "Failed to create OptiX denoiser",
    "No CUDA-capable device available",
    "OptiX initialization failed because the installed NVIDIA driver is too old.",
    "Failed to initialize HIP runtime (no ROCm-capable device is detected)",
    "Refer to the Cycles GPU rendering documentation for possible solutions:",
]
ASSET = [
    "IMB_load_image: cannot open image '/a/b.hdr'",
    "Could not load a.png",
    "File not found: texture wood.png",
    "Error: Cannot read file '/a/b.blend': No such file or directory",
]
SCENE = [
    'Error: Shader graph: out of SVM stack space, shader "skin" too big.',
    'Cycles: out of SVM stack space, shader "skin" too big.',
    "00:01 | Error something",
    "Error: can't write single images with a movie format!",
    "Failed to create texture. Maximum GPU texture size reached",
]
DISK = [
    'OpenEXR-writePixels: ERROR: Failed to write pixel data to image file "/tmp/view.exr".',
    "IMB_exr_begin_write: ERROR: Cannot open image file. No space left on device.",
    "Render error (No space left on device) cannot save: '/tmp/view.exr'",
]
NOTHING = [
    "Fra:1 Mem:20M (Peak 21M) | Time:00:00.12 | Mem:1M, Peak:1M | Rendering 1 / 2 samples",
    "Saved: '/tmp/view.exr'",
    "Warning: terror is not an error",
    "head 0123: 6 views, {'render_s': 1.0} s",
    "Using OptiX 8.0 on NVIDIA H200",
    "Denoiser: OptiX",
    "failed attempts at the hip of a trouser in current(fashion)",
]


def kind_of(text: str) -> type[HeadloomError | OSError] | None:
    try:
        raise_reported(text)
    except (HeadloomError, OSError) as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        *((line, RenderCrashed) for line in (*MEMORY, *DEVICE)),
        *((line, OSError) for line in DISK),
        *((line, AssetError) for line in ASSET),
        *((line, RenderError) for line in SCENE),
        *((line, None) for line in NOTHING),
    ],
)
def test_every_text_has_its_type(line, kind):
    assert kind_of(line) is kind


def test_what_weighs_most_is_told():
    """A texture that does not load for want of memory is not missing."""
    assert kind_of(f"{SCENE[0]}\n{ASSET[0]}\n{NOTHING[0]}\n{MEMORY[0]}") is RenderCrashed
