"""Compile a graph: capture one real call, export it, compile it, and describe its arguments for the guard.

Nothing here writes files: a `CompiledPackage` is plain data, because on ZeroGPU it is made in a worker process and
stored by the main one. It contains no weights; they are bound by name where the graph is used.
"""

from __future__ import annotations

import inspect
import logging
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from aot.artifacts import CONSTANTS_NAME, PACKAGE_NAME, Artifact, ArtifactStore
from aot.blocks import BlockPlan
from aot.compiler import Compiler, choose_compiler
from aot.keys import ArtifactKey, constants_of, device_arch, layout_of, precision_of, source_hash
from aot.shapes import CallSpec, SizeRange, call_spec
from flashworld.errors import CompiledBlockError

logger = logging.getLogger(__name__)

DEFAULT_INDUCTOR: Mapping[str, Any] = {}
"""torch's own settings: the shortest compile time."""
TUNED_INDUCTOR: Mapping[str, Any] = {
    "max_autotune": True,
    "coordinate_descent_tuning": True,
    "conv_1x1_as_mm": True,
}
"""Benchmarks several kernels for every matrix multiplication and convolution, which takes many minutes."""
FUSED_INDUCTOR: Mapping[str, Any] = {"coordinate_descent_tuning": True}
"""Benchmarks the launch parameters of inductor's own kernels only."""
INDUCTOR_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "default": DEFAULT_INDUCTOR, "fused": FUSED_INDUCTOR, "tuned": TUNED_INDUCTOR,
}  # fmt: skip
LAYOUTS_KEPT: Mapping[str, Any] = {"layout_optimization": False, "comprehensive_padding": False}
"""For graphs for one size. Where shapes are fixed, inductor by default changes the memory layouts of convolutions on a GPU, after
this project's kernels have been traced for the layouts of the eager network; where they are dynamic it does not."""

ATTENTION_BACKENDS: Mapping[str, tuple[SDPBackend, ...]] = {
    "auto": (),
    "cudnn": (SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH),
    "flash": (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH),
}
"""The kernel is fixed at compile time. Later entries of a list are for layers that the first does not support."""
MAX_EXTRA_BYTES = 2**20
"""Tensors that are neither parameter nor buffer are packed with the graph; more bytes than this indicate a mistake."""
ATTENTION_OP = re.compile(r"aoti_torch_\w+?_(scaled_dot_product_\w+)\(")


@dataclass(frozen=True)
class CompileOptions:
    """Options that change the machine code, and therefore the key.

    Attributes:
        inductor: Name in `INDUCTOR_CONFIGS`.
        attention: Name in `ATTENTION_BACKENDS`.
    """

    inductor: str = "default"
    attention: str = "auto"

    def __post_init__(self) -> None:
        for value, choices in ((self.inductor, INDUCTOR_CONFIGS), (self.attention, ATTENTION_BACKENDS)):
            if value not in choices:
                raise CompiledBlockError(f"expected one of {', '.join(choices)}, got {value!r}")

    def attention_context(self) -> AbstractContextManager[Any]:
        """The context of both export and compilation."""
        backends = list(ATTENTION_BACKENDS[self.attention])
        return sdpa_kernel(backends, set_priority=True) if backends else nullcontext()

    def inductor_settings(self, sizes: SizeRange) -> dict[str, Any]:
        """Inductor's settings for a graph of these sizes."""
        return {**INDUCTOR_CONFIGS[self.inductor], **({} if sizes.varies else LAYOUTS_KEPT)}

    def as_text(self, sizes: SizeRange) -> list[str]:
        """The settings themselves, not their names, for the key's hash."""
        inductor = sorted(self.inductor_settings(sizes).items())
        return [f"inductor {inductor}", f"attention {[b.name for b in ATTENTION_BACKENDS[self.attention]]}"]


@dataclass(frozen=True)
class CompiledPackage:
    """A compiled graph as plain data.

    Attributes:
        key: Its key.
        files: Contents by file name: the package and, if there are any, extra constants.
        metadata: How it is called and how it was compiled.
    """

    key: ArtifactKey
    files: Mapping[str, bytes]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def save(self, store: ArtifactStore) -> Artifact:
        """Write it to a store.

        Raises:
            CompiledBlockError: the store cannot be written.
        """
        return store.save(self.key, self.files, self.metadata)


def key_for(plan: BlockPlan, options: CompileOptions = CompileOptions()) -> ArtifactKey:
    """The key of the graph this plan gives on the plan's device."""
    device = next(plan.module.parameters()).device
    return ArtifactKey(
        block=plan.name,
        torch=torch.__version__,
        arch=device_arch(device),
        precision=precision_of(plan.module),
        shapes=plan.sizes.label,
        source=source_hash(plan.module, [*options.as_text(plan.sizes), f"limit {plan.sizes.max_pixels}"]),
    )


