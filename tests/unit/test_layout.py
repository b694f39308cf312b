"""Rules of the layout: which package may import which, what is public, and what `import flashworld` may not pull in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN_IN_LIBRARY = {"gradio", "spaces", "ui", "app", "aot", "benchmarks"}
FOUNDATIONS = {"errors", "types", "config", "limits", "checks", "device", "progress"}
ALLOWED = {
    "cameras": FOUNDATIONS,
    "gaussians": FOUNDATIONS | {"cameras"},
    "trajectories": FOUNDATIONS | {"cameras", "io"},
    "inputs": FOUNDATIONS | {"cameras", "trajectories", "io"},
    "io": FOUNDATIONS | {"gaussians", "cameras", "trajectories", "inputs"},
    "kernels": FOUNDATIONS,
    "rendering": FOUNDATIONS | {"gaussians", "cameras", "kernels"},
    "models": FOUNDATIONS | {"cameras", "gaussians", "kernels"},
    "checkpoints": FOUNDATIONS | {"models", "nano"},
    "sampling": FOUNDATIONS | {"cameras", "gaussians", "models"},
    "result": FOUNDATIONS | {"cameras", "gaussians", "inputs", "io", "rendering", "trajectories"},
    "pipeline": FOUNDATIONS
    | {"cameras", "gaussians", "inputs", "checkpoints", "models", "rendering", "result", "sampling"},
}
"""Part of the library: the parts it may import. One not listed may import any."""
OPEN = {"flashworld", "ui"}
"""Packages all of whose modules may be imported from anywhere, as far as the rules below allow."""
TRAINING = "flashworld.nano.training"
INSIDES = (
    "torch._C", "torch._dynamo", "torch._inductor", "torch.export.pt2_archive", "gsplat.cuda", "spaces.config",
    "spaces.zero", "gradio.processing_utils", "gradio.queueing", "gradio.route_utils",
)  # fmt: skip
"""Private interfaces of other packages, which change without notice: each has one `*_compat` module, see test_compat."""

FOREACH = {"torch._foreach_lerp_"}
"""Underscored, but documented and used by optimizers everywhere."""


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def python_files(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files("flashworld"), ids=name_of)
def test_library_imports_point_one_way(path: Path):
    modules = imported_modules(path)
    assert not {m.split(".")[0] for m in modules} & FORBIDDEN_IN_LIBRARY
    part = path.relative_to(ROOT / "flashworld").parts[0].removesuffix(".py")
    if part in ALLOWED:
        parts = {p.stem for p in (ROOT / "flashworld").iterdir()}
        inside = {m.split(".")[1] for m in modules if m.startswith("flashworld.")} & parts - {part}
        assert inside <= ALLOWED[part], f"{part} imports {sorted(inside - ALLOWED[part])}"


@pytest.mark.parametrize("path", python_files("flashworld", "aot", "ui"), ids=name_of)
def test_training_is_imported_by_nothing_in_the_product(path: Path):
    if "training" not in path.parts:
        assert not [m for m in imported_modules(path) if m.startswith(TRAINING)]


@pytest.mark.parametrize("path", python_files("ui"), ids=name_of)
def test_page_does_not_import_torch_or_the_app(path: Path):
    tops = {m.split(".")[0] for m in imported_modules(path)}
    assert not tops & {"torch", "app", "aot", "spaces"}


@pytest.mark.parametrize("path", python_files("flashworld", "aot", "ui", "benchmarks"), ids=name_of)
def test_private_modules_and_names_stay_in_their_package(path: Path):
    home = ".".join(path.relative_to(ROOT).parts[:-1])
    for module in imported_modules(path):
        pieces = module.split(".")
        if pieces[0] in {"flashworld", "aot", "ui"}:
            private = next((i for i, p in enumerate(pieces) if p.startswith("_") and not p.startswith("__")), None)
            assert private is None or ".".join(pieces[:private]) == home, f"{module} is private"


@pytest.mark.parametrize("path", python_files("aot"), ids=name_of)
def test_compiling_imports_no_command_line_and_no_benchmark(path: Path):
    modules = imported_modules(path)
    assert not [m for m in modules if m.split(".")[0] == "benchmarks"]
    if "cli" not in path.parts and path.name != "__main__.py":
        assert not [m for m in modules if f"{m}.".startswith(("argparse.", "flashworld.cli.", "aot.cli."))]


@pytest.mark.parametrize("path", python_files("flashworld", "aot", "ui", "benchmarks"), ids=name_of)
def test_private_modules_of_other_packages_are_used_only_in_compat_modules(path: Path):
    if not path.stem.endswith("_compat"):
        assert not [m for m in imported_modules(path) if any(f"{m}.".startswith(f"{inside}.") for inside in INSIDES)]


@pytest.mark.parametrize("path", python_files("flashworld", "aot", "ui", "benchmarks"), ids=name_of)
def test_private_functions_of_torch_are_called_in_compat_modules(path: Path):
    if not path.stem.endswith("_compat"):
        used = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not [name for name in used if re.match(r"torch\._[a-z]", name) and name not in FOREACH]


def public_names(package: Path) -> set[str]:
    """What a package's `__init__` lists in `__all__`: names of its own and modules."""
    for node in ast.parse((package / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return {name.value for name in ast.walk(node.value) if isinstance(name, ast.Constant)}
    raise AssertionError(f"{name_of(package)}/__init__.py must say in __all__ what is public")


def is_module(dotted: str) -> bool:
    path = ROOT / dotted.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("path", python_files("flashworld", "aot", "ui", "benchmarks", "docs"), ids=name_of)
def test_only_public_modules_are_imported_from_outside_their_package(path: Path):
    home = ".".join(path.relative_to(ROOT).with_suffix("").parts) + "."
    for module in sorted(imported_modules(path)):
        pieces = module.split(".")
        if pieces[0] not in {"flashworld", "aot"} or not is_module(module):
            continue
        for end in range(1, len(pieces)):
            package = ".".join(pieces[:end])
            if package not in OPEN and not home.startswith(f"{package}."):
                public = public_names(ROOT / package.replace(".", "/"))
                assert pieces[end] in public, f"{module} is private: {package}/__init__.py does not list it in __all__"


@pytest.mark.parametrize(
    "path", [p.parent for p in python_files("flashworld", "aot") if p.name == "__init__.py"], ids=name_of
)
def test_public_names_of_packages_exist(path: Path):
    package = ".".join(path.relative_to(ROOT).parts)
    if package == "flashworld":  # resolved on first access, see test_import_flashworld_is_light
        return
    defined: set[str] = set()
    for node in ast.walk(ast.parse((path / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            defined |= {alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    missing = {name for name in public_names(path) if name not in defined and not is_module(f"{package}.{name}")}
    assert not missing


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
