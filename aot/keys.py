"""The keys of compiled graphs and of gsplat's wheel, which determine where they are valid.

A compiled graph holds machine code for one torch version, one GPU architecture, one set of weight names, shapes and dtypes and
one range of image sizes. All of it is in the key, together with a hash of the source it was traced from, so that a
graph made from other code is never found.
"""

from __future__ import annotations

import ast
import hashlib
import multiprocessing
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aot.spaces_compat import on_zero_gpu
from flashworld.errors import CompiledBlockError

HASH_CHARS = 12
"""48 bits: enough to tell a few thousand artifacts apart."""
FLOAT8_DTYPES = (torch.float8_e4m3fn, torch.float8_e5m2)
PRECISION_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32", torch.float64: "fp64"}

PROJECT = "flashworld"
SOURCE_PACKAGES = (PROJECT, "diffusers")
"""Packages whose plain objects inside a module affect its computation."""
UNHASHED_PACKAGES = ("torch", "builtins", "abc", "typing", "collections")
UNHASHED_MODULES = ("flashworld.errors", "flashworld.types")
"""torch's version is in the key; the others change nothing."""


@dataclass(frozen=True)
class ArtifactKey:
    """Everything a compiled graph depends on.

    Attributes:
        block: Name of the network in `Networks.modules`.
        torch: torch's version with its CUDA build, e.g. "2.11.0+cu130".
        arch: "sm_90", "sm_120", ... or "cpu_avx512".
        precision: "bf16", "fp8", "fp32".
        shapes: The sizes it serves, e.g. "f24_h480_w704" or "f2-32_h64-1024_w64-1024".
        source: Hash of the source files, the weights' layout and the compiler's options.
    """

    block: str
    torch: str
    arch: str
    precision: str
    shapes: str
    source: str

    @property
    def slug(self) -> str:
        """Folder name; safe in paths and URLs, unique per key."""
        return safe_name(
            f"{self.block}-torch{self.torch}-{self.arch}-{self.precision}-{self.shapes}-{self.source[:HASH_CHARS]}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"kind": "graph", **asdict(self)}


@dataclass(frozen=True)
class WheelKey:
    """Everything a binary gsplat wheel depends on.

    Attributes:
        gsplat: Its version.
        torch: torch's version with its CUDA build.
        python: "cp311".
        archs: "9.0;12.0", ascending.
    """

    gsplat: str
    torch: str
    python: str
    archs: str

    @property
    def slug(self) -> str:
        """Folder name; safe in paths and URLs, unique per key."""
        return safe_name(f"gsplat-{self.gsplat}-torch{self.torch}-{self.python}-sm{self.archs}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"kind": "gsplat", **asdict(self)}


Key = ArtifactKey | WheelKey


def parse_key(data: Mapping[str, Any]) -> Key:
    """Read a key's `as_dict`.

    Raises:
        CompiledBlockError: a field is missing, unknown or not a string.
    """
    fields = dict(data)
    maker = {"graph": ArtifactKey, "gsplat": WheelKey}.get(str(fields.pop("kind", None)))
    try:
        if maker is not None and all(isinstance(value, str) for value in fields.values()):
            return maker(**fields)
    except TypeError:
        pass
    raise CompiledBlockError(f"expected the key of a graph or of gsplat's wheel, got {dict(data)}")


def safe_name(text: str) -> str:
    """Letters, digits, dot, dash, plus and underscore; anything else becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9.+_-]", "_", text)


def device_arch(device: torch.device | str) -> str:
    """The architecture code is made for on this device."""
    if torch.device(device).type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"sm_{major}{minor}"
    return f"cpu_{torch.backends.cpu.get_cpu_capability().lower()}"


def device_is_emulated(device: torch.device | str) -> bool:
    """Whether this is ZeroGPU's main process, where "cuda" is emulated and the real GPU is only assumed."""
    return torch.device(device).type == "cuda" and on_zero_gpu() and multiprocessing.parent_process() is None


def python_tag() -> str:
    """The running interpreter's tag in wheel names."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def precision_of(module: nn.Module) -> str:
    """The precision of a network: fp8 if any weight is, else the most common floating dtype by bytes."""
    sizes: dict[torch.dtype, int] = {}
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.dtype in FLOAT8_DTYPES:
            return "fp8"
        if tensor.is_floating_point():
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
    commonest = max(sizes, key=lambda dtype: sizes[dtype], default=torch.float32)
    return PRECISION_NAMES.get(commonest, str(commonest).removeprefix("torch."))


def constants_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer by name, tied and non-persistent ones included: what a graph may bind."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def layout_of(tensor: torch.Tensor) -> list[Any]:
    """Shape, dtype and strides as plain data."""
    return [list(tensor.shape), str(tensor.dtype).removeprefix("torch."), list(tensor.stride())]


def source_hash(module: nn.Module, options: Iterable[str] = ()) -> str:
    """Hash of the source that a graph of `module` is traced from.

    Args:
        module: The network.
        options: Compiler settings, as text.

    Returns:
        SHA-256, hexadecimal. Comments on their own lines, blank lines and docstrings do not count.
    """
    digest = hashlib.sha256()
    for path_and_text in sorted((p.name, meaningful_source(p.read_text())) for p in module_sources(module)):
        digest.update(repr(path_and_text).encode())
    for name, tensor in sorted(constants_of(module).items()):
        digest.update(repr((name, layout_of(tensor))).encode())
    for option in options:
        digest.update(option.encode())
    return digest.hexdigest()


def module_sources(module: nn.Module) -> set[Path]:
    """Source files of a module tree: its classes and their bases, and the project's functions those files use.

    torch's own files are excluded. Dependencies of a file are the names it imports, followed from file to file.
    """
    objects: list[Any] = []
    for part in module.modules():
        helpers = [type(value) for value in vars(part).values()]  # attention processors and the like
        objects += [*type(part).__mro__, *(cls for cls in helpers if cls.__module__.split(".")[0] in SOURCE_PACKAGES)]
    files: set[Path] = set()
    while objects:
        home = sys.modules.get(getattr(objects.pop(), "__module__", None) or "")
        path = Path(getattr(home, "__file__", None) or "")
        if home is None or path in files or path.suffix != ".py" or _is_unhashed(home.__name__):
            continue
        files.add(path)
        if home.__name__.split(".")[0] == PROJECT:
            objects += [value for value in vars(home).values() if _is_ours(value)]
    return files


def _is_unhashed(name: str) -> bool:
    return name in UNHASHED_MODULES or name.split(".")[0] in UNHASHED_PACKAGES


def _is_ours(value: object) -> bool:
    """A function or class of this project, or a module of it."""
    home = getattr(value, "__module__", None)
    return isinstance(home, str) and home.split(".")[0] == PROJECT


def meaningful_source(text: str) -> str:
    """Source without docstrings, blank lines and lines that are only a comment."""
    skipped = {line for node in _docstrings(ast.parse(text)) for line in range(node.lineno, (node.end_lineno or 0) + 1)}
    lines = enumerate(text.splitlines(), start=1)
    return "\n".join(
        line.rstrip() for number, line in lines if number not in skipped and line.strip() and line.lstrip()[0] != "#"
    )


def _docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    """String statements anywhere: docstrings and the texts under constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node