def compile_plan(
    plan: BlockPlan, options: CompileOptions = CompileOptions(), compiler: Compiler | None = None
) -> CompiledPackage:
    """Capture, export and compile one network, on the device where it is.

    Args:
        plan: What to capture.
        options: How to compile.
        compiler: Compiler of the C++ code around the kernels; None chooses one.

    Raises:
        CompiledBlockError: nothing was captured, autocast is on, a tensor of the graph has no name, a size range
            does not hold for the network, or there is no usable compiler.
    """
    compiler = compiler or choose_compiler()
    started = time.perf_counter()
    arguments = capture(plan.module, plan.example)
    spec = call_spec(arguments, plan.axes, budget=plan.budget, budget_limit=plan.sizes.max_pixels)
    with options.attention_context():
        exported = export(plan.module, arguments, spec)
        exported_at = time.perf_counter()
        compiled = compile_exported(exported, {**options.inductor_settings(plan.sizes), **compiler.inductor})
    finished = time.perf_counter()
    package = compiled.archive_file.getvalue()
    constants, extras = split_constants(compiled.weights.constants_map, constants_of(plan.module))
    metadata = {
        "inputs": spec.to_json(),
        "constants": constants,
        "extras": sorted(extras),
        "batch_argument": plan.batch_argument,
        "options": options.as_text(plan.sizes),
        "compiler": str(compiler),
        "attention": attention_ops(package),
        "seconds": {"export": round(exported_at - started, 2), "compile": round(finished - exported_at, 2)},
        "made_on": torch.cuda.get_device_name() if "sm_" in device_arch(plan_device(plan)) else "cpu",
    }
    files = {PACKAGE_NAME: package} | ({CONSTANTS_NAME: pack_constants(extras)} if extras else {})
    logger.info("%s compiled in %.0f s, %.1f MB", plan.name, finished - started, len(package) / 1e6)
    return CompiledPackage(key_for(plan, options), files, metadata)


def plan_device(plan: BlockPlan) -> torch.device:
    """Where the plan's network is."""
    return next(plan.module.parameters()).device


def capture(module: nn.Module, example: Callable[[], object]) -> dict[str, Any]:
    """The arguments, by name and contiguous, of the first call of `module` that `example` makes.

    Raises:
        CompiledBlockError: it made none (or caught the exception that carries them), or autocast was on: the graph
            would silently be traced in another precision than it is run in.
    """
    import spaces

    if torch.is_autocast_enabled("cuda") or torch.is_autocast_enabled("cpu"):
        raise CompiledBlockError("capture: autocast must be off, the graph would not be computed in its dtype")
    signature = inspect.signature(module.forward)
    with torch.no_grad(), spaces.aoti_capture(module) as call:
        example()
    if not call.args and not call.kwargs:
        raise CompiledBlockError(f"capture: the example call never reached {type(module).__name__}")
    arguments = signature.bind(*call.args, **call.kwargs).arguments
    return {k: v.contiguous() if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}


def export(module: nn.Module, arguments: Mapping[str, Any], spec: CallSpec) -> torch.export.ExportedProgram:
    """Trace a module into one graph.

    Raises:
        CompiledBlockError: the module cannot be traced for these sizes; the cause has torch's explanation.
    """
    try:
        with torch.no_grad():
            return torch.export.export(module, (), dict(arguments), dynamic_shapes=spec.dynamic_shapes())
    except (ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CompiledBlockError(f"{type(module).__name__}: cannot be exported: {first_line}") from error


def compile_exported(exported: torch.export.ExportedProgram, inductor: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Machine code for an exported graph: spaces' compiled model, whose `archive_file` is the package."""
    import spaces

    with torch.no_grad():
        return spaces.aoti_compile(exported, dict(inductor))


def split_constants(
    compiled: Mapping[str, torch.Tensor], named: Mapping[str, torch.Tensor]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Separate a graph's tensors into those that have a name in the module and the others.

    Args:
        compiled: The graph's tensors by the names it uses.
        named: The module's parameters and buffers.

    Returns:
        Layouts of the named ones, and the others themselves, on the CPU.

    Raises:
        CompiledBlockError: the others are too large to be an oversight of a few numbers.
    """
    constants = {name: layout_of(named[name]) for name in compiled if name in named}
    extras = {name: t.detach().cpu().contiguous() for name, t in compiled.items() if name not in named}
    size = sum(t.numel() * t.element_size() for t in extras.values())
    if size > MAX_EXTRA_BYTES:
        raise CompiledBlockError(
            f"the graph holds {size} bytes that are neither parameter nor buffer ({', '.join(sorted(extras)[:3])}): "
            "register them as buffers"
        )
    return constants, extras


def pack_constants(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Tensors as a safetensors file."""
    from safetensors.torch import save

    return save(dict(tensors))


def attention_ops(package: bytes) -> list[str]:
    """Attention operators that a package calls, from its C++ source: the kernels that were actually chosen."""
    with zipfile.ZipFile(BytesIO(package)) as archive:
        sources = [archive.read(name).decode(errors="replace") for name in archive.namelist() if name.endswith(".cpp")]
    return sorted({match for source in sources for match in ATTENTION_OP.findall(source)})
