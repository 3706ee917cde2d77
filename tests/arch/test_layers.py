"""The layers of the design, enforced by parsing every import of the product."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STDLIB = frozenset(sys.stdlib_module_names)
L0_PACKAGES = {"numpy", "yaml", "imageio"}
L0 = "synth"


@dataclass(frozen=True)
class Layer:
    """What the files of one package may import, beside the standard library."""

    packages: frozenset[str]
    own: tuple[str, ...]
    top_level: frozenset[str] | None = None
    """Packages allowed at module level, where that is stricter than inside functions."""


# zstandard comes with bpy: a .blend is compressed with it
SCENES_PACKAGES = L0_PACKAGES | {"bpy", "bmesh", "mathutils", "scipy", "zstandard"}
SCENES = Layer(frozenset(SCENES_PACKAGES), ("synth",))
SYNTH = Layer(frozenset(L0_PACKAGES), ("synth",))
# object stores are reached through pyarrow, by one module, and only when a URL is given
STORAGE = Layer(frozenset(L0_PACKAGES | {"pyarrow"}), ("synth",), top_level=frozenset(L0_PACKAGES))
TRAIN_PACKAGES = L0_PACKAGES | {
    "torch", "diffusers", "gsplat", "numba", "safetensors", "matplotlib", "tqdm", "transformers",
}  # fmt: skip
TRAIN = Layer(frozenset(TRAIN_PACKAGES), ("synth", "train"))
INFER_PACKAGES = TRAIN_PACKAGES | {"dlib", "imageio_ffmpeg", "mediapipe", "PIL", "scipy"}
INFER = Layer(frozenset(INFER_PACKAGES), ("synth", "train", "infer"))
RAY = Layer(
    frozenset(INFER.packages | {"ray", "pyarrow", "aiohttp"}),
    ("synth", "train", "infer", "ray_jobs"),
    top_level=frozenset(L0_PACKAGES | {"tqdm"}),
)


def layer_of(path: Path) -> Layer:
    parts = path.relative_to(ROOT).parts
    if parts == ("synth", "storage.py"):
        return STORAGE
    if parts[0] == "synth":
        return SCENES if parts[1] == "blender_scenes" else SYNTH
    return {"train": TRAIN, "infer": INFER, "ray_jobs": RAY}[parts[0]]


def product_files() -> list[Path]:
    return sorted(
        path
        for package in ("synth", "train", "infer", "ray_jobs")
        for path in (ROOT / package).rglob("*.py")
    )


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """(module, line, at module level) of every import; type-checking blocks do not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[str, int, bool]] = []

    def visit(node: ast.AST, top: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: use absolute imports"
            modules = [node.module or ""]
            if node.module in ("synth", "train", "infer", "ray_jobs", "synth.blender_scenes"):
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend((module, node.lineno, top) for module in modules)
        elif isinstance(node, ast.Call) and node.args:
            called, what = ast.unparse(node.func), node.args[0]
            if called.split(".")[-1] in ("import_module", "__import__"):
                assert isinstance(what, ast.Constant), f"{path}:{node.lineno}: imports a variable"
                found.append((str(what.value), node.lineno, top))
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, top and not inside)

    visit(tree, True)
    return found


def violations(path: Path) -> list[str]:
    layer = layer_of(path)
    problems = []
    for module, line, top in imports(path):
        package = module.split(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}"
        if package in STDLIB:
            continue
        if package in ("synth", "train", "infer", "ray_jobs"):
            if package not in layer.own:
                problems.append(f"{where} imports {module}: not below this layer")
            elif module.startswith("synth.blender_scenes") and layer is not SCENES:
                problems.append(f"{where} imports {module}: Blender always runs as its own process")
            elif layer is RAY and top and package in ("train", "infer"):
                problems.append(f"{where} imports {module} at module level; import it where used")
        elif package not in layer.packages:
            problems.append(f"{where} imports {package}: not allowed in this layer")
        elif top and layer.top_level is not None and package not in layer.top_level:
            problems.append(
                f"{where} imports {package} at module level; import it where it is used"
            )
    return problems


@pytest.mark.parametrize("path", product_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_respect_the_layers(path):
    assert violations(path) == []


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("synth/spec.py", "import torch"),
        ("synth/spec.py", "from synth.blender_scenes import head"),
        ("synth/spec.py", "torch = importlib.import_module('torch')"),
        ("synth/spec.py", "def f():\n    return __import__('bpy').data"),
        ("synth/blender_scenes/head.py", "import torch"),
        ("train/loop.py", "def f():\n    import ray"),
        ("train/loop.py", "import infer.ply"),
        ("infer/ply.py", "import bpy"),
        ("synth/storage.py", "import pyarrow"),
        ("synth/dataset.py", "def f():\n    import pyarrow"),
        ("ray_jobs/cli.py", "import torch"),
        ("ray_jobs/cli.py", "from train import loop"),
        ("ray_jobs/cli.py", "def f():\n    import bpy"),
    ],
)
def test_the_check_finds_violations(monkeypatch, file, code):
    monkeypatch.setattr(Path, "read_text", lambda self, encoding=None: code)
    assert violations(ROOT / file)


def test_no_package_beside_the_agreed_ones():
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert packages == {"synth", "train", "infer", "ray_jobs"}
