"""Two guards of the layout: which part may import which, and what `import flashworld` may not pull in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN_IN_LIBRARY = {"gradio", "spaces", "ui", "app", "aot"}
FOUNDATIONS = {"errors", "types", "config", "limits", "checks"}
ALLOWED = {
    "cameras": FOUNDATIONS,
    "raymaps": FOUNDATIONS | {"cameras"},
    "gaussians": FOUNDATIONS | {"cameras"},
    "trajectories": FOUNDATIONS | {"cameras", "presets", "keyframes"},
    "files": FOUNDATIONS | {"gaussians", "cameras", "files"},
    "rendering": FOUNDATIONS | {"gaussians", "cameras", "rendering"},
    "models": FOUNDATIONS | {"cameras", "raymaps", "gaussians", "models"},
}


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "flashworld":
                names |= {f"flashworld.{alias.name}" for alias in node.names}
    return names


def library_files() -> list[Path]:
    return sorted((ROOT / "flashworld").rglob("*.py"))


@pytest.mark.parametrize("path", library_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_library_imports_point_one_way(path: Path):
    modules = imported_modules(path)
    assert not {m.split(".")[0] for m in modules} & FORBIDDEN_IN_LIBRARY
    part = path.relative_to(ROOT / "flashworld").parts[0].removesuffix(".py")
    if part in ALLOWED:
        inside = {m.split(".")[1] for m in modules if m.startswith("flashworld.") and m.split(".")[1] != part}
        assert inside <= ALLOWED[part], f"{part} imports {sorted(inside - ALLOWED[part])}"


def test_page_does_not_import_torch_or_the_app():
    for path in (ROOT / "ui").rglob("*.py"):
        tops = {m.split(".")[0] for m in imported_modules(path)}
        assert not tops & {"torch", "app", "aot", "spaces"}, path


def test_import_flashworld_is_light():
    blocked = ("gsplat", "spaces", "gradio", "transformers", "diffusers", "torch")
    code = (
        "import sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "import flashworld\n"
        "print(flashworld.__version__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
